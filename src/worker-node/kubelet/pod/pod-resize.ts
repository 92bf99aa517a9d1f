// Resources changed in place: what differs between a running container and its spec, whether it can be changed while it runs, whether the node has
// the room. Pure.
// Upstream: pkg/kubelet/kuberuntime/kuberuntime_manager.go (computePodResizeAction), pkg/kubelet/allocation
import { quantityMilli, quantityValue } from './quantity-value.ts'
import { milliToQuota, milliToShares, podRequests, resourceNumber } from './pod-resources.ts'
import { isTerminalPhase } from './pod-facts.ts'
import type { RuntimeContainer } from '../runtime/runtime-status.ts'
import type { Container, Pod } from '../../../lib/api/generated/types/core-v1.ts'

export type ResizeNeed = 'none' | 'update' | 'restart'

/** What has to be done to give a running container the resources of its spec. */
export function resizeNeed(container: Container, running: RuntimeContainer): ResizeNeed {
  const actual = running.resources?.linux
  if (!actual) return 'none'
  const { limits, requests } = container.resources ?? {}
  const cpuLimit = quantityMilli(limits?.['cpu'])
  const shares = milliToShares(requests?.['cpu'] === undefined ? cpuLimit : quantityMilli(requests['cpu']))
  const cpuChanged = (actual.cpuShares ?? shares) !== shares || (actual.cpuQuota ?? 0) > 0 !== cpuLimit > 0 || ((actual.cpuQuota ?? 0) > 0 && actual.cpuQuota !== milliToQuota(cpuLimit))
  const memoryChanged = (actual.memoryLimitInBytes ?? 0) !== quantityValue(limits?.['memory'])
  if (!cpuChanged && !memoryChanged) return 'none'
  const restarts = (resource: string): boolean => (container.resizePolicy ?? []).some((p) => p.resourceName === resource && p.restartPolicy === 'RestartContainer')
  return (cpuChanged && restarts('cpu')) || (memoryChanged && restarts('memory')) ? 'restart' : 'update'
}

export interface ResizeRefusal { readonly reason: 'Infeasible' | 'Deferred'; readonly message: string }

/** Why the node can't give the pod what its spec now asks for: never (Infeasible), or not yet (Deferred). */
export function checkResizeFits(pod: Pod, others: readonly Pod[], allocatable: { readonly [resource: string]: string }): ResizeRefusal | undefined {
  const alive = others.filter((p) => p.metadata.uid !== pod.metadata.uid && !isTerminalPhase(p.status?.phase))
  for (const [resource, requested] of Object.entries(podRequests(pod))) {
    if (resource !== 'cpu' && resource !== 'memory') continue
    const capacity = resourceNumber(resource, allocatable[resource] ?? '0')
    if (requested > capacity) return { reason: 'Infeasible', message: `Node didn't have enough capacity: ${resource}, requested: ${requested}, capacity: ${capacity}` }
    const used = alive.reduce((sum, p) => sum + (podRequests(p)[resource] ?? 0), 0)
    if (used + requested > capacity) return { reason: 'Deferred', message: `Node didn't have enough resource: ${resource}, requested: ${requested}, used: ${used}, capacity: ${capacity}` }
  }
  return undefined
}
