// The form that a condition's reason must have. Upstream: apimachinery/pkg/apis/meta/v1/validation
import { regexError } from '../../../lib/apimachinery/validation.ts'

const pattern = '[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?'
const expression = new RegExp(`^${pattern}$`)

/** What is wrong with a condition's reason; nothing when it is right. */
export function isConditionReason(value: string): readonly string[] {
  if (expression.test(value)) return []
  return [regexError("a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric characters or '_,:', and must end with an alphanumeric character or '_'", pattern, 'my_name', 'MY_NAME', 'MyName', 'ReasonA,ReasonB', 'ReasonA:ReasonB')]
}
