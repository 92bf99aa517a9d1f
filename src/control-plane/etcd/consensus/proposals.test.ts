import { test } from 'node:test'
import assert from 'node:assert/strict'
import { seededRandom } from '../../../lib/base/random.ts'
import { SimulatedClock } from '../../../lib/testing/simulated-clock.ts'
import type { RaftNode } from '../raft/raft-node.ts'
import type { WriteAheadLog } from '../wal/write-ahead-log.ts'
import { Proposals } from './proposals.ts'
import { RequestIds } from './request-ids.ts'

const signal = new AbortController().signal

/** Proposals beside a leader of term 2. */
function leaderOfTerm2(): { readonly proposals: Proposals; readonly raft: { role: string; term: number }; readonly node: RaftNode; readonly proposed: number[]; readonly outcomes: string[]; readonly ask: (leaderTerm?: number) => void } {
  const proposals = new Proposals({ clock: new SimulatedClock(), ids: new RequestIds(1n, seededRandom(1), 'x'), timeoutMs: 1000, timeoutError: () => { throw new Error('not asked for') }, wake: () => {}, failed: () => {} })
  const raft = { role: 'leader', term: 2, leader: 1n, transferee: 0n, isLeaving: false }
  const proposed: number[] = []
  const outcomes: string[] = []
  // cast: what proposals ask of a node
  const node = { raft, propose: (...data: readonly Uint8Array[]) => { proposed.push(data.length); return { type: 'ok' } } } as unknown as RaftNode
  const ask = (leaderTerm?: number): void => {
    proposals.submit({ type: 'request', request: { type: 'leaseRevoke', id: 7n }, leaderTerm }, signal, { resolve: () => {}, reject: (error) => { outcomes.push(String(error)) } })
  }
  return { proposals, raft, node, proposed, outcomes, ask }
}

const roomAtOnce = { findRoom: () => undefined } as unknown as WriteAheadLog // cast: what proposals ask of a log

test('what a leader of an earlier term asked for is not proposed, by the same member either when it leads again', () => {
  const { proposals, raft, node, proposed, outcomes, ask } = leaderOfTerm2()
  ask(2)
  ask()
  raft.term = 4
  proposals.feed(node, roomAtOnce)
  assert.deepEqual(proposed, [1])
  assert.match(outcomes.join(), /^[^,]*not leader[^,]*$/)
})

test('nor when another member came to lead while room was made on the disk', async () => {
  const { proposals, raft, node, proposed, outcomes, ask } = leaderOfTerm2()
  ask(2)
  ask()
  const room = Promise.withResolvers<void>()
  const feeding = proposals.feed(node, { findRoom: () => room.promise } as unknown as WriteAheadLog) // cast: as above
  raft.role = 'follower'
  raft.term = 3
  room.resolve()
  await feeding
  assert.deepEqual(proposed, [1], 'the other one is passed on')
  assert.match(outcomes.join(), /^[^,]*not leader[^,]*$/)
})
