// What validation of a pod's spec tolerates. Wrong values that were stored before they were checked stay allowed in that object.
import type { Draft } from '../../../../../lib/base/json.ts'
import type { PodSpec } from '../../../../../lib/api/generated/types/core-v1.ts'
import type { ObjectMeta } from '../../../../../lib/api/generated/types/meta-v1.ts'
import { isQualifiedName, isValidLabelValue } from '../../../../../lib/apimachinery/validation.ts'
import { hasInvalidLabelValue } from '../../validation/label-selector.ts'

export interface PodValidationOptions {
  /** A pod, not the template of one. */
  readonly resourceIsPod: boolean
  readonly allowInvalidDeletionCost: boolean
  readonly allowInvalidAffinityValues: boolean
  readonly allowInvalidSpreadSelectors: boolean
  readonly allowInvalidNodeAffinityValues: boolean
  readonly allowNamespacedSysctlsOnHost: boolean
}

export const strictPodOptions: PodValidationOptions = {
  resourceIsPod: true, allowInvalidDeletionCost: false, allowInvalidAffinityValues: false, allowInvalidSpreadSelectors: false, allowInvalidNodeAffinityValues: false,
  allowNamespacedSysctlsOnHost: false,
}

export const strictTemplateOptions: PodValidationOptions = { ...strictPodOptions, resourceIsPod: false }

export const deletionCostAnnotation = 'controller.kubernetes.io/pod-deletion-cost'

/** A 32 bit number as Go's programs print it: no plus, no leading zero. */
export function isDeletionCost(text: string): boolean {
  const cost = Number(text)
  return /^(0|-?[1-9][0-9]*)$/.test(text) && cost >= -2147483648 && cost <= 2147483647
}

/** Options for an update: as strict as what is stored. */
export function optionsFor(base: PodValidationOptions, old: Draft<PodSpec> | undefined, oldMeta: Draft<ObjectMeta> | undefined): PodValidationOptions {
  if (!old) return base
  const cost = oldMeta?.annotations?.[deletionCostAnnotation]
  const { affinity } = old
  const terms = affinity ? [
    ...(affinity.podAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []), ...(affinity.podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []),
    ...[...(affinity.podAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? []), ...(affinity.podAntiAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? [])].map((term) => term.podAffinityTerm ?? {}),
  ] : []
  const nodeTerms = affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms ?? []
  const onHost = (old.hostNetwork || old.hostIPC) && (old.securityContext?.sysctls?.length ?? 0) > 0
  const invalidCost = cost !== undefined && !isDeletionCost(cost)
  const invalidAffinity = terms.some((term) => hasInvalidLabelValue(term.labelSelector) || hasInvalidLabelValue(term.namespaceSelector))
  const invalidSpread = old.topologySpreadConstraints?.some((constraint) => hasInvalidLabelValue(constraint.labelSelector)
    || constraint.labelSelector?.matchExpressions?.some((expression) => isQualifiedName(expression.key ?? '').length > 0)) ?? false
  const invalidNodes = nodeTerms.some((term) => term.matchExpressions?.some((requirement) => requirement.values?.some((value) => isValidLabelValue(value).length > 0)))
  if (!invalidCost && !invalidAffinity && !invalidSpread && !invalidNodes && !onHost) return base
  return {
    ...base, allowInvalidDeletionCost: invalidCost, allowInvalidAffinityValues: invalidAffinity, allowInvalidSpreadSelectors: invalidSpread,
    allowInvalidNodeAffinityValues: invalidNodes, allowNamespacedSysctlsOnHost: onHost === true,
  }
}
