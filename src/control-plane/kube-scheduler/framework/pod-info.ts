// A pod as the scheduler sees it. All that follows from the spec is worked out once per template and shared by the pods that have the same:
// the pods of a ReplicaSet differ in name only. Upstream: kube-scheduler framework.PodInfo
import type { Pod, Toleration, TopologySpreadConstraint, Volume } from '../../../lib/api/generated/types/core-v1.ts'
import { compileAffinityTerm } from './affinity-terms.ts'
import type { AffinityTerm, WeightedTerm } from './affinity-terms.ts'
import type { Labels } from './labels.ts'
import { compileNodeSelector, compileNodeTerm, nodeNamesOf } from './node-selectors.ts'
import type { CompiledNodeTerm } from './node-selectors.ts'
import { podRequests } from './resources.ts'
import type { Amounts } from './resources.ts'

export interface HostPort {
  readonly ip: string
  readonly protocol: string
  readonly port: number
}

/** What the spec (and namespace) says; shared, never changed. */
export interface PodTemplate {
  readonly id: number
  readonly namespace: string
  readonly requests: Amounts
  readonly nonZeroMilliCpu: number
  readonly nonZeroMemory: number
  readonly hostPorts: readonly HostPort[]
  readonly tolerations: readonly Toleration[]
  readonly nodeSelector: Labels | undefined
  /** Undefined when the pod requires nothing; an empty list matches no node. */
  readonly requiredNodeTerms: readonly CompiledNodeTerm[] | undefined
  readonly preferredNodeTerms: readonly { readonly term: CompiledNodeTerm; readonly weight: number }[]
  readonly requiredAffinity: readonly AffinityTerm[]
  readonly requiredAntiAffinity: readonly AffinityTerm[]
  readonly preferredAffinity: readonly WeightedTerm[]
  readonly preferredAntiAffinity: readonly WeightedTerm[]
  readonly spreadConstraints: readonly TopologySpreadConstraint[]
  /** Images of all containers, with a tag. */
  readonly images: readonly string[]
  /** Containers and init containers: the bound of the image score. */
  readonly imageCount: number
  /** Volumes that bear on placing: claims, disks of clouds, inline CSI. */
  readonly volumes: readonly Volume[]
  /** Required affinity names its nodes, as for the pods of a DaemonSet. */
  readonly namesNodes: boolean
}

export interface PodInfo {
  readonly pod: Pod
  /** `namespace/name` */
  readonly key: string
  readonly uid: string
  readonly namespace: string
  readonly labels: Labels | undefined
  readonly priority: number
  readonly terminating: boolean
  readonly template: PodTemplate
}

const bound = 20_000
const templates = new Map<string, PodTemplate>()
let nextId = 1
const placingVolumes = ['persistentVolumeClaim', 'ephemeral', 'csi', 'gcePersistentDisk', 'awsElasticBlockStore', 'iscsi', 'rbd', 'azureDisk'] as const

export function podInfo(pod: Pod): PodInfo {
  const namespace = pod.metadata.namespace ?? ''
  return {
    pod, key: `${namespace}/${pod.metadata.name}`, uid: pod.metadata.uid, namespace, labels: pod.metadata.labels,
    priority: pod.spec.priority ?? 0, terminating: pod.metadata.deletionTimestamp !== undefined, template: templateOf(pod),
  }
}

function templateOf(pod: Pod): PodTemplate {
  const key = templateKey(pod)
  let template = templates.get(key)
  if (!template) {
    // Dropping all at the bound is safe: pods keep theirs, later ones get a new twin.
    if (templates.size >= bound) templates.clear()
    template = compileTemplate(pod)
    templates.set(key, template)
  }
  return template
}

/** All that compileTemplate reads, as text. */
function templateKey(pod: Pod): string {
  const { spec, metadata, status } = pod
  let key = metadata.namespace ?? ''
  for (const c of spec.containers ?? []) key += `|${c.image ?? ''}${c.resources?.requests ? JSON.stringify(c.resources.requests) : ''}${c.ports ? JSON.stringify(c.ports) : ''}`
  for (const c of spec.initContainers ?? []) key += `^${c.image ?? ''}${c.restartPolicy ?? ''}${c.resources?.requests ? JSON.stringify(c.resources.requests) : ''}${c.ports ? JSON.stringify(c.ports) : ''}`
  if (spec.overhead) key += `o${JSON.stringify(spec.overhead)}`
  if (spec.resources) key += `r${JSON.stringify(spec.resources)}`
  if (spec.tolerations) key += `t${JSON.stringify(spec.tolerations)}`
  if (spec.nodeSelector) key += `s${JSON.stringify(spec.nodeSelector)}`
  if (spec.affinity) key += `a${JSON.stringify(spec.affinity)}`
  if (spec.topologySpreadConstraints) key += `c${JSON.stringify(spec.topologySpreadConstraints)}`
  if (spec.hostNetwork) key += 'h'
  const volumes = volumesForPlacing(pod)
  if (volumes.length > 0) key += `v${JSON.stringify(volumes)}`
  if (usesLabelKeys(pod)) key += `l${JSON.stringify(metadata.labels)}`
  // A bound pod's amounts follow its statuses while it is resized.
  if (spec.nodeName) for (const s of status?.containerStatuses ?? []) if (s.resources?.requests ?? s.allocatedResources) key += JSON.stringify([s.name, s.resources?.requests, s.allocatedResources])
  return key
}

function usesLabelKeys(pod: Pod): boolean {
  const { affinity, topologySpreadConstraints } = pod.spec
  if (!affinity && !topologySpreadConstraints) return false
  const terms = [affinity?.podAffinity, affinity?.podAntiAffinity].flatMap((a) => [
    ...a?.requiredDuringSchedulingIgnoredDuringExecution ?? [], ...(a?.preferredDuringSchedulingIgnoredDuringExecution ?? []).map((w) => w.podAffinityTerm)])
  return terms.some((t) => t.matchLabelKeys || t.mismatchLabelKeys) || (topologySpreadConstraints ?? []).some((c) => c.matchLabelKeys)
}

function volumesForPlacing(pod: Pod): readonly Volume[] {
  return (pod.spec.volumes ?? []).filter((volume) => placingVolumes.some((kind) => volume[kind] !== undefined))
}

function compileTemplate(pod: Pod): PodTemplate {
  const { spec } = pod
  const nonZero = podRequests(pod, true)
  const { nodeAffinity, podAffinity, podAntiAffinity } = spec.affinity ?? {}
  const weighted = (terms: readonly { readonly weight: number; readonly podAffinityTerm: AffinityTermSource }[] | undefined): WeightedTerm[] =>
    (terms ?? []).map((t) => ({ term: compileAffinityTerm(pod, t.podAffinityTerm), weight: t.weight }))
  const required = nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution && compileNodeSelector(nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution)
  const containers = [...spec.containers ?? [], ...spec.initContainers ?? []]
  const ported = [...spec.containers ?? [], ...(spec.initContainers ?? []).filter((c) => c.restartPolicy === 'Always')]
  return {
    id: nextId++, namespace: pod.metadata.namespace ?? '',
    requests: podRequests(pod), nonZeroMilliCpu: nonZero.milliCpu, nonZeroMemory: nonZero.memory,
    hostPorts: ported.flatMap((c) => c.ports ?? []).filter((p) => (p.hostPort ?? 0) > 0).map((p) => ({ ip: p.hostIP || '0.0.0.0', protocol: p.protocol || 'TCP', port: p.hostPort ?? 0 })),
    tolerations: spec.tolerations ?? [], nodeSelector: spec.nodeSelector,
    requiredNodeTerms: required, namesNodes: required !== undefined && nodeNamesOf(required) !== undefined,
    preferredNodeTerms: (nodeAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? []).flatMap(({ weight, preference }) => {
      const term = compileNodeTerm(preference)
      return term && weight !== 0 ? [{ term, weight }] : []
    }),
    requiredAffinity: (podAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []).map((t) => compileAffinityTerm(pod, t)),
    requiredAntiAffinity: (podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []).map((t) => compileAffinityTerm(pod, t)),
    preferredAffinity: weighted(podAffinity?.preferredDuringSchedulingIgnoredDuringExecution),
    preferredAntiAffinity: weighted(podAntiAffinity?.preferredDuringSchedulingIgnoredDuringExecution),
    spreadConstraints: spec.topologySpreadConstraints ?? [],
    images: containers.map((c) => imageWithTag(c.image ?? '')).filter((image) => image !== ''), imageCount: containers.length,
    volumes: volumesForPlacing(pod),
  }
}

type AffinityTermSource = Parameters<typeof compileAffinityTerm>[1]

/** `nginx` → `nginx:latest`, as nodes report their images. */
export function imageWithTag(image: string): string {
  if (image === '') return ''
  return image.lastIndexOf(':') <= image.lastIndexOf('/') ? `${image}:latest` : image
}

/** True when the pod has a say in, or is bound by, where other pods are. */
export function hasPodAffinity(template: PodTemplate): boolean {
  return template.requiredAffinity.length + template.requiredAntiAffinity.length + template.preferredAffinity.length + template.preferredAntiAffinity.length > 0
}
