// Serves an embedded etcd to others: the v3 gRPC services and the HTTP endpoints, on the client port.
import type { Clock } from '../../../lib/base/clock.ts'
import type { PprofEndpoints } from '../../../lib/component-base/pprof/pprof-endpoints.ts'
import type { Tracer } from '../../../lib/component-base/tracing/span.ts'
import { authService, clusterService, electionService, kvService, leaseService, lockService, maintenanceService, watchService } from '../../../lib/etcd-api/generated/services.ts'
import { serveGrpc, type GrpcHandler, type GrpcServer, type ListenAddress, type PlainRequest, type PlainResponse, type ServerTls } from '../../../lib/net/grpc/grpc-server.ts'
import type { KeepAlivePolicy } from '../../../lib/net/http2/keep-alive.ts'
import { serviceHandlers } from '../../../lib/net/grpc/service-handlers.ts'
import type { EmbeddedEtcd } from '../embedded.ts'
import { answerV2 } from '../v2/v2-http.ts'
import { underAccessRules, type AccessCircumstances, type AccessRules } from '../gateway/access-control.ts'
import { createGateway } from '../gateway/gateway.ts'
import { gatewaySockets } from '../gateway/websocket.ts'
import { withoutCodes } from '../recipes/caller-client.ts'
import { electionImplementation } from '../recipes/election-service.ts'
import { lockImplementation } from '../recipes/lock-service.ts'
import { CallMetrics } from './call-metrics.ts'
import { answerHttp } from './http-endpoints.ts'
import { healthHandlers } from './health-service.ts'
import { kvHandlers } from './kv-handlers.ts'
import { kvImplementation } from './kv-service.ts'
import { keepAliveHandler, leaseImplementation } from './lease-service.ts'
import { authImplementation } from './auth-service.ts'
import { clusterImplementation } from './cluster-service.ts'
import { maintenanceImplementation } from './maintenance-service.ts'
import { MemberLimits } from './member-limits.ts'
import { RequestStats } from './request-stats.ts'
import { redirectToCleanPath } from './clean-path.ts'
import { watchHandler } from './watch-service.ts'

export interface ServeEtcdOptions {
  readonly clock: Clock
  readonly listen: readonly ListenAddress[]
  readonly tls?: ServerTls
  readonly maxRequestBytes?: number
  /** `grpc` alone, or what is not gRPC (`--listen-client-http-urls`). Default both. */
  readonly serves?: 'both' | 'grpc' | 'http'
  /** The JSON gateway under /v3/. Default true. */
  readonly gateway?: boolean
  /** The second API under /v2/. Default false. */
  readonly v2?: boolean
  /** `extensive` measures how long every call takes (`grpc_server_handling_seconds`). Default `basic`. */
  readonly metrics?: 'basic' | 'extensive'
  /** Origins whose pages may ask (`--cors`), as `https://example.com`. Default all. */
  readonly cors?: readonly string[]
  /** Host names that requests without TLS may come in for (`--host-whitelist`). Default all. */
  readonly hostWhitelist?: readonly string[]
  /** Calls that a client may have open on a connection. */
  readonly maxConcurrentStreams?: number
  readonly keepAlive?: KeepAlivePolicy
  /** When calls are told of because they took long. Default: never. */
  readonly requestWarnings?: { readonly unaryMs: number; readonly applyMs: number; /** Of every call. */ readonly tellsAll?: boolean }
  /** Makes the spans of calls. */
  readonly tracer?: Tracer
  /** Answers below /debug/pprof/. */
  readonly pprof?: PprofEndpoints
}

/** Room that messages have over the largest request. */
const overheadBytes = 512 * 1024

export async function serveEtcd(etcd: EmbeddedEtcd, options: ServeEtcdOptions): Promise<GrpcServer> {
  const { internals } = etcd
  const { metrics } = internals.member
  if (options.metrics === 'extensive') metrics.grpc.measureCalls()
  const maxRequestBytes = options.maxRequestBytes ?? 1.5 * 1024 * 1024
  const handlers = new Map<string, GrpcHandler>([
    ...serviceHandlers(kvService, kvImplementation(internals)),
    ...kvHandlers(internals).map(([method, handler]) => [`/${kvService.name}/${method}`, handler] as const),
    ...serviceHandlers(leaseService, leaseImplementation(internals)),
    ...serviceHandlers(maintenanceService, maintenanceImplementation(internals)),
    ...serviceHandlers(clusterService, clusterImplementation(internals)),
    ...serviceHandlers(authService, authImplementation(internals)),
    ...serviceHandlers(lockService, withoutCodes(lockImplementation(internals))),
    ...serviceHandlers(electionService, withoutCodes(electionImplementation(internals))),
    ...healthHandlers(internals),
    [`/${leaseService.name}/LeaseKeepAlive`, keepAliveHandler(internals)],
    [`/${watchService.name}/Watch`, watchHandler(internals, maxRequestBytes)],
  ])
  const calls = new CallMetrics(metrics, options.clock, [kvService, watchService, leaseService, clusterService, maintenanceService, authService], [lockService, electionService], { stats: statsOf(internals, options), tracer: options.tracer })
  const limits = new MemberLimits(internals)
  for (const [path, handler] of handlers) handlers.set(path, calls.observe(path, limits.limit(path, handler)))
  const onCallEnd = (path: string, code: string): void => calls.ended(path, code)
  const gateway = options.gateway === false ? undefined : createGateway(handlers, onCallEnd)
  const rules: AccessRules = options
  const circumstances = (): AccessCircumstances => ({ secure: options.tls !== undefined, refusesCertificateNames: internals.clientCertAuth && gateway !== undefined && internals.member.machine.auth.enabled })
  const answer = async (request: PlainRequest): Promise<PlainResponse> => {
    const v2 = options.v2 ? answerV2(internals, request) : undefined
    return await (options.pprof?.answer(request) ?? v2 ?? redirectToCleanPath(request, gateway !== undefined) ?? gateway?.answer(request) ?? answerHttp(internals, request))
  }
  const closing = new AbortController()
  const sockets = gateway && gatewaySockets({ gateway, rules, circumstances, maxMessageBytes: (maxRequestBytes + overheadBytes) * 2, signal: closing.signal })
  const server = await serveGrpc({
    clock: options.clock, listen: options.listen, ...(options.tls ? { tls: options.tls } : {}), maxMessageBytes: maxRequestBytes + overheadBytes, handlers: options.serves === 'http' ? [] : handlers,
    // Base64 makes a request a third longer.
    maxBodyBytes: (maxRequestBytes + overheadBytes) * 2,
    ...(options.serves === 'grpc' ? {} : { onHttp: (request: PlainRequest) => underAccessRules(rules, circumstances(), request, answer), ...(sockets ? { onUpgrade: sockets } : {}) }),
    onCallEnd, ...(options.maxConcurrentStreams === undefined ? {} : { maxConcurrentStreams: options.maxConcurrentStreams }), ...(options.keepAlive && { keepAlive: options.keepAlive }),
  })
  return {
    addresses: server.addresses,
    [Symbol.asyncDispose]: async () => {
      closing.abort(new Error('the server ends'))
      await server[Symbol.asyncDispose]()
    },
  }
}

function statsOf({ logger, member }: EmbeddedEtcd['internals'], { requestWarnings: wanted, clock }: ServeEtcdOptions): RequestStats | undefined {
  if (!wanted) return undefined
  return new RequestStats({ clock, logger, warningMs: wanted.unaryMs, warningApplyMs: wanted.applyMs, tellsAll: wanted.tellsAll ?? false, onSlowRead: () => member.metrics.server.slowApply.inc() })
}

/** Health and metrics alone, for `--listen-metrics-urls`. */
export function serveEtcdHealth(etcd: EmbeddedEtcd, options: ServeEtcdOptions): Promise<GrpcServer> {
  return serveGrpc({ clock: options.clock, listen: options.listen, ...(options.tls ? { tls: options.tls } : {}), handlers: [], onHttp: (request) => answerHttp(etcd.internals, request) })
}
