import { test } from 'node:test'
import assert from 'node:assert/strict'
import { setCondition } from './conditions.ts'
import { formatDurationMs, formatHumanDuration, parseDurationMs, translateTimestampSince } from './duration.ts'
import { deepEqual, semanticEqual } from './equality.ts'
import { fieldRequired } from './field-error.ts'
import { fieldsMatch, formatFieldSelector, parseFieldSelector, requiredFieldValue } from './field-selector.ts'
import { scaledValue } from './int-or-string.ts'
import { newConflict, newDeleteSuccess, newForbidden, newInvalid, newNotFound, newTooLargeResourceVersion } from './status.ts'

test('field selectors', () => {
  const parsed = parseFieldSelector('spec.nodeName=a\\,b,status.phase!=Running,,x==1')
  assert.ok(parsed.ok)
  assert.equal(formatFieldSelector(parsed.selector), 'spec.nodeName=a\\,b,status.phase!=Running,x=1')
  assert.equal(requiredFieldValue(parsed.selector, 'spec.nodeName'), 'a,b')
  assert.equal(fieldsMatch(parsed.selector, { 'spec.nodeName': 'a,b', 'status.phase': 'Pending', x: '1' }), true)
  assert.equal(fieldsMatch(parsed.selector, { 'spec.nodeName': 'a,b', 'status.phase': 'Running', x: '1' }), false)
  assert.deepEqual(parseFieldSelector('abc'), { ok: false, error: "invalid selector: 'abc'; can't understand 'abc'" })
  assert.deepEqual(parseFieldSelector('a=\\x'), { ok: false, error: 'invalid field selector: invalid escape sequence: \\x' })
  assert.deepEqual(parseFieldSelector('a=b=c'), { ok: false, error: 'invalid field selector: unescaped character in value: 61' })
})

test('percentages', () => {
  assert.deepEqual(scaledValue('25%', 10, true), { ok: true, value: 3 })
  assert.deepEqual(scaledValue('25%', 10, false), { ok: true, value: 2 })
  assert.deepEqual(scaledValue(4, 10, false), { ok: true, value: 4 })
  assert.equal(scaledValue('4', 10, false).ok, false)
})

test('durations', () => {
  for (const [text, ms] of [['1h2m3.5s', 3723500], ['300ms', 300], ['0', 0], ['-1.5h', -5400000], ['1us', 0.001], ['.5s', 500]] as const) assert.equal(parseDurationMs(text), ms, text)
  for (const bad of ['', '1', 's', '1d', '1h-', '.s', '3000000h']) assert.equal(parseDurationMs(bad), undefined, bad)
  assert.equal(formatDurationMs(3723500), '1h2m3.5s')
  assert.equal(formatDurationMs(300), '300ms')
  assert.equal(formatDurationMs(1.5), '1.5ms')
  assert.equal(formatDurationMs(3600000), '1h0m0s')
  const second = 1000, minute = 60 * second, hour = 60 * minute, day = 24 * hour
  const ages: readonly (readonly [number, string])[] = [[119 * second, '119s'], [2 * minute, '2m'], [9 * minute + 5 * second, '9m5s'], [179 * minute, '179m'], [3 * hour + 12 * minute, '3h12m'], [47 * hour, '47h'], [51 * hour, '2d3h'], [8 * day, '8d'], [800 * day, '2y70d'], [-5 * second, '<invalid>'], [-500, '0s']]
  for (const [ms, text] of ages) assert.equal(formatHumanDuration(ms), text)
  assert.equal(translateTimestampSince(undefined, 0), '<unknown>')
})

test('equality', () => {
  assert.equal(deepEqual({ a: [1, { b: undefined }] }, { a: [1, {}] }), true)
  assert.equal(deepEqual({ a: 1 }, { a: 1, b: null }), false)
  assert.equal(deepEqual([1, 2], [2, 1]), false)
  assert.equal(semanticEqual({ limits: { cpu: '1000m' }, x: [] }, { limits: { cpu: '1' }, y: {} }), true)
  assert.equal(semanticEqual({ name: '1' }, { name: '1000m' }), false)
  assert.equal(semanticEqual({ data: { limits: '1' } }, { data: { limits: '1000m' } }), false)
})

test('statuses', () => {
  const pods = { group: '', resource: 'pods' }
  assert.equal(newNotFound({ group: 'apps', resource: 'deployments' }, 'x').message, 'deployments.apps "x" not found')
  assert.deepEqual(newConflict(pods, 'x').details, { name: 'x', kind: 'pods' })
  assert.equal(newForbidden(pods, 'x', 'User "u" cannot').message, 'pods "x" is forbidden: User "u" cannot')
  const invalid = newInvalid('Pod', '', 'x', [fieldRequired('spec.containers'), fieldRequired('spec.a', 'b')])
  assert.equal(invalid.message, 'Pod "x" is invalid: [spec.containers: Required value, spec.a: Required value: b]')
  assert.deepEqual(invalid.details?.causes?.[0], { reason: 'FieldValueRequired', message: 'Required value', field: 'spec.containers' })
  assert.equal(newTooLargeResourceVersion(9, 5).message, 'Timeout: Too large resource version: 9, current: 5')
  assert.deepEqual(newDeleteSuccess(pods, 'x', 'u'), { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', details: { name: 'x', kind: 'pods', uid: 'u' } })
})

test('conditions keep their transition time while the status stays', () => {
  const old = [{ type: 'Ready', status: 'True', lastTransitionTime: 'a', message: '' }]
  assert.equal(setCondition(old, { type: 'Ready', status: 'True', lastTransitionTime: 'b', message: '' }), old)
  assert.deepEqual(setCondition(old, { type: 'Ready', status: 'False', lastTransitionTime: 'b', message: '' }), [{ type: 'Ready', status: 'False', lastTransitionTime: 'b', message: '' }])
})
