// A gRPC call whose other end is an HTTP request, or a WebSocket: messages go out as lines of JSON.
import type { GrpcServerCall, PlainRequest, PlainSink } from '../../../lib/net/grpc/grpc-server.ts'
import { codeNumber, statusOfError, type GrpcCode } from '../../../lib/net/grpc/status.ts'

export function errorBody({ code, message }: { readonly code: GrpcCode; readonly message: string }): string { return JSON.stringify({ code: codeNumber(code), message }) }

export class GatewayCall implements GrpcServerCall {
  readonly path: string
  readonly headers: GrpcServerCall['headers']
  readonly signal: AbortSignal
  // The gateway calls with its own certificate in the original, so a name in one counts for nothing here.
  readonly clientCommonName = undefined
  readonly started: Promise<void>
  onDrain: (() => void) | undefined
  failure: unknown
  hasOutput = false
  readonly #format: (message: Uint8Array) => string
  readonly #onEnd: (code: GrpcCode) => void
  readonly #start: () => void
  readonly #done: Promise<void>
  readonly #finish: () => void
  #waiting: string[] = []
  #waitingBytes = 0
  #out: PlainSink | undefined
  #ended = false

  constructor(path: string, request: Pick<PlainRequest, 'headers' | 'signal'>, format: (message: Uint8Array) => string = () => '', onEnd: (code: GrpcCode) => void = () => {}) {
    this.path = path
    this.headers = request.headers as GrpcServerCall['headers'] // cast: the same headers, typed more loosely
    this.signal = request.signal
    this.#format = format
    this.#onEnd = onEnd
    const started = Promise.withResolvers<void>()
    const done = Promise.withResolvers<void>()
    this.started = started.promise
    this.#start = started.resolve
    this.#done = done.promise
    this.#finish = done.resolve
    request.signal.addEventListener('abort', () => this.#close('Canceled'), { once: true })
  }

  get queuedBytes(): number { return this.#waitingBytes + (this.#out?.queuedBytes ?? 0) }

  send(message: Uint8Array): void {
    if (this.#ended) return
    this.hasOutput = true
    const text = this.#format(message)
    if (this.#out) this.#out.write(text)
    else { this.#waiting.push(text); this.#waitingBytes += text.length }
    this.#start()
  }

  #drain(): string {
    const text = this.#waiting.join('')
    this.#waiting = []
    this.#waitingBytes = 0
    return text
  }

  end(): void { this.#close('OK') }

  fail(error: unknown): void {
    if (this.#ended) return
    this.failure = error
    if (this.hasOutput) {
      const text = `{"error":${errorBody(statusOfError(error))}}\n`
      if (this.#out) this.#out.write(text)
      else this.#waiting.push(text)
    }
    this.#close(statusOfError(error).code)
  }

  #close(code: GrpcCode): void {
    if (this.#ended) return
    this.#ended = true
    this.#onEnd(code)
    this.#start()
    this.#finish()
  }

  async pipe(out: PlainSink): Promise<void> {
    this.#out = out
    out.onDrain = () => this.onDrain?.()
    out.write(this.#drain())
    await this.#done
  }

  pause(): void {}
  resume(): void {}
}
