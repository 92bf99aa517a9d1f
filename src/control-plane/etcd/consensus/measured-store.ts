// Times how long saving and receiving whole states takes, for the metrics. Upstream: etcd/server/etcdserver/api/snap/metrics.go
import type { Clock } from '../../../lib/base/clock.ts'
import type { EtcdMetrics } from '../metrics/etcd-metrics.ts'
import type { Histogram } from '../metrics/instruments.ts'
import type { Disk, DiskFile } from '../disk/disk.ts'
import type { StateStore } from './state-store.ts'

/** Saving a state is what committing the database is in the original, so it counts as both. */
export function measuredStore(store: StateStore, { disk }: EtcdMetrics, clock: Clock): StateStore {
  const timed = async <T>(histograms: readonly Histogram[], run: () => Promise<T>): Promise<T> => {
    const begunMs = clock.monotonic()
    const result = await run()
    for (const histogram of histograms) histogram.observe((clock.monotonic() - begunMs) / 1000)
    return result
  }
  return {
    save: (machine, mark) => timed([disk.snapSave, disk.backendCommit], () => store.save(machine, mark)), load: (machine, isKnown) => store.load(machine, isKnown), export: (machine, mark) => store.export(machine, mark),
    receive: (mark, body) => timed([disk.snapDbSave], () => store.receive(mark, body)), install: (mark) => store.install(mark),
  }
}

/** Times how long the files of whole states take to be on the disk: marks, and databases that a leader sent. */
export function measuredStateDisk(disk: Disk, { disk: metrics }: EtcdMetrics, clock: Clock): Disk {
  return {
    makeFolder: (path) => disk.makeFolder(path), list: (path) => disk.list(path), remove: (path) => disk.remove(path), syncFolder: (path) => disk.syncFolder(path), rename: (from, to) => disk.rename(from, to), lock: (folder) => disk.lock(folder),
    open: async (path, mode) => {
      const file = await disk.open(path, mode)
      const histogram = path.endsWith('.snap') ? metrics.snapFsync : path.endsWith('.snap.db') ? metrics.snapDbFsync : undefined
      return mode === 'create' && histogram ? timedSync(file, histogram, clock) : file
    },
  }
}

function timedSync(file: DiskFile, histogram: Histogram, clock: Clock): DiskFile {
  return {
    read: (target, position) => file.read(target, position), write: (bytes, position) => file.write(bytes, position), size: () => file.size(), [Symbol.asyncDispose]: () => Promise.resolve(file[Symbol.asyncDispose]()),
    sync: async () => {
      const begunMs = clock.monotonic()
      await file.sync()
      histogram.observe((clock.monotonic() - begunMs) / 1000)
    },
  }
}
