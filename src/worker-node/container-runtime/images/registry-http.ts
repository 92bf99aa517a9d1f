// HTTP requests to image registries: redirects followed, bodies as streams, credentials never sent to another host.
import { request as httpRequest } from 'node:http'
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'

export interface RegistryTls {
  /** PEM certificates to trust besides the system's. */
  readonly ca?: string
  readonly skipVerify?: boolean
}

export interface HttpAnswer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: IncomingMessage
}

/** The registry can't be reached, or what it says makes no sense. */
export class RegistryError extends Error {
  override readonly name = 'RegistryError'
  readonly reason: 'unreachable' | 'unauthorized' | 'not-found' | 'broken' | 'refused'
  constructor(reason: RegistryError['reason'], message: string, options?: ErrorOptions) { super(message, options); this.reason = reason }
}

const maxRedirects = 5
const idleMs = 60_000

/** @throws RegistryError `unreachable`, or the signal's reason */
export async function sendRequest(url: URL, headers: { readonly [name: string]: string }, options: { readonly tls?: RegistryTls; readonly signal: AbortSignal; readonly method?: string }): Promise<HttpAnswer> {
  let target = url
  let sent = headers
  for (let redirects = 0; ; redirects++) {
    const answer = await sendOnce(target, sent, options)
    const location = answer.headers.location
    if (![301, 302, 303, 307, 308].includes(answer.status) || location === undefined) return answer
    answer.body.resume()
    if (redirects >= maxRedirects) throw new RegistryError('broken', `${url.host}: too many redirects`)
    const next = new URL(location, target)
    if (next.protocol !== 'http:' && next.protocol !== 'https:') throw new RegistryError('broken', `${url.host}: redirect to ${next.protocol}`)
    if (next.host !== target.host || next.protocol !== target.protocol) sent = Object.fromEntries(Object.entries(sent).filter(([name]) => name.toLowerCase() !== 'authorization'))
    target = next
  }
}

function sendOnce(url: URL, headers: { readonly [name: string]: string }, options: { readonly tls?: RegistryTls; readonly signal: AbortSignal; readonly method?: string }): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    const send = url.protocol === 'https:' ? httpsRequest : httpRequest
    const tls = url.protocol === 'https:' ? { ...(options.tls?.ca && { ca: options.tls.ca }), ...(options.tls?.skipVerify && { rejectUnauthorized: false }) } : {}
    const request = send(url, { method: options.method ?? 'GET', headers: { 'user-agent': 'k8ts', ...headers }, signal: options.signal, ...tls }, (body) => {
      resolve({ status: body.statusCode ?? 0, headers: body.headers, body })
    })
    request.setTimeout(idleMs, () => request.destroy(new Error('nothing came for a minute')))
    request.on('error', (error) => reject(options.signal.aborted ? options.signal.reason : new RegistryError('unreachable', `${url.origin}: ${error.message}`, { cause: error })))
    request.end()
  })
}

/** A body of at most `limit` bytes. @throws RegistryError when it is longer */
export async function readBody(answer: HttpAnswer, limit: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const piece of answer.body) {
    const chunk = piece as Buffer // cast: no encoding is set, so pieces are buffers
    length += chunk.length
    if (length > limit) { answer.body.destroy(); throw new RegistryError('broken', 'the registry sends more than is allowed') }
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

/** Name and parameters of a `WWW-Authenticate` header. Pure. */
export function parseChallenge(header: string | undefined): { readonly scheme: string; readonly parameters: ReadonlyMap<string, string> } | undefined {
  const match = /^\s*([A-Za-z]+)\s*(.*)$/.exec(header ?? '')
  if (!match) return undefined
  const parameters = new Map<string, string>()
  for (const [, key = '', quoted, plain] of (match[2] ?? '').matchAll(/([A-Za-z_]+)=(?:"([^"]*)"|([^,\s]*))/g)) parameters.set(key.toLowerCase(), quoted ?? plain ?? '')
  return { scheme: (match[1] ?? '').toLowerCase(), parameters }
}
