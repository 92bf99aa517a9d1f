// The strategy's rules for PriorityClasses and RuntimeClasses. Upstream: pkg/apis/scheduling/validation/validation.go, pkg/apis/node/validation/validation.go
import type { Draft } from '../../../../lib/base/json.ts'
import type { RuntimeClass } from '../../../../lib/api/generated/types/node-v1.ts'
import type { PriorityClass } from '../../../../lib/api/generated/types/scheduling-v1.ts'
import { fieldDuplicate, fieldForbidden, fieldInvalid } from '../../../../lib/apimachinery/field-error.ts'
import type { FieldError } from '../../../../lib/apimachinery/field-error.ts'
import { isDns1123Label } from '../../../../lib/apimachinery/validation.ts'
import { validateEnumeration } from '../core/pod/validate-pod-spec.ts'
import { nodeLabelWarning } from '../core/pod/pod-warnings.ts'
import { validateTolerations } from '../core/pod/validate-scheduling.ts'
import type { KindRules } from '../generic-strategy.ts'
import { goToleration } from '../go-structs.ts'
import { semanticEqual } from '../semantic-equal.ts'
import { pushInvalid, validateImmutable, validateLabels } from '../validate-object-meta.ts'
import { validateOverhead } from '../validation/resource-requirements.ts'

const highestUserPriority = 1000000000
const systemClasses: { readonly [name: string]: number } = { 'system-node-critical': 2000001000, 'system-cluster-critical': 2000000000 }
const preemptionPolicies = ['PreemptLowerPriority', 'Never']

function validatePriority(priority: PriorityClass, errors: FieldError[]): void {
  const { name } = priority.metadata
  const value = priority.value ?? 0
  if (name?.startsWith('system-')) {
    const expected = systemClasses[name]
    const wrong = expected === undefined ? 'only predefined system PriorityClasses may use the prefix'
      : value !== expected ? `value of ${name} PriorityClass must be ${expected}` : priority.globalDefault ? `globalDefault of ${name} PriorityClass must be false` : undefined
    if (wrong !== undefined) errors.push(fieldForbidden('metadata.name', `priority class names with 'system-' prefix are reserved for system use only. error: ${wrong}`))
  } else if (value > highestUserPriority) {
    errors.push(fieldForbidden('value', `maximum allowed value of a user defined priority is ${highestUserPriority}`))
  }
  if (priority.preemptionPolicy !== undefined) validateEnumeration(priority.preemptionPolicy, preemptionPolicies, 'preemptionPolicy', errors)
}

export const priorityClassRules: KindRules<PriorityClass> = {
  applyDefaults: (priority) => priority.preemptionPolicy === undefined ? { ...priority, preemptionPolicy: 'PreemptLowerPriority' } : priority,
  validate: validatePriority,
  validateUpdate(priority, old, errors) {
    if ((priority.value ?? 0) !== (old.value ?? 0)) errors.push(fieldForbidden('value', 'may not be changed in an update.'))
    validateImmutable(priority.preemptionPolicy, old.preemptionPolicy, 'preemptionPolicy', errors)
  },
  desiredStateChanged: (priority, old) => priority.value !== old.value || !semanticEqual(priority.globalDefault, old.globalDefault)
    || !semanticEqual(priority.description, old.description) || priority.preemptionPolicy !== old.preemptionPolicy,
}

function validateRuntime(runtime: Draft<RuntimeClass>, errors: FieldError[]): void {
  pushInvalid(errors, 'handler', runtime.handler ?? '', isDns1123Label)
  if (runtime.overhead) validateOverhead(runtime.overhead.podFixed ?? {}, 'overhead.podFixed', errors)
  if (!runtime.scheduling) return
  const { nodeSelector, tolerations } = runtime.scheduling
  validateLabels(nodeSelector, 'scheduling.nodeSelector', errors)
  validateTolerations(tolerations, 'scheduling.tolerations', errors)
  tolerations?.forEach((toleration, i) => {
    if (tolerations.slice(0, i).some((other) => semanticEqual(other, toleration))) errors.push(fieldDuplicate(`scheduling.tolerations[${i}]`, goToleration(toleration)))
  })
}

export const runtimeClassRules: KindRules<RuntimeClass> = {
  validate: (runtime, errors) => validateRuntime(runtime, errors),
  validateUpdate(runtime, old, errors) {
    if ((runtime.handler ?? '') !== (old.handler ?? '')) errors.push(fieldInvalid('handler', runtime.handler ?? '', 'field is immutable'))
  },
  warnings(runtime) {
    const labels = Object.keys(runtime.scheduling?.nodeSelector ?? {})
    return labels.flatMap((label) => {
      const text = nodeLabelWarning(label)
      return text === undefined ? [] : [`scheduling.nodeSelector: ${text}`]
    })
  },
}
