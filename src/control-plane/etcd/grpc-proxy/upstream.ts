// The cluster as the proxy sees it: calls go to an endpoint that is connected, with what the caller said of himself (his token, that he wants a leader).
//
// Rule it keeps: a read goes to the next endpoint when its own can't serve; a change is sent again only when certainly nobody has seen it.
// Upstream: etcd/client/v3/retry_interceptor.go, etcd/server/proxy/grpcproxy/util.go
import type { IncomingHttpHeaders } from 'node:http2'
import { sleep, type Clock } from '../../../lib/base/clock.ts'
import type { Random } from '../../../lib/base/random.ts'
import { EndpointBalancer, type Endpoint } from '../../../lib/etcd-client/endpoint-balancer.ts'
import { GrpcChannel, type ClientTls, type GrpcCallObserver, type GrpcClientCall } from '../../../lib/net/grpc/grpc-channel.ts'
import type { GrpcHandler } from '../../../lib/net/grpc/grpc-server.ts'
import { GrpcError, GrpcNotSentError } from '../../../lib/net/grpc/status.ts'

export interface UpstreamOptions {
  /** `host:port`, with or without a scheme. */
  readonly endpoints: readonly string[]
  readonly clock: Clock
  readonly random: Random
  readonly tls?: ClientTls
  /** Largest answer and largest request, bytes. */
  readonly maxReceiveBytes: number
  readonly maxSendBytes: number
  /** Ask the server this often whether it is there; 0 never. */
  readonly keepAliveMs: number
  readonly keepAliveTimeoutMs: number
  readonly keepAliveWithoutCalls: boolean
}

export type Metadata = { readonly [name: string]: string }
export interface CallContext { readonly signal: AbortSignal; readonly metadata: Metadata }

const retryDelayMs = 25
const slowRetryDelayMs = 250
const patienceMs = 5000
/** Headers that the members are to see as the client sent them. */
const passedOn = ['token', 'hasleader', 'client-api-version'] as const

/** What a caller says of himself. */
export function metadataOf(headers: IncomingHttpHeaders): Metadata {
  return Object.fromEntries(passedOn.flatMap((name) => (typeof headers[name] === 'string' ? [[name, headers[name]]] : [])))
}

export class Upstream implements Disposable {
  readonly clock: Clock
  readonly #options: UpstreamOptions
  #endpoints: readonly string[]
  #balancer: EndpointBalancer<GrpcChannel>

  constructor(options: UpstreamOptions) {
    this.clock = options.clock
    this.#options = options
    this.#endpoints = options.endpoints
    this.#balancer = this.#connect()
  }

  get endpoints(): readonly string[] { return this.#endpoints }

  /** The members are others now: what is under way ends as if they had been lost. */
  setEndpoints(endpoints: readonly string[]): void {
    if (endpoints.length === 0 || (endpoints.length === this.#endpoints.length && endpoints.every((endpoint) => this.#endpoints.includes(endpoint)))) return
    const before = this.#balancer
    this.#endpoints = endpoints
    this.#balancer = this.#connect()
    before[Symbol.dispose]()
  }

  #connect(): EndpointBalancer<GrpcChannel> {
    const { clock, random, tls, maxReceiveBytes, keepAliveMs, keepAliveTimeoutMs, keepAliveWithoutCalls } = this.#options
    return new EndpointBalancer({
      endpoints: this.#endpoints, clock, random, patienceMs,
      open: (target, onDisconnect) => new GrpcChannel({
        target, clock, maxMessageBytes: maxReceiveBytes, onDisconnect, ...(keepAliveMs > 0 ? { keepAliveMs, keepAliveTimeoutMs, keepAliveWithoutCalls } : {}), ...(tls && !target.startsWith('http:') ? { tls } : {}),
      }),
    })
  }

  /** The next call goes elsewhere, where there is an elsewhere. */
  switchEndpoint(): void {
    const { ready } = this.#balancer
    if (ready) this.#balancer.avoid(ready)
  }

  /** @throws GrpcError */
  async unary(path: string, request: Uint8Array, context: CallContext, isRead: boolean): Promise<Uint8Array> {
    const { maxSendBytes } = this.#options
    if (request.length > maxSendBytes) throw new GrpcError('ResourceExhausted', `trying to send message larger than max (${request.length} vs. ${maxSendBytes})`)
    let startedMs: number | undefined
    for (let attempt = 1; ; attempt++) {
      const endpoint = await this.#pick(context.signal)
      try {
        return await endpoint.channel.unary(path, request, context)
      } catch (error) {
        if (context.signal.aborted) throw context.signal.reason
        if (!(error instanceof GrpcError) || error.code !== 'Unavailable') throw error
        this.#balancer.avoid(endpoint)
        if (!isRead && !(error instanceof GrpcNotSentError)) throw error
        startedMs ??= this.clock.monotonic()
        if (this.clock.monotonic() - startedMs >= patienceMs) throw error
        const count = this.#endpoints.length
        // Once around before the first wait; not too often while nobody serves.
        if (attempt % count === 0) await sleep(this.clock, attempt < 10 * count ? retryDelayMs : slowRetryDelayMs, context.signal)
      }
    }
  }

  /** Opens a stream where it can be answered now. Its end is told to `observer` alone. @throws GrpcError when nobody is connected */
  async open(path: string, context: CallContext, observer: GrpcCallObserver): Promise<GrpcClientCall> {
    const endpoint = await this.#pick(context.signal)
    return endpoint.channel.call(path, context, {
      message: (bytes) => observer.message(bytes),
      end: (error) => {
        if (error?.code === 'Unavailable') this.#balancer.avoid(endpoint)
        observer.end(error)
      },
    })
  }

  async #pick(signal: AbortSignal): Promise<Endpoint<GrpcChannel>> {
    try {
      return this.#balancer.ready ?? await this.#balancer.pick(signal)
    } catch (error) {
      if (signal.aborted) throw signal.reason
      throw error instanceof GrpcError ? error : new GrpcNotSentError('Unavailable', error instanceof Error ? error.message : String(error), { cause: error })
    }
  }

  [Symbol.dispose](): void { this.#balancer[Symbol.dispose]() }
}

/** A call that the members answer as it is. */
export function passUnary(upstream: Upstream, isRead: boolean): GrpcHandler {
  return { unary: (bytes, call) => upstream.unary(call.path, bytes, { signal: call.signal, metadata: metadataOf(call.headers) }, isRead) }
}

/** Bytes that may wait for a client before the member is asked to stop. */
const queuedBytesLimit = 1024 * 1024

/** One request, many answers, as they come. */
export function passServerStream(upstream: Upstream): GrpcHandler {
  return {
    stream: (call) => {
      let opened: Promise<GrpcClientCall> | undefined
      return {
        message: (bytes) => {
          if (opened) return
          opened = upstream.open(call.path, { signal: call.signal, metadata: metadataOf(call.headers) }, {
            message: (answer) => {
              call.send(answer)
              if (call.queuedBytes <= queuedBytesLimit) return
              void opened?.then((inner) => {
                inner.pause()
                call.onDrain = () => inner.resume()
              })
            },
            end: (error) => { if (error) call.fail(error); else call.end() },
          })
          opened.then((inner) => { inner.send(bytes); inner.finish() }, (error: unknown) => call.fail(error))
        },
        end: () => { if (!opened) call.fail(new GrpcError('Internal', 'no message in the request')) },
      }
    },
  }
}
