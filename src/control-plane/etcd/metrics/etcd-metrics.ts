// Everything that etcd measures: one object per member, shared by all its servers. What there is, the tables say (metric-tables.ts).
import { MetricRegistry, type Counter, type Family, type Histogram } from './instruments.ts'
import { openRows, type OpenedRows } from './metric-rows.ts'
import { diskRows, grpcRows, httpRows, leaseRows, mvccRows, networkRows, processRows, serverRows, stillRows, v2Rows } from './metric-tables.ts'

export type ServerMetrics = OpenedRows<typeof serverRows>
export type DiskMetrics = OpenedRows<typeof diskRows>
export type MvccMetrics = OpenedRows<typeof mvccRows>
export type LeaseMetrics = OpenedRows<typeof leaseRows>
export type NetworkMetrics = OpenedRows<typeof networkRows>
export type HttpMetrics = OpenedRows<typeof httpRows>
export type V2Metrics = OpenedRows<typeof v2Rows>
export type ProcessMetrics = OpenedRows<typeof processRows>

/** Prometheus' own. */
const callBounds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

export class EtcdMetrics {
  readonly registry = new MetricRegistry()
  readonly server: ServerMetrics
  readonly disk: DiskMetrics
  readonly mvcc: MvccMetrics
  readonly leases: LeaseMetrics
  readonly network: NetworkMetrics
  readonly grpc: GrpcMetrics
  readonly http: HttpMetrics
  readonly v2: V2Metrics
  readonly process: ProcessMetrics
  readonly #requests = new Map<string, Histogram>()
  readonly #applied = new Map<string, Histogram>()

  constructor() {
    const { registry } = this
    this.server = openRows(registry, serverRows)
    this.disk = openRows(registry, diskRows)
    this.mvcc = openRows(registry, mvccRows)
    this.leases = openRows(registry, leaseRows)
    this.network = openRows(registry, networkRows)
    this.grpc = new GrpcMetrics(registry)
    this.http = openRows(registry, httpRows)
    for (const code of ['200', '500', '503']) this.http.scrapes.of(code)
    this.v2 = openRows(registry, v2Rows)
    this.process = openRows(registry, processRows)
    openRows(registry, stillRows)
  }

  /** Time of one durable write of the log, seconds. */
  get fsync(): Histogram { return this.disk.walFsync }

  /** @param type of the request, as the original names it (`Put`) @param seconds from the proposal to its answer */
  observeRequest(type: string, seconds: number, succeeded = true): void { series(this.#requests, type, succeeded, () => this.server.requestDuration.of(String(succeeded), type)).observe(seconds) }

  /** @param seconds that applying one request took */
  observeApply(type: string, seconds: number, succeeded = true): void { series(this.#applied, type, succeeded, () => this.server.applyDuration.of(type, String(succeeded), 'v3')).observe(seconds) }

  text(): string { return this.registry.text() }
}

/** The series of a request's type, without making up its labels each time. */
function series(known: Map<string, Histogram>, type: string, succeeded: boolean, open: () => Histogram): Histogram {
  const id = succeeded ? type : `!${type}`
  let histogram = known.get(id)
  if (!histogram) known.set(id, (histogram = open()))
  return histogram
}

/** gRPC calls, under the names of go-grpc-middleware. */
export class GrpcMetrics {
  readonly started: Family<Counter>
  readonly handled: Family<Counter>
  readonly received: Family<Counter>
  readonly sent: Family<Counter>
  readonly clientRequests: Family<Counter>
  readonly #registry: MetricRegistry
  #handlingSeconds: Family<Histogram> | undefined

  constructor(registry: MetricRegistry) {
    this.#registry = registry
    const { started, handled, received, sent, clientRequests } = openRows(registry, grpcRows)
    this.started = started
    this.handled = handled
    this.received = received
    this.sent = sent
    this.clientRequests = clientRequests
  }

  get handlingSeconds(): Family<Histogram> | undefined { return this.#handlingSeconds }

  /** From now on the time of every call is measured: `--metrics=extensive`. */
  measureCalls(): void { this.#handlingSeconds ??= this.#registry.histograms('grpc_server_handling_seconds', 'Time from the start of a call to its end.', this.started.labels, callBounds) }
}

/** The process alone, for programs that measure nothing else of this. */
export function openProcessMetrics(registry: MetricRegistry): ProcessMetrics { return openRows(registry, processRows) }
