// The small index records over the slabs: a key with its versions, and a version of a key. A version is handed out as it is, as the
// key-value of answers and events; it never changes for its reader, though its bytes may move to another slab.
import type { EtcdKeyValue } from '../../../lib/etcd-api/operations.ts'
import { keyBytes } from './key-text.ts'
import { emptySlab, type Slab, type SlabOwner } from './slab.ts'

/** A key and those of its versions that have not been compacted away, oldest first. */
export class KeyRecord {
  readonly text: string
  versions: StoredKeyValue[] = []
  constructor(text: string) { this.text = text }

  get newest(): StoredKeyValue | undefined { return this.versions[this.versions.length - 1] }

  /** The version that was current at `revision`; a tombstone counts as one. */
  at(revision: number): StoredKeyValue | undefined {
    const index = this.indexAt(revision)
    return index < 0 ? undefined : this.versions[index]
  }

  /** Index of the last version with modRevision <= revision, or -1. */
  indexAt(revision: number): number {
    const { versions } = this
    let high = versions.length - 1
    if (high >= 0 && versions[high]!.modRevision <= revision) return high // cast: high is an index
    let low = 0
    while (low <= high) {
      const middle = (low + high) >> 1
      if (versions[middle]!.modRevision <= revision) low = middle + 1 // cast: middle lies between two indexes
      else high = middle - 1
    }
    return high
  }
}

export class StoredKeyValue implements EtcdKeyValue, SlabOwner {
  readonly record: KeyRecord
  readonly createRevision: number
  readonly modRevision: number
  /** Position among the changes of its revision. */
  readonly subRevision: number
  /** 0 for a tombstone. */
  readonly version: number
  readonly lease: bigint
  readonly length: number
  slab: Slab = emptySlab
  offset = 0
  retained = true

  constructor(record: KeyRecord, createRevision: number, modRevision: number, subRevision: number, version: number, lease: bigint, length: number) {
    this.record = record
    this.createRevision = createRevision
    this.modRevision = modRevision
    this.subRevision = subRevision
    this.version = version
    this.lease = lease
    this.length = length
  }

  get isTombstone(): boolean { return this.version === 0 }
  get key(): Uint8Array { return keyBytes(this.record.text) }
  get value(): Uint8Array { return this.slab.bytes.subarray(this.offset, this.offset + this.length) }

  /** The version before this one, unless it was a deletion or is compacted away. */
  get previous(): StoredKeyValue | undefined {
    const before = this.record.versions[this.record.indexAt(this.modRevision - 1)]
    return before === undefined || before.isTombstone ? undefined : before
  }
}

const noBytes = new Uint8Array(0)

/** The same key-value without its value, for `keysOnly`. */
export function withoutValue(kv: StoredKeyValue): EtcdKeyValue {
  return { key: kv.key, createRevision: kv.createRevision, modRevision: kv.modRevision, version: kv.version, value: noBytes, lease: kv.lease }
}
