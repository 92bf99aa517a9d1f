// Formats of names, labels, keys and addresses. Each check returns what is wrong with the value, in the original's words; an empty list means valid.
// Upstream: apimachinery/pkg/util/validation, apimachinery/pkg/api/validate/content
import { canonicalIp, parseIp, parseIpSloppy } from './ip-address.ts'

const dns1123Label = '[a-z0-9]([-a-z0-9]*[a-z0-9])?'
const dns1123Subdomain = `${dns1123Label}(\\.${dns1123Label})*`
const dns1123LabelUnderscore = '_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?'
const dns1123SubdomainUnderscore = `${dns1123LabelUnderscore}(\\.${dns1123LabelUnderscore})*`
const dns1035Label = '[a-z]([-a-z0-9]*[a-z0-9])?'
const wildcardSubdomain = `\\*\\.${dns1123Subdomain}`
const labelKeyName = '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]'
const labelValue = `(${labelKeyName})?`
const cIdentifier = '[A-Za-z_][A-Za-z0-9_]*'
const envVarName = '[-._a-zA-Z][-._a-zA-Z0-9]*'
const configMapKey = '[-._a-zA-Z0-9]+'
const httpHeaderName = '[-A-Za-z0-9]+'
const percent = '[0-9]+%'
const httpPath = "[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+"

const whole = (pattern: string): RegExp => new RegExp(`^(?:${pattern})$`)
const patterns = {
  dns1123Label: whole(dns1123Label), dns1123Subdomain: whole(dns1123Subdomain), dns1123SubdomainUnderscore: whole(dns1123SubdomainUnderscore), dns1035Label: whole(dns1035Label),
  wildcardSubdomain: whole(wildcardSubdomain), labelKeyName: whole(labelKeyName), labelValue: whole(labelValue), cIdentifier: whole(cIdentifier), envVarName: whole(envVarName),
  configMapKey: whole(configMapKey), httpHeaderName: whole(httpHeaderName), percent: whole(percent), httpPath: whole(httpPath),
}

export const dns1123LabelMaxLength = 63
export const dns1123SubdomainMaxLength = 253
export const labelValueMaxLength = 63

const textEncoder = new TextEncoder()
/** Lengths are in bytes of UTF-8, as Go counts them. */
function byteLength(text: string): number { return text.length * 3 < 64 ? text.length : textEncoder.encode(text).length }

export const maxLengthError = (length: number): string => `must be no more than ${length} characters`
const maxBytesError = (length: number): string => `must be no more than ${length} bytes`
export const emptyError = 'must be non-empty'
export const inclusiveRangeError = (low: number, high: number): string => `must be between ${low} and ${high}, inclusive`

/** `message (e.g. 'a', or 'b', regex used for validation is 'pattern')` */
export function regexError(message: string, pattern: string, ...examples: readonly string[]): string {
  if (examples.length === 0) return `${message} (regex used for validation is '${pattern}')`
  return `${message} (e.g. ${examples.map((example) => `'${example}', `).join(' or ')}regex used for validation is '${pattern}')`
}

/** Names of containers, volumes, namespaces. */
export function isDns1123Label(value: string): string[] {
  const errors: string[] = []
  if (byteLength(value) > dns1123LabelMaxLength) errors.push(maxLengthError(dns1123LabelMaxLength))
  if (!patterns.dns1123Label.test(value)) {
    if (patterns.dns1123Subdomain.test(value)) errors.push('must not contain dots')
    else errors.push(regexError("a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character", dns1123Label, 'my-name', '123-abc'))
  }
  return errors
}

const subdomainMessage = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character"

/** Names of most objects. */
export function isDns1123Subdomain(value: string): string[] {
  const errors: string[] = []
  if (byteLength(value) > dns1123SubdomainMaxLength) errors.push(maxLengthError(dns1123SubdomainMaxLength))
  if (!patterns.dns1123Subdomain.test(value)) errors.push(regexError(subdomainMessage, dns1123Subdomain, 'example.com'))
  return errors
}

/** A subdomain whose labels may hold underscores: DNS search paths. */
export function isDns1123SubdomainWithUnderscore(value: string): string[] {
  const errors: string[] = []
  if (byteLength(value) > dns1123SubdomainMaxLength) errors.push(maxLengthError(dns1123SubdomainMaxLength))
  if (!patterns.dns1123SubdomainUnderscore.test(value)) errors.push(regexError("a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and must start and end with an alphanumeric character", dns1123SubdomainUnderscore, 'example.com'))
  return errors
}

/** Names of services. */
export function isDns1035Label(value: string): string[] {
  const errors: string[] = []
  if (byteLength(value) > dns1123LabelMaxLength) errors.push(maxLengthError(dns1123LabelMaxLength))
  if (!patterns.dns1035Label.test(value)) errors.push(regexError("a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character", dns1035Label, 'my-name', 'abc-123'))
  return errors
}

/** Hosts of ingresses: `*.example.com`. */
export function isWildcardDns1123Subdomain(value: string): string[] {
  const errors: string[] = []
  if (byteLength(value) > dns1123SubdomainMaxLength) errors.push(maxLengthError(dns1123SubdomainMaxLength))
  if (!patterns.wildcardSubdomain.test(value)) errors.push(regexError("a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character", wildcardSubdomain, '*.example.com'))
  return errors
}

const labelKeyMessage = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"

/** Keys of labels and annotations, names of resources, taints, finalizers, conditions: `name` or `example.com/name`. */
export function isQualifiedName(value: string): string[] {
  const errors: string[] = []
  const parts = value.split('/')
  if (parts.length > 2) return [`a valid label key ${regexError(labelKeyMessage, labelKeyName, 'MyName', 'my.name', '123-abc')} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')`]
  const name = parts.at(-1) ?? ''
  if (parts.length === 2) {
    const prefix = parts[0] ?? ''
    if (prefix === '') errors.push(`prefix part ${emptyError}`)
    else {
      if (byteLength(prefix) > dns1123SubdomainMaxLength) errors.push(`prefix part ${maxBytesError(dns1123SubdomainMaxLength)}`)
      if (!patterns.dns1123Subdomain.test(prefix)) errors.push(`prefix part ${regexError(subdomainMessage, dns1123Subdomain, 'example.com')}`)
    }
  }
  if (name === '') errors.push(`name part ${emptyError}`)
  else if (byteLength(name) > 63) errors.push(`name part ${maxBytesError(63)}`)
  if (!patterns.labelKeyName.test(name)) errors.push(`name part ${regexError(labelKeyMessage, labelKeyName, 'MyName', 'my.name', '123-abc')}`)
  return errors
}

export function isValidLabelValue(value: string): string[] {
  const errors: string[] = []
  if (byteLength(value) > labelValueMaxLength) errors.push(maxBytesError(labelValueMaxLength))
  if (!patterns.labelValue.test(value)) errors.push(regexError("a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character", labelValue, 'MyValue', 'my_value', '12345'))
  return errors
}

/** Names that stand in a URL's path and follow no other rule: roles, bindings. */
export function isPathSegmentName(value: string): string[] {
  if (value === '.' || value === '..') return [`may not be '${value}'`]
  return ['/', '%'].filter((illegal) => value.includes(illegal)).map((illegal) => `may not contain '${illegal}'`)
}

/** A prefix for generated names: only what may not stand anywhere. */
export function isPathSegmentPrefix(value: string): string[] {
  return ['/', '%'].filter((illegal) => value.includes(illegal)).map((illegal) => `may not contain '${illegal}'`)
}

export function isCIdentifier(value: string): string[] {
  return patterns.cIdentifier.test(value) ? [] : [regexError("a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric characters or '_'", cIdentifier, 'my_name', 'MY_NAME', 'MyName')]
}

function parentFolderErrors(value: string): string[] {
  if (value === '.') return ["must not be '.'"]
  if (value === '..') return ["must not be '..'"]
  return value.startsWith('..') ? ["must not start with '..'"] : []
}

/** The strict rule for names of environment variables. */
export function isEnvVarName(value: string): string[] {
  const errors = patterns.envVarName.test(value) ? [] : [regexError("a valid environment variable name must consist of alphabetic characters, digits, '_', '-', or '.', and must not start with a digit", envVarName, 'my.env-name', 'MY_ENV.NAME', 'MyEnvName1')]
  return [...errors, ...parentFolderErrors(value)]
}

/** The rule in force since 1.34, which lets all printable ASCII pass but `=`. */
export function isRelaxedEnvVarName(value: string): string[] {
  const errors = value === '' ? [`environment variable name ${emptyError}`] : []
  if (!/^[ -<>-~]*$/.test(value)) errors.push("a valid environment variable name must consist only of printable ASCII characters other than '='")
  return errors
}

/** Keys of config maps and secrets. */
export function isConfigMapKey(value: string): string[] {
  const errors: string[] = []
  if (byteLength(value) > dns1123SubdomainMaxLength) errors.push(maxLengthError(dns1123SubdomainMaxLength))
  if (!patterns.configMapKey.test(value)) errors.push(regexError("a valid config key must consist of alphanumeric characters, '-', '_' or '.'", configMapKey, 'key.name', 'KEY_NAME', 'key-name'))
  return [...errors, ...parentFolderErrors(value)]
}

export function isHttpHeaderName(value: string): string[] {
  return patterns.httpHeaderName.test(value) ? [] : [regexError("a valid HTTP header must consist of alphanumeric characters or '-'", httpHeaderName, 'X-Header-Name')]
}

export function isInRange(value: number, low: number, high: number): string[] { return value >= low && value <= high ? [] : [inclusiveRangeError(low, high)] }
export function isValidPortNumber(port: number): string[] { return isInRange(port, 1, 65535) }
export function isValidUserId(id: number): string[] { return isInRange(id, 0, 2147483647) }
export function isValidGroupId(id: number): string[] { return isInRange(id, 0, 2147483647) }

/** IANA service names: what a target port may be called. */
export function isValidPortName(name: string): string[] {
  const errors: string[] = []
  if (byteLength(name) > 15) errors.push(maxLengthError(15))
  if (!/^[-a-z0-9]+$/.test(name)) errors.push('must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)')
  if (!/[a-z]/.test(name)) errors.push('must contain at least one letter (a-z)')
  if (name.includes('--')) errors.push('must not contain consecutive hyphens')
  if (name.startsWith('-') || name.endsWith('-')) errors.push('must not begin or end with a hyphen')
  return errors
}

export function isValidPercent(value: string): string[] {
  return patterns.percent.test(value) ? [] : [regexError("a valid percent string must be a numeric string followed by an ending '%'", percent, '1%', '93%')]
}

/** Strict: no leading zeros, no IPv4-mapped IPv6, canonical spelling. */
export function isValidIp(value: string): string[] {
  const bytes = parseIpSloppy(value)
  if (bytes === undefined) return ['must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)']
  if (parseIp(value) === undefined) return ['must not have leading 0s']
  if (value.includes(':') && bytes.length === 4) return ['must not be an IPv4-mapped IPv6 address']
  const canonical = canonicalIp(bytes)
  return value === canonical ? [] : [`must be in canonical form (${JSON.stringify(canonical)})`]
}

/** For fields that always took sloppy addresses: leading zeros and mapped addresses pass. */
export function isValidIpSloppy(value: string): string[] {
  return parseIpSloppy(value) === undefined ? ['must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)'] : []
}

/** `example.com`: at least two segments, each a label. For addresses of endpoint slices and webhooks. */
export function isFullyQualifiedDomainName(value: string): string[] {
  const name = value.endsWith('.') ? value.slice(0, -1) : value
  const errors = isDns1123Subdomain(name)
  if (errors.length > 0) return [errors.join(',')]
  const labels = name.split('.')
  if (labels.length < 2) return ['should be a domain with at least two segments separated by dots']
  for (const label of labels) {
    const labelErrors = isDns1123Label(label)
    if (labelErrors.length > 0) return [labelErrors.join(',')]
  }
  return []
}

/** `a.example.com`: at least three segments. For names of webhooks. */
export function isFullyQualifiedName(value: string): string[] {
  const errors = isDns1123Subdomain(value)
  if (errors.length > 0) return [errors.join(',')]
  return value.split('.').length < 3 ? ['should be a domain with at least three segments separated by dots'] : []
}

/** `acme.io/path`: signer names and their kin. */
export function isDomainPrefixedPath(value: string): string[] {
  const slash = value.indexOf('/')
  if (slash <= 0 || slash === value.length - 1) return ['must be a domain-prefixed path (such as "acme.io/foo")']
  const errors = isDns1123Subdomain(value.slice(0, slash))
  if (!patterns.httpPath.test(value.slice(slash + 1))) errors.push(regexError('Invalid path', httpPath))
  return errors
}
