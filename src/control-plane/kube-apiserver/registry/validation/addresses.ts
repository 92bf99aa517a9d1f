// Addresses and networks in objects. Upstream: apimachinery/pkg/util/validation/ip.go, pkg/apis/core/validation/validation.go (ValidateNonSpecialIP)
import { fieldInvalid } from '../../../../lib/apimachinery/field-error.ts'
import type { FieldError } from '../../../../lib/apimachinery/field-error.ts'
import { canonicalCidr, canonicalIp, parseCidr, parseIp, parseIpSloppy } from '../../../../lib/apimachinery/ip-address.ts'
import { isValidIp } from '../../../../lib/apimachinery/validation.ts'

export interface AddressRange {
  readonly bytes: readonly number[]
  readonly prefix: number
}

/** Takes leading zeros. */
export function parseCidrSloppy(cidr: string): AddressRange | undefined {
  const slash = cidr.indexOf('/')
  const bytes = slash < 0 ? undefined : parseIpSloppy(cidr.slice(0, slash))
  const text = cidr.slice(slash + 1)
  const prefix = Number(text)
  return bytes && /^\d+$/.test(text) && prefix <= (cidr.includes(':') ? 128 : 32) ? { bytes, prefix } : undefined
}

/** For fields that are new: canonical spelling only. */
export function validateIp(value: string, path: string, errors: FieldError[]): void {
  for (const text of isValidIp(value)) errors.push(fieldInvalid(path, value, text))
}

/** For fields from before strict validation. Spelling is free, but no leading zeros and no mapped addresses. True when right. */
export function validateLegacyIp(value: string, path: string, errors: FieldError[]): boolean {
  const bytes = parseIpSloppy(value)
  if (bytes === undefined) errors.push(fieldInvalid(path, value, 'must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)'))
  else if (parseIp(value) === undefined) errors.push(fieldInvalid(path, value, 'must not have leading 0s'))
  else if (value.includes(':') && bytes.length === 4) errors.push(fieldInvalid(path, value, 'must not be an IPv4-mapped IPv6 address'))
  else return true
  return false
}

export function validateLegacyCidr(value: string, path: string, errors: FieldError[]): void {
  const slash = value.indexOf('/')
  const prefixText = value.slice(slash + 1)
  const range = parseCidrSloppy(value)
  if (!range) errors.push(fieldInvalid(path, value, 'must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)'))
  else if (parseIp(value.slice(0, slash)) === undefined || (prefixText.length > 1 && prefixText.startsWith('0'))) errors.push(fieldInvalid(path, value, 'must not have leading 0s in IP or prefix length'))
  else if (value.includes(':') && range.bytes.length === 4) errors.push(fieldInvalid(path, value, 'must not have an IPv4-mapped IPv6 address'))
  else if (!isMasked(range.bytes, range.prefix)) errors.push(fieldInvalid(path, value, 'must not have bits set beyond the prefix length'))
}

const isMasked = (address: readonly number[], prefix: number): boolean => address.every((byte, i) => (byte & (0xff >> Math.min(8, Math.max(0, prefix - i * 8)))) === 0)

/** For fields that are new: the canonical form only. */
export function validateCidr(value: string, path: string, errors: FieldError[]): void {
  const before = errors.length
  validateLegacyCidr(value, path, errors)
  if (errors.length > before) return
  const network = parseCidr(value)
  const canonical = network ? canonicalCidr(network) : value
  if (value !== canonical) errors.push(fieldInvalid(path, value, `must be in canonical form (${JSON.stringify(canonical)})`))
}

/** Refuses the addresses to which no traffic may be sent on users' behalf. */
export function validateNonSpecialIp(value: string, path: string, errors: FieldError[]): void {
  const bytes = parseIpSloppy(value)
  if (bytes === undefined) { errors.push(fieldInvalid(path, value, 'must be a valid IP address')); return }
  const [first = 0, second = 0, third = 0] = bytes
  const isV4 = bytes.length === 4
  if (bytes.every((byte) => byte === 0)) errors.push(fieldInvalid(path, value, `may not be unspecified (${value})`))
  if (isV4 ? first === 127 : bytes.every((byte, i) => byte === (i === 15 ? 1 : 0))) errors.push(fieldInvalid(path, value, 'may not be in the loopback range (127.0.0.0/8, ::1/128)'))
  if (isV4 ? first === 169 && second === 254 : first === 0xfe && (second & 0xc0) === 0x80) errors.push(fieldInvalid(path, value, 'may not be in the link-local range (169.254.0.0/16, fe80::/10)'))
  if (isV4 ? first === 224 && second === 0 && third === 0 : first === 0xff && (second & 0x0f) === 0x02) errors.push(fieldInvalid(path, value, 'may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)'))
}

export const isIpv6Text = (value: string): boolean => (parseIpSloppy(value)?.length ?? 0) === 16

/** Two or more valid addresses, at least one of each family. */
export const isDualStack = (values: readonly string[]): boolean => values.some((value) => isIpv6Text(value)) && values.some((value) => parseIpSloppy(value)?.length === 4)

/** Texts for Warning headers about spellings that are still taken. */
export function warningsForIp(value: string, path: string): readonly string[] {
  const bytes = parseIpSloppy(value)
  if (bytes === undefined) return []
  const canonical = canonicalIp(bytes)
  if (parseIp(value) === undefined || (value.includes(':') && bytes.length === 4)) return [`${path}: non-standard IP address ${JSON.stringify(value)} is invalid: use ${JSON.stringify(canonical)}`]
  return value === canonical ? [] : [`${path}: IPv6 address ${JSON.stringify(value)} should be in RFC 5952 canonical format (${JSON.stringify(canonical)})`]
}
