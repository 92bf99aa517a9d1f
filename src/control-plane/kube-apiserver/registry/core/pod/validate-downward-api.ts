// References from a pod to its own fields and amounts: in volumes and in environment variables. Upstream: pkg/apis/core/validation/validation.go,
// pkg/apis/core/pods/helpers.go (ConvertDownwardAPIFieldLabel)
import type { Draft } from '../../../../../lib/base/json.ts'
import type { ObjectFieldSelector, ResourceFieldSelector } from '../../../../../lib/api/generated/types/core-v1.ts'
import { fieldInvalid, fieldNotSupported, fieldRequired } from '../../../../../lib/apimachinery/field-error.ts'
import type { FieldError } from '../../../../../lib/apimachinery/field-error.ts'
import { isQualifiedName } from '../../../../../lib/apimachinery/validation.ts'
import { pushInvalid } from '../../validate-object-meta.ts'
import { canonicalText, signOf } from '../../validation/quantities.ts'

export const volumeFieldPaths: readonly string[] = ['metadata.annotations', 'metadata.labels', 'metadata.name', 'metadata.namespace', 'metadata.uid']
export const environmentFieldPaths: readonly string[] = [
  'metadata.name', 'metadata.namespace', 'metadata.uid', 'spec.nodeName', 'spec.serviceAccountName', 'status.hostIP', 'status.hostIPs', 'status.podIP', 'status.podIPs',
]
/** Every label of a field that v1 knows; `spec.host` is the old name of `spec.nodeName`. */
const knownFieldPaths = new Set([
  'metadata.annotations', 'metadata.labels', 'metadata.name', 'metadata.namespace', 'metadata.uid', 'spec.nodeName', 'spec.restartPolicy', 'spec.serviceAccountName', 'spec.schedulerName',
  'status.phase', 'status.hostIP', 'status.hostIPs', 'status.podIP', 'status.podIPs', 'spec.host',
])
const resourcePaths: readonly string[] = ['limits.cpu', 'limits.ephemeral-storage', 'limits.memory', 'requests.cpu', 'requests.ephemeral-storage', 'requests.memory']
const subscripted = /^(.*)\['(.+)'\]$/s

export function validateFieldReference(reference: Draft<ObjectFieldSelector>, allowed: readonly string[], path: string, errors: FieldError[]): void {
  if (!reference.apiVersion) { errors.push(fieldRequired(`${path}.apiVersion`)); return }
  if (!reference.fieldPath) { errors.push(fieldRequired(`${path}.fieldPath`)); return }
  const wrong = (text: string): void => { errors.push(fieldInvalid(`${path}.fieldPath`, reference.fieldPath, `error converting fieldPath: ${text}`)) }
  if (reference.apiVersion !== 'v1') { wrong(`unsupported pod version: ${reference.apiVersion}`); return }
  const match = subscripted.exec(reference.fieldPath)
  if (match) {
    const [, field = '', key = ''] = match
    if (field === 'metadata.annotations') for (const text of isQualifiedName(key.toLowerCase())) errors.push(fieldInvalid(path, key.toLowerCase(), text))
    else if (field === 'metadata.labels') pushInvalid(errors, path, key, isQualifiedName)
    else wrong(`field label does not support subscript: ${reference.fieldPath}`)
    return
  }
  if (!knownFieldPaths.has(reference.fieldPath)) { wrong(`field label not supported: ${reference.fieldPath}`); return }
  const field = reference.fieldPath === 'spec.host' ? 'spec.nodeName' : reference.fieldPath
  if (!allowed.includes(field)) errors.push(fieldNotSupported(`${path}.fieldPath`, field, allowed))
}

const binaryDivisors = new Set(['1', '1k', '1M', '1G', '1T', '1P', '1E', '1Ki', '1Mi', '1Gi', '1Ti', '1Pi', '1Ei'])
const divisorText = "only divisor's values 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei are supported with the"

export function validateResourceReference(reference: Draft<ResourceFieldSelector>, path: string, errors: FieldError[], inVolume: boolean): void {
  const resource = reference.resource ?? ''
  const isHugePages = resource.startsWith('requests.hugepages-') || resource.startsWith('limits.hugepages-')
  if (inVolume && !reference.containerName) errors.push(fieldRequired(`${path}.containerName`))
  else if (resource === '') errors.push(fieldRequired(`${path}.resource`))
  else if (!resourcePaths.includes(resource) && !isHugePages) errors.push(fieldNotSupported(`${path}.resource`, resource, resourcePaths))
  if (signOf(reference.divisor) === 0) return
  const divisor = canonicalText(reference.divisor)
  const refuse = (text: string): void => { errors.push(fieldInvalid(`${path}.divisor`, resource, text)) }
  if (resource.endsWith('.cpu')) {
    if (divisor !== '1' && divisor !== '1m') refuse("only divisor's values 1m and 1 are supported with the cpu resource")
  } else if (!binaryDivisors.has(divisor)) {
    if (resource.endsWith('.memory')) refuse(`${divisorText} memory resource`)
    else if (resource.endsWith('.ephemeral-storage')) refuse(`${divisorText} local ephemeral storage resource`)
    else if (isHugePages) refuse(`${divisorText} hugepages resource`)
  }
}
