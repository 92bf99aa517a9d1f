// One disk of a cloud can't be on a node twice, and a ReadWriteOncePod claim belongs to one pod. Upstream: plugins/volumerestrictions
import type { Volume } from '../../../lib/api/generated/types/core-v1.ts'
import { stateKey } from '../framework/cycle-state.ts'
import type { Copyable } from '../framework/cycle-state.ts'
import type { Plugin } from '../framework/plugin.ts'
import type { PodInfo } from '../framework/pod-info.ts'
import { skip, status } from '../framework/status.ts'
import { claimsOf } from './volume-claims.ts'

class Exclusive implements Copyable {
  readonly claims: ReadonlySet<string>
  /** Other pods on nodes that use one of the claims. */
  users: number
  constructor(claims: ReadonlySet<string>, users: number) { this.claims = claims; this.users = users }
  copy(): Exclusive { return new Exclusive(this.claims, this.users) }
  change(pod: PodInfo, changed: PodInfo, by: 1 | -1): void {
    if (changed.namespace !== pod.namespace) return
    for (const { persistentVolumeClaim } of changed.template.volumes) if (persistentVolumeClaim && this.claims.has(persistentVolumeClaim.claimName)) this.users += by
  }
}

const key = stateKey<Exclusive>('PreFilterVolumeRestrictions')
const diskRefusal = status('unschedulable', 'node(s) had no available disk')
const exclusiveRefusal = status('unschedulable', 'node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode')
const isDisk = (volume: Volume): boolean => Boolean(volume.gcePersistentDisk ?? volume.awsElasticBlockStore ?? volume.iscsi ?? volume.rbd)

export function volumeRestrictions(): Plugin {
  return {
    name: 'VolumeRestrictions',
    preFilter(state, pod, cluster) {
      const claims = new Set(claimsOf(pod, cluster.objects).filter(({ claim }) => claim?.spec.accessModes?.includes('ReadWriteOncePod')).map(({ name }) => name))
      if (claims.size === 0 && !pod.template.volumes.some(isDisk)) return { status: skip }
      let users = 0
      for (const name of claims) users += cluster.claimUsers(pod.namespace, name)
      state.write(key, new Exclusive(claims, users))
      return undefined
    },
    addPod: (state, pod, added) => state.read(key)?.change(pod, added, 1),
    removePod: (state, pod, removed) => state.read(key)?.change(pod, removed, -1),
    filter(state, pod, node) {
      const disks = pod.template.volumes.filter(isDisk)
      if (disks.length > 0) for (const other of node.pods.values()) for (const held of other.template.volumes) if (disks.some((disk) => conflicts(disk, held))) return diskRefusal
      return (state.read(key)?.users ?? 0) > 0 ? exclusiveRefusal : undefined
    },
    eventsToRegister: () => [{ resource: 'AssignedPod', action: 'Delete' }, { resource: 'Node', action: 'Add' }, { resource: 'PersistentVolumeClaim', action: 'Add' }, { resource: 'PersistentVolumeClaim', action: 'Update' }],
  }
}

/** Is it the same disk, and may one of the two write to it? */
function conflicts(a: Volume, b: Volume): boolean {
  if (a.gcePersistentDisk && b.gcePersistentDisk) return a.gcePersistentDisk.pdName === b.gcePersistentDisk.pdName && !(a.gcePersistentDisk.readOnly && b.gcePersistentDisk.readOnly)
  if (a.awsElasticBlockStore && b.awsElasticBlockStore) return a.awsElasticBlockStore.volumeID === b.awsElasticBlockStore.volumeID
  if (a.iscsi && b.iscsi) return a.iscsi.iqn === b.iscsi.iqn && !(a.iscsi.readOnly && b.iscsi.readOnly)
  if (a.rbd && b.rbd) {
    const other = b.rbd
    return a.rbd.monitors?.some((monitor) => other.monitors?.includes(monitor)) === true && (a.rbd.pool ?? 'rbd') === (other.pool ?? 'rbd') && a.rbd.image === other.image && !(a.rbd.readOnly && other.readOnly)
  }
  return false
}
