// The API's schema: every message with its fields, as data. Types, codecs, pruning, patches, OpenAPI and tables are all read from here.
import { schemaText } from './generated/schema-text.ts'

/** Scalars of the wire, and the named types whose JSON isn't their protobuf shape. */
export type ScalarType = 'string' | 'bytes' | 'bool' | 'int32' | 'int64' | 'uint32' | 'uint64' | 'double'
export type SpecialType = 'Time' | 'MicroTime' | 'Duration' | 'Quantity' | 'IntOrString' | 'RawExtension' | 'JSON' | 'FieldsV1'

export interface SchemaField {
  /** Name in JSON; empty when `inline`. */
  readonly name: string
  /** Field number in protobuf. */
  readonly number: number
  /** A scalar, a special type or the id of a message. For lists and maps: of the element. */
  readonly type: string
  readonly list?: true
  /** A map from strings to `type`. */
  readonly map?: true
  /** A Go pointer: absent is not the zero value, and zero is written. */
  readonly pointer?: true
  /** Left out of JSON when empty (Go's omitempty, which never leaves out a struct). */
  readonly omitEmpty?: true
  /** Left out of JSON when zero, structs included (Go's omitzero). */
  readonly omitZero?: true
  /** In JSON its fields stand among the parent's; in protobuf it is a nested message. */
  readonly inline?: true
  /** Go's type and field name, which decoding errors quote. */
  readonly goType?: string
  readonly goField?: string
  /** Name in protobuf where it differs from JSON. */
  readonly proto?: string
  readonly optional?: true
  readonly required?: true
  readonly listType?: 'atomic' | 'set' | 'map'
  readonly listMapKeys?: readonly string[]
  readonly mapType?: 'atomic' | 'granular'
  readonly patchStrategy?: string
  readonly patchMergeKey?: string
  readonly default?: string
}

export interface SchemaMessage {
  /** In Go's order, which is the order of JSON keys. */
  readonly fields: readonly SchemaField[]
  /** A named Go slice: an array of this type in JSON, one repeated field `items` (number 1) on the wire. */
  readonly listOf?: string
  /** Carries apiVersion and kind in JSON. */
  readonly typeMeta?: true
  /** Server-side apply treats it as one value. */
  readonly atomic?: true
}

/** Message ids are OpenAPI's names: `io.k8s.api.core.v1.Pod`. */
// cast: the text is generated together with these types
export const schema = JSON.parse(schemaText) as { readonly [id: string]: SchemaMessage }
