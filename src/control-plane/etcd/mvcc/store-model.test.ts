// The store against the simplest thing that could be one: a list of all changes. Random writes, compactions that are freed a little at a time, reads
// of every revision that can be read, views that somebody holds on to, and the same store loaded again.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { randomInteger, seededRandom, type Random } from '../../../lib/base/random.ts'
import { hashKeyValues } from './hash-kv.ts'
import { MvccStore } from './mvcc-store.ts'
import type { StoredKeyValue } from './stored-key-value.ts'

interface Change { readonly key: string; readonly value: string | undefined; readonly revision: number; readonly sub: number; readonly created: number; readonly version: number; readonly lease: bigint }

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString()
const shown = (kv: StoredKeyValue): string => `${kv.text}=${kv.isTombstone ? '-' : text(kv.value)} c${kv.createRevision} m${kv.modRevision}.${kv.subRevision} v${kv.version} l${kv.lease}`
const expected = (c: Change): string => `${c.key}=${c.value ?? '-'} c${c.created} m${c.revision}.${c.sub} v${c.version} l${c.lease}`
const everything = { from: '', end: undefined, single: false } as const

class Model {
  readonly changes: Change[] = []
  revision = 1
  compacted = 0

  newest(key: string, revision = Infinity): Change | undefined { return this.changes.findLast((change) => change.key === key && change.revision <= revision) }

  living(revision: number): Change[] {
    const newest = new Map<string, Change>()
    for (const change of this.changes) if (change.revision <= revision) newest.set(change.key, change)
    return [...newest.values()].filter(({ value }) => value !== undefined).sort((a, b) => (a.key < b.key ? -1 : 1))
  }
}

function writeSomething(random: Random, store: MvccStore, model: Model, leased: Map<string, bigint>): void {
  const keys = new Set<string>()
  for (let n = randomInteger(random, 4); n >= 0; n--) keys.add(`k${randomInteger(random, 60)}`.padEnd(randomInteger(random, 20) === 0 ? 200 : 0, 'x'))
  let sub = 0
  const revision = model.revision + 1
  for (const key of keys) {
    const before = model.newest(key)
    const lives = before?.value !== undefined
    if (randomInteger(random, 3) === 0) {
      assert.equal(store.deleteRange({ from: key, end: `${key}\0`, single: true }).length, lives ? 1 : 0)
      if (!lives) continue
      model.changes.push({ key, value: undefined, revision, sub: sub++, created: 0, version: 0, lease: 0n })
      leased.delete(key)
      continue
    }
    const value = 'v'.repeat(randomInteger(random, 50) === 0 ? 30_000 : randomInteger(random, 300))
    const lease = randomInteger(random, 5) === 0 ? BigInt(1 + randomInteger(random, 3)) : 0n
    store.put(Buffer.from(key), Buffer.from(value), lease)
    model.changes.push({ key, value, revision, sub: sub++, created: before !== undefined && lives ? before.created : revision, version: before !== undefined && lives ? before.version + 1 : 1, lease })
    if (lease === 0n) leased.delete(key)
    else leased.set(key, lease)
  }
  assert.equal(store.commit(), sub)
  if (sub > 0) model.revision = revision
}

function checkReads(random: Random, store: MvccStore, model: Model): void {
  assert.equal(store.revision, model.revision)
  for (const revision of [model.revision, Math.max(1, model.compacted), Math.max(1, model.compacted) + randomInteger(random, model.revision - Math.max(1, model.compacted) + 1)]) {
    const living = model.living(revision)
    assert.deepEqual(store.list(everything, revision, 0).map(shown), living.map(expected))
    assert.equal(store.count(everything, revision), living.length)
    const [from, end] = [`k${randomInteger(random, 60)}`, `k${randomInteger(random, 60)}`]
    assert.equal(store.count({ from, end, single: false }, revision), living.filter(({ key }) => key >= from && key < end).length)
    const one = living[randomInteger(random, Math.max(1, living.length))]
    if (one) assert.equal(shown(store.get(one.key, revision)!), expected(one)) // cast: it lives
    if (revision < Math.max(2, model.compacted)) continue
    const changes = store.changesAt(revision)
    // Of the compacted revision what was deleted is still told, and what was put.
    assert.deepEqual(changes.map(shown), model.changes.filter((change) => change.revision === revision).map(expected))
    for (const change of changes) {
      const before = model.newest(change.text, revision - 1)
      const isReadable = revision > model.compacted && before?.value !== undefined
      if (isReadable) assert.equal(shown(change.previous!), expected(before)) // cast: it was there
    }
  }
}

async function loadedAgain(store: MvccStore, leases: Map<string, bigint>, inKeyOrder: boolean): Promise<MvccStore> {
  const again = new MvccStore({ attach: (lease, key) => { leases.set(key, lease) }, detach: (_, key) => { leases.delete(key) } }, 99)
  const restoring = again.beginRestore(store.compactedRevision)
  const versions = [...store.versionsInOrder(store.revision, store.compactedRevision)].flatMap((ids) => Array.from(ids, (id) => store.view(id)))
  if (inKeyOrder) versions.sort((a, b) => (a.text < b.text ? -1 : a.text > b.text ? 1 : a.modRevision - b.modRevision))
  for (const kv of versions) {
    if (kv.modRevision % 2 === 0) restoring.add({ key: kv.text, createRevision: kv.createRevision, modRevision: kv.modRevision, subRevision: kv.subRevision, version: kv.version, lease: kv.lease, value: kv.value })
    else restoring.addMessage(kv.bytes, kv.start, kv.end, kv.end - kv.start > 129 && kv.keyLength > 127 ? kv.start + 3 : kv.start + 2, kv.start + (kv.keyLength > 127 ? 3 : 2) + kv.keyLength, kv.modRevision, kv.subRevision, kv.isTombstone, kv.lease)
  }
  for (const _ of restoring.finish(store.revision)) void _
  assert.deepEqual(await hashKeyValues(again, 0, async () => {}), await hashKeyValues(store, 0, async () => {}))
  return again
}

test('random writes, compactions and reads, as a list of all changes says; loaded again it is the same store', async () => {
  for (let seed = 1; seed <= 6; seed++) {
    const random = seededRandom(seed)
    const leased = new Map<string, bigint>()
    const toldLeases = new Map<string, bigint>()
    const model = new Model()
    let store = new MvccStore({ attach: (lease, key) => { toldLeases.set(key, lease) }, detach: (lease, key) => { if (toldLeases.get(key) === lease) toldLeases.delete(key) } }, seed)
    const held: { readonly kv: StoredKeyValue; readonly shown: string }[] = []
    for (let step = 0; step < 300; step++) {
      writeSomething(random, store, model, leased)
      if (step % 37 === 0) for (const kv of store.list(everything, 0, 3)) held.push({ kv, shown: shown(kv) })
      if (randomInteger(random, 12) === 0 && model.revision > model.compacted + 1) {
        model.compacted += 1 + randomInteger(random, model.revision - model.compacted)
        store.compact(model.compacted)
      }
      store.scrub(randomInteger(random, 8), randomInteger(random, 20_000))
      if (step % 5 === 0) checkReads(random, store, model)
      if (step % 60 === 59) {
        const leases = new Map<string, bigint>()
        store = await loadedAgain(store, leases, step % 120 === 59)
        assert.deepEqual([...leases].sort(), [...leased].sort())
        toldLeases.clear()
        for (const [key, lease] of leases) toldLeases.set(key, lease)
        checkReads(random, store, model)
      }
    }
    for (const one of held) assert.equal(shown(one.kv), one.shown, 'what somebody holds does not change')
    store.deleteRange(everything)
    store.commit()
    if (store.compactedRevision < store.revision) store.compact(store.revision)
    while (store.scrub(100, 100_000)) { /* in pieces */ }
    assert.equal(store.keyCount, 0)
  }
})

test('revisions that changed very much, and keys that are deleted and come back, are freed as the rest', () => {
  const store = new MvccStore({ attach: () => {}, detach: () => {} })
  for (let round = 0; round < 6; round++) {
    for (let i = 0; i < 5000; i++) store.put(Buffer.from(`key-${i}`), Buffer.from(`${round}`), 0n)
    store.commit()
    store.deleteRange(everything)
    store.commit()
    assert.equal(store.count(everything, store.revision - 1), 5000)
    assert.equal(store.changesAt(store.revision).length, 5000)
    if (round % 2 === 0) continue
    store.compact(store.revision - 1)
    let steps = 0
    while (store.scrub(1000, 1000)) steps++
    assert.ok(steps >= 10, 'a revision is freed in pieces')
    assert.equal([...store.versionsInOrder(store.revision, store.compactedRevision)].reduce((sum, ids) => sum + ids.length, 0), 10_000)
  }
})

test('defragmenting moves what is left together, and comes to an end', () => {
  const store = new MvccStore({ attach: () => {}, detach: () => {} })
  const value = Buffer.alloc(180_000, 'v')
  for (let i = 0; i < 200; i++) { store.put(Buffer.from(`large-${i}`), value, 0n); store.commit() }
  for (let i = 0; i < 60; i++) { store.put(Buffer.from(`large-${i * 3}`), Buffer.from('small'), 0n); store.commit() }
  store.compact(store.revision)
  while (store.scrub(1000, 100_000)) { /* in pieces */ }
  const before = store.sizeBytes
  let steps = 0
  while (store.defragment(400_000)) assert.ok(++steps < 1000)
  assert.ok(steps > 5 && store.sizeBytes < before * 0.9, `${steps} steps: ${before} bytes, then ${store.sizeBytes}`)
  assert.ok(store.sizeBytes < store.sizeInUseBytes * 1.25)
  for (let i = 0; i < 180; i++) assert.equal(store.get(`large-${i}`)?.value.length, i % 3 === 0 ? 5 : 180_000)
})

test('many keys come and go: each is found as long as it is there', () => {
  const random = seededRandom(4)
  const store = new MvccStore({ attach: () => {}, detach: () => {} }, 7)
  const living = new Set<string>()
  for (let step = 0; step < 20_000; step++) {
    const key = `key-${randomInteger(random, 8000)}`
    if (randomInteger(random, 2) === 0) {
      store.put(Buffer.from(key), Buffer.from('v'), 0n)
      living.add(key)
    } else {
      store.deleteRange({ from: key, end: `${key}\0`, single: true })
      living.delete(key)
    }
    store.commit()
    if (step % 500 !== 499 || store.revision <= store.compactedRevision) continue
    store.compact(store.revision)
    while (store.scrub(1000, 10_000)) { /* in pieces */ }
    assert.equal(store.keyCount, living.size)
    for (const one of living) assert.ok(store.get(one), `${one} is there`)
  }
  assert.deepEqual(store.list(everything, 0, 0).map(({ text }) => text), [...living].sort())
})
