import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom, randomInteger } from '../../../lib/base/random.ts'
import { bootstrapLog } from './bootstrap.ts'
import { decodeConfChange, decodeConfChangeV2, encodeConfChange, encodeConfChangeV2, leaveJointChange, type ConfChangeV2 } from './conf-change.ts'
import { Inflights } from './inflights.ts'
import { MemoryStorage } from './memory-storage.ts'
import { changeMembership, membershipOf } from './membership-change.ts'
import { emptyConfState, entryTypes, makeMessage, noBytes, type Entry } from './messages.ts'
import { committedIndex, voteResult } from './quorum.ts'
import { RaftLog } from './raft-log.ts'
import { RaftNode } from './raft-node.ts'

const hex = (b: Uint8Array): string => Buffer.from(b).toString('hex')
const entry = (index: number, term: number): Entry => ({ type: entryTypes.normal, index, term, data: noBytes })
const setOf = (...ids: readonly number[]): Set<bigint> => new Set(ids.map(BigInt))

test('membership changes are raftpb on the wire', () => {
  // Id 7, type RemoveNode, node 300, context "x": field by field as protobuf has it.
  const change = { id: 7n, type: 'ConfChangeRemoveNode', nodeId: 300n, context: Uint8Array.of(0x78) } as const
  assert.equal(hex(encodeConfChange(change)), '0807' + '1001' + '18ac02' + '220178')
  assert.deepEqual(decodeConfChange(encodeConfChange(change)), change)
  const v2: ConfChangeV2 = {
    transition: 'ConfChangeTransitionJointExplicit', context: Uint8Array.of(1, 2),
    changes: [{ type: 'ConfChangeAddNode', nodeId: 2n ** 64n - 1n }, { type: 'ConfChangeAddLearnerNode', nodeId: 4n }],
  }
  assert.deepEqual(decodeConfChangeV2(encodeConfChangeV2(v2)), v2)
  assert.equal(encodeConfChangeV2(leaveJointChange).length, 0)
  assert.deepEqual(decodeConfChangeV2(noBytes), leaveJointChange)
  // What others leave out is zero, what they add is passed over.
  assert.deepEqual(decodeConfChange(Uint8Array.of(0x18, 5, 0x48, 1)), { id: 0n, type: 'ConfChangeAddNode', nodeId: 5n, context: noBytes })
})

test('the committed index is the highest that majorities of both halves have', () => {
  const random = seededRandom(1)
  for (let round = 0; round < 500; round++) {
    const subset = (): Set<bigint> => setOf(...[1, 2, 3, 4, 5, 6].filter(() => random.float() < 0.5))
    const halves = [subset(), subset()] as const
    const match = new Map([1, 2, 3, 4, 5, 6].map((id) => [BigInt(id), randomInteger(random, 5)]))
    const isCommitted = (index: number): boolean => halves.every((half) => half.size === 0 || [...half].filter((id) => (match.get(id) ?? 0) >= index).length * 2 > half.size)
    const naive = Math.max(...[0, 1, 2, 3, 4].filter(isCommitted))
    const found = committedIndex(halves, (id) => match.get(id) ?? 0)
    assert.equal(halves[0].size + halves[1].size === 0 ? found === Infinity : found === naive, true)
  }
})

test('a vote is lost as soon as one half can not agree', () => {
  const votes = new Map<bigint, boolean>([[1n, true], [2n, true], [4n, false], [5n, false]])
  assert.equal(voteResult([setOf(1, 2, 3), setOf()], (id) => votes.get(id)), 'won')
  assert.equal(voteResult([setOf(1, 2, 3), setOf(1, 3, 6)], (id) => votes.get(id)), 'pending')
  assert.equal(voteResult([setOf(1, 2, 3), setOf(3, 4, 5)], (id) => votes.get(id)), 'lost')
})

test('memberships change by the rules of joint consensus', () => {
  const config = membershipOf({ ...emptyConfState, voters: [1n, 2n, 3n] })
  const change = (transition: ConfChangeV2['transition'], ...changes: ConfChangeV2['changes']) => changeMembership(config, { transition, changes, context: noBytes })
  const joint = change('ConfChangeTransitionAuto', { type: 'ConfChangeAddLearnerNode', nodeId: 3n }, { type: 'ConfChangeAddNode', nodeId: 4n })
  assert.ok(joint.type === 'changed')
  assert.deepEqual(joint.config, { voters: [setOf(1, 2, 4), setOf(1, 2, 3)], learners: setOf(), learnersNext: setOf(3), autoLeave: true })
  assert.deepEqual(changeMembership(joint.config, { ...leaveJointChange, changes: [{ type: 'ConfChangeAddNode', nodeId: 9n }] }), { type: 'refused', reason: 'alreadyJoint' })
  const left = changeMembership(joint.config, leaveJointChange)
  assert.ok(left.type === 'changed')
  assert.deepEqual(left.config, { voters: [setOf(1, 2, 4), setOf()], learners: setOf(3), learnersNext: setOf(), autoLeave: false })
  assert.deepEqual(changeMembership(config, leaveJointChange), { type: 'refused', reason: 'notJoint' })
  assert.deepEqual(change('ConfChangeTransitionAuto', ...[1n, 2n, 3n].map((nodeId) => ({ type: 'ConfChangeRemoveNode', nodeId } as const))), { type: 'refused', reason: 'noVotersLeft' })
})

test('entries that were replaced while they were written are not taken for written', () => {
  const storage = new MemoryStorage()
  storage.append([entry(1, 1), entry(2, 1)])
  const log = new RaftLog(storage)
  log.append([entry(3, 1), entry(4, 1)])
  // Being written now; meanwhile another leader replaces them.
  assert.equal(log.maybeAppend({ index: 2, term: 1 }, [entry(3, 2)], 0), 3)
  log.unstable.stableTo(4, 1)
  assert.equal(log.stableIndex(), 2)
  assert.equal(log.lastIndex(), 3)
  storage.append([entry(3, 1), entry(4, 1)])
  assert.equal(log.lastIndex(), 3)
  assert.deepEqual(log.entriesFrom(2, Infinity), [entry(2, 1), entry(3, 2)])
  storage.append([entry(3, 2)])
  log.unstable.stableTo(3, 2)
  assert.equal(log.stableIndex(), 3)
  assert.equal(storage.lastIndex(), 3)
})

test('a window is bounded in messages and bytes', () => {
  const window = new Inflights(3, 100)
  window.add(1, 60)
  window.add(2, 60)
  assert.equal(window.isFull, true)
  window.freeUpTo(1)
  assert.equal(window.isFull, false)
  window.add(5, 1)
  window.add(6, 1)
  assert.equal(window.isFull, true)
  window.freeUpTo(5)
  assert.equal(window.count, 1)
})

test('a new cluster begins with one log for all, and committed entries wait for a slow state machine', () => {
  const first = bootstrapLog([{ id: 9n, context: noBytes }])
  const storage = new MemoryStorage()
  storage.append(first.entries)
  storage.setHardState(first.hardState)
  const node = new RaftNode({ id: 9n, storage, random: seededRandom(3), electionTicks: 10, heartbeatTicks: 1, maxApplyingBytes: 10 })
  const turn = (): readonly Entry[] => {
    const ready = node.ready()
    storage.append(ready.entries)
    if (ready.hardState) storage.setHardState(ready.hardState)
    node.advance()
    return ready.committedEntries
  }
  node.campaign()
  assert.equal(node.hasReady(), true, 'the first membership is applied before anybody stands for election')
  assert.deepEqual(turn(), first.entries)
  assert.throws(() => node.appliedTo(2), /only what was given out/)
  node.applyConfChange(1, decodeConfChange(first.entries[0]?.data ?? noBytes))
  node.appliedTo(1)
  node.campaign()
  while (node.hasReady()) for (const e of turn()) node.appliedTo(e.index)
  assert.equal(node.status().role, 'leader')
  node.propose(new Uint8Array(8), new Uint8Array(8), new Uint8Array(8))
  turn()
  const given = turn()
  assert.equal(node.hasReady(), false, 'the shell has as much as it may hold')
  node.appliedTo(given.at(-1)?.index ?? 0)
  assert.equal(node.hasReady(), true)
})

test('impossible transitions are asserts, and local events do not come from the network', () => {
  const storage = new MemoryStorage()
  storage.installSnapshot({ data: noBytes, metadata: { index: 1, term: 1, confState: { ...emptyConfState, voters: [1n] } } })
  const node = new RaftNode({ id: 1n, storage, random: seededRandom(1), electionTicks: 10, heartbeatTicks: 1 })
  assert.throws(() => node.raft.becomeLeader(), /only a candidate/)
  node.step(makeMessage({ type: 'MsgHup', from: 2n }))
  assert.equal(node.hasReady(), false)
  assert.throws(() => node.advance(), /advance follows ready/)
})
