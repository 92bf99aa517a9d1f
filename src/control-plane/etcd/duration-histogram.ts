// Durations in Prometheus' text form.

/** How often something took how long, in buckets that double. Upstream: prometheus' histograms */
export class DurationHistogram {
  readonly #bounds: readonly number[]
  readonly #counts: number[]
  #sum = 0

  /** @param firstSeconds upper bound of the first of `count` buckets */
  constructor(firstSeconds: number, count: number) {
    this.#bounds = Array.from({ length: count }, (_, i) => firstSeconds * 2 ** i)
    this.#counts = Array.from({ length: count + 1 }, () => 0)
  }

  observe(seconds: number): void {
    const at = this.#bounds.findIndex((bound) => seconds <= bound)
    this.#counts[at < 0 ? this.#bounds.length : at]! += 1 // cast: one count per bound and one more
    this.#sum += seconds
  }

  *lines(name: string, help: string, labels = ''): Generator<string> {
    yield* [`# HELP ${name} ${help}`, `# TYPE ${name} histogram`]
    let total = 0
    for (const [i, count] of this.#counts.entries()) {
      total += count
      yield `${name}_bucket{${labels}${labels ? ',' : ''}le="${this.#bounds[i] ?? '+Inf'}"} ${total}`
    }
    const braces = labels ? `{${labels}}` : ''
    yield* [`${name}_sum${braces} ${this.#sum}`, `${name}_count${braces} ${total}`]
  }
}
