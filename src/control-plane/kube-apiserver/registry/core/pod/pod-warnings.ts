// Warnings about pods and templates of pods that are right but probably not meant. Upstream: pkg/api/pod/warnings.go, pkg/api/node/util.go
import type { Draft } from '../../../../../lib/base/json.ts'
import type { Container, ContainerPort, NodeSelectorTerm, PodAffinityTerm, PodSpec } from '../../../../../lib/api/generated/types/core-v1.ts'
import type { ObjectMeta } from '../../../../../lib/api/generated/types/meta-v1.ts'
import { canonicalText, isWholeNumber } from '../../validation/quantities.ts'
import { appArmorPrefix, seccompContainerPrefix, seccompPodAnnotation } from './validate-pod-annotations.ts'
import { forEachContainer } from './validate-operating-system.ts'

const deprecatedNodeLabels: { readonly [label: string]: string } = {
  'beta.kubernetes.io/arch': 'deprecated since v1.14; use "kubernetes.io/arch" instead',
  'beta.kubernetes.io/os': 'deprecated since v1.14; use "kubernetes.io/os" instead',
  'failure-domain.beta.kubernetes.io/region': 'deprecated since v1.17; use "topology.kubernetes.io/region" instead',
  'failure-domain.beta.kubernetes.io/zone': 'deprecated since v1.17; use "topology.kubernetes.io/zone" instead',
  'beta.kubernetes.io/instance-type': 'deprecated since v1.17; use "node.kubernetes.io/instance-type" instead',
}
const deprecatedAnnotations: { readonly [annotation: string]: string } = {
  'scheduler.alpha.kubernetes.io/critical-pod': 'non-functional in v1.16+; use the "priorityClassName" field instead',
  'security.alpha.kubernetes.io/sysctls': 'non-functional in v1.11+; use the "sysctls" field instead',
  'security.alpha.kubernetes.io/unsafe-sysctls': 'non-functional in v1.11+; use the "sysctls" field instead',
}
const deprecatedVolumes: readonly (readonly [string, string, string])[] = [
  ['photonPersistentDisk', 'photonPersistentDisk', 'deprecated in v1.11, non-functional in v1.16+'], ['gitRepo', 'gitRepo', 'deprecated in v1.11'],
  ['scaleIO', 'scaleIO', 'deprecated in v1.16, non-functional in v1.22+'], ['flocker', 'flocker', 'deprecated in v1.22, non-functional in v1.25+'],
  ['storageos', 'storageOS', 'deprecated in v1.22, non-functional in v1.25+'], ['quobyte', 'quobyte', 'deprecated in v1.22, non-functional in v1.25+'],
  ['glusterfs', 'glusterfs', 'deprecated in v1.25, non-functional in v1.26+'], ['cephfs', 'cephfs', 'deprecated in v1.28, non-functional in v1.31+'],
  ['rbd', 'rbd', 'deprecated in v1.28, non-functional in v1.31+'],
]

export const nodeLabelWarning = (label: string): string | undefined => deprecatedNodeLabels[label]

/** `prefix` is the path of a template, empty for a pod. */
export function podWarnings(spec: Draft<PodSpec>, meta: Draft<ObjectMeta> | undefined, prefix: string): readonly string[] {
  const root = prefix === '' ? '' : `${prefix}.`
  const path = `${root}spec`
  const annotations = meta?.annotations
  const warnings: string[] = []
  for (const label in spec.nodeSelector) {
    const text = deprecatedNodeLabels[label]
    if (text) warnings.push(`${path}.nodeSelector[${label}]: ${text}`)
  }
  nodeAffinityWarnings(spec, path, warnings)
  spec.topologySpreadConstraints?.forEach((constraint, i) => {
    const at = `${path}.topologySpreadConstraints[${i}]`
    const text = deprecatedNodeLabels[constraint.topologyKey ?? '']
    if (text) warnings.push(`${at}.topologyKey: ${constraint.topologyKey ?? ''} is ${text}`)
    if (!constraint.labelSelector) warnings.push(`${at}.labelSelector: a null labelSelector results in matching no pod`)
  })
  if (annotations) for (const key in deprecatedAnnotations) if (annotations[key] !== undefined) warnings.push(`${root}metadata.annotations[${key}]: ${deprecatedAnnotations[key] ?? ''}`)
  volumeWarnings(spec, path, warnings)
  duplicateWarnings(spec.hostAliases?.map((alias) => alias.ip ?? ''), `${path}.hostAliases`, 'ip', warnings)
  duplicateWarnings(spec.imagePullSecrets?.map((secret) => secret.name ?? ''), `${path}.imagePullSecrets`, 'name', warnings)
  spec.imagePullSecrets?.forEach((secret, i) => { if (!secret.name) warnings.push(`${path}.imagePullSecrets[${i}].name: invalid empty name ""`) })
  fractionWarnings(spec.overhead, `${path}.overhead`, warnings)
  if (!spec.securityContext?.seccompProfile && annotations?.[seccompPodAnnotation] !== undefined) {
    warnings.push(`${root}metadata.annotations[${seccompPodAnnotation}]: non-functional in v1.27+; use the "seccompProfile" field instead`)
  }
  forEachContainer(spec, path, (container, at) => containerWarnings(container, at, spec, annotations, prefix, warnings))
  portWarnings(spec, path, warnings)
  if ((spec.terminationGracePeriodSeconds ?? 0) < 0) warnings.push(`${path}.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1`)
  podAffinityWarnings(spec, path, warnings)
  return warnings
}

function termWarnings(term: Draft<NodeSelectorTerm>, path: string, warnings: string[]): void {
  term.matchExpressions?.forEach((expression, i) => {
    const text = deprecatedNodeLabels[expression.key ?? '']
    if (text) warnings.push(`${path}.matchExpressions[${i}].key: ${expression.key ?? ''} is ${text}`)
  })
}

function nodeAffinityWarnings(spec: Draft<PodSpec>, path: string, warnings: string[]): void {
  const affinity = spec.affinity?.nodeAffinity
  const at = `${path}.affinity.nodeAffinity`
  affinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms?.forEach((term, i) => {
    termWarnings(term, `${at}.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[${i}]`, warnings)
  })
  affinity?.preferredDuringSchedulingIgnoredDuringExecution?.forEach((term, i) => {
    termWarnings(term.preference ?? {}, `${at}.preferredDuringSchedulingIgnoredDuringExecution[${i}].preference`, warnings)
  })
}

function volumeWarnings(spec: Draft<PodSpec>, path: string, warnings: string[]): void {
  spec.volumes?.forEach((volume, i) => {
    for (const [field, label, text] of deprecatedVolumes) {
      // cast: reads a source by its name
      if ((volume as { readonly [name: string]: unknown })[field] !== undefined) warnings.push(`${path}.volumes[${i}].${label}: ${text}`)
    }
    const template = volume.ephemeral?.volumeClaimTemplate?.spec
    if (template) fractionWarnings(template.resources?.requests, `${path}.volumes[${i}].ephemeral.volumeClaimTemplate.spec.resources.requests`, warnings, ['storage'])
  })
}

function duplicateWarnings(values: readonly string[] | undefined, path: string, field: string, warnings: string[]): void {
  if (!values || values.length < 2) return
  values.forEach((value, i) => { if (values.indexOf(value) < i) warnings.push(`${path}[${i}].${field}: duplicate ${field} ${JSON.stringify(value)}`) })
}

const inBytes = ['memory', 'ephemeral-storage']

export function fractionWarnings(list: { readonly [name: string]: string | undefined } | undefined, path: string, warnings: string[], names: readonly string[] = inBytes): void {
  if (!list) return
  for (const name of names) {
    const amount = list[name]
    if (amount !== undefined && !isWholeNumber(amount)) warnings.push(`${path}[${name}]: fractional byte value ${JSON.stringify(canonicalText(amount))} is invalid, must be an integer`)
  }
}

type Annotations = { readonly [key: string]: string | undefined } | undefined

function containerWarnings(container: Draft<Container>, path: string, spec: Draft<PodSpec>, annotations: Annotations, prefix: string, warnings: string[]): void {
  if (annotations) {
    const seccomp = `${seccompContainerPrefix}${container.name ?? ''}`
    const root = prefix === '' ? '' : `${prefix}.`
    if (!container.securityContext?.seccompProfile && annotations[seccomp] !== undefined) {
      warnings.push(`${root}metadata.annotations[${seccomp}]: non-functional in v1.27+; use the "seccompProfile" field instead`)
    }
    const appArmor = `${appArmorPrefix}${container.name ?? ''}`
    if (annotations[appArmor] !== undefined && !container.securityContext?.appArmorProfile && !spec.securityContext?.appArmorProfile) {
      warnings.push(`${root}metadata.annotations[${appArmor}]: deprecated since v1.30; use the "appArmorProfile" field instead`)
    }
  }
  fractionWarnings(container.resources?.limits, `${path}.resources.limits`, warnings, ['memory'])
  fractionWarnings(container.resources?.requests, `${path}.resources.requests`, warnings, ['memory'])
  fractionWarnings(container.resources?.limits, `${path}.resources.limits`, warnings, ['ephemeral-storage'])
  fractionWarnings(container.resources?.requests, `${path}.resources.requests`, warnings, ['ephemeral-storage'])
  if (!container.env || container.env.length < 2) return
  const names = new Set<string>()
  container.env.forEach(({ name = '', value = '', valueFrom }, i) => {
    const reference = `$(${name})`
    const hides = valueFrom !== undefined || value === reference || !value.includes(reference)
    if (names.has(name) && hides) warnings.push(`${path}.env[${i}]: hides previous definition of ${JSON.stringify(name)}, which may be dropped when using apply`)
    names.add(name)
  })
}

/** As Go prints the struct, which is what clients get to see. */
const printPort = (port: Draft<ContainerPort>): string =>
  `{Name:${port.name ?? ''} HostPort:${port.hostPort ?? 0} ContainerPort:${port.containerPort ?? 0} Protocol:${port.protocol ?? ''} HostIP:${port.hostIP ?? ''}}`

function portWarnings(spec: Draft<PodSpec>, path: string, warnings: string[]): void {
  const seen = new Map<string, { readonly path: string, readonly port: Draft<ContainerPort> }[]>()
  forEachContainer(spec, path, (container, at) => container.ports?.forEach((port, i) => {
    const here = `${at}.ports[${i}]`
    if (port.hostIP && !port.hostPort) warnings.push(`${here}: hostIP set without hostPort: ${printPort(port)}`)
    const key = `${port.containerPort ?? 0}/${port.protocol ?? ''}`
    const others = seen.get(key) ?? []
    for (const other of others) {
      const sameIp = (port.hostIP ?? '') === (other.port.hostIP ?? '')
      const samePort = (port.hostPort ?? 0) === (other.port.hostPort ?? 0)
      if (sameIp && samePort) warnings.push(`${here}: duplicate port definition with ${other.path}`)
      else if (!port.hostPort || !other.port.hostPort) warnings.push(`${here}: overlapping port definition with ${other.path}`)
      else if (samePort && !port.hostIP !== !other.port.hostIP) warnings.push(`${here}: dangerously ambiguous port definition with ${other.path}`)
    }
    others.push({ path: here, port })
    seen.set(key, others)
  }))
}

function podAffinityWarnings(spec: Draft<PodSpec>, path: string, warnings: string[]): void {
  const warn = (term: Draft<PodAffinityTerm> | undefined, at: string): void => {
    if (!term?.labelSelector) warnings.push(`${at}.labelSelector: a null labelSelector results in matching no pod`)
  }
  for (const kind of ['podAffinity', 'podAntiAffinity'] as const) {
    const part = spec.affinity?.[kind]
    const at = `${path}.affinity.${kind}`
    part?.requiredDuringSchedulingIgnoredDuringExecution?.forEach((term, i) => warn(term, `${at}.requiredDuringSchedulingIgnoredDuringExecution[${i}]`))
    part?.preferredDuringSchedulingIgnoredDuringExecution?.forEach((term, i) => warn(term.podAffinityTerm, `${at}.preferredDuringSchedulingIgnoredDuringExecution[${i}].podAffinityTerm`))
  }
}
