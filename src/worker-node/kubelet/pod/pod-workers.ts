// One worker per pod: runs what its life's stage asks for, one thing at a time, again when something changed or the time has come.
// Rule it keeps: what is running is told to stop when the stage changes; a failed step is tried again, ever more slowly.
// Upstream: pkg/kubelet/pod_workers.go
import { applyLifeEvent, beginLife } from './pod-lifecycle.ts'
import { describePod, isStaticPod, podFullName } from './pod-facts.ts'
import type { LifeEvent, PodFailure, PodLife } from './pod-lifecycle.ts'
import type { Clock, Timer } from '../../../lib/base/clock.ts'
import type { Random } from '../../../lib/base/random.ts'
import type { Logger } from '../../../lib/component-base/log.ts'
import type { Pod } from '../../../lib/api/generated/types/core-v1.ts'

export interface SyncResult {
  /** When to look again; undefined: at the usual interval. */
  readonly againAfterMs?: number
  /** Nothing runs and nothing will be restarted. */
  readonly completed?: boolean
  /** The node ends the pod. */
  readonly failure?: PodFailure
}

export interface PodWork {
  sync(life: PodLife, signal: AbortSignal): Promise<SyncResult>
  /** Stops everything of the pod. */
  terminate(life: PodLife, signal: AbortSignal): Promise<void>
  /** Takes down what is left: volumes, control group. */
  cleanUp(life: PodLife, signal: AbortSignal): Promise<void>
  /** The object is gone as well: forget everything. */
  forget(life: PodLife, signal: AbortSignal): Promise<void>
}

export interface PodWorkersOptions {
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly work: PodWork
  readonly syncFrequencyMs: number
  readonly signal: AbortSignal
}

interface Worker { life: PodLife; pending: boolean; running: boolean; failures: number; timer: Timer | undefined; abort: AbortController | undefined; done: Promise<void> }

export class PodWorkers {
  readonly #options: PodWorkersOptions
  readonly #workers = new Map<string, Worker>()

  constructor(options: PodWorkersOptions) { this.#options = options }

  life(uid: string): PodLife | undefined { return this.#workers.get(uid)?.life }
  lives(): readonly PodLife[] { return [...this.#workers.values()].map((w) => w.life) }

  /** A new pod, or a new state of its object. `failure` refuses a new one. */
  update(pod: Pod, failure?: PodFailure): void {
    const uid = pod.metadata.uid
    const worker = this.#workers.get(uid)
    if (worker) { this.#apply(worker, { type: 'update', pod }); return }
    const life = beginLife(pod)
    const fresh: Worker = { life: failure ? applyLifeEvent(life, { type: 'kill', graceSeconds: 0, failure }) : life, pending: true, running: false, failures: 0, timer: undefined, abort: undefined, done: Promise.resolve() }
    this.#workers.set(uid, fresh)
    this.#wake(fresh)
  }

  kill(uid: string, graceSeconds: number | undefined, failure?: PodFailure): void {
    const worker = this.#workers.get(uid)
    if (worker) this.#apply(worker, { type: 'kill', graceSeconds, ...(failure ? { failure } : {}) })
  }

  /** The object is gone. */
  remove(uid: string): void {
    const worker = this.#workers.get(uid)
    if (worker) this.#apply(worker, { type: 'removed' })
  }

  /** Something about the pod's containers changed. */
  poke(uid: string): void {
    const worker = this.#workers.get(uid)
    if (worker) this.#wake(worker)
  }

  /** Resolves when no worker does anything. */
  async idle(): Promise<void> { await Promise.allSettled([...this.#workers.values()].map((w) => w.done)) }

  #apply(worker: Worker, event: LifeEvent): void {
    const before = worker.life
    worker.life = applyLifeEvent(before, event)
    const stageChanged = worker.life.stage !== before.stage
    const hurried = before.stage === 'terminating' && worker.life.graceOverrideSeconds !== before.graceOverrideSeconds
    const shorterGrace = before.stage === 'terminating' && (worker.life.pod.metadata.deletionGracePeriodSeconds ?? Infinity) < (before.pod.metadata.deletionGracePeriodSeconds ?? Infinity)
    if (stageChanged || hurried || shorterGrace) worker.abort?.abort(new Error('the pod has to be stopped'))
    this.#wake(worker)
  }

  #wake(worker: Worker): void {
    worker.pending = true
    worker.timer?.[Symbol.dispose]()
    worker.timer = undefined
    if (worker.running || this.#options.signal.aborted || this.#mustWait(worker)) return
    worker.running = true
    worker.done = this.#run(worker)
  }

  /** A static pod under a new manifest waits until the old one of that name is gone. */
  #mustWait(worker: Worker): boolean {
    if (!isStaticPod(worker.life.pod) || worker.life.stage !== 'syncing') return false
    const name = podFullName(worker.life.pod)
    return [...this.#workers.values()].some((w) => w !== worker && podFullName(w.life.pod) === name && w.life.stage !== 'finished' && (w.life.stage !== 'syncing' || w.running))
  }

  async #run(worker: Worker): Promise<void> {
    const { clock, random, logger, signal, syncFrequencyMs } = this.#options
    let delayMs = syncFrequencyMs
    while (worker.pending && !signal.aborted) {
      worker.pending = false
      const { life } = worker
      const abort = new AbortController()
      worker.abort = abort
      const both = AbortSignal.any([signal, abort.signal])
      try {
        delayMs = await this.#step(worker, life, both)
        worker.failures = 0
      } catch (error) {
        if (signal.aborted) break
        if (abort.signal.aborted) { worker.pending = true; continue }
        worker.failures++
        delayMs = Math.min(10_000, 500 * 2 ** Math.min(worker.failures - 1, 10))
        logger.error('Error syncing pod, will retry', error, { pod: describePod(life.pod), stage: life.stage })
      }
    }
    worker.running = false
    worker.abort = undefined
    if (signal.aborted || this.#workers.get(worker.life.pod.metadata.uid) !== worker) return
    if (worker.pending) { this.#wake(worker); return }
    if (worker.life.stage === 'finished') return
    const jittered = delayMs === syncFrequencyMs ? delayMs * (1 + random.float() * 0.5) : delayMs
    worker.timer = clock.setTimer(jittered, () => this.#wake(worker), { keepAlive: false })
  }

  /** One step; gives the time until the next one. */
  async #step(worker: Worker, life: PodLife, signal: AbortSignal): Promise<number> {
    const { work, syncFrequencyMs } = this.#options
    switch (life.stage) {
      case 'syncing': {
        const result = await work.sync(life, signal)
        if (result.failure) this.#apply(worker, { type: 'kill', graceSeconds: undefined, failure: result.failure })
        else if (result.completed) this.#apply(worker, { type: 'completed' })
        return result.againAfterMs ?? syncFrequencyMs
      }
      case 'terminating':
        await work.terminate(life, signal)
        this.#apply(worker, { type: 'stopped' })
        return 0
      case 'terminated':
        await work.cleanUp(worker.life, signal)
        this.#apply(worker, { type: 'cleaned' })
        this.#wakeWaiting(worker)
        return 0
      case 'finished':
        if (life.removed) {
          await work.forget(life, signal)
          this.#workers.delete(life.pod.metadata.uid)
        }
        return syncFrequencyMs
    }
  }

  #wakeWaiting(done: Worker): void {
    const name = podFullName(done.life.pod)
    for (const worker of this.#workers.values()) if (worker !== done && worker.pending && !worker.running && podFullName(worker.life.pod) === name) this.#wake(worker)
  }
}
