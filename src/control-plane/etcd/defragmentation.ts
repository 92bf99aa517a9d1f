// Whether a defragmentation runs: shown in the metrics and, with the feature StopGRPCServiceOnDefrag, to whoever asks for this member's health.
import type { Gauge } from './metrics/instruments.ts'

export class Defragmentation {
  readonly #inflight: Gauge
  readonly #listeners = new Set<() => void>()

  /** @param inflight how many run */
  constructor(inflight: Gauge) { this.#inflight = inflight }

  get isRunning(): boolean { return this.#inflight.value > 0 }

  begin(): Disposable {
    this.#inflight.inc()
    this.#tell()
    return {
      [Symbol.dispose]: () => {
        this.#inflight.dec()
        this.#tell()
      },
    }
  }

  #tell(): void { for (const listener of this.#listeners) listener() }

  /** `listener` is called whenever one begins or ends, until it is disposed. */
  listen(listener: () => void): Disposable {
    this.#listeners.add(listener)
    return { [Symbol.dispose]: () => { this.#listeners.delete(listener) } }
  }
}
