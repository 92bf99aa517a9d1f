// The volumes of a pod: their names, that each has exactly one source, and what each source needs. Upstream: pkg/apis/core/validation/validation.go
import type { Draft } from '../../../../../lib/base/json.ts'
import type { DownwardAPIVolumeFile, KeyToPath, PersistentVolumeClaimTemplate, Volume } from '../../../../../lib/api/generated/types/core-v1.ts'
import type { ObjectMeta } from '../../../../../lib/api/generated/types/meta-v1.ts'
import { fieldDuplicate, fieldForbidden, fieldInvalid, fieldNotSupported, fieldRequired } from '../../../../../lib/apimachinery/field-error.ts'
import type { FieldError } from '../../../../../lib/apimachinery/field-error.ts'
import { isDns1123Label, isDns1123Subdomain } from '../../../../../lib/apimachinery/validation.ts'
import { pushInvalid, validateAnnotations, validateLabels } from '../../validate-object-meta.ts'
import { validateFileMode, validateLocalDescendingPath, validateLocalNonReservedPath, validateNoBacksteps } from '../../validation/paths.ts'
import { signOf } from '../../validation/quantities.ts'
import { validateClaimSpec } from '../storage/validate-claim-spec.ts'
import type { PodValidationOptions } from './pod-validation-options.ts'
import { validateFieldReference, validateResourceReference, volumeFieldPaths } from './validate-downward-api.ts'
import { legacySources, validateCsiDriverName, validateSources } from './validate-legacy-volumes.ts'
import { validateProjectedVolume } from './validate-projected-volume.ts'
import { validatePullPolicy } from './validate-pull-policy.ts'

export type VolumesByName = ReadonlyMap<string, Draft<Volume>>

const hostPathTypes = ['', 'BlockDevice', 'CharDevice', 'Directory', 'DirectoryOrCreate', 'File', 'FileOrCreate', 'Socket']

export function validateHostPath(hostPath: Draft<{ path: string, type?: string }>, path: string, errors: FieldError[]): void {
  if (!hostPath.path) { errors.push(fieldRequired(`${path}.path`)); return }
  validateNoBacksteps(hostPath.path, `${path}.path`, errors)
  if (hostPath.type !== undefined && !hostPathTypes.includes(hostPath.type)) errors.push(fieldNotSupported(`${path}.type`, hostPath.type, hostPathTypes))
}

export function validateKeyToPath(item: Draft<KeyToPath>, path: string, errors: FieldError[]): void {
  if (!item.key) errors.push(fieldRequired(`${path}.key`))
  if (!item.path) errors.push(fieldRequired(`${path}.path`))
  validateLocalNonReservedPath(item.path ?? '', `${path}.path`, errors)
  validateFileMode(item.mode, `${path}.mode`, errors)
}

export function validateDownwardApiFile(file: Draft<DownwardAPIVolumeFile>, path: string, errors: FieldError[]): void {
  if (!file.path) errors.push(fieldRequired(`${path}.path`))
  validateLocalNonReservedPath(file.path ?? '', `${path}.path`, errors)
  if (file.fieldRef) {
    validateFieldReference(file.fieldRef, volumeFieldPaths, `${path}.fieldRef`, errors)
    if (file.resourceFieldRef) errors.push(fieldInvalid(path, 'resource', 'fieldRef and resourceFieldRef can not be specified simultaneously'))
  } else if (file.resourceFieldRef) {
    validateResourceReference(file.resourceFieldRef, `${path}.resourceFieldRef`, errors, true)
  } else {
    errors.push(fieldRequired(path, 'one of fieldRef and resourceFieldRef is required'))
  }
  validateFileMode(file.mode, `${path}.mode`, errors)
}

const templateMetaFields = ['name', 'generateName', 'namespace', 'selfLink', 'uid', 'resourceVersion', 'generation', 'creationTimestamp', 'deletionTimestamp', 'deletionGracePeriodSeconds', 'ownerReferences', 'finalizers', 'managedFields'] as const

function validateClaimTemplate(template: Draft<PersistentVolumeClaimTemplate>, path: string, errors: FieldError[]): void {
  validateAnnotations(template.metadata?.annotations, `${path}.metadata.annotations`, errors)
  validateLabels(template.metadata?.labels, `${path}.metadata.labels`, errors)
  for (const field of templateMetaFields) if (template.metadata?.[field]) errors.push(fieldForbidden(`${path}.metadata.${field}`, 'cannot be set'))
  validateClaimSpec(template.spec ?? {}, `${path}.spec`, errors)
}

interface VolumeContext {
  readonly podName: string
  readonly options: PodValidationOptions
}

type VolumeCheck = (volume: Draft<Volume>, path: string, errors: FieldError[], context: VolumeContext) => void

const commonSources: { readonly [name: string]: VolumeCheck } = {
  emptyDir({ emptyDir }, path, errors) {
    if (emptyDir?.sizeLimit !== undefined && signOf(emptyDir.sizeLimit) < 0) errors.push(fieldForbidden(`${path}.emptyDir.sizeLimit`, 'SizeLimit field must be a valid resource quantity'))
  },
  hostPath({ hostPath }, path, errors) { validateHostPath(hostPath ?? {}, `${path}.hostPath`, errors) },
  gitRepo({ gitRepo }, path, errors) {
    if (!gitRepo?.repository) errors.push(fieldRequired(`${path}.gitRepo.repository`))
    validateLocalDescendingPath(gitRepo?.directory ?? '', `${path}.gitRepo.directory`, errors)
  },
  secret({ secret }, path, errors) {
    if (!secret?.secretName) errors.push(fieldRequired(`${path}.secret.secretName`))
    validateFileMode(secret?.defaultMode, `${path}.secret.defaultMode`, errors)
    secret?.items?.forEach((item, i) => validateKeyToPath(item, `${path}.secret.items[${i}]`, errors))
  },
  persistentVolumeClaim({ persistentVolumeClaim }, path, errors) {
    if (!persistentVolumeClaim?.claimName) errors.push(fieldRequired(`${path}.persistentVolumeClaim.claimName`))
  },
  downwardAPI({ downwardAPI }, path, errors) {
    validateFileMode(downwardAPI?.defaultMode, `${path}.downwardAPI.defaultMode`, errors)
    downwardAPI?.items?.forEach((file) => validateDownwardApiFile(file, `${path}.downwardAPI`, errors))
  },
  configMap({ configMap }, path, errors) {
    if (!configMap?.name) errors.push(fieldRequired(`${path}.configMap.name`))
    validateFileMode(configMap?.defaultMode, `${path}.configMap.defaultMode`, errors)
    configMap?.items?.forEach((item, i) => validateKeyToPath(item, `${path}.configMap.items[${i}]`, errors))
  },
  projected({ projected }, path, errors) { validateProjectedVolume(projected ?? {}, `${path}.projected`, errors) },
  csi({ csi }, path, errors) {
    validateCsiDriverName(csi?.driver ?? '', `${path}.csi.driver`, errors)
    if (!csi?.nodePublishSecretRef) return
    if (!csi.nodePublishSecretRef.name) errors.push(fieldRequired(`${path}.csi.nodePublishSecretRef.name`))
    else pushInvalid(errors, `${path}.csi.name`, csi.nodePublishSecretRef.name, isDns1123Subdomain)
  },
  ephemeral({ ephemeral, name }, path, errors, { podName }) {
    if (!ephemeral?.volumeClaimTemplate) errors.push(fieldRequired(`${path}.ephemeral.volumeClaimTemplate`))
    else validateClaimTemplate(ephemeral.volumeClaimTemplate, `${path}.ephemeral.volumeClaimTemplate`, errors)
    if (podName === '' || !name) return
    const claimName = `${podName}-${name}`
    for (const text of isDns1123Subdomain(claimName)) errors.push(fieldInvalid(`${path}.name`, name, `PVC name ${JSON.stringify(claimName)}: ${text}`))
  },
  image({ image }, path, errors, { options }) {
    if (options.resourceIsPod && !image?.reference) errors.push(fieldRequired(`${path}.image.reference`))
    validatePullPolicy(image?.pullPolicy, `${path}.image.pullPolicy`, errors)
  },
}

/** The order in which the original looks at sources: the first one that is there counts. */
const sourceOrder = [
  'emptyDir', 'hostPath', 'gitRepo', 'gcePersistentDisk', 'awsElasticBlockStore', 'secret', 'nfs', 'iscsi', 'glusterfs', 'flocker', 'persistentVolumeClaim', 'rbd', 'cinder', 'cephfs',
  'quobyte', 'downwardAPI', 'fc', 'flexVolume', 'configMap', 'azureFile', 'vsphereVolume', 'photonPersistentDisk', 'portworxVolume', 'azureDisk', 'storageos', 'projected', 'scaleIO',
  'csi', 'ephemeral', 'image',
]
/** What the original calls a field in errors, where it errs. */
const sourceLabels = { cephfs: 'cephFS', downwardAPI: 'downwarAPI' }

function validateSource(volume: Draft<Volume>, path: string, errors: FieldError[], context: VolumeContext): void {
  let only: string | undefined
  let count = 0
  for (const name in volume) {
    // cast: reads a source by its name
    if (name !== 'name' && (volume as { readonly [name: string]: unknown })[name] !== undefined) { only = name; count++ }
  }
  const check = count === 1 && only !== undefined ? commonSources[only] : undefined
  if (check) { check(volume, path, errors, context); return }
  const checks = { ...legacySources }
  for (const name in commonSources) checks[name] = (sources, at, found) => commonSources[name]?.(sources, at, found, context)
  // cast: sources of pods lack only the namespaces of secrets that sources of persistent volumes have
  const found = validateSources(volume as Parameters<typeof validateSources>[0], sourceOrder, checks, sourceLabels, path, errors, false)
  if (found === 0) errors.push(fieldRequired(path, 'must specify a volume type'))
}

/** The volumes that are right, by name: containers may mount these. */
export function validateVolumes(volumes: readonly Draft<Volume>[] | undefined, meta: Draft<ObjectMeta> | undefined, path: string, errors: FieldError[], options: PodValidationOptions): VolumesByName {
  const byName = new Map<string, Draft<Volume>>()
  if (!volumes) return byName
  const context: VolumeContext = { podName: meta?.name ?? '', options }
  volumes.forEach((volume, i) => {
    const at = `${path}[${i}]`
    const name = volume.name ?? ''
    const before = errors.length
    validateSource(volume, at, errors, context)
    if (name === '') errors.push(fieldRequired(`${at}.name`))
    else pushInvalid(errors, `${at}.name`, name, isDns1123Label)
    if (byName.has(name)) errors.push(fieldDuplicate(`${at}.name`, name))
    if (errors.length === before) byName.set(name, volume)
    const claim = volume.persistentVolumeClaim?.claimName
    if (claim && context.podName !== '' && volumes.some((other) => other.ephemeral && `${context.podName}-${other.name ?? ''}` === claim)) {
      errors.push(fieldInvalid(`${at}.persistentVolumeClaim.claimName`, claim, 'must not reference a PVC that gets created for an ephemeral volume'))
    }
  })
  return byName
}
