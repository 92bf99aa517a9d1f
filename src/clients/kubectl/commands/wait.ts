// kubectl wait: until objects exist, are gone, have a condition, or a field has a value. Upstream: kubectl/pkg/cmd/wait
import type { JsonObject, JsonValue } from '../../../lib/base/json.ts'
import { isJsonObject } from '../../../lib/base/json.ts'
import { sleep } from '../../../lib/base/clock.ts'
import { JsonPathError, parseJsonPath, relaxJsonPath } from '../../../lib/apimachinery/jsonpath.ts'
import { hasReason } from '../../../lib/client/api-error.ts'
import { KubectlError, defineCommand } from '../command.ts'
import type { KubectlContext } from '../command.ts'
import { createObjectPrinter, nameOf, parseOutputFormat } from '../printers/output-format.ts'
import { collectionPath, objectPath } from '../resources/object-path.ts'
import { selectObjects, selectionFlags } from '../resources/selected-objects.ts'
import type { SelectedObject } from '../resources/selected-objects.ts'

const timedOut = 'timed out waiting for the condition'
const week = 7 * 24 * 3_600_000

type Condition = { readonly type: 'delete' } | { readonly type: 'create' } | { readonly type: 'check'; check(object: JsonObject): boolean }

/** @throws KubectlError */
export function parseCondition(text: string): Condition {
  const lower = text.toLowerCase()
  if (lower === 'delete' || lower === 'create') return { type: lower }
  if (text.startsWith('condition=')) {
    const [name = '', ...rest] = text.slice('condition='.length).split('=')
    const status = rest.length > 0 ? rest.join('=') : 'true'
    return { type: 'check', check: (object) => hasCondition(object, name, status) }
  }
  if (text.startsWith('jsonpath=')) {
    const parts = splitAtSingleEquals(text.slice('jsonpath='.length))
    const [expression = '', given] = parts
    if (parts.length > 2) throw new KubectlError("jsonpath wait format must be --for=jsonpath='{.status.readyReplicas}'=3 or --for=jsonpath='{.status.readyReplicas}'")
    const value = given?.replace(/^['"]+|['"]+$/g, '')
    if (value === '') throw new KubectlError("jsonpath wait has to have a value after equal sign, like --for=jsonpath='{.status.readyReplicas}'=3")
    let path: ReturnType<typeof parseJsonPath>
    try {
      path = parseJsonPath(relaxJsonPath(expression))
    } catch (error) {
      if (error instanceof JsonPathError) throw new KubectlError(error.message)
      throw error
    }
    return { type: 'check', check: (object) => hasValue(path.find(object, { allowMissing: true }), value) }
  }
  throw new KubectlError(`unrecognized condition: ${JSON.stringify(text)}`)
}

/** `a==b=c` → `a==b`, `c`. */
function splitAtSingleEquals(text: string): readonly string[] {
  const parts: string[] = []
  let part = ''
  for (let i = 0; i < text.length; i++) {
    if (text[i] !== '=') part += text[i] ?? ''
    else if (text[i + 1] === '=') { part += '=='; i++ } else { parts.push(part); part = '' }
  }
  return [...parts, part]
}

function hasValue(found: readonly JsonValue[], wanted: string | undefined): boolean {
  if (found.length === 0) return false
  if (found.length > 1) throw new KubectlError('given jsonpath expression matches more than one value')
  if (wanted === undefined) return true
  const [value] = found
  if (typeof value === 'object' && value !== null) throw new KubectlError('jsonpath leads to a nested object or list which is not supported')
  return String(value === null ? '<nil>' : value).trim() === wanted.trim()
}

function hasCondition(object: JsonObject, name: string, status: string): boolean {
  const state = isJsonObject(object['status']) ? object['status'] : {}
  const metadata = isJsonObject(object['metadata']) ? object['metadata'] : {}
  for (const condition of Array.isArray(state['conditions']) ? state['conditions'] : []) {
    if (!isJsonObject(condition) || String(condition['type']).toLowerCase() !== name.toLowerCase()) continue
    const observed = condition['observedGeneration'] ?? state['observedGeneration']
    if (typeof metadata['generation'] === 'number' && typeof observed === 'number' && observed < metadata['generation']) return false
    return String(condition['status']).toLowerCase() === status.toLowerCase()
  }
  return false
}

export const waitCommand = defineCommand({
  name: 'wait', group: 'Advanced Commands', short: 'Wait for a specific condition on one or many resources', usage: "([-f FILENAME] | resource.group/resource.name | resource.group [(-l label | --all)]) [--for=create|--for=delete|--for condition=available|--for=jsonpath='{}'[=value]] [options]",
  examples: '  kubectl wait --for=condition=Ready pod/web-1\n  kubectl wait --for=delete pod/web-1 --timeout=60s\n  kubectl wait --for=jsonpath=\'{.status.phase}\'=Running pod/web-1',
  flags: { ...selectionFlags, for: { type: 'strings', noSplit: true, usage: "What to wait for: create, delete, condition=name[=value] or jsonpath='{expression}'[=value]." }, local: { type: 'bool', usage: 'Work on the files only.' }, output: { type: 'string', short: 'o', usage: 'Output format.' }, template: { type: 'string', usage: 'Template for go-template and jsonpath.' }, 'show-managed-fields': { type: 'bool', usage: 'Keep managedFields.' }, timeout: { type: 'duration', default: 30_000, usage: 'How long to wait; 0: look once; negative: a week.' } },
  async run(context, { flags, args }) {
    const format = parseOutputFormat(flags.output, flags.template)
    if (args.length > 0 || flags.filename.length > 0) context.session()
    if (flags.for.length === 0) throw new KubectlError('unrecognized condition: []')
    const conditions = flags.for.map(parseCondition)
    const timeoutMs = flags.timeout < 0 ? week : flags.timeout
    const endMs = context.clock.monotonic() + timeoutMs
    const find = (): Promise<readonly SelectedObject[]> => selectObjects(context, args, flags, 'wait')
    if (conditions.some((c) => c.type === 'create')) await untilFound(context, find, endMs)
    let selected: readonly SelectedObject[]
    const forDelete = conditions.some((c) => c.type === 'delete')
    try {
      selected = await find()
    } catch (error) {
      if (forDelete && hasReason(error, 'NotFound')) return 0
      throw error
    }
    if (selected.length === 0 && !forDelete) throw new KubectlError('no matching resources found')
    const print = (object: JsonObject): void => {
      if (format.type === 'table') context.out(`${nameOf(object)} condition met\n`)
      else createObjectPrinter(format, { write: context.out, showManagedFields: flags['show-managed-fields'] })(object)
    }
    for (const one of selected) {
      for (const condition of conditions) {
        if (condition.type === 'create') print(one.object)
        else if (condition.type === 'delete') print(await untilGone(context, one, timeoutMs, endMs))
        else print(await untilMet(context, one, condition.check, timeoutMs, endMs))
      }
    }
    return 0
  },
})

async function untilFound(context: KubectlContext, find: () => Promise<readonly SelectedObject[]>, endMs: number): Promise<void> {
  for (;;) {
    try {
      if ((await find()).length > 0) return
    } catch (error) {
      if (!hasReason(error, 'NotFound')) throw error
    }
    if (context.clock.monotonic() >= endMs) throw new KubectlError(timedOut)
    await sleep(context.clock, Math.min(500, Math.max(1, endMs - context.clock.monotonic())), context.signal)
  }
}

async function untilGone(context: KubectlContext, one: SelectedObject, timeoutMs: number, endMs: number): Promise<JsonObject> {
  let last = one.object
  try {
    last = await context.session().request('GET', objectPath(one.resource, one.namespace, one.name))
  } catch (error) {
    if (hasReason(error, 'NotFound')) return one.object
    throw error
  }
  if (timeoutMs === 0) throw new KubectlError(`condition not met for ${one.resource.resource}/${one.name}`)
  await watchUntil(context, one, endMs, (object) => object === undefined)
  return last
}

async function untilMet(context: KubectlContext, one: SelectedObject, check: (object: JsonObject) => boolean, timeoutMs: number, endMs: number): Promise<JsonObject> {
  if (timeoutMs === 0) {
    const object = await context.session().request('GET', objectPath(one.resource, one.namespace, one.name))
    if (!check(object)) throw new KubectlError(`condition not met for ${one.resource.resource}/${one.name}`)
    return object
  }
  let met: JsonObject = one.object
  await watchUntil(context, one, endMs, (object, gone) => {
    if (object === undefined) {
      if (gone) return false
      throw new KubectlError(`${one.resource.group ? `${one.resource.resource}.${one.resource.group}` : one.resource.resource} ${JSON.stringify(one.name)} not found`)
    }
    if (!check(object)) return false
    met = { apiVersion: one.object['apiVersion'], kind: one.object['kind'], ...object }
    return true
  })
  return met
}

/** Lists, then watches one name until `done` says so; `object` is undefined when it isn't there. */
async function watchUntil(context: KubectlContext, one: SelectedObject, endMs: number, done: (object: JsonObject | undefined, deleted: boolean) => boolean): Promise<void> {
  const session = context.session()
  const give = new AbortController()
  using _timer = context.clock.setTimer(Math.max(1, endMs - context.clock.monotonic()), () => give.abort())
  const signal = AbortSignal.any([context.signal, give.signal])
  for (;;) {
    const list = await session.request('GET', collectionPath(one.resource, one.namespace, { fieldSelector: `metadata.name=${one.name}` }))
    const [object] = Array.isArray(list['items']) ? list['items'].filter(isJsonObject) : []
    if (done(object, false)) return
    const resourceVersion = isJsonObject(list['metadata']) ? String(list['metadata']['resourceVersion'] ?? '') : ''
    try {
      for await (const events of session.watch(collectionPath(one.resource, one.namespace, { fieldSelector: `metadata.name=${one.name}`, resourceVersion, watch: true }), { signal })) {
        for (const event of events) {
          if (event.type === 'BOOKMARK' || event.type === 'ERROR') continue
          if (done(event.type === 'DELETED' ? undefined : event.object, event.type === 'DELETED')) return
        }
      }
    } catch (error) {
      if (!give.signal.aborted) throw error
    }
    if (give.signal.aborted) throw new KubectlError(`${timedOut} on ${one.resource.resource}/${one.name}`)
  }
}
