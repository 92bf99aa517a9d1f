// Encryption at rest as a whole: the configuration turned into transformers, one per resource, and turned again when the file changes. Whoever
// holds a resource's transformer always uses the newest configuration; one that can't be used leaves the last good one in place.
// Upstream: apiserver/pkg/server/options/encryptionconfig/{config,controller/controller}.go
import { createHash } from 'node:crypto'
import { sleep, type Clock } from '../../../../lib/base/clock.ts'
import type { Random } from '../../../../lib/base/random.ts'
import type { Logger } from '../../../../lib/component-base/log.ts'
import { parseYamlBody, YamlError } from '../../../../lib/component-base/yaml.ts'
import { aesCbc, aesGcm } from './aes.ts'
import { EncryptionConfigError, formatGroupResource, readEncryptionConfiguration, type EncryptionKey, type ProviderConfiguration, type ResourceConfiguration } from './encryption-configuration.ts'
import { KmsProvider } from './kms-v2.ts'
import type { KmsService } from './kms-service.ts'
import { secretbox } from './secretbox.ts'
import { identity, prefixed, type PrefixedTransformer, type ValueTransformer } from './value-transformer.ts'

export interface EncryptionOptions {
  /** The file's bytes. Throws when it can't be read. */
  readFile(): Uint8Array
  /** Look once a minute whether the file has changed. */
  readonly reload: boolean
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  connectKms(endpoint: string, timeoutMs: number): KmsService & Disposable
}

const pollMs = 60_000

interface Loaded {
  readonly hash: string
  /** By `resource.group`, `*.group`, `*.*`. */
  readonly transformers: ReadonlyMap<string, ValueTransformer>
  readonly providers: readonly KmsProvider[]
  readonly graceMs: number
  close(): void
}

export class EncryptionAtRest {
  readonly #options: EncryptionOptions
  readonly #signal: AbortSignal
  readonly #listeners: (() => void)[] = []
  #loaded: Loaded

  /** Reads the file and asks the plugins that it names. Ends with `signal`. @throws EncryptionConfigError */
  static async open(options: EncryptionOptions, signal: AbortSignal): Promise<EncryptionAtRest> {
    return new EncryptionAtRest(options, await load(options, signal), signal)
  }

  private constructor(options: EncryptionOptions, loaded: Loaded, signal: AbortSignal) {
    this.#options = options
    this.#loaded = loaded
    this.#signal = signal
    if (options.reload) void this.#watchFile()
  }

  /** Called after the configuration has changed. */
  onChange(listener: () => void): void { this.#listeners.push(listener) }

  transformerFor(group: string, resource: string): ValueTransformer {
    const names = [formatGroupResource({ group, resource }), formatGroupResource({ group, resource: '*' }), '*.*']
    const now = (): ValueTransformer => {
      for (const name of names) { const found = this.#loaded.transformers.get(name); if (found) return found }
      return identity
    }
    return { toStorage: (data, key) => now().toStorage(data, key), fromStorage: (data, key) => now().fromStorage(data, key), prepare: (data) => now().prepare?.(data) }
  }

  /** The check `kms-providers`; undefined when there can be nothing to check. */
  get check(): (() => string | undefined) | undefined {
    if (!this.#options.reload && this.#loaded.providers.length === 0) return undefined
    return () => {
      const troubles = this.#loaded.providers.flatMap(({ trouble }, i) => (trouble === undefined ? [] : [`kms-provider-${i}: ${trouble}`]))
      return troubles.length === 0 ? undefined : troubles.join(', ')
    }
  }

  async #watchFile(): Promise<void> {
    for (;;) {
      try { await sleep(this.#options.clock, pollMs, this.#signal) } catch { return }
      await this.reloadNow()
    }
  }

  /** Takes the file as it is now, when it has changed and can be used. */
  async reloadNow(): Promise<void> {
    const { logger, clock } = this.#options
    try {
      if (hashOf(readContent(this.#options)) === this.#loaded.hash) return
      const next = await load(this.#options, this.#signal)
      const broken = next.providers.find(({ trouble }) => trouble !== undefined)
      if (broken) {
        next.close()
        throw new EncryptionConfigError(`the KMS plugin ${broken.name} is not healthy: ${broken.trouble ?? ''}`)
      }
      const last = this.#loaded
      this.#loaded = next
      logger.info('Loaded the changed encryption configuration', { hash: next.hash })
      clock.setTimer(last.graceMs, () => { last.close() }, { keepAlive: false })
      for (const listener of this.#listeners) listener()
    } catch (error) {
      if (!this.#signal.aborted) logger.error('The changed encryption configuration can’t be used; the last one stays', error)
    }
  }
}

const hashOf = (bytes: Uint8Array): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`

function readContent(options: EncryptionOptions): Uint8Array {
  const bytes = options.readFile()
  if (bytes.length === 0) throw new EncryptionConfigError('the encryption provider configuration file is empty')
  return bytes
}

async function load(options: EncryptionOptions, signal: AbortSignal): Promise<Loaded> {
  const bytes = readContent(options)
  let configurations: readonly ResourceConfiguration[]
  try {
    const { value, duplicate } = parseYamlBody(Buffer.from(bytes).toString())
    if (duplicate !== undefined) throw new EncryptionConfigError(`error decoding encryption provider configuration: strict decoding error: ${duplicate}`)
    configurations = readEncryptionConfiguration(value)
  } catch (error) {
    if (error instanceof YamlError) throw new EncryptionConfigError(`error decoding encryption provider configuration: ${error.message}`, { cause: error })
    throw error
  }
  const providers: KmsProvider[] = []
  const services: Disposable[] = []
  const stop = new AbortController()
  const ended = AbortSignal.any([signal, stop.signal])
  let timeouts = 0
  const { clock, random, logger } = options
  const keyed = (name: string, keys: readonly EncryptionKey[], make: (secret: Uint8Array) => ValueTransformer): PrefixedTransformer => ({
    prefix: `k8s:enc:${name}:v1:`,
    transformer: prefixed(keys.map((key) => ({ prefix: `${key.name}:`, transformer: make(key.secret) })), `no matching key was found for the provided ${name === 'secretbox' ? 'Secretbox' : 'AES'} transformer`),
  })
  const transformerOf = (provider: ProviderConfiguration): PrefixedTransformer => {
    switch (provider.type) {
      case 'identity': return { prefix: '', transformer: identity }
      case 'aescbc': return keyed(provider.type, provider.keys, (secret) => aesCbc(secret, random))
      case 'aesgcm': return keyed(provider.type, provider.keys, (secret) => aesGcm(secret, random))
      case 'secretbox': return keyed(provider.type, provider.keys, (secret) => secretbox(secret, random))
      case 'kms': {
        const { name, endpoint, timeoutMs } = provider.kms
        const service = options.connectKms(endpoint, timeoutMs)
        services.push(service)
        const kms = new KmsProvider({ name, service, clock, random, logger })
        providers.push(kms)
        timeouts += timeoutMs
        return { prefix: `k8s:enc:kms:v2:${name}:`, transformer: kms }
      }
    }
  }
  const lists = new Map<string, PrefixedTransformer[]>()
  for (const { resources, providers: given } of configurations) {
    const transformers = given.map(transformerOf)
    for (const resource of resources) {
      const name = formatGroupResource(resource)
      lists.set(name, [...(lists.get(name) ?? []), ...transformers])
    }
  }
  await Promise.all(providers.map((provider) => provider.start(ended)))
  return {
    hash: hashOf(bytes), providers, graceMs: 2 * timeouts,
    transformers: new Map([...lists].map(([name, list]) => [name, prefixed(list, 'no matching prefix found')])),
    close() { stop.abort(); for (const service of services) service[Symbol.dispose]() },
  }
}
