// Defaults of volumes. Upstream: pkg/apis/core/v1/defaults.go (SetDefaults_Volume and the sources' own)
import type { DownwardAPIVolumeFile, PersistentVolumeClaimSpec, ProjectedVolumeSource, Volume, VolumeProjection } from '../../../../../lib/api/generated/types/core-v1.ts'
import { defaultPullPolicy, mapChanged, roundRequirements } from './default-pod-spec.ts'

const fileMode = 0o644
const anHourSeconds = 3600

export function defaultClaimSpec(spec: PersistentVolumeClaimSpec): PersistentVolumeClaimSpec {
  const resources = roundRequirements(spec.resources)
  if (spec.volumeMode && resources === spec.resources) return spec
  return { ...spec, ...(resources && { resources }), volumeMode: spec.volumeMode || 'Filesystem' }
}

function defaultFile(file: DownwardAPIVolumeFile): DownwardAPIVolumeFile {
  return !file.fieldRef || file.fieldRef.apiVersion ? file : { ...file, fieldRef: { ...file.fieldRef, apiVersion: 'v1' } }
}

function defaultProjection(projection: VolumeProjection): VolumeProjection {
  let next = projection
  const token = next.serviceAccountToken
  if (token && token.expirationSeconds === undefined) next = { ...next, serviceAccountToken: { ...token, expirationSeconds: anHourSeconds } }
  const items = next.downwardAPI?.items
  const files = items && mapChanged(items, defaultFile)
  return files === items ? next : { ...next, downwardAPI: { ...next.downwardAPI, items: files } }
}

function defaultProjected(source: ProjectedVolumeSource): ProjectedVolumeSource {
  const sources = source.sources && mapChanged(source.sources, defaultProjection)
  if (source.defaultMode !== undefined && sources === source.sources) return source
  return { ...source, ...(sources && { sources }), defaultMode: source.defaultMode ?? fileMode }
}

export function defaultVolume(volume: Volume): Volume {
  const { configMap, secret, projected, downwardAPI, hostPath, ephemeral, image } = volume
  if (configMap) return configMap.defaultMode === undefined ? { ...volume, configMap: { ...configMap, defaultMode: fileMode } } : volume
  if (secret) return secret.defaultMode === undefined ? { ...volume, secret: { ...secret, defaultMode: fileMode } } : volume
  if (projected) {
    const next = defaultProjected(projected)
    return next === projected ? volume : { ...volume, projected: next }
  }
  if (downwardAPI) {
    const items = downwardAPI.items && mapChanged(downwardAPI.items, defaultFile)
    if (downwardAPI.defaultMode !== undefined && items === downwardAPI.items) return volume
    return { ...volume, downwardAPI: { ...downwardAPI, ...(items && { items }), defaultMode: downwardAPI.defaultMode ?? fileMode } }
  }
  if (hostPath) return hostPath.type === undefined ? { ...volume, hostPath: { ...hostPath, type: '' } } : volume
  if (ephemeral?.volumeClaimTemplate?.spec) {
    const spec = defaultClaimSpec(ephemeral.volumeClaimTemplate.spec)
    return spec === ephemeral.volumeClaimTemplate.spec ? volume : { ...volume, ephemeral: { ...ephemeral, volumeClaimTemplate: { ...ephemeral.volumeClaimTemplate, spec } } }
  }
  if (image) return image.pullPolicy ? volume : { ...volume, image: { ...image, pullPolicy: defaultPullPolicy(image.reference) } }
  return defaultOldVolume(volume)
}

function defaultOldVolume(volume: Volume): Volume {
  const { iscsi, rbd, azureDisk, scaleIO } = volume
  if (iscsi) return iscsi.iscsiInterface ? volume : { ...volume, iscsi: { ...iscsi, iscsiInterface: 'default' } }
  if (rbd) {
    if (rbd.pool && rbd.user && rbd.keyring) return volume
    return { ...volume, rbd: { ...rbd, pool: rbd.pool || 'rbd', user: rbd.user || 'admin', keyring: rbd.keyring || '/etc/ceph/keyring' } }
  }
  if (azureDisk) {
    const { cachingMode = 'ReadWrite', fsType = 'ext4', readOnly = false, kind = 'Shared' } = azureDisk
    const same = azureDisk.cachingMode !== undefined && azureDisk.fsType !== undefined && azureDisk.readOnly !== undefined && azureDisk.kind !== undefined
    return same ? volume : { ...volume, azureDisk: { ...azureDisk, cachingMode, fsType, readOnly, kind } }
  }
  if (scaleIO) {
    if (scaleIO.storageMode && scaleIO.fsType) return volume
    return { ...volume, scaleIO: { ...scaleIO, storageMode: scaleIO.storageMode || 'ThinProvisioned', fsType: scaleIO.fsType || 'xfs' } }
  }
  // A volume that names no source is an emptyDir.
  for (const key in volume) {
    // cast: reads a source by its name
    if (key !== 'name' && (volume as unknown as { readonly [key: string]: unknown })[key] !== undefined) return volume
  }
  return { ...volume, emptyDir: {} }
}
