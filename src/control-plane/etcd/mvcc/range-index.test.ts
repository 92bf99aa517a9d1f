import { test } from 'node:test'
import assert from 'node:assert/strict'
import { randomInteger, seededRandom } from '../../../lib/base/random.ts'
import { isInRange, keyRange, type KeyRange } from './key-text.ts'
import { RangeIndex } from './range-index.ts'

test('finds what a scan over all ranges finds', () => {
  const random = seededRandom(5)
  const key = (): string => Array.from({ length: 1 + randomInteger(random, 3) }, () => 'abc'[randomInteger(random, 3)]).join('')
  const index = new RangeIndex<{ readonly range: KeyRange }>()
  const all = new Set<{ readonly range: KeyRange }>()
  for (let round = 0; round < 400; round++) {
    const item = { range: keyRange(Buffer.from(key()), Buffer.from(randomInteger(random, 6) === 0 ? '\0' : key())) }
    index.add(item)
    all.add(item)
    if (randomInteger(random, 2) === 0) for (const old of all) { all.delete(old); index.delete(old); break }
    const text = key()
    const found = new Set<object>()
    index.visit(text, (one) => found.add(one))
    assert.deepEqual(found, new Set([...all].filter((one) => isInRange(one.range, text))))
  }
})
