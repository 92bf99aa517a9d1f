// A version of a key, handed out as the key-value of answers and events: a view of the bytes that are stored. It is made when somebody asks, never
// changes for its reader, and reads its numbers when they are wanted.
import type { EtcdKeyValue } from '../../../lib/etcd-api/operations.ts'
import { KeyValueReader } from './key-value-bytes.ts'
import { textOf } from './key-index.ts'
import type { SlabBytes } from './slab.ts'

/** What knows the versions before a version. */
export interface VersionHistory { previous(id: number, modRevision: number, subRevision: number): StoredKeyValue | undefined }

const reader = new KeyValueReader()

export class StoredKeyValue implements EtcdKeyValue {
  readonly #history: VersionHistory
  readonly #id: number
  /** The whole message is bytes[start, end). */
  readonly bytes: SlabBytes
  readonly start: number
  readonly end: number
  readonly modRevision: number
  /** Position among the changes of its revision. */
  readonly subRevision: number
  readonly isTombstone: boolean
  // -1: not read yet.
  #keyAt = -1
  #keyEnd = 0
  #createRevision = 0
  #version = 0
  #valueAt = 0
  #valueEnd = 0
  #lease = 0n

  constructor(history: VersionHistory, id: number, bytes: SlabBytes, start: number, end: number, modRevision: number, subRevision: number, isTombstone: boolean) {
    this.#history = history
    this.#id = id
    this.bytes = bytes
    this.start = start
    this.end = end
    this.modRevision = modRevision
    this.subRevision = subRevision
    this.isTombstone = isTombstone
  }

  #read(): void {
    reader.read(this.bytes, this.start, this.end)
    this.#keyAt = reader.keyAt
    this.#keyEnd = reader.keyEnd
    this.#createRevision = reader.createRevision
    this.#version = reader.version
    this.#valueAt = reader.valueAt
    this.#valueEnd = reader.valueEnd
    this.#lease = reader.lease
  }

  /** The key, one character per byte. */
  get text(): string {
    if (this.#keyAt < 0) this.#read()
    return textOf(this.bytes, this.#keyAt, this.#keyEnd)
  }

  /** Bytes of the value. */
  get length(): number {
    if (this.#keyAt < 0) this.#read()
    return this.#valueEnd - this.#valueAt
  }

  get key(): Uint8Array {
    if (this.#keyAt < 0) this.#read()
    return this.bytes.slice(this.#keyAt, this.#keyEnd)
  }

  get keyLength(): number {
    if (this.#keyAt < 0) this.#read()
    return this.#keyEnd - this.#keyAt
  }

  get createRevision(): number {
    if (this.#keyAt < 0) this.#read()
    return this.#createRevision
  }

  /** 0 for a tombstone. */
  get version(): number {
    if (this.#keyAt < 0) this.#read()
    return this.#version
  }

  get lease(): bigint {
    if (this.#keyAt < 0) this.#read()
    return this.#lease
  }

  get value(): Uint8Array {
    if (this.#keyAt < 0) this.#read()
    return new Uint8Array(this.bytes.buffer, this.bytes.byteOffset + this.#valueAt, this.#valueEnd - this.#valueAt)
  }

  /** The version before this one, unless it was a deletion or is compacted away. */
  get previous(): StoredKeyValue | undefined { return this.#history.previous(this.#id, this.modRevision, this.subRevision) }
}

const noBytes = new Uint8Array(0)

/** The same key-value without its value, for `keysOnly`. */
export function withoutValue(kv: StoredKeyValue): EtcdKeyValue {
  return { key: kv.key, createRevision: kv.createRevision, modRevision: kv.modRevision, version: kv.version, value: noBytes, lease: kv.lease }
}
