// Forgets etcd's old revisions: every five minutes everything that is older than five minutes. API servers agree through one key who does it.
// Upstream: apiserver/pkg/storage/etcd3/compact.go
import type { Clock } from '../../../lib/base/clock.ts'
import { sleep } from '../../../lib/base/clock.ts'
import type { Logger } from '../../../lib/component-base/log.ts'
import type { EtcdClient } from '../../../lib/etcd-client/etcd-client.ts'

const key = Buffer.from('compact_rev_key')

export async function compactRegularly(etcd: EtcdClient, clock: Clock, logger: Logger, intervalMs: number, signal: AbortSignal): Promise<void> {
  let version = 0
  let revision = 0
  while (!signal.aborted) {
    try { await sleep(clock, intervalMs, signal) } catch { return }
    try {
      const result = await etcd.txn({
        compare: [{ key, target: 'VERSION', result: 'EQUAL', number: version }],
        success: [{ type: 'put', key, value: Buffer.from(String(revision)) }],
        failure: [{ type: 'range', key }],
      }, signal)
      const seen = result.results[0]
      if (!result.succeeded) {
        // Somebody else has compacted.
        version = (seen?.type === 'range' ? seen.kvs[0]?.version : undefined) ?? 0
        revision = result.revision
        continue
      }
      if (revision > 0) await etcd.compact(revision, signal)
      version++
      revision = result.revision
    } catch (error) {
      if (!signal.aborted) logger.error('Compaction of etcd failed', error)
    }
  }
}
