// The gRPC proxy as a whole: a server that looks to clients like a member of the cluster, and is one client to the members.
//
//   await using proxy = await serveGrpcProxy({ listen: [{ host: '127.0.0.1', port: 23790 }], upstream, client, … })
//
// Upstream: etcd/server/etcdmain/grpc_proxy.go
import type { Clock } from '../../../lib/base/clock.ts'
import type { Logger } from '../../../lib/component-base/log.ts'
import { authService, electionService, lockService, maintenanceService } from '../../../lib/etcd-api/generated/services.ts'
import type { EtcdClient } from '../../../lib/etcd-client/etcd-client.ts'
import { serveGrpc, type GrpcHandler, type GrpcServer, type GrpcServerOptions, type ListenAddress, type PlainRequest, type PlainResponse, type ServerTls } from '../../../lib/net/grpc/grpc-server.ts'
import type { GrpcService } from '../../../lib/net/grpc/service.ts'
import { ClusterProxy } from './cluster-proxy.ts'
import { countCalls } from './count-calls.ts'
import { KeyNamespace } from './key-namespace.ts'
import { KvProxy } from './kv-proxy.ts'
import { LeaseProxy } from './lease-proxy.ts'
import { answerProxyHttp } from './proxy-http.ts'
import { ProxyMetrics } from './proxy-metrics.ts'
import { passServerStream, passUnary, type Upstream } from './upstream.ts'
import { WatchProxy } from './watch-proxy.ts'

export interface GrpcProxyOptions {
  readonly clock: Clock
  readonly logger: Logger
  readonly listen: readonly ListenAddress[]
  readonly tls?: ServerTls
  readonly upstream: Upstream
  /** Of the members, for what the proxy does by itself. */
  readonly client: EtcdClient
  /** Of this proxy, as its clients reach it. */
  readonly ownClient: EtcdClient | undefined
  readonly namespace: string
  readonly ordered: boolean
  readonly hostname: string
  readonly advertiseClientUrl: string
  readonly resolverPrefix: string
  readonly resolverTtlSeconds: number
  readonly memberMetrics: (secure: boolean, signal: AbortSignal) => Promise<string>
  readonly others?: (request: PlainRequest) => Promise<PlainResponse | undefined>
  readonly server: Pick<GrpcServerOptions, 'maxConcurrentStreams' | 'keepAlive'>
  /** Tell of every call. */
  readonly logCalls: boolean
}

export interface GrpcProxy extends AsyncDisposable {
  readonly addresses: readonly ListenAddress[]
  /** /metrics and /health, for another port. */
  readonly answerHttp: (request: PlainRequest) => Promise<PlainResponse>
}

/** What a client may send in one message. */
const maxMessageBytes = 4 * 1024 * 1024
/** Methods that change nothing. */
const reads: ReadonlySet<string> = new Set(['Status', 'Hash', 'HashKV', 'AuthStatus', 'UserGet', 'UserList', 'RoleGet', 'RoleList', 'Leader'])

export async function serveGrpcProxy(options: GrpcProxyOptions): Promise<GrpcProxy> {
  const { upstream, client } = options
  await using stack = new AsyncDisposableStack()
  const metrics = new ProxyMetrics()
  const namespace = new KeyNamespace(options.namespace)
  const kv = new KvProxy({ upstream, namespace, metrics, ordered: options.ordered })
  const watch = new WatchProxy({ upstream, namespace, metrics, range: (request, context) => kv.range(request, context) })
  const cluster = stack.use(new ClusterProxy({ ...options, namespace, client }))
  const handlers = new Map<string, GrpcHandler>([
    ...kv.handlers(), ['/etcdserverpb.Watch/Watch', watch.handler()], ...new LeaseProxy(upstream, namespace).handlers(), ...cluster.handlers(),
    ...[maintenanceService, authService, electionService, lockService].flatMap((service) => passed(upstream, service)),
  ])
  const calls = countCalls(metrics.grpc, handlers, options.logCalls ? options.logger : undefined)
  const answerHttp = answerProxyHttp({
    metrics, client, ownClient: options.ownClient, memberMetrics: options.memberMetrics, isSecure: options.tls !== undefined, ...(options.others ? { others: options.others } : {}),
    beforeMetrics: () => metrics.watchersCoalesced.set(watch.countCoalesced()),
  })
  const server: GrpcServer = await serveGrpc({ ...options.server, clock: options.clock, listen: options.listen, ...(options.tls ? { tls: options.tls } : {}), maxMessageBytes, handlers: calls.handlers, onHttp: answerHttp, onCallEnd: calls.ended })
  stack.defer(() => watch.close())
  stack.use(server)
  const owned = stack.move()
  return { addresses: server.addresses, answerHttp, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

function passed(upstream: Upstream, service: GrpcService): readonly (readonly [path: string, handler: GrpcHandler])[] {
  return Object.entries(service.methods).map(([method, { responseStream }]) => [`/${service.name}/${method}`, responseStream ? passServerStream(upstream) : passUnary(upstream, reads.has(method))])
}
