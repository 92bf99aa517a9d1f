// One worker node as a process: kubelet, kube-proxy and container runtime, inside the namespaces that `k8ts cluster` made for it. Told what to
// be by a file (node-configuration.ts); reaches the API server over HTTPS with certificates of its own.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { connect as connectSocket } from 'node:net'
import { join } from 'node:path'
import { realClock } from '../lib/async/real-clock.ts'
import { realRandom } from '../lib/async/real-random.ts'
import { sleep } from '../lib/base/clock.ts'
import { createHttpTransport } from '../lib/client/http-transport.ts'
import type { HttpTransport } from '../lib/client/http-transport.ts'
import { createInformerFactory } from '../lib/client/informer.ts'
import { createApiClient } from '../lib/client/resource-client.ts'
import { describeError } from '../lib/component-base/log.ts'
import { startContainerRuntime } from '../worker-node/container-runtime/container-runtime.ts'
import { createIptablesRunner } from '../worker-node/kube-proxy/iptables-runner.ts'
import { startKubeProxy } from '../worker-node/kube-proxy/kube-proxy.ts'
import { linuxCgroups } from '../worker-node/kubelet/cgroup/linux-cgroups.ts'
import { linuxMounter } from '../worker-node/kubelet/host/linux-mounter.ts'
import { startKubelet } from '../worker-node/kubelet/kubelet.ts'
import type { NodeConfiguration } from './cluster/node-configuration.ts'
import { serveNodeControl } from './cluster/node-control.ts'
import { kubeletServer } from './kubelet-server.ts'
import { runComponent, untilAborted } from './run-component.ts'

export function run(args: readonly string[]): Promise<number> {
  return runComponent({
    name: 'node',
    description: 'Runs a worker node (kubelet, kube-proxy, container runtime) inside the namespaces that `k8ts cluster` made for it.',
    flags: { config: { type: 'string', usage: 'file that says which node to be' } },
    async main({ flags }, logger, signal) {
      const configuration = JSON.parse(readFileSync(flags.config, 'utf8')) as NodeConfiguration // cast: written by the cluster's process
      const { name, dataDir, runDir } = configuration
      const staticPodPath = join(dataDir, 'manifests')
      mkdirSync(staticPodPath, { recursive: true })
      await using resources = new AsyncDisposableStack()
      const connect = (credentials: { readonly certificate: string; readonly key: string }, userAgent: string): HttpTransport => resources.use(createHttpTransport({
        server: configuration.server, clock: realClock, userAgent, certificateAuthority: configuration.certificateAuthority, clientCertificate: credentials.certificate, clientKey: credentials.key,
      }))
      const engine = resources.use(await startContainerRuntime({
        rootDir: join(dataDir, 'containers'), runDir: join(runDir, 'containers'), clock: realClock, random: realRandom, logger: logger.named('container-runtime'), clusterCidrs: [configuration.clusterCidr, configuration.serviceCidr],
        registries: Object.fromEntries(configuration.insecureRegistries.map((registry) => [registry, { plainHttp: true }])),
      }, signal))
      resources.use(await engine.listen(join(runDir, 'cri.sock')))
      resources.use(await serveNodeControl(join(runDir, 'control.sock'), { importArchive: (path, imageName) => engine.images.importArchive(path, imageName ? { name: imageName } : {}) }))
      engine.images.buildLocalImage().catch((error: unknown) => logger.error('Failed to put the example image together', error))

      await untilReachable(configuration.server, signal)
      const proxyClient = createApiClient(connect(configuration.kubeProxy, 'kube-proxy'), { userAgent: 'kube-proxy' })
      const proxy = startKubeProxy({
        informers: createInformerFactory({ client: proxyClient, clock: realClock, random: realRandom, logger: logger.named('kube-proxy') }), clock: realClock, logger: logger.named('kube-proxy'), runner: createIptablesRunner(),
        // A change is to hold within a second, also when it follows another: changes are written alone, which is cheap.
        minSyncPeriodMs: 100, nodeName: name, clusterCidr: configuration.clusterCidr, healthAddress: { host: '0.0.0.0', port: 10256 }, metricsAddress: { host: '127.0.0.1', port: 10249 }, writeSysctl: (setting, value) => writeFileSync(`/proc/sys/${setting}`, value),
      }, signal)
      proxy.catch((error: unknown) => { if (!signal.aborted) logger.error('kube-proxy ended', new Error(describeError(error))) })

      const transport = connect(configuration.kubelet, 'kubelet')
      const client = createApiClient(transport, { userAgent: 'kubelet' })
      resources.use(await startKubelet({
        nodeName: name, nodeIps: configuration.addresses, client, informers: createInformerFactory({ client, clock: realClock, random: realRandom, logger: logger.named('kubelet') }),
        runtime: engine.runtime, images: engine.images, streams: engine.streams, clock: realClock, random: realRandom, logger, rootDir: join(dataDir, 'kubelet'), logsDir: join(dataDir, 'log'),
        mounter: linuxMounter, cgroups: linuxCgroups(), server: kubeletServer({ client, certificate: configuration.kubelet, clientCa: configuration.certificateAuthority, address: '0.0.0.0', port: 10250, nodeName: name }),
        settings: { clusterDns: configuration.clusterDns, clusterDomain: 'cluster.local', staticPodPath },
      }, signal))
      await untilAborted(signal)
      return 0
    },
  }, args)
}

const firstPollMs = 10
const longestPollMs = 500

/** Resolves when something listens there: a node starts beside its control plane and must not back off for it. */
async function untilReachable(server: string, signal: AbortSignal): Promise<void> {
  const { hostname, port } = new URL(server)
  for (let waitMs = firstPollMs; ; waitMs = Math.min(longestPollMs, waitMs * 1.1)) {
    const open = await new Promise<boolean>((resolve) => {
      const socket = connectSocket({ host: hostname, port: Number(port) }, () => { socket.destroy(); resolve(true) })
      socket.on('error', () => { socket.destroy(); resolve(false) })
    })
    if (open) return
    await sleep(realClock, waitMs, signal)
  }
}
