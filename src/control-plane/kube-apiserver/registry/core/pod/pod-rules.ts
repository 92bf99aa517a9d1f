// The strategy's rules for pods. Upstream: pkg/registry/core/pod/strategy.go
import type { AppArmorProfile, Container, Pod, PodAffinityTerm, PodSpec, PodStatus, WeightedPodAffinityTerm } from '../../../../../lib/api/generated/types/core-v1.ts'
import type { LabelSelector, LabelSelectorRequirement } from '../../../../../lib/api/generated/types/meta-v1.ts'
import type { FieldError } from '../../../../../lib/apimachinery/field-error.ts'
import { isDns1123Label } from '../../../../../lib/apimachinery/validation.ts'
import { resetMetaForStatus, statusOnly } from '../../generic-strategy.ts'
import type { KindRules } from '../../generic-strategy.ts'
import { semanticEqual } from '../../semantic-equal.ts'
import { defaultPod } from './default-pod.ts'
import { mapChanged, syncServiceAccount } from './default-pod-spec.ts'
import { computeQosClass } from './pod-resources.ts'
import { optionsFor, strictPodOptions } from './pod-validation-options.ts'
import { podWarnings } from './pod-warnings.ts'
import { appArmorPrefix } from './validate-pod-annotations.ts'
import { validateEphemeralContainersUpdate, validatePodCreate, validatePodUpdate } from './validate-pod.ts'
import { validatePodResize } from './validate-pod-resize.ts'
import { validatePodStatusUpdate } from './validate-pod-status.ts'
import { validateAppArmor } from './validate-security-context.ts'

type Labels = { readonly [key: string]: string } | undefined

/** The selector with an expression for each key that the pod has as a label. */
function withKeys(selector: LabelSelector, keys: readonly string[] | undefined, operator: 'In' | 'NotIn', labels: Labels): LabelSelector {
  const added: LabelSelectorRequirement[] = []
  for (const key of keys ?? []) {
    const value = labels?.[key]
    if (value !== undefined) added.push({ key, operator, values: [value] })
  }
  return added.length === 0 ? selector : { ...selector, matchExpressions: [...(selector.matchExpressions ?? []), ...added] }
}

function selectByOwnLabels(spec: PodSpec, labels: Labels): PodSpec {
  let next = spec
  const constraints = next.topologySpreadConstraints && mapChanged(next.topologySpreadConstraints, (constraint) => {
    const labelSelector = constraint.labelSelector && withKeys(constraint.labelSelector, constraint.matchLabelKeys, 'In', labels)
    return labelSelector === constraint.labelSelector ? constraint : { ...constraint, labelSelector }
  })
  if (constraints !== next.topologySpreadConstraints) next = { ...next, topologySpreadConstraints: constraints }
  const ofTerm = (term: PodAffinityTerm): PodAffinityTerm => {
    if (!term.labelSelector || !(term.matchLabelKeys || term.mismatchLabelKeys)) return term
    return { ...term, labelSelector: withKeys(withKeys(term.labelSelector, term.matchLabelKeys, 'In', labels), term.mismatchLabelKeys, 'NotIn', labels) }
  }
  const ofWeighted = (weighted: WeightedPodAffinityTerm): WeightedPodAffinityTerm => {
    // cast: clients may leave out what is required
    if ((weighted.podAffinityTerm as PodAffinityTerm | undefined) === undefined) return weighted
    const podAffinityTerm = ofTerm(weighted.podAffinityTerm)
    return podAffinityTerm === weighted.podAffinityTerm ? weighted : { ...weighted, podAffinityTerm }
  }
  for (const kind of ['podAffinity', 'podAntiAffinity'] as const) {
    const part = next.affinity?.[kind]
    if (!part) continue
    const required = part.requiredDuringSchedulingIgnoredDuringExecution && mapChanged(part.requiredDuringSchedulingIgnoredDuringExecution, ofTerm)
    const preferred = part.preferredDuringSchedulingIgnoredDuringExecution && mapChanged(part.preferredDuringSchedulingIgnoredDuringExecution, ofWeighted)
    if (required === part.requiredDuringSchedulingIgnoredDuringExecution && preferred === part.preferredDuringSchedulingIgnoredDuringExecution) continue
    next = {
      ...next,
      affinity: {
        ...next.affinity,
        [kind]: { ...part, ...(required && { requiredDuringSchedulingIgnoredDuringExecution: required }), ...(preferred && { preferredDuringSchedulingIgnoredDuringExecution: preferred }) },
      },
    }
  }
  return next
}

/** The field that an old AppArmor annotation stands for; undefined when it stands for none. */
function appArmorOf(annotation: string): AppArmorProfile | undefined {
  if (annotation === 'unconfined') return { type: 'Unconfined' }
  if (annotation === 'runtime/default') return { type: 'RuntimeDefault' }
  if (!annotation.startsWith('localhost/')) return undefined
  const profile: AppArmorProfile = { type: 'Localhost', localhostProfile: annotation.slice('localhost/'.length) }
  const errors: FieldError[] = []
  validateAppArmor(profile, '', errors)
  return errors.length > 0 ? undefined : profile
}

function profilesFromAnnotations(spec: PodSpec, annotations: Labels): PodSpec {
  if (!annotations || spec.os?.name === 'windows' || !Object.keys(annotations).some((key) => key.startsWith(appArmorPrefix))) return spec
  const convert = (container: Container): Container => {
    const annotation = annotations[`${appArmorPrefix}${container.name}`]
    if (annotation === undefined || container.securityContext?.appArmorProfile) return container
    const profile = appArmorOf(annotation)
    if (!profile || semanticEqual(profile, spec.securityContext?.appArmorProfile)) return container
    return { ...container, securityContext: { ...container.securityContext, appArmorProfile: profile } }
  }
  const containers = mapChanged(spec.containers ?? [], convert)
  const initContainers = spec.initContainers && mapChanged(spec.initContainers, convert)
  return containers === spec.containers && initContainers === spec.initContainers ? spec : { ...spec, containers, ...(initContainers && { initContainers }) }
}

function newStatus(spec: PodSpec): PodStatus {
  const status: PodStatus = { phase: 'Pending', qosClass: computeQosClass(spec) }
  if (!spec.schedulingGates || spec.schedulingGates.length === 0) return status
  return {
    ...status,
    conditions: [{ type: 'PodScheduled', status: 'False', reason: 'SchedulingGated', message: 'Scheduling is blocked due to non-empty scheduling gates' }],
  }
}

/** `podIP` is the first of `podIPs`; where they differ, `podIP` counts. */
function syncPodIps(status: PodStatus | undefined): PodStatus | undefined {
  if (!status) return status
  const first = status.podIPs?.[0]?.ip
  if (status.podIP) return first === status.podIP ? status : { ...status, podIPs: [{ ip: status.podIP }] }
  return first ? { ...status, podIP: first } : status
}

/** A client that doesn't know observedGeneration doesn't erase it. */
function keepObservedGenerations(status: PodStatus, old: PodStatus | undefined): PodStatus {
  let next = status
  if (!next.observedGeneration && old?.observedGeneration) next = { ...next, observedGeneration: old.observedGeneration }
  const known = new Map<string, (number | undefined)[]>()
  for (const condition of old?.conditions ?? []) known.set(condition.type, [...(known.get(condition.type) ?? []), condition.observedGeneration])
  const conditions = next.conditions && mapChanged(next.conditions, (condition) => {
    const generation = known.get(condition.type)?.shift()
    return condition.observedGeneration || !generation ? condition : { ...condition, observedGeneration: generation }
  })
  return conditions === next.conditions ? next : { ...next, conditions }
}

/** Resources and resize policies of `now` on the containers of `old`; `now` itself where containers were renamed, for validation to refuse. */
function withResourcesOf(now: readonly Container[] | undefined, old: readonly Container[] | undefined): readonly Container[] | undefined {
  if (!now || !old || now.length !== old.length || now.some((container, i) => container.name !== old[i]?.name)) return now
  return old.map((container, i) => ({ ...container, resources: now[i]?.resources ?? {}, resizePolicy: now[i]?.resizePolicy }))
}

export const podRules: KindRules<Pod> = {
  applyDefaults: defaultPod,
  prepareForCreate(pod) {
    // cast: a pod without a spec is refused by validation, not here
    const given = pod.spec ?? {} as PodSpec
    const spec = profilesFromAnnotations(selectByOwnLabels(syncServiceAccount(given), pod.metadata.labels), pod.metadata.annotations)
    return { ...pod, spec, status: newStatus(spec) }
  },
  validate: (pod, errors) => validatePodCreate(pod, errors, strictPodOptions),
  validateUpdate: (pod, old, errors) => validatePodUpdate(pod, old, errors, optionsFor(strictPodOptions, old.spec, old.metadata)),
  prepareStatus(pod, old) {
    const next = statusOnly(pod, old)
    let status = syncPodIps(next.status)
    if (status && !status.qosClass && old.status?.qosClass) status = { ...status, qosClass: old.status.qosClass }
    if (status) status = keepObservedGenerations(status, old.status)
    const { deletionTimestamp, ownerReferences } = old.metadata
    return { ...next, metadata: { ...next.metadata, deletionTimestamp, ownerReferences }, ...(status && { status }) }
  },
  validateStatus: (pod, old, errors) => validatePodStatusUpdate(pod, old, errors),
  warnings(pod, old) {
    // Updates of pods come from programs; nobody would read warnings.
    if (old) return []
    const wrong = isDns1123Label(pod.metadata.name ?? '')
    const hostname = wrong.length === 0 ? [] : [`metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended: [${wrong.join(' ')}]`]
    return [...hostname, ...podWarnings(pod.spec ?? {}, pod.metadata, '')]
  },
  gracePeriodSeconds(pod) {
    if (!pod.spec?.nodeName || pod.status?.phase === 'Failed' || pod.status?.phase === 'Succeeded') return 0
    const seconds = pod.spec.terminationGracePeriodSeconds ?? 0
    return seconds < 0 ? 1 : seconds
  },
  subresources: {
    ephemeralcontainers: {
      prepareForUpdate(pod, old) {
        const { ephemeralContainers } = pod.spec ?? {}
        // cast: the old pod has a spec
        return { ...old, metadata: resetMetaForStatus(pod.metadata, old.metadata), spec: { ...old.spec, ephemeralContainers } as PodSpec }
      },
      validateUpdate: (pod, old, errors) => validateEphemeralContainersUpdate(pod, old, errors, optionsFor(strictPodOptions, old.spec, old.metadata)),
    },
    resize: {
      prepareForUpdate(pod, old) {
        if (!pod.spec || !old.spec || pod.spec.containers?.length !== old.spec.containers?.length || (pod.spec.initContainers?.length ?? 0) !== (old.spec.initContainers?.length ?? 0)) return pod
        const containers = withResourcesOf(pod.spec.containers, old.spec.containers) ?? []
        const initContainers = withResourcesOf(pod.spec.initContainers, old.spec.initContainers)
        const { resources } = pod.spec
        return {
          ...old, metadata: resetMetaForStatus(pod.metadata, old.metadata),
          spec: { ...old.spec, containers, ...(initContainers && { initContainers }), ...(resources && { resources }) },
        }
      },
      validateUpdate: (pod, old, errors) => validatePodResize(pod, old, errors, optionsFor(strictPodOptions, old.spec, old.metadata)),
    },
  },
  selectableFields: (pod) => ({
    'spec.nodeName': pod.spec?.nodeName ?? '', 'spec.restartPolicy': pod.spec?.restartPolicy ?? '', 'spec.schedulerName': pod.spec?.schedulerName ?? '',
    'spec.serviceAccountName': pod.spec?.serviceAccountName ?? '', 'spec.hostNetwork': String(pod.spec?.hostNetwork === true), 'status.phase': pod.status?.phase ?? '',
    'status.podIP': pod.status?.podIPs?.[0]?.ip ?? pod.status?.podIP ?? '', 'status.nominatedNodeName': pod.status?.nominatedNodeName ?? '',
  }),
}
