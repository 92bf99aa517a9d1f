// A pod as it is created and as users change it: nearly everything in the spec is fixed. Upstream: pkg/apis/core/validation/validation.go
import type { Draft } from '../../../../../lib/base/json.ts'
import type { Container, NodeAffinity, NodeSelectorTerm, Pod, PodSchedulingGate, PodSpec, PodTemplateSpec, Toleration } from '../../../../../lib/api/generated/types/core-v1.ts'
import { fieldForbidden, fieldInvalid, fieldRequired } from '../../../../../lib/apimachinery/field-error.ts'
import type { FieldError } from '../../../../../lib/apimachinery/field-error.ts'
import { inclusiveRangeError } from '../../../../../lib/apimachinery/validation.ts'
import { describeDifference } from '../../describe-difference.ts'
import { semanticEqual } from '../../semantic-equal.ts'
import { validateAnnotations, validateLabels } from '../../validate-object-meta.ts'
import type { PodValidationOptions } from './pod-validation-options.ts'
import { validateImageWhitespace } from './validate-containers.ts'
import { mirrorAnnotation, validatePodAnnotations, validatePodAnnotationUpdates, validateProfileAnnotations } from './validate-pod-annotations.ts'
import { validatePodSpec } from './validate-pod-spec.ts'
import { validateTolerations } from './validate-scheduling.ts'

/** What every write of a pod must fulfil, besides the metadata. */
export function validatePodContents(pod: Draft<Pod>, errors: FieldError[], options: PodValidationOptions): void {
  const spec = pod.spec ?? {}
  validatePodAnnotations(pod.metadata?.annotations, spec, 'metadata.annotations', errors, options)
  validatePodSpec(spec, pod.metadata, 'spec', errors, options)
  if (!spec.serviceAccountName) {
    spec.volumes?.forEach((volume, i) => volume.projected?.sources?.forEach((source, j) => {
      if (source.serviceAccountToken) errors.push(fieldForbidden(`spec.volumes[${i}].projected.sources[${j}].serviceAccountToken`, 'must not be specified when serviceAccountName is not set'))
    }))
  }
  spec.containers?.forEach((container, i) => validateImageWhitespace(container.image, `spec.containers[${i}]`, errors))
  spec.initContainers?.forEach((container, i) => validateImageWhitespace(container.image, `spec.initContainers[${i}]`, errors))
}

export function validatePodCreate(pod: Draft<Pod>, errors: FieldError[], options: PodValidationOptions): void {
  validatePodContents(pod, errors, options)
  const spec = pod.spec ?? {}
  if (spec.ephemeralContainers && spec.ephemeralContainers.length > 0) errors.push(fieldForbidden('spec.ephemeralContainers', 'cannot be set on create'))
  if (spec.nodeName && spec.schedulingGates && spec.schedulingGates.length > 0) errors.push(fieldForbidden('spec.nodeName', 'cannot be set until all schedulingGates have been cleared'))
  validateProfileAnnotations(pod.metadata, spec, 'spec', errors)
}

/** Templates in controllers, and PodTemplates. `path` is that of the template. */
export function validatePodTemplateSpec(template: Draft<PodTemplateSpec>, path: string, errors: FieldError[], options: PodValidationOptions): void {
  const spec = template.spec ?? {}
  validateLabels(template.metadata?.labels, `${path}.labels`, errors)
  validateAnnotations(template.metadata?.annotations, `${path}.annotations`, errors)
  validatePodAnnotations(template.metadata?.annotations, spec, `${path}.annotations`, errors, options)
  validatePodSpec(spec, undefined, `${path}.spec`, errors, options)
  validateProfileAnnotations(template.metadata, spec, `${path}.spec`, errors)
  if (spec.ephemeralContainers && spec.ephemeralContainers.length > 0) errors.push(fieldForbidden(`${path}.spec.ephemeralContainers`, 'ephemeral containers not allowed in pod template'))
}

const updatable = '`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)'

export function validatePodUpdate(pod: Draft<Pod>, old: Draft<Pod>, errors: FieldError[], options: PodValidationOptions): void {
  const spec = pod.spec ?? {}
  const oldSpec = old.spec ?? {}
  validatePodContents(pod, errors, options)
  validatePodAnnotationUpdates(pod.metadata?.annotations, old.metadata?.annotations, 'metadata.annotations', errors)
  if (!validateImages(spec.containers, oldSpec.containers, 'spec.containers', errors)) return
  if (!validateImages(spec.initContainers, oldSpec.initContainers, 'spec.initContainers', errors)) return
  const deadline = spec.activeDeadlineSeconds
  const oldDeadline = oldSpec.activeDeadlineSeconds
  if (deadline !== undefined) {
    if (deadline < 0 || deadline > 2147483647) { errors.push(fieldInvalid('spec.activeDeadlineSeconds', deadline, inclusiveRangeError(0, 2147483647))); return }
    if (oldDeadline !== undefined && oldDeadline < deadline) { errors.push(fieldInvalid('spec.activeDeadlineSeconds', deadline, 'must be less than or equal to previous value')); return }
  } else if (oldDeadline !== undefined) {
    errors.push(fieldInvalid('spec.activeDeadlineSeconds', undefined, 'must not update from a positive integer to nil value'))
  }
  validateOnlyAddedTolerations(spec.tolerations, oldSpec.tolerations, errors)
  validateOnlyRemovedGates(spec.schedulingGates, oldSpec.schedulingGates, errors)
  if (semanticEqual(spec, oldSpec)) return
  let fixed: Draft<PodSpec> = {
    ...spec, containers: withImages(spec.containers, oldSpec.containers), initContainers: withImages(spec.initContainers, oldSpec.initContainers),
    activeDeadlineSeconds: oldDeadline, schedulingGates: oldSpec.schedulingGates, tolerations: oldSpec.tolerations,
  }
  if ((oldSpec.terminationGracePeriodSeconds ?? 0) < 0 && spec.terminationGracePeriodSeconds === 1) fixed = { ...fixed, terminationGracePeriodSeconds: oldSpec.terminationGracePeriodSeconds }
  if (oldSpec.schedulingGates && oldSpec.schedulingGates.length > 0) fixed = validateGatedChanges(fixed, oldSpec, errors)
  if (!semanticEqual(fixed, oldSpec)) errors.push(fieldForbidden('spec', `pod updates may not change fields other than ${updatable}\n${describeDifference(oldSpec, fixed)}`))
}

/** False: the rest can't be compared. */
function validateImages(containers: readonly Draft<Container>[] = [], old: readonly Draft<Container>[] = [], path: string, errors: FieldError[]): boolean {
  if (containers.length !== old.length) {
    errors.push(fieldForbidden(path, 'pod updates may not add or remove containers'))
    return false
  }
  containers.forEach((container, i) => {
    if (!container.image) errors.push(fieldRequired(`${path}[${i}].image`))
    validateImageWhitespace(container.image, `${path}[${i}]`, errors)
  })
  return true
}

const withImages = (containers: readonly Draft<Container>[] | undefined, old: readonly Draft<Container>[] = []): readonly Draft<Container>[] | undefined =>
  containers?.map((container, i) => container.image === old[i]?.image ? container : { ...container, image: old[i]?.image })

function validateOnlyAddedTolerations(tolerations: readonly Draft<Toleration>[] = [], old: readonly Draft<Toleration>[] = [], errors: FieldError[]): void {
  const kept = old.every((before) => tolerations.some((now) => semanticEqual({ ...before, tolerationSeconds: now.tolerationSeconds }, now)))
  if (!kept) errors.push(fieldForbidden('spec.tolerations', 'existing toleration can not be modified except its tolerationSeconds'))
  else validateTolerations(tolerations, 'spec.tolerations', errors)
}

function validateOnlyRemovedGates(gates: readonly Draft<PodSchedulingGate>[] = [], old: readonly Draft<PodSchedulingGate>[] = [], errors: FieldError[]): void {
  gates.forEach((gate, i) => {
    if (old.some((before) => before.name === gate.name)) return
    errors.push(fieldForbidden(`spec.schedulingGates[${i}].name`, `only deletion is allowed, but found new scheduling gate '${gate.name ?? ''}'`))
  })
}

/** Pods that wait at a gate may be narrowed to fewer nodes. Gives the spec with these changes taken back. */
function validateGatedChanges(spec: Draft<PodSpec>, old: Draft<PodSpec>, errors: FieldError[]): Draft<PodSpec> {
  let fixed = spec
  if (!semanticEqual(spec.nodeSelector, old.nodeSelector)) {
    for (const key in old.nodeSelector) {
      if (spec.nodeSelector?.[key] === old.nodeSelector[key]) continue
      errors.push(fieldInvalid('spec.nodeSelector', spec.nodeSelector, 'only additions to spec.nodeSelector are allowed (no mutations or deletions)'))
      break
    }
    fixed = { ...fixed, nodeSelector: old.nodeSelector }
  }
  const affinity = spec.affinity?.nodeAffinity
  const before = old.affinity?.nodeAffinity
  if (semanticEqual(affinity, before)) return fixed
  validateNodeAffinityChange(affinity, before, errors)
  return { ...fixed, affinity: { ...fixed.affinity, nodeAffinity: before } }
}

function validateNodeAffinityChange(affinity: Draft<NodeAffinity> | undefined, old: Draft<NodeAffinity> | undefined, errors: FieldError[]): void {
  const required = old?.requiredDuringSchedulingIgnoredDuringExecution
  if (!required) return
  const path = 'spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms'
  const oldTerms = required.nodeSelectorTerms ?? []
  const terms = affinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms ?? []
  if (oldTerms.length > 0 && oldTerms.length !== terms.length) {
    errors.push(fieldInvalid(path, terms, 'no additions/deletions to non-empty NodeSelectorTerms list are allowed'))
    return
  }
  oldTerms.forEach((oldTerm, i) => {
    if (!onlyAdds(terms[i] ?? {}, oldTerm)) errors.push(fieldInvalid(`${path}[${i}]`, terms[i], 'only additions are allowed (no mutations or deletions)'))
  })
}

function onlyAdds(term: Draft<NodeSelectorTerm>, old: Draft<NodeSelectorTerm>): boolean {
  const { matchExpressions = [], matchFields = [] } = term
  const { matchExpressions: oldExpressions = [], matchFields: oldFields = [] } = old
  if (oldExpressions.length === 0 && oldFields.length === 0) return matchExpressions.length === 0 && matchFields.length === 0
  return semanticEqual(matchExpressions.slice(0, oldExpressions.length), oldExpressions) && semanticEqual(matchFields.slice(0, oldFields.length), oldFields)
}

export function validateEphemeralContainersUpdate(pod: Draft<Pod>, old: Draft<Pod>, errors: FieldError[], options: PodValidationOptions): void {
  validatePodContents(pod, errors, options)
  validatePodAnnotationUpdates(pod.metadata?.annotations, old.metadata?.annotations, 'metadata.annotations', errors)
  if (old.metadata?.annotations?.[mirrorAnnotation] !== undefined) {
    errors.splice(0, errors.length, fieldForbidden('', 'static pods do not support ephemeral containers'))
    return
  }
  const byName = new Map((pod.spec?.ephemeralContainers ?? []).map((container) => [container.name, container]))
  for (const before of old.spec?.ephemeralContainers ?? []) {
    const now = byName.get(before.name)
    const name = JSON.stringify(before.name ?? '')
    if (!now) errors.push(fieldForbidden('spec.ephemeralContainers', `existing ephemeral containers ${name} may not be removed\n`))
    else if (!semanticEqual(before, now)) errors.push(fieldForbidden('spec.ephemeralContainers', `existing ephemeral containers ${name} may not be changed\n${describeDifference(before, now)}`))
  }
}
