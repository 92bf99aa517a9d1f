import { test } from 'node:test'
import assert from 'node:assert/strict'
import { formatLabelSelector, matches, parseLabelSelector, requiredExactValue, selectorFromLabels, selectorOf, selectsEverything } from './label-selector.ts'

const parse = (text: string) => { const parsed = parseLabelSelector(text); assert.ok(parsed.ok, text); return parsed.selector }

test('matches', () => {
  const labels = { app: 'web', tier: 'front', size: '10' }
  const yes = ['', 'app=web', 'app==web', 'app!=db', 'app in (web,db)', 'app notin (db)', 'app', '!canary', 'size>9', 'size<11', 'x!=1', 'x notin (a)', 'app=web,tier=front', ' app = web , tier in ( front ) ']
  const no = ['app=db', 'app!=web', 'app in (db)', 'app notin (web,x)', 'canary', '!app', 'size>10', 'app>1', 'x in (a)', 'app=web,tier=back', 'app=']
  for (const text of yes) assert.equal(matches(parse(text), labels), true, text)
  for (const text of no) assert.equal(matches(parse(text), labels), false, text)
  assert.equal(matches(parse('a in ()'), { a: '' }), true)
  assert.equal(matches(parse('in in (in,notin)'), { in: 'notin' }), true)
  assert.equal(matches(parse('constructor'), {}), false)
})

test('prints sorted', () => {
  assert.equal(formatLabelSelector(parse('b notin (z,y),!c,a==1,d')), 'a==1,b notin (y,z),!c,d')
  assert.equal(formatLabelSelector(selectorFromLabels({ b: '2', a: '1' })), 'a=1,b=2')
  assert.equal(requiredExactValue(parse('a in (x),b'), 'a'), 'x')
  assert.ok(selectsEverything(parse('')))
})

test('errors are those that clients know', () => {
  const error = (text: string) => { const parsed = parseLabelSelector(text); assert.ok(!parsed.ok, text); return parsed.error }
  assert.equal(error('a,'), "found '', expected: identifier after ','")
  assert.equal(error('a b'), "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt")
  assert.equal(error('=a'), "found '=', expected: !, identifier, or 'end of string'")
  assert.equal(error('a in b'), "unable to parse requirement: found 'b' expected: '('")
  assert.equal(error('a in (b'), "unable to parse requirement: found '', expected: ',' or ')'")
  assert.equal(error('a=b c'), "found 'c', expected: ',' or 'end of string'")
  assert.match(error('a^=b'), /^unable to parse requirement: <nil>: Invalid value: "a\^": name part must consist of/)
  assert.match(error('a=^'), /^unable to parse requirement: values\[0\]\[a\]: Invalid value: "\^": a valid label must be/)
  assert.match(error('a>b'), /values\[0\]: Invalid value: "b": for 'Gt', 'Lt' operators, the value must be an integer/)
})

test('selectors of specs', () => {
  const of = (object: Parameters<typeof selectorOf>[0]) => { const parsed = selectorOf(object); assert.ok(parsed.ok); return parsed.selector }
  assert.equal(matches(of(undefined), { a: '1' }), false)
  assert.equal(matches(of({}), { a: '1' }), true)
  assert.equal(matches(of({ matchLabels: { a: '1' }, matchExpressions: [{ key: 'b', operator: 'DoesNotExist' }] }), { a: '1' }), true)
  assert.deepEqual(selectorOf({ matchExpressions: [{ key: 'a', operator: 'Near', values: [] }] }), { ok: false, error: '"Near" is not a valid label selector operator' })
  assert.deepEqual(selectorOf({ matchExpressions: [{ key: 'a', operator: 'In', values: [] }] }), { ok: false, error: "values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty" })
})
