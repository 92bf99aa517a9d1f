// The strategy's rules for ReplicaSets. Upstream: pkg/registry/apps/replicaset/strategy.go, pkg/apis/apps/{v1/defaults.go,validation/validation.go}
import type { ReplicaSet, ReplicaSetSpec } from '../../../../lib/api/generated/types/apps-v1.ts'
import type { Draft } from '../../../../lib/base/json.ts'
import type { FieldError } from '../../../../lib/apimachinery/field-error.ts'
import { defaultPodTemplate } from '../core/pod/default-pod-spec.ts'
import { podWarnings } from '../core/pod/pod-warnings.ts'
import type { KindRules } from '../generic-strategy.ts'
import { goSelector } from '../go-structs.ts'
import { semanticEqual } from '../semantic-equal.ts'
import { validateImmutable, validateNonNegative } from '../validate-object-meta.ts'
import { validateAtMost, validateCounts } from './validate-replica-counts.ts'
import { validateReplicatedTemplate, validateSelector } from './validate-template.ts'

function validateSpec(spec: Draft<ReplicaSetSpec>, old: Draft<ReplicaSetSpec> | undefined, errors: FieldError[]): void {
  validateNonNegative(spec.replicas, 'spec.replicas', errors)
  validateNonNegative(spec.minReadySeconds, 'spec.minReadySeconds', errors)
  if (validateSelector(spec.selector, 'deployment', 'invalid label selector', errors)) validateReplicatedTemplate(spec.template ?? {}, old?.template, spec.selector, 'ReplicaSet', 'spec.template', errors)
}

export const replicaCountNames = ['replicas', 'fullyLabeledReplicas', 'readyReplicas', 'availableReplicas', 'observedGeneration']

export function validateReplicaCounts(status: object | undefined, errors: FieldError[], more: readonly string[] = []): void {
  validateCounts(status, [...replicaCountNames, ...more], errors)
  validateAtMost(status, ['fullyLabeledReplicas', 'readyReplicas', 'availableReplicas'], 'replicas', 'cannot be greater than status.replicas', errors)
  validateAtMost(status, ['availableReplicas'], 'readyReplicas', 'cannot be greater than readyReplicas', errors)
}

export const replicaSetRules: KindRules<ReplicaSet> = {
  applyDefaults(set) {
    // cast: a ReplicaSet without a spec is refused by validation, not here
    const given = set.spec ?? {} as ReplicaSetSpec
    const template = defaultPodTemplate(given.template)
    return given.replicas !== undefined && template === given.template ? set : { ...set, spec: { ...given, replicas: given.replicas ?? 1, template } }
  },
  prepareForCreate: (set) => ({ ...set, status: { replicas: 0 } }),
  validate: (set, errors, _context, old) => validateSpec(set.spec ?? {}, old?.spec, errors),
  validateUpdate(set, old, errors) {
    validateSpec(set.spec ?? {}, old.spec, errors)
    validateImmutable(goSelector(set.spec?.selector), goSelector(old.spec?.selector), 'spec.selector', errors)
  },
  validateStatus: ({ status }, _old, errors) => validateReplicaCounts(status, errors, ['terminatingReplicas']),
  warnings: (set, old) => set.spec?.template && (!old || !semanticEqual(set.spec.template, old.spec?.template))
    ? podWarnings(set.spec.template.spec ?? {}, set.spec.template.metadata, 'spec.template') : [],
  selectableFields: (set) => ({ 'status.replicas': String(set.status?.replicas ?? 0) }),
}
