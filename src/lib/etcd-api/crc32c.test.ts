import { test } from 'node:test'
import assert from 'node:assert/strict'
import { crc32c } from './crc32c.ts'

test('known values, and any cut gives the same', () => {
  const bytes = Buffer.from('123456789')
  assert.equal(crc32c(0, bytes), 0xe3069283)
  assert.equal(crc32c(0, Buffer.alloc(32)), 0x8a9136aa)
  const long = Buffer.from(Array.from({ length: 100 }, (_, i) => (i * 37) & 0xff))
  for (let cut = 0; cut <= long.length; cut++) assert.equal(crc32c(crc32c(0, long, 0, cut), long, cut), crc32c(0, long))
})
