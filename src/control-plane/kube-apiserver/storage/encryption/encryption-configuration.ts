// The file behind --encryption-provider-config: which resources are encrypted, by what, with which keys. Read strictly, since a misspelt field
// would leave secrets in the clear. Upstream: apiserver/pkg/apis/apiserver/{v1,validation}
import { fieldInvalid, fieldRequired, type FieldError } from '../../../../lib/apimachinery/field-error.ts'
import { parseDurationMs } from '../../../../lib/apimachinery/duration.ts'
import { isJsonObject, type JsonObject, type JsonValue } from '../../../../lib/base/json.ts'

export interface EncryptionKey { readonly name: string; readonly secret: Uint8Array }
export interface KmsConfiguration { readonly name: string; readonly endpoint: string; readonly timeoutMs: number }

export type ProviderConfiguration =
  | { readonly type: 'identity' }
  | { readonly type: 'aescbc' | 'aesgcm' | 'secretbox'; readonly keys: readonly EncryptionKey[] }
  | { readonly type: 'kms'; readonly kms: KmsConfiguration }

export interface GroupResourceName { readonly group: string; readonly resource: string }

export interface ResourceConfiguration {
  /** `*` stands for all: `*` of a group, or of every group. */
  readonly resources: readonly GroupResourceName[]
  readonly providers: readonly ProviderConfiguration[]
}

/** The file can't be used. */
export class EncryptionConfigError extends Error {
  override readonly name = 'EncryptionConfigError'
}

const providerTypes = ['aesgcm', 'aescbc', 'secretbox', 'identity', 'kms'] as const
const aesKeyBytes: readonly number[] = [16, 24, 32]
const secretboxKeyBytes: readonly number[] = [32]
const defaultTimeoutMs = 3000

/** `deployments.apps` → group `apps`, resource `deployments`; `*.` → everything in the core group. */
export function parseGroupResource(text: string): GroupResourceName {
  const dot = text.indexOf('.')
  return dot < 0 ? { group: '', resource: text } : { group: text.slice(dot + 1), resource: text.slice(0, dot) }
}

/** As the file names it. */
export const formatGroupResource = ({ group, resource }: GroupResourceName): string => (group === '' ? (resource === '*' ? '*.' : resource) : `${resource}.${group}`)

/** @throws EncryptionConfigError */
export function readEncryptionConfiguration(document: JsonValue): readonly ResourceConfiguration[] {
  const strange: string[] = []
  const known = (value: JsonValue | undefined, path: string, fields: readonly string[]): JsonObject => {
    if (value === undefined || value === null) return {}
    if (!isJsonObject(value)) throw new EncryptionConfigError(`error decoding encryption provider configuration: ${path || 'the document'} is no object`)
    for (const name of Object.keys(value)) if (!fields.includes(name)) strange.push(`unknown field ${JSON.stringify(path === '' ? name : `${path}.${name}`)}`)
    return value
  }
  const list = (value: JsonValue | undefined, path: string): readonly JsonValue[] => {
    if (value === undefined || value === null) return []
    if (!Array.isArray(value)) throw new EncryptionConfigError(`error decoding encryption provider configuration: ${path} is no list`)
    return value as readonly JsonValue[] // cast: checked above
  }
  const text = (value: JsonValue | undefined, path: string): string => {
    if (value === undefined || value === null) return ''
    if (typeof value !== 'string') throw new EncryptionConfigError(`error decoding encryption provider configuration: ${path} is no text`)
    return value
  }
  const top = known(document, '', ['kind', 'apiVersion', 'resources'])
  if (top['kind'] !== 'EncryptionConfiguration' || top['apiVersion'] !== 'apiserver.config.k8s.io/v1') {
    throw new EncryptionConfigError(`error decoding encryption provider configuration: no kind ${JSON.stringify(top['kind'] ?? '')} is registered for version ${JSON.stringify(top['apiVersion'] ?? '')}: it has to be EncryptionConfiguration of apiserver.config.k8s.io/v1`)
  }
  const errors: FieldError[] = []
  const kmsNames = new Set<string>()
  const readKeys = (value: JsonValue | undefined, path: string, sizes: readonly number[]): readonly EncryptionKey[] => {
    const keys = list(known(value, path, ['keys'])['keys'], `${path}.keys`).map((item, i) => {
      const at = `${path}.keys[${i}]`
      const key = known(item, at, ['name', 'secret'])
      const name = text(key['name'], `${at}.name`)
      const secret = text(key['secret'], `${at}.secret`)
      if (name === '') errors.push(fieldRequired(`${at}.name`, 'name is a mandatory field for a key'))
      const bytes = Buffer.from(secret, 'base64')
      if (secret === '') errors.push(fieldRequired(`${at}.secret`, 'secret is a mandatory field for a key'))
      else if (!/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(secret.replace(/[\r\n]/g, ''))) errors.push(fieldInvalid(`${at}.secret`, 'REDACTED', 'secrets must be base64 encoded'))
      else if (!sizes.includes(bytes.length)) errors.push(fieldInvalid(`${at}.secret`, 'REDACTED', `secret is not of the expected length, got ${bytes.length}, expected one of [${sizes.join(' ')}]`))
      return { name, secret: bytes }
    })
    if (keys.length === 0) errors.push(fieldRequired(`${path}.keys`, 'at least one keys is required'))
    return keys
  }
  const readProvider = (value: JsonValue, path: string): ProviderConfiguration => {
    const provider = known(value, path, providerTypes)
    const given = providerTypes.filter((type) => provider[type] !== undefined && provider[type] !== null)
    const [type] = given
    if (type === undefined) {
      errors.push(fieldInvalid(path, Object.keys(provider), 'provider does not contain any of the expected providers: KMS, AESGCM, AESCBC, Secretbox, Identity'))
      return { type: 'identity' }
    }
    if (given.length > 1) errors.push(fieldInvalid(path, given, 'more than one provider specified in a single element, should split into different list elements'))
    const at = `${path}.${type}`
    switch (type) {
      case 'identity': known(provider[type], at, []); return { type }
      case 'aescbc': case 'aesgcm': return { type, keys: readKeys(provider[type], at, aesKeyBytes) }
      case 'secretbox': return { type, keys: readKeys(provider[type], at, secretboxKeyBytes) }
      case 'kms': return { type, kms: readKms(known(provider[type], at, ['apiVersion', 'name', 'cachesize', 'endpoint', 'timeout']), at) }
    }
  }
  const readKms = (kms: JsonObject, path: string): KmsConfiguration => {
    const name = text(kms['name'], `${path}.name`)
    const endpoint = text(kms['endpoint'], `${path}.endpoint`)
    const version = text(kms['apiVersion'], `${path}.apiVersion`) || 'v1'
    const timeout = kms['timeout']
    const timeoutMs = timeout === undefined || timeout === null ? defaultTimeoutMs : parseDurationMs(text(timeout, `${path}.timeout`)) ?? Number.NaN
    if (name === '') errors.push(fieldRequired(`${path}.name`, 'name is a mandatory field for a provider'))
    if (version !== 'v1' && version !== 'v2') errors.push(fieldInvalid(`${path}.apiVersion`, version, 'unsupported apiVersion apiVersion for KMS provider, only v1 and v2 are supported'))
    if (version === 'v1') errors.push(fieldInvalid(`${path}.apiVersion`, version, 'KMSv1 is deprecated and off by default in the original, and not here at all: use apiVersion v2'))
    if (version !== 'v1' && name.includes(':')) errors.push(fieldInvalid(`${path}.name`, name, `invalid KMS provider name ${name}, must not contain ':'`))
    if (version !== 'v1' && kmsNames.has(name)) errors.push(fieldInvalid(`${path}.name`, name, `duplicate KMS provider name ${name}, names must be unique`))
    kmsNames.add(name)
    if (version !== 'v1' && kms['cachesize'] !== undefined && kms['cachesize'] !== null) errors.push(fieldInvalid(`${path}.cachesize`, kms['cachesize'], 'cachesize is not supported in v2'))
    if (!(timeoutMs > 0)) errors.push(fieldInvalid(`${path}.timeout`, timeout, 'timeout should be a positive value'))
    const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(endpoint)?.[1] ?? ''
    if (endpoint === '') errors.push(fieldInvalid(`${path}.endpoint`, '', 'endpoint is a mandatory field for a kms'))
    else if (scheme !== 'unix') errors.push(fieldInvalid(`${path}.endpoint`, endpoint, `unsupported scheme ${JSON.stringify(scheme)} for KMS provider, only unix is supported`))
    return { name, endpoint, timeoutMs }
  }
  const configurations = list(top['resources'], 'resources').map((item, i): ResourceConfiguration => {
    const path = `resources[${i}]`
    const entry = known(item, path, ['resources', 'providers'])
    const names = list(entry['resources'], `${path}.resources`).map((name, j) => text(name, `${path}.resources[${j}]`))
    const providers = list(entry['providers'], `${path}.providers`)
    if (names.length === 0) errors.push(fieldRequired(`${path}.resources`, `at least one ${path}.resources is required`))
    errors.push(...wrongNames(names, `${path}.resources`))
    if (providers.length === 0) errors.push(fieldRequired(`${path}.providers`, `at least one ${path}.providers is required`))
    return { resources: names.map(parseGroupResource), providers: providers.map((provider, j) => readProvider(provider, `${path}.providers[${j}]`)) }
  })
  if (configurations.length === 0) errors.push(fieldRequired('resources', 'at least one resources is required'))
  if (strange.length > 0) throw new EncryptionConfigError(`error decoding encryption provider configuration: strict decoding error: ${strange.join(', ')}`)
  const told = errors.map(({ field, body }) => `${field}: ${body}`)
  if (told.length > 0) throw new EncryptionConfigError(told.length === 1 ? told.join() : `[${told.join(', ')}]`)
  checkMasked(configurations)
  return configurations
}

function wrongNames(names: readonly string[], path: string): readonly FieldError[] {
  const errors: FieldError[] = []
  const parsed = names.map(parseGroupResource)
  const pairs = parsed.flatMap((a, i) => parsed.flatMap((b, j) => (i === j ? [] : [[a, b] as const])))
  const isSame = (a: GroupResourceName, b: GroupResourceName): boolean => a.group === b.group && a.resource === b.resource
  if (pairs.some(([a, b]) => isSame(a, b))) errors.push(fieldInvalid(path, names, 'the same resource cannot be specified multiple times'))
  if (pairs.some(([a, b]) => !isSame(a, b) && ((a.group === '*' && a.resource === '*') || (a.group === b.group && (a.resource === '*' || b.resource === '*'))))) {
    errors.push(fieldInvalid(path, names, "using overlapping resources such as 'secrets' and '*.' in the same resource list is not allowed as they will be masked"))
  }
  for (const [i, name] of names.entries()) {
    const why = wrongName(name)
    if (why !== undefined) errors.push(fieldInvalid(`${path}[${i}]`, name, why))
  }
  return errors
}

function wrongName(name: string): string | undefined {
  const { group, resource } = parseGroupResource(name)
  if (name.toLowerCase() !== name) return 'resource name should not contain capital letters'
  if (name === '*') return "use '*.' to encrypt all the resources from core API group or *.* to encrypt all resources"
  if (['apiserveripinfo', 'serviceipallocations', 'servicenodeportallocations'].includes(name)) return 'resources which do not have REST API/s cannot be encrypted'
  if (group === 'events.k8s.io') return "'*.events.k8s.io' objects are stored using the 'events' API group in etcd. Use 'events' instead in the config file"
  if (group === 'extensions') return "'extensions' group has been removed and cannot be used for encryption"
  return group === '*' && resource !== '*' ? 'encrypting the same resource across groups is not supported' : undefined
}

/** A rule for all of a group hides what comes after it. */
function checkMasked(configurations: readonly ResourceConfiguration[]): void {
  const before = new Set<string>()
  for (const { resources } of configurations) {
    for (const resource of resources) {
      for (const all of [{ group: resource.group, resource: '*' }, { group: '*', resource: '*' }]) {
        if (before.has(formatGroupResource(all))) throw new EncryptionConfigError(`resource ${JSON.stringify(formatGroupResource(resource))} is masked by earlier rule ${JSON.stringify(formatGroupResource(all))}`)
      }
      before.add(formatGroupResource(resource))
    }
  }
}
