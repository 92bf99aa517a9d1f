// A pod's claims must have, or be able to get, volumes that the node can reach. Claims that bind late are bound or provisioned for the chosen node
// before the pod is bound to it. Upstream: plugins/volumebinding
import type { Node, PersistentVolume, PersistentVolumeClaim } from '../../../lib/api/generated/types/core-v1.ts'
import type { StorageClass } from '../../../lib/api/generated/types/storage-v1.ts'
import type { ClusterObjects } from '../framework/cluster-view.ts'
import { stateKey } from '../framework/cycle-state.ts'
import { compileSelector, labelOf, matchesSelector } from '../framework/labels.ts'
import { compileNodeSelector, matchesAnyNodeTerm } from '../framework/node-selectors.ts'
import type { Plugin, VolumePlan } from '../framework/plugin.ts'
import { wholeValue } from '../framework/quantities.ts'
import { skip, status } from '../framework/status.ts'
import { bindsLate, claimsOf, classOf, isFullyBound } from './volume-claims.ts'

interface Claims {
  readonly bound: readonly PersistentVolumeClaim[]
  readonly late: readonly PersistentVolumeClaim[]
  /** node → what would be done there */
  readonly plans: Map<string, VolumePlan>
}

const key = stateKey<Claims>('VolumeBinding')
const noVolume = status('unresolvable', "node(s) didn't find available persistent volumes to bind")
const wrongNode = status('unresolvable', "node(s) didn't match PersistentVolume's node affinity")
const lostVolume = status('unresolvable', 'node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)')

export function volumeBinding(): Plugin {
  return {
    name: 'VolumeBinding',
    preFilter(state, pod, cluster) {
      const uses = claimsOf(pod, cluster.objects)
      if (uses.length === 0) return { status: skip }
      const bound: PersistentVolumeClaim[] = []
      const late: PersistentVolumeClaim[] = []
      let immediate = false
      for (const { name, claim, ephemeral } of uses) {
        if (!claim) return { status: status('unresolvable', ephemeral ? `waiting for ephemeral volume controller to create the persistentvolumeclaim "${name}"` : `persistentvolumeclaim "${name}" not found`) }
        if (claim.status?.phase === 'Lost') return { status: status('unresolvable', `persistentvolumeclaim "${name}" bound to non-existent persistentvolume "${claim.spec.volumeName ?? ''}"`) }
        if (claim.metadata.deletionTimestamp) return { status: status('unresolvable', `persistentvolumeclaim "${name}" is being deleted`) }
        if (ephemeral && !claim.metadata.ownerReferences?.some((owner) => owner.uid === pod.uid)) return { status: status('unresolvable', `PVC ${pod.namespace}/${name} was not created for pod ${pod.key} (pod is not owner)`) }
        if (isFullyBound(claim)) bound.push(claim)
        else if (bindsLate(claim, cluster.objects) && !claim.spec.volumeName) late.push(claim)
        else immediate = true
      }
      if (immediate) return { status: status('unresolvable', 'pod has unbound immediate PersistentVolumeClaims') }
      state.write(key, { bound, late, plans: new Map() })
      return undefined
    },
    filter(state, _pod, { node, name }, cluster) {
      const claims = state.read(key)
      if (!claims) return undefined
      for (const claim of claims.bound) {
        const volume = cluster.objects.volume(claim.spec.volumeName ?? '')
        if (!volume) return lostVolume
        if (!reaches(volume, node)) return wrongNode
      }
      if (claims.late.length === 0) return undefined
      const plan = planClaims(claims.late, node, cluster.objects)
      if (!plan) return noVolume
      claims.plans.set(name, plan)
      return undefined
    },
    async preBind(state, pod, nodeName, world, signal) {
      const plan = state.read(key)?.plans.get(nodeName)
      if (plan) await world.bindVolumes(pod.pod, plan, nodeName, signal)
      return undefined
    },
    eventsToRegister: () => [
      { resource: 'StorageClass', action: 'Add' }, { resource: 'StorageClass', action: 'Update' }, { resource: 'PersistentVolumeClaim', action: 'Add' }, { resource: 'PersistentVolumeClaim', action: 'Update' },
      { resource: 'PersistentVolume', action: 'Add' }, { resource: 'PersistentVolume', action: 'Update' }, { resource: 'Node', action: 'Add' }, { resource: 'Node', action: 'UpdateNodeLabel' }, { resource: 'CSINode', action: 'Add' },
    ],
  }
}

function reaches(volume: PersistentVolume, node: Node): boolean {
  const required = volume.spec.nodeAffinity?.required
  return required === undefined || matchesAnyNodeTerm(compileNodeSelector(required), node)
}

/** A volume for each claim, else provisioning; undefined when some claim can have neither on this node. */
function planClaims(claims: readonly PersistentVolumeClaim[], node: Node, objects: ClusterObjects): VolumePlan | undefined {
  const taken = new Set<string>()
  const bindings: { readonly claim: string; readonly volume: string }[] = []
  const provision: string[] = []
  for (const claim of claims) {
    const volume = findVolume(claim, node, objects, taken)
    const storageClass = objects.storageClass(classOf(claim))
    if (volume) {
      taken.add(volume.metadata.name)
      bindings.push({ claim: claim.metadata.name, volume: volume.metadata.name })
    } else if (storageClass && storageClass.provisioner !== 'kubernetes.io/no-provisioner' && allowsTopology(storageClass, node)) provision.push(claim.metadata.name)
    else return undefined
  }
  return { bindings, provision }
}

/** The smallest free volume that satisfies the claim and that the node reaches; one reserved for the claim comes first. */
function findVolume(claim: PersistentVolumeClaim, node: Node, objects: ClusterObjects, taken: ReadonlySet<string>): PersistentVolume | undefined {
  const asked = wholeValue(claim.spec.resources?.requests?.['storage'] ?? '0')
  const selector = claim.spec.selector && compileSelector(claim.spec.selector)
  let best: PersistentVolume | undefined
  let bestSize = Number.MAX_VALUE
  for (const volume of objects.volumes()) {
    const { spec, metadata } = volume
    const size = wholeValue(spec.capacity?.['storage'] ?? '0')
    if (taken.has(metadata.name) || metadata.deletionTimestamp || size < asked) continue
    if ((spec.volumeMode ?? 'Filesystem') !== (claim.spec.volumeMode ?? 'Filesystem')) continue
    if (!(claim.spec.accessModes ?? []).every((mode) => spec.accessModes?.includes(mode))) continue
    if (!reaches(volume, node)) continue
    if (spec.claimRef) {
      const ref = spec.claimRef
      if (ref.name === claim.metadata.name && ref.namespace === claim.metadata.namespace && (!ref.uid || ref.uid === claim.metadata.uid)) return volume
      continue
    }
    if (volume.status?.phase !== undefined && volume.status.phase !== 'Available') continue
    if ((spec.storageClassName ?? '') !== classOf(claim) || (selector && !matchesSelector(selector, metadata.labels))) continue
    if (size < bestSize) { best = volume; bestSize = size }
  }
  return best
}

function allowsTopology(storageClass: StorageClass, node: Node): boolean {
  const terms = storageClass.allowedTopologies ?? []
  return terms.length === 0 || terms.some((term) => (term.matchLabelExpressions ?? []).every(({ key: label, values }) => {
    const value = labelOf(node.metadata.labels, label)
    return value !== undefined && (values ?? []).includes(value)
  }))
}
