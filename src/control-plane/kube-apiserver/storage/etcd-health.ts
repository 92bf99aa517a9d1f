// Asks etcd whether it is well, for /healthz/etcd and /readyz/etcd-readiness: a read of a key that nobody writes, with a time limit. However many
// ask, etcd is asked once per half of that time; the others are told what was last known.
// Upstream: apiserver/pkg/storage/storagebackend/factory/etcd3.go
import type { Clock } from '../../../lib/base/clock.ts'
import type { EtcdClient } from '../../../lib/etcd-client/etcd-client.ts'

export interface EtcdHealthOptions {
  readonly etcd: EtcdClient
  readonly clock: Clock
  /** `/registry` */
  readonly root: string
  readonly timeoutMs: number
}

/** @returns a check: undefined when etcd is well, else what is wrong */
export function etcdHealth({ etcd, clock, root, timeoutMs }: EtcdHealthOptions): (signal: AbortSignal) => Promise<string | undefined> {
  const key = Buffer.from(`${root}/health`)
  let askedAt: number | undefined
  let last: Promise<string | undefined> = Promise.resolve('etcd client connection not yet established')
  const ask = async (): Promise<string | undefined> => {
    const late = new AbortController()
    using _timer = clock.setTimer(timeoutMs, () => { late.abort(new Error('context deadline exceeded')) })
    try {
      await etcd.range({ key }, late.signal)
      return undefined
    } catch (error) {
      return `error getting data from etcd: ${error instanceof Error ? error.message : String(error)}`
    }
  }
  return () => {
    const now = clock.monotonic()
    if (askedAt === undefined || now - askedAt >= timeoutMs / 2) {
      askedAt = now
      last = ask()
    }
    return last
  }
}
