// The strategy's rules for NetworkPolicies. Upstream: pkg/apis/networking/{v1/defaults.go,validation/validation.go}
import type { Draft } from '../../../../lib/base/json.ts'
import type { IPBlock, NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec } from '../../../../lib/api/generated/types/networking-v1.ts'
import { fieldForbidden, fieldInvalid, fieldNotSupported, fieldRequired } from '../../../../lib/apimachinery/field-error.ts'
import type { FieldError } from '../../../../lib/apimachinery/field-error.ts'
import { isValidPortName } from '../../../../lib/apimachinery/validation.ts'
import { mapChanged } from '../core/pod/default-pod-spec.ts'
import { validatePortNumber } from '../core/pod/validate-handlers.ts'
import type { KindRules } from '../generic-strategy.ts'
import { pushInvalid } from '../validate-object-meta.ts'
import { parseCidrSloppy, validateLegacyCidr } from '../validation/addresses.ts'
import type { AddressRange } from '../validation/addresses.ts'
import { hasInvalidLabelValue, validateLabelSelector } from '../validation/label-selector.ts'

const defaultPort = (port: NetworkPolicyPort): NetworkPolicyPort => port.protocol === undefined ? { ...port, protocol: 'TCP' } : port

function defaultPorts<R extends { readonly ports?: readonly NetworkPolicyPort[] }>(rule: R): R {
  const ports = rule.ports && mapChanged(rule.ports, defaultPort)
  return ports === rule.ports ? rule : { ...rule, ports }
}

function validatePort(rule: Draft<NetworkPolicyPort>, path: string, errors: FieldError[]): void {
  const { protocol, port, endPort } = rule
  if (protocol !== undefined && protocol !== 'TCP' && protocol !== 'UDP' && protocol !== 'SCTP') errors.push(fieldNotSupported(`${path}.protocol`, protocol, ['TCP', 'UDP', 'SCTP']))
  if (typeof port === 'number') {
    validatePortNumber(port, `${path}.port`, errors)
    if (endPort === undefined) return
    if (endPort < port) errors.push(fieldInvalid(`${path}.endPort`, endPort, 'must be greater than or equal to `port`'))
    validatePortNumber(endPort, `${path}.endPort`, errors)
  } else if (port !== undefined) {
    if (endPort !== undefined) errors.push(fieldInvalid(`${path}.endPort`, endPort, 'may not be specified when `port` is non-numeric'))
    pushInvalid(errors, `${path}.port`, port, isValidPortName)
  } else if (endPort !== undefined) {
    errors.push(fieldInvalid(`${path}.endPort`, endPort, 'may not be specified when `port` is not specified'))
  }
}

function contains(range: AddressRange, bytes: readonly number[]): boolean {
  return range.bytes.length === bytes.length && range.bytes.every((byte, i) => {
    const bits = Math.min(8, Math.max(0, range.prefix - i * 8))
    return (byte ^ (bytes[i] ?? 0)) >> (8 - bits) === 0
  })
}

function validateBlock(block: Draft<IPBlock>, path: string, errors: FieldError[]): void {
  if (!block.cidr) { errors.push(fieldRequired(`${path}.cidr`)); return }
  validateLegacyCidr(block.cidr, `${path}.cidr`, errors)
  const range = parseCidrSloppy(block.cidr)
  if (!range) return
  block.except?.forEach((cidr, i) => {
    validateLegacyCidr(cidr, `${path}.except[${i}]`, errors)
    const part = parseCidrSloppy(cidr)
    if (part && (!contains(range, part.bytes) || range.prefix >= part.prefix)) errors.push(fieldInvalid(`${path}.except[${i}]`, cidr, 'must be a strict subset of `cidr`'))
  })
}

function validatePeer(peer: Draft<NetworkPolicyPeer>, path: string, errors: FieldError[], allowInvalidValues: boolean): void {
  const { podSelector, namespaceSelector, ipBlock } = peer
  validateLabelSelector(podSelector, `${path}.podSelector`, errors, allowInvalidValues)
  validateLabelSelector(namespaceSelector, `${path}.namespaceSelector`, errors, allowInvalidValues)
  if (ipBlock) validateBlock(ipBlock, `${path}.ipBlock`, errors)
  if (!podSelector && !namespaceSelector && !ipBlock) errors.push(fieldRequired(path, 'must specify a peer'))
  else if (ipBlock && (podSelector || namespaceSelector)) errors.push(fieldForbidden(path, 'may not specify both ipBlock and another peer'))
}

function validateSpec(spec: Draft<NetworkPolicySpec>, errors: FieldError[], allowInvalidValues: boolean): void {
  validateLabelSelector(spec.podSelector, 'spec.podSelector', errors, allowInvalidValues)
  spec.ingress?.forEach((rule, i) => {
    rule.ports?.forEach((port, j) => validatePort(port, `spec.ingress[${i}].ports[${j}]`, errors))
    rule.from?.forEach((peer, j) => validatePeer(peer, `spec.ingress[${i}].from[${j}]`, errors, allowInvalidValues))
  })
  spec.egress?.forEach((rule, i) => {
    rule.ports?.forEach((port, j) => validatePort(port, `spec.egress[${i}].ports[${j}]`, errors))
    rule.to?.forEach((peer, j) => validatePeer(peer, `spec.egress[${i}].to[${j}]`, errors, allowInvalidValues))
  })
  const types = spec.policyTypes ?? []
  if (types.length > 2) { errors.push(fieldInvalid('spec.policyTypes', types, 'may not specify more than two policyTypes')); return }
  types.forEach((type, i) => { if (type !== 'Ingress' && type !== 'Egress') errors.push(fieldNotSupported(`spec.policyTypes[${i}]`, type, ['Ingress', 'Egress'])) })
}

export const networkPolicyRules: KindRules<NetworkPolicy> = {
  applyDefaults(policy) {
    const { spec } = policy
    if (!spec) return policy
    const ingress = spec.ingress && mapChanged(spec.ingress, defaultPorts)
    const egress = spec.egress && mapChanged(spec.egress, defaultPorts)
    const hasTypes = spec.policyTypes && spec.policyTypes.length > 0
    if (ingress === spec.ingress && egress === spec.egress && hasTypes) return policy
    const policyTypes = hasTypes ? spec.policyTypes : spec.egress && spec.egress.length > 0 ? ['Ingress', 'Egress'] : ['Ingress']
    return { ...policy, spec: { ...spec, ...(ingress && { ingress }), ...(egress && { egress }), policyTypes } }
  },
  validate: (policy, errors, _context, old) => validateSpec(policy.spec ?? {}, errors, hasInvalidLabelValue(old?.spec?.podSelector)),
}
