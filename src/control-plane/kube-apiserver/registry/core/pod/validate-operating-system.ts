// What a pod may say when it names its operating system, and Windows' host-process containers. Upstream: pkg/apis/core/validation/validation.go
import type { Draft } from '../../../../../lib/base/json.ts'
import type { Container, PodSpec } from '../../../../../lib/api/generated/types/core-v1.ts'
import { fieldForbidden, fieldInvalid, fieldNotSupported, fieldRequired } from '../../../../../lib/apimachinery/field-error.ts'
import type { FieldError } from '../../../../../lib/apimachinery/field-error.ts'

/** Every container with its path: init containers, regular ones, ephemeral ones. */
export function forEachContainer(spec: Draft<PodSpec>, path: string, visit: (container: Draft<Container>, path: string) => void): void {
  spec.initContainers?.forEach((container, i) => visit(container, `${path}.initContainers[${i}]`))
  spec.containers?.forEach((container, i) => visit(container, `${path}.containers[${i}]`))
  spec.ephemeralContainers?.forEach((container, i) => visit(container, `${path}.ephemeralContainers[${i}]`))
}

export function validateOperatingSystem(spec: Draft<PodSpec>, path: string, errors: FieldError[]): void {
  if (!spec.os) return
  const name = spec.os.name ?? ''
  if (name === '') errors.push(fieldRequired(`${path}.os.name`, 'cannot be empty'))
  else if (name === 'linux') validateLinux(spec, path, errors)
  else if (name === 'windows') validateWindows(spec, path, errors)
  else errors.push(fieldNotSupported(`${path}.os`, name, ['linux', 'windows']))
}

function validateLinux(spec: Draft<PodSpec>, path: string, errors: FieldError[]): void {
  const text = 'windows options cannot be set for a linux pod'
  if (spec.securityContext?.windowsOptions) errors.push(fieldForbidden(`${path}.securityContext.windowsOptions`, text))
  forEachContainer(spec, path, (container, at) => {
    if (container.securityContext?.windowsOptions) errors.push(fieldForbidden(`${at}.securityContext.windowsOptions`, text))
  })
}

const containerFields = ['appArmorProfile', 'seLinuxOptions', 'seccompProfile', 'capabilities', 'readOnlyRootFilesystem', 'privileged', 'allowPrivilegeEscalation', 'procMount', 'runAsUser', 'runAsGroup'] as const

function validateWindows(spec: Draft<PodSpec>, path: string, errors: FieldError[]): void {
  const refuse = (set: boolean, at: string): void => { if (set) errors.push(fieldForbidden(at, 'cannot be set for a windows pod')) }
  const context = spec.securityContext ?? {}
  const inContext = (field: keyof typeof context): void => refuse(context[field] !== undefined, `${path}.securityContext.${field}`)
  inContext('appArmorProfile')
  inContext('seLinuxOptions')
  refuse(spec.hostUsers !== undefined, `${path}.hostUsers`)
  refuse(spec.hostPID === true, `${path}.hostPID`)
  refuse(spec.hostIPC === true, `${path}.hostIPC`)
  inContext('seccompProfile')
  inContext('fsGroup')
  inContext('fsGroupChangePolicy')
  refuse((context.sysctls?.length ?? 0) > 0, `${path}.securityContext.sysctls`)
  refuse(spec.shareProcessNamespace !== undefined, `${path}.shareProcessNamespace`)
  inContext('runAsUser')
  inContext('runAsGroup')
  inContext('supplementalGroups')
  inContext('supplementalGroupsPolicy')
  inContext('seLinuxChangePolicy')
  forEachContainer(spec, path, (container, at) => {
    for (const field of containerFields) refuse(container.securityContext?.[field] !== undefined, `${at}.securityContext.${field}`)
  })
}

export function validateHostProcess(spec: Draft<PodSpec>, path: string, errors: FieldError[]): void {
  const ofPod = spec.securityContext?.windowsOptions?.hostProcess
  let all = 0
  let onHost = 0
  forEachContainer(spec, path, (container, at) => {
    all++
    const own = container.securityContext?.windowsOptions?.hostProcess
    if (ofPod !== undefined && own !== undefined && ofPod !== own) {
      errors.push(fieldInvalid(`${at}.securityContext.windowsOptions.hostProcess`, own, `pod hostProcess value must be identical if both are specified, was ${ofPod}`))
    }
    if (own ?? ofPod) onHost++
  })
  if (onHost === 0) return
  if (onHost !== all) errors.push(fieldInvalid(path, '', 'If pod contains any hostProcess containers then all containers must be HostProcess containers'))
  if (!spec.hostNetwork) errors.push(fieldInvalid(`${path}.hostNetwork`, false, 'hostNetwork must be true if pod contains any hostProcess containers'))
}

export function validateHostUsers(spec: Draft<PodSpec>, path: string, errors: FieldError[]): void {
  if (spec.hostUsers !== false) return
  const text = 'when `pod.Spec.HostUsers` is false'
  if (spec.hostNetwork) errors.push(fieldForbidden(`${path}.hostNetwork`, text))
  if (spec.hostPID) errors.push(fieldForbidden(`${path}.HostPID`, text))
  if (spec.hostIPC) errors.push(fieldForbidden(`${path}.HostIPC`, text))
}
