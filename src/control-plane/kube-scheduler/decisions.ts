// The scheduler's last decisions, for people who ask why. Bounded: the oldest are forgotten.
import type { Diagnosis } from './framework/status.ts'

export type Decision = {
  /** `namespace/name` */
  readonly pod: string
  readonly uid: string
  /** Milliseconds since the epoch. */
  readonly time: number
  readonly attempts: number
} & (
  | { readonly outcome: 'placed'; readonly nodeName: string; /** Sum of score × weight. */ readonly total: number; readonly evaluated: number; readonly feasible: number }
  | { readonly outcome: 'unschedulable'; readonly message: string; readonly diagnosis: Diagnosis }
)

export class Decisions {
  readonly #max: number
  readonly #byPod = new Map<string, Decision>()
  constructor(max = 2_000) { this.#max = max }

  record(decision: Decision): void {
    this.#byPod.delete(decision.pod)
    this.#byPod.set(decision.pod, decision)
    if (this.#byPod.size <= this.#max) return
    const oldest = this.#byPod.keys().next().value
    if (oldest !== undefined) this.#byPod.delete(oldest)
  }

  /** `pod` is `namespace/name`. */
  get(pod: string): Decision | undefined { return this.#byPod.get(pod) }
}
