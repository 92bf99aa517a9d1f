// A node can attach only so many volumes of a CSI driver. Upstream: plugins/nodevolumelimits/csi.go
import type { ClusterObjects, ClusterView } from '../framework/cluster-view.ts'
import type { NodeInfo } from '../framework/node-info.ts'
import type { Plugin } from '../framework/plugin.ts'
import type { PodInfo } from '../framework/pod-info.ts'
import { skip, status } from '../framework/status.ts'
import { claimsOf, classOf, volumeOf } from './volume-claims.ts'

const refusal = status('unschedulable', 'node(s) exceed max volume count')

export function nodeVolumeLimits(): Plugin {
  return {
    name: 'NodeVolumeLimits',
    preFilter: (_state, { template }) => (template.volumes.some((v) => v.persistentVolumeClaim ?? v.ephemeral) ? undefined : { status: skip }),
    filter: (_state, pod, node, cluster) => (exceedsLimits(pod, node, cluster) ? refusal : undefined),
    eventsToRegister: () => [
      { resource: 'CSINode', action: 'Add' }, { resource: 'CSINode', action: 'Update' }, { resource: 'AssignedPod', action: 'Delete' }, { resource: 'PersistentVolumeClaim', action: 'Add' },
    ],
  }
}

function exceedsLimits(pod: PodInfo, node: NodeInfo, cluster: ClusterView): boolean {
  const limits = new Map<string, number>()
  for (const driver of cluster.objects.csiNode(node.name)?.spec.drivers ?? []) if (driver.allocatable?.count !== undefined) limits.set(driver.name, driver.allocatable.count)
  if (limits.size === 0) return false
  const wanted = csiVolumes(pod, cluster.objects)
  if (wanted.size === 0) return false
  const attached = new Map<string, string>()
  for (const other of node.pods.values()) for (const [handle, driver] of csiVolumes(other, cluster.objects)) attached.set(handle, driver)
  const counts = new Map<string, number>()
  for (const driver of attached.values()) counts.set(driver, (counts.get(driver) ?? 0) + 1)
  const added = new Map<string, number>()
  for (const [handle, driver] of wanted) if (!attached.has(handle)) added.set(driver, (added.get(driver) ?? 0) + 1)
  for (const [driver, more] of added) {
    const limit = limits.get(driver)
    if (limit !== undefined && (counts.get(driver) ?? 0) + more > limit) return true
  }
  return false
}

/** Volume → driver, of the pod's claims: the bound volume's, or the one its class will provision. */
function csiVolumes(pod: PodInfo, objects: ClusterObjects): ReadonlyMap<string, string> {
  const volumes = new Map<string, string>()
  for (const { name, claim } of claimsOf(pod, objects)) {
    if (!claim) continue
    const csi = volumeOf(claim, objects)?.spec.csi
    if (csi) { volumes.set(`${csi.driver}/${csi.volumeHandle}`, csi.driver); continue }
    const driver = claim.spec.volumeName ? undefined : objects.storageClass(classOf(claim))?.provisioner
    if (driver) volumes.set(`${driver}/${pod.namespace}/${name}`, driver)
  }
  return volumes
}
