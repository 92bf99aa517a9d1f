// Control builds: our etcd with one fault put in, which a test has to notice. A test of safety that passes with its fault is worth nothing.
//
// Most faults are a few words of source that are exchanged while the program is built; when the words aren't there any more that fails, so that a
// control can't rot. Others are disks that lie.
import { setTimeout as delay } from 'node:timers/promises'
import type { Disk, DiskFile } from '../../src/control-plane/etcd/disk/disk.ts'

export interface Change {
  /** End of the module's path. */
  readonly module: string
  readonly find: string
  readonly put: string
}

/** By name: what is changed in the source. */
const changes: { readonly [fault: string]: readonly Change[] } = {
  /** Ranges answer with the keys of half a second ago. */
  'stale-read': [{
    module: 'etcd/mvcc/range.ts', find: 'const revision = request.revision ?? 0\n',
    put: `const seen = store.revision, past = (globalThis.k8tsPast ??= { revision: seen })
      setTimeout(() => { past.revision = seen }, 500)
      const revision = request.revision || (past.revision > store.compactedRevision && past.revision < seen ? past.revision : 0)\n`,
  }],
  /** A watch that starts in the past leaves out the first event of the first revisions it is sent. */
  'dropped-event': [{
    module: 'etcd/mvcc/watch-hub.ts', find: 'watch(request: EtcdWatchRequest, observer: EtcdWatchObserver): HubWatch {\n',
    put: `watch(request: EtcdWatchRequest, told: EtcdWatchObserver): HubWatch {
      let drops = (request.startRevision ?? 0) > 0
      const observer: EtcdWatchObserver = { created: (revision) => told.created?.(revision), closed: (end) => told.closed(end), events: (events, revision) => {
        if (drops && events.length > 1) { drops = false; events = events.slice(1) }
        return told.events(events, revision)
      } }\n`,
  }],
  /** Whoever begins to lead forgets a lease. */
  'forgotten-lease': [{
    module: 'etcd/lease/lease-book.ts', find: 'startExpiring(nowMs: number, extendMs = 0): void {\n',
    put: 'startExpiring(nowMs: number, extendMs = 0): void {\n    for (const id of this.ids().slice(0, 1)) this.revoke(id)\n',
  }],
  /** Whoever thinks that it leads reads its own store, and so does everybody else. */
  'read-without-quorum': [{
    module: 'etcd/consensus/replica.ts', find: 'return this.driver.isSole && this.#leading ? undefined : this.#reads.wait(signal)', put: 'return undefined',
  }],
  /** What the leader has is committed. */
  'commit-without-quorum': [{
    module: 'etcd/raft/progress-tracker.ts', find: 'committed(): number { return committedIndex(', put: 'committed(): number { return Math.max(...[...this.progress.values()].map((one) => one.match)) || committedIndex(',
  }],
  /** Members forget whom they voted for, and in which term they are, when they start again. */
  'forgotten-vote': [{
    module: 'etcd/consensus/raft-driver.ts', find: 'const hardState = this.node.raft.hardState()', put: 'const hardState = { ...this.node.raft.hardState(), vote: 0n }',
  }],
}

/** No fault: log segments, what is zeroed ahead, and the log between two snapshots are so small that all of them come by all the time. */
export const smallSizes: readonly Change[] = [
  { module: 'etcd/wal/write-ahead-log.ts', find: 'const defaultSegmentBytes = 64 * 1024 * 1024\n', put: 'const defaultSegmentBytes = 48 * 1024\n' },
  { module: 'etcd/wal/write-ahead-log.ts', find: 'const defaultZeroedBytes = 1024 * 1024\n', put: 'const defaultZeroedBytes = 16 * 1024\n' },
  { module: 'etcd/embedded.ts', find: 'const defaultSnapshotBytes = 4 * 1024 * 1024\n', put: 'const defaultSnapshotBytes = 24 * 1024\n' },
]

const disks: { readonly [fault: string]: (disk: Disk) => Disk } = {
  'early-acknowledgement': (disk) => withFiles(disk, lateWrites),
  'no-sync': (disk) => ({
    ...withFiles(disk, (file) => ({ ...file, sync: () => Promise.resolve() })),
    syncFolder: () => Promise.resolve(),
  }),
}

export const controlFaults: readonly string[] = [...Object.keys(changes), ...Object.keys(disks)]

/** What is exchanged for a fault. */
export function changesFor(fault: string): readonly Change[] {
  if (!controlFaults.includes(fault)) throw new Error(`there is no control fault ${fault}`)
  return changes[fault] ?? []
}

/** The disk of a control build; the disk itself when the fault is none of the disk's. */
export function faultyDisk(disk: Disk, fault = ''): Disk { return disks[fault]?.(disk) ?? disk }

/** Writes that should be durable are only in the page cache. */
function withFiles(disk: Disk, wrap: (file: DiskFile) => DiskFile): Disk {
  return {
    open: async (path, mode) => {
      const file = await disk.open(path, mode === 'dsync' ? 'update' : mode)
      const methods: DiskFile = {
        read: (target, position) => file.read(target, position), write: (bytes, position) => file.write(bytes, position), sync: () => file.sync(), size: () => file.size(), [Symbol.asyncDispose]: () => file[Symbol.asyncDispose](),
      }
      return mode === 'read' ? methods : wrap(methods)
    },
    makeFolder: (path) => disk.makeFolder(path), list: (path) => disk.list(path), rename: (from, to) => disk.rename(from, to), remove: (path) => disk.remove(path), syncFolder: (path) => disk.syncFolder(path), lock: (folder) => disk.lock(folder),
  }
}

const lateMs = 50

/** Writes are acknowledged at once and done later, in order. */
function lateWrites(file: DiskFile): DiskFile {
  let last: Promise<void> = Promise.resolve()
  return {
    ...file,
    write: (bytes, position) => {
      const copy = Buffer.from(bytes)
      last = Promise.all([last, delay(lateMs)]).then(() => file.write(copy, position))
      return Promise.resolve()
    },
    [Symbol.asyncDispose]: async () => {
      await last
      await file[Symbol.asyncDispose]()
    },
  }
}
