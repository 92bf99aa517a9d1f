// Requests to other members over HTTP/1.1: plain questions with an answer, and open requests that streams and snapshots are made of. Every
// wait ends: connecting, waiting for the answer's head, and silence in the middle of its body have limits.
import { Agent as HttpAgent, request as httpRequest, type ClientRequest, type IncomingMessage, type RequestOptions } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import type { Clock, Timer } from '../../../lib/base/clock.ts'
import { placeOfPeerUrl } from './peer-place.ts'
import { defaultPeerTimeouts, type PeerTimeouts } from './peer-timeouts.ts'
import type { PeerTls } from './peer-tls.ts'

/** Another member could not be asked, or did not answer as members do. */
export class PeerRequestError extends Error {
  override readonly name = 'PeerRequestError'
  readonly reason: 'unreachable' | 'timeout' | 'malformed'
  constructor(reason: PeerRequestError['reason'], message: string, options?: ErrorOptions) {
    super(message, options)
    this.reason = reason
  }
}

export interface PeerClientOptions {
  readonly clock: Clock
  /** How to dial https URLs; without it nothing but the machine's authorities is known. */
  readonly tls?: PeerTls
  /** The address that connections come from. */
  readonly localAddress?: string
  /** Default 2,000: a second and the election timeout. */
  readonly dialTimeoutMs?: number
  readonly timeouts?: PeerTimeouts
}

export interface PeerAnswer {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly body: Buffer
}

export interface PeerQuestion {
  readonly method: 'GET' | 'POST'
  readonly headers?: { readonly [name: string]: string }
  readonly body?: Uint8Array
  /** For the whole question. */
  readonly timeoutMs: number
  readonly maxAnswerBytes?: number
  readonly signal?: AbortSignal
}

export interface OpenRequest {
  readonly request: ClientRequest
  /** The answer's head. Rejects with PeerRequestError. */
  readonly answer: Promise<IncomingMessage>
}

/** Keeps connections for reuse; a closed one ends whatever is under way. */
export class PeerClient implements Disposable {
  readonly #options: PeerClientOptions
  readonly #dialTimeoutMs: number
  readonly #plain = new HttpAgent({ keepAlive: true, maxFreeSockets: 16, keepAliveMsecs: 5000, timeout: 4000 })
  #secure: HttpsAgent
  #secureGeneration: number
  readonly #open = new Set<ClientRequest>()
  #closed = false

  constructor(options: PeerClientOptions) {
    this.#options = options
    this.#dialTimeoutMs = options.dialTimeoutMs ?? 2000
    this.#secureGeneration = options.tls?.generation ?? 0
    this.#secure = this.#secureAgent()
  }

  get clock(): Clock { return this.#options.clock }
  get timeouts(): PeerTimeouts { return this.#options.timeouts ?? defaultPeerTimeouts }

  #secureAgent(): HttpsAgent {
    return new HttpsAgent({ keepAlive: true, maxFreeSockets: 16, keepAliveMsecs: 5000, timeout: 4000, maxCachedSessions: 0, ...this.#options.tls?.clientOptions() })
  }

  /** The agent with the certificates as they are now. */
  #agentFor(isSecure: boolean): HttpAgent {
    if (!isSecure) return this.#plain
    const generation = this.#options.tls?.generation ?? 0
    if (generation !== this.#secureGeneration) {
      this.#secureGeneration = generation
      this.#secure = this.#secureAgent()
    }
    return this.#secure
  }

  /**
   * Begins a request; its body is written by the caller, who also ends it.
   * @param headTimeoutMs from the connection to the answer's head; 0: the caller watches
   * @param reuse false: a connection of its own, closed afterwards
   */
  open(base: string, path: string, options: { readonly method: string; readonly headers: { readonly [name: string]: string }; readonly headTimeoutMs: number; readonly reuse: boolean }): OpenRequest {
    const place = placeOfPeerUrl(base)
    if (place === undefined) throw new PeerRequestError('malformed', `${base} is no peer URL`)
    const { isSecure } = place
    const requestOptions: RequestOptions = {
      method: options.method, headers: { ...options.headers }, path, setHost: true, agent: options.reuse ? this.#agentFor(isSecure) : false,
      ...('socketPath' in place ? { socketPath: place.socketPath } : { host: place.host, port: place.port, ...(this.#options.localAddress && { localAddress: this.#options.localAddress }) }),
    }
    const request = isSecure ? httpsRequest({ ...requestOptions, ...(options.reuse ? {} : this.#options.tls?.clientOptions()) }) : httpRequest(requestOptions)
    this.#open.add(request)
    request.once('close', () => { this.#open.delete(request) })
    if (this.#closed) request.destroy(new PeerRequestError('unreachable', 'the transport is closed'))
    return { request, answer: this.#awaitHead(request, base, isSecure, options.headTimeoutMs) }
  }

  #awaitHead(request: ClientRequest, base: string, isSecure: boolean, headTimeoutMs: number): Promise<IncomingMessage> {
    const { clock } = this.#options
    return new Promise((resolve, reject) => {
      const expire = (what: string) => (): void => { request.destroy(new PeerRequestError('timeout', `${base}: ${what}`)) }
      let timer: Timer | undefined = clock.setTimer(this.#dialTimeoutMs, expire('no connection in time'), { keepAlive: false })
      const connected = (): void => {
        timer?.[Symbol.dispose]()
        timer = headTimeoutMs === 0 ? undefined : clock.setTimer(headTimeoutMs, expire('no answer in time'), { keepAlive: false })
      }
      request.once('socket', (socket) => {
        if (socket.connecting) socket.once(isSecure ? 'secureConnect' : 'connect', connected)
        else connected()
      })
      request.once('response', (response) => { timer?.[Symbol.dispose](); resolve(response) })
      // Errors after the answer's head belong to who reads it.
      request.on('error', (error) => {
        timer?.[Symbol.dispose]()
        reject(error instanceof PeerRequestError ? error : new PeerRequestError('unreachable', `${base}: ${error.message}`, { cause: error }))
      })
      request.once('close', () => { timer?.[Symbol.dispose](); reject(new PeerRequestError('unreachable', `${base}: the connection was closed`)) })
    })
  }

  /** Asks once, and once more when a kept connection turns out to have been closed meanwhile. @throws PeerRequestError */
  async ask(base: string, path: string, question: PeerQuestion): Promise<PeerAnswer> {
    const first = this.#askOnce(base, path, question)
    try {
      return await first.answer
    } catch (error) {
      if (!first.request.reusedSocket || first.hasHead() || question.signal?.aborted || (error instanceof PeerRequestError && error.reason === 'timeout')) throw error
      return await this.#askOnce(base, path, question).answer
    }
  }

  #askOnce(base: string, path: string, question: PeerQuestion): { readonly request: ClientRequest; readonly answer: Promise<PeerAnswer>; hasHead(): boolean } {
    const body = question.body
    const headers = { ...question.headers, ...(body !== undefined && { 'Content-Length': String(body.length) }) }
    const { request, answer } = this.open(base, path, { method: question.method, headers, headTimeoutMs: 0, reuse: true })
    let seenHead = false
    const run = async (): Promise<PeerAnswer> => {
      const abort = (): void => { request.destroy(new PeerRequestError('timeout', `${base}${path}: given up`)) }
      using timer = this.#options.clock.setTimer(question.timeoutMs, abort, { keepAlive: false })
      void timer
      if (question.signal?.aborted) abort()
      question.signal?.addEventListener('abort', abort, { once: true })
      try {
        request.end(body)
        const response = await answer
        seenHead = true
        return { status: response.statusCode ?? 0, headers: response.headers, body: await this.#readAnswer(response, base + path, question.maxAnswerBytes ?? 1 << 20) }
      } finally {
        question.signal?.removeEventListener('abort', abort)
      }
    }
    return { request, answer: run(), hasHead: () => seenHead }
  }

  async #readAnswer(response: IncomingMessage, what: string, maxBytes: number): Promise<Buffer> {
    const chunks: Buffer[] = []
    let length = 0
    try {
      for await (const chunk of response as AsyncIterable<Buffer>) { // cast: no encoding is set, so chunks are buffers
        length += chunk.length
        if (length > maxBytes) throw new PeerRequestError('malformed', `${what}: the answer exceeds ${maxBytes} bytes`)
        chunks.push(chunk)
      }
    } catch (error) {
      throw error instanceof PeerRequestError ? error : new PeerRequestError('unreachable', `${what}: the answer was cut off`, { cause: error })
    }
    return Buffer.concat(chunks)
  }

  [Symbol.dispose](): void {
    this.#closed = true
    for (const request of this.#open) request.destroy()
    this.#plain.destroy()
    this.#secure.destroy()
  }
}
