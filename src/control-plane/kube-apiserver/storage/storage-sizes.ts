// Asks each etcd now and then how large its database is, for the metric. Upstream: apiserver/pkg/storage/etcd3/metrics (DB metric poll)
import { sleep, type Clock } from '../../../lib/base/clock.ts'
import type { EtcdClient } from '../../../lib/etcd-client/etcd-client.ts'

/** Until `signal`. What can't be asked keeps its last size. */
export async function pollStorageSizes(etcds: readonly EtcdClient[], sizes: Map<string, number>, clock: Clock, intervalMs: number, signal: AbortSignal): Promise<void> {
  for (;;) {
    await Promise.all(etcds.map(async (etcd, i) => {
      try { sizes.set(`etcd-${i}`, (await etcd.status(signal)).dbSize) } catch { /* asked again */ }
    }))
    try { await sleep(clock, intervalMs, signal) } catch { return }
  }
}
