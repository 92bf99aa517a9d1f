// Pods that wait for a node. active: to be tried now, by priority. backoff: to be tried when their pause is over. unschedulable: tried in vain;
// an event that a refusing plugin cares about, or five minutes, brings them back. Pods that a gate holds stay with the unschedulable ones.
//
// Rule it keeps: a pod is in one of the three, or in flight (popped, its fate not yet known). Events that pass while it is in flight count as if
// it had been waiting, so that nothing is missed. Pure: time comes in with every call. Upstream: kube-scheduler backend/queue
import type { Pod } from '../../../lib/api/generated/types/core-v1.ts'
import { eventMatches } from '../framework/events.ts'
import type { ClusterEvent, EventObjects } from '../framework/events.ts'
import type { QueueOrder, RegisteredEvent } from '../framework/plugin.ts'
import type { MaybeStatus } from '../framework/status.ts'
import { KeyedHeap } from './heap.ts'

export interface QueuedPod extends QueueOrder {
  readonly uid: string
  pod: Pod
  readonly priority: number
  /** When it last entered the queue. */
  timestamp: number
  readonly sequence: number
  /** When it first entered the queue. */
  readonly firstTimestamp: number
  attempts: number
  /** Refusals in a row, which the pause grows with; errors count apart. */
  refusals: number
  errors: number
  /** Plugins that refused it last. Empty: every event may help. */
  plugins: ReadonlySet<string>
  /** Plugins that wait for something outside: their events skip the pause. */
  pendingPlugins: ReadonlySet<string>
  gated: boolean
  /** End of the pause. */
  backoffUntil: number
}

export interface SchedulingQueueOptions {
  readonly now: () => number
  readonly less: (a: QueueOrder, b: QueueOrder) => boolean
  /** The PreEnqueue plugins of the pod's profile. */
  readonly preEnqueue: (pod: Pod) => MaybeStatus
  /** Plugin → the events that could lift its refusal, of all profiles. */
  readonly events: ReadonlyMap<string, readonly RegisteredEvent[]>
  readonly initialBackoffMs?: number
  readonly maxBackoffMs?: number
  readonly maxUnschedulableMs?: number
  /** With nothing active, pods are taken before their pause is over, unless an error caused it. */
  readonly popFromBackoff?: boolean
}

export type QueueName = 'active' | 'backoff' | 'unschedulable' | 'gated' | 'in flight'

interface PassedEvent { readonly number: number; readonly event: ClusterEvent; readonly objects: EventObjects }

export class SchedulingQueue {
  readonly #options: Required<SchedulingQueueOptions>
  readonly #active: KeyedHeap<QueuedPod>
  readonly #backoff: KeyedHeap<QueuedPod>
  readonly #unschedulable = new Map<string, QueuedPod>()
  /** Plugin → number of unschedulable pods that it refused. */
  readonly #parkedBy = new Map<string, number>()
  /** Popped pods, with the number of the last event before. */
  readonly #inFlight = new Map<string, { readonly queued: QueuedPod; readonly since: number }>()
  #passed: PassedEvent[] = []
  #eventNumber = 0
  #sequence = 0
  /** Called when there is something to pop. */
  onReady: () => void = () => {}

  constructor(options: SchedulingQueueOptions) {
    this.#options = { initialBackoffMs: 1_000, maxBackoffMs: 10_000, maxUnschedulableMs: 5 * 60_000, popFromBackoff: true, ...options }
    this.#active = new KeyedHeap<QueuedPod>((p) => p.uid, this.#options.less)
    this.#backoff = new KeyedHeap<QueuedPod>((p) => p.uid, (a, b) => (a.backoffUntil !== b.backoffUntil ? a.backoffUntil < b.backoffUntil : a.sequence < b.sequence))
  }

  get sizes(): { readonly active: number; readonly backoff: number; readonly unschedulable: number; readonly gated: number; readonly inFlight: number } {
    let gated = 0
    for (const queued of this.#unschedulable.values()) if (queued.gated) gated++
    return { active: this.#active.size, backoff: this.#backoff.size, unschedulable: this.#unschedulable.size - gated, gated, inFlight: this.#inFlight.size }
  }

  /** Where the pod is, for people and tests. */
  whereIs(uid: string): QueueName | undefined {
    if (this.#active.has(uid)) return 'active'
    if (this.#backoff.has(uid)) return 'backoff'
    const waiting = this.#unschedulable.get(uid)
    if (waiting) return waiting.gated ? 'gated' : 'unschedulable'
    return this.#inFlight.has(uid) ? 'in flight' : undefined
  }

  /** A pod without a node that is new to the scheduler. */
  add(pod: Pod): void {
    const { uid } = pod.metadata
    if (this.whereIs(uid)) { this.update(undefined, pod); return }
    const now = this.#options.now()
    this.#activate({
      uid, pod, priority: pod.spec.priority ?? 0, timestamp: now, firstTimestamp: now, sequence: this.#sequence++, attempts: 0, refusals: 0, errors: 0,
      plugins: new Set(), pendingPlugins: new Set(), gated: false, backoffUntil: 0,
    })
  }

  /** The pod changed. What bears on its placement sends it back to be tried. */
  update(old: Pod | undefined, pod: Pod, events: readonly ClusterEvent[] = []): void {
    const { uid } = pod.metadata
    const queued = this.#active.get(uid) ?? this.#backoff.get(uid)
    if (queued) { queued.pod = pod; return }
    const flying = this.#inFlight.get(uid)
    if (flying) {
      flying.queued.pod = pod
      for (const event of events) this.#passed.push({ number: ++this.#eventNumber, event, objects: { old, new: pod } })
      return
    }
    const waiting = this.#unschedulable.get(uid)
    if (!waiting) { this.add(pod); return }
    waiting.pod = pod
    for (const event of events) {
      if (waiting.gated || this.#helps(waiting, event, { old, new: pod }) !== 'no') { this.#move(waiting, 'backoff'); return }
    }
  }

  delete(uid: string): void {
    this.#active.delete(uid)
    this.#backoff.delete(uid)
    this.#unpark(uid)
    this.done(uid)
  }

  get hasReady(): boolean { return this.#active.size > 0 || this.#poppableBackoff() !== undefined }

  /** The next pod to try; it is in flight until done() or putBack(). */
  pop(): QueuedPod | undefined {
    let queued = this.#active.pop()
    if (!queued) {
      queued = this.#poppableBackoff()
      if (queued) this.#backoff.delete(queued.uid)
    }
    if (!queued) return undefined
    queued.attempts++
    this.#inFlight.set(queued.uid, { queued, since: this.#eventNumber })
    return queued
  }

  /** The pod is placed, or gone. */
  done(uid: string): void {
    if (!this.#inFlight.delete(uid)) return
    if (this.#inFlight.size === 0) this.#passed = []
    else if (this.#passed.length > 4_096) {
      let oldest = this.#eventNumber
      for (const { since } of this.#inFlight.values()) oldest = Math.min(oldest, since)
      this.#passed = this.#passed.filter((p) => p.number > oldest)
    }
  }

  /** It could not be placed. `error`: something broke, and no event will tell when it is mended. */
  putBack(queued: QueuedPod, refused: { readonly plugins: ReadonlySet<string>; readonly pendingPlugins: ReadonlySet<string>; readonly error: boolean }): void {
    const flying = this.#inFlight.get(queued.uid)
    if (!flying) return
    queued.plugins = refused.plugins
    queued.pendingPlugins = refused.pendingPlugins
    queued.timestamp = this.#options.now()
    const error = refused.error || (refused.plugins.size === 0 && refused.pendingPlugins.size === 0)
    if (error) queued.errors++
    else { queued.refusals++; queued.errors = 0 }
    queued.backoffUntil = this.#backoffEnd(queued, error)
    const missed = error
      ? 'backoff' as const
      : this.#passed.reduce<'no' | 'backoff' | 'active'>((best, p) => (best === 'active' || p.number <= flying.since ? best : better(best, this.#helps(queued, p.event, p.objects))), 'no')
    this.done(queued.uid)
    if (missed === 'active') this.#activate(queued)
    else if (missed === 'backoff') this.#intoBackoff(queued)
    else this.#park(queued)
  }

  /** Something happened in the cluster: brings back the pods it could help. @returns how many */
  moveOn(event: ClusterEvent, objects: EventObjects = {}): number {
    if (this.#inFlight.size > 0) this.#passed.push({ number: ++this.#eventNumber, event, objects })
    if (this.#unschedulable.size === 0 || !this.#anybodyCares(event)) return 0
    let moved = 0
    for (const queued of this.#unschedulable.values()) {
      if (queued.gated) continue
      const help = this.#helps(queued, event, objects)
      if (help === 'no') continue
      this.#move(queued, help)
      moved++
    }
    return moved
  }

  /** To be called every second: pauses that are over. */
  flushBackoff(): void {
    const now = this.#options.now()
    for (let next = this.#backoff.peek(); next && next.backoffUntil <= now; next = this.#backoff.peek()) {
      this.#backoff.delete(next.uid)
      this.#activate(next)
    }
  }

  /** To be called every 30 s: pods that no event has helped for five minutes. */
  flushUnschedulable(): void {
    const now = this.#options.now()
    for (const queued of this.#unschedulable.values()) if (!queued.gated && now - queued.timestamp > this.#options.maxUnschedulableMs) this.#move(queued, 'backoff')
  }

  /** Moment of the next end of a pause, or undefined. */
  get nextBackoffEnd(): number | undefined { return this.#backoff.peek()?.backoffUntil }

  /** Pods that wait, for `why`. */
  waiting(): readonly QueuedPod[] { return [...this.#active.values(), ...this.#backoff.values(), ...this.#unschedulable.values()] }

  #poppableBackoff(): QueuedPod | undefined {
    if (!this.#options.popFromBackoff) return undefined
    const next = this.#backoff.peek()
    return next && next.errors === 0 ? next : undefined
  }

  #move(queued: QueuedPod, to: 'backoff' | 'active'): void {
    this.#unpark(queued.uid)
    if (to === 'backoff' && queued.backoffUntil > this.#options.now()) this.#intoBackoff(queued)
    else this.#activate(queued)
  }

  #intoBackoff(queued: QueuedPod): void {
    const refusal = this.#options.preEnqueue(queued.pod)
    if (refusal) { this.#gate(queued, refusal.plugin); return }
    queued.gated = false
    this.#backoff.set(queued)
    if (this.#options.popFromBackoff && queued.errors === 0) this.onReady()
  }

  #activate(queued: QueuedPod): void {
    const refusal = this.#options.preEnqueue(queued.pod)
    if (refusal) { this.#gate(queued, refusal.plugin); return }
    queued.gated = false
    this.#active.set(queued)
    this.onReady()
  }

  #gate(queued: QueuedPod, plugin: string): void {
    this.#unpark(queued.uid)
    queued.gated = true
    queued.plugins = new Set([plugin])
    this.#park(queued)
  }

  #backoffEnd(queued: QueuedPod, error: boolean): number {
    const { initialBackoffMs, maxBackoffMs, now } = this.#options
    const count = error ? queued.errors : queued.refusals
    return now() + Math.min(maxBackoffMs, initialBackoffMs * 2 ** Math.min(30, count - 1))
  }

  /** Does any plugin that refused a waiting pod register the event? Cheap, and mostly no. */
  #anybodyCares(event: ClusterEvent): boolean {
    if (event.resource === '*') return true
    for (const plugin of this.#parkedBy.keys()) for (const candidate of this.#options.events.get(plugin) ?? anyEvent) if (eventMatches(candidate, event)) return true
    return false
  }

  #park(queued: QueuedPod): void {
    this.#unpark(queued.uid)
    this.#unschedulable.set(queued.uid, queued)
    for (const plugin of [...queued.plugins, ...queued.pendingPlugins]) this.#parkedBy.set(plugin, (this.#parkedBy.get(plugin) ?? 0) + 1)
  }

  #unpark(uid: string): void {
    const queued = this.#unschedulable.get(uid)
    if (!queued) return
    this.#unschedulable.delete(uid)
    for (const plugin of [...queued.plugins, ...queued.pendingPlugins]) {
      const left = (this.#parkedBy.get(plugin) ?? 1) - 1
      if (left > 0) this.#parkedBy.set(plugin, left)
      else this.#parkedBy.delete(plugin)
    }
  }

  #helps(queued: QueuedPod, event: ClusterEvent, objects: EventObjects): 'no' | 'backoff' | 'active' {
    if (event.resource === '*') return 'backoff'
    const some = (plugins: ReadonlySet<string>): boolean => {
      for (const plugin of plugins) {
        for (const registered of this.#options.events.get(plugin) ?? anyEvent) {
          if (eventMatches(registered, event) && (registered.hint?.(queued.pod, objects) ?? 'queue') === 'queue') return true
        }
      }
      return false
    }
    if (some(queued.pendingPlugins)) return 'active'
    return some(queued.plugins) ? 'backoff' : 'no'
  }
}

/** A plugin that registers nothing may be helped by anything. */
const anyEvent: readonly RegisteredEvent[] = [{ resource: '*', action: '*' }]

function better(a: 'no' | 'backoff' | 'active', b: 'no' | 'backoff' | 'active'): 'no' | 'backoff' | 'active' {
  return a === 'active' || b === 'active' ? 'active' : a === 'backoff' || b === 'backoff' ? 'backoff' : 'no'
}
