// A client's connection to a cluster: calls go to the first endpoint that can be reached.
//
// A call that did not reach any endpoint is tried again until its deadline; a call that may have reached one is tried again only when it
// changes nothing. Upstream: client/v3/client.go, client/v3/retry_interceptor.go
import { sleep, type Clock } from '../../../lib/base/clock.ts'
import { decodeProto3, encodeProto3 } from '../../../lib/base/protobuf/proto3.ts'
import { authService } from '../../../lib/etcd-api/generated/services.ts'
import type { AuthenticateRequest, AuthenticateResponse } from '../../../lib/etcd-api/generated/types.ts'
import { GrpcChannel, type ClientTls } from '../../../lib/net/grpc/grpc-channel.ts'
import { MessageQueue, type GrpcMethod, type GrpcService } from '../../../lib/net/grpc/service.ts'
import { GrpcError } from '../../../lib/net/grpc/status.ts'
import { targetOf } from './endpoints.ts'

export interface ConnectionOptions {
  readonly endpoints: readonly string[]
  readonly clock: Clock
  readonly tls?: ClientTls
  readonly dialTimeoutMs: number
  readonly keepAliveMs: number
  readonly maxReceiveBytes?: number
  readonly maxSendBytes?: number
  /** Told about every unary call that failed. */
  onFailure?(method: string, error: GrpcError): void
}

export interface Credentials { readonly user?: string; readonly password?: string; readonly token?: string }

const retryDelayMs = 100
const defaultMaxSendBytes = 2 * 1024 * 1024
const defaultMaxReceiveBytes = 2 ** 31 - 1
/** Methods that change nothing. */
const readMethods = new Set(['Range', 'RangeStream', 'MemberList', 'Status', 'HashKV', 'Hash', 'LeaseTimeToLive', 'LeaseLeases', 'AuthStatus', 'UserGet', 'UserList', 'RoleGet', 'RoleList'])

export class EtcdConnection implements Disposable {
  readonly endpoints: readonly string[]
  readonly clock: Clock
  readonly #options: ConnectionOptions
  readonly #channels: readonly GrpcChannel[]
  #token: string | undefined
  #current = 0
  #closed = false

  constructor(options: ConnectionOptions) {
    this.endpoints = options.endpoints
    this.clock = options.clock
    this.#options = options
    this.#channels = options.endpoints.map((endpoint) => {
      const { target, tls } = targetOf(endpoint, options.tls !== undefined)
      return new GrpcChannel({
        target, clock: options.clock, maxMessageBytes: options.maxReceiveBytes ?? defaultMaxReceiveBytes, connectTimeoutMs: options.dialTimeoutMs, keepAliveMs: options.keepAliveMs,
        ...(tls ? { tls: options.tls ?? {} } : {}),
      })
    })
  }

  /** Gets a token for a name and password, or takes the one given. @throws GrpcError */
  async authenticate(credentials: Credentials, signal: AbortSignal): Promise<void> {
    if (credentials.token) { this.#token = credentials.token; return }
    if (!credentials.user || !credentials.password) return
    const request: AuthenticateRequest = { name: credentials.user, password: credentials.password }
    try {
      this.#token = (await this.unary<AuthenticateResponse>(authService, 'Authenticate', request, signal)).token
    } catch (error) {
      if (!(error instanceof GrpcError) || error.code !== 'FailedPrecondition') throw error
      // Authentication is off: names and passwords are not needed.
    }
  }

  /** @throws GrpcError */
  async unary<Response>(service: GrpcService, methodName: string, request: object, signal: AbortSignal): Promise<Response> {
    const { method, path } = this.#describe(service, methodName)
    const bytes = encodeProto3(service.table, method.request, request)
    const limit = this.#options.maxSendBytes ?? defaultMaxSendBytes
    try {
      if (bytes.length > limit) throw new GrpcError('ResourceExhausted', `trying to send message larger than max (${bytes.length} vs. ${limit})`)
      return await this.#attempt(methodName, signal, async (channel) => {
        const answer = await channel.unary(path, bytes, { signal, ...this.#metadata() })
        return decodeProto3<object>(service.table, method.response, answer) as Response // cast: the caller names the method's response
      })
    } catch (error) {
      if (error instanceof GrpcError) this.#options.onFailure?.(path, error)
      throw error
    }
  }

  /** A call with many answers. Leaving the loop cancels it. @throws GrpcError from the loop */
  async *serverStream<Response extends object>(service: GrpcService, methodName: string, request: object, signal: AbortSignal): AsyncGenerator<Response> {
    const requests = new MessageQueue<object>()
    requests.push(request)
    requests.finish()
    yield* this.bidiStream<Response>(service, methodName, requests, signal)
  }

  /** A call with many requests and answers. @param metadata beside the token */
  async *bidiStream<Response extends object>(service: GrpcService, methodName: string, requests: AsyncIterable<object>, signal: AbortSignal, metadata: { readonly [name: string]: string } = {}): AsyncGenerator<Response> {
    const { method, path } = this.#describe(service, methodName)
    await this.#attempt(methodName, signal, (channel) => this.#probe(channel, signal))
    const channel = this.#channelAt(this.#current)
    const answers = new MessageQueue<Response>(() => call.resume())
    const call = channel.call(path, { signal, metadata: { ...this.#metadata().metadata, ...metadata } }, {
      message: (bytes) => {
        answers.push(decodeProto3<object>(service.table, method.response, bytes) as Response) // cast: the caller names the method's response
        if (answers.length >= 64) call.pause()
      },
      end: (error) => { if (error) answers.fail(error); else answers.finish() },
    })
    void (async () => {
      try {
        for await (const request of requests) call.send(encodeProto3(service.table, method.request, request))
        call.finish()
      } catch (error) {
        call.cancel(error)
      }
    })()
    try {
      yield* answers
    } finally {
      call.cancel()
    }
  }

  /** Streams are not sent again, so that the endpoint is known to be there before one begins, by whatever answer. */
  async #probe(channel: GrpcChannel, signal: AbortSignal): Promise<void> {
    try {
      await channel.unary('/grpc.health.v1.Health/Check', new Uint8Array(0), { signal })
    } catch (error) {
      if (error instanceof GrpcError && error.code === 'Unavailable' && error.cause !== undefined) throw error
      if (signal.aborted) throw error
    }
  }

  async #attempt<T>(methodName: string, signal: AbortSignal, run: (channel: GrpcChannel) => Promise<T>): Promise<T> {
    let unreachable: GrpcError | undefined
    for (let attempt = 1; ; attempt++) {
      const at = this.#current
      try {
        return await run(this.#channelAt(at))
      } catch (error) {
        if (!(error instanceof GrpcError)) throw error
        if (signal.aborted) throw unreachable ? new GrpcError(error.code, `latest balancer error: ${unreachable.message}`, { cause: signal.reason }) : error
        const broken = isBrokenStream(error)
        if (this.#closed || (error.code !== 'Unavailable' && !broken)) throw error
        const neverSent = wasNeverSent(error)
        if (!neverSent && !readMethods.has(methodName)) throw error
        // A server's own word that it can't answer now is final after each endpoint was asked.
        if (!broken && error.cause === undefined && attempt >= this.#channels.length) throw error
        if (neverSent) unreachable = error
        this.#current = (at + 1) % this.#channels.length
        if (attempt % this.#channels.length === 0) {
          try {
            await sleep(this.clock, retryDelayMs, signal)
          } catch {
            throw new GrpcError(signal.reason instanceof Error && signal.reason.name === 'TimeoutError' ? 'DeadlineExceeded' : 'Canceled', `latest balancer error: ${error.message}`, { cause: signal.reason })
          }
        }
      }
    }
  }

  #describe(service: GrpcService, methodName: string): { readonly method: GrpcMethod; readonly path: string } {
    const method = service.methods[methodName]
    if (!method) throw new Error(`${service.name} has no method ${methodName}`)
    return { method, path: `/${service.name}/${methodName}` }
  }

  #channelAt(index: number): GrpcChannel {
    const channel = this.#channels[index]
    if (!channel) throw new Error('no endpoint')
    return channel
  }

  #metadata(): { readonly metadata: { readonly [name: string]: string } } {
    return { metadata: { 'client-api-version': '3.7', ...(this.#token === undefined ? {} : { token: this.#token }) } }
  }

  [Symbol.dispose](): void {
    this.#closed = true
    for (const channel of this.#channels) channel[Symbol.dispose]()
  }
}

/** A stream that was reset though nobody here canceled it: the server stopped, or it speaks another protocol. */
export function isBrokenStream(error: GrpcError): boolean { return error.code === 'Canceled' && error.cause === undefined && !error.message.startsWith('etcdserver: ') }

/** The connection failed while it was being made: no request was on it. */
function wasNeverSent(error: GrpcError): boolean {
  let code: unknown
  for (let cause: unknown = error.cause; cause instanceof Error; cause = cause.cause) {
    const { syscall, code: own } = cause as Error & { readonly syscall?: unknown; readonly code?: unknown } // cast: reading properties that may be absent
    if (syscall === 'connect' || syscall === 'getaddrinfo') return true
    code = own
  }
  if (error.cause === undefined) return false
  // What is left are failures of TLS, and connections that broke.
  return typeof code === 'string' ? !['ECONNRESET', 'EPIPE', 'ETIMEDOUT'].includes(code) && !code.startsWith('ERR_HTTP2_') : true
}

/** An error's text as the original's client gives it. */
export function describeCallError(error: unknown): string {
  if (!(error instanceof GrpcError)) return error instanceof Error ? error.message : String(error)
  if (error.code === 'DeadlineExceeded') return 'context deadline exceeded'
  if (error.code === 'Canceled' && !error.message.startsWith('etcdserver: ')) return 'context canceled'
  return error.message.startsWith('etcdserver: ') ? error.message : `rpc error: code = ${error.code} desc = ${error.message}`
}
