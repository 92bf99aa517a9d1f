// Names of signers, `example.com/my-signer`, and of the trust bundles that belong to one, `example.com:my-signer:name`.
// Upstream: pkg/apis/core/validation/names.go
import { fieldInvalid, fieldRequired, fieldTooLong } from '../../../../lib/apimachinery/field-error.ts'
import type { FieldError } from '../../../../lib/apimachinery/field-error.ts'
import { isDns1123Label, isDns1123Subdomain, regexError } from '../../../../lib/apimachinery/validation.ts'
import { byteLength } from '../byte-length.ts'

const pathPattern = '[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?(\\.[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?)*'
const pathExpression = new RegExp(`^${pathPattern}$`)
const pathText = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character"

export function validateSignerName(name: string, path: string, errors: FieldError[]): void {
  if (name === '') { errors.push(fieldRequired(path)); return }
  const segments = name.split('/')
  const [domain = '', rest = ''] = segments
  if (segments.length !== 2) { errors.push(fieldInvalid(path, name, 'must be a fully qualified domain and path of the form "example.com/signer-name"')); return }
  for (const text of isDns1123Subdomain(domain)) errors.push(fieldInvalid(path, domain, `validating label ${JSON.stringify(domain)}: ${text}`))
  const labels = domain.split('.')
  if (labels.length < 2) errors.push(fieldInvalid(path, domain, 'should be a domain with at least two segments separated by dots'))
  for (const label of labels) for (const text of isDns1123Label(label)) errors.push(fieldInvalid(path, label, `validating label ${JSON.stringify(label)}: ${text}`))
  if (!pathExpression.test(rest)) errors.push(fieldInvalid(path, name, `validating label ${JSON.stringify(rest)}: ${regexError(pathText, pathPattern, 'example.com')}`))
  const limit = 63 * 9 + 4
  if (byteLength(name) > limit) errors.push(fieldTooLong(path, limit))
}

/** A bundle of a signer starts with the signer's name, slash as colon; one without a signer is a subdomain. */
export function clusterTrustBundleNameErrors(name: string): readonly string[] {
  const end = name.lastIndexOf(':')
  return end < 0 ? isDns1123Subdomain(name) : isDns1123Subdomain(name.slice(end + 1))
}
