import { test } from 'node:test'
import assert from 'node:assert/strict'
import { seededRandom } from '../../../lib/base/random.ts'
import { AddressAllocator } from './address-allocator.ts'

test('every address once, the lowest last, network and broadcast never', () => {
  const allocator = new AddressAllocator('10.0.0.0/24')
  const random = seededRandom(1)
  const given: string[] = []
  for (;;) { const ip = allocator.takeAny('o', random); if (ip === undefined) break; given.push(ip) }
  assert.equal(new Set(given).size, 254)
  assert.ok(!given.includes('10.0.0.0') && !given.includes('10.0.0.255'))
  assert.ok(given.slice(0, 200).every((ip) => Number(ip.split('.')[3]) > 16))
  allocator.release('10.0.0.7', 'somebody else')
  assert.equal(allocator.takeAny('o', random), undefined)
  allocator.release('10.0.0.7', 'o')
  assert.equal(allocator.takeAny('o', random), '10.0.0.7')
})

test('addresses asked for by name', () => {
  const allocator = new AddressAllocator('fd00::/112')
  assert.equal(allocator.firstAddress, 'fd00::1')
  assert.ok(allocator.take('fd00::1:0', 'a') === false)
  assert.ok(allocator.take('fd00::ff', 'a'))
  assert.ok(allocator.take('fd00::ff', 'a'))
  assert.ok(!allocator.take('fd00::ff', 'b'))
  assert.ok(!allocator.contains('10.0.0.1'))
})
