// Speaks the OCI distribution API with one registry: manifests and blobs, with basic or token authentication, and resumed downloads.
// Upstream: github.com/opencontainers/distribution-spec; distribution's "Token Authentication Specification"
import { createHash } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { rename, rm } from 'node:fs/promises'
import { pipeline } from 'node:stream/promises'
import { Transform } from 'node:stream'
import { fileSize, readPieces } from './image-store.ts'
import type { ImageReference } from './reference.ts'
import { RegistryError, parseChallenge, readBody, sendRequest } from './registry-http.ts'
import type { HttpAnswer, RegistryTls } from './registry-http.ts'
import type { AuthConfig } from '../../../lib/cri-api/generated/types.ts'

export interface RegistrySettings extends RegistryTls {
  /** Where requests really go: a mirror, another port. Default: https://<registry>. */
  readonly endpoint?: string
  /** Without TLS. Default for loopback addresses. */
  readonly plainHttp?: boolean
}

const maxManifestBytes = 4 * 1024 * 1024
const manifestTypes = [
  'application/vnd.oci.image.index.v1+json', 'application/vnd.oci.image.manifest.v1+json', 'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.docker.distribution.manifest.v2+json',
].join(', ')

const isLoopback = (registry: string): boolean => /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?$/.test(registry)

export class RegistryClient {
  readonly #base: URL
  readonly #settings: RegistrySettings
  readonly #repository: string
  readonly #auth: AuthConfig | undefined
  readonly #signal: AbortSignal
  #authorization: string | undefined

  constructor(reference: ImageReference, auth: AuthConfig | undefined, settings: RegistrySettings, signal: AbortSignal) {
    const host = reference.registry === 'docker.io' ? 'registry-1.docker.io' : reference.registry
    const scheme = (settings.plainHttp ?? isLoopback(reference.registry)) ? 'http' : 'https'
    this.#base = new URL(settings.endpoint ?? `${scheme}://${host}`)
    this.#settings = settings
    this.#repository = reference.repository
    this.#auth = auth
    this.#signal = signal
    if (auth?.registryToken) this.#authorization = `Bearer ${auth.registryToken}`
  }

  /** @param name tag or digest */
  async manifest(name: string): Promise<{ readonly bytes: Buffer; readonly mediaType: string }> {
    const answer = await this.#get(`manifests/${name}`, { accept: manifestTypes })
    const bytes = await readBody(answer, maxManifestBytes)
    return { bytes, mediaType: (answer.headers['content-type'] ?? '').split(';')[0]?.trim() ?? '' }
  }

  /** A small blob, verified. */
  async blob(digest: string, limit = maxManifestBytes): Promise<Buffer> {
    const bytes = await readBody(await this.#get(`blobs/${digest}`, {}), limit)
    if (`sha256:${createHash('sha256').update(bytes).digest('hex')}` !== digest) throw new RegistryError('broken', `blob ${digest} doesn't have that digest`)
    return bytes
  }

  /** Downloads a blob to a file, going on where an earlier try stopped; `target` appears only when the digest is right. */
  async download(digest: string, sizeBytes: number, partial: string, target: string): Promise<void> {
    let have = await fileSize(partial)
    if (have > sizeBytes) { await rm(partial, { force: true }); have = 0 }
    const hash = createHash('sha256')
    if (have > 0) for await (const piece of readPieces(partial)) hash.update(piece)
    if (have < sizeBytes || sizeBytes === 0) {
      const answer = await this.#get(`blobs/${digest}`, have > 0 ? { range: `bytes=${have}-` } : {})
      if (answer.status === 200 && have > 0) { // the registry doesn't do ranges
        answer.body.destroy()
        await rm(partial, { force: true })
        return this.download(digest, sizeBytes, partial, target)
      }
      let length = have
      const count = new Transform({ transform(chunk: Buffer, _encoding, done) {
        length += chunk.length
        if (length > sizeBytes) { done(new RegistryError('broken', `blob ${digest} is larger than its manifest says`)); return }
        hash.update(chunk)
        done(null, chunk)
      } })
      try {
        await pipeline(answer.body, count, createWriteStream(partial, { flags: have > 0 ? 'a' : 'w', mode: 0o600 }), { signal: this.#signal })
      } catch (error) {
        if (error instanceof RegistryError) { await rm(partial, { force: true }); throw error }
        throw this.#signal.aborted ? this.#signal.reason : new RegistryError('unreachable', `download of ${digest} was cut off`, { cause: error })
      }
    }
    if (`sha256:${hash.digest('hex')}` !== digest) {
      await rm(partial, { force: true })
      throw new RegistryError('broken', `blob ${digest} doesn't have that digest`)
    }
    await rename(partial, target)
  }

  async #get(path: string, headers: { readonly [name: string]: string }): Promise<HttpAnswer> {
    const url = new URL(`${this.#base.pathname.replace(/\/$/, '')}/v2/${this.#repository}/${path}`, this.#base)
    for (let attempt = 0; ; attempt++) {
      const answer = await sendRequest(url, { ...headers, ...(this.#authorization && { authorization: this.#authorization }) }, { tls: this.#settings, signal: this.#signal })
      if (answer.status === 200 || answer.status === 206) return answer
      if (answer.status === 401 && attempt === 0) {
        answer.body.resume()
        this.#authorization = await this.#authorize(answer.headers['www-authenticate'])
        continue
      }
      const text = (await readBody(answer, 65536).catch(() => Buffer.alloc(0))).toString().slice(0, 500)
      const reason = answer.status === 401 || answer.status === 403 ? 'unauthorized' : answer.status === 404 ? 'not-found' : answer.status >= 500 ? 'unreachable' : 'refused'
      throw new RegistryError(reason, `unexpected status from GET request to ${url.href}: ${answer.status}${text && `: ${text.trim()}`}`)
    }
  }

  async #authorize(header: string | undefined): Promise<string> {
    const challenge = parseChallenge(header)
    const credentials = this.#credentials()
    if (challenge?.scheme === 'basic') {
      if (!credentials) throw new RegistryError('unauthorized', `${this.#base.host} wants a user name and password`)
      return `Basic ${Buffer.from(`${credentials.username}:${credentials.password}`).toString('base64')}`
    }
    const realm = challenge?.parameters.get('realm')
    if (challenge?.scheme !== 'bearer' || !realm || !URL.canParse(realm)) throw new RegistryError('broken', `${this.#base.host} asks for authentication in a way that isn't understood`)
    const url = new URL(realm)
    const service = challenge.parameters.get('service')
    if (service) url.searchParams.set('service', service)
    url.searchParams.set('scope', challenge.parameters.get('scope') ?? `repository:${this.#repository}:pull`)
    const headers: Record<string, string> = credentials ? { authorization: `Basic ${Buffer.from(`${credentials.username}:${credentials.password}`).toString('base64')}` } : {}
    if (this.#auth?.identityToken) url.searchParams.set('refresh_token', this.#auth.identityToken)
    const answer = await sendRequest(url, headers, { tls: this.#settings, signal: this.#signal })
    const body = await readBody(answer, 1024 * 1024)
    if (answer.status !== 200) throw new RegistryError('unauthorized', `${url.host} gives no token: ${answer.status}`)
    let parsed: { readonly token?: unknown; readonly access_token?: unknown }
    try { parsed = JSON.parse(body.toString()) as typeof parsed } catch (error) { throw new RegistryError('broken', `${url.host} gives no token`, { cause: error }) } // cast: fields are checked below
    const token = parsed.token ?? parsed.access_token
    if (typeof token !== 'string' || token === '') throw new RegistryError('broken', `${url.host} gives no token`)
    return `Bearer ${token}`
  }

  #credentials(): { readonly username: string; readonly password: string } | undefined {
    if (this.#auth?.auth) {
      const text = Buffer.from(this.#auth.auth, 'base64').toString()
      const at = text.indexOf(':')
      if (at > 0) return { username: text.slice(0, at), password: text.slice(at + 1).replace(/\0+$/, '') }
    }
    return this.#auth?.username ? { username: this.#auth.username, password: this.#auth.password ?? '' } : undefined
  }
}
