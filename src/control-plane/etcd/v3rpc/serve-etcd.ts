// Serves an embedded etcd to others: the v3 gRPC services and the HTTP endpoints, on the client port.
import type { Clock } from '../../../lib/base/clock.ts'
import { authService, clusterService, electionService, kvService, leaseService, lockService, maintenanceService, watchService } from '../../../lib/etcd-api/generated/services.ts'
import { serveGrpc, type GrpcHandler, type GrpcServer, type ListenAddress, type ServerTls } from '../../../lib/net/grpc/grpc-server.ts'
import { healthService } from '../../../lib/net/grpc/health-service.ts'
import { serviceHandlers } from '../../../lib/net/grpc/service-handlers.ts'
import type { EmbeddedEtcd } from '../embedded.ts'
import { answerV2 } from '../v2/v2-http.ts'
import { createGateway } from '../gateway/gateway.ts'
import { electionImplementation } from '../recipes/election-service.ts'
import { lockImplementation } from '../recipes/lock-service.ts'
import { answerHttp } from './http-endpoints.ts'
import { kvCodecs } from './kv-codecs.ts'
import { kvImplementation } from './kv-service.ts'
import { keepAliveHandler, leaseImplementation } from './lease-service.ts'
import { authImplementation } from './auth-service.ts'
import { clusterImplementation } from './cluster-service.ts'
import { maintenanceImplementation } from './maintenance-service.ts'
import { RpcCounts } from './metrics.ts'
import { toStatus } from './response-header.ts'
import { watchHandler } from './watch-service.ts'

export interface ServeEtcdOptions {
  readonly clock: Clock
  readonly listen: readonly ListenAddress[]
  readonly tls?: ServerTls
  readonly maxRequestBytes?: number
  /** The JSON gateway under /v3/. Default true. */
  readonly gateway?: boolean
  /** The second API under /v2/. Default false. */
  readonly v2?: boolean
}

/** Room that messages have over the largest request. */
const overheadBytes = 512 * 1024

export function serveEtcd(etcd: EmbeddedEtcd, options: ServeEtcdOptions): Promise<GrpcServer> {
  const { internals } = etcd
  const counts = new RpcCounts()
  const maxRequestBytes = options.maxRequestBytes ?? 1.5 * 1024 * 1024
  const handlers = new Map<string, GrpcHandler>([
    ...serviceHandlers({ ...kvService, codecs: kvCodecs, sharesSignal: true }, kvImplementation(internals)),
    ...serviceHandlers(leaseService, leaseImplementation(internals)),
    ...serviceHandlers(maintenanceService, maintenanceImplementation(internals)),
    ...serviceHandlers(clusterService, clusterImplementation(internals)),
    ...serviceHandlers(authService, authImplementation(internals)),
    ...serviceHandlers(lockService, lockImplementation(internals)),
    ...serviceHandlers(electionService, electionImplementation(internals)),
    ...serviceHandlers(healthService, { check: async () => ({ status: internals.member.isServing ? 'SERVING' : 'NOT_SERVING' }) }),
    [`/${leaseService.name}/LeaseKeepAlive`, keepAliveHandler(internals)],
    [`/${watchService.name}/Watch`, watchHandler(internals, maxRequestBytes)],
  ])
  for (const [path, handler] of handlers) handlers.set(path, observed(path, handler, counts))
  const gateway = options.gateway === false ? undefined : createGateway(handlers)
  return serveGrpc({
    clock: options.clock, listen: options.listen, ...(options.tls ? { tls: options.tls } : {}), maxMessageBytes: maxRequestBytes + overheadBytes, handlers,
    // Base64 makes a request a third longer.
    maxBodyBytes: (maxRequestBytes + overheadBytes) * 2,
    onHttp: (request) => gateway?.(request) ?? (options.v2 ? answerV2(internals, request) : undefined) ?? answerHttp(internals, counts, request),
    onCallEnd: (path, code) => counts.add(path, code),
  })
}

/** Health and metrics alone, for `--listen-metrics-urls`. */
export function serveEtcdHealth(etcd: EmbeddedEtcd, options: ServeEtcdOptions): Promise<GrpcServer> {
  const counts = new RpcCounts()
  return serveGrpc({ clock: options.clock, listen: options.listen, ...(options.tls ? { tls: options.tls } : {}), handlers: [], onHttp: (request) => answerHttp(etcd.internals, counts, request) })
}

/** Counts a method's calls, and gives its errors their status. */
function observed(path: string, handler: GrpcHandler, counts: RpcCounts): GrpcHandler {
  if ('stream' in handler) return { stream: (call) => { counts.started(path); return handler.stream(call) } }
  return {
    unary: async (request, call) => {
      counts.started(path)
      counts.received(path, request.length)
      try {
        const answer = await handler.unary(request, call)
        counts.sent(path, answer.length)
        return answer
      } catch (error) {
        throw toStatus(error)
      }
    },
  }
}
