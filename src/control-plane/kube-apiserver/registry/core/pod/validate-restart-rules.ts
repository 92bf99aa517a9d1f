// Restart policies of single containers and the rules by exit code. Upstream: pkg/apis/core/validation/validation.go (validateContainerRestartPolicy)
import type { Draft } from '../../../../../lib/base/json.ts'
import type { Container } from '../../../../../lib/api/generated/types/core-v1.ts'
import { fieldInvalid, fieldNotSupported, fieldRequired, fieldTooLong } from '../../../../../lib/apimachinery/field-error.ts'
import type { FieldError } from '../../../../../lib/apimachinery/field-error.ts'

const policies = ['Always', 'Never', 'OnFailure']
const mostRules = 20
const mostExitCodes = 255

export function validateContainerRestartRules(container: Draft<Container>, path: string, errors: FieldError[]): void {
  const { restartPolicy, restartPolicyRules: rules } = container
  if (restartPolicy === undefined && (!rules || rules.length === 0)) return
  if (restartPolicy === undefined) errors.push(fieldRequired(`${path}.restartPolicy`, 'must specify restartPolicy when restart rules are used'))
  else if (!policies.includes(restartPolicy)) errors.push(fieldNotSupported(`${path}.restartPolicy`, restartPolicy, policies))
  if (rules && rules.length > mostRules) errors.push(fieldTooLong(`${path}.restartPolicyRules`, mostRules))
  rules?.forEach((rule, i) => {
    const at = `${path}.restartPolicyRules[${i}]`
    if (rule.action !== 'Restart') errors.push(fieldNotSupported(`${at}.action`, rule.action ?? '', ['Restart']))
    if (!rule.exitCodes) { errors.push(fieldRequired(`${at}.exitCodes`, 'must be specified')); return }
    const { operator, values = [] } = rule.exitCodes
    if (operator !== 'In' && operator !== 'NotIn') errors.push(fieldNotSupported(`${at}.exitCodes.operator`, operator ?? '', ['In', 'NotIn']))
    if (values.length < 1) errors.push(fieldInvalid(`${at}.exitCodes.values`, values, 'must specify at least one value'))
    else if (values.length > mostExitCodes) errors.push(fieldTooLong(`${at}.exitCodes.values`, mostExitCodes))
  })
}
