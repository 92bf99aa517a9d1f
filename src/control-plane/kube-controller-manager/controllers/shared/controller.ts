// What a controller is: a declaration of what it watches, and two pure functions. `observe` gathers what matters for one key from the local copies;
// `sync` looks at that, the time included, and returns a Plan. The runner (../../runner) does the rest: informers, queue, execution, retry, and waiting
// until the copies show what was written, so that no plan is ever made from a view older than the controller's own writes.
import type { Draft, JsonObject, JsonValue } from '../../../../lib/base/json.ts'
import type { ObjectReference } from '../../../../lib/api/generated/types/core-v1.ts'
import type { ApiObject, DeleteOptions, PatchType, ResourceKey } from '../../../../lib/client/api-client.ts'
import type { InformerOptions } from '../../../../lib/client/informer-contract.ts'
import { apiVersionOf } from '../../../../lib/client/object-references.ts'

/** Reads of the local copies. Only resources that the controller watches may be read. */
export interface View {
  get<T extends ApiObject>(key: ResourceKey<T>, namespace: string, name: string): T | undefined
  list<T extends ApiObject>(key: ResourceKey<T>, namespace?: string): readonly T[]
  byIndex<T extends ApiObject>(key: ResourceKey<T>, index: string, value: string): readonly T[]
}

export interface Watch<T extends ApiObject = ApiObject> {
  readonly resource: ResourceKey<T>
  readonly options?: InformerOptions
  readonly indexes?: { readonly [name: string]: (object: T) => readonly string[] }
  /** Keys to sync when this object changes; for an update asked of the old and of the new object. Without it the resource is only read. */
  keysOf?(object: T, view: View): readonly string[]
}

/** Declares a watch. */
export function watch<T extends ApiObject>(declaration: Watch<T>): Watch {
  return declaration as unknown as Watch // cast: the runner passes only objects of this resource
}

export interface Context<Memory> {
  /** Wall time, milliseconds since the epoch. */
  readonly now: number
  /** What the last plan for this key told to remember. */
  readonly memory: Memory | undefined
}

export interface Controller<Observed = unknown, Memory = unknown> {
  /** Canonical name: `replicaset-controller`. */
  readonly name: string
  /** Name of the event source; the canonical name when absent. */
  readonly component?: string
  readonly watches: readonly Watch[]
  /** Keys to sync at the start, for controllers driven by time. */
  readonly initialKeys?: readonly string[]
  /** Keys worked on at the same time. */
  readonly concurrency?: number
  /** Undefined: nothing to do for this key (its object is gone). */
  observe(key: string, view: View, context: Context<Memory>): Observed | undefined
  sync(observed: Observed): Plan<Memory>
}

export interface Plan<Memory = unknown> {
  /** Done in order; the first that fails ends them. */
  readonly steps?: readonly Step[]
  /** Recorded before the steps. */
  readonly events?: readonly PlannedEvent[]
  /** Sync the key again after this time, if nothing happens before. */
  readonly requeueAfterMs?: number
  readonly memory?: Memory
  /** What to do after the steps, also when one of them failed: status that tells of the failure. */
  afterwards?(outcome: Outcome): Plan<Memory>
}

export interface Step {
  readonly actions: readonly Action[]
  /** `slow-start`: one, then two, four, … at a time, stopping at the first failure; `together`: all at once; default: one after the other. */
  readonly mode?: 'slow-start' | 'together'
}

export interface Outcome {
  /** Actions done. */
  readonly succeeded: number
  /** The first failure. `reason` is the API's (AlreadyExists, Forbidden, …), empty when there was no answer. */
  readonly failure?: Failure
}

export interface Failure {
  readonly action: Action
  readonly reason: string
  readonly message: string
  readonly causes: readonly string[]
}

export interface PlannedEvent {
  readonly about: ObjectReference
  readonly type: 'Normal' | 'Warning'
  readonly reason: string
  readonly message: string
}

interface ActionExtras {
  /** Refusals that count as success: NotFound for a delete, say. */
  readonly tolerates?: readonly string[]
  succeeded?(result: ApiObject | undefined): PlannedEvent | undefined
  failed?(failure: Failure): PlannedEvent | undefined
}

export type Action = ActionExtras & { readonly resource: ResourceKey, readonly namespace: string, readonly name: string } & (
  | { readonly kind: 'create', readonly object: Draft<ApiObject>, readonly subresource?: string }
  | { readonly kind: 'update', readonly object: ApiObject, readonly subresource?: string }
  | { readonly kind: 'patch', readonly patchType: PatchType, readonly patch: JsonValue, readonly subresource?: string }
  | { readonly kind: 'delete', readonly options: DeleteOptions }
  /** Reads the live object and fails unless it still has this uid and is not being deleted: before adopting on its behalf. */
  | { readonly kind: 'verify', readonly uid: string }
  /** Asks the API server itself, not the copy, and fails when the object is there. */
  | { readonly kind: 'verify-absent' }
  | { readonly kind: 'post', readonly subresource: string, readonly body: JsonObject }
)

export function create<T extends ApiObject>(resource: ResourceKey<T>, namespace: string, object: Draft<T>, extras: ActionExtras = {}): Action {
  const name = object.metadata?.name ?? object.metadata?.generateName ?? ''
  return { ...extras, kind: 'create', resource, namespace, name, object: object as Draft<ApiObject> } // cast: T is an ApiObject
}

export function update<T extends ApiObject>(resource: ResourceKey<T>, object: T, extras: ActionExtras = {}): Action {
  return { ...extras, kind: 'update', resource, namespace: object.metadata.namespace ?? '', name: object.metadata.name, object }
}

export function updateStatus<T extends ApiObject>(resource: ResourceKey<T>, object: T, extras: ActionExtras = {}): Action {
  return { ...extras, kind: 'update', resource, namespace: object.metadata.namespace ?? '', name: object.metadata.name, object, subresource: 'status' }
}

export function patch<T extends ApiObject>(resource: ResourceKey<T>, object: T, patchType: PatchType, body: JsonValue, extras: ActionExtras & { readonly subresource?: string } = {}): Action {
  return { ...extras, kind: 'patch', resource, namespace: object.metadata.namespace ?? '', name: object.metadata.name, patchType, patch: body }
}

/** Deletes this very object, by its uid; one that is gone already is fine. */
export function remove<T extends ApiObject>(resource: ResourceKey<T>, object: T, options: DeleteOptions = {}, extras: ActionExtras = {}): Action {
  return {
    tolerates: ['NotFound'], ...extras, kind: 'delete', resource, namespace: object.metadata.namespace ?? '', name: object.metadata.name,
    options: { preconditions: { uid: object.metadata.uid }, ...options },
  }
}

export function verify<T extends ApiObject>(resource: ResourceKey<T>, object: T): Action {
  return { kind: 'verify', resource, namespace: object.metadata.namespace ?? '', name: object.metadata.name, uid: object.metadata.uid }
}

export function verifyAbsent<T extends ApiObject>(resource: ResourceKey<T>, namespace: string, name: string): Action {
  return { kind: 'verify-absent', resource, namespace, name }
}

/** One step of actions in order; none when there are none. */
export function inOrder(...actions: readonly Action[]): readonly Step[] { return actions.length === 0 ? [] : [{ actions }] }

/** A reference to `object` for events. */
export function aboutObject<T extends ApiObject>(resource: ResourceKey<T>, object: T): ObjectReference {
  const { namespace, name, uid, resourceVersion } = object.metadata
  return { kind: resource.kind, apiVersion: apiVersionOf(resource), name, uid, resourceVersion, ...(namespace ? { namespace } : {}) }
}
