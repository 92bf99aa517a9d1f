import { test } from 'node:test'
import assert from 'node:assert/strict'
import { parseJsonText } from './parse-json.ts'

test('good JSON', () => {
  assert.deepEqual(parseJsonText('{"a":[1,{"b":null}],"c":"x:\\"{"}'), { ok: true, value: { a: [1, { b: null }], c: 'x:"{' }, duplicateFields: [] })
  const parsed = parseJsonText('{"__proto__":{"polluted":1},"constructor":2}')
  assert.ok(parsed.ok)
  assert.deepEqual(Object.keys(parsed.value as object), ['__proto__', 'constructor'])
  assert.equal(({} as { polluted?: number }).polluted, undefined)
})

test('duplicates are named by path and the last one counts', () => {
  const parsed = parseJsonText('{"spec":{"a":[{"x":1,"x":2}],"a":3},"__proto__":1,"__proto__":2}')
  assert.ok(parsed.ok)
  assert.deepEqual(parsed.duplicateFields, ['spec.a[0].x', 'spec.a', '__proto__'])
  assert.equal((parsed.value as { spec: { a: number } }).spec.a, 3)
})

test('limits', () => {
  assert.deepEqual(parseJsonText(`${'['.repeat(10_000)}${']'.repeat(10_000)}`), { ok: false, reason: 'tooDeep', error: "invalid character '[' exceeded max depth" })
  assert.equal(parseJsonText('{"a":1,"b":2,"c":3}', { maxKeys: 2 }).ok, false)
  assert.equal(parseJsonText('[[1]]', { maxDepth: 2 }).ok, true)
})

test('numbers that would change are refused', () => {
  assert.equal(parseJsonText('9007199254740991').ok, true)
  assert.deepEqual(parseJsonText('{"a":9007199254740993}'), { ok: false, reason: 'number', error: 'json: cannot unmarshal number 9007199254740993 into Go value of type int64' })
  assert.equal(parseJsonText('[1e999]').ok, false)
  assert.deepEqual(parseJsonText('[1e3,0.12345678901234568]'), { ok: true, value: [1000, 0.12345678901234568], duplicateFields: [] })
})

test('syntax errors read as Go prints them', () => {
  const cases: readonly (readonly [string, string])[] = [
    ['', 'unexpected end of JSON input'], ['{', 'unexpected end of JSON input'], ['{"a"', 'unexpected end of JSON input'], ['a', "invalid character 'a' looking for beginning of value"],
    ['{a:1}', "invalid character 'a' looking for beginning of object key string"], ['{"a" 1}', "invalid character '1' after object key"], ['{"a":1 "b"}', `invalid character '"' after object key:value pair`],
    ['[1 2]', "invalid character '2' after array element"], ['{} x', "invalid character 'x' after top-level value"], ['tru', 'unexpected end of JSON input'], ['trux', "invalid character 'x' in literal true (expecting 'e')"],
    ['"\\x"', "invalid character 'x' in string escape code"], ['"a\nb"', "invalid character '\\n' in string literal"], ['-', 'unexpected end of JSON input'], ['1.', 'unexpected end of JSON input'], ['[1.x]', "invalid character 'x' after decimal point in numeric literal"], ['[1,]', "invalid character ']' looking for beginning of value"],
  ]
  for (const [text, error] of cases) assert.deepEqual(parseJsonText(text), { ok: false, reason: 'syntax', error }, text)
})
