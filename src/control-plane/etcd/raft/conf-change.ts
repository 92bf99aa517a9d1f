// Changes of the membership as entries carry them: raftpb.ConfChange (one change) and ConfChangeV2 (several, through a joint configuration).
//
// An empty ConfChangeV2 leaves a joint configuration. Upstream: raft/raftpb/confchange.go
import { assert } from '../../../lib/base/assert.ts'
import { WireReader } from '../../../lib/base/protobuf/wire-reader.ts'
import { WireWriter } from '../../../lib/base/protobuf/wire-writer.ts'
import { entryTypes, noBytes, noMember, type Entry } from './messages.ts'

export type ConfChangeType = 'ConfChangeAddNode' | 'ConfChangeRemoveNode' | 'ConfChangeUpdateNode' | 'ConfChangeAddLearnerNode'
const changeTypes: readonly ConfChangeType[] = ['ConfChangeAddNode', 'ConfChangeRemoveNode', 'ConfChangeUpdateNode', 'ConfChangeAddLearnerNode']

/**
 * Auto: one change is made simply, several through a joint configuration that ends by itself. JointImplicit: joint in any case, ends by
 * itself. JointExplicit: joint, and somebody has to propose the leaving.
 */
export type ConfChangeTransition = 'ConfChangeTransitionAuto' | 'ConfChangeTransitionJointImplicit' | 'ConfChangeTransitionJointExplicit'
const transitions: readonly ConfChangeTransition[] = ['ConfChangeTransitionAuto', 'ConfChangeTransitionJointImplicit', 'ConfChangeTransitionJointExplicit']

export interface ConfChangeSingle {
  readonly type: ConfChangeType
  /** `noMember`: the shell refused the change when it was applied; nothing happens. */
  readonly nodeId: bigint
}

/** The form with one change; `id` and `context` are the shell's. */
export interface ConfChange extends ConfChangeSingle {
  readonly id: bigint
  readonly context: Uint8Array
}

export interface ConfChangeV2 {
  readonly transition: ConfChangeTransition
  readonly changes: readonly ConfChangeSingle[]
  readonly context: Uint8Array
}

export const leaveJointChange: ConfChangeV2 = { transition: 'ConfChangeTransitionAuto', changes: [], context: noBytes }

export function isLeaveJoint(change: ConfChangeV2): boolean { return change.changes.length === 0 && change.transition === 'ConfChangeTransitionAuto' }
export function needsJoint(change: ConfChangeV2): boolean { return change.transition !== 'ConfChangeTransitionAuto' || change.changes.length > 1 }
export function leavesByItself(change: ConfChangeV2): boolean { return change.transition !== 'ConfChangeTransitionJointExplicit' }

export function asConfChangeV2(change: ConfChange): ConfChangeV2 {
  return { transition: 'ConfChangeTransitionAuto', changes: [{ type: change.type, nodeId: change.nodeId }], context: change.context }
}

export function encodeConfChange(change: ConfChange): Uint8Array {
  const w = new WireWriter(64 + change.context.length)
  w.tag(1, 0); w.bigVarint(change.id)
  w.tag(2, 0); w.varint(changeTypes.indexOf(change.type))
  w.tag(3, 0); w.bigVarint(change.nodeId)
  if (change.context.length > 0) { w.tag(4, 2); w.bytes(change.context) }
  return w.finish().slice()
}

export function encodeConfChangeV2(change: ConfChangeV2): Uint8Array {
  const w = new WireWriter(64 + change.context.length)
  if (isLeaveJoint(change) && change.context.length === 0) return noBytes
  w.tag(1, 0); w.varint(transitions.indexOf(change.transition))
  for (const single of change.changes) {
    w.tag(2, 2)
    w.nested((n) => { n.tag(1, 0); n.varint(changeTypes.indexOf(single.type)); n.tag(2, 0); n.bigVarint(single.nodeId) })
  }
  if (change.context.length > 0) { w.tag(3, 2); w.bytes(change.context) }
  return w.finish().slice()
}

function member<T>(names: readonly T[], number: number): T {
  const name = names[number]
  assert(name !== undefined, 'an entry holds a membership change that this version knows')
  return name
}

/** @throws WireError */
export function decodeConfChange(data: Uint8Array): ConfChange {
  const r = new WireReader(data)
  let id = 0n, nodeId = noMember, type = 0, context = noBytes
  while (!r.done) {
    const tag = r.tag()
    if (tag === 8) id = r.bigVarint()
    else if (tag === 16) type = r.varint()
    else if (tag === 24) nodeId = r.bigVarint()
    else if (tag === 34) context = r.bytes().slice()
    else r.skip(tag % 8)
  }
  return { id, type: member(changeTypes, type), nodeId, context }
}

function decodeSingle(r: WireReader): ConfChangeSingle {
  let type = 0, nodeId = noMember
  while (!r.done) {
    const tag = r.tag()
    if (tag === 8) type = r.varint()
    else if (tag === 16) nodeId = r.bigVarint()
    else r.skip(tag % 8)
  }
  return { type: member(changeTypes, type), nodeId }
}

/** @throws WireError */
export function decodeConfChangeV2(data: Uint8Array): ConfChangeV2 {
  const r = new WireReader(data)
  let transition = 0, context = noBytes
  const changes: ConfChangeSingle[] = []
  while (!r.done) {
    const tag = r.tag()
    if (tag === 8) transition = r.varint()
    else if (tag === 18) changes.push(decodeSingle(r.nested()))
    else if (tag === 26) context = r.bytes().slice()
    else r.skip(tag % 8)
  }
  return { transition: member(transitions, transition), changes, context }
}

/** The change in an entry; undefined for a normal one. @throws WireError */
export function confChangeOf(entry: Pick<Entry, 'type' | 'data'>): ConfChangeV2 | undefined {
  if (entry.type === entryTypes.confChange) return asConfChangeV2(decodeConfChange(entry.data))
  return entry.type === entryTypes.confChangeV2 ? decodeConfChangeV2(entry.data) : undefined
}
