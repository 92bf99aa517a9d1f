// deployment-controller: rolls a Deployment's pods from one template to the next by moving the sizes of ReplicaSets, one per template.
//
// One sync makes one move and writes the status; the ReplicaSets' answers wake the next. The new ReplicaSet is the oldest one whose template equals the
// Deployment's, so that going back to a former template (rollout undo) takes its ReplicaSet up again. Where to read on: deployment/rollout.ts, status.ts.
// Upstream: kubernetes/pkg/controller/deployment
import { semanticEqual } from '../../../lib/apimachinery/equality.ts'
import { matches, selectsEverything } from '../../../lib/apimachinery/label-selector.ts'
import type { Deployment, DeploymentStatus, ReplicaSet } from '../../../lib/api/generated/types/apps-v1.ts'
import type { Pod, PodTemplateSpec } from '../../../lib/api/generated/types/core-v1.ts'
import { controllerOf, controllerReference, objectKey, splitObjectKey } from '../../../lib/client/object-references.ts'
import { deployments, pods, replicaSets } from '../../../lib/client/resource-keys.ts'
import { annotationsForNewSet, desiredReplicasOf, maxRevision, revisionAnnotation, revisionOf } from './deployment/annotations.ts'
import { isRolling, newSetReplicas, specReplicas } from './deployment/limits.ts'
import { Sizing, active, oldestFirst, rollingMove, scaleMove } from './deployment/rollout.ts'
import { computeRolloutStatus, computeStatus, findDeploymentCondition, hasProgressDeadline, isComplete, setDeploymentCondition, untilDeadlineMs } from './deployment/status.ts'
import type { DeploymentConditions } from './deployment/status.ts'
import { claimDependents, controllerIndex, controllerIndexValues, orphanIndexValue } from './shared/claims.ts'
import { aboutObject, create, remove, update, updateStatus, watch } from './shared/controller.ts'
import type { Action, Controller, Plan, PlannedEvent, Step, View } from './shared/controller.ts'
import { isPodTerminal } from './shared/pod-state.ts'
import { readSelector } from './shared/selectors.ts'
import { templateHash } from './shared/template-hash.ts'

export const podTemplateHashLabel = 'pod-template-hash'

export interface ObservedDeployment {
  readonly now: number
  readonly deployment: Deployment
  /** Its own and the orphans of its namespace. */
  readonly sets: readonly ReplicaSet[]
  /** Pods by the uid of their ReplicaSet; needed for Recreate only. */
  readonly podsBySet: ReadonlyMap<string, readonly Pod[]>
}

export function syncDeployment(observed: ObservedDeployment): Plan {
  const { deployment, now } = observed
  const selector = readSelector(deployment.spec.selector)
  if (selectsEverything(selector)) {
    const status = { ...deployment.status, observedGeneration: deployment.metadata.generation ?? 0 }
    return {
      events: [{ about: aboutObject(deployments, deployment), type: 'Warning', reason: 'SelectingAll', message: 'This deployment is selecting all pods. A non-empty selector is required.' }],
      steps: statusSteps(deployment, deployment, status),
    }
  }
  const claims = claimDependents({ owner: deployment, ownerKey: deployments, dependentKey: replicaSets, selector }, observed.sets)
  const before: readonly Step[] = claims.actions.length > 0 ? [{ actions: claims.actions }] : []
  // Adopted ReplicaSets change with their adoption; the next sync sees them as they are then.
  if (before.length > 0) return { steps: before, requeueAfterMs: 1 }
  const sets = claims.claimed
  if (deployment.metadata.deletionTimestamp !== undefined) {
    return { steps: statusSteps(deployment, deployment, computeStatus(deployment, sets, findNewSet(deployment, sets), deployment.status.conditions ?? [], now)) }
  }
  const paused = deployment.spec.paused === true
  const conditions = pauseConditions(deployment, now)
  const resized = active(sets).some((set) => { const desired = desiredReplicasOf(set); return desired !== undefined && desired !== (deployment.spec.replicas ?? 1) })
  if (paused || resized) return syncSizeOnly(deployment, sets, conditions, now)
  return isRolling(deployment) ? syncRolling(deployment, sets, conditions, now) : syncRecreate(deployment, sets, observed.podsBySet, conditions, now)
}

/** Paused or resized: sizes follow, nothing rolls on. */
function syncSizeOnly(deployment: Deployment, sets: readonly ReplicaSet[], conditions: DeploymentConditions, now: number): Plan {
  const generation = chooseNewSet(deployment, sets, conditions, now, false)
  const sizing = new Sizing(deployment)
  const { newSet, oldSets } = generation
  scaleMove(deployment, sizing, newSet, oldSets)
  const cleanUp = deployment.spec.paused ? cleanUpActions(deployment, oldSets) : []
  const all = sizing.all(newSet ? [newSet, ...oldSets] : oldSets)
  const status = computeStatus(deployment, all, newSet, generation.conditions, now)
  return finish(deployment, generation, [...sizing.actions, ...cleanUp], status, now)
}

function syncRolling(deployment: Deployment, sets: readonly ReplicaSet[], conditions: DeploymentConditions, now: number): Plan {
  const generation = chooseNewSet(deployment, sets, conditions, now, true)
  const { newSet, oldSets } = generation
  const sizing = new Sizing(deployment)
  if (newSet && !generation.creating) rollingMove(deployment, sizing, newSet, oldSets)
  const cleanUp = sizing.actions.length === 0 && isComplete(deployment, deployment.status) ? cleanUpActions(deployment, oldSets) : []
  const status = computeRolloutStatus(deployment, sizing.all(newSet ? [newSet, ...oldSets] : oldSets), newSet, generation.conditions, now)
  return finish(deployment, generation, [...sizing.actions, ...cleanUp], status, now)
}

/** All old pods go before the first new one comes. */
function syncRecreate(deployment: Deployment, sets: readonly ReplicaSet[], podsBySet: ReadonlyMap<string, readonly Pod[]>, conditions: DeploymentConditions, now: number): Plan {
  let generation = chooseNewSet(deployment, sets, conditions, now, false)
  const sizing = new Sizing(deployment)
  let cleanUp: readonly Action[] = []
  const oldActive = active(generation.oldSets)
  if (oldActive.length > 0) {
    for (const set of oldActive) sizing.scale(set, 0)
  } else if (!generation.oldSets.some((set) => (podsBySet.get(set.metadata.uid) ?? []).some((pod) => !isPodTerminal(pod)))) {
    generation = chooseNewSet(deployment, sets, conditions, now, true)
    if (generation.newSet && !generation.creating) sizing.scale(generation.newSet, deployment.spec.replicas ?? 1)
    if (sizing.actions.length === 0 && isComplete(deployment, deployment.status)) cleanUp = cleanUpActions(deployment, generation.oldSets)
  }
  const { newSet, oldSets } = generation
  const status = computeRolloutStatus(deployment, sizing.all(newSet ? [newSet, ...oldSets] : oldSets), newSet, generation.conditions, now)
  return finish(deployment, generation, [...sizing.actions, ...cleanUp], status, now)
}

interface Generation {
  /** For the present template; undefined when there is none and none is to be made. */
  readonly newSet: ReplicaSet | undefined
  readonly oldSets: readonly ReplicaSet[]
  /** Annotations, minReadySeconds or the creation of the new one. */
  readonly actions: readonly Action[]
  readonly creating: boolean
  /** The Deployment's revision annotation; undefined when there is no new one. */
  readonly revision: string | undefined
  readonly conditions: DeploymentConditions
}

function findNewSet(deployment: Deployment, sets: readonly ReplicaSet[]): ReplicaSet | undefined {
  return sets.toSorted(oldestFirst).find((set) => equalTemplates(set.spec.template, deployment.spec.template))
}

function chooseNewSet(deployment: Deployment, sets: readonly ReplicaSet[], conditions: DeploymentConditions, now: number, createIfMissing: boolean): Generation {
  const found = findNewSet(deployment, sets)
  const oldSets = sets.filter((set) => set !== found).toSorted(oldestFirst)
  const revision = maxRevision(oldSets) + 1
  const minReadySeconds = deployment.spec.minReadySeconds ?? 0
  if (found) {
    const annotations = annotationsForNewSet(deployment, found.metadata.annotations, revision, true)
    const changed = !semanticEqual(annotations, found.metadata.annotations) || (found.spec.minReadySeconds ?? 0) !== minReadySeconds
    const newSet: ReplicaSet = changed ? { ...found, metadata: { ...found.metadata, annotations }, spec: { ...found.spec, minReadySeconds } } : found
    const noted = hasProgressDeadline(deployment) && !findDeploymentCondition(conditions, 'Progressing')
      ? setDeploymentCondition(conditions, { type: 'Progressing', status: 'True', reason: 'FoundNewReplicaSet', message: `Found new replica set "${found.metadata.name}"` }, now) : conditions
    // Its size may change in the same sync; one write carries both, so a change of annotations alone waits for the next.
    return { newSet, oldSets, actions: changed ? [update(replicaSets, newSet)] : [], creating: changed, revision: newSet.metadata.annotations?.[revisionAnnotation], conditions: noted }
  }
  if (!createIfMissing) return { newSet: undefined, oldSets, actions: [], creating: false, revision: undefined, conditions }
  const newSet = makeNewSet(deployment, oldSets, revision)
  const replicas = specReplicas(newSet)
  const action = create(replicaSets, deployment.metadata.namespace ?? '', newSet, replicas === 0 ? {} : {
    succeeded: (): PlannedEvent => ({
      about: aboutObject(deployments, deployment), type: 'Normal', reason: 'ScalingReplicaSet', message: `Scaled up replica set ${newSet.metadata.name} from 0 to ${replicas}`,
    }),
  })
  const noted = hasProgressDeadline(deployment)
    ? setDeploymentCondition(conditions, { type: 'Progressing', status: 'True', reason: 'NewReplicaSetCreated', message: `Created new replica set "${newSet.metadata.name}"` }, now) : conditions
  return { newSet, oldSets, actions: [action], creating: true, revision: String(revision), conditions: noted }
}

function makeNewSet(deployment: Deployment, oldSets: readonly ReplicaSet[], revision: number): ReplicaSet {
  const { template, selector } = deployment.spec
  const hash = templateHash(template, deployment.status.collisionCount)
  const labels = { ...template.metadata?.labels, [podTemplateHashLabel]: hash }
  const made = {
    metadata: {
      name: `${deployment.metadata.name}-${hash}`, namespace: deployment.metadata.namespace ?? '', labels, ownerReferences: [controllerReference(deployment, deployments)],
      annotations: annotationsForNewSet(deployment, undefined, revision, false),
    },
    spec: {
      replicas: newSetReplicas(deployment, oldSets, 0), minReadySeconds: deployment.spec.minReadySeconds ?? 0,
      selector: { ...selector, matchLabels: { ...selector?.matchLabels, [podTemplateHashLabel]: hash } },
      template: { ...template, metadata: { ...template.metadata, labels } },
    },
    status: { replicas: 0, terminatingReplicas: 0 },
  }
  return made as unknown as ReplicaSet // cast: uid, resourceVersion and creationTimestamp are the server's to set
}

/** Equal but for the hash that the controller itself added. */
export function equalTemplates(a: PodTemplateSpec, b: PodTemplateSpec): boolean {
  const bare = (template: PodTemplateSpec): PodTemplateSpec => {
    const { [podTemplateHashLabel]: _hash, ...labels } = template.metadata?.labels ?? {}
    return { ...template, metadata: { ...template.metadata, labels } }
  }
  return semanticEqual(bare(a), bare(b))
}

function pauseConditions(deployment: Deployment, now: number): DeploymentConditions {
  const conditions = deployment.status.conditions ?? []
  const progressing = findDeploymentCondition(conditions, 'Progressing')
  if (!hasProgressDeadline(deployment) || progressing?.reason === 'ProgressDeadlineExceeded') return conditions
  const marked = progressing?.reason === 'DeploymentPaused'
  if (deployment.spec.paused && !marked) return setDeploymentCondition(conditions, { type: 'Progressing', status: 'Unknown', reason: 'DeploymentPaused', message: 'Deployment is paused' }, now)
  if (!deployment.spec.paused && marked) return setDeploymentCondition(conditions, { type: 'Progressing', status: 'Unknown', reason: 'DeploymentResumed', message: 'Deployment is resumed' }, now)
  return conditions
}

/** Old, empty ReplicaSets beyond the history limit go, lowest revisions first. */
function cleanUpActions(deployment: Deployment, oldSets: readonly ReplicaSet[]): readonly Action[] {
  const limit = deployment.spec.revisionHistoryLimit
  if (limit === undefined || limit === 2 ** 31 - 1) return []
  const alive = oldSets.filter((set) => set.metadata.deletionTimestamp === undefined)
  return alive.toSorted((a, b) => revisionOf(a) - revisionOf(b)).slice(0, Math.max(0, alive.length - limit))
    .filter((set) => set.status.replicas === 0 && specReplicas(set) === 0 && (set.metadata.generation ?? 0) <= (set.status.observedGeneration ?? 0))
    .map((set) => remove(replicaSets, set))
}

function finish(deployment: Deployment, generation: Generation, moves: readonly Action[], status: DeploymentStatus, now: number): Plan {
  const annotated: Deployment = generation.revision === undefined || deployment.metadata.annotations?.[revisionAnnotation] === generation.revision ? deployment
    : { ...deployment, metadata: { ...deployment.metadata, annotations: { ...deployment.metadata.annotations, [revisionAnnotation]: generation.revision } } }
  const actions = [...generation.actions, ...moves]
  const untilMs = untilDeadlineMs(deployment, status, now)
  return {
    steps: actions.length > 0 ? [{ actions }] : [],
    afterwards: ({ failure }) => {
      if (failure?.action.kind === 'create') return afterFailedCreate(deployment, failure, now)
      if (failure) return {}
      return { steps: statusSteps(deployment, annotated, status), ...(untilMs === undefined ? {} : { requeueAfterMs: untilMs }) }
    },
  }
}

/** A name that is taken by another template: the next hash is another one. Anything else goes into the condition Progressing. */
function afterFailedCreate(deployment: Deployment, failure: { readonly action: Action, readonly reason: string, readonly message: string, readonly causes: readonly string[] }, now: number): Plan {
  if (failure.reason === 'AlreadyExists') {
    return { steps: statusSteps(deployment, deployment, { ...deployment.status, collisionCount: (deployment.status.collisionCount ?? 0) + 1 }) }
  }
  if (failure.causes.includes('NamespaceTerminating')) return {}
  const message = `Failed to create new replica set "${failure.action.name}": ${failure.message}`
  const conditions = hasProgressDeadline(deployment)
    ? setDeploymentCondition(deployment.status.conditions, { type: 'Progressing', status: 'False', reason: 'ReplicaSetCreateError', message }, now) : deployment.status.conditions ?? []
  return {
    events: [{ about: aboutObject(deployments, deployment), type: 'Warning', reason: 'ReplicaSetCreateError', message }],
    steps: statusSteps(deployment, deployment, { ...deployment.status, conditions }),
  }
}

function statusSteps(old: Deployment, annotated: Deployment, status: DeploymentStatus): readonly Step[] {
  if (annotated === old && semanticEqual(status, old.status)) return []
  return [{ actions: [updateStatus(deployments, { ...annotated, status }, { tolerates: ['NotFound'] })] }]
}

export function createDeploymentController(): Controller<ObservedDeployment> {
  return {
    name: 'deployment-controller',
    watches: [
      watch({ resource: deployments, keysOf: (deployment) => [objectKey(deployment)] }),
      watch({ resource: replicaSets, indexes: { [controllerIndex]: controllerIndexValues }, keysOf: keysOfSet }),
      // A Recreate waits for the last old pod to go.
      watch({ resource: pods, indexes: { [controllerIndex]: controllerIndexValues }, keysOf: keysOfPod }),
    ],
    observe(key, view, { now }) {
      const { namespace, name } = splitObjectKey(key)
      const deployment = view.get(deployments, namespace, name)
      if (!deployment) return undefined
      const own = view.byIndex(replicaSets, controllerIndex, deployment.metadata.uid)
      const podsBySet = isRolling(deployment) ? [] : own.map((set) => [set.metadata.uid, view.byIndex(pods, controllerIndex, set.metadata.uid)] as const)
      return { now, deployment, sets: [...own, ...view.byIndex(replicaSets, controllerIndex, orphanIndexValue(namespace))], podsBySet: new Map(podsBySet) }
    },
    sync: syncDeployment,
  }
}

function keysOfSet(set: ReplicaSet, view: View): readonly string[] {
  const namespace = set.metadata.namespace ?? ''
  const reference = controllerOf(set)
  if (reference) {
    const owner = reference.kind === 'Deployment' ? view.get(deployments, namespace, reference.name) : undefined
    return owner?.metadata.uid === reference.uid ? [objectKey(owner)] : []
  }
  if (set.metadata.deletionTimestamp !== undefined) return []
  return view.list(deployments, namespace).filter((deployment) => {
    const selector = readSelector(deployment.spec.selector)
    return !selectsEverything(selector) && matches(selector, set.metadata.labels)
  }).map(objectKey)
}

function keysOfPod(pod: Pod, view: View): readonly string[] {
  const reference = controllerOf(pod)
  const set = reference?.kind === 'ReplicaSet' ? view.get(replicaSets, pod.metadata.namespace ?? '', reference.name) : undefined
  if (set?.metadata.uid !== reference?.uid || !set) return []
  return keysOfSet(set, view).filter((key) => {
    const { namespace, name } = splitObjectKey(key)
    const deployment = view.get(deployments, namespace, name)
    return deployment !== undefined && !isRolling(deployment)
  })
}
