// What strategic merge patch asks of the schema: how a field is merged, by which key, and which type lies below it.
import { messagePlan, type FieldPlan } from './message-plan.ts'
import type { JsonObject, JsonValue } from '../base/json.ts'
import { isJsonObject } from '../base/json.ts'

export interface PatchField {
  /** The type of the value, or of a list's or map's elements; undefined where the schema says nothing (free-form content). */
  readonly type: string | undefined
  readonly strategy: 'merge' | 'replace' | ''
  /** Keys that a patch doesn't name go away: unions. */
  readonly retainKeys: boolean
  /** For lists of objects that merge. */
  readonly mergeKey: string
}

const unknownField: PatchField = { type: undefined, strategy: '', retainKeys: false, mergeKey: '' }

/** How a field of a type is patched. */
export function patchField(typeId: string | undefined, name: string): PatchField {
  if (typeId === undefined) return unknownField
  const plan = messagePlan(typeId)
  const index = plan.indexByName.get(name)
  const field: FieldPlan | undefined = index === undefined ? undefined : plan.jsonFields[index]
  if (field === undefined) return unknownField
  const strategies = (field.schema.patchStrategy ?? '').split(',').map((part) => part.trim())
  return {
    type: field.kind === 'message' ? field.type : undefined,
    strategy: strategies.includes('merge') ? 'merge' : strategies.includes('replace') ? 'replace' : '',
    retainKeys: strategies.includes('retainKeys'), mergeKey: field.schema.patchMergeKey ?? '',
  }
}

/** Objects under construction. */
export type Draft = { [key: string]: JsonValue | undefined }

/** Sets a key that may be called anything. */
export function setKey(target: Draft, key: string, value: JsonValue | undefined): void {
  if (key === '__proto__') Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true })
  else target[key] = value
}

export function ownValue(object: JsonObject, key: string): JsonValue | undefined { return Object.hasOwn(object, key) ? object[key] : undefined }

/** Go's kind of a value: patches merge only values of one kind. */
export function kindOfValue(value: JsonValue | undefined): string {
  if (value === null || value === undefined) return 'null'
  if (Array.isArray(value)) return 'list'
  return isJsonObject(value) ? 'map' : typeof value
}

export const directiveMarker = '$patch'
export const retainKeysDirective = '$retainKeys'
export const deleteFromPrimitiveListPrefix = '$deleteFromPrimitiveList'
export const setElementOrderPrefix = '$setElementOrder'
