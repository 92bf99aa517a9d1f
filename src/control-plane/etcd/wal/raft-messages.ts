// The Raft messages inside log records, in the one form that is written and accepted: all fields, in order.
import { WireReader } from '../../../lib/base/protobuf/wire-reader.ts'
import type { WireWriter } from '../../../lib/base/protobuf/wire-writer.ts'

export const entryTypes = { normal: 0, confChange: 1, confChangeV2: 2 } as const

export interface Entry {
  readonly type: number
  readonly term: number
  readonly index: number
  readonly data: Uint8Array
}

export interface HardState {
  readonly term: number
  readonly vote: bigint
  readonly commit: number
}

export interface Identity { readonly memberId: bigint; readonly clusterId: bigint }
export interface SnapshotMark { readonly index: number; readonly term: number }

/** Writes an entry whose data `writeData` makes; no data when absent. */
export function writeEntry(w: WireWriter, type: number, term: number, index: number, data: Uint8Array | undefined): void {
  w.tag(1, 0); w.varint(type)
  w.tag(2, 0); w.varint(term)
  w.tag(3, 0); w.varint(index)
  if (data) { w.tag(4, 2); w.bytes(data) }
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
    if (type > entryTypes.confChangeV2) throw unexpected
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

/** A conf state, which others write into it, is passed over. */
export function readSnapshotMark(bytes: Uint8Array): SnapshotMark | undefined {
  return strictly(bytes, (r) => {
    const mark = { index: field(r, 1), term: field(r, 2) }
    while (!r.done) r.skip(r.tag() % 8)
    return mark
  })
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
