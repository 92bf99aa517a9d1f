// Requests to any member of a cluster of version 2: one endpoint after the other, redirects followed, JSON answers. `--debug` tells each request
// as a curl command. Upstream: client/v2/client.go
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { ClientTls } from '../../../lib/net/grpc/grpc-channel.ts'

export interface ClusterOptions {
  readonly endpoints: readonly string[]
  readonly tls?: ClientTls
  /** `name:password`. */
  readonly user?: string
  readonly timeoutMs?: number
  /** Told each request as curl would make it. */
  readonly onRequest?: (curl: string) => void
}

export interface ClusterAnswer {
  readonly status: number
  readonly body: string
  /** The store's index when it answered. */
  readonly index: number
}

export interface RequestBody { readonly type: string; readonly text: string }

/** No endpoint answered. */
export class ClusterUnavailable extends Error {
  override readonly name = 'ClusterUnavailable'
  readonly details: readonly string[]
  constructor(details: readonly string[]) {
    super(`client: etcd cluster is unavailable or misconfigured; ${details.map((detail, i) => `error #${i}: ${detail}\n`).join('; ')}`)
    this.details = details
  }
}

const maxRedirects = 10

export class HttpCluster {
  readonly #options: ClusterOptions
  constructor(options: ClusterOptions) { this.#options = options }

  get endpoints(): readonly string[] { return this.#options.endpoints }

  /** @param target path and query @throws ClusterUnavailable */
  async send(method: string, target: string, body?: RequestBody, signal?: AbortSignal, isLongPoll = false): Promise<ClusterAnswer> {
    const problems: string[] = []
    for (const endpoint of this.#options.endpoints) {
      const { answer, problem } = await this.#follow(method, new URL(target, withScheme(endpoint)), body, signal, isLongPoll).then((value) => ({ answer: value, problem: undefined }), (error: unknown) => {
        if (signal?.aborted) throw error
        return { answer: undefined, problem: describe(error) }
      })
      if (!answer) { problems.push(problem ?? ''); continue }
      if (answer.status >= 500 && answer.status !== 503 && !answer.body.startsWith('{')) { problems.push(`client: etcd member ${endpoint} has an internal error`); continue }
      return answer
    }
    throw new ClusterUnavailable(problems)
  }

  async #follow(method: string, url: URL, body: RequestBody | undefined, signal: AbortSignal | undefined, isLongPoll: boolean, redirects = 0): Promise<ClusterAnswer> {
    this.#options.onRequest?.(`curl -X ${method} ${url.href}${body === undefined ? '' : ` -d ${JSON.stringify(body.text)}`}`)
    const { location, ...answer } = await this.get(method, url, body, signal, isLongPoll)
    if (answer.status !== 307 || location === undefined) return answer
    if (redirects >= maxRedirects) throw new Error('client: too many redirects')
    return await this.#follow(method, new URL(location, url), body, signal, isLongPoll, redirects + 1)
  }

  /** One request, to this address. */
  get(method: string, url: URL, body?: RequestBody, signal?: AbortSignal, isLongPoll = false): Promise<ClusterAnswer & { readonly location?: string }> {
    const { tls, user, timeoutMs } = this.#options
    return new Promise((resolve, reject) => {
      const options = {
        // Without a word about it Node's own agent ends a request after five silent seconds.
        method, timeout: isLongPoll ? 0 : timeoutMs ?? 0, ...(signal ? { signal } : {}), ...(user ? { auth: user } : {}),
        headers: body === undefined ? {} : { 'content-type': body.type, 'content-length': Buffer.byteLength(body.text) },
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
      request.end(body?.text)
    })
  }
}

export function withScheme(endpoint: string): string { return /^https?:\/\//.test(endpoint) ? endpoint : `http://${endpoint}` }

/** A failure to connect in Go's words. */
export function describe(error: unknown): string {
  const { code, address, port, message } = error as { readonly code?: string; readonly address?: string; readonly port?: number; readonly message?: string } // cast: errors of the network have these
  return code === 'ECONNREFUSED' ? `dial tcp ${address}:${port}: connect: connection refused` : String(message)
}
