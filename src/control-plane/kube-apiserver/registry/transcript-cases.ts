// Reads the transcripts in testdata: what is done to a right object, and what the strategy says to it.
//
//   == Pod web                                  the object of testdata/valid-objects.yaml that the next lines are about
//   create spec.containers[0].name="A" ; -spec.x   a verb and the patches: `path=JSON`, or `-path` to leave a value out
//     Invalid spec.containers[0].name: …           then the causes in order, or `ok`; warnings as `warning: …`
//   update spec.paused=true => spec.replicas=2  patches before the arrow are in the old object, and so in the new one
//
// Verbs: create, update, status, and the names of other subresources.
import type { JsonObject, JsonValue } from '../../../lib/base/json.ts'
import { isJsonObject } from '../../../lib/base/json.ts'

export interface TranscriptCase {
  /** `Pod web` */
  readonly base: string
  readonly verb: string
  readonly line: string
  readonly old: readonly string[]
  readonly patches: readonly string[]
  readonly expected: readonly string[]
}

const patchesOf = (text: string): readonly string[] => text.split(' ; ').map((patch) => patch.trim()).filter((patch) => patch !== '')

export function readTranscript(text: string): readonly TranscriptCase[] {
  const cases: (TranscriptCase & { expected: string[] })[] = []
  let base = ''
  for (const line of text.split('\n')) {
    if (line.startsWith('== ')) base = line.slice(3)
    else if (line.startsWith('  ')) cases.at(-1)?.expected.push(line.slice(2))
    else if (line !== '' && !line.startsWith('#')) {
      const space = `${line} `.indexOf(' ')
      const verb = line.slice(0, space)
      const [first = '', second] = `${line.slice(space)} `.split(' => ')
      cases.push({ base, verb, line, old: second === undefined ? [] : patchesOf(first), patches: patchesOf(second ?? first), expected: [] })
    }
  }
  return cases
}

/** The transcript with what is said now in place of what was expected. */
export function writeTranscript(text: string, said: (line: TranscriptCase) => readonly string[]): string {
  const cases = readTranscript(text).values()
  const lines: string[] = []
  for (const line of text.trimEnd().split('\n')) {
    if (line.startsWith('  ')) continue
    lines.push(line)
    if (line === '' || line.startsWith('#') || line.startsWith('== ')) continue
    const next = cases.next()
    if (next.done !== true) lines.push(...said(next.value).map((answer) => `  ${answer}`))
  }
  return `${lines.join('\n')}\n`
}

const segment = /\.?([^.[\]=]+)|\[(\d+)\]|\["([^"]*)"\]/y

function pathOf(text: string): { readonly keys: readonly (string | number)[], readonly end: number } {
  const keys: (string | number)[] = []
  let end = 0
  for (;;) {
    segment.lastIndex = end
    const match = segment.exec(text)
    if (!match) return { keys, end }
    end = segment.lastIndex
    keys.push(match[1] ?? match[3] ?? Number(match[2]))
  }
}

function withValue(target: JsonValue | undefined, keys: readonly (string | number)[], value: JsonValue | undefined): JsonValue | undefined {
  const [key, ...rest] = keys
  if (key === undefined) return value
  if (typeof key === 'number') {
    // cast: Array.isArray loses the readonly element type
    const items = Array.isArray(target) ? [...target as readonly JsonValue[]] : []
    const next = withValue(items[key], rest, value)
    if (next === undefined) items.splice(key, 1)
    else items[key] = next
    return items
  }
  const { [key]: member, ...others } = isJsonObject(target) ? target : {}
  const next = withValue(member, rest, value)
  return next === undefined ? others : { ...others, [key]: next }
}

export function patched(object: JsonObject, patches: readonly string[]): JsonObject {
  let next: JsonValue | undefined = object
  for (const patch of patches) {
    const removes = patch.startsWith('-')
    const { keys, end } = pathOf(removes ? patch.slice(1) : patch)
    const value = removes ? undefined : JSON.parse(patch.slice(end + 1)) as JsonValue
    next = withValue(next, keys, value)
  }
  if (!isJsonObject(next)) throw new Error(`no object is left after ${patches.join(' ; ')}`)
  return next
}
