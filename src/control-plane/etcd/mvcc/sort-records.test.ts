import { test } from 'node:test'
import assert from 'node:assert/strict'
import { randomInteger, seededRandom } from '../../../lib/base/random.ts'
import { sortRecords } from './sort-records.ts'
import { KeyRecord } from './stored-key-value.ts'

test('many keys are sorted as bytes: common beginnings, zeros, keys that are the beginning of others', () => {
  const random = seededRandom(5)
  const pieces = ['/registry/pods/', '/registry/', 'k', '\0', '\0\0', 'ÿ', 'a', 'abcd', 'abcdefgh', '']
  const texts = new Set<string>()
  while (texts.size < 4000) {
    let text = ''
    for (let n = randomInteger(random, 6); n >= 0; n--) text += pieces[randomInteger(random, pieces.length)] ?? ''
    texts.add(text + (random.float() < 0.7 ? String.fromCharCode(randomInteger(random, 256), randomInteger(random, 3)) : ''))
  }
  const records = [...texts].map((text) => new KeyRecord(text))
  for (const _ of sortRecords(records)) void _
  assert.deepEqual(records.map(({ text }) => text), [...texts].sort())
})
