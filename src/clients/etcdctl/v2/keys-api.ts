// The keys API of etcd's version 2 over HTTP: `/v2/keys/…`, JSON answers, redirects to the leader. Servers have it up to 3.5 with --enable-v2.
// Upstream: client/v2/keys.go, server/etcdserver/api/v2http
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { ClientTls } from '../../../lib/net/grpc/grpc-channel.ts'

export interface KeyNode {
  readonly key?: string
  readonly value?: string
  readonly dir?: boolean
  readonly nodes?: readonly KeyNode[]
  readonly createdIndex?: number
  readonly modifiedIndex?: number
  readonly ttl?: number
  readonly expiration?: string
}

export interface KeysAnswer { readonly action: string; readonly node: KeyNode; readonly prevNode?: KeyNode; /** The store's index when it answered. */ readonly index: number }

/** The server refused: its number, words and index. */
export class KeysError extends Error {
  override readonly name = 'KeysError'
  readonly errorCode: number
  constructor(errorCode: number, message: string, cause: string, index: number) {
    super(`${errorCode}: ${message} (${cause}) [${index}]`)
    this.errorCode = errorCode
  }
}

/** No endpoint answered. */
export class ClusterUnavailable extends Error {
  override readonly name = 'ClusterUnavailable'
  readonly details: readonly string[]
  constructor(details: readonly string[]) {
    super(`client: etcd cluster is unavailable or misconfigured; ${details.map((detail, i) => `error #${i}: ${detail}\n`).join('; ')}`)
    this.details = details
  }
}

export interface KeysOptions { readonly endpoints: readonly string[]; readonly tls?: ClientTls; readonly user?: string; readonly timeoutMs?: number }
export interface KeysQuery { readonly [name: string]: string | undefined }

const maxRedirects = 10

export class KeysClient {
  readonly #options: KeysOptions
  constructor(options: KeysOptions) { this.#options = options }

  /** @param form the body of a change, as a form. @throws KeysError, ClusterUnavailable */
  async call(method: 'GET' | 'PUT' | 'POST' | 'DELETE', key: string, query: KeysQuery, form?: KeysQuery, signal?: AbortSignal): Promise<KeysAnswer> {
    const path = `/v2/keys${key.startsWith('/') ? key : `/${key}`}`.split('/').map(encodeURIComponent).join('/')
    const search = encode(query)
    const problems: string[] = []
    for (const endpoint of this.#options.endpoints) {
      const { answer, problem } = await this.#follow(method, new URL(`${path}${search ? `?${search}` : ''}`, withScheme(endpoint)), form && encode(form), signal).then((value) => ({ answer: value, problem: undefined }), (error: unknown) => {
        if (signal?.aborted) throw error
        return { answer: undefined, problem: error instanceof Error ? error.message : String(error) }
      })
      if (!answer) { problems.push(problem ?? ''); continue }
      if (answer.status >= 500 && answer.status !== 503 && !answer.body.startsWith('{')) { problems.push(`client: etcd member ${endpoint} has an internal error`); continue }
      return interpret(answer)
    }
    throw new ClusterUnavailable(problems)
  }

  async #follow(method: string, url: URL, body: string | undefined, signal: AbortSignal | undefined, redirects = 0): Promise<Answer> {
    const answer = await this.#send(method, url, body, signal)
    if (answer.status !== 307 || answer.location === undefined) return answer
    if (redirects >= maxRedirects) throw new Error('client: too many redirects')
    return await this.#follow(method, new URL(answer.location, url), body, signal, redirects + 1)
  }

  #send(method: string, url: URL, body: string | undefined, signal: AbortSignal | undefined): Promise<Answer> {
    const { tls, user, timeoutMs } = this.#options
    return new Promise((resolve, reject) => {
      const options = {
        method, ...(signal ? { signal } : {}), ...(timeoutMs !== undefined && url.searchParams.get('wait') !== 'true' ? { timeout: timeoutMs } : {}), ...(user ? { auth: user } : {}),
        headers: body === undefined ? {} : { 'content-type': 'application/x-www-form-urlencoded', 'content-length': Buffer.byteLength(body) },
      }
      const request = url.protocol === 'https:' ? httpsRequest(url, { ...options, ...(tls?.ca ? { ca: tls.ca } : {}), ...(tls?.cert ? { cert: tls.cert } : {}), ...(tls?.key ? { key: tls.key } : {}), rejectUnauthorized: !tls?.insecureSkipVerify }) : httpRequest(url, options)
      request.on('timeout', () => request.destroy(new Error('client: request timed out')))
      request.on('error', reject)
      request.on('response', (response: IncomingMessage) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('error', reject)
        response.on('end', () => resolve({
          status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8'), index: Number(response.headers['x-etcd-index'] ?? 0), ...(response.headers.location === undefined ? {} : { location: response.headers.location }),
        }))
      })
      request.end(body)
    })
  }
}

interface Answer { readonly status: number; readonly body: string; readonly index: number; readonly location?: string }

function withScheme(endpoint: string): string { return /^https?:\/\//.test(endpoint) ? endpoint : `http://${endpoint}` }

function encode(values: KeysQuery): string {
  const out = new URLSearchParams()
  for (const [name, value] of Object.entries(values).sort(([a], [b]) => (a < b ? -1 : 1))) if (value !== undefined) out.append(name, value)
  return out.toString()
}

function interpret({ status, body, index }: Answer): KeysAnswer {
  if (body === '') throw new Error('client: response is invalid: unexpected end of JSON input')
  let parsed: unknown
  try {
    parsed = JSON.parse(body)
  } catch (error) {
    throw new Error('client: response is invalid json. The endpoint is probably not valid etcd cluster endpoint', { cause: error })
  }
  if (status === 200 || status === 201) return { ...(parsed as Omit<KeysAnswer, 'index'>), index } // cast: the API's answer
  const { errorCode = 0, message = '', cause = '', index: at = 0 } = parsed as { errorCode?: number; message?: string; cause?: string; index?: number } // cast: the API's error
  throw new KeysError(errorCode, message, cause, at)
}
