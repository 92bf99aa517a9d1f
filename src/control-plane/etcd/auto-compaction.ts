// Compacts by itself, for those who don't have a compactor (Kubernetes has its own). Upstream: etcd/server/etcdserver/api/v3compactor
import { sleep, type Clock } from '../../lib/base/clock.ts'
import type { Logger } from '../../lib/component-base/log.ts'
import { EtcdError } from '../../lib/etcd-api/etcd-error.ts'
import type { EtcdClient } from '../../lib/etcd-client/etcd-client.ts'

/** `periodic`: keep the history of the last `retentionMs`; `revision`: keep the last `retention` revisions. */
export type AutoCompaction = { readonly mode: 'periodic'; readonly retentionMs: number } | { readonly mode: 'revision'; readonly retention: number }

const revisionIntervalMs = 5 * 60_000
const hourMs = 3_600_000
const samples = 10

/** Runs until `signal` is aborted. */
export async function compactAutomatically(client: Pick<EtcdClient, 'status' | 'compact'>, policy: AutoCompaction, clock: Clock, logger: Logger, signal: AbortSignal): Promise<void> {
  const intervalMs = policy.mode === 'revision' ? revisionIntervalMs : Math.min(policy.retentionMs, hourMs) / samples
  /** Revisions at past moments, oldest first. */
  const seen: { readonly atMs: number; readonly revision: number }[] = []
  let compacted = 0
  try {
    for (;;) {
      const { revision } = await client.status(signal)
      let target = 0
      if (policy.mode === 'revision') target = revision - policy.retention
      else {
        const now = clock.monotonic()
        seen.push({ atMs: now, revision })
        while (seen[0] && seen[0].atMs <= now - policy.retentionMs) target = seen.shift()!.revision // cast: just looked at
      }
      if (target > compacted) {
        await client.compact(target, signal).catch((error: unknown) => {
          if (!(error instanceof EtcdError && error.reason === 'Compacted')) throw error
        })
        compacted = target
        logger.info('compacted', { revision: target }, 2)
      }
      await sleep(clock, intervalMs, signal)
    }
  } catch (error) {
    if (!signal.aborted) logger.error('automatic compaction ended', error)
  }
}

/** What `--auto-compaction-mode` and `--auto-compaction-retention` mean; undefined: none. @throws RangeError */
export function parseAutoCompaction(mode: string, retention: string, parseDuration: (text: string) => number | undefined): AutoCompaction | undefined {
  if (mode === 'revision') {
    if (!/^\d+$/.test(retention)) throw new RangeError(`invalid --auto-compaction-retention ${JSON.stringify(retention)}: a number of revisions is needed`)
    return Number(retention) === 0 ? undefined : { mode, retention: Number(retention) }
  }
  if (mode !== 'periodic' && mode !== '') throw new RangeError(`unsupported --auto-compaction-mode ${JSON.stringify(mode)}`)
  // A bare number counts hours.
  const retentionMs = /^\d+$/.test(retention) ? Number(retention) * hourMs : parseDuration(retention)
  if (retentionMs === undefined) throw new RangeError(`invalid --auto-compaction-retention ${JSON.stringify(retention)}: a duration is needed`)
  return retentionMs === 0 ? undefined : { mode: 'periodic', retentionMs }
}
