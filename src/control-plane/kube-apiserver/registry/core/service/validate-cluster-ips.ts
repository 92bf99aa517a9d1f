// A service's own addresses and their families, and how they may change. Upstream: pkg/apis/core/validation/validation.go
// (ValidateServiceClusterIPsRelatedFields, validateUpgradeDowngrade…)
import type { Draft } from '../../../../../lib/base/json.ts'
import type { ServiceSpec } from '../../../../../lib/api/generated/types/core-v1.ts'
import { fieldDuplicate, fieldInvalid, fieldNotSupported, fieldRequired } from '../../../../../lib/apimachinery/field-error.ts'
import type { FieldError } from '../../../../../lib/apimachinery/field-error.ts'
import { isDualStack, isIpv6Text, validateLegacyIp } from '../../validation/addresses.ts'
import { isHeadless } from './service-traits.ts'

const families = ['IPv4', 'IPv6']
const familyPolicies = ['PreferDualStack', 'RequireDualStack', 'SingleStack']

export function validateClusterIps(spec: Draft<ServiceSpec>, errors: FieldError[]): void {
  const ips = spec.clusterIPs ?? []
  if (spec.clusterIP) {
    if (ips.length === 0) errors.push(fieldRequired('spec.clusterIPs'))
    else if (ips[0] !== spec.clusterIP) errors.push(fieldInvalid('spec.clusterIPs', ips, 'first value must match `clusterIP`'))
  } else if (ips.length > 0) {
    errors.push(fieldInvalid('spec.clusterIPs', ips, 'must be empty when `clusterIP` is not specified'))
  }
  spec.ipFamilies?.forEach((family, i, all) => {
    if (!families.includes(family)) errors.push(fieldNotSupported(`spec.ipFamilies[${i}]`, family, families))
    if (all.indexOf(family) < i) errors.push(fieldDuplicate(`spec.ipFamilies[${i}]`, family))
  })
  if (spec.ipFamilyPolicy !== undefined && !familyPolicies.includes(spec.ipFamilyPolicy)) errors.push(fieldNotSupported('spec.ipFamilyPolicy', spec.ipFamilyPolicy, familyPolicies))
  let right = true
  ips.forEach((ip, i) => {
    if (i === 0 && ip === 'None') {
      if (ips.length > 1) {
        right = false
        errors.push(fieldInvalid('spec.clusterIPs', ips, "'None' must be the first and only value"))
      }
      return
    }
    if (!validateLegacyIp(ip, `spec.clusterIPs[${i}]`, errors)) right = false
  })
  if (ips.length > 2) errors.push(fieldInvalid('spec.clusterIPs', ips, 'may only hold up to 2 values'))
  if (!right) return
  if (ips.length > 1 && !isDualStack(ips)) errors.push(fieldInvalid('spec.clusterIPs', ips, 'may specify no more than one IP for each IP family'))
  if (isHeadless(spec)) return
  ips.slice(0, spec.ipFamilies?.length ?? 0).forEach((ip, i) => {
    const family = spec.ipFamilies?.[i] ?? ''
    if (families.includes(family) && (family === 'IPv6') !== isIpv6Text(ip)) errors.push(fieldInvalid(`spec.clusterIPs[${i}]`, ip, `expected an ${family} value as indicated by \`ipFamilies[${i}]\``))
  })
}

/** A second family may be added and released; the first, once allocated, stays unless the service is or was an ExternalName. */
export function validateClusterIpChanges(spec: Draft<ServiceSpec>, old: Draft<ServiceSpec>, errors: FieldError[]): void {
  if (spec.type === 'ExternalName' || old.type === 'ExternalName') return
  if (!(isHeadless(spec) && isHeadless(old))) compareLists('clusterIPs', spec.clusterIPs ?? [], old.clusterIPs ?? [], spec, errors)
  if (!isHeadless(spec) && !isHeadless(old)) compareLists('ipFamilies', spec.ipFamilies ?? [], old.ipFamilies ?? [], spec, errors)
}

function compareLists(field: 'clusterIPs' | 'ipFamilies', now: readonly string[], old: readonly string[], spec: Draft<ServiceSpec>, errors: FieldError[]): void {
  const what = field === 'clusterIPs' ? 'clusterIP' : 'ipFamily'
  const changed = (i: number, value: readonly string[]): void => { errors.push(fieldInvalid(`spec.${field}[${i}]`, value, 'may not change once set')) }
  if (old.length === now.length) {
    old.forEach((value, i) => { if (value !== now[i]) changed(field === 'clusterIPs' ? i : 0, now) })
    return
  }
  if (old.length > now.length && (spec.clusterIPs?.length ?? 0) === 0) errors.push(fieldInvalid(`spec.${field}[0]`, now, `primary ${what} can not be unset`))
  if (old.length > 0 && now.length > 0 && now[0] !== old[0]) changed(0, spec.clusterIPs ?? [])
  if (old.length > now.length && now.length === 1 && spec.ipFamilyPolicy !== 'SingleStack') {
    errors.push(fieldInvalid('spec.ipFamilyPolicy', spec.ipFamilyPolicy, `must be set to 'SingleStack' when releasing the secondary ${what}`))
  }
}
