// The strategy's rules for ReplicationControllers and PodTemplates. Upstream: pkg/registry/core/{replicationcontroller,podtemplate}/strategy.go
import type { PodTemplate, ReplicationController, ReplicationControllerSpec } from '../../../../lib/api/generated/types/core-v1.ts'
import type { Draft } from '../../../../lib/base/json.ts'
import { fieldRequired } from '../../../../lib/apimachinery/field-error.ts'
import type { FieldError } from '../../../../lib/apimachinery/field-error.ts'
import { validateReplicatedTemplate, templateOptions } from '../apps/validate-template.ts'
import { validateReplicaCounts } from '../apps/replica-set-rules.ts'
import type { KindRules } from '../generic-strategy.ts'
import { semanticEqual } from '../semantic-equal.ts'
import { validateNonNegative } from '../validate-object-meta.ts'
import { defaultPodTemplate } from './pod/default-pod-spec.ts'
import { podWarnings } from './pod/pod-warnings.ts'
import { validatePodTemplateSpec } from './pod/validate-pod.ts'

function validateSpec(spec: Draft<ReplicationControllerSpec>, old: Draft<ReplicationControllerSpec> | undefined, errors: FieldError[]): void {
  const selector = spec.selector ?? {}
  validateNonNegative(spec.minReadySeconds, 'spec.minReadySeconds', errors)
  if (Object.keys(selector).length === 0) errors.push(fieldRequired('spec.selector'))
  validateNonNegative(spec.replicas, 'spec.replicas', errors)
  validateReplicatedTemplate(spec.template, old?.template, { matchLabels: selector }, 'ReplicationController', 'spec.template', errors)
}

function applyDefaults(controller: ReplicationController): ReplicationController {
  const given = controller.spec ?? {}
  const template = given.template && defaultPodTemplate(given.template)
  const ownLabels = template?.metadata?.labels ?? {}
  const labels = Object.keys(ownLabels).length > 0 ? ownLabels : undefined
  const needsSelector = labels && Object.keys(given.selector ?? {}).length === 0
  const needsLabels = labels && Object.keys(controller.metadata.labels ?? {}).length === 0
  if (given.replicas !== undefined && template === given.template && !needsSelector && !needsLabels) return controller
  return {
    ...controller, ...(needsLabels && { metadata: { ...controller.metadata, labels } }),
    spec: { ...given, replicas: given.replicas ?? 1, ...(needsSelector && { selector: labels }), ...(template && { template }) },
  }
}

export const replicationControllerRules: KindRules<ReplicationController> = {
  applyDefaults,
  prepareForCreate: (controller) => ({ ...controller, status: { replicas: 0 } }),
  validate: (controller, errors, _context, old) => validateSpec(controller.spec ?? {}, old?.spec, errors),
  validateUpdate: (controller, old, errors) => validateSpec(controller.spec ?? {}, old.spec, errors),
  validateStatus: ({ status }, _old, errors) => validateReplicaCounts(status, errors),
  warnings: (controller, old) => controller.spec?.template && (!old || !semanticEqual(controller.spec.template, old.spec?.template))
    ? podWarnings(controller.spec.template.spec ?? {}, controller.spec.template.metadata, 'spec.template') : [],
  selectableFields: (controller) => ({ 'status.replicas': String(controller.status?.replicas ?? 0) }),
}

export const podTemplateRules: KindRules<PodTemplate> = {
  applyDefaults(podTemplate) {
    const template = defaultPodTemplate(podTemplate.template)
    return template === podTemplate.template ? podTemplate : { ...podTemplate, template }
  },
  validate: (podTemplate, errors) => validatePodTemplateSpec(podTemplate.template ?? {}, 'template', errors, templateOptions(undefined)),
  validateUpdate: (podTemplate, old, errors) => validatePodTemplateSpec(podTemplate.template ?? {}, 'template', errors, templateOptions(old.template)),
  desiredStateChanged: (podTemplate, old) => !semanticEqual(podTemplate.template, old.template),
  warnings: (podTemplate) => podTemplate.template ? podWarnings(podTemplate.template.spec ?? {}, podTemplate.template.metadata, 'template') : [],
}
