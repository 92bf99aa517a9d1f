// What `/proxy/metrics` says. Upstream: etcd/server/proxy/grpcproxy/metrics.go
import { GrpcMetrics, openProcessMetrics, type ProcessMetrics } from '../metrics/etcd-metrics.ts'
import { MetricRegistry, type Counter, type Gauge } from '../metrics/instruments.ts'

export class ProxyMetrics {
  readonly registry = new MetricRegistry()
  readonly cacheHits: Gauge
  readonly cacheMisses: Gauge
  readonly cacheKeys: Gauge
  readonly eventsCoalesced: Counter
  /** Watches that need none of their own at the members. */
  readonly watchersCoalesced: Gauge
  readonly grpc: GrpcMetrics
  readonly process: ProcessMetrics

  constructor() {
    const name = (rest: string): string => `etcd_grpc_proxy_${rest}`
    const { registry } = this
    this.cacheHits = registry.gauge(name('cache_hits_total'), 'Answers from the cache.')
    this.cacheMisses = registry.gauge(name('cache_misses_total'), 'Serializable reads that had to be asked for.')
    this.cacheKeys = registry.gauge(name('cache_keys_total'), 'Keys and ranges in the cache.')
    this.eventsCoalesced = registry.counter(name('events_coalescing_total'), 'Events that came once for several watches.')
    this.watchersCoalesced = registry.gauge(name('watchers_coalescing_total'), 'Watches that share one of another watcher.')
    this.grpc = new GrpcMetrics(registry)
    this.process = openProcessMetrics(registry)
  }
}
