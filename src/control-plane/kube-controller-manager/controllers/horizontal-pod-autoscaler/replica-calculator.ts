// How many replicas would bring a metric to its target. Pods that cannot be measured yet are guessed so that the guess never drives the scaling: as nothing
// when it would scale up, as being on target when it would scale down. Upstream: kubernetes/pkg/controller/podautoscaler/replica_calculator.go
import type { Pod } from '../../../../lib/api/generated/types/core-v1.ts'
import { milliOfText } from '../../../../lib/apimachinery/quantity.ts'
import { podReadyCondition, timeOf } from '../shared/pod-state.ts'

/** A pod's measured value, in thousandths, and when it was measured over how long. */
export interface PodMetric { readonly milliValue: number, readonly timestampMs: number, readonly windowMs: number }

export interface CalculatorSettings {
  readonly now: number
  readonly toleranceUp: number
  readonly toleranceDown: number
  readonly cpuInitializationPeriodMs: number
  readonly initialReadinessDelayMs: number
}

export type ReplicaProposal =
  | { readonly ok: true, readonly replicas: number, /** In per cent of requests. */ readonly utilization?: number, /** Per pod, thousandths. */ readonly milliAverage?: number }
  | { readonly ok: false, readonly reason: string, readonly message: string }

interface Groups { readonly ready: ReadonlyMap<string, PodMetric>, readonly unready: readonly string[], readonly missing: readonly string[] }

function group(pods: readonly Pod[], metrics: ReadonlyMap<string, PodMetric>, isCpu: boolean, settings: CalculatorSettings): Groups {
  const ready = new Map<string, PodMetric>()
  const unready: string[] = []
  const missing: string[] = []
  for (const pod of pods) {
    const { name } = pod.metadata
    if (pod.metadata.deletionTimestamp !== undefined || pod.status.phase === 'Failed') continue
    if (pod.status.phase === 'Pending') { unready.push(name); continue }
    const metric = metrics.get(name)
    if (!metric) { missing.push(name); continue }
    if (isCpu && isStarting(pod, metric, settings)) unready.push(name)
    else ready.set(name, metric)
  }
  return { ready, unready, missing }
}

/** What a pod burns while it starts says nothing about its load. */
function isStarting(pod: Pod, metric: PodMetric, { now, cpuInitializationPeriodMs, initialReadinessDelayMs }: CalculatorSettings): boolean {
  const condition = podReadyCondition(pod)
  if (!condition || pod.status.startTime === undefined) return true
  const startMs = timeOf(pod.status.startTime)
  const changedMs = timeOf(condition.lastTransitionTime)
  if (startMs + cpuInitializationPeriodMs > now) return condition.status === 'False' || metric.timestampMs < changedMs + metric.windowMs
  return condition.status === 'False' && startMs + initialReadinessDelayMs > changedMs
}

/** Total requests of the pod's containers (or of one), thousandths; undefined when one has none. */
function requestOf(pod: Pod, resource: string, container: string | undefined): number | undefined {
  let total = 0
  for (const found of pod.spec.containers ?? []) {
    if (container !== undefined && found.name !== container) continue
    const request = found.resources?.requests?.[resource]
    if (request === undefined) return undefined
    total += milliOfText(request)
  }
  return total
}

function within(ratio: number, settings: CalculatorSettings): boolean { return 1 - settings.toleranceDown <= ratio && ratio <= 1 + settings.toleranceUp }

function sum(values: Iterable<number>): number { let total = 0; for (const value of values) total += value; return total }

export interface ResourceTarget { readonly resource: string, readonly container?: string, /** Per cent of requests. */ readonly utilization: number }

/** For a target in per cent of what the pods requested. */
export function proposeForUtilization(current: number, target: ResourceTarget, pods: readonly Pod[], metrics: ReadonlyMap<string, PodMetric>, settings: CalculatorSettings): ReplicaProposal {
  if (pods.length === 0) return { ok: false, reason: 'FailedGetResourceMetric', message: 'no pods returned by selector while calculating replica count' }
  const groups = group(pods, metrics, target.resource === 'cpu', settings)
  const requests = new Map<string, number>()
  for (const pod of pods) {
    const request = requestOf(pod, target.resource, target.container)
    if (request === undefined) return { ok: false, reason: 'FailedGetResourceMetric', message: `missing request for ${target.resource} in container of Pod ${pod.metadata.name}` }
    requests.set(pod.metadata.name, request)
  }
  if (groups.ready.size === 0) return { ok: false, reason: 'FailedGetResourceMetric', message: 'did not receive metrics for targeted pods (pods might be unready)' }
  const utilizationOf = (values: ReadonlyMap<string, number>): number => {
    const requested = sum([...values.keys()].map((name) => requests.get(name) ?? 0))
    return requested === 0 ? 0 : Math.floor((sum(values.values()) * 100) / requested)
  }
  const measured = new Map([...groups.ready].map(([name, metric]) => [name, metric.milliValue]))
  const utilization = utilizationOf(measured)
  const guess = (name: string): number => ((requests.get(name) ?? 0) * Math.max(100, target.utilization)) / 100
  const replicas = propose({ current, groups, measured, ratioOf: (values) => utilizationOf(values) / target.utilization, guess, settings })
  return { ok: true, replicas, utilization, milliAverage: Math.floor(sum(measured.values()) / measured.size) }
}

/** For a target in absolute units per pod, thousandths. */
export function proposeForAverage(current: number, milliTarget: number, pods: readonly Pod[], metrics: ReadonlyMap<string, PodMetric>, isCpu: boolean, settings: CalculatorSettings): ReplicaProposal {
  if (pods.length === 0) return { ok: false, reason: 'FailedGetPodsMetric', message: 'no pods returned by selector while calculating replica count' }
  const groups = group(pods, metrics, isCpu, settings)
  if (groups.ready.size === 0) return { ok: false, reason: 'FailedGetPodsMetric', message: 'did not receive metrics for targeted pods (pods might be unready)' }
  const measured = new Map([...groups.ready].map(([name, metric]) => [name, metric.milliValue]))
  const average = (values: ReadonlyMap<string, number>): number => sum(values.values()) / values.size
  const replicas = propose({ current, groups, measured, ratioOf: (values) => average(values) / milliTarget, guess: () => milliTarget, settings })
  return { ok: true, replicas, milliAverage: Math.floor(average(measured)) }
}

interface Proposal {
  readonly current: number
  readonly groups: Groups
  readonly measured: ReadonlyMap<string, number>
  readonly ratioOf: (values: ReadonlyMap<string, number>) => number
  /** What a pod without a metric is taken to use when it would be scaled down. */
  readonly guess: (pod: string) => number
  readonly settings: CalculatorSettings
}

function propose({ current, groups, measured, ratioOf, guess, settings }: Proposal): number {
  const ratio = ratioOf(measured)
  const countUnready = groups.unready.length > 0 && ratio > 1
  if (!countUnready && groups.missing.length === 0) return within(ratio, settings) ? current : Math.ceil(ratio * measured.size)
  const values = new Map(measured)
  if (ratio < 1) for (const name of groups.missing) values.set(name, guess(name))
  else if (ratio > 1) for (const name of groups.missing) values.set(name, 0)
  if (countUnready) for (const name of groups.unready) values.set(name, 0)
  const guarded = ratioOf(values)
  if (within(guarded, settings) || (ratio < 1 && guarded > 1) || (ratio > 1 && guarded < 1)) return current
  const replicas = Math.ceil(guarded * values.size)
  return (guarded < 1 && replicas > current) || (guarded > 1 && replicas < current) ? current : replicas
}

/** For a value of the whole: an object's or an external one. `perPod`: the target is shared by the pods. */
export function proposeForTotal(current: number, milliValue: number, milliTarget: number, perPod: boolean, readyPods: number, settings: CalculatorSettings): ReplicaProposal {
  if (perPod) {
    const ratio = milliValue / (milliTarget * Math.max(current, 1))
    return { ok: true, replicas: within(ratio, settings) && current > 0 ? current : Math.ceil(milliValue / milliTarget), milliAverage: Math.ceil(milliValue / Math.max(current, 1)) }
  }
  const ratio = milliValue / milliTarget
  if (current === 0) return { ok: true, replicas: Math.ceil(ratio) }
  return { ok: true, replicas: within(ratio, settings) ? current : Math.ceil(ratio * readyPods) }
}
