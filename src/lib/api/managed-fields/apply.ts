// Server-side apply and the tracking of ordinary writes: who owns which field. Pure: objects and managers in, object with its new managedFields out.
// Rules it keeps, the original's: an applier owns what its configuration says; what it no longer says and nobody else owns is removed; changing what others
// own is a conflict unless forced; ordinary writes take over what they change. Upstream: apimachinery/pkg/util/managedfields, structured-merge-diff merge
import { isJsonObject, type JsonObject, type JsonValue } from '../../base/json.ts'
import { deepEqual } from '../../apimachinery/equality.ts'
import { joinApiVersion, splitApiVersion } from '../../apimachinery/owner-reference.ts'
import { newApplyConflict, newBadRequest, type Status } from '../../apimachinery/status.ts'
import { zeroMessage } from '../message-plan.ts'
import { emptyFieldSet, fieldSetOf, formatPath, type FieldSet, type PathElement } from './field-set.ts'
import { capUpdateManagers, decodeManagers, describeManager, encodeManagers, managerKey, timeOf, type ManagerEntry, type Managers } from './managers.ts'
import { objectType, type MergeType } from './merge-type.ts'
import { finishSteps, Pieces, type Steps } from './pieces.ts'
import { checkTyped, compareTyped, mergeTyped, removeItems, startComparison, toFieldSet, TypedValueError, withNamedParents, type Comparison } from './typed-walks.ts'

export interface FieldManagerOptions {
  /** The object's type in the schema. */
  readonly typeId: string
  /** `apps/v1`: the version of the request. */
  readonly apiVersion: string
  /** Name of whoever writes: the fieldManager parameter, else the User-Agent up to its first slash. */
  readonly manager: string
  /** `status`, `scale`, …; empty for the object itself. */
  readonly subresource?: string
  /** Paths that this endpoint resets, so that nobody owns them through it. */
  readonly resetFields?: FieldSet
  readonly nowMs: number
}

export interface ApplyOptions extends FieldManagerOptions {
  /** The stored object; undefined when the apply creates it. */
  readonly live: JsonObject | undefined
  /** The configuration as it was sent. */
  readonly applied: JsonObject
  readonly force: boolean
}

export type ApplyResult =
  /** The object, to be normalised (decodeJson), defaulted and validated; its managedFields are new. `changed` is false when only those may differ. */
  | { readonly ok: true; readonly object: JsonObject; readonly changed: boolean }
  /** Conflict (409) or BadRequest (400). */
  | { readonly ok: false; readonly status: Status }

const lastAppliedAnnotation = 'kubectl.kubernetes.io/last-applied-configuration'
const beforeFirstApply = 'before-first-apply'
const maxAnnotationsSize = 256 * 1024

/** What nobody owns: the object's identity and what the server keeps. */
const strippedFields = fieldSetOf([
  ['apiVersion'], ['kind'], ['metadata'],
  ...['name', 'namespace', 'creationTimestamp', 'selfLink', 'uid', 'clusterName', 'generation', 'managedFields', 'resourceVersion'].map((name) => ['metadata', name]),
])

const metadataOf = (object: JsonObject): JsonObject => (isJsonObject(object['metadata']) ? object['metadata'] : {})

function withoutManagedFields(object: JsonObject): JsonObject {
  const metadata = metadataOf(object)
  if (!Object.hasOwn(metadata, 'managedFields')) return object
  const { managedFields: _managedFields, ...rest } = metadata
  return { ...object, metadata: rest }
}

function withManagers(object: JsonObject, managers: Managers, pieces?: Pieces): JsonObject {
  const { managedFields: _managedFields, ...rest } = metadataOf(object)
  const entries = encodeManagers(managers, pieces)
  return { ...object, metadata: entries.length === 0 ? rest : { ...rest, managedFields: entries } }
}

/** A set that was reset is owned by nobody; the identity fields neither. */
function ownable(set: FieldSet, resetFields: FieldSet | undefined): FieldSet { return (resetFields === undefined ? set : set.recursiveDifference(resetFields)).difference(strippedFields) }

function filterComparison(comparison: Comparison, resetFields: FieldSet | undefined): Comparison {
  if (resetFields === undefined) return comparison
  return { added: comparison.added.recursiveDifference(resetFields), modified: comparison.modified.recursiveDifference(resetFields), removed: comparison.removed.recursiveDifference(resetFields) }
}

interface Conflict { readonly entry: ManagerEntry; readonly path: readonly PathElement[] }

/** What a change does to everybody but `self`: without `force` the conflicts, else the managers that are left. */
function changeOwners(comparison: Comparison, managers: Managers, self: string, force: boolean): { readonly conflicts: readonly Conflict[]; readonly managers: Managers } {
  const touched = comparison.modified.union(comparison.added)
  const out = new Map<string, ManagerEntry>()
  const conflicts: Conflict[] = []
  for (const [key, entry] of managers) {
    if (key === self) { out.set(key, entry); continue }
    const clash = entry.set.intersection(touched)
    if (!force) for (const path of clash.paths()) conflicts.push({ entry, path })
    const set = entry.set.difference(clash).difference(comparison.removed)
    if (!set.isEmpty) out.set(key, { ...entry, set })
  }
  return { conflicts, managers: out }
}

/** Applies a configuration. */
export function applyServerSide(options: ApplyOptions): ApplyResult {
  const { applied, apiVersion } = options
  const type = objectType(options.typeId)
  if (applied['apiVersion'] !== apiVersion) return { ok: false, status: newBadRequest(`Incorrect version specified in apply patch. Specified patch version: ${formatGroupVersion(applied['apiVersion'])}, expected: ${formatGroupVersion(apiVersion)}`) }
  const sentManagers = metadataOf(applied)['managedFields']
  if (sentManagers !== undefined && sentManagers !== null) return { ok: false, status: newBadRequest('metadata.managedFields must be nil') }
  try {
    checkTyped(applied, type)
  } catch (error) {
    if (!(error instanceof TypedValueError)) throw error
    const metadata = metadataOf(applied)
    return { ok: false, status: newBadRequest(`failed to create typed patch object (${String(metadata['namespace'] ?? '')}/${String(metadata['name'] ?? '')}; ${apiVersion.includes('/') ? '' : '/'}${apiVersion}, Kind=${String(applied['kind'] ?? '')}): ${error.message}`) }
  }
  const live = withoutManagedFields(options.live ?? { ...zeroMessage(options.typeId), apiVersion, kind: applied['kind'] ?? '' } as JsonObject) // cast: the zero object is plain JSON
  let managers: Managers = decodeManagers(options.live === undefined ? undefined : metadataOf(options.live)['managedFields']) ?? new Map()
  // An object that nobody has managed: all of it belongs to whoever was there before.
  if (managers.size === 0 && options.live !== undefined) managers = trackFromNothing(live, options, beforeFirstApply)
  let attempt = applyOnce(options, type, live, managers, options.force)
  if (!attempt.ok && options.manager === 'kubectl' && attempt.conflicts.length > 0) {
    // kubectl moves from client-side to server-side apply: what it applied itself before is no conflict.
    const allowed = lastAppliedFields(live, apiVersion, type)
    const left = allowed === undefined ? attempt.conflicts : attempt.conflicts.filter((conflict) => !allowed.has(conflict.path))
    attempt = left.length === 0 ? applyOnce(options, type, live, managers, true) : { ok: false, conflicts: left }
  }
  if (!attempt.ok) return { ok: false, status: conflictStatus(attempt.conflicts) }
  const object = options.manager === 'kubectl' ? refreshLastApplied(live, attempt.object, applied) : attempt.object
  return { ok: true, object: withManagers(object, attempt.managers), changed: attempt.changed || object !== attempt.object }
}

function formatGroupVersion(apiVersion: JsonValue | undefined): string {
  const { group, version } = splitApiVersion(typeof apiVersion === 'string' ? apiVersion : '')
  return joinApiVersion(group, version)
}

type Attempt = { readonly ok: true; readonly object: JsonObject; readonly managers: Managers; readonly changed: boolean } | { readonly ok: false; readonly conflicts: readonly Conflict[] }

function applyOnce(options: ApplyOptions, type: MergeType, live: JsonObject, before: Managers, force: boolean): Attempt {
  const self: ManagerEntry = { manager: options.manager, operation: 'Apply', apiVersion: options.apiVersion, subresource: options.subresource ?? '', set: emptyFieldSet, time: undefined }
  const key = managerKey(self)
  const last = before.get(key)
  const appliedSet = toFieldSet(options.applied, type)
  const set = options.resetFields === undefined ? appliedSet : appliedSet.recursiveDifference(options.resetFields)
  const managers = new Map(before).set(key, { ...self, set, time: last?.time })
  const merged = asObject(mergeTyped(live, options.applied, type))
  const object = last === undefined || last.set.isEmpty ? merged : prune(merged, managers, last.set, type)
  const changed = changeOwners(filterComparison(compareTyped(live, object, type), options.resetFields), managers, key, force)
  if (changed.conflicts.length > 0) return { ok: false, conflicts: changed.conflicts }
  const isChanged = !deepEqual(live, object) || options.live === undefined
  const owners = new Map(changed.managers)
  const own = set.difference(strippedFields)
  if (own.isEmpty) owners.delete(key)
  else owners.set(key, { ...self, set: own, time: isChanged ? timeOf(options.nowMs) : last?.time })
  return { ok: true, object, managers: owners, changed: isChanged }
}

const asObject = (value: JsonValue | undefined): JsonObject => (isJsonObject(value) ? value : {})

/** Takes away what the manager applied before and applies no more, unless somebody owns it. */
function prune(merged: JsonObject, managers: Managers, last: FieldSet, type: MergeType): JsonObject {
  const mergedSet = withNamedParents(toFieldSet(merged, type), type)
  const lastSet = withNamedParents(last, type)
  const bare = asObject(removeItems(merged, lastSet, type))
  let owned = emptyFieldSet
  for (const entry of managers.values()) owned = owned.union(entry.set)
  const kept = withNamedParents(toFieldSet(bare, type), type).union(withNamedParents(owned, type))
  const withOwned = asObject(removeItems(merged, mergedSet.difference(kept), type))
  // What fell with its parent though this manager never owned it comes back.
  const prunedSet = withNamedParents(toFieldSet(withOwned, type), type)
  return asObject(removeItems(merged, mergedSet.difference(prunedSet).intersection(lastSet), type))
}

function conflictStatus(conflicts: readonly Conflict[]): Status {
  const causes = conflicts.map(({ entry, path }) => ({ reason: 'FieldManagerConflict', message: `conflict with ${describeManager(entry)}`, field: formatPath(path) }))
  const [first] = conflicts
  if (conflicts.length === 1 && first !== undefined) return newApplyConflict(causes, `Apply failed with 1 conflict: conflict with ${describeManager(first.entry)}: ${formatPath(first.path)}`)
  const byManager = Map.groupBy(conflicts, ({ entry }) => describeManager(entry))
  const lines = [...byManager].sort(([a], [b]) => (a < b ? -1 : 1)).flatMap(([manager, list]) => [`conflicts with ${manager}:`, ...list.map(({ path }) => `- ${formatPath(path)}`)])
  return newApplyConflict(causes, `Apply failed with ${conflicts.length} conflicts: ${lines.join('\n')}`)
}

/** Fields of the last client-side apply that are still as it left them. */
function lastAppliedFields(live: JsonObject, apiVersion: string, type: MergeType): FieldSet | undefined {
  const annotations = metadataOf(live)['annotations']
  const text = isJsonObject(annotations) ? annotations[lastAppliedAnnotation] : undefined
  if (typeof text !== 'string' || text === '') return undefined
  let last: JsonValue
  try { last = JSON.parse(text) as JsonValue } catch { return undefined } // cast: JSON.parse gives JSON
  if (!isJsonObject(last) || last['apiVersion'] !== apiVersion) return undefined
  try {
    const { added, modified, removed } = compareTyped(last, live, type)
    return toFieldSet(last, type).difference(modified).difference(added).difference(removed)
  } catch (error) {
    if (error instanceof TypedValueError) return undefined
    throw error
  }
}

/** Keeps the annotation of client-side apply in step, where there is one, so that the way back stays open. */
function refreshLastApplied(live: JsonObject, object: JsonObject, applied: JsonObject): JsonObject {
  const annotations = metadataOf(live)['annotations']
  if (!isJsonObject(annotations) || typeof annotations[lastAppliedAnnotation] !== 'string') return object
  const metadata = metadataOf(applied)
  const { [lastAppliedAnnotation]: _last, ...ownAnnotations } = isJsonObject(metadata['annotations']) ? metadata['annotations'] : {}
  const text = `${JSON.stringify({ ...applied, metadata: { ...metadata, annotations: ownAnnotations } })}\n`
  const current = metadataOf(object)['annotations']
  const next: JsonObject = { ...(isJsonObject(current) ? current : {}), [lastAppliedAnnotation]: text }
  if (deepEqual(current, next)) return object
  const size = Object.entries(next).reduce((sum, [key, value]) => sum + key.length + String(value).length, 0)
  if (size > maxAnnotationsSize) { const { [lastAppliedAnnotation]: _dropped, ...rest } = next; return { ...object, metadata: { ...metadataOf(object), annotations: rest } } }
  return { ...object, metadata: { ...metadataOf(object), annotations: next } }
}

/** Everything in the object belongs to one Update manager, without a time. */
function trackFromNothing(object: JsonObject, options: FieldManagerOptions, manager: string): Managers {
  const type = objectType(options.typeId)
  const zero = { ...zeroMessage(options.typeId) } as JsonObject // cast: the zero object is plain JSON
  const { added, modified } = compareTyped(zero, object, type)
  const set = ownable(added.union(modified), undefined)
  if (set.isEmpty) return new Map()
  const entry: ManagerEntry = { manager, operation: 'Update', apiVersion: options.apiVersion, subresource: '', set, time: timeOf(options.nowMs) }
  return new Map([[managerKey(entry), entry]])
}

export interface TrackOptions extends FieldManagerOptions {
  /** The stored object; undefined on create. */
  readonly old: JsonObject | undefined
  /** The object as it is to be stored. */
  readonly object: JsonObject
}

/**
 * The object of a create, update or patch with its managedFields brought up to date. A client may reset them (`[]` or `[{}]`) or send its own;
 * an existing object that nobody tracks stays untracked.
 */
export function trackUpdate(options: TrackOptions): JsonObject { return finishSteps(trackUpdateSteps(options)) }

/** The same for who must not be held up by a large object: yields after each piece of the work. */
export function* trackUpdateSteps(options: TrackOptions): Steps<JsonObject> {
  const pieces = new Pieces()
  const { old, object } = options
  const type = objectType(options.typeId)
  const sent = metadataOf(object)['managedFields']
  const stored = old === undefined ? undefined : metadataOf(old)['managedFields']
  const before = startingManagers(sent, stored, (options.subresource ?? '') !== '')
  const clean = withoutManagedFields(object)
  if (before.size === 0 && old !== undefined) return clean
  yield
  const base = old === undefined ? { ...zeroMessage(options.typeId) } as JsonObject : withoutManagedFields(old) // cast: the zero object is plain JSON
  let comparison: Comparison
  try {
    const compared = startComparison(base, clean, type, pieces)
    while (pieces.next()) yield
    comparison = filterComparison(compared(), options.resetFields)
  } catch (error) {
    // An object that doesn't fit its type keeps the managers that it had.
    if (error instanceof TypedValueError) return withManagers(clean, before)
    throw error
  }
  const owners = new Map(changeOwners(comparison, before, '', true).managers)
  const own = ownable(comparison.modified.union(comparison.added), options.resetFields)
  if (!own.isEmpty) {
    const self: ManagerEntry = { manager: options.manager === '' ? 'unknown' : options.manager, operation: 'Update', apiVersion: options.apiVersion, subresource: options.subresource ?? '', set: own, time: timeOf(options.nowMs) }
    const key = managerKey(self)
    owners.set(key, { ...self, set: own.union(owners.get(key)?.set ?? emptyFieldSet) })
  }
  yield
  const tracked = withManagers(clean, capUpdateManagers(owners), pieces)
  while (pieces.next()) yield
  return tracked
}

function startingManagers(sent: JsonValue | undefined, stored: JsonValue | undefined, isSubresource: boolean): Managers {
  const known = (): Managers => decodeManagers(stored) ?? new Map()
  if (isSubresource) return known()
  if (Array.isArray(sent)) {
    const [first] = sent as readonly JsonValue[] // cast: checked above
    const isReset = sent.length === 0 || (sent.length === 1 && isJsonObject(first) && Object.keys(first).length === 0)
    if (isReset) return new Map()
  }
  const own = decodeManagers(sent)
  return own === undefined || own.size === 0 ? known() : own
}

/** Paths as FieldSets, for an endpoint's `resetFields`: `resetFieldsOf(['status'])`, `resetFieldsOf(['spec'], ['metadata', 'labels'])`. */
export function resetFieldsOf(...paths: readonly (readonly string[])[]): FieldSet { return fieldSetOf(paths) }
