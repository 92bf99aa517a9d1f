// kubectl describe of PersistentVolumes, claims, StorageClasses, CSINodes and VolumeAttributesClasses. Upstream: kubectl/pkg/describe
import { translateTimestampSince } from '../../../lib/apimachinery/duration.ts'
import type { PersistentVolume, PersistentVolumeClaim, Pod } from '../../../lib/api/generated/types/core-v1.ts'
import type { CSINode, StorageClass, VolumeAttributesClass } from '../../../lib/api/generated/types/storage-v1.ts'
import { formatLabels } from '../printers/table-printer.ts'
import { DescribeWriter, boolOrUnset, formatLongTime } from './describe-writer.ts'
import type { DescribeWorld } from './describer.ts'
import { listAll, writeEventsOf } from './describer.ts'
import { accessModesText, describeVolumeSource } from './volumes.ts'

const betaClassAnnotation = 'volume.beta.kubernetes.io/storage-class'
const goList = (texts: readonly string[] | undefined): string => `[${(texts ?? []).join(' ')}]`

interface Requirement { readonly key: string; readonly operator?: string; readonly values?: readonly string[] }
const formatRequirement = (r: Requirement): string => `${r.key} ${(r.operator ?? 'In').toLowerCase()}${r.values && r.values.length > 0 ? ` [${r.values.join(', ')}]` : ''}`

export async function describePersistentVolume(world: DescribeWorld, volume: PersistentVolume): Promise<string> {
  const { metadata, spec, status } = volume
  const out = new DescribeWriter()
  out.line(0, `Name:\t${metadata.name}`)
  out.labels('Labels', metadata.labels)
  out.annotations('Annotations', metadata.annotations)
  out.line(0, `Finalizers:\t${goList(metadata.finalizers)}`)
  out.line(0, `StorageClass:\t${metadata.annotations?.[betaClassAnnotation] ?? spec.storageClassName ?? ''}`)
  out.line(0, metadata.deletionTimestamp ? `Status:\tTerminating (lasts ${translateTimestampSince(metadata.deletionTimestamp, world.nowMs)})` : `Status:\t${status.phase ?? ''}`)
  out.line(0, `Claim:\t${spec.claimRef ? `${spec.claimRef.namespace ?? ''}/${spec.claimRef.name ?? ''}` : ''}`)
  out.line(0, `Reclaim Policy:\t${spec.persistentVolumeReclaimPolicy ?? ''}`)
  out.line(0, `Access Modes:\t${accessModesText(spec.accessModes)}`)
  if (spec.volumeMode) out.line(0, `VolumeMode:\t${spec.volumeMode}`)
  out.line(0, `Capacity:\t${spec.capacity?.['storage'] ?? '0'}`)
  const required = spec.nodeAffinity?.required
  out.line(0, `Node Affinity:\t${required ? '' : '<none>'}`)
  if (required) {
    const terms = required.nodeSelectorTerms ?? []
    out.line(1, `Required Terms:\t${terms.length === 0 ? '<none>' : ''}`)
    terms.forEach((term, i) => out.list(`Term ${i}`, (term.matchExpressions ?? []).map(formatRequirement), '    '))
  }
  out.line(0, `Message:\t${status.message ?? ''}`)
  out.line(0, 'Source:')
  describeVolumeSource(out, spec)
  await writeEventsOf(out, world, 'PersistentVolume', volume)
  return out.aligned()
}

export async function describePersistentVolumeClaim(world: DescribeWorld, claim: PersistentVolumeClaim): Promise<string> {
  const { metadata, spec, status } = claim
  const pods = await listAll<Pod>(world, `/api/v1/namespaces/${metadata.namespace ?? ''}/pods`)
  const owners = new Set((metadata.ownerReferences ?? []).filter((o) => o.kind === 'Pod').map((o) => o.uid))
  const users = pods.filter((p) => owners.has(p.metadata.uid) || (p.spec.volumes ?? []).some((v) => v.persistentVolumeClaim?.claimName === metadata.name))
  const out = new DescribeWriter()
  out.line(0, `Name:\t${metadata.name}`)
  out.line(0, `Namespace:\t${metadata.namespace ?? ''}`)
  out.line(0, `StorageClass:\t${metadata.annotations?.[betaClassAnnotation] ?? spec.storageClassName ?? ''}`)
  out.line(0, metadata.deletionTimestamp ? `Status:\tTerminating (lasts ${translateTimestampSince(metadata.deletionTimestamp, world.nowMs)})` : `Status:\t${status.phase ?? ''}`)
  out.line(0, `Volume:\t${spec.volumeName ?? ''}`)
  out.labels('Labels', metadata.labels)
  out.annotations('Annotations', metadata.annotations)
  out.line(0, `Finalizers:\t${goList(metadata.finalizers)}`)
  out.line(0, `Capacity:\t${spec.volumeName ? (status.capacity?.['storage'] ?? '0') : ''}`)
  out.line(0, `Access Modes:\t${spec.volumeName ? accessModesText(status.accessModes) : ''}`)
  if (spec.volumeMode) out.line(0, `VolumeMode:\t${spec.volumeMode}`)
  if (spec.dataSource) {
    out.line(0, 'DataSource:')
    if (spec.dataSource.apiGroup !== undefined) out.line(1, `APIGroup:\t${spec.dataSource.apiGroup}`)
    out.line(1, `Kind:\t${spec.dataSource.kind}`)
    out.line(1, `Name:\t${spec.dataSource.name}`)
  }
  out.list('Used By', users.map((p) => p.metadata.name).sort())
  if (status.conditions && status.conditions.length > 0) {
    out.line(0, 'Conditions:')
    out.line(1, 'Type\tStatus\tLastProbeTime\tLastTransitionTime\tReason\tMessage')
    out.line(1, '----\t------\t-----------------\t------------------\t------\t-------')
    for (const c of status.conditions) out.line(1, `${c.type} \t${c.status} \t${formatLongTime(c.lastProbeTime)} \t${formatLongTime(c.lastTransitionTime)} \t${c.reason ?? ''} \t${c.message ?? ''}`)
  }
  await writeEventsOf(out, world, 'PersistentVolumeClaim', claim)
  return out.aligned()
}

export async function describeStorageClass(world: DescribeWorld, storage: StorageClass): Promise<string> {
  const { metadata } = storage
  const annotations = metadata.annotations ?? {}
  const isDefault = annotations['storageclass.kubernetes.io/is-default-class'] === 'true' || annotations['storageclass.beta.kubernetes.io/is-default-class'] === 'true'
  const out = new DescribeWriter()
  out.line(0, `Name:\t${metadata.name}`)
  out.line(0, `IsDefaultClass:\t${isDefault ? 'Yes' : 'No'}`)
  out.line(0, `Annotations:\t${formatLabels(annotations)}`)
  out.line(0, `Provisioner:\t${storage.provisioner}`)
  out.line(0, `Parameters:\t${formatLabels(storage.parameters)}`)
  out.line(0, `AllowVolumeExpansion:\t${boolOrUnset(storage.allowVolumeExpansion)}`)
  const options = storage.mountOptions ?? []
  out.line(0, `MountOptions:${options.length === 0 ? '\t<none>' : ''}`)
  for (const option of options) out.line(1, option)
  if (storage.reclaimPolicy) out.line(0, `ReclaimPolicy:\t${storage.reclaimPolicy}`)
  if (storage.volumeBindingMode) out.line(0, `VolumeBindingMode:\t${storage.volumeBindingMode}`)
  if (storage.allowedTopologies) {
    out.line(0, `AllowedTopologies:\t${storage.allowedTopologies.length === 0 ? '<none>' : ''}`)
    storage.allowedTopologies.forEach((term, i) => out.list(`Term ${i}`, (term.matchLabelExpressions ?? []).map(formatRequirement), '  '))
  }
  await writeEventsOf(out, world, 'StorageClass', storage)
  return out.aligned()
}

export async function describeVolumeAttributesClass(world: DescribeWorld, attributes: VolumeAttributesClass): Promise<string> {
  const out = new DescribeWriter()
  out.line(0, `Name:\t${attributes.metadata.name}`)
  out.line(0, `Annotations:\t${formatLabels(attributes.metadata.annotations)}`)
  out.line(0, `DriverName:\t${attributes.driverName}`)
  out.line(0, `Parameters:\t${formatLabels(attributes.parameters)}`)
  await writeEventsOf(out, world, 'VolumeAttributesClass', attributes)
  return out.aligned()
}

export async function describeCsiNode(world: DescribeWorld, node: CSINode): Promise<string> {
  const { metadata, spec } = node
  const out = new DescribeWriter()
  out.line(0, `Name:\t${metadata.name}`)
  out.labels('Labels', metadata.labels)
  out.annotations('Annotations', metadata.annotations)
  out.line(0, `CreationTimestamp:\t${formatLongTime(metadata.creationTimestamp)}`)
  out.line(0, 'Spec:')
  if (spec.drivers) {
    out.line(1, 'Drivers:')
    for (const driver of spec.drivers) {
      out.line(2, `${driver.name}:`)
      out.line(3, `Node ID:\t${driver.nodeID}`)
      if (driver.allocatable?.count !== undefined) {
        out.line(3, 'Allocatables:')
        out.line(4, `Count:\t${driver.allocatable.count}`)
      }
      if (driver.topologyKeys) out.line(3, `Topology Keys:\t${goList(driver.topologyKeys)}`)
    }
  }
  await writeEventsOf(out, world, 'CSINode', node)
  return out.aligned()
}
