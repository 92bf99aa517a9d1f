// The strategy's rules for ConfigMaps and Secrets. Upstream: pkg/registry/core/{configmap,secret}/strategy.go, pkg/apis/core/validation/validation.go
import type { ConfigMap, Secret } from '../../../../lib/api/generated/types/core-v1.ts'
import type { ObjectMeta } from '../../../../lib/api/generated/types/meta-v1.ts'
import { fieldForbidden, fieldInvalid, fieldRequired, fieldTooLong } from '../../../../lib/apimachinery/field-error.ts'
import { parseJson } from '../../../../lib/apimachinery/parse-json.ts'
import type { FieldError } from '../../../../lib/apimachinery/field-error.ts'
import { isConfigMapKey } from '../../../../lib/apimachinery/validation.ts'
import { byteLength } from '../byte-length.ts'
import type { KindRules } from '../generic-strategy.ts'
import { semanticEqual } from '../semantic-equal.ts'
import { pushInvalid, validateImmutable } from '../validate-object-meta.ts'

const limitBytes = 1024 * 1024
const immutableText = 'field is immutable when `immutable` is set'

/** Bytes that a base64 text stands for. */
function decodedLength(text: string): number {
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0
  return Math.max(0, Math.floor(text.length * 3 / 4) - padding)
}

interface Frozen {
  readonly metadata: ObjectMeta
  readonly immutable?: boolean
  readonly data?: { readonly [key: string]: string }
  readonly binaryData?: { readonly [key: string]: string }
}

function validateFrozen(now: Frozen, old: Frozen, errors: FieldError[]): void {
  if (!old.immutable) return
  if (!now.immutable) errors.push(fieldForbidden('immutable', immutableText))
  if (!semanticEqual(now.data, old.data)) errors.push(fieldForbidden('data', immutableText))
  if (!semanticEqual(now.binaryData, old.binaryData)) errors.push(fieldForbidden('binaryData', immutableText))
}

function validateConfigMap(map: ConfigMap, errors: FieldError[]): void {
  let bytes = 0
  for (const key in map.data) {
    pushInvalid(errors, `data[${key}]`, key, isConfigMapKey)
    if (map.binaryData?.[key] !== undefined) errors.push(fieldInvalid(`data[${key}]`, key, 'duplicate of key present in binaryData'))
    bytes += byteLength(map.data[key] ?? '')
  }
  for (const key in map.binaryData) {
    pushInvalid(errors, `binaryData[${key}]`, key, isConfigMapKey)
    bytes += decodedLength(map.binaryData[key] ?? '')
  }
  if (bytes > limitBytes) errors.push(fieldTooLong('', limitBytes))
}

export const configMapRules: KindRules<ConfigMap> = {
  validate: validateConfigMap,
  validateUpdate(map, old, errors) {
    validateFrozen(map, old, errors)
    validateConfigMap(map, errors)
  },
}

function toBase64(text: string): string {
  let binary = ''
  for (const byte of new TextEncoder().encode(text)) binary += String.fromCharCode(byte)
  return btoa(binary)
}

/** What is wrong with base64 data that must hold a JSON object. */
function jsonObjectError(base64: string): string | undefined {
  let bytes: Uint8Array
  try {
    bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0))
  } catch {
    // The decoder refuses such data before it gets here.
    return 'illegal base64 data'
  }
  const parsed = parseJson(bytes)
  if (!parsed.ok) return parsed.error
  const { value } = parsed
  if (typeof value === 'object' && !Array.isArray(value)) return undefined
  const what = Array.isArray(value) ? 'array' : typeof value === 'boolean' ? 'bool' : typeof value
  return `json: cannot unmarshal ${what} into Go value of type map[string]interface {}`
}

function validateSecret(secret: Secret, errors: FieldError[]): void {
  const data = secret.data ?? {}
  let bytes = 0
  for (const key in data) {
    pushInvalid(errors, `data[${key}]`, key, isConfigMapKey)
    bytes += decodedLength(data[key] ?? '')
  }
  if (bytes > limitBytes) errors.push(fieldTooLong('data', limitBytes))
  const required = (key: string): void => { if (data[key] === undefined) errors.push(fieldRequired(`data[${key}]`)) }
  const jsonAt = (key: string): void => {
    const text = data[key]
    if (text === undefined) { errors.push(fieldRequired(`data[${key}]`)); return }
    const wrong = jsonObjectError(text)
    if (wrong !== undefined) errors.push(fieldInvalid(`data[${key}]`, '<secret contents redacted>', wrong))
  }
  switch (secret.type) {
    case 'kubernetes.io/service-account-token':
      if (!secret.metadata.annotations?.['kubernetes.io/service-account.name']) errors.push(fieldRequired('metadata.annotations[kubernetes.io/service-account.name]'))
      break
    case 'kubernetes.io/dockercfg': jsonAt('.dockercfg'); break
    case 'kubernetes.io/dockerconfigjson': jsonAt('.dockerconfigjson'); break
    case 'kubernetes.io/basic-auth':
      if (data.username === undefined && data.password === undefined) { required('username'); required('password') }
      break
    case 'kubernetes.io/ssh-auth':
      if (!data['ssh-privatekey']) errors.push(fieldRequired('data[ssh-privatekey]'))
      break
    case 'kubernetes.io/tls': required('tls.crt'); required('tls.key'); break
    default:
  }
}

export const secretRules: KindRules<Secret> = {
  applyDefaults(secret) {
    const type = secret.type || 'Opaque'
    if (!secret.stringData) return secret.type ? secret : { ...secret, type }
    const { stringData, ...rest } = secret
    const added = Object.fromEntries(Object.entries(stringData).map(([key, text]) => [key, toBase64(text)]))
    return { ...rest, type, data: { ...secret.data, ...added } }
  },
  validate: validateSecret,
  validateUpdate(secret, old, errors) {
    validateImmutable(secret.type, old.type, 'type', errors)
    validateFrozen(secret, old, errors)
    validateSecret(secret, errors)
  },
  selectableFields: (secret) => ({ type: secret.type ?? '' }),
}
