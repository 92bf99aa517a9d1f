// What controllers ask of a pod: does it count, is it ready, since when, is it available. Upstream: kubernetes/pkg/api/v1/pod, pkg/controller/controller_utils.go
import type { Pod, PodCondition } from '../../../../lib/api/generated/types/core-v1.ts'

/** Milliseconds since the epoch of an RFC 3339 time; NaN when absent. */
export function timeOf(text: string | undefined): number { return text === undefined ? Number.NaN : Date.parse(text) }

export function isPodTerminal(pod: Pod): boolean { return pod.status.phase === 'Succeeded' || pod.status.phase === 'Failed' }

/** Counts towards the desired number: neither finished nor being deleted. */
export function isPodActive(pod: Pod): boolean { return !isPodTerminal(pod) && pod.metadata.deletionTimestamp === undefined }

/** Being deleted, its containers not yet finished. */
export function isPodTerminating(pod: Pod): boolean { return !isPodTerminal(pod) && pod.metadata.deletionTimestamp !== undefined }

export function podReadyCondition(pod: Pod): PodCondition | undefined { return pod.status.conditions?.find((condition) => condition.type === 'Ready') }

export function isPodReady(pod: Pod): boolean { return podReadyCondition(pod)?.status === 'True' }

/** Ready for at least `minReadySeconds`. */
export function isPodAvailable(pod: Pod, minReadySeconds: number, now: number): boolean {
  const ready = podReadyCondition(pod)
  if (ready?.status !== 'True') return false
  if (minReadySeconds === 0) return true
  const since = timeOf(ready.lastTransitionTime)
  return !Number.isNaN(since) && since + minReadySeconds * 1000 <= now
}

/** Milliseconds until the first of the ready but not yet available pods becomes available; undefined when there is none. */
export function untilNextAvailableMs(pods: readonly Pod[], minReadySeconds: number, now: number): number | undefined {
  let soonest: number | undefined
  for (const pod of pods) {
    const ready = podReadyCondition(pod)
    if (ready?.status !== 'True' || isPodAvailable(pod, minReadySeconds, now)) continue
    const leftMs = timeOf(ready.lastTransitionTime) + minReadySeconds * 1000 - now
    if (!Number.isNaN(leftMs) && (soonest === undefined || leftMs < soonest)) soonest = leftMs
  }
  return soonest
}

/** Most restarts of any container. */
export function maxRestarts(pod: Pod): number {
  return Math.max(0, ...(pod.status.containerStatuses ?? []).map((status) => status.restartCount))
}
