// kubectl describe of kinds that have no describer of their own: every field, with its name in words. Upstream: kubectl/pkg/describe (genericDescriber)
import type { JsonObject, JsonValue } from '../../../lib/base/json.ts'
import { isJsonObject } from '../../../lib/base/json.ts'
import { formatGoValue } from '../printers/output-format.ts'
import { DescribeWriter } from './describe-writer.ts'
import type { DescribeWorld, EventSubject } from './describer.ts'
import { writeEventsOf } from './describer.ts'

const skipped = new Set(['.metadata.managedFields', '.metadata.name', '.metadata.namespace', '.metadata.labels', '.metadata.annotations'])

export async function describeAnything(world: DescribeWorld, object: JsonObject): Promise<string> {
  const metadata = (isJsonObject(object['metadata']) ? object['metadata'] : {}) as unknown as EventSubject['metadata'] & { readonly labels?: { readonly [k: string]: string }; readonly annotations?: { readonly [k: string]: string } } // cast: metadata of an object
  const out = new DescribeWriter()
  out.line(0, `Name:\t${metadata.name}`)
  out.line(0, `Namespace:\t${metadata.namespace ?? ''}`)
  out.labels('Labels', metadata.labels)
  out.annotations('Annotations', metadata.annotations)
  writeFields(out, 0, object, '')
  await writeEventsOf(out, world, String(object['kind'] ?? ''), { metadata })
  return out.aligned()
}

function writeFields(out: DescribeWriter, level: number, content: JsonObject, prefix: string): void {
  for (const field of Object.keys(content).sort()) {
    const value = content[field]
    const path = `${prefix}.${field}`
    if (skipped.has(path) || value === undefined) continue
    if (Array.isArray(value)) {
      out.line(level, `${labelOf(field)}:`)
      for (const child of value) {
        if (isJsonObject(child)) writeFields(out, level + 1, child, path)
        else out.line(level + 1, textOf(child))
      }
    } else if (isJsonObject(value)) {
      out.line(level, `${labelOf(field)}:`)
      writeFields(out, level + 1, value, path)
    } else out.line(level, `${labelOf(field)}:\t${textOf(value)}`)
  }
}

const textOf = (value: JsonValue): string => formatGoValue(value)

const acronyms = new Set(['API', 'URL', 'UID', 'GUID'])

/** `creationTimestamp` → `Creation Timestamp`; names with other than letters and dashes stay. */
export function labelOf(field: string): string {
  if (/[^\p{L}-]/u.test(field)) return field
  const parts = splitWords(field)
  const merged: string[] = []
  for (let i = 0; i < parts.length; i++) {
    const [part = '', next = ''] = parts.slice(i, i + 2)
    // An acronym keeps what follows in capitals, such as a plural.
    if (part.length >= 2 && part === part.toUpperCase() && /^\p{Lu}/u.test(next)) { merged.push(part + next); i++ } else merged.push(part)
  }
  return merged.map((part) => (acronyms.has(part.toUpperCase()) ? part.toUpperCase() : part === part.toLowerCase() ? part.charAt(0).toUpperCase() + part.slice(1) : part)).join(' ')
}

/** Words of a camelCase name; the last of several capitals belongs to the word after them. */
function splitWords(name: string): readonly string[] {
  const runs = [...name.matchAll(/\p{Ll}+|\p{Lu}+|[^\p{Ll}\p{Lu}]+/gu)].map((m) => m[0])
  for (let i = 0; i < runs.length - 1; i++) {
    const [run = '', next = ''] = [runs[i], runs[i + 1]]
    if (/^\p{Lu}/u.test(run) && /^\p{Ll}/u.test(next)) { runs[i + 1] = run.slice(-1) + next; runs[i] = run.slice(0, -1) }
  }
  return runs.filter((r) => r !== '')
}
