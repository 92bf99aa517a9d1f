// Metrics as tables: a row says what an instrument is called and what it measures; opening a table gives an object with an instrument for each
// row, under the row's key.
//
//   const rows = { puts: counter('etcd_mvcc_put_total', 'Puts.'), hasLeader: gauge(…), duration: histograms('…', '…', ['type'], bounds) }
//   const metrics: OpenedRows<typeof rows> = openRows(registry, rows)
//   metrics.puts.inc()
import type { Counter, Family, Gauge, Histogram, MetricRegistry } from './instruments.ts'

/** How to open one instrument. */
export interface MetricRow<T> { open(registry: MetricRegistry): T }
type MetricRows = { readonly [key: string]: MetricRow<unknown> }
export type OpenedRows<R extends MetricRows> = { readonly [K in keyof R]: R[K] extends MetricRow<infer T> ? T : never }

export function counter(name: string, help: string): MetricRow<Counter> { return { open: (registry) => registry.counter(name, help) } }
export function gauge(name: string, help: string): MetricRow<Gauge> { return { open: (registry) => registry.gauge(name, help) } }
export function histogram(name: string, help: string, bounds: readonly number[]): MetricRow<Histogram> { return { open: (registry) => registry.histogram(name, help, bounds) } }

/** Families: series told apart by labels, whose names come sorted. */
export function counters(name: string, help: string, labels: readonly string[]): MetricRow<Family<Counter>> { return { open: (registry) => registry.counters(name, help, labels) } }
export function gauges(name: string, help: string, labels: readonly string[]): MetricRow<Family<Gauge>> { return { open: (registry) => registry.gauges(name, help, labels) } }
export function histograms(name: string, help: string, labels: readonly string[], bounds: readonly number[]): MetricRow<Family<Histogram>> {
  return { open: (registry) => registry.histograms(name, help, labels, bounds) }
}

export function openRows<const R extends MetricRows>(registry: MetricRegistry, rows: R): OpenedRows<R> {
  return Object.fromEntries(Object.entries(rows).map(([key, row]) => [key, row.open(registry)])) as OpenedRows<R> // cast: a key for each row
}
