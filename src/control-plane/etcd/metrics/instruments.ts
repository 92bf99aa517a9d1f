// Counters, gauges and histograms in Prometheus' text form. Pure: whoever measures calls `inc`, `set` or `observe`; whoever scrapes calls `text`.
//
//   const registry = new MetricRegistry()
//   const puts = registry.counter('etcd_mvcc_put_total', 'Puts seen by this member.')
//   puts.inc()
//   registry.text()
//
// A family (several series told apart by labels) that has no series yet is not shown. Upstream: prometheus.io/docs/instrumenting/exposition_formats

export class Counter {
  value = 0
  inc(by = 1): void { this.value += by }
}

export class Gauge {
  value = 0
  set(value: number): void { this.value = value }
  inc(by = 1): void { this.value += by }
  dec(by = 1): void { this.value -= by }
}

/** Upper bounds of buckets that double. Rounded, so that binary fractions make no noise: 0.0001 · 2⁴ is 0.0016. */
export function doublingBounds(first: number, count: number): readonly number[] { return Array.from({ length: count }, (_, i) => Number((first * 2 ** i).toPrecision(12))) }

/** How often something was how large. */
export class Histogram {
  readonly #bounds: readonly number[]
  readonly #counts: number[]
  #sum = 0

  /** @param bounds upper bounds of the buckets, ascending */
  constructor(bounds: readonly number[]) {
    this.#bounds = bounds
    this.#counts = Array.from({ length: bounds.length + 1 }, () => 0)
  }

  observe(value: number): void {
    const bounds = this.#bounds
    let at = 0
    while (at < bounds.length && value > bounds[at]!) at++ // cast: below the length
    this.#counts[at]! += 1 // cast: one count per bound and one more
    this.#sum += value
  }

  get count(): number { return this.#counts.reduce((sum, count) => sum + count, 0) }
  /** 0 when nothing was observed. */
  get mean(): number { return this.count === 0 ? 0 : this.#sum / this.count }

  *series(name: string, labels: string): Generator<string> {
    let total = 0
    for (const [i, count] of this.#counts.entries()) {
      total += count
      const bound = this.#bounds[i]
      yield `${name}_bucket{${labels}${labels ? ',' : ''}le="${bound === undefined ? '+Inf' : formatNumber(bound)}"} ${total}`
    }
    const braces = labels ? `{${labels}}` : ''
    yield `${name}_sum${braces} ${formatNumber(this.#sum)}`
    yield `${name}_count${braces} ${total}`
  }
}

type Instrument = Counter | Gauge | Histogram

/** Series of one name, told apart by the values of its labels. */
export class Family<T extends Instrument> {
  readonly labels: readonly string[]
  readonly #create: () => T
  readonly #series = new Map<string, { readonly text: string; readonly instrument: T }>()

  /** @param labels their names, sorted */
  constructor(labels: readonly string[], create: () => T) {
    this.labels = labels
    this.#create = create
  }

  /** The series with these values, in the order of the labels; made when it is not there. */
  of(...values: readonly string[]): T {
    const id = values.length === 1 ? values[0] ?? '' : values.join('\u0000')
    const known = this.#series.get(id)
    if (known) return known.instrument
    const instrument = this.#create()
    this.#series.set(id, { text: this.#textOf(values), instrument })
    return instrument
  }

  /** Shows an instrument that is kept elsewhere under these values. */
  adopt(instrument: T, ...values: readonly string[]): void { this.#series.set(values.join('\u0000'), { text: this.#textOf(values), instrument }) }

  #textOf(values: readonly string[]): string { return this.labels.map((label, i) => `${label}="${escapeLabel(values[i] ?? '')}"`).join(',') }

  /** Forgets all series: for those that are made anew at each scrape. */
  clear(): void { this.#series.clear() }

  get isEmpty(): boolean { return this.#series.size === 0 }
  sorted(): { readonly text: string; readonly instrument: T }[] { return [...this.#series.values()].sort((a, b) => (a.text < b.text ? -1 : 1)) }
}

type MetricType = 'counter' | 'gauge' | 'histogram'

interface Metric {
  readonly type: MetricType
  readonly help: string
  readonly family: Family<Instrument>
}

export class MetricRegistry {
  readonly #metrics = new Map<string, Metric>()

  #add<T extends Instrument>(name: string, type: MetricType, help: string, labels: readonly string[], create: () => T): Family<T> {
    const family = new Family(labels, create)
    this.#metrics.set(name, { type, help, family })
    return family
  }

  counter(name: string, help: string): Counter { return this.#add(name, 'counter', help, [], () => new Counter()).of() }
  gauge(name: string, help: string): Gauge { return this.#add(name, 'gauge', help, [], () => new Gauge()).of() }
  histogram(name: string, help: string, bounds: readonly number[]): Histogram { return this.#add(name, 'histogram', help, [], () => new Histogram(bounds)).of() }
  counters(name: string, help: string, labels: readonly string[]): Family<Counter> { return this.#add(name, 'counter', help, labels, () => new Counter()) }
  gauges(name: string, help: string, labels: readonly string[]): Family<Gauge> { return this.#add(name, 'gauge', help, labels, () => new Gauge()) }
  histograms(name: string, help: string, labels: readonly string[], bounds: readonly number[]): Family<Histogram> { return this.#add(name, 'histogram', help, labels, () => new Histogram(bounds)) }

  /** Everything, sorted by name and labels. */
  text(): string {
    const lines: string[] = []
    for (const [name, { type, help, family }] of [...this.#metrics].sort(([a], [b]) => (a < b ? -1 : 1))) {
      if (family.isEmpty) continue
      lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`)
      for (const { text, instrument } of family.sorted()) {
        if (instrument instanceof Histogram) lines.push(...instrument.series(name, text))
        else lines.push(`${name}${text ? `{${text}}` : ''} ${formatNumber(instrument.value)}`)
      }
    }
    return `${lines.join('\n')}\n`
  }
}

function escapeLabel(value: string): string { return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n') }

/** A number as Go's shortest form has it: with an exponent, of at least two digits, from a million on and below a ten-thousandth. */
export function formatNumber(value: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? 'NaN' : value > 0 ? '+Inf' : '-Inf'
  const size = Math.abs(value)
  if (size !== 0 && (size < 1e-4 || size >= 1e6)) return value.toExponential().replace(/e([+-])(\d)$/, 'e$10$2')
  return String(value)
}
