// A version as etcd's own database has it: the key is the revision, the value the key-value message. Hashes and exported snapshots are made of these.
import type { WireWriter } from '../../../lib/base/protobuf/wire-writer.ts'
import type { StoredKeyValue } from './stored-key-value.ts'

/** A revision as etcd's key bucket has it: main and sub as eight big-endian bytes each, an underscore between, `t` behind a tombstone. */
export function writeRevision(w: WireWriter, version: StoredKeyValue): void {
  const bytes = new Uint8Array(version.isTombstone ? 18 : 17)
  const view = new DataView(bytes.buffer)
  view.setBigUint64(0, BigInt(version.modRevision))
  bytes[8] = 0x5f
  view.setBigUint64(9, BigInt(version.subRevision))
  if (version.isTombstone) bytes[17] = 0x74
  w.raw(bytes)
}

export function writeKeyValue(w: WireWriter, version: StoredKeyValue): void {
  w.tag(1, 2); w.bytes(version.key)
  if (version.isTombstone) return
  w.tag(2, 0); w.varint(version.createRevision)
  w.tag(3, 0); w.varint(version.modRevision)
  w.tag(4, 0); w.varint(version.version)
  const { value } = version
  if (value.length > 0) { w.tag(5, 2); w.bytes(value) }
  if (version.lease !== 0n) { w.tag(6, 0); w.bigVarint(version.lease) }
}
