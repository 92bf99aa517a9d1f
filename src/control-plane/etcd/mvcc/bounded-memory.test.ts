import { test } from 'node:test'
import assert from 'node:assert/strict'
import { randomInteger, seededRandom } from '../../../lib/base/random.ts'
import { hashKeyValues } from './hash-kv.ts'
import { MvccStore } from './mvcc-store.ts'
import type { StoredKeyValue } from './stored-key-value.ts'

const b = (text: string): Buffer => Buffer.from(text)

function newStore(): MvccStore { return new MvccStore({ attach: () => {}, detach: () => {} }) }

function scrubAll(store: MvccStore): void { while (store.scrub(50, 64 * 1024)) { /* in pieces, as a member does it */ } }

const versionsOf = (store: MvccStore): StoredKeyValue[] => [...store.versionsInOrder(store.revision, store.compactedRevision)].flatMap((ids) => Array.from(ids, (id) => store.view(id)))

test('what is held does not grow with history beyond compaction', () => {
  const store = newStore()
  const random = seededRandom(3)
  const sizes: number[] = []
  let largest = 0
  for (let round = 0; round < 400; round++) {
    for (let i = 0; i < 100; i++) {
      // Some keys live for ever, most change, some come only once and go.
      const key = i % 10 === 0 ? `once-${round}-${i}` : `k${randomInteger(random, 200)}`
      store.put(b(key), Buffer.alloc(randomInteger(random, 2000) + 1, i), 0n)
      if (i % 10 === 5) store.deleteRange({ from: `once-${round}-${i - 5}`, end: `once-${round}-${i - 5}\0`, single: true })
      store.commit()
    }
    if (round % 4 === 3) {
      store.compact(store.revision - 20)
      scrubAll(store)
      sizes.push(store.sizeBytes)
    }
    largest = Math.max(largest, store.sizeBytes)
  }
  const early = Math.max(...sizes.slice(5, 20))
  const late = Math.max(...sizes.slice(-15))
  assert.ok(late < early * 1.5, `after compactions it held up to ${early} bytes early and ${late} late`)
  // About 220 versions of 1 kB live after a compaction, 620 before one; slabs may be half empty.
  assert.ok(largest < 4 * 1024 * 1024, `at most ${largest} bytes`)
  assert.ok(store.keyCount < 250, `${store.keyCount} keys`)
})

test('a store that was loaded compacts and lets go as one that was filled', () => {
  const filled = newStore()
  for (let i = 0; i < 600; i++) {
    filled.put(b(`k${i % 20}`), Buffer.alloc(3000, i), 0n)
    filled.commit()
  }
  filled.compact(300)
  const loaded = newStore()
  const restoring = loaded.beginRestore(300)
  for (const version of versionsOf(filled)) restoring.add({ key: version.text, createRevision: version.createRevision, modRevision: version.modRevision, subRevision: version.subRevision, version: version.version, lease: version.lease, value: version.value })
  for (const _ of restoring.finish(601)) void _
  for (const store of [filled, loaded]) {
    scrubAll(store)
    assert.equal(versionsOf(store).length, 321)
    store.compact(601)
    scrubAll(store)
    assert.equal(versionsOf(store).length, 20)
    assert.ok(store.sizeBytes < 1_200_000, `${store.sizeBytes} bytes: one slab is being filled`)
  }
  loaded.deleteRange({ from: '', end: undefined, single: false })
  loaded.commit()
  loaded.compact(602)
  scrubAll(loaded)
  assert.equal(loaded.keyCount, 0)
})

test('the hash is the same whether a compaction has freed everything yet or not, also when no key lives', async () => {
  for (const isEmptied of [false, true]) {
    const store = newStore()
    for (let i = 0; i < 60; i++) {
      store.put(b(`k${i % 6}`), b(`v${i}`), 0n)
      store.commit()
    }
    store.deleteRange({ from: 'k2', end: 'k2\0', single: true })
    store.commit()
    store.compact(50)
    if (isEmptied) store.deleteRange({ from: '', end: undefined, single: false })
    store.commit()
    const before = await hashKeyValues(store, 0, () => Promise.resolve())
    scrubAll(store)
    assert.deepEqual(await hashKeyValues(store, 0, () => Promise.resolve()), before)
  }
})
