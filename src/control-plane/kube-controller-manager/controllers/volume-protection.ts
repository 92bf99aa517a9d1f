// persistentvolumeclaim-protection-controller and persistentvolume-protection-controller: what is in use cannot go. A claim keeps its finalizer while a pod
// uses it, a volume while it is bound to a claim. Upstream: kubernetes/pkg/controller/volume/{pvcprotection,pvprotection}
import type { PersistentVolume, PersistentVolumeClaim, Pod } from '../../../lib/api/generated/types/core-v1.ts'
import type { ApiObject, ResourceKey } from '../../../lib/client/api-client.ts'
import { isControlledBy, objectKey, splitObjectKey } from '../../../lib/client/object-references.ts'
import { persistentVolumeClaims, persistentVolumes, pods } from '../../../lib/client/resource-keys.ts'
import { inOrder, update, watch } from './shared/controller.ts'
import type { Controller, Plan } from './shared/controller.ts'
import { isPodTerminal } from './shared/pod-state.ts'

const claimFinalizer = 'kubernetes.io/pvc-protection'
const volumeFinalizer = 'kubernetes.io/pv-protection'

/** Puts the finalizer on while the object stays, and takes it off when the object is to go and nobody uses it. */
export function syncProtection<T extends ApiObject>(key: ResourceKey<T>, object: T, finalizer: string, used: boolean): Plan {
  const finalizers = object.metadata.finalizers ?? []
  const has = finalizers.includes(finalizer)
  const leaving = object.metadata.deletionTimestamp !== undefined
  if (leaving ? !has || used : has) return {}
  const next = leaving ? finalizers.filter((other) => other !== finalizer) : [...finalizers, finalizer]
  return { steps: inOrder(update(key, { ...object, metadata: { ...object.metadata, finalizers: next } }, { tolerates: ['NotFound'] })) }
}

/** Claims that a pod uses: those it names, and those made for its ephemeral volumes. */
function claimNamesOf(pod: Pod): readonly string[] {
  return (pod.spec.volumes ?? []).flatMap((volume) => (volume.persistentVolumeClaim ? [volume.persistentVolumeClaim.claimName] : volume.ephemeral ? [`${pod.metadata.name}-${volume.name}`] : []))
}

export function createClaimProtectionController(): Controller<{ readonly claim: PersistentVolumeClaim, readonly users: readonly Pod[] }> {
  const keysOfPod = (pod: Pod): readonly string[] => claimNamesOf(pod).map((name) => `${pod.metadata.namespace ?? ''}/${name}`)
  return {
    name: 'persistentvolumeclaim-protection-controller',
    watches: [
      watch({ resource: persistentVolumeClaims, keysOf: (claim) => [objectKey(claim)] }),
      watch({ resource: pods, indexes: { claim: keysOfPod }, keysOf: keysOfPod }),
    ],
    observe(key, view) {
      const { namespace, name } = splitObjectKey(key)
      const claim = view.get(persistentVolumeClaims, namespace, name)
      return claim && { claim, users: view.byIndex(pods, 'claim', key) }
    },
    sync: ({ claim, users }) => syncProtection(persistentVolumeClaims, claim, claimFinalizer, users.some((pod) => {
      const ephemeral = pod.spec.volumes?.some((volume) => volume.ephemeral && `${pod.metadata.name}-${volume.name}` === claim.metadata.name)
      return !isPodTerminal(pod) && Boolean(pod.spec.nodeName) && (!ephemeral || isControlledBy(claim, pod))
    })),
  }
}

export function createVolumeProtectionController(): Controller<PersistentVolume> {
  return {
    name: 'persistentvolume-protection-controller',
    watches: [watch({ resource: persistentVolumes, keysOf: (volume) => [volume.metadata.name] })],
    observe: (key, view) => view.get(persistentVolumes, '', key),
    sync: (volume) => syncProtection(persistentVolumes, volume, volumeFinalizer, volume.status?.phase === 'Bound'),
  }
}
