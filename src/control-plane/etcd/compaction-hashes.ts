// Hashes of what was there when the store was compacted: all members compact at the same revisions, so that these can be compared whatever was
// written since. Taken while the compaction's own work waits, and kept for the newest few. Upstream: etcd/server/storage/mvcc/hash.go (hashStorage)
import { describeError, type Logger } from '../../lib/component-base/log.ts'
import { hashKeyValues, type KeyValueHash } from './mvcc/hash-kv.ts'
import type { MvccStore } from './mvcc/mvcc-store.ts'
import { yieldToLoop } from './yield-to-loop.ts'

const keptHashes = 10

export class CompactionHashes {
  readonly #logger: Logger
  #hashes: readonly KeyValueHash[] = []

  constructor(logger: Logger) { this.#logger = logger }

  /** Newest first. */
  get list(): readonly KeyValueHash[] { return this.#hashes }
  find(revision: number): KeyValueHash | undefined { return this.#hashes.find((hash) => hash.revision === revision) }

  /** Call it before a compaction at `revision` is applied; what is to be hashed stays where it is until it has been. */
  async record(store: MvccStore, revision: number): Promise<void> {
    const before = store.compactedRevision
    if (revision <= before || revision > store.revision) return
    try {
      const hash = await hashKeyValues(store, revision, yieldToLoop, before)
      this.#hashes = [hash, ...this.#hashes].sort((a, b) => b.revision - a.revision).slice(0, keptHashes)
    } catch (error) {
      this.#logger.warn('a compaction was not hashed', { revision, why: describeError(error) })
    }
  }
}
