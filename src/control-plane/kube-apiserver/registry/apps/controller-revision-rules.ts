// The strategy's rules for ControllerRevisions: their data never changes. Upstream: pkg/registry/apps/controllerrevision/strategy.go
import type { ControllerRevision } from '../../../../lib/api/generated/types/apps-v1.ts'
import { fieldRequired } from '../../../../lib/apimachinery/field-error.ts'
import type { FieldError } from '../../../../lib/apimachinery/field-error.ts'
import type { KindRules } from '../generic-strategy.ts'
import { validateImmutable, validateNonNegative } from '../validate-object-meta.ts'

function validate(revision: ControllerRevision, errors: FieldError[]): void {
  if (revision.data === undefined || revision.data === null) errors.push(fieldRequired('data', 'data is mandatory'))
  validateNonNegative(revision.revision, 'revision', errors)
}

export const controllerRevisionRules: KindRules<ControllerRevision> = {
  validate,
  validateUpdate(revision, old, errors) {
    validate(revision, errors)
    validateImmutable(revision.data, old.data, 'data', errors)
  },
}
