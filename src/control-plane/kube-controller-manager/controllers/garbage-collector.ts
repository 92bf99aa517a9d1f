// The graph of owners and what to do about an object whose owners change: pure. The shell (runner/garbage-collector-shell.ts) feeds it with watch events
// of every resource, reads live objects and does what is decided here.
//
// Rule it keeps: the graph only says which objects to look at. Whether one is deleted is decided from what the API server itself just said about it and
// about each of its owners; an owner that exists, or may exist, keeps it alive. Upstream: kubernetes/pkg/controller/garbagecollector
import type { OwnerReference } from '../../../lib/api/generated/types/meta-v1.ts'
import type { ApiObject, DeleteOptions, ResourceKey } from '../../../lib/client/api-client.ts'
import type { JsonObject } from '../../../lib/base/json.ts'

export const foregroundFinalizer = 'foregroundDeletion'
export const orphanFinalizer = 'orphan'

export interface GraphNode {
  readonly uid: string
  readonly resource: ResourceKey
  readonly namespace: string
  readonly name: string
  owners: readonly OwnerReference[]
  /** Uids of objects that name this one as their owner. */
  readonly dependents: Set<string>
  /** Being deleted in the foreground: waits for its dependents. */
  deletingDependents: boolean
  beingDeleted: boolean
}

/** What an event leads to: objects to examine, and objects whose dependents are to be let go. */
export interface GraphWork { readonly examine: readonly string[], readonly orphan: readonly string[] }

export class OwnerGraph {
  readonly #nodes = new Map<string, GraphNode>()
  /** Dependents of owners that no event has shown yet. */
  readonly #unseen = new Map<string, Set<string>>()

  get(uid: string): GraphNode | undefined { return this.#nodes.get(uid) }
  get size(): number { return this.#nodes.size }

  dependentsOf(uid: string): readonly GraphNode[] {
    return [...this.#nodes.get(uid)?.dependents ?? []].flatMap((dependent) => { const node = this.#nodes.get(dependent); return node ? [node] : [] })
  }

  /** An object was added or changed. */
  upsert(resource: ResourceKey, object: ApiObject): GraphWork {
    const { uid, name, namespace = '', ownerReferences: owners = [], finalizers = [], deletionTimestamp } = object.metadata
    const examine: string[] = []
    const orphan: string[] = []
    let node = this.#nodes.get(uid)
    const leaving = deletionTimestamp !== undefined
    const foreground = leaving && finalizers.includes(foregroundFinalizer)
    const orphaning = leaving && finalizers.includes(orphanFinalizer)
    if (!node) {
      node = { uid, resource, namespace, name, owners: [], dependents: this.#unseen.get(uid) ?? new Set(), deletingDependents: false, beingDeleted: false }
      this.#unseen.delete(uid)
      this.#nodes.set(uid, node)
    }
    const changed = this.#setOwners(node, owners)
    // A reference that went, or that blocks no longer, may be the last thing an owner's foreground deletion waited for.
    examine.push(...changed.released)
    if (changed.added.some((owner) => !this.#nodes.has(owner))) examine.push(uid)
    if (changed.released.length > 0 && owners.length > 0) examine.push(uid)
    node.beingDeleted = leaving
    if (foreground && !node.deletingDependents) {
      node.deletingDependents = true
      examine.push(...node.dependents, uid)
    }
    if (orphaning) orphan.push(uid)
    // Adding an owner that is itself being deleted in the foreground.
    if (changed.added.some((owner) => this.#nodes.get(owner)?.deletingDependents)) examine.push(uid)
    return { examine, orphan }
  }

  /** An object is gone: its dependents lost an owner, and its owners may have waited for it. */
  remove(uid: string): GraphWork {
    const node = this.#nodes.get(uid)
    if (!node) return { examine: [...this.#unseen.get(uid) ?? []], orphan: [] }
    const waiting = node.owners.map((owner) => owner.uid).filter((owner) => this.#nodes.get(owner)?.deletingDependents)
    this.#setOwners(node, [])
    this.#nodes.delete(uid)
    if (node.dependents.size > 0) this.#unseen.set(uid, node.dependents)
    return { examine: [...node.dependents, ...waiting], orphan: [] }
  }

  #setOwners(node: GraphNode, owners: readonly OwnerReference[]): { readonly added: readonly string[], readonly released: readonly string[] } {
    const before = new Map(node.owners.map((owner) => [owner.uid, owner]))
    const after = new Map(owners.map((owner) => [owner.uid, owner]))
    const added: string[] = []
    const released: string[] = []
    for (const [uid, owner] of before) {
      const now = after.get(uid)
      if (!now) this.#unlink(uid, node.uid)
      if (!now || (owner.blockOwnerDeletion === true && now.blockOwnerDeletion !== true)) released.push(uid)
    }
    for (const uid of after.keys()) {
      if (before.has(uid)) continue
      added.push(uid)
      const owner = this.#nodes.get(uid)
      if (owner) owner.dependents.add(node.uid)
      else this.#unseen.set(uid, (this.#unseen.get(uid) ?? new Set()).add(node.uid))
    }
    node.owners = owners
    return { added, released }
  }

  #unlink(owner: string, dependent: string): void {
    this.#nodes.get(owner)?.dependents.delete(dependent)
    const unseen = this.#unseen.get(owner)
    unseen?.delete(dependent)
    if (unseen?.size === 0) this.#unseen.delete(owner)
  }
}

/** What the API server says of one owner: it is there; it is there, waiting for its dependents to go; it is gone; it cannot be told. */
export type OwnerState = 'solid' | 'waiting' | 'absent' | 'unknown'

export interface ExaminedObject {
  /** As the API server just gave it. */
  readonly live: ApiObject
  /** For each owner reference, in order. */
  readonly owners: readonly OwnerState[]
  readonly dependents: readonly GraphNode[]
}

export type GcDecision =
  | { readonly kind: 'keep' }
  /** Asks again later: an owner cannot be told. */
  | { readonly kind: 'unsure' }
  | { readonly kind: 'dropOwners', readonly patch: JsonObject }
  | { readonly kind: 'delete', readonly options: DeleteOptions, /** Frees the object from circles of owners first. */ readonly unblock?: JsonObject }

/** Decides about an object from live facts. */
export function decideOnObject({ live, owners, dependents }: ExaminedObject): GcDecision {
  const references = live.metadata.ownerReferences ?? []
  if (references.length === 0 || live.metadata.deletionTimestamp !== undefined) return { kind: 'keep' }
  const inState = (state: OwnerState): readonly OwnerReference[] => references.filter((_, i) => owners[i] === state)
  if (owners.length !== references.length || inState('unknown').length > 0) return { kind: 'unsure' }
  const [solid, waiting, absent] = [inState('solid'), inState('waiting'), inState('absent')]
  if (solid.length > 0) {
    const lost = [...absent, ...waiting]
    return lost.length === 0 ? { kind: 'keep' } : { kind: 'dropOwners', patch: dropOwnersPatch(live, lost.map((owner) => owner.uid)) }
  }
  const { uid, resourceVersion, finalizers = [] } = live.metadata
  const preconditions = { uid, resourceVersion }
  if (waiting.length > 0 && dependents.length > 0) {
    // Foreground all the way down. Dependents that wait as well make a circle: then nobody's deletion may be blocked by this one.
    const circle = dependents.some((dependent) => dependent.deletingDependents)
    return { kind: 'delete', options: { preconditions: circle ? { uid } : preconditions, propagationPolicy: 'Foreground' }, ...(circle ? { unblock: unblockPatch(live) } : {}) }
  }
  const propagationPolicy = finalizers.includes(orphanFinalizer) ? 'Orphan' : finalizers.includes(foregroundFinalizer) ? 'Foreground' : 'Background'
  return { kind: 'delete', options: { preconditions, propagationPolicy } }
}

/** A merge patch, guarded by the version it was made from, that leaves out the owners named. */
export function dropOwnersPatch(object: ApiObject, uids: readonly string[]): JsonObject {
  const { uid, resourceVersion, ownerReferences = [] } = object.metadata
  return { metadata: { uid, resourceVersion, ownerReferences: ownerReferences.filter((reference) => !uids.includes(reference.uid)).map((reference) => ({ ...reference })) } }
}

function unblockPatch(object: ApiObject): JsonObject {
  return { metadata: { uid: object.metadata.uid, ownerReferences: (object.metadata.ownerReferences ?? []).map((reference) => ({ ...reference, blockOwnerDeletion: false })) } }
}

export function dropFinalizerPatch(object: ApiObject, finalizer: string): JsonObject {
  const { uid, resourceVersion, finalizers = [] } = object.metadata
  return { metadata: { uid, resourceVersion, finalizers: finalizers.filter((other) => other !== finalizer) } }
}

/** Dependents that keep their owner's foreground deletion waiting. */
export function blockingDependents(owner: GraphNode, dependents: readonly GraphNode[]): readonly GraphNode[] {
  return dependents.filter((dependent) => dependent.owners.some((reference) => reference.uid === owner.uid && reference.blockOwnerDeletion === true))
}
