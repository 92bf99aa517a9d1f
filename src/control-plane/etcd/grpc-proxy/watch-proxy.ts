// etcdserverpb.Watch of the proxy: what clients watch, with as few watches at the members as there are ranges.
//
// Rules it keeps: who may not read a range may not watch it, whoever else does. A watch from now on begins behind the revision at which it was
// asked for: that is asked of the members, together with the permission. A client that reads too slowly holds a bounded number of bytes; its
// watches leave the shared ones and go on from the members' history when it has read. Upstream: etcd/server/proxy/grpcproxy/watch.go, watcher.go
import type { RangeRequest, RangeResponse } from '../../../lib/etcd-api/generated/types.ts'
import type { GrpcHandler } from '../../../lib/net/grpc/grpc-server.ts'
import { ClientWatchStream } from './client-watch-stream.ts'
import type { KeyNamespace } from './key-namespace.ts'
import type { ProxyMetrics } from './proxy-metrics.ts'
import { WatchGroup, type Receiver } from './shared-watch.ts'
import type { CallContext, Upstream } from './upstream.ts'
import { UpstreamWatches } from './upstream-watches.ts'

export interface WatchProxyOptions {
  readonly upstream: Upstream
  readonly namespace: KeyNamespace
  readonly metrics: ProxyMetrics
  /** As a client asks it. */
  readonly range: (request: RangeRequest, context: CallContext) => Promise<RangeResponse>
}

export class WatchProxy {
  readonly #options: WatchProxyOptions
  readonly #groups = new Map<string, WatchGroup>()
  readonly #streams = new Map<string, UpstreamWatches>()

  constructor(options: WatchProxyOptions) { this.#options = options }

  handler(): GrpcHandler {
    return { stream: (call) => new ClientWatchStream(call, { range: this.#options.range, add: (receiver, key, rangeEnd, requiresLeader) => this.#add(receiver, key, rangeEnd, requiresLeader) }) }
  }

  /** @returns its group */
  #add(receiver: Receiver, key: Uint8Array, rangeEnd: Uint8Array | undefined, requiresLeader: boolean): WatchGroup {
    const name = `${requiresLeader ? 'leader ' : ''}${Buffer.from(key).toString('hex')} ${Buffer.from(rangeEnd ?? []).toString('hex')}`
    let group = this.#groups.get(name)
    if (!group) {
      const made: WatchGroup = new WatchGroup({
        key, rangeEnd, open: (shared) => this.#streamOf(shared.token, requiresLeader).add(shared), coalesced: (events) => this.#options.metrics.eventsCoalesced.inc(events),
        empty: () => { if (this.#groups.get(name) === made) this.#groups.delete(name) },
      })
      this.#groups.set(name, (group = made))
    }
    group.add(receiver)
    return group
  }

  #streamOf(token: string, requiresLeader: boolean): UpstreamWatches {
    const { upstream, namespace } = this.#options
    const name = `${requiresLeader ? 'leader' : ''} ${token}`
    let stream = this.#streams.get(name)
    if (!stream) {
      const made = new UpstreamWatches({
        upstream, namespace, metadata: { ...(token === '' ? {} : { token }), ...(requiresLeader ? { hasleader: 'true' } : {}) },
        empty: () => { if (this.#streams.get(name) === made) this.#streams.delete(name) },
      })
      this.#streams.set(name, (stream = made))
    }
    return stream
  }

  /** Clients' watches beyond the first of each shared one. */
  countCoalesced(): number {
    let count = 0
    for (const { shared } of this.#groups.values()) for (const { receivers } of shared) count += Math.max(0, receivers.size - 1)
    return count
  }

  close(): void { for (const stream of [...this.#streams.values()]) stream.close() }
}
