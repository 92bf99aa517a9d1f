// The claims behind a pod's volumes: named ones, and those made for the pod itself. Upstream: component-helpers/storage/ephemeral
import type { PersistentVolume, PersistentVolumeClaim, Volume } from '../../../lib/api/generated/types/core-v1.ts'
import type { ClusterObjects } from '../framework/cluster-view.ts'
import type { PodInfo } from '../framework/pod-info.ts'

/** Name of the volume's claim, or undefined when it has none. */
export function claimNameOf(podName: string, volume: Volume): string | undefined {
  if (volume.persistentVolumeClaim) return volume.persistentVolumeClaim.claimName
  return volume.ephemeral ? `${podName}-${volume.name}` : undefined
}

export interface ClaimUse {
  readonly name: string
  readonly claim: PersistentVolumeClaim | undefined
  readonly ephemeral: boolean
}

export function claimsOf(pod: PodInfo, objects: Pick<ClusterObjects, 'claim'>): readonly ClaimUse[] {
  return pod.template.volumes.flatMap((volume) => {
    const name = claimNameOf(pod.pod.metadata.name, volume)
    return name === undefined ? [] : [{ name, claim: objects.claim(pod.namespace, name), ephemeral: volume.ephemeral !== undefined }]
  })
}

/** The class of a claim, also by the annotation of old. */
export function classOf(claim: PersistentVolumeClaim): string {
  return claim.metadata.annotations?.['volume.beta.kubernetes.io/storage-class'] ?? claim.spec.storageClassName ?? ''
}

/** The volume is bound to a volume, and both sides have said so. */
export function isFullyBound(claim: PersistentVolumeClaim): boolean {
  return (claim.spec.volumeName ?? '') !== '' && claim.metadata.annotations?.['pv.kubernetes.io/bind-completed'] !== undefined
}

/** The claim's binding waits until a pod that uses it has a node. */
export function bindsLate(claim: PersistentVolumeClaim, objects: Pick<ClusterObjects, 'storageClass'>): boolean {
  return objects.storageClass(classOf(claim))?.volumeBindingMode === 'WaitForFirstConsumer'
}

export function volumeOf(claim: PersistentVolumeClaim, objects: Pick<ClusterObjects, 'volume'>): PersistentVolume | undefined {
  return claim.spec.volumeName ? objects.volume(claim.spec.volumeName) : undefined
}
