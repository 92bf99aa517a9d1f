// The hash over all readable revisions that etcd's members compare with each other: CRC-32C of the bucket's name, then of each revision's key
// and stored value in order. Upstream: etcd/server/storage/mvcc/hash.go
import { crc32c } from '../../../lib/etcd-api/crc32c.ts'
import { WireWriter } from '../../../lib/base/protobuf/wire-writer.ts'
import type { MvccStore } from './mvcc-store.ts'
import { writeKeyValue, writeRevision } from './revision-bytes.ts'
import { sortByRevision } from './sort-in-pieces.ts'
import type { StoredKeyValue } from './stored-key-value.ts'

export interface KeyValueHash {
  readonly hash: number
  readonly revision: number
  /** -1 when nothing was ever compacted. */
  readonly compactRevision: number
}

const keysPerPiece = 500

/** @param pause called between pieces @param compacted the revision that the history begins at @throws EtcdError when the revision can't be read */
export async function hashKeyValues(store: MvccStore, wishedRevision: number, pause: () => Promise<void>, compacted = store.compactedRevision): Promise<KeyValueHash> {
  store.checkRevision(wishedRevision)
  using pin = store.pin()
  void pin
  const revision = wishedRevision > 0 ? wishedRevision : store.revision
  const kept: StoredKeyValue[] = []
  const superseded: StoredKeyValue[] = []
  let anyLiving = false
  for (let from: string | undefined, more = true; more;) {
    const { versions, next } = store.walk(from, revision, keysPerPiece)
    versions.forEach((version, i) => {
      const after = versions[i + 1]
      const isLast = after?.record !== version.record
      const lives = isLast && !version.isTombstone
      anyLiving ||= lives
      if (version.modRevision > compacted || lives) kept.push(version)
      // Whether what nobody can read any more has been freed already must make no difference.
      else if (!version.isTombstone && after !== undefined && after.modRevision > compacted) superseded.push(version)
    })
    from = next
    more = next !== undefined
    await pause()
  }
  // What a compaction leaves of keys that changed later counts only when no key lives; so the original has it.
  if (!anyLiving) kept.push(...superseded)
  const ordered = await sortByRevision(kept, pause)
  let crc = crc32c(0, Uint8Array.of(0x6b, 0x65, 0x79)) // "key"
  const writer = new WireWriter(1024)
  for (const [i, version] of ordered.entries()) {
    writer.reset()
    writeRevision(writer, version)
    writeKeyValue(writer, version)
    crc = crc32c(crc, writer.finish())
    if (i % 1000 === 999) await pause()
  }
  return { hash: crc, revision, compactRevision: compacted === 0 ? -1 : compacted }
}
