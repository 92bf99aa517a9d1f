// Protobuf bodies: the envelope says what is inside; the endpoint says what it should be.
import type { JsonObject } from '../../../lib/base/json.ts'
import { ProtobufError, decodeProtobufEnvelope, decodeProtobufMessage } from '../../../lib/api/protobuf-codec.ts'
import { decodeJson } from '../../../lib/api/json-codec.ts'
import { badRequest } from './api-errors.ts'
import { cannotBeHandled, summarize } from './decode-body.ts'
import type { ExpectedType } from './decode-body.ts'

/** The object with the envelope's kind and apiVersion, in the normal form that JSON bodies have. @throws ApiError 400 */
export function decodeProtobufBody(expected: ExpectedType, bytes: Uint8Array): JsonObject {
  let opened = false
  try {
    const envelope = decodeProtobufEnvelope(bytes)
    opened = true
    if (envelope.kind !== '' && envelope.kind !== expected.kind) return { apiVersion: envelope.apiVersion, kind: envelope.kind }
    const object = decodeProtobufMessage(expected.type, envelope.raw, { apiVersion: envelope.apiVersion || expected.apiVersion, kind: envelope.kind || expected.kind })
    const normal = decodeJson(expected.type, object)
    if (!normal.ok) throw badRequest(`${expected.kind} in version ${JSON.stringify(expected.apiVersion.split('/').at(-1))} cannot be handled as a ${expected.kind}: ${normal.error}`)
    return { ...normal.object, apiVersion: envelope.apiVersion || expected.apiVersion, kind: envelope.kind || expected.kind }
  } catch (error) {
    // What the envelope says is known by then: the object inside is what can't be read.
    if (error instanceof ProtobufError) throw opened ? cannotBeHandled(expected, {}, error.message) : badRequest(`the object provided is unrecognized (must be of type ${expected.kind}): ${error.message} (${summarize(bytes)})`)
    throw error
  }
}
