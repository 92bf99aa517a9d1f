// Volumes of a pod and sources of PersistentVolumes, as `kubectl describe` shows them. Upstream: kubectl/pkg/describe (describeVolumes)
import type { CSIPersistentVolumeSource, CSIVolumeSource, PersistentVolumeSpec, Volume } from '../../../lib/api/generated/types/core-v1.ts'
import { orNone } from './describe-writer.ts'
import type { DescribeWriter } from './describe-writer.ts'

type Row = readonly [name: string, value: string]

export function describeVolumes(out: DescribeWriter, volumes: readonly Volume[], indent: string): void {
  if (volumes.length === 0) { out.line(0, `${indent}Volumes:\t<none>`); return }
  out.line(0, `${indent}Volumes:`)
  const extra = indent === '' ? '' : ' '
  for (const volume of volumes) {
    out.line(1, `${extra}${volume.name}:`)
    describeVolumeSource(out, volume)
  }
}

/** What pods' volumes and PersistentVolumes have in common, and what either has alone. */
type VolumeSource = Omit<Partial<Volume>, 'csi' | 'iscsi'> & Pick<PersistentVolumeSpec, 'local'> & { readonly csi?: CSIVolumeSource | CSIPersistentVolumeSource; readonly iscsi?: Volume['iscsi'] | PersistentVolumeSpec['iscsi'] }

const flag = (value: boolean | undefined): string => String(value ?? false)
const text = (value: unknown): string => (value === undefined || value === null ? '' : String(value))

/** The source of a volume or PersistentVolume, two levels deep. */
export function describeVolumeSource(out: DescribeWriter, volume: VolumeSource): void {
  const { downwardAPI, csi, ephemeral } = volume
  const rows = rowsOf(volume)
  if (rows) for (const [name, value] of rows) out.line(2, `${name}:\t${value}`)
  else if (downwardAPI) {
    out.line(2, 'Type:\tDownwardAPI (a volume populated by information about the pod)')
    out.line(2, 'Items:')
    for (const item of downwardAPI.items ?? []) out.line(3, `${item.fieldRef?.fieldPath ?? item.resourceFieldRef?.resource ?? ''} -> ${item.path}`)
  } else if (csi) {
    out.line(2, 'Type:\tCSI (a Container Storage Interface (CSI) volume source)')
    out.line(2, `Driver:\t${csi.driver}`)
    out.line(2, `FSType:\t${text(csi.fsType)}`)
    if ('volumeHandle' in csi) out.line(2, `VolumeHandle:\t${csi.volumeHandle}`)
    out.line(2, `ReadOnly:\t${flag(csi.readOnly)}`)
    describeAttributes(out, csi.volumeAttributes)
  } else if (ephemeral) {
    out.line(2, 'Type:\tEphemeralVolume (an inline specification for a volume that gets created and deleted with the pod)')
    const template = ephemeral.volumeClaimTemplate
    if (!template) return
    out.line(2, `StorageClass:\t${text(template.spec.storageClassName)}`)
    out.line(2, `Volume:\t${text(template.spec.volumeName)}`)
    out.labels('Labels', template.metadata?.labels, '    ')
    out.annotations('Annotations', template.metadata?.annotations, '    ')
    out.line(2, 'Capacity:\t')
    out.line(2, 'Access Modes:\t')
    if (template.spec.volumeMode) out.line(2, `VolumeMode:\t${template.spec.volumeMode}`)
  } else out.line(1, '<unknown>')
}

function describeAttributes(out: DescribeWriter, attributes: CSIVolumeSource['volumeAttributes']): void {
  const keys = Object.keys(attributes ?? {}).sort()
  if (keys.length === 0) { out.line(2, 'VolumeAttributes:\t<none>'); return }
  // The original indents each piece of a line once more.
  keys.forEach((key, i) => out.line(2, `${i === 0 ? 'VolumeAttributes:' : '    '}\t    ${`${key}=${attributes?.[key] ?? ''}`.slice(0, 140)}`))
}

function rowsOf(volume: VolumeSource): readonly Row[] | undefined {
  const { hostPath, emptyDir, secret, configMap, persistentVolumeClaim, projected, nfs, image, iscsi, local, fc, gitRepo } = volume
  if (hostPath) return [['Type', 'HostPath (bare host directory volume)'], ['Path', hostPath.path], ['HostPathType', hostPath.type ?? '<none>']]
  if (emptyDir) return [['Type', "EmptyDir (a temporary directory that shares a pod's lifetime)"], ['Medium', emptyDir.medium ?? ''], ['SizeLimit', emptyDir.sizeLimit && emptyDir.sizeLimit !== '0' ? emptyDir.sizeLimit : '<unset>']]
  if (gitRepo) return [['Type', 'GitRepo (a volume that is pulled from git when the pod is created)'], ['Repository', gitRepo.repository], ['Revision', gitRepo.revision ?? '']]
  if (secret) return [['Type', 'Secret (a volume populated by a Secret)'], ['SecretName', secret.secretName ?? ''], ['Optional', flag(secret.optional)]]
  if (configMap) return [['Type', 'ConfigMap (a volume populated by a ConfigMap)'], ['Name', configMap.name ?? ''], ['Optional', flag(configMap.optional)]]
  if (nfs) return [['Type', 'NFS (an NFS mount that lasts the lifetime of a pod)'], ['Server', nfs.server], ['Path', nfs.path], ['ReadOnly', flag(nfs.readOnly)]]
  if (iscsi) {
    return [['Type', "ISCSI (an ISCSI Disk resource that is attached to a kubelet's host machine and then exposed to the pod)"], ['TargetPortal', iscsi.targetPortal], ['IQN', iscsi.iqn], ['Lun', String(iscsi.lun)], ['FSType', text(iscsi.fsType)],
      ['ReadOnly', flag(iscsi.readOnly)], ['Portals', `[${(iscsi.portals ?? []).join(' ')}]`], ['DiscoveryCHAPAuth', flag(iscsi.chapAuthDiscovery)], ['SessionCHAPAuth', flag(iscsi.chapAuthSession)], ['SecretRef', iscsi.secretRef ? iscsi.secretRef.name ?? '' : 'nil'], ['InitiatorName', iscsi.initiatorName ?? '<none>']]
  }
  if (persistentVolumeClaim) return [['Type', 'PersistentVolumeClaim (a reference to a PersistentVolumeClaim in the same namespace)'], ['ClaimName', persistentVolumeClaim.claimName], ['ReadOnly', flag(persistentVolumeClaim.readOnly)]]
  if (local) return [['Type', 'LocalVolume (a persistent volume backed by local storage on a node)'], ['Path', local.path]]
  if (fc) return [['Type', 'FC (a Fibre Channel disk)'], ['TargetWWNs', (fc.targetWWNs ?? []).join(', ')], ['LUN', fc.lun === undefined ? '<none>' : String(fc.lun)], ['FSType', text(fc.fsType)], ['ReadOnly', flag(fc.readOnly)]]
  if (projected) {
    return [['Type', 'Projected (a volume that contains injected data from multiple sources)'], ...(projected.sources ?? []).flatMap((source): readonly Row[] => {
      if (source.secret) return [['SecretName', source.secret.name ?? ''], ['Optional', flag(source.secret.optional)]]
      if (source.downwardAPI) return [['DownwardAPI', 'true']]
      if (source.configMap) return [['ConfigMapName', source.configMap.name ?? ''], ['Optional', flag(source.configMap.optional)]]
      if (source.serviceAccountToken) return [['TokenExpirationSeconds', String(source.serviceAccountToken.expirationSeconds ?? 0)]]
      return []
    })]
  }
  if (image) return [['Type', 'Image (a container image or OCI artifact)'], ['Reference', image.reference ?? ''], ['PullPolicy', image.pullPolicy ?? '']]
  return undefined
}

export const accessModesText = (modes: readonly string[] | undefined): string => [...new Set(modes ?? [])].map((m) => ({ ReadWriteOnce: 'RWO', ReadOnlyMany: 'ROX', ReadWriteMany: 'RWX', ReadWriteOncePod: 'RWOP' })[m] ?? '').filter((m) => m !== '').sort((a, b) => accessOrder.indexOf(a) - accessOrder.indexOf(b)).join(',')
const accessOrder = ['RWO', 'ROX', 'RWX', 'RWOP']
export const orNoneList = (texts: readonly string[]): string => orNone(texts.join(','))
