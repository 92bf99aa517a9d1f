// What Prometheus scrapes: counts and durations of requests, requests in flight, watch events, sizes of caches.
// Upstream: apiserver/pkg/endpoints/metrics
import type { MaxInFlight } from '../filters/max-in-flight.ts'
import type { ServedResource } from './served-resource.ts'
import type { RequestInfo } from './request-info.ts'

const buckets = [0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60]
/** Label sets are bounded: whatever a client makes up counts as one. */
const maxSeries = 5000

interface Histogram { readonly counts: number[]; sum: number; count: number }

/** Bytes that each etcd's database takes, as it was last asked, by cluster id: `etcd-0`. */
export type StorageSizes = ReadonlyMap<string, number>

export interface MetricSources {
  readonly resources: Iterable<ServedResource>
  readonly limits: MaxInFlight
  readonly version: { readonly major: string; readonly minor: string; readonly gitVersion: string }
  readonly countObjects: boolean
  readonly storageSizes: StorageSizes
}

export class RequestMetrics {
  readonly #requests = new Map<string, number>()
  readonly #durations = new Map<string, Histogram>()

  record(info: RequestInfo, code: number, seconds: number, known: boolean): void {
    const verb = info.verb.toUpperCase()
    const scope = !info.isResource ? '' : info.name !== '' ? 'resource' : info.namespace !== '' ? 'namespace' : 'cluster'
    const labels = known
      ? `component="apiserver",dry_run="",group="${info.group}",resource="${info.resource}",scope="${scope}",subresource="${info.subresource}",verb="${verb}",version="${info.version}"`
      : `component="apiserver",dry_run="",group="",resource="",scope="",subresource="",verb="${/^[A-Z]{1,20}$/.test(verb) ? verb : 'OTHER'}",version=""`
    const counted = `code="${code}",${labels}`
    if (this.#requests.size < maxSeries || this.#requests.has(counted)) this.#requests.set(counted, (this.#requests.get(counted) ?? 0) + 1)
    if (verb === 'WATCH') return
    let histogram = this.#durations.get(labels)
    if (!histogram) {
      if (this.#durations.size >= maxSeries) return
      this.#durations.set(labels, histogram = { counts: buckets.map(() => 0), sum: 0, count: 0 })
    }
    histogram.sum += seconds
    histogram.count++
    const { counts } = histogram
    for (let i = 0; i < buckets.length; i++) if (seconds <= (buckets[i] ?? 0)) counts[i] = (counts[i] ?? 0) + 1
  }

  print({ resources, limits, version, countObjects, storageSizes }: MetricSources): string {
    const out: string[] = []
    const family = (name: string, type: string, help: string): void => { out.push(`# HELP ${name} [STABLE] ${help}`, `# TYPE ${name} ${type}`) }
    family('apiserver_request_total', 'counter', 'Counter of apiserver requests broken out for each verb, dry run value, group, version, resource, scope, component, and HTTP response code.')
    for (const [labels, value] of this.#requests) out.push(`apiserver_request_total{${labels}} ${value}`)
    family('apiserver_request_duration_seconds', 'histogram', 'Response latency distribution in seconds for each verb, dry run value, group, version, resource, subresource, scope and component.')
    for (const [labels, { counts, sum, count }] of this.#durations) {
      buckets.forEach((bound, i) => out.push(`apiserver_request_duration_seconds_bucket{${labels},le="${bound}"} ${counts[i] ?? 0}`))
      out.push(`apiserver_request_duration_seconds_bucket{${labels},le="+Inf"} ${count}`, `apiserver_request_duration_seconds_sum{${labels}} ${sum}`, `apiserver_request_duration_seconds_count{${labels}} ${count}`)
    }
    family('apiserver_current_inflight_requests', 'gauge', 'Maximal number of currently used inflight request limit of this apiserver per request kind in last second.')
    out.push(`apiserver_current_inflight_requests{request_kind="mutating"} ${limits.current.mutating}`, `apiserver_current_inflight_requests{request_kind="readOnly"} ${limits.current.readOnly}`)
    if (countObjects) {
      family('apiserver_resource_objects', 'gauge', 'Number of stored objects at the time of last check split by kind.')
      family('apiserver_storage_objects', 'gauge', 'Number of stored objects at the time of last check split by kind.')
    }
    for (const { info, store, conversion } of resources) {
      if (!countObjects || conversion || !info.verbs.includes('list')) continue
      out.push(`apiserver_resource_objects{group="${info.group}",resource="${info.resource}"} ${store.cache.size}`, `apiserver_storage_objects{resource="${info.group === '' ? info.resource : `${info.resource}.${info.group}`}"} ${store.cache.size}`)
    }
    if (storageSizes.size > 0) family('apiserver_storage_size_bytes', 'gauge', 'Size of the storage database file physically allocated in bytes.')
    for (const [id, bytes] of storageSizes) out.push(`apiserver_storage_size_bytes{storage_cluster_id="${id}"} ${bytes}`)
    family('apiserver_longrunning_requests', 'gauge', 'Gauge of all active long-running apiserver requests broken out by verb, group, version, resource, scope and component.')
    for (const { info, store, conversion } of resources) if (!conversion && store.cache.watcherCount > 0) out.push(`apiserver_longrunning_requests{component="apiserver",group="${info.group}",resource="${info.resource}",scope="cluster",subresource="",verb="WATCH",version="${info.version}"} ${store.cache.watcherCount}`)
    family('kubernetes_build_info', 'gauge', 'A metric with a constant 1 value labeled by major, minor, git version, git commit, git tree state, build date, Go version, and compiler.')
    out.push(`kubernetes_build_info{git_version="${version.gitVersion}",major="${version.major}",minor="${version.minor}"} 1`)
    const memory = process.memoryUsage()
    const cpu = process.cpuUsage()
    family('process_cpu_seconds_total', 'counter', 'Total user and system CPU time spent in seconds.')
    out.push(`process_cpu_seconds_total ${(cpu.user + cpu.system) / 1e6}`)
    family('process_resident_memory_bytes', 'gauge', 'Resident memory size in bytes.')
    out.push(`process_resident_memory_bytes ${memory.rss}`)
    return `${out.join('\n')}\n`
  }
}
