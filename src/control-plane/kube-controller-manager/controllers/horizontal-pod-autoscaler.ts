// horizontal-pod-autoscaler-controller: from what was measured to the size to set, the status and the events. Pure; runner/autoscaler-shell.ts reads scale
// and metrics and sets the size. Upstream: kubernetes/pkg/controller/podautoscaler
import type { HorizontalPodAutoscaler, HorizontalPodAutoscalerCondition, HorizontalPodAutoscalerStatus, MetricSpec, MetricStatus } from '../../../lib/api/generated/types/autoscaling-v2.ts'
import { formatQuantity, milliQuantity } from '../../../lib/apimachinery/quantity.ts'
import { formatTime } from '../../../lib/base/clock.ts'
import { limitScaling, remember } from './horizontal-pod-autoscaler/behavior.ts'
import type { ScalingHistory } from './horizontal-pod-autoscaler/behavior.ts'
import type { ReplicaProposal } from './horizontal-pod-autoscaler/replica-calculator.ts'

/** One metric of the spec and what it calls for. */
export interface MeasuredMetric { readonly spec: MetricSpec, readonly proposal: ReplicaProposal }

export interface ObservedAutoscaler {
  readonly now: number
  readonly autoscaler: HorizontalPodAutoscaler
  /** Of the target's scale. */
  readonly currentReplicas: number
  readonly measured: readonly MeasuredMetric[]
  readonly history: ScalingHistory
  readonly downscaleStabilizationMs: number
}

export interface ScalingDecision {
  /** Undefined: the size stays. */
  readonly replicas: number | undefined
  readonly status: HorizontalPodAutoscalerStatus
  readonly history: ScalingHistory
  readonly events: readonly { readonly type: 'Normal' | 'Warning', readonly reason: string, readonly message: string }[]
}

type Note = { readonly status: string, readonly reason: string, readonly message: string }

export function decideScaling(observed: ObservedAutoscaler): ScalingDecision {
  const { autoscaler, currentReplicas: current, measured, now, history } = observed
  const events: { type: 'Normal' | 'Warning', reason: string, message: string }[] = []
  let conditions = autoscaler.status?.conditions ?? []
  const note = (type: string, { status, reason, message }: Note): void => { conditions = withCondition(conditions, { type, status, reason, message }, now) }
  const min = autoscaler.spec.minReplicas ?? 1
  const max = autoscaler.spec.maxReplicas
  const finish = (desired: number, recommendation: number | undefined): ScalingDecision => {
    const changes = desired !== current
    const currentMetrics = measured.flatMap(({ spec, proposal }) => (proposal.ok ? [metricStatus(spec, proposal)] : []))
    const { lastScaleTime } = autoscaler.status ?? {}
    return {
      replicas: changes ? desired : undefined, events, history: recommendation === undefined ? history : remember(history, recommendation, desired - current, now),
      status: {
        ...(autoscaler.metadata.generation === undefined ? {} : { observedGeneration: autoscaler.metadata.generation }), currentReplicas: current, desiredReplicas: desired, conditions,
        ...(changes ? { lastScaleTime: formatTime(now) } : lastScaleTime === undefined ? {} : { lastScaleTime }), ...(currentMetrics.length > 0 ? { currentMetrics } : {}),
      },
    }
  }
  note('AbleToScale', { status: 'True', reason: 'SucceededGetScale', message: "the HPA controller was able to get the target's current scale" })
  if (current === 0 && min !== 0) {
    note('ScalingActive', { status: 'False', reason: 'ScalingDisabled', message: 'scaling is disabled since the replica count of the target is zero' })
    return finish(0, undefined)
  }
  if (current > max || current < min) {
    const desired = current > max ? max : min
    events.push({ type: 'Normal', reason: 'SuccessfulRescale', message: `New size: ${desired}; reason: Current number of replicas ${current > max ? 'above Spec.MaxReplicas' : 'below Spec.MinReplicas'}` })
    note('AbleToScale', { status: 'True', reason: 'SucceededRescale', message: `the HPA controller was able to update the target scale to ${desired}` })
    return finish(desired, desired)
  }
  const failures = measured.flatMap(({ proposal }) => (proposal.ok ? [] : [proposal]))
  const best = measured.flatMap((metric) => (metric.proposal.ok ? [{ spec: metric.spec, replicas: metric.proposal.replicas }] : [])).toSorted((a, b) => b.replicas - a.replicas)[0]
  const [failure] = failures
  // With a metric missing nobody knows whether fewer would do; more is safe.
  if (!best || (failure && best.replicas < current)) {
    if (failure) {
      note('ScalingActive', { status: 'False', reason: failure.reason, message: `the HPA was unable to compute the replica count: ${failure.message}` })
      events.push({ type: 'Warning', reason: failure.reason, message: failure.message })
      events.push({ type: 'Warning', reason: 'FailedComputeMetricsReplicas', message: `invalid metrics (${failures.length} invalid out of ${measured.length}), first error is: ${failure.message}` })
    }
    return finish(current, undefined)
  }
  note('ScalingActive', { status: 'True', reason: 'ValidMetricFound', message: `the HPA was able to successfully calculate a replica count from ${describeMetric(best.spec)}` })
  const { replicas, able, limited } = limitScaling(autoscaler, current, best.replicas, history, observed.downscaleStabilizationMs, now)
  note('AbleToScale', able)
  note('ScalingLimited', limited)
  if (replicas !== current) {
    const reason = replicas > current ? `${describeMetric(best.spec)} above target` : 'All metrics below target'
    events.push({ type: 'Normal', reason: 'SuccessfulRescale', message: `New size: ${replicas}; reason: ${reason}` })
    note('AbleToScale', { status: 'True', reason: 'SucceededRescale', message: `the HPA controller was able to update the target scale to ${replicas}` })
  }
  return finish(replicas, best.replicas)
}

/** When the target has no scale that could be read. */
export function decideWithoutScale(autoscaler: HorizontalPodAutoscaler, message: string, now: number): Pick<ScalingDecision, 'status' | 'events'> {
  return {
    events: [{ type: 'Warning', reason: 'FailedGetScale', message }],
    status: {
      ...autoscaler.status, desiredReplicas: autoscaler.status?.desiredReplicas ?? 0,
      conditions: withCondition(autoscaler.status?.conditions ?? [], { type: 'AbleToScale', status: 'False', reason: 'FailedGetScale', message: `the HPA controller was unable to get the target's current scale: ${message}` }, now),
    },
  }
}

function withCondition(conditions: readonly HorizontalPodAutoscalerCondition[], change: Note & { readonly type: string }, now: number): readonly HorizontalPodAutoscalerCondition[] {
  const old = conditions.find((condition) => condition.type === change.type)
  const made = { ...change, lastTransitionTime: old?.status === change.status ? old.lastTransitionTime ?? formatTime(now) : formatTime(now) }
  return old ? conditions.map((condition) => (condition === old ? made : condition)) : [...conditions, made]
}

function describeMetric(spec: MetricSpec): string {
  switch (spec.type) {
    case 'Resource': return `${spec.resource?.name ?? ''} resource${spec.resource?.target.averageUtilization === undefined ? '' : ' utilization (percentage of request)'}`
    case 'ContainerResource': return `${spec.containerResource?.name ?? ''} container resource${spec.containerResource?.target.averageUtilization === undefined ? '' : ' utilization (percentage of request)'}`
    case 'Pods': return `pods metric ${spec.pods?.metric.name ?? ''}`
    case 'Object': return `${spec.object?.describedObject.kind ?? ''} metric ${spec.object?.metric.name ?? ''}`
    case 'External': return `external metric ${spec.external?.metric.name ?? ''}`
    default: return spec.type
  }
}

function metricStatus(spec: MetricSpec, proposal: Extract<ReplicaProposal, { readonly ok: true }>): MetricStatus {
  const current = {
    ...(proposal.utilization === undefined ? {} : { averageUtilization: proposal.utilization }), ...(proposal.milliAverage === undefined ? {} : { averageValue: formatQuantity(milliQuantity(proposal.milliAverage)) }),
  }
  switch (spec.type) {
    case 'Resource': return { type: 'Resource', resource: { name: spec.resource?.name ?? '', current } }
    case 'ContainerResource': return { type: 'ContainerResource', containerResource: { name: spec.containerResource?.name ?? '', container: spec.containerResource?.container ?? '', current } }
    case 'Pods': return { type: 'Pods', ...(spec.pods ? { pods: { metric: spec.pods.metric, current } } : {}) }
    case 'Object': return { type: 'Object', ...(spec.object ? { object: { metric: spec.object.metric, describedObject: spec.object.describedObject, current } } : {}) }
    default: return { type: spec.type, ...(spec.external ? { external: { metric: spec.external.metric, current } } : {}) }
  }
}
