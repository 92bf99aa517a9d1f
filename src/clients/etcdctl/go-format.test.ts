import { test } from 'node:test'
import assert from 'node:assert/strict'
import { bytesOfText, goDuration, humanBytes, parseInteger, quote, splitWords, textOfBytes, unquote } from './go-format.ts'

test('quoted strings are Go literals, for any bytes', () => {
  assert.equal(quote('a "b"\n\t\\ é 日\u200b'), '"a \\"b\\"\\n\\t\\\\ é 日\\u200b"')
  assert.equal(quote(Uint8Array.of(0, 0x7f, 0xff, 0x41, 0xc3)), '"\\x00\\x7f\\xffA\\xc3"')
  for (const text of ['', 'plain', 'a "b"\n', 'é日🎉', textOfBytes(Uint8Array.of(1, 0xff, 0xfe, 65))]) assert.equal(unquote(quote(text)), text)
  assert.equal(unquote('`raw\\n`'), 'raw\\n')
  assert.equal(unquote('"\\101\\u00e9"'), 'Aé')
  for (const bad of ['plain', '"open', '"\\q"', "'a'"]) assert.equal(unquote(bad), undefined)
})

test('bytes survive being text', () => {
  const bytes = Uint8Array.from({ length: 256 }, (_, i) => i)
  assert.deepEqual(Uint8Array.from(bytesOfText(textOfBytes(bytes))), bytes)
  assert.equal(textOfBytes(Buffer.from('é\uFFFD日')), 'é\uFFFD日')
})

test('words of a line', () => {
  assert.deepEqual(splitWords(`put key "a \\"b\\"" 'c d' --lease=1`), ['put', 'key', 'a "b"', 'c d', '--lease=1'])
  assert.deepEqual(splitWords('  '), [])
  assert.equal(splitWords('put "\\q"'), undefined)
})

test('sizes and durations', () => {
  assert.deepEqual([0, 9, 10, 999, 1000, 20480, 16384, 2147483648, 1e9].map(humanBytes), ['0 B', '9 B', '10 B', '999 B', '1.0 kB', '20 kB', '16 kB', '2.1 GB', '1.0 GB'])
  assert.deepEqual([0, 0.0005, 0.0125, 3.879741, 1000.76383, 61_500, 3_600_000].map(goDuration), ['0s', '500ns', '12.5µs', '3.879741ms', '1.00076383s', '1m1.5s', '1h0m0s'])
})

test('integers, or why not', () => {
  assert.deepEqual(parseInteger('7fffffffffffffff', 16), { value: 2n ** 63n - 1n })
  assert.deepEqual(parseInteger('-1', 10), { value: -1n })
  assert.deepEqual(parseInteger('zz', 16), { problem: 'strconv.ParseInt: parsing "zz": invalid syntax' })
  assert.deepEqual(parseInteger('8000000000000000', 16), { problem: 'strconv.ParseInt: parsing "8000000000000000": value out of range' })
  assert.deepEqual(parseInteger('ffffffffffffffff', 16, 'Uint'), { value: 2n ** 64n - 1n })
  assert.deepEqual(parseInteger('-1', 16, 'Uint'), { problem: 'strconv.ParseUint: parsing "-1": invalid syntax' })
})
