// kubectl describe of NetworkPolicies, PodDisruptionBudgets, ServiceCIDRs and IPAddresses. Upstream: kubectl/pkg/describe
import type { IPAddress, NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort, ServiceCIDR } from '../../../lib/api/generated/types/networking-v1.ts'
import type { PodDisruptionBudget } from '../../../lib/api/generated/types/policy-v1.ts'
import { DescribeWriter, formatLongTime, formatSelector, orNone } from './describe-writer.ts'
import type { DescribeWorld } from './describer.ts'
import { writeEventsOf } from './describer.ts'

/** `2006-01-02 15:04:05 -0700 MST`: Go's own way to print a time. */
function formatGoTime(timestamp: string | undefined): string {
  if (!timestamp) return '0001-01-01 00:00:00 +0000 UTC'
  const date = new Date(timestamp)
  const two = (n: number): string => String(n).padStart(2, '0')
  const offset = -date.getTimezoneOffset()
  const zone = new Intl.DateTimeFormat('en-US', { timeZoneName: 'short' }).formatToParts(date).find((p) => p.type === 'timeZoneName')?.value ?? 'UTC'
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())} ${offset < 0 ? '-' : '+'}${two(Math.floor(Math.abs(offset) / 60))}${two(Math.abs(offset) % 60)} ${zone}`
}

export function describeNetworkPolicy(_world: DescribeWorld, policy: NetworkPolicy): string {
  const { metadata, spec } = policy
  const out = new DescribeWriter()
  out.line(0, `Name:\t${metadata.name}`)
  out.line(0, `Namespace:\t${metadata.namespace ?? ''}`)
  out.line(0, `Created on:\t${formatGoTime(metadata.creationTimestamp)}`)
  out.labels('Labels', metadata.labels)
  out.annotations('Annotations', metadata.annotations)
  out.line(0, 'Spec:')
  const selector = formatSelector(spec?.podSelector)
  out.line(1, `PodSelector:     ${spec?.podSelector && selector !== '' ? selector : '<none> (Allowing the specific traffic to all pods in this namespace)'}`)
  const types = spec?.policyTypes ?? []
  if (types.includes('Ingress')) {
    out.line(1, 'Allowing ingress traffic:')
    writeRules(out, (spec?.ingress ?? []).map((r) => ({ ports: r.ports ?? [], peers: r.from ?? [] })), 'ingress', 'From', 'source')
  } else out.line(1, 'Not affecting ingress traffic')
  if (types.includes('Egress')) {
    out.line(1, 'Allowing egress traffic:')
    writeRules(out, (spec?.egress ?? []).map((r) => ({ ports: r.ports ?? [], peers: r.to ?? [] })), 'egress', 'To', 'destination')
  } else out.line(1, 'Not affecting egress traffic')
  out.line(1, `Policy Types: ${orNone(types.join(', '))}`)
  return out.aligned()
}

const everything = '<any>'

interface Rule { readonly ports: readonly NetworkPolicyPort[]; readonly peers: readonly NetworkPolicyPeer[] }

function writeRules(out: DescribeWriter, rules: readonly Rule[], direction: string, word: string, end: string): void {
  if (rules.length === 0) { out.line(2, `<none> (Selected pods are isolated for ${direction} connectivity)`); return }
  rules.forEach(({ ports, peers }, i) => {
    if (ports.length === 0) out.line(2, `To Port: ${everything} (traffic allowed to all ports)`)
    for (const port of ports) {
      const number = String(port.port ?? '<nil>')
      out.line(2, port.endPort === undefined ? `To Port: ${number}/${port.protocol ?? 'TCP'}` : `To Port Range: ${number}-${port.endPort}/${port.protocol ?? 'TCP'}`)
    }
    if (peers.length === 0) out.line(2, `${word}: ${everything} (traffic not restricted by ${end})`)
    for (const { namespaceSelector, podSelector, ipBlock } of peers) {
      out.line(2, `${word}:`)
      if (namespaceSelector) out.line(3, `NamespaceSelector: ${orNone(formatSelector(namespaceSelector))}`)
      if (podSelector) out.line(3, `PodSelector: ${orNone(formatSelector(podSelector))}`)
      if (!namespaceSelector && !podSelector && ipBlock) {
        out.line(3, 'IPBlock:')
        out.line(4, `CIDR: ${ipBlock.cidr}`)
        out.line(4, `Except: ${(ipBlock.except ?? []).join(', ')}`)
      }
    }
    if (i < rules.length - 1) out.line(2, '----------')
  })
}

export async function describePodDisruptionBudget(world: DescribeWorld, budget: PodDisruptionBudget): Promise<string> {
  const { metadata, spec, status } = budget
  const out = new DescribeWriter()
  out.line(0, `Name:\t${metadata.name}`)
  out.line(0, `Namespace:\t${metadata.namespace ?? ''}`)
  if (spec?.minAvailable !== undefined) out.line(0, `Min available:\t${String(spec.minAvailable)}`)
  else if (spec?.maxUnavailable !== undefined) out.line(0, `Max unavailable:\t${String(spec.maxUnavailable)}`)
  out.line(0, `Selector:\t${spec?.selector ? orNone(formatSelector(spec.selector)) : '<unset>'}`)
  out.line(0, 'Status:')
  out.line(2, `Allowed disruptions:\t${status?.disruptionsAllowed ?? 0}`)
  out.line(2, `Current:\t${status?.currentHealthy ?? 0}`)
  out.line(2, `Desired:\t${status?.desiredHealthy ?? 0}`)
  out.line(2, `Total:\t${status?.expectedPods ?? 0}`)
  await writeEventsOf(out, world, 'PodDisruptionBudget', budget)
  return out.aligned()
}

export async function describeServiceCidr(world: DescribeWorld, cidr: ServiceCIDR): Promise<string> {
  const { metadata, spec, status } = cidr
  const out = new DescribeWriter()
  out.line(0, `Name:\t${metadata.name}`)
  out.labels('Labels', metadata.labels)
  out.annotations('Annotations', metadata.annotations)
  out.line(0, `CIDRs:\t${(spec?.cidrs ?? []).join(', ')}`)
  const conditions = status?.conditions ?? []
  if (conditions.length > 0) {
    out.line(0, 'Status:')
    out.line(0, 'Conditions:')
    out.line(1, 'Type\tStatus\tLastTransitionTime\tReason\tMessage')
    out.line(1, '----\t------\t------------------\t------\t-------')
    for (const c of conditions) out.line(1, `${c.type}\t${c.status}\t${formatLongTime(c.lastTransitionTime)}\t${c.reason}\t${c.message}`)
  }
  await writeEventsOf(out, world, 'ServiceCIDR', cidr)
  return out.aligned()
}

export async function describeIpAddress(world: DescribeWorld, address: IPAddress): Promise<string> {
  const { metadata, spec } = address
  const out = new DescribeWriter()
  out.line(0, `Name:\t${metadata.name}`)
  out.labels('Labels', metadata.labels)
  out.annotations('Annotations', metadata.annotations)
  const parent = spec?.parentRef
  if (parent) {
    out.line(0, 'Parent Reference:')
    out.line(1, `Group:\t${parent.group ?? ''}`)
    out.line(1, `Resource:\t${parent.resource ?? ''}`)
    out.line(1, `Namespace:\t${parent.namespace ?? ''}`)
    out.line(1, `Name:\t${parent.name ?? ''}`)
  }
  await writeEventsOf(out, world, 'IPAddress', address)
  return out.aligned()
}
