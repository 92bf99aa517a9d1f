// Times how long saving and receiving whole states takes, for the metrics. Upstream: etcd/server/etcdserver/api/snap/metrics.go
import type { Clock } from '../../../lib/base/clock.ts'
import type { EtcdMetrics } from '../metrics/etcd-metrics.ts'
import type { Histogram } from '../metrics/instruments.ts'
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
