import { test } from 'node:test'
import assert from 'node:assert/strict'
import { seededRandom } from '../../../lib/base/random.ts'
import { WireWriter } from '../../../lib/base/protobuf/wire-writer.ts'
import { EtcdError, etcdError } from '../../../lib/etcd-api/etcd-error.ts'
import { SimulatedClock, settle } from '../../../lib/testing/simulated-clock.ts'
import { LeaseBook } from '../lease/lease-book.ts'
import { emptyConfState, emptyHardState, type Entry } from '../raft/messages.ts'
import { readRequest, writeRequest } from '../wal/request-codec.ts'
import { LogStorage } from './log-storage.ts'
import { ReadRounds } from './read-rounds.ts'
import { RequestIds } from './request-ids.ts'

test("a request's id is read again from its entry, by its own member alone", () => {
  for (const memberId of [0xffffn, 0x1n, 0x12340000n, 0xabcd_ef01_2345_6789n]) {
    const ids = new RequestIds(memberId, seededRandom(3), '1')
    const others = new RequestIds(memberId ^ 0x8001n, seededRandom(3), '1')
    const seen = new Set<number>()
    for (let i = 0; i < 300; i++) {
      const id = ids.next()
      seen.add(id)
      const w = new WireWriter()
      writeRequest(w, ids.varintOf(id), { type: 'leaseRevoke', id: 77n, ...(i % 2 === 0 ? {} : { caller: { username: 'anna', authRevision: 9 } }) })
      const data = w.finish().slice()
      assert.equal(ids.readOwn(data), id)
      assert.equal(others.readOwn(data), 0)
      assert.deepEqual(readRequest(data), { type: 'leaseRevoke', id: 77n, ...(i % 2 === 0 ? {} : { caller: { username: 'anna', authRevision: 9 } }) })
      assert.equal(ids.ownOf(ids.whole(id)), id)
      assert.equal(others.ownOf(ids.whole(id)), 0)
    }
    assert.equal(seen.size, 300)
  }
  assert.equal(new RequestIds(5n, seededRandom(1), '').readOwn(new Uint8Array(0)), 0)
  assert.notEqual(new RequestIds(5n, seededRandom(1), 'one start').next(), new RequestIds(5n, seededRandom(1), 'another').next())
})

test('the log in memory: what is applied goes, but for what slow followers may want', () => {
  const entry = (index: number, term = 1): Entry => ({ type: 0, term, index, data: new Uint8Array(100) })
  const log = new LogStorage({ hardState: emptyHardState, confState: emptyConfState, applied: { index: 10, term: 1 }, tail: [entry(11), entry(12)] })
  assert.deepEqual([log.firstIndex(), log.lastIndex(), log.term(10), log.term(12), log.term(9), log.term(13)], [11, 12, 1, 1, undefined, undefined])
  log.append([entry(12, 2), entry(13, 2)])
  assert.deepEqual([log.lastIndex(), log.term(12)], [13, 2])
  log.append(Array.from({ length: 3000 }, (_, i) => entry(14 + i, 2)))
  log.dropApplied(3000, 1000, 1e9)
  assert.deepEqual([log.firstIndex(), log.lastIndex(), log.term(2000), log.entries(2000, 2003, 1e9)], [2001, 3013, 2, undefined])
  assert.deepEqual(log.entries(2001, 2003, 1e9)?.map(({ index }) => index), [2001, 2002])
  log.dropApplied(3000, 1000, 50_000)
  assert.equal(log.firstIndex(), 2514, 'bytes are a bound, too, also for what is not applied')
  log.dropApplied(3000, 0, 0)
  assert.deepEqual([log.firstIndex(), log.lastIndex()], [3001, 3013])
  log.restart(5000, 3)
  assert.deepEqual([log.firstIndex(), log.lastIndex(), log.term(5000)], [5001, 5000, 3])
})

test('reads: one question for all that wait; a lost one is asked again, and an answer to it is not believed any more', async () => {
  const clock = new SimulatedClock()
  const asked: Uint8Array[] = []
  let applied = 4
  let slow = 0
  const rounds = new ReadRounds({
    clock, ids: new RequestIds(1n, seededRandom(1), ''), timeoutMs: 7000, timeoutError: () => etcdError('timeout'), ask: (context) => asked.push(context), appliedIndex: () => applied,
    failed: () => {}, slow: () => { slow++ },
  })
  const signal = new AbortController().signal
  const done: string[] = []
  const wait = (name: string, until = signal): Promise<void> => rounds.wait(until).then(() => { done.push(name) }, (error: unknown) => { done.push(`${name} ${error instanceof EtcdError ? error.message : String(error)}`) })
  void wait('a')
  void wait('b')
  await settle(1)
  void wait('c')
  await settle(1)
  assert.equal(asked.length, 1)
  rounds.confirm({ index: 5, context: asked[0] ?? new Uint8Array(0) })
  await settle(1)
  assert.deepEqual([done, asked.length], [[], 2], 'confirmed, but not applied; and the next question is on its way')
  applied = 5
  rounds.applied()
  await settle(1)
  assert.deepEqual(done, ['a', 'b'])
  await clock.advance(600)
  assert.deepEqual([asked.length, slow], [3, 1])
  rounds.confirm({ index: 5, context: asked[1] ?? new Uint8Array(0) })
  await settle(1)
  assert.deepEqual(done, ['a', 'b'])
  rounds.confirm({ index: 5, context: asked[2] ?? new Uint8Array(0) })
  await settle(1)
  assert.deepEqual(done, ['a', 'b', 'c'])
  const abort = new AbortController()
  void wait('d', abort.signal)
  void wait('e')
  await clock.advance(200)
  abort.abort('enough')
  await clock.advance(200)
  assert.deepEqual(done.slice(3), ['d enough'])
  await clock.advance(8000)
  assert.deepEqual(done.slice(4), ['e etcdserver: request timed out'])
  assert.equal(clock.pending, 0)
})

test('leases: a new leader gives each its whole time and an election timeout, or what a checkpoint left of it', () => {
  const book = new LeaseBook(1)
  book.grant(1n, 10, 0)
  book.grant(2n, 100, 0)
  assert.deepEqual(book.takeExpired(1e9, 10), [], 'a follower ends none')
  book.checkpoint(2n, 20)
  book.startExpiring(1000, 1000)
  assert.deepEqual([book.takeExpired(11_999, 10), book.takeExpired(12_000, 10)], [[], [1n]])
  assert.deepEqual(book.takeExpired(22_000, 10), [1n, 2n])
  book.stopExpiring()
  assert.equal(book.nextLookMs(), undefined)
  assert.equal(book.renew(2n, 30_000), 100)
})
