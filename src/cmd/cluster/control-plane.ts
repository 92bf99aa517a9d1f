// The control plane in one process: etcd, kube-apiserver, kube-controller-manager and kube-scheduler, which meet inside it through the same
// interfaces as over the wire. Used by `k8ts cluster` and, with a simulated world, by startCluster() in tests.
import type { Clock } from '../../lib/base/clock.ts'
import type { Random } from '../../lib/base/random.ts'
import type { ApiClient } from '../../lib/client/api-client.ts'
import { createInformerFactory } from '../../lib/client/informer.ts'
import { createApiClient } from '../../lib/client/resource-client.ts'
import type { Logger } from '../../lib/component-base/log.ts'
import { openEtcd } from '../../control-plane/etcd/embedded.ts'
import { serveEtcd } from '../../control-plane/etcd/v3rpc/serve-etcd.ts'
import { startApiServer } from '../../control-plane/kube-apiserver/api-server.ts'
import type { ApiServer, ApiServerOptions } from '../../control-plane/kube-apiserver/api-server.ts'
import { startControllerManager } from '../../control-plane/kube-controller-manager/controller-manager.ts'
import type { ControllerManagerOptions } from '../../control-plane/kube-controller-manager/controller-manager.ts'
import { startScheduler } from '../../control-plane/kube-scheduler/scheduler.ts'
import type { Scheduler } from '../../control-plane/kube-scheduler/scheduler.ts'

export interface ControlPlaneOptions {
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly disk: 'memory' | { readonly dataDir: string }
  readonly apiServer: Omit<ApiServerOptions, 'etcd' | 'clock' | 'random' | 'logger'>
  /** Addresses to serve HTTPS on; none for a cluster that lives inside a test. */
  readonly listen: readonly { readonly address: string; readonly port: number }[]
  /** Serves etcd's own API too, to clients with a certificate of this authority. */
  readonly etcdServer?: { readonly address: string; readonly port: number; readonly certificate: string; readonly key: string; readonly clientAuthority: string }
  /** Awaited before it listens: the addresses may still be in the making. */
  readonly addressesReady?: Promise<void>
  readonly controllers: Pick<ControllerManagerOptions, 'controllers' | 'settings' | 'onStore'>
  /** Told as each component is ready. */
  onReady?(component: string): void
}

export interface ControlPlane extends AsyncDisposable {
  readonly apiServer: ApiServer
  readonly scheduler: Scheduler
  /** A client with all rights. */
  readonly admin: ApiClient
  /** The port it listens on, or 0. */
  readonly port: number
  /** A client of the API as somebody. */
  clientOf(user: string, groups: readonly string[], userAgent?: string): ApiClient
  /** Aborted when the disk failed: nothing is acknowledged any more. */
  readonly broken: AbortSignal
}

/** Starts them in order; each is ready when this resolves. Ends with `signal` or when disposed of. */
export async function startControlPlane(options: ControlPlaneOptions, signal: AbortSignal): Promise<ControlPlane> {
  const { clock, random, logger } = options
  const stop = new AbortController()
  const ended = AbortSignal.any([signal, stop.signal])
  const resources = new AsyncDisposableStack()
  try {
    const etcd = resources.use(await openEtcd({ disk: options.disk, clock, random, logger: logger.named('etcd') }))
    if (options.etcdServer) {
      const { address, port: etcdPort, certificate, key, clientAuthority } = options.etcdServer
      resources.use(await serveEtcd(etcd, { clock, listen: [{ host: address, port: etcdPort }], tls: { cert: certificate, key, ca: clientAuthority, requireClientCertificate: true } }))
    }
    options.onReady?.('etcd')
    const apiServer = resources.use(await startApiServer({ ...options.apiServer, etcd: etcd.client, clock, random, logger: logger.named('kube-apiserver') }, ended))
    let port = 0
    await options.addressesReady
    for (const address of options.listen) port = (await apiServer.listen(address)).port
    options.onReady?.('kube-apiserver')
    const clientOf = (user: string, groups: readonly string[], userAgent = user): ApiClient =>
      createApiClient(apiServer.transport({ name: user, uid: '', groups: [...groups, 'system:authenticated'], extra: {} }), { userAgent })

    const managerClient = clientOf('system:kube-controller-manager', [], 'kube-controller-manager')
    const manager = startControllerManager({ ...options.controllers, client: managerClient, clientFor: (account) => clientOf(`system:serviceaccount:kube-system:${account}`, ['system:serviceaccounts', 'system:serviceaccounts:kube-system'], `kube-controller-manager/${account}`), clock, random, logger: logger.named('kube-controller-manager') }, ended)
    resources.defer(async () => { await manager.done })
    const schedulerClient = clientOf('system:kube-scheduler', [], 'kube-scheduler')
    const scheduling = startScheduler({
      client: schedulerClient, clock, random, logger: logger.named('kube-scheduler'),
      informers: createInformerFactory({ client: schedulerClient, clock, random, logger: logger.named('kube-scheduler') }),
    }, ended)
    await manager.ready
    options.onReady?.('kube-controller-manager')
    const scheduler = resources.use(await scheduling)
    options.onReady?.('kube-scheduler')
    resources.defer(() => stop.abort())
    const kept = resources.move()
    return {
      apiServer, scheduler, port, clientOf, admin: clientOf('kubernetes-admin', ['system:masters'], 'k8ts'), broken: etcd.broken,
      [Symbol.asyncDispose]: () => kept.disposeAsync(),
    }
  } catch (error) {
    stop.abort(error)
    await resources.disposeAsync()
    throw error
  }
}
