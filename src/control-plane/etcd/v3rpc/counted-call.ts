// A streaming call that tells of what is sent and of its end.
import type { GrpcServerCall } from '../../../lib/net/grpc/grpc-server.ts'
import { statusOfError } from '../../../lib/net/grpc/status.ts'
import type { WatchSendTimes } from './watch-send-times.ts'

export interface StreamListener {
  sent(bytes: number): void
  ended(code: string, why?: string): void
  readonly times?: WatchSendTimes
}

export class CountedCall implements GrpcServerCall {
  readonly #call: GrpcServerCall
  readonly #hears: StreamListener

  constructor(call: GrpcServerCall, hears: StreamListener) {
    this.#call = call
    this.#hears = hears
  }

  get path(): string { return this.#call.path }
  get headers(): GrpcServerCall['headers'] { return this.#call.headers }
  get clientCommonName(): string | undefined { return this.#call.clientCommonName }
  get signal(): AbortSignal { return this.#call.signal }
  get queuedBytes(): number { return this.#call.queuedBytes }
  get onDrain(): (() => void) | undefined { return this.#call.onDrain }
  set onDrain(drained: (() => void) | undefined) { this.#call.onDrain = drained }

  send(message: Uint8Array): void {
    const { times } = this.#hears
    this.#hears.sent(message.length)
    const begunMs = times?.now() ?? 0
    this.#call.send(message)
    times?.answered(message, begunMs)
  }

  sendParts(head: Uint8Array, tail: Uint8Array): void {
    const { times } = this.#hears
    this.#hears.sent(head.length + tail.length)
    const begunMs = times?.now() ?? 0
    if (this.#call.sendParts) this.#call.sendParts(head, tail)
    else this.#call.send(Buffer.concat([head, tail]))
    times?.sentEvents(tail, begunMs)
  }

  end(): void {
    this.#hears.ended('OK')
    this.#call.end()
  }

  fail(error: unknown): void {
    const { code, message } = statusOfError(error)
    this.#hears.ended(code, message)
    this.#call.fail(error)
  }

  pause(): void { this.#call.pause() }
  resume(): void { this.#call.resume() }
}
