// Environment variables and where their values come from. Upstream: pkg/apis/core/validation/validation.go (ValidateEnv, ValidateEnvFrom)
import type { Draft } from '../../../../../lib/base/json.ts'
import type { EnvFromSource, EnvVar } from '../../../../../lib/api/generated/types/core-v1.ts'
import { fieldInvalid, fieldNotFound, fieldRequired } from '../../../../../lib/apimachinery/field-error.ts'
import type { FieldError } from '../../../../../lib/apimachinery/field-error.ts'
import { isConfigMapKey, isDns1123Subdomain, isRelaxedEnvVarName } from '../../../../../lib/apimachinery/validation.ts'
import { nameIsDnsSubdomain } from '../../name-rules.ts'
import { pushInvalid } from '../../validate-object-meta.ts'
import { validateLocalNonReservedPath } from '../../validation/paths.ts'
import { environmentFieldPaths, validateFieldReference, validateResourceReference } from './validate-downward-api.ts'
import type { VolumesByName } from './validate-volumes.ts'

export function validateEnvironment(variables: readonly Draft<EnvVar>[] | undefined, volumes: VolumesByName, path: string, errors: FieldError[]): void {
  variables?.forEach((variable, i) => {
    const at = `${path}[${i}]`
    if (!variable.name) errors.push(fieldRequired(`${at}.name`))
    else pushInvalid(errors, `${at}.name`, variable.name, isRelaxedEnvVarName)
    if (variable.valueFrom) validateValueFrom(variable, volumes, `${at}.valueFrom`, errors)
  })
}

function validateValueFrom(variable: Draft<EnvVar>, volumes: VolumesByName, path: string, errors: FieldError[]): void {
  const { fieldRef, resourceFieldRef, configMapKeyRef, secretKeyRef, fileKeyRef } = variable.valueFrom ?? {}
  let sources = 0
  if (fieldRef) { sources++; validateFieldReference(fieldRef, environmentFieldPaths, `${path}.fieldRef`, errors) }
  if (resourceFieldRef) { sources++; validateResourceReference(resourceFieldRef, `${path}.resourceFieldRef`, errors, false) }
  if (configMapKeyRef) { sources++; validateKeyReference(configMapKeyRef, `${path}.configMapKeyRef`, errors) }
  if (secretKeyRef) { sources++; validateKeyReference(secretKeyRef, `${path}.secretKeyRef`, errors) }
  if (fileKeyRef) {
    sources++
    const at = `${path}.fileKeyRef`
    if (!fileKeyRef.volumeName) errors.push(fieldRequired(`${at}.volumeName`))
    else if (!volumes.has(fileKeyRef.volumeName)) errors.push(fieldNotFound(`${at}.volumeName`, fileKeyRef.volumeName))
    else if (!volumes.get(fileKeyRef.volumeName)?.emptyDir) errors.push(fieldInvalid(`${at}.volumeName`, fileKeyRef.volumeName, 'referenced volume must be of type emptyDir'))
    if (!fileKeyRef.path) errors.push(fieldRequired(`${at}.path`))
    else validateLocalNonReservedPath(fileKeyRef.path, `${at}.path`, errors)
    if (!fileKeyRef.key) errors.push(fieldRequired(`${at}.key`))
    else pushInvalid(errors, `${at}.key`, fileKeyRef.key, isRelaxedEnvVarName)
  }
  if (sources === 0) errors.push(fieldInvalid(path, '', 'must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`'))
  else if (variable.value) errors.push(fieldInvalid(path, '', 'may not be specified when `value` is not empty'))
  else if (sources > 1) errors.push(fieldInvalid(path, '', 'may not have more than one field specified at a time'))
}

function validateKeyReference(reference: Draft<{ name?: string, key: string }>, path: string, errors: FieldError[]): void {
  pushInvalid(errors, `${path}.name`, reference.name ?? '', isDns1123Subdomain)
  if (!reference.key) errors.push(fieldRequired(`${path}.key`))
  else pushInvalid(errors, `${path}.key`, reference.key, isConfigMapKey)
}

export function validateEnvironmentSources(sources: readonly Draft<EnvFromSource>[] | undefined, path: string, errors: FieldError[]): void {
  sources?.forEach((source, i) => {
    const at = `${path}[${i}]`
    if (source.prefix) pushInvalid(errors, `${at}.prefix`, source.prefix, isRelaxedEnvVarName)
    let count = 0
    for (const kind of ['configMapRef', 'secretRef'] as const) {
      const reference = source[kind]
      if (!reference) continue
      count++
      if (!reference.name) errors.push(fieldRequired(`${at}.${kind}.name`))
      else for (const text of nameIsDnsSubdomain(reference.name, true)) errors.push(fieldInvalid(`${at}.${kind}.name`, reference.name, text))
    }
    if (count === 0) errors.push(fieldInvalid(path, '', 'must specify one of: `configMapRef` or `secretRef`'))
    else if (count > 1) errors.push(fieldInvalid(path, '', 'may not have more than one field specified at a time'))
  })
}
