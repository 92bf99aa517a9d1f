// What the templates of all controllers of long-running pods have in common: the selector must pick the template's pods, and these must always be restarted.
// Upstream: pkg/apis/apps/validation/validation.go, pkg/apis/core/validation/validation.go (ValidatePodTemplateSpecForRC)
import type { Draft } from '../../../../lib/base/json.ts'
import type { PodTemplateSpec } from '../../../../lib/api/generated/types/core-v1.ts'
import type { LabelSelector } from '../../../../lib/api/generated/types/meta-v1.ts'
import { fieldForbidden, fieldInvalid, fieldNotSupported, fieldRequired } from '../../../../lib/apimachinery/field-error.ts'
import type { FieldError } from '../../../../lib/apimachinery/field-error.ts'
import { goMap, goSelector } from '../go-structs.ts'
import { optionsFor, strictTemplateOptions } from '../core/pod/pod-validation-options.ts'
import type { PodValidationOptions } from '../core/pod/pod-validation-options.ts'
import { validatePodTemplateSpec } from '../core/pod/validate-pod.ts'
import { isEmptySelector, selectorMatches, validateLabelSelector } from '../validation/label-selector.ts'

type Template = Draft<PodTemplateSpec> | undefined

export const templateOptions = (old: Template): PodValidationOptions => optionsFor(strictTemplateOptions, old?.spec, old?.metadata)

/** Whether the template can be looked at: a selector that can't be read picks nothing, and is said to be wrong once more. */
export function validateSelector(selector: Draft<LabelSelector> | undefined, kind: string, detail: string, errors: FieldError[]): boolean {
  if (!selector) { errors.push(fieldRequired('spec.selector')); return true }
  const before = errors.length
  validateLabelSelector(selector, 'spec.selector', errors)
  const wrong = errors.length > before
  if (isEmptySelector(selector)) errors.push(fieldInvalid('spec.selector', selector, `empty selector is invalid for ${kind}`))
  if (wrong) errors.push(fieldInvalid('spec.selector', goSelector(selector), detail))
  return !wrong
}

export function validateSelected(template: Template, selector: Draft<LabelSelector> | undefined, path: string, errors: FieldError[]): void {
  const labels = template?.metadata?.labels
  // An absent selector picks nothing, an empty one is complained about elsewhere.
  if (!selector || (!isEmptySelector(selector) && !selectorMatches(selector, labels))) errors.push(fieldInvalid(`${path}.metadata.labels`, goMap(labels), '`selector` does not match template `labels`'))
}

/** For ReplicaSets, Deployments and ReplicationControllers. */
export function validateReplicatedTemplate(template: Template, old: Template, selector: Draft<LabelSelector> | undefined, kind: string, path: string, errors: FieldError[]): void {
  if (!template) { errors.push(fieldRequired(path)); return }
  validateSelected(template, selector, path, errors)
  validatePodTemplateSpec(template, path, errors, templateOptions(old))
  if (template.spec?.restartPolicy !== 'Always') errors.push(fieldNotSupported(`${path}.spec.restartPolicy`, template.spec?.restartPolicy ?? '', ['Always']))
  if (template.spec?.activeDeadlineSeconds !== undefined) errors.push(fieldForbidden(`${path}.spec.activeDeadlineSeconds`, `activeDeadlineSeconds in ${kind} is not Supported`))
}
