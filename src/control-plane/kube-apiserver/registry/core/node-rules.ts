// The strategy's rules for Nodes. Upstream: pkg/registry/core/node/strategy.go, pkg/apis/core/validation/validation.go (ValidateNode, ValidateNodeUpdate)
import type { Draft } from '../../../../lib/base/json.ts'
import type { Node, NodeSpec, Taint } from '../../../../lib/api/generated/types/core-v1.ts'
import { fieldDuplicate, fieldForbidden, fieldInvalid } from '../../../../lib/apimachinery/field-error.ts'
import type { FieldError } from '../../../../lib/apimachinery/field-error.ts'
import { isQualifiedName, isValidLabelValue } from '../../../../lib/apimachinery/validation.ts'
import type { KindRules } from '../generic-strategy.ts'
import { goNodeAddress, goTaint } from '../go-structs.ts'
import { semanticEqual } from '../semantic-equal.ts'
import { pushInvalid } from '../validate-object-meta.ts'
import { isIpv6Text, validateLegacyCidr } from '../validation/addresses.ts'
import { validateResourceAmount } from '../validation/resource-names.ts'
import { validateTaintEffect } from './pod/validate-scheduling.ts'

/** `podCIDR` is the first of `podCIDRs`; clients may know only one of the two. */
function syncPodCidrs(spec: NodeSpec): NodeSpec {
  const first = spec.podCIDRs?.[0]
  if (spec.podCIDR && spec.podCIDR !== first) return { ...spec, podCIDRs: [spec.podCIDR] }
  return first && !spec.podCIDR ? { ...spec, podCIDR: first } : spec
}

function validateTaints(taints: readonly Draft<Taint>[] | undefined, errors: FieldError[]): void {
  const seen = new Set<string>()
  taints?.forEach((taint, i) => {
    // The path is the original's.
    const at = `metadata.taints[${i}]`
    pushInvalid(errors, `${at}.key`, taint.key ?? '', isQualifiedName)
    const wrong = isValidLabelValue(taint.value ?? '')
    if (wrong.length > 0) errors.push(fieldInvalid(`${at}.value`, taint.value, wrong.join(';')))
    validateTaintEffect(taint.effect, `${at}.effect`, errors)
    const key = `${taint.effect ?? ''}/${taint.key ?? ''}`
    if (seen.has(key)) {
      const duplicate = fieldDuplicate(at, goTaint(taint))
      errors.push({ ...duplicate, body: `${duplicate.body}: taints must be unique by key and effect pair` })
    }
    seen.add(key)
  })
}

function validateResources(node: Draft<Node>, errors: FieldError[]): void {
  for (const part of ['capacity', 'allocatable'] as const) {
    const list = node.status?.[part]
    for (const name in list) validateResourceAmount(name, list[name], `status.${part}.${name}`, errors)
  }
}

function validateNode(node: Draft<Node>, errors: FieldError[]): void {
  validateTaints(node.spec?.taints, errors)
  validateResources(node, errors)
  const cidrs = node.spec?.podCIDRs ?? []
  cidrs.forEach((cidr, i) => validateLegacyCidr(cidr, `spec.podCIDRs[${i}]`, errors))
  if (cidrs.length < 2) return
  const sixes = cidrs.filter((cidr) => isIpv6Text(cidr.slice(0, cidr.indexOf('/')))).length
  if (sixes === 0 || sixes === cidrs.length || cidrs.length > 2) errors.push(fieldInvalid('spec.podCIDRs', cidrs, 'may specify no more than one CIDR for each IP family'))
  cidrs.forEach((cidr, i) => { if (cidrs.indexOf(cidr) < i) errors.push(fieldDuplicate(`spec.podCIDRs[${i}]`, cidr)) })
}

function validateNodeUpdate(node: Draft<Node>, old: Draft<Node>, errors: FieldError[]): void {
  validateResources(node, errors)
  const addresses = new Set<string>()
  node.status?.addresses?.forEach((address, i) => {
    const key = `${address.type ?? ''}/${address.address ?? ''}`
    if (addresses.has(key)) errors.push(fieldDuplicate(`status.addresses[${i}]`, goNodeAddress(address)))
    addresses.add(key)
  })
  const cidrs = node.spec?.podCIDRs ?? []
  const oldCidrs = old.spec?.podCIDRs ?? []
  if (oldCidrs.length > 0 && !semanticEqual(cidrs, oldCidrs)) errors.push(fieldForbidden('spec.podCIDRs', 'node updates may not change podCIDR except from "" to valid'))
  if (old.spec?.providerID && old.spec.providerID !== node.spec?.providerID) errors.push(fieldForbidden('spec.providerID', 'node updates may not change providerID except from "" to valid'))
  validateTaints(node.spec?.taints, errors)
  if ((node.spec?.externalID ?? '') !== (old.spec?.externalID ?? '')) errors.push(fieldForbidden('spec.externalID', 'may not be updated'))
}

export const nodeRules: KindRules<Node> = {
  applyDefaults(node) {
    const spec = node.spec && syncPodCidrs(node.spec)
    const { status } = node
    const allocatable = status?.allocatable ?? status?.capacity
    if (spec === node.spec && allocatable === status?.allocatable) return node
    return { ...node, ...(spec && { spec }), ...(status && { status: { ...status, ...(allocatable && { allocatable }) } }) }
  },
  // Nodes come with their status: kubelets register both at once.
  keepsStatusOnCreate: true,
  validate: (node, errors) => validateNode(node, errors),
  validateUpdate(node, old, errors) {
    validateNodeUpdate(node, old, errors)
    if (!semanticEqual(node.spec?.podCIDRs, old.spec?.podCIDRs)) validateNode(node, errors)
  },
  validateStatus: (node, old, errors) => validateNodeUpdate(node, old, errors),
  warnings: (node) => {
    const warnings: string[] = []
    if (node.spec?.externalID) warnings.push('spec.externalID: this field is deprecated, and is unused by Kubernetes')
    if (node.spec?.configSource) warnings.push('spec.configSource: the feature is no longer supported')
    return warnings
  },
  selectableFields: (node) => ({ 'spec.unschedulable': String(node.spec?.unschedulable === true) }),
}
