// Durations in buckets that double, with their own text form: for figures that are kept apart from the registry of metrics.
import { doublingBounds, Histogram } from './metrics/instruments.ts'

export class DurationHistogram extends Histogram {
  /** @param firstSeconds upper bound of the first of `count` buckets */
  constructor(firstSeconds: number, count: number) { super(doublingBounds(firstSeconds, count)) }

  *lines(name: string, help: string, labels = ''): Generator<string> {
    yield* [`# HELP ${name} ${help}`, `# TYPE ${name} histogram`]
    yield* this.series(name, labels)
  }
}
