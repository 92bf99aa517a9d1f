// The files `<term>-<index>.snap`: up to where the log has been applied, and who was a member then. The data beside it is the membership as the
// original keeps it for its older versions; the keys themselves are in the database. Upstream: etcd/server/etcdserver/api/snap
import { WireReader } from '../../../lib/base/protobuf/wire-reader.ts'
import { WireWriter } from '../../../lib/base/protobuf/wire-writer.ts'
import { crc32c } from '../../../lib/etcd-api/crc32c.ts'
import type { StateMark } from '../consensus/state-store.ts'
import type { ConfState } from '../raft/messages.ts'
import { writeConfState } from '../wal/raft-messages.ts'

export interface SnapFile extends StateMark { readonly data: Uint8Array }

export interface SnapName { readonly name: string; readonly index: number; readonly term: number }

function hex(value: number): string { return value.toString(16).padStart(16, '0') }

export function snapName(index: number, term: number): string { return `${hex(term)}-${hex(index)}.snap` }
/** Where a leader's database waits until it replaces our own. */
export function receivedDatabaseName(index: number): string { return `${hex(index)}.snap.db` }

/** Those among the names of a folder, newest first. */
export function snapNames(names: readonly string[], suffix = 'snap'): readonly SnapName[] {
  return names.flatMap((name) => {
    const match = /^([0-9a-f]{16})-([0-9a-f]{16})\.(.+)$/.exec(name)
    return match && match[3] === suffix ? [{ name, term: Number.parseInt(match[1]!, 16), index: Number.parseInt(match[2]!, 16) }] : [] // cast: the pattern has three groups
  }).sort((a, b) => b.index - a.index || b.term - a.term)
}

/** @throws WireError */
export function readConfState(r: WireReader): ConfState {
  const lists: bigint[][] = [[], [], [], []]
  let autoLeave = false
  while (!r.done) {
    const tag = r.tag()
    const list = lists[Math.floor(tag / 8) - 1]
    if (list && tag % 8 === 0) list.push(r.bigVarint())
    else if (list && tag % 8 === 2) for (const packed = r.nested(); !packed.done;) list.push(packed.bigVarint())
    else if (tag === 5 * 8) autoLeave = r.varint() !== 0
    else r.skip(tag % 8)
  }
  const [voters = [], learners = [], votersOutgoing = [], learnersNext = []] = lists
  return { voters, learners, votersOutgoing, learnersNext, autoLeave }
}

export function encodeSnapFile({ data, index, term, confState }: SnapFile): Uint8Array {
  const snapshot = new WireWriter(data.length + 256)
  if (data.length > 0) { snapshot.tag(1, 2); snapshot.bytes(data) }
  snapshot.tag(2, 2)
  snapshot.nested((metadata) => {
    metadata.tag(1, 2); metadata.nested((n) => writeConfState(n, confState))
    metadata.tag(2, 0); metadata.varint(index)
    metadata.tag(3, 0); metadata.varint(term)
  })
  const bytes = snapshot.finish()
  const w = new WireWriter(bytes.length + 16)
  w.tag(1, 0); w.varint(crc32c(0, bytes))
  w.tag(2, 2); w.bytes(bytes)
  return w.finish()
}

/** Undefined when a bit is not as it was written: the outer message has no checksum, so only its one form is taken. */
export function decodeSnapFile(file: Uint8Array): SnapFile | undefined {
  try {
    const outer = new WireReader(file)
    if (outer.tag() !== 1 * 8) return undefined
    const crc = outer.varint()
    if (outer.tag() !== 2 * 8 + 2) return undefined
    const bytes = outer.bytes()
    const strict = new WireWriter(16)
    strict.tag(1, 0); strict.varint(crc); strict.tag(2, 2); strict.varint(bytes.length)
    if (!outer.done || strict.length + bytes.length !== file.length || crc !== crc32c(0, bytes)) return undefined
    const snapshot: { data: Uint8Array; confState?: ConfState; index: number; term: number } = { data: new Uint8Array(0), index: 0, term: 0 }
    for (const r = new WireReader(bytes); !r.done;) {
      const tag = r.tag()
      if (tag === 1 * 8 + 2) snapshot.data = r.bytes()
      else if (tag === 2 * 8 + 2) {
        for (const m = r.nested(); !m.done;) {
          const field = m.tag()
          if (field === 1 * 8 + 2) snapshot.confState = readConfState(m.nested())
          else if (field === 2 * 8) snapshot.index = m.varint()
          else if (field === 3 * 8) snapshot.term = m.varint()
          else m.skip(field % 8)
        }
      } else r.skip(tag % 8)
    }
    const { confState } = snapshot
    return confState && { ...snapshot, confState }
  } catch {
    return undefined
  }
}
