// persistentvolume-binder-controller: brings claims and volumes together, the smallest volume that is enough for each claim; tells external provisioners
// which claims wait for them; releases volumes whose claim is gone.
//
// A binding is four writes (volume, its status, claim, its status), one a sync; each can be seen from the objects, so a crash between two of them is
// picked up where it was. Upstream: kubernetes/pkg/controller/volume/persistentvolume
import { compareQuantities, parseQuantity } from '../../../lib/apimachinery/quantity.ts'
import { matches } from '../../../lib/apimachinery/label-selector.ts'
import type { PersistentVolume, PersistentVolumeClaim } from '../../../lib/api/generated/types/core-v1.ts'
import type { StorageClass } from '../../../lib/api/generated/types/storage-v1.ts'
import { formatTime } from '../../../lib/base/clock.ts'
import { apiVersionOf, objectKey, splitObjectKey } from '../../../lib/client/object-references.ts'
import { persistentVolumeClaims, persistentVolumes, storageClasses } from '../../../lib/client/resource-keys.ts'
import { aboutObject, inOrder, update, updateStatus, watch } from './shared/controller.ts'
import type { Controller, Plan, PlannedEvent } from './shared/controller.ts'
import { readSelector } from './shared/selectors.ts'

export interface ObservedClaim {
  readonly kind: 'claim'
  readonly claim: PersistentVolumeClaim
  readonly volumes: readonly PersistentVolume[]
  readonly storageClass: StorageClass | undefined
  /** The events of this claim were told of already. */
  readonly memory: string | undefined
}

export interface ObservedVolume {
  readonly kind: 'volume'
  readonly now: number
  readonly volume: PersistentVolume
  readonly claim: PersistentVolumeClaim | undefined
}

const bindCompleted = 'pv.kubernetes.io/bind-completed'
const boundByController = 'pv.kubernetes.io/bound-by-controller'
const provisionerAnnotation = 'volume.kubernetes.io/storage-provisioner'
const betaProvisionerAnnotation = 'volume.beta.kubernetes.io/storage-provisioner'
const selectedNode = 'volume.kubernetes.io/selected-node'

export function classNameOf(object: PersistentVolume | PersistentVolumeClaim): string {
  return object.metadata.annotations?.['volume.beta.kubernetes.io/storage-class'] ?? object.spec?.storageClassName ?? ''
}

export function syncVolumeBinding(observed: ObservedClaim | ObservedVolume): Plan<string> {
  return observed.kind === 'claim' ? syncClaim(observed) : syncVolume(observed)
}

function isBoundTo(volume: PersistentVolume, claim: PersistentVolumeClaim): boolean {
  const reference = volume.spec?.claimRef
  return reference?.name === claim.metadata.name && reference.namespace === claim.metadata.namespace && (!reference.uid || reference.uid === claim.metadata.uid)
}

function syncClaim({ claim, volumes, storageClass, memory }: ObservedClaim): Plan<string> {
  if (claim.metadata.deletionTimestamp !== undefined && !claim.spec?.volumeName) return {}
  if (claim.metadata.annotations?.[bindCompleted] !== undefined) return syncBoundClaim(claim, volumes)
  const named = claim.spec?.volumeName
  if (named) {
    const volume = volumes.find((other) => other.metadata.name === named)
    // The user chose a volume that is not there, or not free: wait for it.
    if (!volume || (volume.spec?.claimRef && !isBoundTo(volume, claim))) return pendingPlan(claim)
    return bind(claim, volume)
  }
  const delayed = storageClass?.volumeBindingMode === 'WaitForFirstConsumer' && claim.metadata.annotations?.[selectedNode] === undefined
  const reserved = volumes.find((volume) => volume.spec?.claimRef && isBoundTo(volume, claim) && fits(volume, claim))
  const best = reserved ?? (delayed ? undefined : findBest(volumes, claim))
  if (best) return bind(claim, best)
  const tell = (type: 'Normal' | 'Warning', reason: string, message: string): Plan<string> => {
    const event: PlannedEvent = { about: aboutObject(persistentVolumeClaims, claim), type, reason, message }
    return { ...pendingPlan(claim), memory: message, events: memory === message ? [] : [event] }
  }
  if (delayed) return tell('Normal', 'WaitForFirstConsumer', 'waiting for first consumer to be created before binding')
  const provisioner = storageClass?.provisioner
  if (classNameOf(claim) === '') return tell('Normal', 'FailedBinding', 'no persistent volumes available for this claim and no storage class is set')
  if (!provisioner) return tell('Warning', 'ProvisioningFailed', `storageclass.storage.k8s.io "${classNameOf(claim)}" not found`)
  if (provisioner === 'kubernetes.io/no-provisioner') return tell('Normal', 'FailedBinding', 'no persistent volumes available for this claim and no storage class is set')
  if (claim.metadata.annotations?.[provisionerAnnotation] !== provisioner) {
    const annotations = { ...claim.metadata.annotations, [provisionerAnnotation]: provisioner, [betaProvisionerAnnotation]: provisioner }
    return { steps: inOrder(update(persistentVolumeClaims, { ...claim, metadata: { ...claim.metadata, annotations } })) }
  }
  return tell('Normal', 'ExternalProvisioning', `Waiting for a volume to be created either by the external provisioner '${provisioner}' or manually by the system administrator. If volume creation is delayed, please verify that the provisioner is running and correctly registered.`)
}

function pendingPlan(claim: PersistentVolumeClaim): Plan<string> {
  return claim.status?.phase === 'Pending' ? {} : { steps: inOrder(updateStatus(persistentVolumeClaims, { ...claim, status: { ...claim.status, phase: 'Pending' } })) }
}

/** The smallest volume that is free and enough; one reserved for the claim by name counts as free. */
function findBest(volumes: readonly PersistentVolume[], claim: PersistentVolumeClaim): PersistentVolume | undefined {
  return volumes.filter((volume) => !volume.spec?.claimRef && volume.metadata.deletionTimestamp === undefined && fits(volume, claim))
    .toSorted((a, b) => compareCapacity(a, b) || (a.metadata.name < b.metadata.name ? -1 : 1))[0]
}

function compareCapacity(a: PersistentVolume, b: PersistentVolume): number {
  const [x, y] = [parseQuantity(a.spec?.capacity?.['storage'] ?? '0'), parseQuantity(b.spec?.capacity?.['storage'] ?? '0')]
  return x && y ? compareQuantities(x, y) : 0
}

function fits(volume: PersistentVolume, claim: PersistentVolumeClaim): boolean {
  const wanted = parseQuantity(claim.spec?.resources?.requests?.['storage'] ?? '0')
  const capacity = parseQuantity(volume.spec?.capacity?.['storage'] ?? '0')
  const selector = claim.spec?.selector
  return wanted !== undefined && capacity !== undefined && compareQuantities(capacity, wanted) >= 0 && classNameOf(volume) === classNameOf(claim)
    && (volume.spec?.volumeMode ?? 'Filesystem') === (claim.spec?.volumeMode ?? 'Filesystem') && (claim.spec?.accessModes ?? []).every((mode) => volume.spec?.accessModes?.includes(mode))
    && (selector === undefined || matches(readSelector(selector), volume.metadata.labels)) && (volume.spec?.volumeAttributesClassName ?? '') === (claim.spec?.volumeAttributesClassName ?? '')
}

/** The next of the writes that make the two one. */
function bind(claim: PersistentVolumeClaim, volume: PersistentVolume): Plan<string> {
  const { name, namespace = '', uid, resourceVersion } = claim.metadata
  if (volume.spec?.claimRef?.uid !== uid) {
    const annotations = volume.spec?.claimRef ? volume.metadata.annotations : { ...volume.metadata.annotations, [boundByController]: 'yes' }
    const claimRef = { kind: 'PersistentVolumeClaim', apiVersion: apiVersionOf(persistentVolumeClaims), name, namespace, uid, resourceVersion }
    return { steps: inOrder(update(persistentVolumes, { ...volume, metadata: { ...volume.metadata, ...(annotations ? { annotations } : {}) }, spec: { ...volume.spec, claimRef } })) }
  }
  if (volume.status?.phase !== 'Bound') return { steps: inOrder(updateStatus(persistentVolumes, { ...volume, status: { ...volume.status, phase: 'Bound' } })) }
  const annotations = { ...claim.metadata.annotations, [bindCompleted]: 'yes', ...(claim.spec?.volumeName ? {} : { [boundByController]: 'yes' }) }
  return { steps: inOrder(update(persistentVolumeClaims, { ...claim, metadata: { ...claim.metadata, annotations }, spec: { ...claim.spec, volumeName: volume.metadata.name } } as PersistentVolumeClaim)) } // cast: spec is there, the claim was read from the server
}

function syncBoundClaim(claim: PersistentVolumeClaim, volumes: readonly PersistentVolume[]): Plan<string> {
  const volume = volumes.find((other) => other.metadata.name === claim.spec?.volumeName)
  const lost = (message: string, reason: string): Plan<string> => (claim.status?.phase === 'Lost' ? {} : {
    events: [{ about: aboutObject(persistentVolumeClaims, claim), type: 'Warning', reason, message }],
    steps: inOrder(updateStatus(persistentVolumeClaims, { ...claim, status: { phase: 'Lost' } })),
  })
  if (!claim.spec?.volumeName) return lost('Bound claim has lost reference to PersistentVolume. Data on the volume is lost!', 'ClaimLost')
  if (!volume) return lost('Bound claim has lost its PersistentVolume. Data on the volume is lost!', 'ClaimLost')
  if (volume.spec?.claimRef && volume.spec.claimRef.uid !== claim.metadata.uid) return lost('Two claims are bound to the same volume, this one is bound incorrectly', 'ClaimMisbound')
  if (!volume.spec?.claimRef || volume.status?.phase !== 'Bound') return bind(claim, volume)
  if (claim.status?.phase === 'Bound') return {}
  const status = { ...claim.status, phase: 'Bound', accessModes: volume.spec.accessModes ?? [], ...(volume.spec.capacity ? { capacity: volume.spec.capacity } : {}) }
  return { steps: inOrder(updateStatus(persistentVolumeClaims, { ...claim, status })) }
}

function syncVolume({ volume, claim, now }: ObservedVolume): Plan<string> {
  const reference = volume.spec?.claimRef
  const phase = !reference || !reference.uid ? 'Available' : !claim || claim.metadata.uid !== reference.uid ? 'Released' : undefined
  // Bound, or on its way: the claim's sync writes that.
  if (phase === undefined || volume.status?.phase === phase || volume.status?.phase === 'Failed') return {}
  return { steps: inOrder(updateStatus(persistentVolumes, { ...volume, status: { ...volume.status, phase, lastPhaseTransitionTime: formatTime(now) } }, { tolerates: ['NotFound'] })) }
}

export function createPersistentVolumeBinder(): Controller<ObservedClaim | ObservedVolume, string> {
  const claimKey = (claim: PersistentVolumeClaim): string => `claim/${objectKey(claim)}`
  return {
    name: 'persistentvolume-binder-controller',
    component: 'persistentvolume-controller',
    // Two claims must not choose the same volume from the same view.
    concurrency: 1,
    watches: [
      watch({
        resource: persistentVolumeClaims,
        keysOf: (claim, view) => [claimKey(claim), ...(claim.spec?.volumeName && view.get(persistentVolumes, '', claim.spec.volumeName) ? [`volume/${claim.spec.volumeName}`] : [])],
      }),
      watch({
        resource: persistentVolumes,
        keysOf: (volume, view) => {
          const reference = volume.spec?.claimRef
          const waiting = reference ? [`claim/${reference.namespace ?? ''}/${reference.name ?? ''}`] : view.list(persistentVolumeClaims).filter((claim) => !claim.metadata.annotations?.[bindCompleted] && classNameOf(claim) === classNameOf(volume)).map(claimKey)
          return [`volume/${volume.metadata.name}`, ...waiting]
        },
      }),
      watch({ resource: storageClasses, keysOf: (found, view) => view.list(persistentVolumeClaims).filter((claim) => classNameOf(claim) === found.metadata.name && claim.status?.phase !== 'Bound').map(claimKey) }),
    ],
    observe(key, view, { now, memory }) {
      const rest = key.slice(key.indexOf('/') + 1)
      if (key.startsWith('volume/')) {
        const volume = view.get(persistentVolumes, '', rest)
        const reference = volume?.spec?.claimRef
        return volume && { kind: 'volume', now, volume, claim: reference ? view.get(persistentVolumeClaims, reference.namespace ?? '', reference.name ?? '') : undefined }
      }
      const { namespace, name } = splitObjectKey(rest)
      const claim = view.get(persistentVolumeClaims, namespace, name)
      return claim && { kind: 'claim', claim, volumes: view.list(persistentVolumes), storageClass: view.get(storageClasses, '', classNameOf(claim)), memory }
    },
    sync: syncVolumeBinding,
  }
}
