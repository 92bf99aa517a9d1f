// The Raft messages inside log records, in the one form that is written and accepted: all fields, in order.
import { WireReader } from '../../../lib/base/protobuf/wire-reader.ts'
import type { WireWriter } from '../../../lib/base/protobuf/wire-writer.ts'
import { entryTypes, type ConfState, type Entry, type HardState } from '../raft/messages.ts'

export { entryTypes, type Entry, type HardState } from '../raft/messages.ts'

export interface Identity { readonly memberId: bigint; readonly clusterId: bigint }
/** A place in the log up to which a saved state holds everything, and who were members there (older logs don't say). */
export interface SnapshotMark { readonly index: number; readonly term: number; readonly confState?: ConfState }

export function writeEntry(w: WireWriter, type: number, term: number, index: number, data: Uint8Array): void {
  writeEntryHead(w, type, term, index, data.length)
  w.raw(data)
}

/** An entry up to its data, which belongs right behind. */
export function writeEntryHead(w: WireWriter, type: number, term: number, index: number, dataLength: number): void {
  w.tag(1, 0); w.varint(type)
  w.tag(2, 0); w.varint(term)
  w.tag(3, 0); w.varint(index)
  w.tag(4, 2); w.varint(dataLength)
}

export function writeHardState(w: WireWriter, state: HardState): void {
  w.tag(1, 0); w.varint(state.term)
  w.tag(2, 0); w.bigVarint(state.vote)
  w.tag(3, 0); w.varint(state.commit)
}

export function writeIdentity(w: WireWriter, identity: Identity): void {
  w.tag(1, 0); w.bigVarint(identity.memberId)
  w.tag(2, 0); w.bigVarint(identity.clusterId)
}

export function writeSnapshotMark(w: WireWriter, mark: SnapshotMark): void {
  w.tag(1, 0); w.varint(mark.index)
  w.tag(2, 0); w.varint(mark.term)
  const { confState } = mark
  if (confState) { w.tag(3, 2); w.nested((n) => writeConfState(n, confState)) }
}

export function writeConfState(w: WireWriter, state: ConfState): void {
  for (const [field, ids] of [[1, state.voters], [2, state.learners], [3, state.votersOutgoing], [4, state.learnersNext]] as const) {
    for (const id of ids) { w.tag(field, 0); w.bigVarint(id) }
  }
  w.tag(5, 0); w.varint(state.autoLeave ? 1 : 0)
}

const noBytes = new Uint8Array(0)

/** Each reader gives undefined for bytes that are not exactly its message. */
export function readEntry(bytes: Uint8Array): Entry | undefined {
  return strictly(bytes, (r) => {
    // The original leaves the type of normal entries out.
    const first = r.tag()
    const type = first === 1 * 8 ? r.varint() : entryTypes.normal
    if (first !== 1 * 8 && first !== 2 * 8) throw unexpected
    const term = first === 2 * 8 ? r.varint() : field(r, 2)
    const index = field(r, 3)
    // No checksum covers a record's type: one bit makes an entry of a hard state, whose vote then stands where the term should.
    if (type > entryTypes.confChangeV2 || !Number.isSafeInteger(term)) throw unexpected
    if (r.done) return { type, term, index, data: noBytes }
    if (r.tag() !== 4 * 8 + 2) throw unexpected
    return { type, term, index, data: r.bytes() }
  })
}

export function readHardState(bytes: Uint8Array): HardState | undefined {
  return strictly(bytes, (r) => ({ term: field(r, 1), vote: bigField(r, 2), commit: field(r, 3) }))
}

export function readIdentity(bytes: Uint8Array): Identity | undefined {
  return strictly(bytes, (r) => ({ memberId: bigField(r, 1), clusterId: bigField(r, 2) }))
}

export function readSnapshotMark(bytes: Uint8Array): SnapshotMark | undefined {
  return strictly(bytes, (r) => {
    const mark = { index: field(r, 1), term: field(r, 2) }
    let confState: ConfState | undefined
    while (!r.done) {
      const tag = r.tag()
      if (tag === 3 * 8 + 2) confState = readConfState(r.nested())
      else r.skip(tag % 8)
    }
    return confState ? { ...mark, confState } : mark
  })
}

export function readConfState(r: WireReader): ConfState {
  const lists: readonly bigint[][] = [[], [], [], []]
  let autoLeave = false
  while (!r.done) {
    const tag = r.tag()
    const list = lists[Math.floor(tag / 8) - 1]
    if (list && tag % 8 === 0) list.push(r.bigVarint())
    else if (list && tag % 8 === 2) for (const packed = r.nested(); !packed.done;) list.push(packed.bigVarint())
    else if (tag === 5 * 8) autoLeave = r.varint() === 1
    else r.skip(tag % 8)
  }
  const [voters = [], learners = [], votersOutgoing = [], learnersNext = []] = lists
  return { voters, learners, votersOutgoing, learnersNext, autoLeave }
}

const unexpected = new Error('unexpected field')

function field(r: WireReader, number: number): number {
  if (r.tag() !== number * 8) throw unexpected
  return r.varint()
}

function bigField(r: WireReader, number: number): bigint {
  if (r.tag() !== number * 8) throw unexpected
  return r.bigVarint()
}

function strictly<T>(bytes: Uint8Array, read: (reader: WireReader) => T): T | undefined {
  try {
    const reader = new WireReader(bytes)
    const value = read(reader)
    return reader.done ? value : undefined
  } catch {
    return undefined
  }
}
