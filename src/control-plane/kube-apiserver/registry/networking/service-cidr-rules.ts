// The strategy's rules for ServiceCIDRs and IPAddresses. Upstream: pkg/apis/networking/validation/validation.go
import type { IPAddress, ServiceCIDR } from '../../../../lib/api/generated/types/networking-v1.ts'
import { fieldInvalid, fieldRequired } from '../../../../lib/apimachinery/field-error.ts'
import type { FieldError } from '../../../../lib/apimachinery/field-error.ts'
import { isDns1123Subdomain, isPathSegmentName, isValidIp } from '../../../../lib/apimachinery/validation.ts'
import type { KindRules } from '../generic-strategy.ts'
import { goParentReference } from '../go-structs.ts'
import { fieldIsImmutable, pushInvalid, validateImmutable } from '../validate-object-meta.ts'
import { parseCidrSloppy, validateCidr } from '../validation/addresses.ts'

function validateCidrs(range: ServiceCIDR, errors: FieldError[]): void {
  const cidrs = range.spec?.cidrs ?? []
  if (cidrs.length === 0) { errors.push(fieldRequired('spec.cidrs', 'at least one CIDR required')); return }
  if (cidrs.length > 2) { errors.push(fieldInvalid('spec.cidrs', { CIDRs: cidrs }, 'may only hold up to 2 values')); return }
  const [first, second] = cidrs.map(parseCidrSloppy)
  if (cidrs.length === 2 && !(first && second && first.bytes.length !== second.bytes.length)) {
    errors.push(fieldInvalid('spec.cidrs', { CIDRs: cidrs }, 'may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64'))
    return
  }
  cidrs.forEach((cidr, i) => validateCidr(cidr, `spec.cidrs[${i}]`, errors))
}

export const serviceCidrRules: KindRules<ServiceCIDR> = {
  validate: validateCidrs,
  validateUpdate(range, old, errors) {
    const cidrs = range.spec?.cidrs ?? []
    const before = old.spec?.cidrs ?? []
    if (cidrs.length === before.length) cidrs.forEach((cidr, i) => { if (cidr !== before[i]) errors.push(fieldInvalid(`spec.cidrs[${i}]`, cidr, fieldIsImmutable)) })
    else if (before.length === 1 && cidrs.length === 2) {
      if (cidrs[0] !== before[0]) errors.push(fieldInvalid('spec.cidrs[0]', cidrs[0], fieldIsImmutable))
      validateCidrs(range, errors)
    } else errors.push(fieldInvalid('spec.cidrs', range.spec?.cidrs, fieldIsImmutable))
  },
}

export const ipAddressRules: KindRules<IPAddress> = {
  nameRule: (name) => isValidIp(name),
  validate(address, errors) {
    const parent = address.spec?.parentRef
    if (!parent) { errors.push(fieldRequired('spec.parentRef')); return }
    if (parent.group) pushInvalid(errors, 'spec.parentRef.group', parent.group, isDns1123Subdomain)
    for (const field of ['resource', 'name'] as const) {
      if (!parent[field]) errors.push(fieldRequired(`spec.parentRef.${field}`))
      else pushInvalid(errors, `spec.parentRef.${field}`, parent[field], isPathSegmentName)
    }
    if (parent.namespace) pushInvalid(errors, 'spec.parentRef.namespace', parent.namespace, isPathSegmentName)
  },
  validateUpdate: (address, old, errors) => validateImmutable(goParentReference(address.spec?.parentRef), goParentReference(old.spec?.parentRef), 'spec.parentRef', errors),
}
