// Containers of all three kinds: regular ones, init containers with sidecars among them, and ephemeral ones.
// Upstream: pkg/apis/core/validation/validation.go (validateContainers, validateInitContainers, validateEphemeralContainers)
import type { Draft } from '../../../../../lib/base/json.ts'
import type { Container, ContainerPort, ContainerResizePolicy, EphemeralContainer } from '../../../../../lib/api/generated/types/core-v1.ts'
import { fieldDuplicate, fieldForbidden, fieldInvalid, fieldNotFound, fieldNotSupported, fieldRequired } from '../../../../../lib/apimachinery/field-error.ts'
import type { FieldError } from '../../../../../lib/apimachinery/field-error.ts'
import { isDns1123Label, isValidPortName } from '../../../../../lib/apimachinery/validation.ts'
import { pushInvalid } from '../../validate-object-meta.ts'
import { validateContainerResources } from '../../validation/resource-requirements.ts'
import { validateEnvironment, validateEnvironmentSources } from './validate-environment.ts'
import { validatePortNumber, validateProbesAndHooks } from './validate-handlers.ts'
import { validateVolumeDevices, validateVolumeMounts } from './validate-mounts.ts'
import { validatePullPolicy } from './validate-pull-policy.ts'
import { validateContainerRestartRules } from './validate-restart-rules.ts'
import { validateSecurityContext } from './validate-security-context.ts'
import type { VolumesByName } from './validate-volumes.ts'

export interface ContainerContext {
  readonly volumes: VolumesByName
  readonly claims: ReadonlySet<string>
  readonly gracePeriodSeconds: number | undefined
  readonly podRestartPolicy: string
  readonly hostUsers: boolean
}

export const protocols: readonly string[] = ['SCTP', 'TCP', 'UDP']

export function validateProtocol(protocol: string | undefined, path: string, errors: FieldError[]): void {
  if (!protocol) errors.push(fieldRequired(path))
  else if (!protocols.includes(protocol)) errors.push(fieldNotSupported(path, protocol, protocols))
}

function validatePorts(ports: readonly Draft<ContainerPort>[] | undefined, path: string, errors: FieldError[]): void {
  if (!ports) return
  const names = new Set<string>()
  ports.forEach((port, i) => {
    const at = `${path}[${i}]`
    if (port.name) {
      const wrong = isValidPortName(port.name)
      for (const text of wrong) errors.push(fieldInvalid(`${at}.name`, port.name, text))
      if (wrong.length === 0) {
        if (names.has(port.name)) errors.push(fieldDuplicate(`${at}.name`, port.name))
        names.add(port.name)
      }
    }
    if (!port.containerPort) errors.push(fieldRequired(`${at}.containerPort`))
    else validatePortNumber(port.containerPort, `${at}.containerPort`, errors)
    if (port.hostPort) validatePortNumber(port.hostPort, `${at}.hostPort`, errors)
    validateProtocol(port.protocol, `${at}.protocol`, errors)
  })
}

function validateHostPortConflicts(containers: readonly Draft<Container>[], path: string, errors: FieldError[]): void {
  let seen: Set<string> | undefined
  containers.forEach((container, i) => container.ports?.forEach((port, j) => {
    if (!port.hostPort) return
    seen ??= new Set()
    const key = `${port.protocol ?? ''}/${port.hostIP ?? ''}/${port.hostPort}`
    if (seen.has(key)) errors.push(fieldDuplicate(`${path}[${i}].ports[${j}].hostPort`, key))
    seen.add(key)
  }))
}

function validateResizePolicy(policies: readonly Draft<ContainerResizePolicy>[] | undefined, podRestartPolicy: string, path: string, errors: FieldError[]): void {
  const seen = new Set<string>()
  policies?.forEach((policy, i) => {
    const resource = policy.resourceName ?? ''
    if (seen.has(resource)) errors.push(fieldDuplicate(`${path}[${i}]`, resource))
    seen.add(resource)
    if (resource === '') errors.push(fieldRequired(path))
    else if (resource !== 'cpu' && resource !== 'memory') errors.push(fieldNotSupported(path, resource, ['cpu', 'memory']))
    const restart = policy.restartPolicy ?? ''
    if (restart === '') errors.push(fieldRequired(path))
    else if (restart !== 'NotRequired' && restart !== 'RestartContainer') errors.push(fieldNotSupported(path, restart, ['NotRequired', 'RestartContainer']))
    if (podRestartPolicy === 'Never' && restart !== 'NotRequired') errors.push(fieldInvalid(path, restart, "must be 'NotRequired' when `restartPolicy` is 'Never'"))
  })
}

function validateCommon(container: Draft<Container>, path: string, errors: FieldError[], context: ContainerContext): void {
  if (!container.name) errors.push(fieldRequired(`${path}.name`))
  else pushInvalid(errors, `${path}.name`, container.name, isDns1123Label)
  if (!container.image) errors.push(fieldRequired(`${path}.image`))
  switch (container.terminationMessagePolicy) {
    case 'File': case 'FallbackToLogsOnError': break
    case undefined: case '': errors.push(fieldRequired(`${path}.terminationMessagePolicy`)); break
    default: errors.push(fieldNotSupported(`${path}.terminationMessagePolicy`, container.terminationMessagePolicy, ['File', 'FallbackToLogsOnError']))
  }
  validatePorts(container.ports, `${path}.ports`, errors)
  validateEnvironment(container.env, context.volumes, `${path}.env`, errors)
  validateEnvironmentSources(container.envFrom, `${path}.envFrom`, errors)
  validateVolumeMounts(container, context.volumes, `${path}.volumeMounts`, errors)
  validateVolumeDevices(container, context.volumes, `${path}.volumeDevices`, errors)
  validatePullPolicy(container.imagePullPolicy, `${path}.imagePullPolicy`, errors)
  validateContainerResources(container.resources, context.claims, `${path}.resources`, errors)
  validateResizePolicy(container.resizePolicy, context.podRestartPolicy, `${path}.resizePolicy`, errors)
  validateSecurityContext(container.securityContext, context.hostUsers, `${path}.securityContext`, errors)
}

export function validateContainers(containers: readonly Draft<Container>[], path: string, errors: FieldError[], context: ContainerContext): void {
  if (containers.length === 0) { errors.push(fieldRequired(path)); return }
  const names = new Set<string>()
  containers.forEach((container, i) => {
    const at = `${path}[${i}]`
    const name = container.name ?? ''
    validateCommon(container, at, errors, context)
    if (names.has(name)) errors.push(fieldDuplicate(`${at}.name`, name))
    names.add(name)
    validateProbesAndHooks(container, context.gracePeriodSeconds, at, errors)
    validateContainerRestartRules(container, at, errors)
  })
  validateHostPortConflicts(containers, path, errors)
}

export function validateInitContainers(initContainers: readonly Draft<Container>[], containers: readonly Draft<Container>[], path: string, errors: FieldError[], context: ContainerContext): void {
  const names = new Set(containers.map((container) => container.name ?? ''))
  initContainers.forEach((container, i) => {
    const at = `${path}[${i}]`
    const name = container.name ?? ''
    validateCommon(container, at, errors, context)
    validateContainerRestartRules(container, at, errors)
    if (names.has(name)) errors.push(fieldDuplicate(`${at}.name`, name))
    else if (name !== '') names.add(name)
    validateHostPortConflicts([container], path, errors)
    if (container.restartPolicy === 'Always') { validateProbesAndHooks(container, context.gracePeriodSeconds, at, errors); return }
    for (const field of ['lifecycle', 'livenessProbe', 'readinessProbe', 'startupProbe'] as const) {
      if (container[field]) errors.push(fieldForbidden(`${at}.${field}`, 'may not be set for init containers without restartPolicy=Always'))
    }
  })
}

/** Fields that an ephemeral container may not set, in the order of the type's fields. */
const forbiddenForEphemeral = ['ports', 'resources', 'resizePolicy', 'restartPolicy', 'restartPolicyRules', 'livenessProbe', 'readinessProbe', 'startupProbe', 'lifecycle'] as const

const isSet = (value: unknown): boolean => value !== undefined && value !== null && (typeof value !== 'object' || Object.keys(value).length > 0)

export function validateEphemeralContainers(
  ephemeral: readonly Draft<EphemeralContainer>[], others: readonly Draft<Container>[], path: string, errors: FieldError[], context: ContainerContext,
): void {
  const otherNames = new Set(others.map((container) => container.name ?? ''))
  const names = new Set(otherNames)
  ephemeral.forEach((container, i) => {
    const at = `${path}[${i}]`
    const name = container.name ?? ''
    validateCommon(container, at, errors, context)
    validateImageWhitespace(container.image, at, errors)
    if (names.has(name)) errors.push(fieldDuplicate(`${at}.name`, name))
    names.add(name)
    if (container.targetContainerName && !otherNames.has(container.targetContainerName)) errors.push(fieldNotFound(`${at}.targetContainerName`, container.targetContainerName))
    for (const field of forbiddenForEphemeral) if (isSet(container[field])) errors.push(fieldForbidden(`${at}.${field}`, 'cannot be set for an Ephemeral Container'))
    container.volumeMounts?.forEach((mount, j) => {
      for (const field of ['subPath', 'subPathExpr'] as const) if (mount[field]) errors.push(fieldForbidden(`${at}.volumeMounts[${j}].${field}`, 'cannot be set for an Ephemeral Container'))
    })
  })
}

/** Pods only: templates may have spaces around an image's name. */
export function validateImageWhitespace(image: string | undefined, path: string, errors: FieldError[]): void {
  if (image !== undefined && image.trim().length !== image.length) errors.push(fieldInvalid(`${path}.image`, image, 'must not have leading or trailing whitespace'))
}
