// Serves an embedded etcd to others: the v3 gRPC services and the HTTP endpoints, on the client port.
import type { Clock } from '../../../lib/base/clock.ts'
import { authService, clusterService, kvService, leaseService, maintenanceService, watchService } from '../../../lib/etcd-api/generated/services.ts'
import { serveGrpc, type GrpcHandler, type GrpcServer, type ListenAddress, type ServerTls } from '../../../lib/net/grpc/grpc-server.ts'
import { healthService } from '../../../lib/net/grpc/health-service.ts'
import { serviceHandlers } from '../../../lib/net/grpc/service-handlers.ts'
import type { EmbeddedEtcd } from '../embedded.ts'
import { answerHttp } from './http-endpoints.ts'
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
}

/** Room that messages have over the largest request. */
const overheadBytes = 512 * 1024

export function serveEtcd(etcd: EmbeddedEtcd, options: ServeEtcdOptions): Promise<GrpcServer> {
  const { internals } = etcd
  const counts = new RpcCounts()
  const maxRequestBytes = options.maxRequestBytes ?? 1.5 * 1024 * 1024
  const handlers = new Map<string, GrpcHandler>([
    ...serviceHandlers(kvService, kvImplementation(internals)),
    ...serviceHandlers(leaseService, leaseImplementation(internals)),
    ...serviceHandlers(maintenanceService, maintenanceImplementation(internals)),
    ...serviceHandlers(clusterService, clusterImplementation(internals)),
    ...serviceHandlers(authService, authImplementation(internals)),
    ...serviceHandlers(healthService, { check: async () => ({ status: internals.member.isServing ? 'SERVING' : 'NOT_SERVING' }) }),
    [`/${leaseService.name}/LeaseKeepAlive`, keepAliveHandler(internals)],
    [`/${watchService.name}/Watch`, watchHandler(internals, maxRequestBytes)],
  ])
  return serveGrpc({
    clock: options.clock, listen: options.listen, ...(options.tls ? { tls: options.tls } : {}), maxMessageBytes: maxRequestBytes + overheadBytes,
    handlers: [...handlers].map(([path, handler]) => [path, withEtcdStatus(handler)] as const),
    onHttp: (request) => answerHttp(internals, counts, request),
    onCallEnd: (path, code) => counts.add(path, code),
  })
}

/** Health and metrics alone, for `--listen-metrics-urls`. */
export function serveEtcdHealth(etcd: EmbeddedEtcd, options: ServeEtcdOptions): Promise<GrpcServer> {
  const counts = new RpcCounts()
  return serveGrpc({ clock: options.clock, listen: options.listen, ...(options.tls ? { tls: options.tls } : {}), handlers: [], onHttp: (request) => answerHttp(etcd.internals, counts, request) })
}

function withEtcdStatus(handler: GrpcHandler): GrpcHandler {
  if ('stream' in handler) return handler
  return {
    unary: async (request, call) => {
      try {
        return await handler.unary(request, call)
      } catch (error) {
        throw toStatus(error)
      }
    },
  }
}
