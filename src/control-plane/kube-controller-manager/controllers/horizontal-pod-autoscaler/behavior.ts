// How fast an autoscaler may move: recommendations are held for a while (the highest of the window counts when going down, the lowest when going up), and
// each direction has policies for how many pods may come or go in a period. Upstream: kubernetes/pkg/controller/podautoscaler/horizontal.go
import type { HPAScalingRules, HorizontalPodAutoscaler } from '../../../../lib/api/generated/types/autoscaling-v2.ts'

/** A recommendation or a change of size that is still remembered. */
export interface Remembered { readonly atMs: number, readonly replicas: number }
export interface ScaleChange { readonly atMs: number, readonly change: number }

export interface ScalingHistory {
  readonly recommendations: readonly Remembered[]
  readonly ups: readonly ScaleChange[]
  readonly downs: readonly ScaleChange[]
}

export const noHistory: ScalingHistory = { recommendations: [], ups: [], downs: [] }

export interface Limited { readonly replicas: number, readonly able: LimitNote, readonly limited: LimitNote }
export interface LimitNote { readonly status: 'True' | 'False', readonly reason: string, readonly message: string }

const defaultUp: Required<Pick<HPAScalingRules, 'policies' | 'selectPolicy' | 'stabilizationWindowSeconds'>> = {
  stabilizationWindowSeconds: 0, selectPolicy: 'Max', policies: [{ type: 'Pods', value: 4, periodSeconds: 15 }, { type: 'Percent', value: 100, periodSeconds: 15 }],
}

export function scalingRules(autoscaler: HorizontalPodAutoscaler, downscaleStabilizationMs: number): { readonly up: HPAScalingRules, readonly down: HPAScalingRules } {
  const { scaleUp, scaleDown } = autoscaler.spec.behavior ?? {}
  const defaultDown = { stabilizationWindowSeconds: downscaleStabilizationMs / 1000, selectPolicy: 'Max', policies: [{ type: 'Percent', value: 100, periodSeconds: 15 }] }
  return { up: { ...defaultUp, ...scaleUp }, down: { ...defaultDown, ...scaleDown } }
}

/** The size that may be set now, of `desired`. */
export function limitScaling(autoscaler: HorizontalPodAutoscaler, current: number, desired: number, history: ScalingHistory, downscaleStabilizationMs: number, now: number): Limited {
  const rules = scalingRules(autoscaler, downscaleStabilizationMs)
  const min = autoscaler.spec.minReplicas ?? 1
  const max = autoscaler.spec.maxReplicas
  const since = (rule: HPAScalingRules): readonly number[] => history.recommendations.filter((r) => r.atMs > now - (rule.stabilizationWindowSeconds ?? 0) * 1000).map((r) => r.replicas)
  const upTo = Math.min(desired, ...since(rules.up))
  const downTo = Math.max(desired, ...since(rules.down))
  // Between the two the size stays.
  const stable = current < upTo ? upTo : current > downTo ? downTo : current
  const able: LimitNote = stable === desired ? { status: 'True', reason: 'ReadyForNewScale', message: 'recommended size matches current size' }
    : stable > desired ? { status: 'True', reason: 'ScaleDownStabilized', message: 'recent recommendations were higher than current one, applying the highest recent recommendation' }
      : { status: 'True', reason: 'ScaleUpStabilized', message: 'recent recommendations were lower than current one, applying the lowest recent recommendation' }
  const note = (status: 'True' | 'False', reason: string, message: string): LimitNote => ({ status, reason, message })
  const inRange = note('False', 'DesiredWithinRange', 'the desired count is within the acceptable range')
  if (stable > current) {
    const policyMax = Math.max(current, upLimit(current, rules.up, history, now))
    const ceiling = Math.min(policyMax, max)
    if (stable <= ceiling) return { replicas: Math.max(stable, min), able, limited: stable < min ? note('True', 'TooFewReplicas', 'the desired replica count is less than the minimum replica count') : inRange }
    return { replicas: ceiling, able, limited: ceiling === max ? note('True', 'TooManyReplicas', 'the desired replica count is more than the maximum replica count') : note('True', 'ScaleUpLimit', 'the desired replica count is increasing faster than the maximum scale rate') }
  }
  if (stable < current) {
    const policyMin = Math.min(current, downLimit(current, rules.down, history, now))
    const floor = Math.max(policyMin, min)
    if (stable >= floor) return { replicas: Math.min(stable, max), able, limited: inRange }
    return { replicas: floor, able, limited: floor === min ? note('True', 'TooFewReplicas', 'the desired replica count is less than the minimum replica count') : note('True', 'ScaleDownLimit', 'the desired replica count is decreasing faster than the maximum scale rate') }
  }
  if (stable < min) return { replicas: min, able, limited: note('True', 'TooFewReplicas', 'the desired replica count is less than the minimum replica count') }
  if (stable > max) return { replicas: max, able, limited: note('True', 'TooManyReplicas', 'the desired replica count is more than the maximum replica count') }
  return { replicas: stable, able, limited: inRange }
}

function changed(changes: readonly ScaleChange[], periodSeconds: number, now: number): number {
  return changes.filter((change) => change.atMs > now - periodSeconds * 1000).reduce((total, change) => total + change.change, 0)
}

function choose(limits: readonly number[], selectPolicy: string | undefined, widest: 'max' | 'min'): number {
  const wide = (selectPolicy ?? 'Max') === 'Max'
  return (widest === 'max') === wide ? Math.max(...limits) : Math.min(...limits)
}

function upLimit(current: number, rule: HPAScalingRules, history: ScalingHistory, now: number): number {
  const policies = rule.policies ?? []
  if (rule.selectPolicy === 'Disabled' || policies.length === 0) return current
  return choose(policies.map(({ type, value, periodSeconds }) => {
    const start = current - changed(history.ups, periodSeconds, now) + changed(history.downs, periodSeconds, now)
    return type === 'Pods' ? start + value : Math.ceil(start * (1 + value / 100))
  }), rule.selectPolicy, 'max')
}

function downLimit(current: number, rule: HPAScalingRules, history: ScalingHistory, now: number): number {
  const policies = rule.policies ?? []
  if (rule.selectPolicy === 'Disabled' || policies.length === 0) return current
  return choose(policies.map(({ type, value, periodSeconds }) => {
    const start = current + changed(history.downs, periodSeconds, now) - changed(history.ups, periodSeconds, now)
    return type === 'Pods' ? start - value : Math.floor(start * (1 - value / 100))
  }), rule.selectPolicy, 'min')
}

/** What stays remembered: an hour, the longest window there can be. */
export function remember(history: ScalingHistory, recommendation: number, change: number, now: number): ScalingHistory {
  const recent = <T extends { readonly atMs: number }>(all: readonly T[]): readonly T[] => all.filter((one) => one.atMs > now - 3_600_000)
  return {
    recommendations: [...recent(history.recommendations), { atMs: now, replicas: recommendation }],
    ups: change > 0 ? [...recent(history.ups), { atMs: now, change }] : recent(history.ups),
    downs: change < 0 ? [...recent(history.downs), { atMs: now, change: -change }] : recent(history.downs),
  }
}
