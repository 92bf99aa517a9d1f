// Conditions of the common form. Upstream: apimachinery/pkg/apis/meta/v1/validation (ValidateConditions)
import type { Draft } from '../../../../lib/base/json.ts'
import type { Condition } from '../../../../lib/api/generated/types/meta-v1.ts'
import { fieldDuplicate, fieldInvalid, fieldNotSupported, fieldRequired, fieldTooLong } from '../../../../lib/apimachinery/field-error.ts'
import type { FieldError } from '../../../../lib/apimachinery/field-error.ts'
import { isQualifiedName } from '../../../../lib/apimachinery/validation.ts'
import { byteLength } from '../byte-length.ts'
import { isConditionReason } from '../condition-reason.ts'
import { pushInvalid } from '../validate-object-meta.ts'

const statuses = ['False', 'True', 'Unknown']
const reasonLimitBytes = 1024
const messageLimitBytes = 32 * 1024

export function validateConditions(conditions: readonly Draft<Condition>[] | undefined, path: string, errors: FieldError[]): void {
  const types = new Set<string>()
  conditions?.forEach((condition, i) => {
    const at = `${path}[${i}]`
    const { type = '', status = '', reason = '', observedGeneration: generation } = condition
    if (types.has(type)) errors.push(fieldDuplicate(at, type))
    types.add(type)
    if (type === '') errors.push(fieldRequired(`${at}.type`, 'is required'))
    else pushInvalid(errors, `${at}.type`, type, isQualifiedName)
    if (status === '') errors.push(fieldRequired(`${at}.status`))
    else if (!statuses.includes(status)) errors.push(fieldNotSupported(`${at}.status`, status, statuses))
    if (generation !== undefined && generation < 0) errors.push(fieldInvalid(`${at}.observedGeneration`, generation, 'must be greater than or equal to zero'))
    if (!condition.lastTransitionTime) errors.push(fieldRequired(`${at}.lastTransitionTime`))
    if (reason === '') errors.push(fieldRequired(`${at}.reason`))
    else {
      pushInvalid(errors, `${at}.reason`, reason, isConditionReason)
      if (byteLength(reason) > reasonLimitBytes) errors.push(fieldTooLong(`${at}.reason`, reasonLimitBytes))
    }
    if (byteLength(condition.message ?? '') > messageLimitBytes) errors.push(fieldTooLong(`${at}.message`, messageLimitBytes))
  })
}
