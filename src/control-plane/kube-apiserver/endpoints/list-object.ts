// A list as one object: for callers in the process, for tables and for protobuf. JSON lists over the wire are written from bytes instead.
import type { JsonObject } from '../../../lib/base/json.ts'
import { asJson } from '../storage/stored-object.ts'
import type { Answer } from './api-call.ts'

const piece = 64

/** Items are the shared objects; they carry kind and apiVersion only in the process. Yields to the event loop while it parses. */
export async function listObject(answer: Extract<Answer, { type: 'list' }>): Promise<JsonObject> {
  const { resource } = answer
  const items: JsonObject[] = []
  let parsed = 0
  for (const stored of answer.objects) {
    if (!stored.isParsed && ++parsed % piece === 0) await new Promise<void>((resolve) => { setImmediate(resolve) })
    items.push(asJson(resource.conversion ? resource.conversion.fromStorage(stored.object) : stored.object))
  }
  return { kind: `${resource.info.kind}List`, apiVersion: resource.apiVersion, metadata: answer.metadata, items }
}
