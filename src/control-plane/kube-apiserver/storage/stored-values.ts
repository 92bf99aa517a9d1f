// One resource's values as they stand in etcd, and the JSON that is served, each made from the other. What is written follows --storage-media-type
// and the encryption of the resource; whatever another API server wrote (the original too) is read, so both may be mixed in one etcd.
//
// Rule it keeps: plain JSON in our own order costs nothing to read: the bytes that etcd holds are the bytes that are served.
// Upstream: apiserver/pkg/server/storage/storage_codec.go, apiserver/pkg/storage/etcd3
import { dump as dumpYaml } from 'js-yaml'
import { decodeProtobuf, encodeProtobuf, hasProtobufPrefix, ProtobufError } from '../../../lib/api/protobuf-codec.ts'
import { parseJson } from '../../../lib/apimachinery/parse-json.ts'
import { parseExactJson } from '../../../lib/base/exact-json.ts'
import { isJsonObject, type JsonObject } from '../../../lib/base/json.ts'
import { hasMessage } from '../../../lib/api/message-plan.ts'
import type { ApiObject } from '../../../lib/client/api-client.ts'
import { parseYamlBody, YamlError } from '../../../lib/component-base/yaml.ts'
import { TransformError, identity, type ValueTransformer } from './encryption/value-transformer.ts'
import { asApiObject, asJson, encodeForStorage, findInsertAt, isCanonical, type StoredLayout } from './stored-object.ts'

export const storageMediaTypes = ['application/json', 'application/yaml', 'application/vnd.kubernetes.protobuf'] as const
export type StorageMediaType = (typeof storageMediaTypes)[number]

/** A value in etcd that can't be made an object: it can't be decrypted, or is no object. */
export class UnreadableValueError extends Error {
  override readonly name = 'UnreadableValueError'
  readonly #kind: 'untransformable' | 'undecodable'

  constructor(kind: 'untransformable' | 'undecodable', message: string, options?: ErrorOptions) {
    super(message, options)
    this.#kind = kind
  }

  /** As clients are told. */
  describe(key: string, revision: number): string {
    const what = this.#kind === 'untransformable' ? 'data from the storage is not transformable revision=0' : `object not decodable revision=${revision}`
    return `StorageError: corrupt object, Code: 7, Key: ${key}, ResourceVersion: 0, AdditionalErrorMsg: ${what}: ${this.message}`
  }
}

export interface StoredValuesOptions {
  /** Of the stored version. */
  readonly kind: string
  readonly apiVersion: string
  /** The kind's type in the schema. */
  readonly type: string
  /** How objects are written; absent: JSON, and what stands there in another form may stay so. */
  readonly mediaType?: StorageMediaType
  readonly transformer?: ValueTransformer
}

export class StoredValues {
  /** `{"kind":"Pod","apiVersion":"v1",` */
  readonly head: string
  readonly #options: StoredValuesOptions
  readonly #mediaType: StorageMediaType
  readonly #transformer: ValueTransformer

  constructor(options: StoredValuesOptions) {
    this.#options = options
    // Kinds without a message are kept as JSON, whatever is asked for.
    this.#mediaType = options.mediaType === 'application/vnd.kubernetes.protobuf' && !hasMessage(options.type) ? 'application/json' : options.mediaType ?? 'application/json'
    this.#transformer = options.transformer ?? identity
    this.head = `{"kind":${JSON.stringify(options.kind)},"apiVersion":${JSON.stringify(options.apiVersion)},`
  }

  /** What etcd gets: `json` itself where nothing else is asked for. @throws TransformError */
  seal(etcdKey: Uint8Array, json: Uint8Array, object: ApiObject): Uint8Array { return this.#transformer.toStorage(this.#encode(json, object), etcdKey) }

  #encode(json: Uint8Array, object: ApiObject): Uint8Array {
    const { kind, apiVersion, type } = this.#options
    switch (this.#mediaType) {
      case 'application/json': return json
      case 'application/yaml': return Buffer.from(dumpYaml(parseExactJson(Buffer.from(json).toString()), { lineWidth: -1, noRefs: true, sortKeys: true }))
      case 'application/vnd.kubernetes.protobuf': return encodeProtobuf(type, { ...asJson(withoutVersion(object)), kind, apiVersion })
    }
  }

  /** The layout that is served. @throws UnreadableValueError */
  open(etcdKey: Uint8Array, value: Uint8Array): StoredLayout {
    return this.#layoutOf(this.#decrypt(etcdKey, value).data)
  }

  canRead(etcdKey: Uint8Array, value: Uint8Array): boolean {
    try { this.open(etcdKey, value); return true } catch (error) {
      if (error instanceof UnreadableValueError) return false
      throw error
    }
  }

  /** The object itself, whatever is missing in it. @throws UnreadableValueError */
  peek(etcdKey: Uint8Array, value: Uint8Array): JsonObject { return this.#decode(this.#decrypt(etcdKey, value).data) }

  /** A write today would give other bytes: in another form, by another key. Also for what can't be read. */
  isOutdated(etcdKey: Uint8Array, value: Uint8Array): boolean {
    try {
      const { data, stale } = this.#decrypt(etcdKey, value)
      return stale || (this.#options.mediaType !== undefined && mediaTypeOf(data) !== this.#mediaType)
    } catch { return true }
  }

  /** False: `prepare` never gives anything. */
  get mayWait(): boolean { return this.#transformer.prepare !== undefined }

  /** What has to be waited for before `open` can read this value; undefined: nothing. */
  prepare(value: Uint8Array): Promise<void> | undefined { return this.#transformer.prepare?.(value) }

  #decrypt(etcdKey: Uint8Array, value: Uint8Array): { readonly data: Uint8Array; readonly stale: boolean } {
    try { return this.#transformer.fromStorage(value, etcdKey) } catch (error) {
      if (error instanceof TransformError) throw new UnreadableValueError('untransformable', error.message, { cause: error })
      throw error
    }
  }

  #layoutOf(data: Uint8Array): StoredLayout {
    if (isCanonical(data, this.head)) return { value: data, insertAt: findInsertAt(data) }
    const { kind, apiVersion } = this.#options
    const object = this.#decode(data)
    const { metadata } = object
    if (!isJsonObject(metadata) || typeof metadata['name'] !== 'string') throw undecodable('it has no name')
    const { resourceVersion: _version, ...meta } = metadata
    const layout = encodeForStorage(asApiObject({ ...object, kind, apiVersion, metadata: { ...meta, uid: typeof meta['uid'] === 'string' ? meta['uid'] : '' } }))
    if (layout.insertAt < 0) throw undecodable('it has no uid')
    return layout
  }

  #decode(data: Uint8Array): JsonObject {
    try {
      switch (mediaTypeOf(data)) {
        case 'application/vnd.kubernetes.protobuf': return decodeProtobuf(data, this.#options.type)
        case 'application/json': {
          const parsed = parseJson(data)
          if (!parsed.ok) throw undecodable(parsed.error)
          if (!isJsonObject(parsed.value)) throw undecodable('it is no object')
          return parsed.value
        }
        case 'application/yaml': {
          const { value } = parseYamlBody(Buffer.from(data).toString())
          if (!isJsonObject(value)) throw undecodable('it is no object')
          return value
        }
      }
    } catch (error) {
      if (error instanceof ProtobufError || error instanceof YamlError) throw undecodable(error.message, error)
      throw error
    }
  }
}

const undecodable = (why: string, cause?: Error): UnreadableValueError => new UnreadableValueError('undecodable', why, { cause })

/** What the bytes are, as the original tells it: by how they begin. */
function mediaTypeOf(data: Uint8Array): StorageMediaType {
  if (hasProtobufPrefix(data)) return 'application/vnd.kubernetes.protobuf'
  let at = 0
  while (data[at] === 0x20 || data[at] === 0x0a || data[at] === 0x0d || data[at] === 0x09) at++
  return data[at] === 0x7b ? 'application/json' : 'application/yaml'
}

/** Etcd alone knows the version of what it holds. */
function withoutVersion(object: ApiObject): ApiObject {
  const { resourceVersion: _version, ...metadata } = object.metadata
  return asApiObject({ ...object, metadata })
}
