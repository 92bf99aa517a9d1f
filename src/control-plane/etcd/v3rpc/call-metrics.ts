// Counts the calls of gRPC handlers, their messages and bytes, gives errors their status, and tells of calls whoever wants to hear of each.
import type { Clock } from '../../../lib/base/clock.ts'
import type { Span, Tracer } from '../../../lib/component-base/tracing/span.ts'
import type { CallObserver, GrpcHandler, GrpcServerCall, GrpcStreamSink, ObservedCall } from '../../../lib/net/grpc/grpc-server.ts'
import type { GrpcService } from '../../../lib/net/grpc/service.ts'
import { GrpcError, statusOfError } from '../../../lib/net/grpc/status.ts'
import type { EtcdMetrics } from '../metrics/etcd-metrics.ts'
import type { Counter, Histogram } from '../metrics/instruments.ts'
import { endCallSpan, startCallSpan } from './call-tracing.ts'
import { CountedCall } from './counted-call.ts'
import type { RequestStats } from './request-stats.ts'
import { WatchSendTimes } from './watch-send-times.ts'
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

/** Who hears of each call. */
export interface CallListeners {
  readonly stats?: RequestStats | undefined
  readonly tracer?: Tracer | undefined
}

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
  readonly #stats: RequestStats | undefined
  readonly #tracer: Tracer | undefined
  readonly #spans = new WeakMap<ObservedCall, Span>()

  /** @param counted services whose methods are shown before their first call, as the original shows them */
  constructor(metrics: EtcdMetrics, clock: Clock, counted: readonly GrpcService[], others: readonly GrpcService[], { stats, tracer }: CallListeners = {}) {
    this.#stats = stats
    this.#tracer = tracer
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
    const failures = streamNames[path]
    if ('stream' in handler) {
      return {
        stream: (call) => {
          counters.started.inc()
          this.#countClient(call, 'stream')
          const measured = seconds()
          const begunMs = this.#clock.monotonic()
          const span = this.#tracer && startCallSpan(this.#tracer, path, call)
          let ended = false
          const onEnd = (code: string, why?: string): void => {
            if (ended) return
            ended = true
            if (span) endCallSpan(span, code, why)
            const took = (this.#clock.monotonic() - begunMs) / 1000
            measured?.observe(took)
            work?.observe(took)
            if (isWatch) this.#metrics.mvcc.watchStreams.dec()
          }
          if (isWatch) this.#metrics.mvcc.watchStreams.inc()
          if (isWatch || span) call.signal.addEventListener('abort', () => onEnd('Canceled'), { once: true })
          const sink = handler.stream(new CountedCall(call, {
            sent: (bytes) => { counters.sent.inc(); network.clientSentBytes.inc(bytes) },
            ended: (code, why) => {
              if (failures !== undefined && !ended && brokenStreams.has(code)) network.streamFailures.of(failures, 'receive').inc()
              onEnd(code, why)
            },
            ...(isWatch ? { times: new WatchSendTimes(this.#metrics.mvcc, this.#clock) } : {}),
          }))
          return { message: (bytes) => { counters.received.inc(); network.clientReceivedBytes.inc(bytes.length); sink.message(bytes) }, end: () => sink.end() } satisfies GrpcStreamSink
        },
      }
    }
    const { unary } = handler
    const read = reads[path]
    return {
      ...(handler.direct ? { direct: handler.direct, observer: this.#observerOf(path, counters, read, seconds) } : {}),
      unary: async (request, call) => {
        counters.started.inc()
        counters.received.inc()
        network.clientReceivedBytes.inc(request.length)
        this.#countClient(call, 'unary')
        const measured = seconds()
        const span = this.#tracer && startCallSpan(this.#tracer, path, call)
        const timed = measured !== undefined || read !== undefined || work !== undefined || this.#stats !== undefined
        const begunMs = timed ? this.#clock.monotonic() : 0
        let answered: Uint8Array | undefined
        let asked = true
        try {
          const answer = await unary(request, call)
          counters.sent.inc()
          network.clientSentBytes.inc(answer.length)
          answered = answer
          if (span) endCallSpan(span, 'OK')
          return answer
        } catch (error) {
          const status = toStatus(error)
          // What is wrong in itself was never asked of the store.
          asked = !(status instanceof GrpcError && status.code === 'InvalidArgument')
          if (span) { const { code, message } = statusOfError(status); endCallSpan(span, code, message) }
          throw status
        } finally {
          if (timed) {
            const tookMs = this.#clock.monotonic() - begunMs
            const took = tookMs / 1000
            measured?.observe(took)
            if (answered) work?.observe(took)
            if (read !== undefined && asked) this.#observeRead(read, took, answered !== undefined)
            const stats = this.#stats
            if (stats && tookMs > stats.fromMs) stats.finished({ path, remote: call.remoteAddress ?? gatewayRemote, tookMs, request, answer: answered && { sizeBytes: answered.length, bytes: answered } })
          }
        }
      },
    }
  }

  /** Counts calls that are answered directly: the ones that make the load. */
  #observerOf(path: string, counters: CallCounters, read: string | undefined, secondsOf: () => Histogram | undefined): CallObserver {
    const { started, received, sent } = counters
    const { clientReceivedBytes, clientSentBytes } = this.#metrics.network
    const seconds = secondsOf()
    const stats = this.#stats
    const tracer = this.#tracer
    const took = (beganMs: number, asked: boolean, call: ObservedCall, answer: { readonly sizeBytes: number; readonly message: unknown } | undefined): void => {
      const tookMs = this.#clock.monotonic() - beganMs
      seconds?.observe(tookMs / 1000)
      if (read !== undefined && asked) this.#observeRead(read, tookMs / 1000, answer !== undefined)
      if (stats && tookMs > stats.fromMs) stats.finished({ path, remote: call.remoteAddress, tookMs, request: call.requestBytes, answer })
    }
    const endSpan = (call: ObservedCall, code: string, why?: string): void => {
      const span = this.#spans.get(call)
      if (span) endCallSpan(span, code, why)
    }
    const timed = seconds !== undefined || read !== undefined || stats !== undefined
    return {
      timed,
      started: (call, bytes) => {
        started.inc()
        received.inc()
        clientReceivedBytes.inc(bytes)
        this.#countClient(call, 'unary')
        const span = tracer && startCallSpan(tracer, path, call)
        if (span) this.#spans.set(call, span)
      },
      answered: (bytes, beganMs, call, message) => {
        sent.inc()
        clientSentBytes.inc(bytes)
        if (timed) took(beganMs, true, call, { sizeBytes: bytes, message })
        if (tracer) endSpan(call, 'OK')
      },
      // What is wrong in itself was never asked of the store.
      failed: (beganMs, code, call, why) => {
        if (timed) took(beganMs, code !== 'InvalidArgument', call, undefined)
        if (tracer) endSpan(call, code, why)
      },
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

/** Calls of the gateway come from this process. */
const gatewayRemote = 'No remote client info.'

/** Streams whose failures the original counts, as it names them; a client that goes away is none. */
const streamNames: { readonly [path: string]: string } = { '/etcdserverpb.Watch/Watch': 'watch', '/etcdserverpb.Lease/LeaseKeepAlive': 'lease-keepalive' }
const brokenStreams: ReadonlySet<string> = new Set(['Unknown', 'Internal', 'DataLoss'])

function once<T>(make: () => T): () => T {
  let made: T | undefined
  return () => (made ??= make())
}
