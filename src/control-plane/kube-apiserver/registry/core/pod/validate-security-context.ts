// Security contexts of pods and containers. Upstream: pkg/apis/core/validation/validation.go
import type { Draft } from '../../../../../lib/base/json.ts'
import type { AppArmorProfile, PodSecurityContext, PodSpec, SeccompProfile, SecurityContext, WindowsSecurityContextOptions } from '../../../../../lib/api/generated/types/core-v1.ts'
import { fieldDuplicate, fieldInvalid, fieldNotSupported, fieldRequired, fieldTooLong } from '../../../../../lib/apimachinery/field-error.ts'
import type { FieldError } from '../../../../../lib/apimachinery/field-error.ts'
import { goProfile, goSecurityContext } from '../../go-structs.ts'
import { isDns1123Subdomain, isValidUserId } from '../../../../../lib/apimachinery/validation.ts'
import { byteLength } from '../../byte-length.ts'
import { pushInvalid } from '../../validate-object-meta.ts'
import { validateLocalDescendingPath } from '../../validation/paths.ts'
import type { PodValidationOptions } from './pod-validation-options.ts'

export const profileTypes = ['Localhost', 'RuntimeDefault', 'Unconfined']
const sysctlExpression = /^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$/
const sysctlPattern = '^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$'

function validateId(id: number | undefined, path: string, errors: FieldError[]): void {
  if (id !== undefined) for (const text of isValidUserId(id)) errors.push(fieldInvalid(path, id, text))
}

function validateOneOf(value: string | undefined, allowed: readonly string[], path: string, errors: FieldError[]): void {
  if (value !== undefined && !allowed.includes(value)) errors.push(fieldNotSupported(path, value, allowed))
}

function validateSeccomp(profile: Draft<SeccompProfile> | undefined, path: string, errors: FieldError[]): void {
  if (!profile) return
  if (!profile.type) errors.push(fieldRequired(`${path}.type`, 'type is required when seccompProfile is set'))
  else if (!profileTypes.includes(profile.type)) errors.push(fieldNotSupported(`${path}.type`, profile.type, profileTypes))
  if (profile.type !== 'Localhost') {
    if (profile.localhostProfile !== undefined) errors.push(fieldInvalid(`${path}.localhostProfile`, goProfile(profile), 'can only be set when seccomp type is Localhost'))
  } else if (profile.localhostProfile === undefined) {
    errors.push(fieldRequired(`${path}.localhostProfile`, 'must be set when seccomp type is Localhost'))
  } else {
    validateLocalDescendingPath(profile.localhostProfile, `${path}.localhostProfile`, errors)
  }
}

export function validateAppArmor(profile: Draft<AppArmorProfile> | undefined, path: string, errors: FieldError[]): void {
  if (!profile) return
  const at = `${path}.localhostProfile`
  const local = profile.localhostProfile
  switch (profile.type) {
    case 'Localhost':
      if (local === undefined) { errors.push(fieldRequired(at, 'must be set when AppArmor type is Localhost')); return }
      if (local.trim() !== local) errors.push(fieldInvalid(at, local, 'must not be padded with whitespace'))
      else if (local === '') errors.push(fieldRequired(at, 'must be set when AppArmor type is Localhost'))
      if (byteLength(local) > 4095) errors.push(fieldTooLong(at, 4095))
      return
    case 'RuntimeDefault': case 'Unconfined':
      if (local !== undefined) errors.push(fieldInvalid(at, local, 'can only be set when AppArmor type is Localhost'))
      return
    case undefined: case '': errors.push(fieldRequired(`${path}.type`, 'type is required when appArmorProfile is set')); return
    default: errors.push(fieldNotSupported(`${path}.type`, profile.type, profileTypes))
  }
}

// eslint-disable-next-line no-control-regex -- control characters are what it looks for
const control = /[\x00-\x1f\x7f]/
const netBios = /^[^\\/:*?"<>|.][^\\/:*?"<>|]{0,14}$/
const windowsDomain = /^[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*$/

function validateWindowsOptions(options: Draft<WindowsSecurityContextOptions> | undefined, path: string, errors: FieldError[]): void {
  if (!options) return
  const { gmsaCredentialSpecName, gmsaCredentialSpec, runAsUserName } = options
  if (gmsaCredentialSpecName !== undefined) pushInvalid(errors, `${path}.gmsaCredentialSpecName`, gmsaCredentialSpecName, isDns1123Subdomain)
  if (gmsaCredentialSpec !== undefined) {
    if (gmsaCredentialSpec === '') errors.push(fieldInvalid(`${path}.gmsaCredentialSpec`, gmsaCredentialSpec, 'gmsaCredentialSpec cannot be an empty string'))
    else if (byteLength(gmsaCredentialSpec) > 64 * 1024) errors.push(fieldInvalid(`${path}.gmsaCredentialSpec`, gmsaCredentialSpec, 'gmsaCredentialSpec size must be under 64 KiB'))
  }
  if (runAsUserName === undefined) return
  const refuse = (text: string): void => { errors.push(fieldInvalid(`${path}.runAsUserName`, runAsUserName, text)) }
  const parts = runAsUserName.split('\\')
  if (runAsUserName === '') refuse('runAsUserName cannot be an empty string')
  else if (control.test(runAsUserName)) refuse('runAsUserName cannot contain control characters')
  else if (parts.length > 2) refuse('runAsUserName cannot contain more than one backslash')
  else {
    const domain = parts.length === 2 ? parts[0] ?? '' : undefined
    const user = parts.at(-1) ?? ''
    if (domain !== undefined && byteLength(domain) >= 256) refuse("runAsUserName's Domain length must be under 256 characters")
    if (domain !== undefined && !netBios.test(domain) && !windowsDomain.test(domain)) refuse("runAsUserName's Domain doesn't match the NetBios nor the DNS format")
    if (user === '') refuse("runAsUserName's User cannot be empty")
    else if (byteLength(user) > 104) refuse("runAsUserName's User length must not be longer than 104 characters")
    if (/^[. ]+$/.test(user)) refuse("runAsUserName's User cannot contain only periods or spaces")
    if (/["/\\:;|=,+*?<>@[\]]/.test(user)) refuse('runAsUserName\'s User cannot contain the following characters: "/\\:;|=,+*?<>@[]')
  }
}

/** The namespace of a sysctl, where it has one that pods can own. */
function sysctlNamespace(name: string): 'ipc' | 'net' | undefined {
  const key = name.replaceAll('/', '.')
  if (key.startsWith('net.')) return 'net'
  if (key.startsWith('kernel.shm') || key.startsWith('kernel.msg') || key.startsWith('fs.mqueue.') || key === 'kernel.sem') return 'ipc'
  return undefined
}

export function validatePodSecurityContext(context: Draft<PodSecurityContext> | undefined, spec: Draft<PodSpec>, path: string, errors: FieldError[], options: PodValidationOptions): void {
  if (!context) return
  validateId(context.fsGroup, `${path}.fsGroup`, errors)
  validateId(context.runAsUser, `${path}.runAsUser`, errors)
  validateId(context.runAsGroup, `${path}.runAsGroup`, errors)
  context.supplementalGroups?.forEach((group, i) => validateId(group, `${path}.supplementalGroups[${i}]`, errors))
  if (spec.shareProcessNamespace && spec.hostPID) errors.push(fieldInvalid(`${path}.shareProcessNamespace`, true, 'ShareProcessNamespace and HostPID cannot both be enabled'))
  const seen = new Set<string>()
  context.sysctls?.forEach((sysctl, i) => {
    const at = `${path}.sysctls[${i}].name`
    const name = sysctl.name ?? ''
    if (name === '') errors.push(fieldRequired(at))
    else if (name.length > 253 || !sysctlExpression.test(name)) errors.push(fieldInvalid(at, name, `must have at most 253 characters and match regex ${sysctlPattern}`))
    else if (seen.has(name)) errors.push(fieldDuplicate(at, name))
    if (!options.allowNamespacedSysctlsOnHost) {
      const namespace = sysctlNamespace(name)
      if (spec.hostNetwork && namespace === 'net') errors.push(fieldInvalid(at, name, "may not be specified when 'hostNetwork' is true"))
      else if (spec.hostIPC && namespace === 'ipc') errors.push(fieldInvalid(at, name, "may not be specified when 'hostIPC' is true"))
    }
    seen.add(name)
  })
  validateOneOf(context.fsGroupChangePolicy, ['Always', 'OnRootMismatch'], `${path}.fsGroupChangePolicy`, errors)
  validateSeccomp(context.seccompProfile, `${path}.seccompProfile`, errors)
  validateWindowsOptions(context.windowsOptions, `${path}.windowsOptions`, errors)
  validateAppArmor(context.appArmorProfile, `${path}.appArmorProfile`, errors)
  validateOneOf(context.supplementalGroupsPolicy, ['Merge', 'Strict'], `${path}.supplementalGroupsPolicy`, errors)
  validateOneOf(context.seLinuxChangePolicy, ['MountOption', 'Recursive'], `${path}.seLinuxChangePolicy`, errors)
}

export function validateSecurityContext(context: Draft<SecurityContext> | undefined, hostUsers: boolean, path: string, errors: FieldError[]): void {
  if (!context) return
  validateId(context.runAsUser, `${path}.runAsUser`, errors)
  validateId(context.runAsGroup, `${path}.runAsGroup`, errors)
  if (context.procMount !== undefined) {
    validateOneOf(context.procMount, ['Default', 'Unmasked'], `${path}.procMount`, errors)
    if (hostUsers && context.procMount === 'Unmasked') errors.push(fieldInvalid(`${path}.procMount`, context.procMount, '`hostUsers` must be false to use `Unmasked`'))
  }
  validateSeccomp(context.seccompProfile, `${path}.seccompProfile`, errors)
  if (context.allowPrivilegeEscalation === false) {
    if (context.privileged) errors.push(fieldInvalid(path, goSecurityContext(context), 'cannot set `allowPrivilegeEscalation` to false and `privileged` to true'))
    for (const capability of context.capabilities?.add ?? []) {
      if (capability === 'CAP_SYS_ADMIN') errors.push(fieldInvalid(path, goSecurityContext(context), 'cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN'))
    }
  }
  validateWindowsOptions(context.windowsOptions, `${path}.windowsOptions`, errors)
  validateAppArmor(context.appArmorProfile, `${path}.appArmorProfile`, errors)
}
