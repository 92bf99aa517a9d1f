// kube-scheduler: watches for pods without a node, picks one for each, and tells the API server through pods/binding. It never places a pod itself.
//
// One loop takes pods from the queue and decides, one after the other and synchronously, each seeing the decisions before it (assumed pods).
// Binding goes on beside it, at most `maxBindings` at a time. Whatever fails puts the pod back into the queue.
// Upstream: kube-scheduler scheduler.go, schedule_one.go, eventhandlers.go
import type { Clock } from '../../lib/base/clock.ts'
import type { Random } from '../../lib/base/random.ts'
import { randomInteger, randomUuid } from '../../lib/base/random.ts'
import type { Node, Pod } from '../../lib/api/generated/types/core-v1.ts'
import type { ApiClient } from '../../lib/client/api-client.ts'
import { hasReason } from '../../lib/client/api-error.ts'
import { createEventRecorder, referenceTo } from '../../lib/client/event-recorder.ts'
import type { EventRecorder } from '../../lib/client/event-recorder.ts'
import type { InformerFactory } from '../../lib/client/informer-contract.ts'
import { runLeaderElection } from '../../lib/client/leader-election.ts'
import type { LeaderElectionOptions } from '../../lib/client/leader-election.ts'
import { nodes as nodesKey, pods as podsKey } from '../../lib/client/resource-keys.ts'
import type { Logger } from '../../lib/component-base/log.ts'
import { SchedulerCache } from './cache/scheduler-cache.ts'
import { watchClusterObjects } from './cluster-objects.ts'
import { Decisions } from './decisions.ts'
import type { Decision } from './decisions.ts'
import { Extender, postOverHttp } from './extender.ts'
import type { PostJson } from './extender.ts'
import { explainPlacement } from './explanation.ts'
import type { Explanation } from './explanation.ts'
import { clusterEvent } from './framework/events.ts'
import { Framework } from './framework/framework.ts'
import type { RegisteredEvent } from './framework/plugin.ts'
import { podInfo } from './framework/pod-info.ts'
import type { PodInfo } from './framework/pod-info.ts'
import { defaultSchedulerName, extensionPoints } from './framework/profile.ts'
import { diagnose, findFeasible, schedulePodPlain, selectHost } from './framework/schedule-pod.ts'
import type { Placement } from './framework/schedule-pod.ts'
import { formatFitError, noNodesMessage, statusMessage } from './framework/status.ts'
import type { Diagnosis } from './framework/status.ts'
import { CycleState } from './framework/cycle-state.ts'
import { bearsOnPlacement, nodeEvents, podEvents } from './object-changes.ts'
import { ClassIndex } from './placement/class-index.ts'
import { fastProfile } from './placement/fast-profile.ts'
import type { PlacementClass } from './placement/placement-class.ts'
import type { FastProfile } from './placement/fast-profile.ts'
import { builtInPlugins } from './plugins/registry.ts'
import type { PluginRegistry } from './plugins/registry.ts'
import { PodWrites } from './pod-writes.ts'
import { SchedulingQueue } from './queue/scheduling-queue.ts'
import type { QueuedPod } from './queue/scheduling-queue.ts'
import { buildProfiles } from './scheduler-configuration.ts'
import type { SchedulerConfiguration } from './scheduler-configuration.ts'

export type LeaderElectionSettings = Partial<Pick<LeaderElectionOptions, 'identity' | 'name' | 'namespace' | 'leaseDurationMs' | 'renewDeadlineMs' | 'retryPeriodMs'>>

export interface SchedulerOptions {
  readonly client: ApiClient
  /** Not started yet, or started: both do. */
  readonly informers: InformerFactory
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly configuration?: SchedulerConfiguration
  /** The built-in plugins unless told; add one's own here. */
  readonly registry?: PluginRegistry
  /** Schedule only while holding the lease; true: kube-system/kube-scheduler with the usual times. */
  readonly leaderElect?: boolean | LeaderElectionSettings
  /** How extenders are asked; over HTTP unless told. */
  readonly postToExtender?: PostJson
  /** Bindings at a time; 256 unless told. */
  readonly maxBindings?: number
}

export interface Scheduler extends AsyncDisposable {
  /** True once the cache has seen the cluster. */
  readonly ready: boolean
  readonly queueSizes: SchedulingQueue['sizes']
  /** The last decision about a pod, while remembered. */
  decision(namespace: string, name: string): Decision | undefined
  /** Every node's answer and scores for the pod, as of now; undefined for a pod nobody knows. */
  explain(namespace: string, name: string): Explanation | undefined
  /** Resolves when the scheduler has ended (signal aborted or leadership lost). */
  readonly ended: Promise<'ended' | 'lost'>
}

/** Starts scheduling; resolves when the cache is filled. Ends with `signal`, or when it is disposed of. */
export async function startScheduler(options: SchedulerOptions, signal: AbortSignal): Promise<Scheduler> {
  const stop = new AbortController()
  const onAbort = (): void => stop.abort(signal.reason)
  if (signal.aborted) stop.abort(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  const running = new RunningScheduler(options, stop.signal)
  options.informers.start(stop.signal)
  await options.informers.waitForSync(stop.signal)
  running.ready = true
  options.logger.info('Scheduler cache is filled', { nodes: running.cache.nodeCount, pods: running.cache.podCount })
  const ended = (options.leaderElect
    ? runLeaderElection({
      client: options.client, clock: options.clock, random: options.random, logger: options.logger, namespace: 'kube-system', name: 'kube-scheduler',
      identity: `kube-scheduler_${randomUuid(options.random)}`, releaseOnCancel: true, ...options.leaderElect === true ? {} : options.leaderElect, lead: (term) => running.run(term),
    }, stop.signal)
    : running.run(stop.signal).then(() => 'ended' as const)).catch((error: unknown) => {
    if (!stop.signal.aborted) options.logger.error('Scheduler ended', error)
    return 'ended' as const
  })
  return {
    get ready() { return running.ready },
    get queueSizes() { return running.queue.sizes },
    decision: (namespace, name) => running.decisions.get(`${namespace}/${name}`),
    explain: (namespace, name) => running.explain(namespace, name),
    ended,
    async [Symbol.asyncDispose]() {
      signal.removeEventListener('abort', onAbort)
      stop.abort(new Error('scheduler stopped'))
      await ended
    },
  }
}

/** Decisions in a row before others get a turn: a millisecond's worth, or this many. */
const batchMax = 256
const batchMs = 1
/** Stands for: there are no nodes. Helped by the first one. */
const noNodesPlugin = 'Nodes'

class RunningScheduler {
  readonly queue: SchedulingQueue
  readonly cache: SchedulerCache
  readonly decisions = new Decisions()
  ready = false
  readonly #options: SchedulerOptions
  readonly #logger: Logger
  readonly #frameworks = new Map<string, Framework>()
  readonly #recorders = new Map<string, EventRecorder>()
  readonly #writes: PodWrites
  readonly #informers: InformerFactory
  readonly #classes: ClassIndex
  readonly #extenders: readonly Extender[]
  /** The last refusal of each class, with all it depended on. */
  readonly #refusals = new WeakMap<PlacementClass, { readonly told: Diagnosis; readonly nominatedNode: string | undefined; readonly position: number; readonly priority: number; readonly preemptionPolicy: string | undefined }>()
  readonly #fastProfiles = new Map<string, FastProfile>()
  #startIndex = 0
  #bindings = 0
  #wake: () => void = () => {}

  constructor(options: SchedulerOptions, signal: AbortSignal) {
    this.#options = options
    this.#logger = options.logger
    this.#informers = options.informers
    const objects = watchClusterObjects(options.informers, {
      happened: (event, about) => { this.queue?.moveOn(event, about) },
      namespaceChanged: (name) => this.cache?.namespaceChanged(name),
      ownersChanged: () => { if (this.cache) this.cache.ownersVersion++ },
    })
    this.cache = new SchedulerCache(objects)
    this.#classes = new ClassIndex(this.cache, (bound) => randomInteger(options.random, bound))
    this.#extenders = (options.configuration?.extenders ?? []).map((extender) => new Extender(extender, options.postToExtender ?? postOverHttp(options.clock)))
    const registry = options.registry ?? builtInPlugins
    const builtIn = new Set([...registry].filter(([name, factory]) => builtInPlugins.get(name) === factory).map(([name]) => name))
    const profiles = buildProfiles(options.configuration, registry)
    const events = new Map<string, readonly RegisteredEvent[]>([[noNodesPlugin, [{ resource: 'Node', action: 'Add' }]]])
    for (const profile of profiles) {
      this.#frameworks.set(profile.schedulerName, new Framework(profile, this.cache, (bound) => randomInteger(options.random, bound)))
      const fast = fastProfile(profile, builtIn)
      if (fast) this.#fastProfiles.set(profile.schedulerName, fast)
      for (const point of extensionPoints) for (const { plugin } of profile.points[point]) if (plugin.eventsToRegister) events.set(plugin.name, plugin.eventsToRegister())
    }
    const first = [...this.#frameworks.values()][0]
    const sort = first?.profile.points.queueSort[0]?.plugin
    this.queue = new SchedulingQueue({
      now: () => options.clock.monotonic(), less: (a, b) => sort?.less?.(a, b) ?? a.sequence < b.sequence, events,
      preEnqueue: (pod) => this.#frameworkOf(pod)?.preEnqueue(pod),
      initialBackoffMs: (options.configuration?.podInitialBackoffSeconds ?? 1) * 1000, maxBackoffMs: (options.configuration?.podMaxBackoffSeconds ?? 10) * 1000,
    })
    this.queue.onReady = () => this.#wake()
    for (const name of this.#frameworks.keys()) this.#recorders.set(name, createEventRecorder({ client: options.client, clock: options.clock, component: name, logger: options.logger, signal }))
    this.#writes = new PodWrites(options.client, options.clock, objects)
    this.#watchNodesAndPods()
  }

  /** Schedules until `signal` ends. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options
    const timers = this.#startTimers(signal)
    try {
      while (!signal.aborted) {
        if (!this.queue.hasReady || this.#bindings >= (this.#options.maxBindings ?? 256)) { await this.#untilWoken(signal); continue }
        const started = clock.monotonic()
        for (let n = 0; n < batchMax && clock.monotonic() - started < batchMs && this.#bindings < (this.#options.maxBindings ?? 256); n++) {
          const queued = this.queue.pop()
          if (!queued) break
          const extenders = this.#extenders.filter((extender) => extender.isInterested(queued.pod))
          if (extenders.length > 0) await this.#scheduleWithExtenders(queued, extenders, signal)
          else this.#scheduleOne(queued, signal)
        }
        await new Promise<void>((resolve) => { setImmediate(resolve) })
      }
    } finally {
      timers[Symbol.dispose]()
    }
  }

  explain(namespace: string, name: string): Explanation | undefined {
    const pod = this.#informers.informer(podsKey).get(namespace, name)
    const framework = pod && this.#frameworkOf(pod)
    if (!pod || !framework) return undefined
    const info = podInfo(pod)
    const nodeName = pod.spec.nodeName ?? ''
    // A placed pod is taken away for the moment of asking, and asked for as one that has no node.
    const asked = nodeName === '' ? info : podInfo({ ...pod, spec: { ...pod.spec, nodeName: undefined } } as Pod) // cast: without nodeName it is a pod still
    const isThere = nodeName !== '' && !this.cache.isAssumed(info.uid)
    if (isThere) this.cache.removePod(info.uid)
    try {
      return explainPlacement(framework, asked, this.cache, nodeName)
    } finally {
      if (isThere) this.cache.addPod(pod)
    }
  }

  #frameworkOf(pod: Pod): Framework | undefined { return this.#frameworks.get(pod.spec.schedulerName ?? defaultSchedulerName) }

  #scheduleOne(queued: QueuedPod, signal: AbortSignal): void {
    const ready = this.#prepare(queued, signal)
    if (!ready) return
    const { framework, info } = ready
    try {
      const profile = this.#fastProfiles.get(framework.profile.schedulerName)
      const chosen = profile && this.#classes.classOf(info, profile)
      const pick = chosen?.pick()
      if (pick) {
        this.#accept(queued, framework, info, { kind: 'placed', nodeName: pick.node.name, state: new CycleState(), total: pick.total, evaluated: this.cache.nodeCount, feasible: pick.feasible, scored: [] }, signal)
        return
      }
      // Nothing has changed since a pod like this one was refused: the answer is the same.
      const before = chosen && this.#refusals.get(chosen)
      if (before && before.position === this.cache.log.position && before.priority === info.priority && before.preemptionPolicy === info.pod.spec.preemptionPolicy) {
        this.#fail(queued, formatFitError(before.told), before.told, before.nominatedNode, signal)
        return
      }
      const placement = schedulePodPlain(framework, info, this.cache, { startIndex: this.#startIndex })
      if (placement.kind === 'placed') {
        this.#startIndex = (this.#startIndex + placement.evaluated) % Math.max(1, this.cache.nodeCount)
        this.#accept(queued, framework, info, placement, signal)
        return
      }
      const refusal = this.#refuse(queued, framework, info, placement.state, placement.diagnosis, signal)
      if (chosen && !refusal.preempts) this.#refusals.set(chosen, { ...refusal, position: this.cache.log.position, priority: info.priority, preemptionPolicy: info.pod.spec.preemptionPolicy })
    } catch (error) {
      this.#logger.error('Error scheduling pod; retrying', error, { pod: info.key })
      this.#failWithError(queued, error, signal)
    }
  }

  /** What is left to decide, or undefined when nothing is. */
  #prepare(queued: QueuedPod, signal: AbortSignal): { readonly framework: Framework; readonly info: PodInfo } | undefined {
    const { pod } = queued
    const framework = this.#frameworkOf(pod)
    if (!framework || this.cache.isAssumed(pod.metadata.uid)) { this.queue.done(queued.uid); return undefined }
    const info = podInfo(pod)
    if (info.terminating) {
      this.#event(pod, 'Warning', 'FailedScheduling', `skip schedule deleting pod: ${info.key}`)
      this.queue.done(queued.uid)
      return undefined
    }
    if (this.cache.nodeCount === 0) { this.#fail(queued, noNodesMessage, emptyDiagnosis, undefined, signal); return undefined }
    return { framework, info }
  }

  /** The plain way with questions to others in between. The cluster may change meanwhile, so the chosen node is looked at once more. */
  async #scheduleWithExtenders(queued: QueuedPod, extenders: readonly Extender[], signal: AbortSignal): Promise<void> {
    const ready = this.#prepare(queued, signal)
    if (!ready) return
    const { framework, info } = ready
    try {
      const outcome = findFeasible(framework, info, this.cache, { startIndex: this.#startIndex })
      this.#startIndex = (this.#startIndex + outcome.evaluated) % Math.max(1, this.cache.nodeCount)
      let { feasible } = outcome
      for (const extender of extenders) {
        if (feasible.length === 0) break
        const answer = await extender.filter(info.pod, feasible, signal)
        for (const [name, refusal] of answer.refusals) { outcome.refusals.set(name, refusal); outcome.plugins.add(refusal.plugin) }
        feasible = answer.feasible
      }
      if (feasible.length === 0) { this.#refuse(queued, framework, info, outcome.state, diagnose(outcome, this.cache.nodeCount), signal); return }
      const scored = framework.score(outcome.state, info, feasible)
      const added = await Promise.all(extenders.map((extender) => extender.prioritize(info.pod, feasible, signal)))
      const best = selectHost(scored.map((s) => ({ ...s, total: added.reduce((sum, scores) => sum + (scores.get(s.node.name) ?? 0), s.total) })), framework.random)
      if (!best || framework.filterWithNominated(outcome.state, info, best.node)) throw new Error('the cluster changed while extenders were asked')
      this.#accept(queued, framework, info, { kind: 'placed', nodeName: best.node.name, state: outcome.state, total: best.total, evaluated: outcome.evaluated, feasible: feasible.length, scored }, signal)
    } catch (error) {
      if (signal.aborted) return
      this.#logger.error('Error scheduling pod; retrying', error, { pod: info.key })
      this.#failWithError(queued, error, signal)
    }
  }

  #accept(queued: QueuedPod, framework: Framework, info: PodInfo, placement: Extract<Placement, { kind: 'placed' }>, signal: AbortSignal): void {
    const { nodeName, state } = placement
    this.cache.assume(info, nodeName)
    this.cache.nominate(info, '')
    const refusal = framework.reserve(state, info, nodeName)
    const permit = refusal ? undefined : framework.permit(state, info, nodeName)
    const rejected = refusal ?? permit?.rejected
    if (rejected) {
      framework.unreserve(state, info, nodeName)
      this.cache.forget(info.uid)
      this.#fail(queued, statusMessage(rejected), { ...emptyDiagnosis, plugins: new Set([rejected.plugin]) }, undefined, signal)
      return
    }
    this.decisions.record({ pod: info.key, uid: info.uid, time: this.#options.clock.now(), attempts: queued.attempts, outcome: 'placed', nodeName, total: placement.total, evaluated: placement.evaluated, feasible: placement.feasible })
    this.#bindings++
    void this.#bind(queued, framework, info, state, nodeName, signal).finally(() => { this.#bindings--; this.#wake() })
  }

  async #bind(queued: QueuedPod, framework: Framework, info: PodInfo, state: CycleState, nodeName: string, signal: AbortSignal): Promise<void> {
    try {
      const binder = this.#extenders.find((extender) => extender.binds && extender.isInterested(info.pod))
      const refusal = await framework.preBind(state, info, nodeName, this.#writes, signal)
        ?? (binder ? await binder.bind(info.pod, nodeName, signal).then(() => undefined) : await framework.bind(state, info, nodeName, this.#writes, signal))
      if (refusal) throw new Error(`${refusal.plugin}: ${refusal.reasons.join(', ')}`)
      framework.postBind(state, info, nodeName)
      this.queue.done(info.uid)
      this.#event(info.pod, 'Normal', 'Scheduled', `Successfully assigned ${info.key} to ${nodeName}`)
      this.#logger.info('Successfully bound pod to node', { pod: info.key, node: nodeName }, 2)
    } catch (error) {
      framework.unreserve(state, info, nodeName)
      if (signal.aborted) return
      // Only an assumed pod goes: when the API has confirmed it meanwhile, the answer alone was lost.
      const wasAssumed = this.cache.isAssumed(info.uid)
      this.cache.forget(info.uid)
      this.queue.moveOn(clusterEvent('AssignedPod', 'Delete'), { old: info.pod })
      if (hasReason(error, 'NotFound')) { this.queue.done(info.uid); return }
      if (!wasAssumed) { this.queue.done(info.uid); return }
      this.#logger.error('Failed to bind pod', error, { pod: info.key, node: nodeName })
      this.#failWithError(queued, new Error(`binding rejected: ${error instanceof Error ? error.message : String(error)}`, { cause: error }), signal)
    }
  }

  #refuse(queued: QueuedPod, framework: Framework, info: PodInfo, state: CycleState, diagnosis: Diagnosis, signal: AbortSignal): { readonly told: Diagnosis; readonly nominatedNode: string | undefined; readonly preempts: boolean } {
    let nominatedNode: string | undefined
    let told = diagnosis
    let preempts = false
    if (framework.profile.points.postFilter.length > 0) {
      const result = framework.postFilter(state, info, diagnosis)
      nominatedNode = result.nominatedNode
      told = { ...diagnosis, postFilterMessage: statusMessage(result.status) }
      preempts = !result.status
      if (preempts && nominatedNode) this.#preempt(info, nominatedNode, result.victims ?? [], signal)
    }
    if (nominatedNode !== undefined) this.cache.nominate(info, nominatedNode)
    this.#fail(queued, formatFitError(told), told, nominatedNode, signal)
    return { told, nominatedNode, preempts }
  }

  #preempt(info: PodInfo, nodeName: string, victims: readonly PodInfo[], signal: AbortSignal): void {
    this.#logger.info('Preempting pods', { preemptor: info.key, node: nodeName, victims: victims.map((v) => v.key).join(',') }, 2)
    // Lesser pods that were to come here may not fit any more: let them look again.
    for (const lesser of this.cache.nominatedPods(nodeName)) {
      if (lesser.priority >= info.priority || lesser.uid === info.uid) continue
      this.cache.nominate(lesser, '')
      this.#background(this.#writes.clearNomination(lesser.pod, signal), 'Cannot clear nominated node', lesser.pod, signal)
    }
    for (const victim of victims) {
      this.#background(this.#writes.evict(victim.pod, info.pod, signal).then(() => {
        this.#event(victim.pod, 'Normal', 'Preempted', `Preempted by pod ${info.uid} on node ${nodeName}`)
      }), 'Cannot preempt pod', victim.pod, signal)
    }
  }

  #fail(queued: QueuedPod, message: string, diagnosis: Diagnosis, nominatedNode: string | undefined, signal: AbortSignal): void {
    const { pod } = queued
    this.decisions.record({ pod: `${pod.metadata.namespace ?? ''}/${pod.metadata.name}`, uid: queued.uid, time: this.#options.clock.now(), attempts: queued.attempts, outcome: 'unschedulable', message, diagnosis })
    const plugins = diagnosis === emptyDiagnosis ? new Set([noNodesPlugin]) : diagnosis.plugins
    this.queue.putBack(queued, { plugins, pendingPlugins: diagnosis.pendingPlugins, error: false })
    this.#report(queued, { reason: 'Unschedulable', message, nominatedNode }, signal)
  }

  #failWithError(queued: QueuedPod, error: unknown, signal: AbortSignal): void {
    this.queue.putBack(queued, { plugins: new Set(), pendingPlugins: new Set(), error: true })
    this.#report(queued, { reason: 'SchedulerError', message: error instanceof Error ? error.message : String(error), nominatedNode: undefined }, signal)
  }

  #report(queued: QueuedPod, failure: Parameters<PodWrites['reportFailure']>[1], signal: AbortSignal): void {
    this.#logger.info('Unable to schedule pod; waiting', { pod: `${queued.pod.metadata.namespace ?? ''}/${queued.pod.metadata.name}`, err: failure.message }, 2)
    this.#event(queued.pod, 'Warning', 'FailedScheduling', failure.message)
    this.#background(this.#writes.reportFailure(queued.pod, failure, signal), 'Error updating pod status', queued.pod, signal)
  }

  #background(work: Promise<unknown>, message: string, pod: Pod, signal: AbortSignal): void {
    work.catch((error: unknown) => {
      if (!signal.aborted && !hasReason(error, 'NotFound', 'Conflict')) this.#logger.error(message, error, { pod: `${pod.metadata.namespace ?? ''}/${pod.metadata.name}` })
    })
  }

  #event(pod: Pod, type: 'Normal' | 'Warning', reason: string, message: string): void {
    this.#recorders.get(pod.spec.schedulerName ?? defaultSchedulerName)?.event(referenceTo(pod, podsKey), type, reason, message)
  }

  #untilWoken(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => { this.#wake = () => {}; signal.removeEventListener('abort', done); resolve() }
      this.#wake = done
      signal.addEventListener('abort', done, { once: true })
    })
  }

  /** The queue's flushes: pauses every second, the long wait every 30 s. */
  #startTimers(signal: AbortSignal): Disposable {
    const { clock } = this.#options
    let timers: Disposable[] = []
    const every = (index: number, ms: number, run: () => void): void => {
      timers[index] = clock.setTimer(ms, () => { run(); if (!signal.aborted) every(index, ms, run) }, { keepAlive: false })
    }
    every(0, 1_000, () => this.queue.flushBackoff())
    every(1, 30_000, () => this.queue.flushUnschedulable())
    return { [Symbol.dispose]: () => { for (const timer of timers) timer[Symbol.dispose](); timers = [] } }
  }

  #watchNodesAndPods(): void {
    this.#informers.informer(nodesKey).addHandler({
      added: (node) => { this.cache.addNode(node); this.queue.moveOn(clusterEvent('Node', 'Add'), { new: node }) },
      updated: (node, old) => this.#nodeUpdated(node, old),
      deleted: (node) => { this.cache.removeNode(node.metadata.name); this.queue.moveOn(clusterEvent('Node', 'Delete'), { old: node }) },
    })
    this.#informers.informer(podsKey).addHandler({
      added: (pod) => this.#podSeen(undefined, pod),
      updated: (pod, old) => this.#podSeen(old, pod),
      deleted: (pod) => this.#podGone(pod),
    })
  }

  #nodeUpdated(node: Node, old: Node): void {
    const info = this.cache.node(node.metadata.name)
    if (info && !bearsOnPlacement(old, node)) { info.node = node; return }
    this.cache.updateNode(node)
    for (const event of nodeEvents(old, node)) this.queue.moveOn(event, { old, new: node })
  }

  #podSeen(old: Pod | undefined, pod: Pod): void {
    if (isFinished(pod)) { if (!old || !isFinished(old)) this.#podGone(pod); return }
    if (old && old.metadata.uid !== pod.metadata.uid) this.#podGone(old)
    if (pod.spec.nodeName) {
      if (!old?.spec.nodeName) this.#podAssigned(pod)
      else {
        this.cache.updatePod(pod)
        for (const event of podEvents('AssignedPod', old, pod)) this.queue.moveOn(event, { old, new: pod })
      }
      return
    }
    if (!this.#frameworkOf(pod)) return
    // Its own binding is on the way: what the watch tells now matters only if that fails.
    if (this.cache.isAssumed(pod.metadata.uid) && this.queue.whereIs(pod.metadata.uid) !== 'in flight') return
    this.#followNomination(old, pod)
    if (!old) { this.queue.add(pod); return }
    const events = podEvents('UnscheduledPod', old, pod)
    this.queue.update(old, pod, events)
  }

  /** Takes over what the API says, when it says something new: the cache is ahead of the watch for nominations of our own. */
  #followNomination(old: Pod | undefined, pod: Pod): void {
    const before = old?.status?.nominatedNodeName ?? ''
    const now = pod.status?.nominatedNodeName ?? ''
    if (now !== before && (this.cache.nominationOf(pod.metadata.uid) ?? '') === before) this.cache.nominate(podInfo(pod), now)
  }

  #podAssigned(pod: Pod): void {
    this.cache.addPod(pod)
    this.cache.nominate(podInfo(pod), '')
    // While in flight it is the binding that ends the pod's stay in the queue.
    if (this.queue.whereIs(pod.metadata.uid) !== 'in flight') this.queue.delete(pod.metadata.uid)
    this.queue.moveOn(clusterEvent('AssignedPod', 'Add'), { new: pod })
  }

  #podGone(pod: Pod): void {
    const { uid } = pod.metadata
    this.queue.delete(uid)
    if (this.cache.nominationOf(uid) !== undefined) this.cache.nominate(podInfo(pod), '')
    if (!this.cache.pod(uid)) return
    this.cache.removePod(uid)
    this.queue.moveOn(clusterEvent('AssignedPod', 'Delete'), { old: pod })
  }
}

const isFinished = (pod: Pod): boolean => pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed'

const emptyDiagnosis: Diagnosis = { nodeCount: 0, nodes: new Map(), absent: undefined, plugins: new Set(), pendingPlugins: new Set(), preFilterMessage: '', postFilterMessage: '' }
