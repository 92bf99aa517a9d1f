// JSON Patch, RFC 6902: a list of operations, all or nothing. The document given is never changed.
// Rules beyond the RFC, the original's: at most 10,000 operations, a bound on what copies may add up to, indexes may count from the end (-1),
// a `test` for null passes where nothing is. Upstream: evanphx/json-patch, apiserver/pkg/endpoints/handlers/patch.go
import { isJsonObject, type JsonObject, type JsonValue } from '../base/json.ts'
import { deepEqual } from './equality.ts'
import { PatchError } from './patch-error.ts'

export const maxJsonPatchOperations = 10_000
const maxCopiedCharacters = 3 * 1024 * 1024

type MutableJson = { [key: string]: JsonValue | undefined } | JsonValue[]
interface Operation { readonly op: string; readonly path: readonly string[]; readonly pathText: string; readonly from?: readonly string[]; readonly value?: JsonValue }

/** Applies a parsed patch document. @throws PatchError */
export function applyJsonPatch(document: JsonValue, patch: JsonValue): JsonValue {
  if (!Array.isArray(patch)) throw new PatchError('BadRequest', `json: cannot unmarshal ${isJsonObject(patch) ? 'object' : typeof patch} into Go value of type jsonpatch.Patch`)
  if (patch.length > maxJsonPatchOperations) throw new PatchError('RequestEntityTooLarge', `The allowed maximum operations in a JSON patch is ${maxJsonPatchOperations}, got ${patch.length}`)
  const operations = patch.map(readOperation)
  let root = cloneJson(document)
  let copied = 0
  for (const operation of operations) {
    switch (operation.op) {
      case 'add': root = add(root, operation.path, valueOf(operation), 'add', operation.pathText); break
      case 'remove': root = remove(root, operation.path, operation.pathText).root; break
      case 'replace': root = replace(root, operation.path, valueOf(operation), operation.pathText); break
      case 'move': {
        const from = fromOf(operation)
        if (from.length < operation.path.length && from.every((part, i) => part === operation.path[i])) throw new PatchError('Invalid', `error in move for path: '${operation.pathText}': a value can't move into itself`)
        const taken = remove(root, from, operation.pathText)
        root = add(taken.root, operation.path, taken.value, 'move', operation.pathText)
        break
      }
      case 'copy': {
        const value = find(root, fromOf(operation))
        if (value === undefined) throw new PatchError('Invalid', `error in copy for from: '${operation.pathText}': missing value`)
        copied += JSON.stringify(value).length
        if (copied > maxCopiedCharacters) throw new PatchError('Invalid', `Unable to copy, the accumulated size increase of copy is ${copied}, exceeding the limit ${maxCopiedCharacters}`)
        root = add(root, operation.path, cloneJson(value), 'copy', operation.pathText)
        break
      }
      case 'test': {
        const expected = operation.value ?? null
        const found = find(root, operation.path) ?? null
        if (!deepEqual(found, expected)) throw new PatchError('Invalid', `testing value ${operation.pathText} failed: test failed`)
        break
      }
      default: throw new PatchError('Invalid', `Unexpected kind: ${operation.op}`)
    }
  }
  return root
}

function readOperation(item: JsonValue): Operation {
  if (!isJsonObject(item)) throw new PatchError('BadRequest', 'json: cannot unmarshal array element into Go value of type jsonpatch.Operation')
  const { op, path, from } = item
  const value = Object.hasOwn(item, 'value') ? { value: item['value'] ?? null } : {}
  if (typeof path !== 'string') throw new PatchError('Invalid', "unable to decode path: missing 'path'")
  return { op: typeof op === 'string' ? op : 'unknown', path: readPointer(path), pathText: path, ...(typeof from === 'string' ? { from: readPointer(from) } : {}), ...value }
}

/** `/a/b~1c` → a, b/c. The empty pointer is the whole document. */
function readPointer(text: string): readonly string[] {
  if (text === '') return []
  if (!text.startsWith('/')) throw new PatchError('Invalid', `error in path: '${text}': a pointer begins with /`)
  const parts = text.slice(1).split('/').map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
  if (parts.includes('__proto__')) throw new PatchError('Invalid', `error in path: '${text}': __proto__ can't be patched`)
  return parts
}

function valueOf(operation: Operation): JsonValue {
  if (!Object.hasOwn(operation, 'value')) throw new PatchError('Invalid', `${operation.op} operation does not apply: the operation has no value`)
  return cloneJson(operation.value ?? null)
}

function fromOf(operation: Operation): readonly string[] {
  if (operation.from === undefined) throw new PatchError('Invalid', "unable to decode from: missing 'from'")
  return operation.from
}

/** A copy that shares nothing. */
export function cloneJson(value: JsonValue): JsonValue {
  if (Array.isArray(value)) return value.map(cloneJson)
  if (!isJsonObject(value)) return value
  const out: { [key: string]: JsonValue | undefined } = {}
  for (const key in value) {
    const item = value[key]
    if (item === undefined) continue
    if (key === '__proto__') Object.defineProperty(out, key, { value: cloneJson(item), enumerable: true, configurable: true, writable: true })
    else out[key] = cloneJson(item)
  }
  return out
}

/** The index that a part of a path names, counted from the end when negative; undefined when it names none. */
function indexOf(part: string, length: number): number | undefined {
  if (!/^-?(0|[1-9]\d*)$/.test(part)) return undefined
  const index = Number(part)
  return index < 0 ? (index + length >= 0 ? index + length : undefined) : index
}

function child(node: JsonValue | undefined, part: string): JsonValue | undefined {
  if (Array.isArray(node)) { const index = indexOf(part, node.length); return index === undefined ? undefined : node[index] }
  return isJsonObject(node) && Object.hasOwn(node, part) ? node[part] : undefined
}

function find(root: JsonValue, path: readonly string[]): JsonValue | undefined {
  let node: JsonValue | undefined = root
  for (const part of path) node = child(node, part)
  return node
}

/** What holds the last part of the path; undefined when there is no such container. */
function container(root: JsonValue, path: readonly string[]): MutableJson | undefined {
  const node = find(root, path.slice(0, -1))
  return typeof node === 'object' && node !== null ? (node as MutableJson) : undefined // cast: the document is our own clone
}

function add(root: JsonValue, path: readonly string[], value: JsonValue, op: string, pathText: string): JsonValue {
  const last = path.at(-1)
  if (last === undefined) return value
  const parent = container(root, path)
  if (parent === undefined) throw new PatchError('Invalid', `${op} operation does not apply: doc is missing path: ${JSON.stringify(pathText)}: missing value`)
  if (!Array.isArray(parent)) { parent[last] = value; return root }
  const index = last === '-' ? parent.length : indexOf(last, parent.length + 1)
  if (index === undefined || index > parent.length) throw new PatchError('Invalid', `error in ${op} for path: '${pathText}': Unable to access invalid index: ${last}: invalid index referenced`)
  parent.splice(index, 0, value)
  return root
}

function remove(root: JsonValue, path: readonly string[], pathText: string): { readonly root: JsonValue; readonly value: JsonValue } {
  const last = path.at(-1)
  if (last === undefined) return { root: null, value: root }
  const parent = container(root, path)
  const value = parent === undefined ? undefined : child(parent as JsonValue, last) // cast: containers are JSON
  if (parent === undefined || value === undefined) throw new PatchError('Invalid', `error in remove for path: '${pathText}': Unable to remove nonexistent key: ${last}: missing value`)
  if (Array.isArray(parent)) parent.splice(indexOf(last, parent.length) ?? 0, 1)
  else delete parent[last]
  return { root, value }
}

function replace(root: JsonValue, path: readonly string[], value: JsonValue, pathText: string): JsonValue {
  const last = path.at(-1)
  if (last === undefined) return value
  const parent = container(root, path)
  if (parent === undefined) throw new PatchError('Invalid', `replace operation does not apply: doc is missing path: ${pathText}: missing value`)
  if (child(parent as JsonValue, last) === undefined) throw new PatchError('Invalid', `replace operation does not apply: doc is missing key: ${pathText}: missing value`) // cast: containers are JSON
  if (Array.isArray(parent)) parent[indexOf(last, parent.length) ?? 0] = value
  else parent[last] = value
  return root
}

/** Objects whose patched form is no object are refused. @throws PatchError */
export function applyJsonPatchToObject(document: JsonObject, patch: JsonValue): JsonObject {
  const patched = applyJsonPatch(document, patch)
  if (!isJsonObject(patched)) throw new PatchError('Invalid', 'the patched document is no object')
  return patched
}
