// Counts the calls of gRPC handlers, their messages and bytes, and gives errors their status.
import type { Clock } from '../../../lib/base/clock.ts'
import type { CallObserver, GrpcHandler, GrpcServerCall, GrpcStreamSink } from '../../../lib/net/grpc/grpc-server.ts'
import type { GrpcService } from '../../../lib/net/grpc/service.ts'
import { GrpcError } from '../../../lib/net/grpc/status.ts'
import type { EtcdMetrics } from '../metrics/etcd-metrics.ts'
import type { Counter, Histogram } from '../metrics/instruments.ts'
import { toStatus } from './response-header.ts'

export type CallType = 'unary' | 'server_stream' | 'client_stream' | 'bidi_stream'

/** Which calls stream what, as the original's service descriptions say it. */
function typeOf(service: GrpcService, method: string): CallType {
  const { requestStream = false, responseStream = false } = service.methods[method] ?? {}
  if (requestStream) return responseStream ? 'bidi_stream' : 'client_stream'
  return responseStream ? 'server_stream' : 'unary'
}

const codes = [
  'OK', 'Canceled', 'Unknown', 'InvalidArgument', 'DeadlineExceeded', 'NotFound', 'AlreadyExists', 'PermissionDenied', 'ResourceExhausted', 'FailedPrecondition', 'Aborted', 'OutOfRange', 'Unimplemented', 'Internal', 'Unavailable',
  'DataLoss', 'Unauthenticated',
] as const

/** Methods of grpc.health.v1 that the original counts although only Check is ever asked. */
const healthMethods: readonly (readonly [method: string, type: CallType])[] = [['Check', 'unary'], ['List', 'unary'], ['Watch', 'server_stream']]

/** Work of the database that a call does, and whose time has a name of its own. */
const workOf: { readonly [path: string]: (metrics: EtcdMetrics) => Histogram } = {
  '/etcdserverpb.Maintenance/Hash': ({ mvcc }) => mvcc.hashDuration, '/etcdserverpb.Maintenance/HashKV': ({ mvcc }) => mvcc.hashRevisionDuration,
  '/etcdserverpb.Maintenance/Defragment': ({ disk }) => disk.backendDefrag, '/etcdserverpb.Maintenance/Snapshot': ({ disk }) => disk.backendSnapshot,
}

/** Requests that are answered at once, for `etcd_server_request_duration_seconds`; what goes through the log is measured there. */
const reads: { readonly [path: string]: string } = {
  '/etcdserverpb.KV/Range': 'Range', '/etcdserverpb.KV/RangeStream': 'RangeStream', '/etcdserverpb.Auth/AuthStatus': 'AuthStatus', '/etcdserverpb.Auth/UserGet': 'AuthUserGet', '/etcdserverpb.Auth/UserList': 'AuthUserList',
  '/etcdserverpb.Auth/RoleGet': 'AuthRoleGet', '/etcdserverpb.Auth/RoleList': 'AuthRoleList',
}

const mostVersions = 100

interface CallCounters {
  readonly type: CallType
  readonly started: Counter
  readonly received: Counter
  readonly sent: Counter
  readonly handled: (code: string) => Counter
}

export class CallMetrics {
  readonly #metrics: EtcdMetrics
  readonly #clock: Clock
  readonly #counters = new Map<string, CallCounters>()

  /** @param counted services whose methods are shown before their first call, as the original shows them */
  constructor(metrics: EtcdMetrics, clock: Clock, counted: readonly GrpcService[], others: readonly GrpcService[]) {
    this.#metrics = metrics
    this.#clock = clock
    for (const service of counted) for (const method of Object.keys(service.methods)) this.#open(service.name, method, typeOf(service, method), true)
    for (const [method, type] of healthMethods) this.#open('grpc.health.v1.Health', method, type, true)
    for (const service of others) for (const method of Object.keys(service.methods)) this.#open(service.name, method, typeOf(service, method), false)
  }

  #open(service: string, method: string, type: CallType, shown: boolean): void {
    const { grpc } = this.#metrics
    const handled = new Map<string, Counter>()
    const counterOf = (code: string): Counter => {
      let counter = handled.get(code)
      if (!counter) handled.set(code, (counter = grpc.handled.of(code, method, service, type)))
      return counter
    }
    const labels = [method, service, type] as const
    const late = <K extends 'started' | 'received' | 'sent'>(name: K): Counter => grpc[name].of(...labels)
    if (shown) {
      for (const code of codes) counterOf(code)
      grpc.handlingSeconds?.of(...labels)
      this.#counters.set(`/${service}/${method}`, { type, started: late('started'), received: late('received'), sent: late('sent'), handled: counterOf })
    } else {
      // Not shown before it is called.
      this.#counters.set(`/${service}/${method}`, { type, get started() { return late('started') }, get received() { return late('received') }, get sent() { return late('sent') }, handled: counterOf })
    }
  }

  /** A call has ended, however. */
  ended(path: string, code: string): void { this.#counters.get(path)?.handled(code).inc() }

  /** The handler, counted. */
  observe(path: string, handler: GrpcHandler): GrpcHandler {
    const counters = this.#counters.get(path)
    if (!counters) return handler
    const { grpc, network } = this.#metrics
    const [, service = '', method = ''] = path.split('/')
    const seconds = (): Histogram | undefined => grpc.handlingSeconds?.of(method, service, counters.type)
    const work = workOf[path]?.(this.#metrics)
    const isWatch = path === '/etcdserverpb.Watch/Watch'
    if ('stream' in handler) {
      return {
        stream: (call) => {
          counters.started.inc()
          this.#countClient(call, 'stream')
          const measured = seconds()
          const begunMs = this.#clock.monotonic()
          let ended = false
          const onEnd = (): void => {
            if (ended) return
            ended = true
            const took = (this.#clock.monotonic() - begunMs) / 1000
            measured?.observe(took)
            work?.observe(took)
            if (isWatch) this.#metrics.mvcc.watchStreams.dec()
          }
          if (isWatch) {
            this.#metrics.mvcc.watchStreams.inc()
            call.signal.addEventListener('abort', onEnd, { once: true })
          }
          const sink = handler.stream(new CountedCall(call, (bytes) => { counters.sent.inc(); network.clientSentBytes.inc(bytes) }, onEnd))
          return { message: (bytes) => { counters.received.inc(); network.clientReceivedBytes.inc(bytes.length); sink.message(bytes) }, end: () => sink.end() } satisfies GrpcStreamSink
        },
      }
    }
    const { unary } = handler
    const read = reads[path]
    return {
      ...(handler.direct ? { direct: handler.direct, observer: this.#observerOf(counters, read, seconds) } : {}),
      unary: async (request, call) => {
        counters.started.inc()
        counters.received.inc()
        network.clientReceivedBytes.inc(request.length)
        this.#countClient(call, 'unary')
        const measured = seconds()
        const timed = measured !== undefined || read !== undefined || work !== undefined
        const begunMs = timed ? this.#clock.monotonic() : 0
        let succeeded = false
        let asked = true
        try {
          const answer = await unary(request, call)
          counters.sent.inc()
          network.clientSentBytes.inc(answer.length)
          succeeded = true
          return answer
        } catch (error) {
          const status = toStatus(error)
          // What is wrong in itself was never asked of the store.
          asked = !(status instanceof GrpcError && status.code === 'InvalidArgument')
          throw status
        } finally {
          if (timed) {
            const took = (this.#clock.monotonic() - begunMs) / 1000
            measured?.observe(took)
            if (succeeded) work?.observe(took)
            if (read !== undefined && asked) this.#observeRead(read, took, succeeded)
          }
        }
      },
    }
  }

  /** Counts calls that are answered directly: the ones that make the load. */
  #observerOf(counters: CallCounters, read: string | undefined, secondsOf: () => Histogram | undefined): CallObserver {
    const { started, received, sent } = counters
    const { clientReceivedBytes, clientSentBytes } = this.#metrics.network
    const seconds = secondsOf()
    const took = (beganMs: number, succeeded: boolean, asked: boolean): void => {
      const value = (this.#clock.monotonic() - beganMs) / 1000
      seconds?.observe(value)
      if (read !== undefined && asked) this.#observeRead(read, value, succeeded)
    }
    const timed = seconds !== undefined || read !== undefined
    return {
      timed,
      started: (call, bytes) => {
        started.inc()
        received.inc()
        clientReceivedBytes.inc(bytes)
        this.#countClient(call, 'unary')
      },
      answered: (bytes, beganMs) => {
        sent.inc()
        clientSentBytes.inc(bytes)
        if (timed) took(beganMs, true, true)
      },
      // What is wrong in itself was never asked of the store.
      failed: (beganMs, code) => { if (timed) took(beganMs, false, code !== 'InvalidArgument') },
    }
  }

  /** Made when first needed: a series that never was is not shown. */
  readonly #ranges = { true: once(() => this.#metrics.server.rangeDuration.of('true')), false: once(() => this.#metrics.server.rangeDuration.of('false')) }

  #observeRead(type: string, seconds: number, succeeded: boolean): void {
    this.#metrics.observeRequest(type, seconds, succeeded)
    if (!type.startsWith('Range')) return
    this.#ranges[succeeded ? 'true' : 'false']().observe(seconds)
    if (succeeded) this.#metrics.mvcc.ranges.inc()
  }

  readonly #clients: { readonly [type in 'unary' | 'stream']: Map<string, Counter> } = { unary: new Map(), stream: new Map() }

  #countClient(call: Pick<GrpcServerCall, 'headers'>, type: 'unary' | 'stream'): void {
    const header = call.headers['client-api-version']
    const version = typeof header === 'string' ? header : 'unknown'
    const known = this.#clients[type]
    let counter = known.get(version)
    if (!counter) {
      // Whoever makes up versions makes up to this many series.
      if (known.size >= mostVersions) return
      known.set(version, (counter = this.#metrics.grpc.clientRequests.of(/^[\w.+-]{1,32}$/.test(version) ? version : 'unknown', type)))
    }
    counter.inc()
  }
}

/** A streaming call that tells of what is sent and of its end. */
class CountedCall implements GrpcServerCall {
  readonly #call: GrpcServerCall
  readonly #onSend: (bytes: number) => void
  readonly #onEnd: () => void

  constructor(call: GrpcServerCall, onSend: (bytes: number) => void, onEnd: () => void) {
    this.#call = call
    this.#onSend = onSend
    this.#onEnd = onEnd
  }

  get path(): string { return this.#call.path }
  get headers(): GrpcServerCall['headers'] { return this.#call.headers }
  get clientCommonName(): string | undefined { return this.#call.clientCommonName }
  get signal(): AbortSignal { return this.#call.signal }
  get queuedBytes(): number { return this.#call.queuedBytes }
  get onDrain(): (() => void) | undefined { return this.#call.onDrain }
  set onDrain(drained: (() => void) | undefined) { this.#call.onDrain = drained }

  send(message: Uint8Array): void {
    this.#onSend(message.length)
    this.#call.send(message)
  }

  sendParts(head: Uint8Array, tail: Uint8Array): void {
    this.#onSend(head.length + tail.length)
    if (this.#call.sendParts) this.#call.sendParts(head, tail)
    else this.#call.send(Buffer.concat([head, tail]))
  }

  end(): void {
    this.#onEnd()
    this.#call.end()
  }

  fail(error: unknown): void {
    this.#onEnd()
    this.#call.fail(error)
  }

  pause(): void { this.#call.pause() }
  resume(): void { this.#call.resume() }
}

function once<T>(make: () => T): () => T {
  let made: T | undefined
  return () => (made ??= make())
}
