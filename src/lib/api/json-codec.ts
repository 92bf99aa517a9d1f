// JSON bodies into typed objects and back. Decoding checks every value against the schema, drops fields that the type doesn't have (and names them, for
// fieldValidation), and gives the normal form that everything behind it relies on: keys in schema order, quantities canonical, times in UTC, structs that
// Go holds by value always present, empty values left out where Go leaves them out. Errors are worded as Go's decoder words them.
// Upstream: sigs.k8s.io/json, apimachinery/pkg/runtime/serializer/json
import type { JsonObject, JsonValue } from '../base/json.ts'
import { parseDurationNanoseconds, formatDurationNanoseconds } from '../apimachinery/duration.ts'
import { parseJson, type ParseJsonOptions } from '../apimachinery/parse-json.ts'
import { canonicalQuantity, quantityFormatError } from '../apimachinery/quantity.ts'
import { checkBase64 } from './base64.ts'
import { assembleObject, messagePlan, type FieldPlan, type MessagePlan, type ValueKind } from './message-plan.ts'
import { normalizeMicroTime, normalizeTime, timeError } from './timestamp.ts'

export type DecodedJson =
  /** `unknownFields` are paths like `spec.containers[0].foo`; at most 100 are collected. */
  | { readonly ok: true; readonly object: JsonObject; readonly unknownFields: readonly string[]; readonly duplicateFields: readonly string[] }
  /** `json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32` */
  | { readonly ok: false; readonly error: string }

const maxStrictErrors = 100
const jsonSchemaProps = 'io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps'
const textEncoder = new TextEncoder()

/** Reads a body of the named type. */
export function decodeJsonBytes(typeId: string, bytes: Uint8Array, options: ParseJsonOptions = {}): DecodedJson {
  const parsed = parseJson(bytes, options)
  if (!parsed.ok) return { ok: false, error: parsed.error }
  const decoded = decodeJson(typeId, parsed.value)
  return decoded.ok ? { ...decoded, duplicateFields: parsed.duplicateFields } : decoded
}

/** Turns parsed JSON into an object of the named type. */
export function decodeJson(typeId: string, value: JsonValue): DecodedJson {
  const walk = new DecodeWalk()
  const plan = messagePlan(typeId)
  try {
    const object = walk.message(plan, value, undefined)
    if (walk.typeError !== undefined) return { ok: false, error: walk.typeError }
    return { ok: true, object: (object ?? assembleObject(plan, [], undefined, undefined)) as JsonObject, unknownFields: walk.unknownFields, duplicateFields: [] } // cast: built from JSON values
  } catch (error) {
    if (error instanceof DecodeFailure) return { ok: false, error: error.message }
    throw error
  }
}

/** The text of Strict validation's refusal; undefined when there is nothing to refuse. */
export function strictDecodingError(unknownFields: readonly string[], duplicateFields: readonly string[]): string | undefined {
  const texts = strictDecodingTexts(unknownFields, duplicateFields)
  return texts.length === 0 ? undefined : `strict decoding error: ${texts.join(', ')}`
}

/** One text per unknown or duplicate field, as warnings carry them: `unknown field "spec.foo"`. */
export function strictDecodingTexts(unknownFields: readonly string[], duplicateFields: readonly string[]): readonly string[] {
  return [...unknownFields.map((path) => `unknown field ${JSON.stringify(path)}`), ...duplicateFields.map((path) => `duplicate field ${JSON.stringify(path)}`)].slice(0, maxStrictErrors)
}

/** Prints an object as the wire has it, in one line without a line break. */
export function encodeJson(value: JsonValue): Uint8Array { return textEncoder.encode(JSON.stringify(value)) }

/** Prints for people (`?pretty=true`, curl): indented by two. */
export function encodePrettyJson(value: JsonValue): Uint8Array { return textEncoder.encode(`${JSON.stringify(value, null, 2)}\n`) }

/** A value that no decoder goes on after: bad quantity, time, base64. */
class DecodeFailure extends Error {
  override readonly name = 'DecodeFailure'
}

function describe(value: JsonValue): string {
  if (Array.isArray(value)) return 'array'
  // YAML's integers may be larger than a number holds.
  if (typeof value === 'bigint') return `number ${value}`
  return typeof value === 'boolean' ? 'bool' : typeof value
}

class DecodeWalk {
  /** The first type error, in document order; decoding goes on after it, as Go's does. */
  typeError: string | undefined
  readonly unknownFields: string[] = []
  /** Where we are, for unknown fields: `spec`, `.containers`, `[0]`. */
  readonly #path: string[] = []
  /** JSON names of the fields that we are in, for type errors. */
  readonly #fieldStack: string[] = []
  #struct: string | undefined

  #mismatch(value: string, goType: string): undefined {
    this.typeError ??= this.#mismatchText(value, goType)
    return undefined
  }

  #mismatchText(value: string, goType: string): string {
    return this.#struct === undefined ? `json: cannot unmarshal ${value} into Go value of type ${goType}` : `json: cannot unmarshal ${value} into Go struct field ${this.#struct}.${this.#fieldStack.join('.')} of type ${goType}`
  }

  /** For types that decode themselves: their refusal ends the decoding, whatever was wrong before. */
  #refuse(value: string, goType: string): never { throw new DecodeFailure(this.#mismatchText(value, goType)) }

  message(plan: MessagePlan, value: JsonValue, field: FieldPlan | undefined): { [field: string]: unknown } | undefined {
    if (value === null) return undefined
    if (typeof value !== 'object' || Array.isArray(value)) return this.#mismatch(describe(value), field?.goElementType ?? plan.goName)
    const source = value as JsonObject // cast: an object, neither null nor array
    const outerStruct = this.#struct
    const values: unknown[] = Array.from({ length: plan.jsonFields.length })
    let kind: string | undefined
    let apiVersion: string | undefined
    for (const key in source) {
      const item = source[key] ?? null
      this.#struct = plan.structName
      const index = plan.indexByName.get(key)
      const embedded = index === undefined ? (plan.typeMeta ? 'TypeMeta.' : '') : (plan.jsonFields[index]?.embedded ?? '')
      this.#fieldStack.push(embedded === '' ? key : embedded + key)
      if (index !== undefined) {
        this.#path.push(this.#path.length === 0 ? key : `.${key}`)
        const fieldPlan = plan.jsonFields[index]! // cast: the index comes from the same list
        if (item !== null) values[index] = this.#field(fieldPlan, item)
        this.#path.pop()
      } else if (plan.typeMeta && (key === 'kind' || key === 'apiVersion')) {
        if (item !== null) {
          const text = typeof item === 'string' ? item : this.#mismatch(describe(item), 'string')
          if (key === 'kind') kind = text
          else apiVersion = text
        }
      } else if (this.unknownFields.length < maxStrictErrors) this.unknownFields.push(this.#path.length === 0 ? key : `${this.#path.join('')}.${key}`)
      this.#fieldStack.pop()
    }
    this.#struct = outerStruct
    return assembleObject(plan, values, kind, apiVersion)
  }

  #field(field: FieldPlan, value: JsonValue): unknown {
    switch (field.shape) {
      case 'one': return this.#value(field, value)
      case 'list': return this.#list(field, value)
      case 'map': return this.#map(field, value)
    }
  }

  #list(field: FieldPlan, value: JsonValue): unknown {
    if (!Array.isArray(value)) return this.#mismatch(describe(value), field.goType)
    const items: unknown[] = []
    const source = value as readonly JsonValue[] // cast: checked above
    for (let i = 0; i < source.length; i++) {
      this.#path.push(`[${i}]`)
      // A null in a list is the element's zero value.
      items.push(this.#value(field, source[i] ?? null) ?? this.#zero(field))
      this.#path.pop()
    }
    return items
  }

  #map(field: FieldPlan, value: JsonValue): unknown {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return this.#mismatch(describe(value), field.goType)
    const out: { [key: string]: unknown } = {}
    for (const key in value) {
      this.#path.push(`.${key}`)
      const item = this.#value(field, (value as JsonObject)[key] ?? null) ?? this.#zero(field) // cast: checked above
      if (key === '__proto__') Object.defineProperty(out, key, { value: item, enumerable: true, configurable: true, writable: true })
      else out[key] = item
      this.#path.pop()
    }
    return out
  }

  #zero(field: FieldPlan): unknown {
    switch (field.kind) {
      case 'message': return assembleObject(messagePlan(field.type), [], undefined, undefined)
      case 'string': case 'bytes': return ''
      case 'bool': return false
      case 'int32': case 'int64': case 'uint32': case 'uint64': case 'double': return 0
      case 'Quantity': return '0'
      case 'listOf': return []
      default: return null
    }
  }

  #value(field: FieldPlan, value: JsonValue): unknown {
    if (value === null) return undefined
    switch (field.kind) {
      case 'string': return typeof value === 'string' ? value : this.#mismatch(describe(value), field.goElementType)
      case 'bool': return typeof value === 'boolean' ? value : this.#mismatch(describe(value), field.goElementType)
      case 'int32': case 'int64': case 'uint32': case 'uint64': return this.#integer(field.kind, value, field.goElementType)
      case 'double': return typeof value === 'number' ? value : this.#mismatch(describe(value), field.goElementType)
      case 'bytes': return this.#bytes(value, field)
      case 'Time': case 'MicroTime': return this.#time(field.kind, value)
      case 'Duration': return this.#duration(value)
      case 'Quantity': return this.#quantity(value)
      case 'IntOrString': {
        if (typeof value === 'string') return value
        if (typeof value !== 'number') return this.#refuse(describe(value), 'int32')
        return Number.isInteger(value) && value >= -2147483648 && value <= 2147483647 ? value : this.#refuse(`number ${value}`, 'int32')
      }
      case 'RawExtension': case 'JSON': case 'FieldsV1': return value
      case 'listOf': {
        if (!Array.isArray(value)) return this.#mismatch(describe(value), field.goElementType)
        return (value as readonly JsonValue[]).map((item) => (typeof item === 'string' ? item : item === null ? '' : this.#mismatch(describe(item), 'string'))) // cast: checked above
      }
      case 'message': return this.message(messagePlan(field.type), value, field)
      case 'JSONSchemaPropsOrArray': return Array.isArray(value) ? (value as readonly JsonValue[]).map((item) => this.#schemaProps(item)) : this.#schemaProps(value) // cast: checked
      case 'JSONSchemaPropsOrBool': return typeof value === 'boolean' ? value : this.#schemaProps(value)
      case 'JSONSchemaPropsOrStringArray': return Array.isArray(value) ? value : this.#schemaProps(value)
    }
  }

  #schemaProps(value: JsonValue): unknown { return this.message(messagePlan(jsonSchemaProps), value, undefined) }

  #integer(kind: ValueKind, value: JsonValue, goType: string): number | undefined {
    if (typeof value !== 'number') return this.#mismatch(describe(value), goType)
    const fits = Number.isSafeInteger(value) && (kind === 'int32' ? value >= -2147483648 && value <= 2147483647 : kind === 'uint32' ? value >= 0 && value <= 4294967295 : kind !== 'uint64' || value >= 0)
    return fits ? value : this.#mismatch(`number ${value}`, goType)
  }

  #bytes(value: JsonValue, field: FieldPlan): string | undefined {
    if (typeof value !== 'string') return this.#mismatch(describe(value), field.goElementType)
    const checked = checkBase64(value)
    if (!checked.ok) throw new DecodeFailure(`illegal base64 data at input byte ${checked.at}`)
    return checked.text
  }

  #time(kind: 'Time' | 'MicroTime', value: JsonValue): string | undefined {
    if (typeof value !== 'string') return this.#refuse(describe(value), 'string')
    const time = kind === 'Time' ? normalizeTime(value) : normalizeMicroTime(value)
    if (time === undefined) throw new DecodeFailure(timeError(value, kind === 'Time' ? undefined : '2006-01-02T15:04:05.000000Z07:00'))
    return time ?? undefined
  }

  #duration(value: JsonValue): string | undefined {
    if (typeof value !== 'string') return this.#refuse(describe(value), 'string')
    const nanoseconds = parseDurationNanoseconds(value)
    if (nanoseconds === undefined) throw new DecodeFailure(`time: invalid duration ${JSON.stringify(value)}`)
    return formatDurationNanoseconds(nanoseconds)
  }

  #quantity(value: JsonValue): string {
    const canonical = typeof value === 'string' || typeof value === 'number' ? canonicalQuantity(String(value).trim()) : undefined
    if (canonical === undefined) throw new DecodeFailure(quantityFormatError)
    return canonical
  }
}
