// KMS v2: the keys that encrypt are made here, and a plugin behind a socket encrypts those keys. Each value carries the encrypted seed of its key.
//
// Rules it keeps, the original's: one seed serves all writes until the plugin names another key; reads of a known seed ask nobody; without an
// answer of the plugin writes go on for three minutes and then fail, reads of what is known go on for ever.
// Upstream: apiserver/pkg/storage/value/encrypt/envelope/kmsv2, apiserver/pkg/server/options/encryptionconfig
import { sleep, type Clock } from '../../../../lib/base/clock.ts'
import { decodeProto3, encodeProto3, type Proto3Table } from '../../../../lib/base/protobuf/proto3.ts'
import { WireError } from '../../../../lib/base/protobuf/wire-reader.ts'
import { randomUuid, type Random } from '../../../../lib/base/random.ts'
import type { Logger } from '../../../../lib/component-base/log.ts'
import { aesGcm, extendedNonceGcm, seedBytes } from './aes.ts'
import type { KmsService } from './kms-service.ts'
import { TransformError, type ValueTransformer } from './value-transformer.ts'

const goodStatusMs = 60_000
const badStatusMs = 10_000
const writableMs = 180_000
const largestKeyId = 1024
const largestSource = 1024
const largestAnnotations = 32 * 1024
/** Seeds that are kept open. A new one comes with each start of an API server and each change of the plugin's key. */
const mostSeeds = 10_000

type SourceType = 'AES_GCM_KEY' | 'HKDF_SHA256_XNONCE_AES_GCM_SEED'

interface EncryptedObject {
  readonly encryptedData?: Uint8Array
  readonly keyID?: string
  readonly encryptedDEKSource?: Uint8Array
  readonly annotations?: { readonly [key: string]: Uint8Array }
  readonly encryptedDEKSourceType?: SourceType
}

const table: Proto3Table = {
  EncryptedObject: [
    { name: 'encryptedData', number: 1, type: 'bytes' }, { name: 'keyID', number: 2, type: 'string' }, { name: 'encryptedDEKSource', number: 3, type: 'bytes' }, { name: 'annotations', number: 4, type: 'bytes', mapKey: 'string' },
    { name: 'encryptedDEKSourceType', number: 5, type: 'enum', enumValues: { AES_GCM_KEY: 0, HKDF_SHA256_XNONCE_AES_GCM_SEED: 1 } },
  ],
}

/** The seed that writes use. */
interface WriteKey {
  readonly transformer: ValueTransformer
  readonly envelope: EncryptedObject
  readonly keyId: string
  readonly writableUntil: number
}

export interface KmsProviderOptions {
  readonly name: string
  readonly service: KmsService
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}

export class KmsProvider implements ValueTransformer {
  readonly name: string
  readonly #options: KmsProviderOptions
  #write: WriteKey | undefined
  #version = ''
  /** What is wrong with the plugin; undefined: nothing. */
  #trouble: string | undefined = 'not asked yet'
  readonly #opened = new Map<string, ValueTransformer>()
  readonly #opening = new Map<string, Promise<void>>()
  readonly #failures = new Map<string, string>()

  constructor(options: KmsProviderOptions) {
    this.#options = options
    this.name = options.name
  }

  /** For /healthz and /livez. */
  get trouble(): string | undefined { return this.#trouble }

  /** Asks the plugin once, then regularly until `signal`. Resolves after the first answer. */
  async start(signal: AbortSignal): Promise<void> {
    await this.check(signal)
    void this.#repeat(signal)
  }

  async #repeat(signal: AbortSignal): Promise<void> {
    for (;;) {
      try { await sleep(this.#options.clock, this.#trouble === undefined ? goodStatusMs : badStatusMs, signal) } catch { return }
      await this.check(signal)
    }
  }

  /** Asks the plugin how it is and which key it uses; a new one means a new seed. */
  async check(signal: AbortSignal): Promise<void> {
    try {
      await this.#check(signal)
      this.#trouble = undefined
      this.#failures.clear()
    } catch (error) {
      if (signal.aborted) return
      this.#trouble = error instanceof Error ? error.message : String(error)
      this.#options.logger.error('The KMS plugin is not healthy', error, { name: this.name })
    }
  }

  async #check(signal: AbortSignal): Promise<void> {
    const { service, clock, random } = this.#options
    // The time counts from before the question.
    const writableUntil = clock.monotonic() + writableMs
    const { version = '', healthz = '', keyId = '' } = await service.status({}, signal)
    const unhealthy = (why: string): TransformError => new TransformError(`kmsv2 Provider ${this.name} is not healthy, error: ${why}`)
    if (healthz !== 'ok') throw unhealthy(`got unexpected healthz status: ${healthz}`)
    if (version !== 'v2' && version !== 'v2beta1') throw unhealthy(`expected KMSv2 API version v2, got ${version}`)
    if (this.#version !== '' && this.#version !== version) throw unhealthy(`KMSv2 API version should not change after the initial status response version ${this.#version}, got ${version}`)
    this.#version = version
    const wrong = wrongKeyId(keyId)
    if (wrong !== undefined) throw unhealthy(`got invalid KMSv2 KeyID: ${wrong}`)
    if (this.#write?.keyId === keyId) { this.#write = { ...this.#write, writableUntil }; return }
    const seed = random.bytes(seedBytes)
    const answer = await service.encrypt({ plaintext: seed, uid: randomUuid(random) }, signal)
    const envelope: EncryptedObject = {
      keyID: answer.keyId ?? '', encryptedDEKSource: answer.ciphertext ?? new Uint8Array(), encryptedDEKSourceType: 'HKDF_SHA256_XNONCE_AES_GCM_SEED', ...(answer.annotations && { annotations: answer.annotations }),
    }
    checkEnvelope(envelope)
    if (envelope.keyID !== keyId) throw unhealthy(`the status names another key than the one that encrypted the seed`)
    const transformer = extendedNonceGcm(seed, random)
    this.#remember(cacheKey(envelope), transformer)
    this.#write = { transformer, envelope, keyId, writableUntil }
  }

  toStorage(data: Uint8Array, key: Uint8Array): Uint8Array {
    const write = this.#write
    if (!write) throw new TransformError(`the KMS plugin ${this.name} has not given a key yet: ${this.#trouble ?? ''}`)
    if (this.#options.clock.monotonic() > write.writableUntil) throw new TransformError(`encryptedDEKSource of the KMS plugin ${this.name} has expired: ${this.#trouble ?? 'it was not asked in time'}`)
    return encodeProto3(table, 'EncryptedObject', { ...write.envelope, encryptedData: write.transformer.toStorage(data, key) })
  }

  fromStorage(data: Uint8Array, key: Uint8Array): { readonly data: Uint8Array; readonly stale: boolean } {
    const envelope = decodeEnvelope(data)
    const cached = cacheKey(envelope)
    const transformer = this.#opened.get(cached)
    if (!transformer) throw new TransformError(`failed to decrypt DEK, error: ${this.#failures.get(cached) ?? 'its key has not been asked for'}`)
    const read = transformer.fromStorage(envelope.encryptedData ?? new Uint8Array(), key)
    return { data: read.data, stale: this.#write !== undefined && (envelope.keyID !== this.#write.keyId || envelope.encryptedDEKSourceType !== this.#write.envelope.encryptedDEKSourceType) }
  }

  prepare(data: Uint8Array): Promise<void> | undefined {
    let envelope
    try { envelope = decodeEnvelope(data) } catch { return undefined }
    const cached = cacheKey(envelope)
    if (this.#opened.has(cached)) return undefined
    let opening = this.#opening.get(cached)
    if (!opening) this.#opening.set(cached, opening = this.#open(cached, envelope).finally(() => { this.#opening.delete(cached) }))
    return opening
  }

  async #open(cached: string, envelope: EncryptedObject): Promise<void> {
    const { service, random } = this.#options
    try {
      const { plaintext = new Uint8Array() } = await service.decrypt(
        { ciphertext: envelope.encryptedDEKSource ?? new Uint8Array(), uid: randomUuid(random), keyId: envelope.keyID ?? '', ...(envelope.annotations && { annotations: envelope.annotations }) }, new AbortController().signal)
      this.#remember(cached, transformerOf(envelope, plaintext, random))
    } catch (error) {
      // Told by fromStorage; asked for again next time.
      if (this.#failures.size > mostSeeds) this.#failures.clear()
      this.#failures.set(cached, error instanceof Error ? error.message : String(error))
    }
  }

  #remember(cached: string, transformer: ValueTransformer): void {
    const [oldest] = this.#opened.keys()
    if (this.#opened.size >= mostSeeds && oldest !== undefined) this.#opened.delete(oldest)
    this.#opened.set(cached, transformer)
  }
}

function transformerOf(envelope: EncryptedObject, key: Uint8Array, random: Random): ValueTransformer {
  if (envelope.encryptedDEKSourceType === 'HKDF_SHA256_XNONCE_AES_GCM_SEED') return extendedNonceGcm(key, random)
  if (![16, 24, 32].includes(key.length)) throw new TransformError(`crypto/aes: invalid key size ${key.length}`)
  return aesGcm(key, random)
}

function decodeEnvelope(data: Uint8Array): EncryptedObject {
  let envelope: EncryptedObject
  try { envelope = decodeProto3<EncryptedObject>(table, 'EncryptedObject', data) } catch (error) {
    if (error instanceof WireError) throw new TransformError(error.message, { cause: error })
    throw error
  }
  if (!envelope.encryptedData?.length) throw new TransformError('encrypted data is empty')
  checkEnvelope(envelope)
  return { ...envelope, encryptedDEKSourceType: envelope.encryptedDEKSourceType ?? 'AES_GCM_KEY' }
}

/** @throws TransformError */
function checkEnvelope({ keyID = '', encryptedDEKSource = new Uint8Array(), annotations = {} }: EncryptedObject): void {
  if (encryptedDEKSource.length === 0) throw new TransformError('failed to validate encrypted DEK source: encrypted DEK source is empty')
  if (encryptedDEKSource.length > largestSource) throw new TransformError(`failed to validate encrypted DEK source: encrypted DEK source is ${encryptedDEKSource.length} bytes, which exceeds the max size of ${largestSource}`)
  const wrong = wrongKeyId(keyID)
  if (wrong !== undefined) throw new TransformError(`failed to validate key id: ${wrong}`)
  let size = 0
  for (const [name, value] of Object.entries(annotations)) {
    if (!/^(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)+\.?$/.test(name)) throw new TransformError(`failed to validate annotations: ${JSON.stringify(name)} should be a domain with at least two segments separated by dots`)
    size += Buffer.byteLength(name) + value.length
  }
  if (size > largestAnnotations) throw new TransformError(`failed to validate annotations: total size of annotations is ${size}, which exceeds the max size of ${largestAnnotations}`)
}

function wrongKeyId(keyId: string): string | undefined {
  if (keyId === '') return 'keyID is empty'
  return Buffer.byteLength(keyId) > largestKeyId ? `keyID is ${Buffer.byteLength(keyId)} bytes, which exceeds the max size of ${largestKeyId}` : undefined
}

function cacheKey({ keyID = '', encryptedDEKSource = new Uint8Array(), annotations = {}, encryptedDEKSourceType = 'AES_GCM_KEY' }: EncryptedObject): string {
  const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')
  return JSON.stringify([encryptedDEKSourceType, keyID, hex(encryptedDEKSource), Object.entries(annotations).sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, value]) => [name, hex(value)])])
}
