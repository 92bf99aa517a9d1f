// Answers and bodies of the peer port, as Go's net/http words them: the original reads some of these texts.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Clock, Timer } from '../../../lib/base/clock.ts'

/** The request's body is of no use; `status` and `message` are the answer. */
export class BodyError extends Error {
  override readonly name = 'BodyError'
  readonly status: number
  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

/** Go's http.Error. */
export function answerError(response: ServerResponse, status: number, words: string): void {
  answer(response, status, 'text/plain; charset=utf-8', `${words}\n`, { 'X-Content-Type-Options': 'nosniff' })
}

/** The original's HTTPError. */
export function answerJsonError(response: ServerResponse, status: number, message: string): void {
  answer(response, status, 'application/json', JSON.stringify({ message }))
}

export function answer(response: ServerResponse, status: number, type: string, body: string | Uint8Array, headers: { readonly [name: string]: string } = {}): void {
  if (response.headersSent || response.destroyed) return
  response.writeHead(status, { ...headers, 'Content-Type': type, 'Content-Length': Buffer.byteLength(body) })
  response.end(body)
}

/** False, and answered, when another method is wanted. */
export function allowMethod(request: IncomingMessage, response: ServerResponse, method: string, tellAllowed = true): boolean {
  if (request.method === method) return true
  if (tellAllowed) response.setHeader('Allow', method)
  answerError(response, 405, 'Method Not Allowed')
  return false
}

/** Ends a connection whose request body stops coming. */
export class BodyWatch implements Disposable {
  readonly #request: IncomingMessage
  readonly #clock: Clock
  readonly #limitMs: number
  #heardMs: number
  #timer: Timer

  constructor(request: IncomingMessage, clock: Clock, limitMs: number) {
    this.#request = request
    this.#clock = clock
    this.#limitMs = limitMs
    this.#heardMs = clock.monotonic()
    this.#timer = clock.setTimer(limitMs, this.#check, { keepAlive: false })
  }

  heard(): void { this.#heardMs = this.#clock.monotonic() }

  readonly #check = (): void => {
    const silentMs = this.#clock.monotonic() - this.#heardMs
    if (silentMs >= this.#limitMs) this.#request.destroy(new BodyError(408, 'the request stopped coming'))
    else this.#timer = this.#clock.setTimer(this.#limitMs - silentMs, this.#check, { keepAlive: false })
  }

  [Symbol.dispose](): void { this.#timer[Symbol.dispose]() }
}

/** What all bodies that are being read may hold together: beyond it nobody is listened to. */
export class BodyBudget {
  readonly #limitBytes: number
  #heldBytes = 0

  constructor(limitBytes: number) { this.#limitBytes = limitBytes }

  /** @throws BodyError when it is used up */
  hold(bytes: number): void {
    if (this.#heldBytes + bytes > this.#limitBytes) throw new BodyError(503, 'too many requests at once')
    this.#heldBytes += bytes
  }

  release(bytes: number): void { this.#heldBytes -= bytes }
}

/** @throws BodyError, or what ended the connection */
export async function readBody(request: IncomingMessage, clock: Clock, budget: BodyBudget, limitBytes: number, silenceLimitMs: number): Promise<Buffer> {
  using watch = new BodyWatch(request, clock, silenceLimitMs)
  const chunks: Buffer[] = []
  let length = 0
  try {
    // Not destroyed when left early: the answer goes the same way.
    for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) { // cast: no encoding is set, so chunks are buffers
      watch.heard()
      if (length + chunk.length > limitBytes) throw new BodyError(413, 'request body too large')
      budget.hold(chunk.length)
      length += chunk.length
      chunks.push(chunk)
    }
    return chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks)
  } finally {
    budget.release(length)
  }
}
