import { test } from 'node:test'
import assert from 'node:assert/strict'
import { ByteQueue } from './byte-queue.ts'

test('what goes in comes out, in any pieces', () => {
  const queue = new ByteQueue()
  let [written, read] = [0, 0]
  const sizes = [1, 5, 4000, 100, 300_000, 7, 0, 65_536, 20, 4096]
  const pieces = [3, 1000, 16_384, 70_000, 1, 290_000]
  for (let round = 0; round < 40; round++) {
    const bytes = (size: number): Uint8Array => Uint8Array.from({ length: size }, () => written++ % 251)
    queue.push(bytes(round % 3), bytes(sizes[round % sizes.length] ?? 0), bytes(round % 5))
    assert.equal(queue.length, written - read)
    const count = Math.min(queue.length, pieces[round % pieces.length] ?? 0)
    const out = Buffer.alloc(count + 2)
    queue.shift(out, 1, count)
    for (let i = 0; i < count; i++) assert.equal(out[i + 1], read++ % 251)
    assert.equal(out[count + 1], 0)
  }
  const rest = Buffer.alloc(queue.length)
  queue.shift(rest, 0, rest.length)
  for (const byte of rest) assert.equal(byte, read++ % 251)
  assert.equal(read, written)
  assert.equal(queue.length, 0)
  queue.push(rest, rest, rest)
  queue.clear()
  assert.equal(queue.length, 0)
})
