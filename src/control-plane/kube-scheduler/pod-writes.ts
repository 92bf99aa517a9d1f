// All that the scheduler writes: bindings, the PodScheduled condition, nominations, victims' deletion, and volume bindings. Nothing else in the
// component changes the cluster. Upstream: kube-scheduler schedule_one.go (handleSchedulingFailure), util.PatchPodStatus, framework/preemption
import { formatTime, sleep } from '../../lib/base/clock.ts'
import type { Clock } from '../../lib/base/clock.ts'
import type { JsonObject } from '../../lib/base/json.ts'
import type { PersistentVolumeClaim, Pod } from '../../lib/api/generated/types/core-v1.ts'
import { hasReason } from '../../lib/client/api-error.ts'
import type { ApiClient } from '../../lib/client/api-client.ts'
import { persistentVolumeClaims, persistentVolumes, pods } from '../../lib/client/resource-keys.ts'
import type { BindingWorld, VolumePlan } from './framework/plugin.ts'
import type { ClusterObjects } from './framework/cluster-view.ts'
import { isFullyBound } from './plugins/volume-claims.ts'

const bindVolumesTimeoutMs = 600_000

export interface SchedulingFailure {
  readonly reason: 'Unschedulable' | 'SchedulerError'
  readonly message: string
  /** '' clears it, undefined leaves it. */
  readonly nominatedNode: string | undefined
}

export class PodWrites implements BindingWorld {
  readonly #client: ApiClient
  readonly #clock: Clock
  readonly #objects: ClusterObjects

  constructor(client: ApiClient, clock: Clock, objects: ClusterObjects) {
    this.#client = client
    this.#clock = clock
    this.#objects = objects
  }

  async bindPod(pod: Pod, nodeName: string, signal: AbortSignal): Promise<void> {
    const { namespace, name, uid } = pod.metadata
    const binding: JsonObject = { apiVersion: 'v1', kind: 'Binding', metadata: { namespace, name, uid }, target: { kind: 'Node', name: nodeName } }
    await this.#client.resource(pods).createSubresource(namespace ?? '', name, 'binding', binding, signal)
  }

  /** Writes the condition and the nomination where they differ from the pod's. @returns false when there was nothing to write */
  async reportFailure(pod: Pod, failure: SchedulingFailure, signal: AbortSignal): Promise<boolean> {
    const old = pod.status?.conditions?.find((c) => c.type === 'PodScheduled')
    const nominated = failure.nominatedNode
    const sameCondition = old?.status === 'False' && old.reason === failure.reason && old.message === failure.message && old.observedGeneration === pod.metadata.generation
    const sameNomination = nominated === undefined || nominated === (pod.status?.nominatedNodeName ?? '')
    if (sameCondition && sameNomination) return false
    const condition: JsonObject = {
      type: 'PodScheduled', status: 'False', reason: failure.reason, message: failure.message, lastProbeTime: null,
      lastTransitionTime: old?.status === 'False' && old.lastTransitionTime ? old.lastTransitionTime : formatTime(this.#clock.now()),
      ...pod.metadata.generation === undefined ? {} : { observedGeneration: pod.metadata.generation },
    }
    await this.#patchStatus(pod, { ...sameCondition ? {} : { conditions: [condition] }, ...sameNomination ? {} : { nominatedNodeName: nominated === '' ? null : nominated ?? null } }, signal)
    return true
  }

  async clearNomination(pod: Pod, signal: AbortSignal): Promise<void> { await this.#patchStatus(pod, { nominatedNodeName: null }, signal) }

  /** Says why on the victim, then deletes it. Absent victims are fine. */
  async evict(victim: Pod, preemptor: Pod, signal: AbortSignal): Promise<void> {
    if (victim.metadata.deletionTimestamp) return
    try {
      await this.#patchStatus(victim, { conditions: [{
        type: 'DisruptionTarget', status: 'True', reason: 'PreemptionByScheduler', message: `${preemptor.spec.schedulerName ?? ''}: preempting to accommodate a higher priority pod`,
        lastProbeTime: null, lastTransitionTime: formatTime(this.#clock.now()),
      }] }, signal)
      await this.#client.resource(pods).delete(victim.metadata.namespace ?? '', victim.metadata.name, { preconditions: { uid: victim.metadata.uid } }, signal)
    } catch (error) {
      if (!hasReason(error, 'NotFound', 'Conflict')) throw error
    }
  }

  async bindVolumes(pod: Pod, plan: VolumePlan, nodeName: string, signal: AbortSignal): Promise<void> {
    const namespace = pod.metadata.namespace ?? ''
    const claims: PersistentVolumeClaim[] = []
    for (const { claim, volume } of plan.bindings) {
      const found = this.#objects.claim(namespace, claim)
      if (!found) throw new Error(`persistentvolumeclaim "${claim}" not found`)
      claims.push(found)
      const claimRef = { apiVersion: 'v1', kind: 'PersistentVolumeClaim', namespace, name: claim, uid: found.metadata.uid }
      // Another pod's claim may have been given the volume since: the version decides.
      const resourceVersion = this.#objects.volume(volume)?.metadata.resourceVersion
      const metadata = { annotations: { 'pv.kubernetes.io/bound-by-controller': 'yes' }, ...resourceVersion === undefined ? {} : { resourceVersion } }
      if ((this.#objects.volume(volume)?.spec.claimRef?.uid ?? found.metadata.uid) !== found.metadata.uid) throw new Error(`persistentvolume "${volume}" has been given to another claim`)
      await this.#client.resource(persistentVolumes).patch('', volume, 'application/merge-patch+json', { metadata, spec: { claimRef } }, signal)
    }
    for (const name of plan.provision) {
      const found = this.#objects.claim(namespace, name)
      if (!found) throw new Error(`persistentvolumeclaim "${name}" not found`)
      claims.push(found)
      await this.#client.resource(persistentVolumeClaims).patch(namespace, name, 'application/merge-patch+json', { metadata: { annotations: { 'volume.kubernetes.io/selected-node': nodeName } } }, signal)
    }
    const deadline = this.#clock.monotonic() + bindVolumesTimeoutMs
    for (const { metadata: { name } } of claims) {
      for (let claim = this.#objects.claim(namespace, name); !claim || !isFullyBound(claim); claim = this.#objects.claim(namespace, name)) {
        if (!claim) throw new Error(`persistentvolumeclaim "${name}" not found`)
        if (this.#clock.monotonic() >= deadline) throw new Error(`timed out waiting for persistentvolumeclaim "${name}" to be bound`)
        await sleep(this.#clock, 500, signal)
      }
    }
  }

  async #patchStatus(pod: Pod, status: JsonObject, signal: AbortSignal): Promise<void> {
    const { namespace, name, uid } = pod.metadata
    await this.#client.resource(pods).patch(namespace ?? '', name, 'application/strategic-merge-patch+json', { metadata: { uid }, status }, signal, { subresource: 'status' })
  }
}
