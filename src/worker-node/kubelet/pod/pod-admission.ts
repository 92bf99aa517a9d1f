// Whether the node takes a pod: the scheduler's filters once more, because pods come without it and things change meanwhile. Pure.
// Upstream: pkg/kubelet/lifecycle/predicate.go
import { podRequests, resourceNumber } from './pod-resources.ts'
import { allContainers, isCriticalPod, isStaticPod, isTerminalPhase } from './pod-facts.ts'
import type { PodFailure } from './pod-lifecycle.ts'
import type { Node, NodeSelectorRequirement, NodeSelectorTerm, Pod, Taint, Toleration } from '../../../lib/api/generated/types/core-v1.ts'

export interface AdmissionInput {
  readonly pod: Pod
  readonly node: Node
  /** The other pods of the node that are not over. */
  readonly others: readonly Pod[]
  readonly operatingSystem: string
}

export function admitPod(input: AdmissionInput): PodFailure | undefined {
  const { pod, node } = input
  const others = input.others.filter((p) => p.metadata.uid !== pod.metadata.uid && !isTerminalPhase(p.status?.phase))
  const os = pod.spec?.os?.name
  if (os !== undefined && os !== '' && os !== input.operatingSystem) return { reason: 'PodOSNotSupported', message: 'Failed to admit pod as the OS field doesn\'t match node OS' }
  const labels = node.metadata.labels ?? {}
  for (const [key, value] of Object.entries(pod.spec?.nodeSelector ?? {})) {
    if (labels[key] !== value) return refuse('NodeAffinity', 'Predicate NodeAffinity failed')
  }
  const required = pod.spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution
  if (required && !(required.nodeSelectorTerms ?? []).some((term) => matchesTerm(term, labels, node.metadata.name))) return refuse('NodeAffinity', 'Predicate NodeAffinity failed')
  if (!isStaticPod(pod)) {
    const untolerated = (node.spec?.taints ?? []).find((t) => t.effect === 'NoExecute' && !(pod.spec?.tolerations ?? []).some((toleration) => tolerates(toleration, t)))
    if (untolerated) return refuse('TaintToleration', 'Predicate TaintToleration failed')
  }
  if (hostPorts(pod).some((p) => others.some((o) => hostPorts(o).some((q) => collide(p, q))))) return refuse('NodePorts', 'Predicate NodePorts failed')
  return isCriticalPod(pod) && isStaticPod(pod) ? undefined : admitResources(pod, node, others)
}

function refuse(reason: string, message: string): PodFailure { return { reason, message } }

function admitResources(pod: Pod, node: Node, others: readonly Pod[]): PodFailure | undefined {
  const allocatable = node.status?.allocatable ?? {}
  const podCapacity = resourceNumber('pods', allocatable['pods'] ?? '110')
  if (others.length + 1 > podCapacity) return insufficient('pods', 1, others.length, podCapacity)
  const used: Record<string, number> = {}
  for (const other of others) for (const [name, value] of Object.entries(podRequests(other))) used[name] = (used[name] ?? 0) + value
  for (const [name, requested] of Object.entries(podRequests(pod))) {
    if (requested === 0) continue
    const capacity = resourceNumber(name, allocatable[name] ?? '0')
    if ((used[name] ?? 0) + requested > capacity) return insufficient(name, requested, used[name] ?? 0, capacity)
  }
  return undefined
}

function insufficient(resource: string, requested: number, used: number, capacity: number): PodFailure {
  return { reason: `OutOf${resource}`, message: `Node didn't have enough resource: ${resource}, requested: ${requested}, used: ${used}, capacity: ${capacity}` }
}

interface HostPort { readonly ip: string; readonly port: number; readonly protocol: string }

function hostPorts(pod: Pod): readonly HostPort[] {
  return allContainers(pod).filter((c) => c.kind !== 'ephemeral').flatMap((c) => (c.container.ports ?? []).flatMap((p) => {
    const port = p.hostPort ?? (pod.spec?.hostNetwork ? p.containerPort : 0)
    return port > 0 ? [{ ip: p.hostIP || '0.0.0.0', port, protocol: p.protocol ?? 'TCP' }] : []
  }))
}

function collide(a: HostPort, b: HostPort): boolean { return a.port === b.port && a.protocol === b.protocol && (a.ip === b.ip || a.ip === '0.0.0.0' || b.ip === '0.0.0.0') }

function tolerates(toleration: Toleration, taint: Taint): boolean {
  if (toleration.effect && toleration.effect !== taint.effect) return false
  if (toleration.key && toleration.key !== taint.key) return false
  if (toleration.operator === 'Exists') return true
  return Boolean(toleration.key) && (toleration.value ?? '') === (taint.value ?? '')
}

function matchesTerm(term: NodeSelectorTerm, labels: { readonly [key: string]: string }, nodeName: string): boolean {
  const expressions = term.matchExpressions ?? []
  const fields = term.matchFields ?? []
  if (expressions.length + fields.length === 0) return false
  return expressions.every((r) => matchesRequirement(r, labels[r.key])) && fields.every((r) => matchesRequirement(r, r.key === 'metadata.name' ? nodeName : undefined))
}

function matchesRequirement({ operator, values = [] }: NodeSelectorRequirement, actual: string | undefined): boolean {
  switch (operator) {
    case 'In': return actual !== undefined && values.includes(actual)
    case 'NotIn': return actual === undefined || !values.includes(actual)
    case 'Exists': return actual !== undefined
    case 'DoesNotExist': return actual === undefined
    case 'Gt': return actual !== undefined && Number(actual) > Number(values[0])
    case 'Lt': return actual !== undefined && Number(actual) < Number(values[0])
    default: return false
  }
}
