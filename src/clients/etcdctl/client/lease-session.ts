// Keeping a lease alive, and a lease that lives as long as its holder: what locks and elections hang on.
// Upstream: client/v3/lease.go, client/v3/concurrency/session.go
import { sleep } from '../../../lib/base/clock.ts'
import { leaseService } from '../../../lib/etcd-api/generated/services.ts'
import type { LeaseGrantRequest, LeaseGrantResponse, LeaseKeepAliveRequest, LeaseKeepAliveResponse } from '../../../lib/etcd-api/generated/types.ts'
import { MessageQueue } from '../../../lib/net/grpc/service.ts'
import type { EtcdConnection } from './etcd-connection.ts'

const retryDelayMs = 500

/** Renews a lease three times in its life; gives every renewal. Ends when the lease is gone, or could not be renewed for as long as it lives. */
export async function* keepLeaseAlive(connection: EtcdConnection, ID: bigint, signal: AbortSignal): AsyncGenerator<LeaseKeepAliveResponse> {
  let livesUntil: number | undefined
  while (!signal.aborted) {
    const requests = new MessageQueue<LeaseKeepAliveRequest>()
    requests.push({ ID })
    try {
      for await (const response of connection.bidiStream<LeaseKeepAliveResponse>(leaseService, 'LeaseKeepAlive', requests, signal)) {
        const ttlMs = (response.TTL ?? 0) * 1000
        if (ttlMs <= 0) return
        livesUntil = connection.clock.monotonic() + ttlMs
        yield response
        await sleep(connection.clock, Math.max(retryDelayMs, ttlMs / 3), signal)
        requests.push({ ID })
      }
    } catch {
      // The stream broke: again, as long as the lease may live.
    } finally {
      requests.finish()
    }
    if (signal.aborted || (livesUntil !== undefined && connection.clock.monotonic() >= livesUntil)) return
    await sleep(connection.clock, retryDelayMs, signal).catch(() => {})
  }
}

export interface LeaseSession extends Disposable {
  readonly lease: bigint
  /** Aborted when the lease is lost. */
  readonly lost: AbortSignal
}

/** A new lease, kept alive until the session is disposed of; it then ends by itself. @throws GrpcError */
export async function openLeaseSession(connection: EtcdConnection, ttlSeconds: number, signal: AbortSignal): Promise<LeaseSession> {
  const request: LeaseGrantRequest = { TTL: ttlSeconds }
  const { ID: lease = 0n } = await connection.unary<LeaseGrantResponse>(leaseService, 'LeaseGrant', request, signal)
  const stop = new AbortController()
  const lost = new AbortController()
  void (async () => {
    for await (const _ of keepLeaseAlive(connection, lease, stop.signal)) if (stop.signal.aborted) return
    if (!stop.signal.aborted) lost.abort(new Error('the lease is lost'))
  })()
  return { lease, lost: lost.signal, [Symbol.dispose]: () => stop.abort(new Error('the session is closed')) }
}
