// When images are pulled. Upstream: pkg/apis/core/validation/validation.go (validatePullPolicy)
import { fieldNotSupported, fieldRequired } from '../../../../../lib/apimachinery/field-error.ts'
import type { FieldError } from '../../../../../lib/apimachinery/field-error.ts'

export function validatePullPolicy(policy: string | undefined, path: string, errors: FieldError[]): void {
  switch (policy) {
    case 'Always': case 'IfNotPresent': case 'Never': return
    case undefined: case '': errors.push(fieldRequired(path)); return
    default: errors.push(fieldNotSupported(path, policy, ['Always', 'IfNotPresent', 'Never']))
  }
}
