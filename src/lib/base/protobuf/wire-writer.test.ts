import { test } from 'node:test'
import assert from 'node:assert/strict'
import { ExactWriter, varintSize } from './exact-writer.ts'
import { WireReader } from './wire-reader.ts'
import { WireWriter } from './wire-writer.ts'

test('nested messages of every length, in and behind each other, have the shortest length in front', () => {
  const sizes = [0, 1, 127, 128, 5, 16_383, 16_384, 3, 130, 2_100_000, 1]
  const writer = new WireWriter(4)
  for (const size of sizes) {
    writer.nested((outer) => {
      outer.nested((inner) => inner.raw(new Uint8Array(size).fill(7)))
      outer.varint(300)
    })
  }
  const reader = new WireReader(writer.finish())
  for (const size of sizes) {
    const at = reader.position
    const outer = reader.nested()
    assert.equal(reader.position - at, varintSize(size + varintSize(size) + 2) + size + varintSize(size) + 2)
    const inner = outer.bytes()
    assert.equal(inner.length, size)
    assert.ok(inner.every((byte) => byte === 7))
    assert.equal(outer.varint(), 300)
    assert.ok(outer.done)
  }
  assert.ok(reader.done)
})

test('varints: both writers and the sizes agree', () => {
  const values = [0, 1, 127, 128, 16_383, 16_384, 2 ** 21 - 1, 2 ** 21, 2 ** 28 - 1, 2 ** 28, 2 ** 31 - 1, 2 ** 31, 2 ** 32, 2 ** 35 - 1, 2 ** 35, Number.MAX_SAFE_INTEGER, -1, -5_000_000_000]
  for (const value of values) {
    const one = new WireWriter()
    one.varint(value)
    const other = new ExactWriter(new Uint8Array(10))
    other.varint(value)
    assert.deepEqual(other.bytes.subarray(0, other.at), one.finish(), String(value))
    assert.equal(varintSize(value), other.at)
    assert.equal(new WireReader(one.finish()).signedVarint(), value)
    assert.equal(new WireReader(one.finish()).flag(), value !== 0)
  }
})

test('what is taken stays as it is, whatever is written behind it', () => {
  const writer = new WireWriter(64)
  const taken: Uint8Array[] = []
  const sizes = [0, 5, 60, 200, 1, 33, 127, 128, 3000, 7, 64]
  for (const [i, size] of sizes.entries()) {
    writer.bytes(new Uint8Array(40).fill(0xff))
    // Given up half-way: nothing of it stays.
    writer.reset()
    writer.nested((n) => n.nested((m) => m.raw(new Uint8Array(size).fill(i))))
    const { length } = writer
    taken.push(writer.take())
    assert.equal(taken[i]?.length, length)
    assert.equal(writer.length, 0)
  }
  for (const [i, bytes] of taken.entries()) assert.deepEqual(new WireReader(bytes).nested().bytes(), new Uint8Array(sizes[i] ?? 0).fill(i))
})

test('a nested message entered is bounded by its length', () => {
  const reader = new WireReader(Uint8Array.of(2, 1, 2, 9))
  const end = reader.enter()
  assert.equal(reader.varint(), 1)
  assert.equal(reader.varint(), 2)
  assert.ok(reader.done)
  reader.leave(end)
  assert.equal(reader.varint(), 9)
  assert.throws(() => new WireReader(Uint8Array.of(3, 1, 2)).enter())
  const early = new WireReader(Uint8Array.of(2, 1, 2, 9))
  early.leave(early.enter())
  assert.equal(early.varint(), 9, 'what was not read is passed over')
})
