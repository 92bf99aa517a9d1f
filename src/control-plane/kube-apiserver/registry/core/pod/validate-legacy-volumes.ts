// Volumes of storage systems that once were built in: each has a few fields that must be there. Pods and persistent volumes share them; `ofVolume` tells that
// the source is a persistent volume's, whose secrets name a namespace. Upstream: pkg/apis/core/validation/validation.go
import type { Draft } from '../../../../../lib/base/json.ts'
import type { PersistentVolumeSpec, Volume } from '../../../../../lib/api/generated/types/core-v1.ts'
import { fieldForbidden, fieldInvalid, fieldNotSupported, fieldRequired, fieldTooLong } from '../../../../../lib/apimachinery/field-error.ts'
import type { FieldError } from '../../../../../lib/apimachinery/field-error.ts'
import { inclusiveRangeError, isDns1123Label, isDns1123Subdomain } from '../../../../../lib/apimachinery/validation.ts'
import { byteLength } from '../../byte-length.ts'
import { pushInvalid } from '../../validate-object-meta.ts'

type Sources = Draft<Volume> & Draft<PersistentVolumeSpec>
type SourceCheck = (sources: Sources, path: string, errors: FieldError[], ofVolume: boolean) => void

const iqn = /iqn\.\d{4}-\d{2}\.([A-Za-z0-9-.]+)(:[^,;*&$|\s]+)$/
const eui = /^eui.[A-Za-z0-9]{16}$/
const naa = /^naa.[A-Za-z0-9]{32}$/

function require(value: unknown, path: string, errors: FieldError[]): void {
  if (value === undefined || value === '' || (Array.isArray(value) && value.length === 0)) errors.push(fieldRequired(path))
}

function validatePartition(partition: number | undefined, path: string, errors: FieldError[]): void {
  if (partition !== undefined && (partition < 0 || partition > 255)) errors.push(fieldInvalid(path, partition, inclusiveRangeError(1, 255)))
}

function validateInitiator(name: string, path: string, prefixText: string, errors: FieldError[], once: boolean): void {
  const known = name.startsWith('iqn') || name.startsWith('eui') || name.startsWith('naa')
  if (!known) errors.push(fieldInvalid(path, name, prefixText))
  if (!known && once) return
  if ((name.startsWith('iqn') && !iqn.test(name)) || (name.startsWith('eui') && !eui.test(name)) || (name.startsWith('naa') && !naa.test(name))) errors.push(fieldInvalid(path, name, 'must be valid format'))
}

export function validateCsiDriverName(name: string, path: string, errors: FieldError[]): void {
  if (name === '') errors.push(fieldRequired(path))
  if (byteLength(name) > 63) errors.push(fieldTooLong(path, 63))
  for (const text of isDns1123Subdomain(name.toLowerCase())) errors.push(fieldInvalid(path, name, text))
}

/** By the name of the field, in the order in which the original looks at them. */
export const legacySources: { readonly [name: string]: SourceCheck } = {
  gcePersistentDisk({ gcePersistentDisk: disk }, path, errors) {
    require(disk?.pdName, `${path}.persistentDisk.pdName`, errors)
    validatePartition(disk?.partition, `${path}.persistentDisk.partition`, errors)
  },
  awsElasticBlockStore({ awsElasticBlockStore: disk }, path, errors) {
    require(disk?.volumeID, `${path}.awsElasticBlockStore.volumeID`, errors)
    validatePartition(disk?.partition, `${path}.awsElasticBlockStore.partition`, errors)
  },
  nfs({ nfs }, path, errors) {
    require(nfs?.server, `${path}.nfs.server`, errors)
    require(nfs?.path, `${path}.nfs.path`, errors)
    if (!nfs?.path?.startsWith('/')) errors.push(fieldInvalid(`${path}.nfs.path`, nfs?.path ?? '', 'must be an absolute path'))
  },
  iscsi({ iscsi, name }, path, errors, ofVolume) {
    const at = `${path}.iscsi`
    const prefixText = ofVolume ? 'must be valid format' : 'must be valid format starting with iqn, eui, or naa'
    const tooLong = iscsi?.initiatorName !== undefined && byteLength(`${name ?? ''}:${iscsi.targetPortal ?? ''}`) > 64
    const tooLongText = 'Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is specified.'
    require(iscsi?.targetPortal, `${at}.targetPortal`, errors)
    if (tooLong && ofVolume) errors.push(fieldInvalid(`${at}.targetportal`, iscsi.targetPortal ?? '', tooLongText))
    if (!iscsi?.iqn) errors.push(fieldRequired(`${at}.iqn`))
    else validateInitiator(iscsi.iqn, `${at}.iqn`, prefixText, errors, true)
    if (iscsi?.lun !== undefined && (iscsi.lun < 0 || iscsi.lun > 255)) errors.push(fieldInvalid(`${at}.lun`, iscsi.lun, inclusiveRangeError(0, 255)))
    if ((iscsi?.chapAuthDiscovery || iscsi?.chapAuthSession) && !iscsi.secretRef) errors.push(fieldRequired(`${at}.secretRef`))
    if (ofVolume && iscsi?.secretRef) require(iscsi.secretRef.name, `${at}.secretRef.name`, errors)
    if (iscsi?.initiatorName !== undefined) validateInitiator(iscsi.initiatorName, `${at}.initiatorname`, prefixText, errors, false)
    if (tooLong && !ofVolume) errors.push(fieldInvalid(`${path}.name`, name ?? '', tooLongText))
  },
  glusterfs({ glusterfs }, path, errors, ofVolume) {
    require(glusterfs?.endpoints, `${path}.glusterfs.endpoints`, errors)
    require(glusterfs?.path, `${path}.glusterfs.path`, errors)
    const namespace = glusterfs?.endpointsNamespace
    if (!ofVolume || namespace === undefined) return
    if (namespace === '') errors.push(fieldInvalid(`${path}.glusterfs.endpointsNamespace`, namespace, 'if the endpointnamespace is set, it must be a valid namespace name'))
    else pushInvalid(errors, `${path}.glusterfs.endpointsNamespace`, namespace, isDns1123Label)
  },
  flocker({ flocker }, path, errors) {
    const at = `${path}.flocker`
    if (!flocker?.datasetName && !flocker?.datasetUUID) errors.push(fieldRequired(at, 'one of datasetName and datasetUUID is required'))
    if (flocker?.datasetName && flocker.datasetUUID) errors.push(fieldInvalid(at, 'resource', 'datasetName and datasetUUID can not be specified simultaneously'))
    if (flocker?.datasetName?.includes('/')) errors.push(fieldInvalid(`${at}.datasetName`, flocker.datasetName, "must not contain '/'"))
  },
  rbd({ rbd }, path, errors) {
    require(rbd?.monitors, `${path}.rbd.monitors`, errors)
    require(rbd?.image, `${path}.rbd.image`, errors)
  },
  cinder({ cinder }, path, errors, ofVolume) {
    require(cinder?.volumeID, `${path}.cinder.volumeID`, errors)
    if (!cinder?.secretRef) return
    require(cinder.secretRef.name, `${path}.cinder.secretRef.name`, errors)
    if (ofVolume) require(cinder.secretRef.namespace, `${path}.cinder.secretRef.namespace`, errors)
  },
  cephfs({ cephfs }, path, errors) { require(cephfs?.monitors, `${path}.cephfs.monitors`, errors) },
  quobyte({ quobyte }, path, errors) {
    const at = `${path}.quobyte`
    const text = 'must be a host:port pair or multiple pairs separated by commas'
    if (!quobyte?.registry) errors.push(fieldRequired(`${at}.registry`, text))
    else if (byteLength(quobyte.tenant ?? '') >= 65) errors.push(fieldRequired(`${at}.tenant`, 'must be a UUID and may not exceed a length of 64 characters'))
    else for (const pair of quobyte.registry.split(',')) if (!/^(\[[^\]]*\]|[^:[\]]*):[^:[\]]*$/.test(pair)) errors.push(fieldInvalid(`${at}.registry`, quobyte.registry, text))
    require(quobyte?.volume, `${at}.volume`, errors)
  },
  fc({ fc }, path, errors) {
    const at = `${path}.fc`
    const names = fc?.targetWWNs?.length ?? 0
    const ids = fc?.wwids?.length ?? 0
    if (names === 0 && ids === 0) errors.push(fieldRequired(`${at}.targetWWNs`, 'must specify either targetWWNs or wwids, but not both'))
    if (names > 0 && ids > 0) errors.push(fieldInvalid(`${at}.targetWWNs`, fc?.targetWWNs, 'targetWWNs and wwids can not be specified simultaneously'))
    if (names === 0) return
    if (fc?.lun === undefined) errors.push(fieldRequired(`${at}.lun`, 'lun is required if targetWWNs is specified'))
    else if (fc.lun < 0 || fc.lun > 255) errors.push(fieldInvalid(`${at}.lun`, fc.lun, inclusiveRangeError(0, 255)))
  },
  flexVolume({ flexVolume }, path, errors) {
    const at = `${path}.flexVolume`
    require(flexVolume?.driver, `${at}.driver`, errors)
    for (const key in flexVolume?.options) {
      const slash = key.indexOf('/')
      const domain = `.${(slash < 0 ? key : key.slice(0, slash)).toLowerCase()}`
      if (domain.endsWith('.kubernetes.io') || domain.endsWith('.k8s.io')) errors.push(fieldInvalid(`${at}.options[${key}]`, key, 'kubernetes.io and k8s.io namespaces are reserved'))
    }
  },
  azureFile({ azureFile }, path, errors, ofVolume) {
    require(azureFile?.secretName, `${path}.azureFile.secretName`, errors)
    require(azureFile?.shareName, `${path}.azureFile.shareName`, errors)
    if (ofVolume && azureFile?.secretNamespace === '') errors.push(fieldRequired(`${path}.azureFile.secretNamespace`))
  },
  vsphereVolume({ vsphereVolume }, path, errors) { require(vsphereVolume?.volumePath, `${path}.vsphereVolume.volumePath`, errors) },
  photonPersistentDisk({ photonPersistentDisk }, path, errors) { require(photonPersistentDisk?.pdID, `${path}.photonPersistentDisk.pdID`, errors) },
  portworxVolume({ portworxVolume }, path, errors) { require(portworxVolume?.volumeID, `${path}.portworxVolume.volumeID`, errors) },
  azureDisk({ azureDisk }, path, errors) {
    const at = `${path}.azureDisk`
    const uri = azureDisk?.diskURI ?? ''
    require(azureDisk?.diskName, `${at}.diskName`, errors)
    require(uri, `${at}.diskURI`, errors)
    const caching = ['None', 'ReadOnly', 'ReadWrite']
    const kinds = ['Dedicated', 'Managed', 'Shared']
    if (azureDisk?.cachingMode !== undefined && !caching.includes(azureDisk.cachingMode)) errors.push(fieldNotSupported(`${at}.cachingMode`, azureDisk.cachingMode, caching))
    if (azureDisk?.kind !== undefined && !kinds.includes(azureDisk.kind)) errors.push(fieldNotSupported(`${at}.kind`, azureDisk.kind, kinds))
    if (azureDisk?.kind === 'Managed' && !uri.startsWith('/subscriptions/')) {
      errors.push(fieldNotSupported(`${at}.diskURI`, uri, ['/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}']))
    }
    if (azureDisk?.kind !== undefined && azureDisk.kind !== 'Managed' && !uri.startsWith('https://')) {
      errors.push(fieldNotSupported(`${at}.diskURI`, uri, ['https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd']))
    }
  },
  storageos({ storageos }, path, errors, ofVolume) {
    const at = `${path}.storageos`
    if (!storageos?.volumeName) errors.push(fieldRequired(`${at}.volumeName`))
    else pushInvalid(errors, `${at}.volumeName`, storageos.volumeName, isDns1123Label)
    if (storageos?.volumeNamespace) pushInvalid(errors, `${at}.volumeNamespace`, storageos.volumeNamespace, isDns1123Label)
    if (!storageos?.secretRef) return
    require(storageos.secretRef.name, `${at}.secretRef.name`, errors)
    if (ofVolume && !storageos.secretRef.namespace) errors.push(fieldRequired(`${at}.secretRef.namespace`))
  },
  scaleIO({ scaleIO }, path, errors) {
    require(scaleIO?.gateway, `${path}.scaleIO.gateway`, errors)
    require(scaleIO?.system, `${path}.scaleIO.system`, errors)
    require(scaleIO?.volumeName, `${path}.scaleIO.volumeName`, errors)
  },
}

/** Runs the checks of the sources that are there, one source at most. `order` names the fields; `labels` what errors call them where that differs. */
export function validateSources(sources: Sources, order: readonly string[], checks: { readonly [name: string]: SourceCheck }, labels: { readonly [name: string]: string }, path: string, errors: FieldError[], ofVolume: boolean): number {
  let count = 0
  for (const name of order) {
    // cast: reads a source by its name
    const source = (sources as { readonly [name: string]: unknown })[name]
    if (source === undefined || source === null) continue
    if (count > 0 && !(ofVolume && name === 'flexVolume')) {
      errors.push(fieldForbidden(`${path}.${labels[name] ?? name}`, 'may not specify more than 1 volume type'))
      continue
    }
    count++
    checks[name]?.(sources, path, errors, ofVolume)
  }
  return count
}
