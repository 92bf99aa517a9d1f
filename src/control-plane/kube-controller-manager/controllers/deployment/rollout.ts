// How the sizes of a Deployment's ReplicaSets move: up and down within the limits of a rolling update, proportionally while it is paused or resized
// in the middle of one, all down before up for Recreate. A Sizing collects the moves; sizes are read back from it, so that steps build on each other.
// Upstream: kubernetes/pkg/controller/deployment/rolling.go, recreate.go, sync.go
import type { Deployment, ReplicaSet } from '../../../../lib/api/generated/types/apps-v1.ts'
import { deployments, replicaSets } from '../../../../lib/client/resource-keys.ts'
import { aboutObject, update } from '../shared/controller.ts'
import type { Action } from '../shared/controller.ts'
import { desiredReplicasAnnotation, desiredReplicasOf, maxReplicasAnnotation, maxReplicasOf, withReplicasAnnotations } from './annotations.ts'
import { isRolling, isSaturated, maxSurge, maxUnavailable, newSetReplicas, specReplicas, sumAvailableReplicas, sumSpecReplicas } from './limits.ts'

export class Sizing {
  readonly actions: Action[] = []
  readonly #deployment: Deployment
  readonly #changed = new Map<string, ReplicaSet>()

  constructor(deployment: Deployment) { this.#deployment = deployment }

  /** The ReplicaSet with what has been decided so far. */
  now(set: ReplicaSet): ReplicaSet { return this.#changed.get(set.metadata.name) ?? set }
  all(sets: readonly ReplicaSet[]): readonly ReplicaSet[] { return sets.map((set) => this.now(set)) }

  /** Sets the size, and the annotations that tell what it was made for; true when anything changes. */
  scale(set: ReplicaSet, replicas: number): boolean {
    const current = this.now(set)
    const annotations = withReplicasAnnotations(current.metadata.annotations, this.#deployment)
    const old = current.metadata.annotations
    const from = specReplicas(current)
    const annotationsChange = old?.[desiredReplicasAnnotation] !== annotations[desiredReplicasAnnotation] || old?.[maxReplicasAnnotation] !== annotations[maxReplicasAnnotation]
    if (from === replicas && !annotationsChange) return false
    const next: ReplicaSet = { ...current, metadata: { ...current.metadata, annotations }, spec: { ...current.spec, replicas } }
    this.#changed.set(set.metadata.name, next)
    const about = aboutObject(deployments, this.#deployment)
    const direction = from < replicas ? 'up' : 'down'
    this.actions.push(update(replicaSets, next, from === replicas ? {} : {
      succeeded: () => ({ about, type: 'Normal', reason: 'ScalingReplicaSet', message: `Scaled ${direction} replica set ${set.metadata.name} from ${from} to ${replicas}` }),
    }))
    return true
  }
}

export function oldestFirst(a: ReplicaSet, b: ReplicaSet): number {
  const [x, y] = [a.metadata.creationTimestamp, b.metadata.creationTimestamp]
  return x === y ? (a.metadata.name < b.metadata.name ? -1 : 1) : x < y ? -1 : 1
}

export function active(sets: readonly ReplicaSet[]): readonly ReplicaSet[] { return sets.filter((set) => specReplicas(set) > 0) }

/** One move of a rolling update: the new one up as far as there is room, else the old ones down as far as enough stay available. */
export function rollingMove(deployment: Deployment, sizing: Sizing, newSet: ReplicaSet, oldSets: readonly ReplicaSet[]): void {
  const allSets = [newSet, ...oldSets]
  const wanted = deployment.spec.replicas ?? 1
  const size = specReplicas(newSet)
  if (size !== wanted && sizing.scale(newSet, size > wanted ? wanted : newSetReplicas(deployment, allSets, size))) return
  if (sumSpecReplicas(oldSets) === 0) return
  const minAvailable = wanted - maxUnavailable(deployment)
  const newUnavailable = specReplicas(newSet) - (newSet.status.availableReplicas ?? 0)
  const mayGo = sumSpecReplicas(allSets) - minAvailable - newUnavailable
  if (mayGo <= 0) return
  removeUnhealthy(sizing, oldSets, mayGo)
  scaleDownOld(deployment, sizing, newSet, oldSets, minAvailable)
}

/** Replicas that are not available cost nothing to lose; they would block the update otherwise. */
function removeUnhealthy(sizing: Sizing, oldSets: readonly ReplicaSet[], mayGo: number): void {
  let gone = 0
  for (const set of oldSets.toSorted(oldestFirst)) {
    if (gone >= mayGo) return
    const size = specReplicas(set)
    const unhealthy = size - (set.status.availableReplicas ?? 0)
    if (size === 0 || unhealthy <= 0) continue
    const down = Math.min(mayGo - gone, unhealthy)
    sizing.scale(set, size - down)
    gone += down
  }
}

function scaleDownOld(deployment: Deployment, sizing: Sizing, newSet: ReplicaSet, oldSets: readonly ReplicaSet[], minAvailable: number): void {
  let left = sumAvailableReplicas([newSet, ...oldSets]) - minAvailable
  for (const set of oldSets.toSorted(oldestFirst)) {
    if (left <= 0) return
    const size = specReplicas(sizing.now(set))
    if (size === 0) continue
    const down = Math.min(size, left)
    sizing.scale(set, size - down)
    left -= down
  }
}

/** Brings the ReplicaSets to the Deployment's size without rolling on: while paused, or when only the size changed. */
export function scaleMove(deployment: Deployment, sizing: Sizing, newSet: ReplicaSet | undefined, oldSets: readonly ReplicaSet[]): void {
  const wanted = deployment.spec.replicas ?? 1
  const only = activeOrLatest(newSet, oldSets)
  if (only) {
    if (specReplicas(only) !== wanted) sizing.scale(only, wanted)
    return
  }
  if (newSet && isSaturated(deployment, newSet, desiredReplicasOf(newSet))) {
    for (const set of active(oldSets)) sizing.scale(set, 0)
    return
  }
  if (isRolling(deployment)) scaleProportionally(deployment, sizing, active(newSet ? [newSet, ...oldSets] : oldSets))
}

function activeOrLatest(newSet: ReplicaSet | undefined, oldSets: readonly ReplicaSet[]): ReplicaSet | undefined {
  const running = active(newSet ? [newSet, ...oldSets] : oldSets)
  if (running.length === 0) return newSet ?? oldSets.toSorted(oldestFirst).at(-1)
  return running.length === 1 ? running[0] : undefined
}

/** Each ReplicaSet gets its share of the difference, by its size; what is left over by rounding goes to the largest. */
function scaleProportionally(deployment: Deployment, sizing: Sizing, sets: readonly ReplicaSet[]): void {
  const wanted = deployment.spec.replicas ?? 1
  const allowed = wanted > 0 ? wanted + maxSurge(deployment) : 0
  const toAdd = allowed - sumSpecReplicas(sets)
  const newestFirst = toAdd >= 0
  const sorted = sets.toSorted((a, b) => specReplicas(b) - specReplicas(a) || (newestFirst ? oldestFirst(b, a) : oldestFirst(a, b)))
  let added = 0
  const sizes = sorted.map((set) => {
    const share = shareOf(deployment, set, toAdd, added)
    added += share
    return specReplicas(set) + share
  })
  sorted.forEach((set, i) => {
    const size = (sizes[i] ?? 0) + (i === 0 && toAdd !== 0 ? toAdd - added : 0)
    sizing.scale(set, Math.max(size, 0))
  })
}

function shareOf(deployment: Deployment, set: ReplicaSet, toAdd: number, added: number): number {
  const size = specReplicas(set)
  if (size === 0 || toAdd === 0 || toAdd === added) return 0
  const wanted = deployment.spec.replicas ?? 1
  let share = -size
  if (wanted !== 0) {
    const before = maxReplicasOf(set) ?? (deployment.status.replicas ?? 0)
    // The size this ReplicaSet had when the Deployment had its former size, carried over to the new size.
    share = before > 0 ? Math.round((size * (wanted + maxSurge(deployment))) / before) - size : 0
  }
  return toAdd > 0 ? Math.min(share, toAdd - added) : Math.max(share, toAdd - added)
}
