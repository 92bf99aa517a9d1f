// Annotations that mean something to the server: mirror pods, deletion cost, and the old forms of seccomp and AppArmor profiles, which must agree with the
// fields that replaced them. Upstream: pkg/apis/core/validation/validation.go
import type { Draft } from '../../../../../lib/base/json.ts'
import type { AppArmorProfile, PodSpec, SeccompProfile, Toleration } from '../../../../../lib/api/generated/types/core-v1.ts'
import type { ObjectMeta } from '../../../../../lib/api/generated/types/meta-v1.ts'
import { fieldForbidden, fieldInvalid } from '../../../../../lib/apimachinery/field-error.ts'
import { parseJson } from '../../../../../lib/apimachinery/parse-json.ts'
import type { FieldError } from '../../../../../lib/apimachinery/field-error.ts'
import { validateLocalDescendingPath } from '../../validation/paths.ts'
import { deletionCostAnnotation, isDeletionCost } from './pod-validation-options.ts'
import type { PodValidationOptions } from './pod-validation-options.ts'
import { forEachContainer } from './validate-operating-system.ts'
import { validateTolerations } from './validate-scheduling.ts'

export const mirrorAnnotation = 'kubernetes.io/config.mirror'
const tolerationsAnnotation = 'scheduler.alpha.kubernetes.io/tolerations'
export const seccompPodAnnotation = 'seccomp.security.alpha.kubernetes.io/pod'
export const seccompContainerPrefix = 'container.seccomp.security.alpha.kubernetes.io/'
export const appArmorPrefix = 'container.apparmor.security.beta.kubernetes.io/'

type Annotations = { readonly [key: string]: string | undefined } | undefined

export function validatePodAnnotations(annotations: Annotations, spec: Draft<PodSpec>, path: string, errors: FieldError[], options: PodValidationOptions): void {
  if (!annotations) return
  const mirror = annotations[mirrorAnnotation]
  if (mirror !== undefined && !spec.nodeName) errors.push(fieldInvalid(`${path}[${mirrorAnnotation}]`, mirror, 'must set spec.nodeName if mirror pod annotation is set'))
  const tolerations = annotations[tolerationsAnnotation]
  if (tolerations) validateTolerationsText(tolerations, path, errors)
  const cost = annotations[deletionCostAnnotation]
  if (cost !== undefined && !options.allowInvalidDeletionCost && !isDeletionCost(cost)) errors.push(fieldInvalid(`${path}[${deletionCostAnnotation}]`, cost, 'must be a 32bit integer'))
  const seccomp = annotations[seccompPodAnnotation]
  if (seccomp !== undefined) validateSeccompText(seccomp, `${path}.${seccompPodAnnotation}`, errors)
  for (const key in annotations) {
    const text = annotations[key] ?? ''
    if (key.startsWith(seccompContainerPrefix)) validateSeccompText(text, `${path}.${key}`, errors)
    if (key.startsWith(appArmorPrefix)) validateAppArmorText(key, text, spec, path, errors)
  }
}

function validateTolerationsText(text: string, path: string, errors: FieldError[]): void {
  const parsed = parseJson(new TextEncoder().encode(text))
  if (!parsed.ok) errors.push(fieldInvalid(path, tolerationsAnnotation, parsed.error))
  // cast: validateTolerations takes any shape of items
  else if (Array.isArray(parsed.value)) validateTolerations(parsed.value as readonly Draft<Toleration>[], `${path}.${tolerationsAnnotation}`, errors)
}

function validateSeccompText(text: string, path: string, errors: FieldError[]): void {
  if (text === 'runtime/default' || text === 'docker/default' || text === 'unconfined') return
  if (text.startsWith('localhost/')) validateLocalDescendingPath(text.slice('localhost/'.length), path, errors)
  else errors.push(fieldInvalid(path, text, 'must be a valid seccomp profile'))
}

function validateAppArmorText(key: string, text: string, spec: Draft<PodSpec>, path: string, errors: FieldError[]): void {
  const name = key.slice(appArmorPrefix.length)
  let found = false
  forEachContainer(spec, '', (container) => { if (container.name === name) found = true })
  if (!found) errors.push(fieldInvalid(`${path}[${key}]`, name, 'container not found'))
  if (text !== '' && text !== 'runtime/default' && text !== 'unconfined' && !text.startsWith('localhost/')) {
    errors.push(fieldInvalid(`${path}[${key}]`, text, `invalid AppArmor profile name: ${JSON.stringify(text)}`))
  }
}

export function validatePodAnnotationUpdates(annotations: Annotations, old: Annotations, path: string, errors: FieldError[]): void {
  for (const key in old) {
    if (annotations?.[key] === old[key]) continue
    if (key.startsWith(appArmorPrefix)) errors.push(fieldForbidden(`${path}[${key}]`, 'may not remove or update AppArmor annotations'))
    if (key === mirrorAnnotation) errors.push(fieldForbidden(`${path}[${key}]`, 'may not remove or update mirror pod annotation'))
  }
  for (const key in annotations) {
    if (old?.[key] !== undefined) continue
    if (key.startsWith(appArmorPrefix)) errors.push(fieldForbidden(`${path}[${key}]`, 'may not add AppArmor annotations'))
    if (key === mirrorAnnotation) errors.push(fieldForbidden(`${path}[${key}]`, 'may not add mirror pod annotation'))
  }
}

/** Where a profile is given both ways, both must say the same. */
export function validateProfileAnnotations(meta: Draft<ObjectMeta> | undefined, spec: Draft<PodSpec>, path: string, errors: FieldError[]): void {
  const annotations = meta?.annotations
  if (!annotations) return
  const ofPod = annotations[seccompPodAnnotation]
  const podSeccomp = spec.securityContext?.seccompProfile
  if (podSeccomp && ofPod !== undefined) compareProfile(ofPod, podSeccomp, `${path}.securityContext.seccompProfile`, 'seccomp', errors)
  forEachContainer(spec, path, (container, at) => {
    const profile = container.securityContext?.seccompProfile
    const text = annotations[`${seccompContainerPrefix}${container.name ?? ''}`]
    if (profile && text !== undefined) compareProfile(text, profile, `${at}.securityContext.seccompProfile`, 'seccomp', errors)
  })
  if (spec.os?.name === 'windows') return
  forEachContainer(spec, path, (container, at) => {
    const profile = container.securityContext?.appArmorProfile ?? spec.securityContext?.appArmorProfile
    const text = annotations[`${appArmorPrefix}${container.name ?? ''}`]
    if (profile && text !== undefined) compareProfile(text, profile, `${at}.securityContext.appArmorProfile`, 'apparmor', errors)
  })
}

function compareProfile(text: string, profile: Draft<SeccompProfile> | Draft<AppArmorProfile>, path: string, what: 'seccomp' | 'apparmor', errors: FieldError[]): void {
  const type = (): void => { errors.push(fieldForbidden(`${path}.type`, `${what} type in annotation and field must match`)) }
  switch (profile.type) {
    case 'Unconfined':
      if (text !== 'unconfined') type()
      return
    case 'RuntimeDefault':
      if (text !== 'runtime/default' && !(what === 'seccomp' && text === 'docker/default')) type()
      return
    case 'Localhost':
      if (!text.startsWith('localhost/')) type()
      else if (text.slice('localhost/'.length) !== profile.localhostProfile) errors.push(fieldForbidden(`${path}.localhostProfile`, `${what} profile in annotation and field must match`))
      return
    default:
  }
}
