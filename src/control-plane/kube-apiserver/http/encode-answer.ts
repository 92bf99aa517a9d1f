// Objects, lists and watch events as bytes of a media type. JSON comes from stored bytes; the other forms are made from the parsed object.
import { dump as dumpYaml } from 'js-yaml'
import { stringifyExactJson } from '../../../lib/base/exact-json.ts'
import type { JsonObject } from '../../../lib/base/json.ts'
import { encodeProtobuf, encodeProtobufWatchEvent } from '../../../lib/api/protobuf-codec.ts'
import { hasMessage } from '../../../lib/api/message-plan.ts'
import { partialMetadata, tableFor } from '../../../lib/api/table/table.ts'
import type { IncludeObject } from '../../../lib/api/table/table.ts'
import type { ListMeta } from '../../../lib/api/generated/types/meta-v1.ts'
import { badRequest, notAcceptable } from '../endpoints/api-errors.ts'
import { listObject } from '../endpoints/list-object.ts'
import type { Answer } from '../endpoints/api-call.ts'
import type { ServedResource } from '../endpoints/served-resource.ts'
import { servedForm } from '../in-process-transport.ts'
import type { Delivery } from '../storage/cache-event.ts'
import type { StoredObject } from '../storage/stored-object.ts'
import type { Negotiated } from './negotiate.ts'
import { mediaTypes } from './negotiate.ts'

export interface EncodeContext {
  readonly negotiated: Negotiated
  readonly nowMs: number
  readonly includeObject: IncludeObject
}

const metaPackage = 'io.k8s.apimachinery.pkg.apis.meta.v1'

/** @throws ApiError 400 */
export function includeObjectOf(query: URLSearchParams): IncludeObject {
  const asked = query.get('includeObject') ?? ''
  switch (asked) {
    case '': case 'Metadata': return 'Metadata'
    case 'Object': case 'None': return asked
    default: throw badRequest(`unrecognized includeObject value: ${JSON.stringify(asked)}`)
  }
}

/** Any object. `messageType` is needed for protobuf. @throws ApiError 406 */
export function encodeObject(object: JsonObject, messageType: string | undefined, { mediaType, pretty }: Negotiated): Uint8Array {
  switch (mediaType) {
    case 'application/json': return Buffer.from(`${stringifyExactJson(object, pretty ? 2 : undefined)}\n`)
    case 'application/yaml': return Buffer.from(dumpYaml(sortKeys(object), { lineWidth: -1, noRefs: true }))
    case 'application/vnd.kubernetes.protobuf': {
      if (messageType === undefined || !hasMessage(messageType)) throw notAcceptable(mediaTypes.slice(0, 2))
      return encodeProtobuf(messageType, object)
    }
  }
}

function sortKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortKeys)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).filter(([, v]: [string, unknown]) => v !== undefined).sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, v]: [string, unknown]) => [key, sortKeys(v)]))
}

/** One stored object. */
export function encodeStored(object: StoredObject, resource: ServedResource, context: EncodeContext): Uint8Array {
  const { negotiated } = context
  if (negotiated.transform) return encodeTransformed(servedForm(resource, object), resource, context, undefined, false)
  if (negotiated.mediaType === 'application/json' && !negotiated.pretty && !resource.conversion) {
    const bytes = Buffer.allocUnsafe(object.byteLength + 1)
    bytes[object.writeTo(bytes, 0)] = 0x0a
    return bytes
  }
  return encodeObject(servedForm(resource, object), resource.info.type, negotiated)
}

function encodeTransformed(object: JsonObject, resource: ServedResource, context: EncodeContext, meta: ListMeta | undefined, noColumns: boolean): Uint8Array {
  const { negotiated, nowMs, includeObject } = context
  if (negotiated.transform === 'Table') {
    const { metadata } = object
    const version = (metadata as { readonly resourceVersion?: string } | undefined)?.resourceVersion // cast: API objects have metadata
    return encodeObject(tableFor(resource.info, [object], { nowMs, includeObject, noColumns, version: negotiated.metaVersion, listMeta: meta ?? { ...(version !== undefined && { resourceVersion: version }) } }), undefined, negotiated)
  }
  return encodeObject(partialMetadata(object, `meta.k8s.io/${negotiated.metaVersion}`), `${metaPackage}.PartialObjectMetadata`, negotiated)
}

type ListAnswer = Extract<Answer, { type: 'list' }>

/** Bytes of a list in pieces of about `pieceBytes`; between pieces the caller lets others run. */
export async function* encodeList(answer: ListAnswer, context: EncodeContext, pieceBytes = 256 * 1024): AsyncGenerator<Uint8Array> {
  const { negotiated, nowMs, includeObject } = context
  const { resource } = answer
  const { mediaType, transform, metaVersion } = negotiated
  if (transform === undefined && mediaType === 'application/json' && !negotiated.pretty && !resource.conversion) { yield* encodeStoredList(answer, pieceBytes); return }
  const list = await listObject(answer)
  const items = list['items'] as readonly JsonObject[] // cast: listObject's own form
  if (transform === 'Table') {
    yield encodeObject(tableFor(resource.info, items, { nowMs, includeObject, version: metaVersion, listMeta: answer.metadata }), undefined, negotiated)
    return
  }
  if (transform === 'PartialObjectMetadataList') {
    const apiVersion = `meta.k8s.io/${metaVersion}`
    yield encodeObject({ kind: 'PartialObjectMetadataList', apiVersion, metadata: answer.metadata, items: items.map((item) => partialMetadata(item, apiVersion)) }, `${metaPackage}.PartialObjectMetadataList`, negotiated)
    return
  }
  // On the wire items carry no type of their own: the list's kind says it.
  const bare = items.map(({ kind: _k, apiVersion: _v, ...item }) => item)
  yield encodeObject({ ...list, items: bare }, `${resource.info.type}List`, negotiated)
}

function* encodeStoredList(answer: ListAnswer, pieceBytes: number): Generator<Uint8Array> {
  const { info, apiVersion } = answer.resource
  const head = Buffer.from(`{"kind":"${info.kind}List","apiVersion":"${apiVersion}","metadata":${JSON.stringify(answer.metadata)},"items":[`)
  const tail = Buffer.from(']}\n')
  const { objects } = answer
  let at = 0
  let first = true
  do {
    let size = first ? head.length : 0
    let end = at
    while (end < objects.length && (end === at || size < pieceBytes)) size += objects[end++]!.itemByteLength + 1 // cast: bounded by the loop
    const isLast = end >= objects.length
    const piece = Buffer.allocUnsafe(size + (isLast ? tail.length : 0))
    let offset = 0
    if (first) offset += head.copy(piece)
    for (; at < end; at++) {
      if (at > 0) piece[offset++] = 0x2c
      offset = objects[at]!.writeItemTo(piece, offset) // cast: bounded by the loop
    }
    if (isLast) offset += tail.copy(piece, offset)
    yield piece.subarray(0, offset)
    first = false
  } while (at < objects.length)
}

const prefixes = new Map<string, Buffer>()
function eventPrefix(type: string): Buffer {
  let prefix = prefixes.get(type)
  if (!prefix) prefixes.set(type, prefix = Buffer.from(`{"type":"${type}","object":`))
  return prefix
}

/** Makes frames of one watch. Frames that look the same for every watcher are kept with the event and shared. */
export function frameEncoder(resource: ServedResource, context: EncodeContext): (delivery: Delivery) => Uint8Array {
  const { mediaType, transform } = context.negotiated
  if (transform === 'Table') {
    let columnsSent = false
    return (delivery) => {
      const noColumns = columnsSent
      columnsSent = true
      return jsonFrame(delivery.type, encodeTransformed(servedForm(resource, delivery.object), resource, { ...context, negotiated: { ...context.negotiated, pretty: false } }, undefined, noColumns))
    }
  }
  if (mediaType === 'application/vnd.kubernetes.protobuf') {
    const key = `${resource.apiVersion} protobuf ${transform ?? ''} ${context.negotiated.metaVersion}`
    const make = (delivery: Delivery): Uint8Array => lengthPrefixed(encodeProtobufWatchEvent(delivery.type, encodeForm(delivery, resource, context)))
    return (delivery) => delivery.frame(key, make)
  }
  if (transform === undefined && !resource.conversion) return (delivery) => delivery.frame('json', makeJsonFrame)
  const key = `${resource.apiVersion} json ${transform ?? ''} ${context.negotiated.metaVersion}`
  const make = (delivery: Delivery): Uint8Array => jsonFrame(delivery.type, encodeForm(delivery, resource, { ...context, negotiated: { ...context.negotiated, pretty: false } }))
  return (delivery) => delivery.frame(key, make)
}

function encodeForm(delivery: Delivery, resource: ServedResource, context: EncodeContext): Uint8Array {
  const object = servedForm(resource, delivery.object)
  return context.negotiated.transform ? encodeTransformed(object, resource, context, undefined, true) : encodeObject(object, resource.info.type, context.negotiated)
}

function makeJsonFrame({ type, object }: Delivery): Uint8Array {
  const prefix = eventPrefix(type)
  const frame = Buffer.allocUnsafe(prefix.length + object.byteLength + 2)
  prefix.copy(frame)
  const end = object.writeTo(frame, prefix.length)
  frame[end] = 0x7d
  frame[end + 1] = 0x0a
  return frame
}

function jsonFrame(type: string, object: Uint8Array): Uint8Array {
  const prefix = eventPrefix(type)
  const body = object.at(-1) === 0x0a ? object.subarray(0, -1) : object
  return Buffer.concat([prefix, body, Buffer.from('}\n')])
}

function lengthPrefixed(bytes: Uint8Array): Uint8Array {
  const frame = Buffer.allocUnsafe(bytes.length + 4)
  frame.writeUInt32BE(bytes.length, 0)
  frame.set(bytes, 4)
  return frame
}

/** The one event of a watch that failed. */
export function errorFrame(status: JsonObject, { mediaType }: Negotiated): Uint8Array {
  if (mediaType === 'application/vnd.kubernetes.protobuf') return lengthPrefixed(encodeProtobufWatchEvent('ERROR', encodeProtobuf(`${metaPackage}.Status`, status)))
  return Buffer.from(`${JSON.stringify({ type: 'ERROR', object: status })}\n`)
}
