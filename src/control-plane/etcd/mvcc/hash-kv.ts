// The hash over all readable revisions that etcd's members compare with each other: CRC-32C of the bucket's name, then of each revision's key
// and stored value in order. Upstream: etcd/server/storage/mvcc/hash.go
import { crc32c } from '../../../lib/etcd-api/crc32c.ts'
import type { MvccStore } from './mvcc-store.ts'
import { revisionBytes, writeRevision } from './revision-bytes.ts'

export interface KeyValueHash {
  readonly hash: number
  readonly revision: number
  /** -1 when nothing was ever compacted. */
  readonly compactRevision: number
}

const gatheredBytes = 32 * 1024

/** @param pause called between pieces @param compacted the revision that the history begins at @throws EtcdError when the revision can't be read */
export async function hashKeyValues(store: MvccStore, wishedRevision: number, pause: () => Promise<void>, compacted = store.compactedRevision): Promise<KeyValueHash> {
  store.checkRevision(wishedRevision)
  using pin = store.pin()
  void pin
  const revision = wishedRevision > 0 ? wishedRevision : store.revision
  // Whether what nobody can read any more has been freed already must make no difference.
  const readable = Math.max(compacted, store.scrubbedRevision)
  // What a compaction leaves of keys that changed later counts only when no key lives; so the original has it.
  const anyLiving = compacted > 0 && (await holdsLiving(store, revision, pause))
  const counts = (id: number): boolean => {
    const made = store.revisionOf(id)
    if (store.isTombstone(id)) return made > readable
    return made > compacted || !anyLiving || store.livesAt(id, revision)
  }
  let crc = crc32c(0, Uint8Array.of(0x6b, 0x65, 0x79)) // "key"
  const gathered = new Uint8Array(gatheredBytes)
  let length = 0
  for (const piece of store.versionsInOrder(revision, compacted)) {
    for (const id of piece) {
      if (!counts(id)) continue
      const size = store.lengthOf(id)
      if (length + revisionBytes + size > gatheredBytes) {
        crc = crc32c(crc, gathered, 0, length)
        length = 0
      }
      length = writeRevision(gathered, length, store.revisionOf(id), store.subRevisionOf(id), store.isTombstone(id))
      const bytes = store.slabOf(id)
      const start = store.offsetOf(id)
      if (length + size > gatheredBytes) {
        crc = crc32c(crc32c(crc, gathered, 0, length), bytes, start, start + size)
        length = 0
        continue
      }
      if (bytes.copy) bytes.copy(gathered, length, start, start + size)
      else gathered.set(bytes.subarray(start, start + size), length)
      length += size
    }
    await pause()
  }
  return { hash: crc32c(crc, gathered, 0, length), revision, compactRevision: compacted === 0 ? -1 : compacted }
}

async function holdsLiving(store: MvccStore, revision: number, pause: () => Promise<void>): Promise<boolean> {
  const looking = store.holdsLiving(revision)
  for (let step = looking.next(); ; step = looking.next()) {
    if (step.done) return step.value
    await pause()
  }
}
