// Volumes, claims, classes and drivers. Upstream: pkg/printers/internalversion/printers.go
import type { PersistentVolume, PersistentVolumeClaim } from '../generated/types/core-v1.ts'
import type { CSIDriver, CSINode, CSIStorageCapacity, StorageClass, VolumeAttachment, VolumeAttributesClass } from '../generated/types/storage-v1.ts'
import type { ObjectMeta } from '../generated/types/meta-v1.ts'
import { ageColumn, ageOf, boolean, integer, nameColumn, printerFor, text, type Printer } from './printer.ts'

const shortModes: readonly (readonly [string, string])[] = [['ReadWriteOnce', 'RWO'], ['ReadOnlyMany', 'ROX'], ['ReadWriteMany', 'RWX'], ['ReadWriteOncePod', 'RWOP']]
const formatAccessModes = (modes: readonly string[] | undefined): string => shortModes.filter(([mode]) => modes?.includes(mode)).map(([, short]) => short).join(',')
const classAnnotation = 'volume.beta.kubernetes.io/storage-class'
const classOf = (metadata: ObjectMeta, name: string | undefined): string => metadata.annotations?.[classAnnotation] ?? name ?? ''

const persistentVolume = printerFor<PersistentVolume>(
  [
    nameColumn, text('Capacity', 'Its size.'), text('Access Modes', 'How it may be mounted.'), text('Reclaim Policy', 'What becomes of it when its claim is gone.'), text('Status', 'Whether it is bound.'), text('Claim', 'The claim that it is bound to.'),
    text('StorageClass', 'Its class.'), text('VolumeAttributesClass', 'Its class of attributes.'), text('Reason', 'Why it is as it is.'), ageColumn, text('VolumeMode', 'Filesystem or Block.', 1),
  ],
  (o, now) => [
    o.metadata.name, o.spec.capacity?.['storage'] ?? '0', formatAccessModes(o.spec.accessModes), o.spec.persistentVolumeReclaimPolicy ?? '', o.metadata.deletionTimestamp === undefined ? (o.status.phase ?? '') : 'Terminating',
    o.spec.claimRef === undefined ? '' : `${o.spec.claimRef.namespace ?? ''}/${o.spec.claimRef.name ?? ''}`, classOf(o.metadata, o.spec.storageClassName), o.spec.volumeAttributesClassName ?? '<unset>', o.status.reason ?? '', ageOf(o, now), o.spec.volumeMode ?? '<unset>',
  ])

const persistentVolumeClaim = printerFor<PersistentVolumeClaim>(
  [
    nameColumn, text('Status', 'Whether it is bound.'), text('Volume', 'The volume that it is bound to.'), text('Capacity', 'Size of that volume.'), text('Access Modes', 'How it may be mounted.'), text('StorageClass', 'Its class.'),
    text('VolumeAttributesClass', 'Its class of attributes.'), ageColumn, text('VolumeMode', 'Filesystem or Block.', 1),
  ],
  (o, now) => {
    const bound = Boolean(o.spec.volumeName)
    return [
      o.metadata.name, o.metadata.deletionTimestamp === undefined ? (o.status.phase ?? '') : 'Terminating', o.spec.volumeName ?? '', bound ? (o.status.capacity?.['storage'] ?? '0') : '', bound ? formatAccessModes(o.status.accessModes) : '',
      classOf(o.metadata, o.spec.storageClassName), o.spec.volumeAttributesClassName ?? '<unset>', ageOf(o, now), o.spec.volumeMode ?? '<unset>',
    ]
  })

function withDefaultMark(metadata: ObjectMeta, key: string): string { return metadata.annotations?.[key] === 'true' ? `${metadata.name} (default)` : metadata.name }

const storageClass = printerFor<StorageClass>(
  [nameColumn, text('Provisioner', 'Who makes the volumes.'), text('ReclaimPolicy', 'What becomes of a volume when its claim is gone.'), text('VolumeBindingMode', 'When claims are bound.'), text('AllowVolumeExpansion', 'Whether volumes may grow.'), ageColumn],
  (o, now) => [
    o.metadata.annotations?.['storageclass.beta.kubernetes.io/is-default-class'] === 'true' ? `${o.metadata.name} (default)` : withDefaultMark(o.metadata, 'storageclass.kubernetes.io/is-default-class'), o.provisioner, o.reclaimPolicy ?? 'Delete', o.volumeBindingMode ?? 'Immediate',
    o.allowVolumeExpansion ?? false, ageOf(o, now),
  ])

const volumeAttributesClass = printerFor<VolumeAttributesClass>([nameColumn, text('DriverName', 'The driver that knows the attributes.'), ageColumn], (o, now) => [withDefaultMark(o.metadata, 'storage.alpha.kubernetes.io/is-default-volume-attributes-class'), o.driverName, ageOf(o, now)])

const volumeAttachment = printerFor<VolumeAttachment>(
  [nameColumn, { ...text('Attacher', 'The driver that attaches it.'), format: 'name' }, text('PV', 'The volume.'), text('Node', 'The node.'), boolean('Attached', 'Whether it is attached.'), ageColumn],
  (o, now) => [o.metadata.name, o.spec.attacher, o.spec.source.persistentVolumeName ?? '', o.spec.nodeName, o.status.attached, ageOf(o, now)])

const csiNode = printerFor<CSINode>([nameColumn, integer('Drivers', 'Number of drivers on the node.'), ageColumn], (o, now) => [o.metadata.name, o.spec.drivers?.length ?? 0, ageOf(o, now)])

const csiDriver = printerFor<CSIDriver>(
  [
    nameColumn, boolean('AttachRequired', 'Whether volumes are attached first.'), boolean('PodInfoOnMount', 'Whether it is told of the pod.'), boolean('StorageCapacity', 'Whether the scheduler asks for its capacity.'), text('TokenRequests', 'Audiences of the tokens it gets.'),
    boolean('RequiresRepublish', 'Whether volumes are published again and again.'), text('Modes', 'Persistent, ephemeral or both.'), ageColumn,
  ],
  (o, now) => [
    o.metadata.name, o.spec.attachRequired ?? true, o.spec.podInfoOnMount ?? false, o.spec.storageCapacity ?? false, o.spec.tokenRequests === undefined ? '<unset>' : o.spec.tokenRequests.map((request) => request.audience).join(','),
    o.spec.requiresRepublish ?? false, (o.spec.volumeLifecycleModes ?? []).join(',') || '<none>', ageOf(o, now),
  ])

const csiStorageCapacity = printerFor<CSIStorageCapacity>([nameColumn, text('StorageClassName', 'The class that it is for.'), text('Capacity', 'What is left.')], (o) => [o.metadata.name, o.storageClassName, o.capacity ?? '<unset>'])

export const storagePrinters: { readonly [key: string]: Printer } = {
  '/PersistentVolume': persistentVolume, '/PersistentVolumeClaim': persistentVolumeClaim, 'storage.k8s.io/StorageClass': storageClass, 'storage.k8s.io/VolumeAttributesClass': volumeAttributesClass,
  'storage.k8s.io/VolumeAttachment': volumeAttachment, 'storage.k8s.io/CSINode': csiNode, 'storage.k8s.io/CSIDriver': csiDriver, 'storage.k8s.io/CSIStorageCapacity': csiStorageCapacity,
}
