// What kubelets and controllers may write into a pod's status. Upstream: pkg/apis/core/validation/validation.go (ValidatePodStatusUpdate)
import type { Draft } from '../../../../../lib/base/json.ts'
import type { ContainerStatus, HostIP, Pod, PodIP, PodSpec } from '../../../../../lib/api/generated/types/core-v1.ts'
import { fieldDuplicate, fieldForbidden, fieldInvalid } from '../../../../../lib/apimachinery/field-error.ts'
import type { FieldError } from '../../../../../lib/apimachinery/field-error.ts'
import { goAddress } from '../../go-structs.ts'
import { isDns1123Subdomain, isQualifiedName, isValidUserId } from '../../../../../lib/apimachinery/validation.ts'
import { pushInvalid, validateImmutable } from '../../validate-object-meta.ts'
import { isDualStack, validateLegacyIp } from '../../validation/addresses.ts'
import { isSidecar } from './pod-resources.ts'
import { validatePodAnnotationUpdates } from './validate-pod-annotations.ts'

type Statuses = readonly Draft<ContainerStatus>[] | undefined

export function validatePodStatusUpdate(pod: Draft<Pod>, old: Draft<Pod>, errors: FieldError[]): void {
  const status = pod.status ?? {}
  const oldStatus = old.status ?? {}
  const oldSpec = old.spec ?? {}
  validatePodAnnotationUpdates(pod.metadata?.annotations, old.metadata?.annotations, 'metadata.annotations', errors)
  status.conditions?.forEach((condition, i) => pushInvalid(errors, `metadata.conditions[${i}].Type`, condition.type ?? '', isQualifiedName))
  if ((pod.spec?.nodeName ?? '') !== (oldSpec.nodeName ?? '')) errors.push(fieldForbidden('status.nodeName', 'may not be changed directly'))
  if (status.nominatedNodeName && status.nominatedNodeName !== oldStatus.nominatedNodeName) pushInvalid(errors, 'status.nominatedNodeName', status.nominatedNodeName, isDns1123Subdomain)
  validateImmutable(status.qosClass ?? '', oldStatus.qosClass ?? '', 'status.qosClass', errors)
  const policy = oldSpec.restartPolicy ?? ''
  validateTransitions(status.containerStatuses, oldStatus.containerStatuses, policy, 'status.containerStatuses', errors, oldSpec)
  validateTransitions(status.initContainerStatuses, oldStatus.initContainerStatuses, policy, 'status.initContainerStatuses', errors, oldSpec)
  validateTransitions(status.ephemeralContainerStatuses, oldStatus.ephemeralContainerStatuses, 'Never', 'status.ephemeralContainerStatuses', errors, {})
  validateClaimStatuses(pod, errors)
  validateAddresses(status.podIPs, 'status.podIPs', errors)
  if (status.hostIPs && status.hostIPs.length > 0) {
    if ((status.hostIP ?? '') !== (status.hostIPs[0]?.ip ?? '')) errors.push(fieldInvalid('status.hostIPs[0].ip', status.hostIPs[0]?.ip ?? '', 'must be equal to `hostIP`'))
    validateAddresses(status.hostIPs, 'status.hostIPs', errors)
  }
  for (const field of ['containerStatuses', 'initContainerStatuses', 'ephemeralContainerStatuses'] as const) validateUsers(status[field], pod.spec ?? {}, `status.${field}`, errors)
  status.ephemeralContainerStatuses?.forEach((container, i) => {
    if (container.allocatedResourcesStatus && container.allocatedResourcesStatus.length > 0) {
      errors.push(fieldForbidden(`status.ephemeralContainerStatuses[${i}].allocatedResourcesStatus`, 'must not be specified in container status'))
    }
  })
}

/** What has ended stays ended, unless the restart policy lets it run again. */
function validateTransitions(statuses: Statuses, old: Statuses, podPolicy: string, path: string, errors: FieldError[], spec: Draft<PodSpec>): void {
  if (podPolicy === 'Always') return
  old?.forEach((before, i) => {
    const ended = before.state?.terminated
    if (!ended) return
    const container = [...(spec.containers ?? []), ...(spec.initContainers ?? [])].find((candidate) => candidate.name === before.name)
    if (container && (isSidecar(container) || (container.restartPolicyRules?.length ?? 0) > 0)) return
    const policy = container?.restartPolicy ?? podPolicy
    if (ended.exitCode !== 0 && policy === 'OnFailure') return
    if (statuses?.some((now) => now.name === before.name && !now.state?.terminated)) errors.push(fieldForbidden(`${path}[${i}].state`, 'may not be transitioned to non-terminated state'))
  })
}

function validateClaimStatuses(pod: Draft<Pod>, errors: FieldError[]): void {
  const seen = new Set<string>()
  pod.status?.resourceClaimStatuses?.forEach((status, i) => {
    const path = `status.resourceClaimStatuses[${i}].name`
    const name = status.name ?? ''
    if (!pod.spec?.resourceClaims?.some((claim) => claim.name === name)) errors.push(fieldInvalid(path, name, 'must match the name of an entry in `spec.resourceClaims`'))
    if (seen.has(name)) errors.push(fieldDuplicate(path, name))
    seen.add(name)
    if (status.resourceClaimName !== undefined) pushInvalid(errors, path, status.resourceClaimName, isDns1123Subdomain)
  })
}

function validateAddresses(addresses: readonly Draft<PodIP | HostIP>[] | undefined, path: string, errors: FieldError[]): void {
  if (!addresses) return
  addresses.forEach((address, i) => validateLegacyIp(address.ip ?? '', `${path}[${i}]`, errors))
  if (addresses.length < 2) return
  const texts = addresses.map((address) => address.ip ?? '')
  if (!isDualStack(texts) || texts.length > 2) errors.push(fieldInvalid(path, addresses.map(goAddress), 'may specify no more than one IP for each IP family'))
  texts.forEach((text, i) => { if (texts.indexOf(text) < i) errors.push(fieldDuplicate(`${path}[${i}]`, goAddress(addresses[i]))) })
}

function validateUsers(statuses: Statuses, spec: Draft<PodSpec>, path: string, errors: FieldError[]): void {
  statuses?.forEach((status, i) => {
    const linux = status.user?.linux
    if (!linux) return
    const at = `${path}[${i}].linux`
    if (spec.os?.name === 'windows') { errors.push(fieldForbidden(at, 'cannot be set for a windows pod')); return }
    const validateId = (id: number | undefined, field: string): void => { for (const text of isValidUserId(id ?? 0)) errors.push(fieldInvalid(`${at}.${field}`, id ?? 0, text)) }
    validateId(linux.uid, 'uid')
    validateId(linux.gid, 'gid')
    linux.supplementalGroups?.forEach((group, j) => validateId(group, `supplementalGroups[${j}]`))
  })
}
