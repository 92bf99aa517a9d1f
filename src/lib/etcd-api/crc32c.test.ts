import { test } from 'node:test'
import assert from 'node:assert/strict'
import { crc32c, plainLoop } from './crc32c.ts'

test('known values, and any cut gives the same', () => {
  const bytes = Buffer.from('123456789')
  assert.equal(crc32c(0, bytes), 0xe3069283)
  assert.equal(crc32c(0, Buffer.alloc(32)), 0x8a9136aa)
  assert.equal(crc32c(0, Buffer.alloc(0)), 0)
  const long = Buffer.from(Array.from({ length: 300 }, (_, i) => (i * 37) & 0xff))
  for (let cut = 0; cut <= long.length; cut++) assert.equal(crc32c(crc32c(0, long, 0, cut), long, cut), crc32c(0, long))
})

test('both loops say the same, at every length, offset and beyond one piece', () => {
  const bytes = Buffer.from(Array.from({ length: 400 }, (_, i) => (i * 73 + (i >> 3)) & 0xff))
  for (let length = 0; length <= 330; length++) for (const start of [0, 1, 7]) assert.equal(crc32c(12345, bytes, start, start + length), ~plainLoop(~12345, bytes, start, start + length) >>> 0)
  const large = Buffer.alloc(200_003, 'abcdefg')
  assert.equal(crc32c(0, large), ~plainLoop(~0, large, 0, large.length) >>> 0)
})
