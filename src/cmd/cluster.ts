// k8ts cluster: a whole cluster on this machine with one command. The control plane runs in this process, each worker node in a process of
// its own inside its own namespaces (docs/decisions/0003). Without root the pods are simulated and everything else is real.
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { realClock } from '../lib/async/real-clock.ts'
import { realRandom } from '../lib/async/real-random.ts'
import { sleep } from '../lib/base/clock.ts'
import type { ApiClient } from '../lib/client/api-client.ts'
import { nodes as nodesKey } from '../lib/client/resource-keys.ts'
import { createLogger, describeError } from '../lib/component-base/log.ts'
import type { Logger } from '../lib/component-base/log.ts'
import { cleanUpCluster } from './cluster/clean-up.ts'
import { formatKubeconfig, loadOrCreatePki } from './cluster/cluster-pki.ts'
import type { ClusterPki } from './cluster/cluster-pki.ts'
import { clusterPaths, nodePaths } from './cluster/cluster-paths.ts'
import type { ClusterPaths } from './cluster/cluster-paths.ts'
import { isProcessAlive, readClusterState, writeClusterState } from './cluster/cluster-state.ts'
import type { NodeState } from './cluster/cluster-state.ts'
import { startControlPlane } from './cluster/control-plane.ts'
import { findMissingPackages, installPackages } from './cluster/host-packages.ts'
import { apiServiceAddress, clusterNetwork, createBridge, createNodeNetwork, hostAddress, isForwardingEnabled, mostNetworks, nodeAddress, routePods, routeServices } from './cluster/host-network.ts'
import type { NodeConfiguration } from './cluster/node-configuration.ts'
import type { ClusterNetwork } from './cluster/host-network.ts'
import { createNodeNamespaces, enterNode } from './cluster/node-namespaces.ts'
import { superviseNode } from './cluster/node-supervisor.ts'
import { createProgress } from './cluster/progress.ts'
import type { Progress } from './cluster/progress.ts'
import { startSimulatedNode } from './cluster/simulated-node.ts'
import { runComponent, untilAborted } from './run-component.ts'

const issuer = 'https://kubernetes.default.svc.cluster.local'

export function run(args: readonly string[]): Promise<number> {
  return runComponent({
    name: 'cluster',
    description: 'Starts a whole cluster on this machine and stops it again with Ctrl-C.',
    version: 'k8ts 0.1.0 (Kubernetes v1.37.0)',
    flags: {
      name: { type: 'string', default: 'k8ts', usage: 'name of the cluster' },
      nodes: { type: 'int', default: 1, usage: 'number of worker nodes' },
      port: { type: 'int', default: -1, usage: 'port of the API server (default 6443 and on, by --network)' },
      network: { type: 'int', default: 0, usage: 'which of the address ranges to use, 0 to 50: for several clusters side by side' },
      'etcd-port': { type: 'int', default: -1, usage: "port of etcd's own API on 127.0.0.1 (default 2379 and on, by --network); 0: not served" },
      'data-dir': { type: 'string', usage: 'folder of its data (default /var/lib/k8ts/<name>, without root ~/.local/share/k8ts/<name>)' },
      'simulated-pods': { type: 'bool', usage: 'run pods on a simulated runtime: no root, no host packages' },
      'insecure-registry': { type: 'strings', usage: 'registries (host:port, or host) that nodes reach by plain HTTP, besides this machine at the address of the bridge' },
      controllers: { type: 'strings', default: ['*'], usage: 'controllers to run, as kube-controller-manager takes them' },
    },
    async main({ flags }, _logger, signal) {
      const asRoot = process.getuid?.() === 0
      if (flags.network < 0 || flags.network > mostNetworks) { process.stderr.write(`cluster: --network takes 0 to ${mostNetworks}\n`); return 1 }
      const paths = clusterPaths(flags.name, asRoot, flags['data-dir'] || undefined)
      const progress = createProgress(realClock, process.stdout)
      progress.say(`k8ts 0.1.0, Kubernetes v1.37.0, data in ${paths.data}`)
      const running = readClusterState(paths.state)
      if (running && isProcessAlive(running.pid)) {
        progress.fail('cluster', `already running as process ${running.pid}; stop it with: k8ts down${flags.name === 'k8ts' ? '' : ` --name ${flags.name}`}`)
        return 1
      }
      if (running) {
        // Killed without a chance to clean up.
        await cleanUpCluster(running, paths.state)
        progress.done('cleaned up', 'after a cluster that was killed')
      }
      mkdirSync(paths.data, { recursive: true })
      const simulated = flags['simulated-pods'] || !asRoot
      if (simulated) progress.say(asRoot ? '  pods are simulated, as asked' : '  not root: pods are simulated (the API, the controllers and the scheduler are real)')
      else if (!await ensurePackages(progress)) return 1
      const logger = createLogger({ clock: realClock, name: 'k8ts', verbosity: flags.v, processId: process.pid, write: fileWriter(join(paths.data, 'control-plane.log')) })
      const ports = { port: flags.port < 0 ? 6443 + flags.network : flags.port, 'etcd-port': flags['etcd-port'] < 0 ? 2379 + 10 * flags.network : flags['etcd-port'] }
      return runCluster({ flags: { ...flags, ...ports }, paths, progress, logger, simulated, network: clusterNetwork(flags.network) }, signal)
    },
  }, args)
}

interface ClusterRun {
  readonly flags: { readonly name: string; readonly nodes: number; readonly port: number; readonly 'etcd-port': number; readonly controllers: readonly string[]; readonly 'insecure-registry': readonly string[]; readonly v: number }
  readonly paths: ClusterPaths
  readonly progress: Progress
  readonly logger: Logger
  readonly simulated: boolean
  readonly network: ClusterNetwork
}

async function runCluster(cluster: ClusterRun, signal: AbortSignal): Promise<number> {
  const { flags, paths, progress, logger, simulated, network } = cluster
  const stop = new AbortController()
  const ended = AbortSignal.any([signal, stop.signal])
  const advertise = simulated ? firstOwnAddress() : hostAddress(network)
  const pki = loadOrCreatePki(paths.pki, ['kubernetes', 'kubernetes.default', 'kubernetes.default.svc', 'kubernetes.default.svc.cluster.local', 'localhost', hostname(), '127.0.0.1', '::1', advertise, apiServiceAddress(network)], realClock, realRandom)
  const nodeNames = Array.from({ length: flags.nodes }, (_, i) => `node-${i + 1}`)
  const nodeStates: readonly NodeState[] = simulated ? [] : nodeNames.map((name, index) => {
    const n = nodePaths(paths, name)
    return { name, index, networkNamespace: n.pins.network, mountNamespace: n.pins.mount, runDir: n.run, cgroup: n.cgroup }
  })
  const state = { pid: process.pid, name: flags.name, network, nodes: nodeStates, hasBridge: !simulated, kubeconfig: paths.kubeconfig, forwardingWasOff: !simulated && !isForwardingEnabled() }
  writeClusterState(paths.state, state)
  await using resources = new AsyncDisposableStack()
  resources.defer(() => cleanUpCluster(state, paths.state))

  // Bridge, namespaces and node processes come up beside the control plane; nodes wait for it to listen.
  const startedNodesMs = realClock.monotonic()
  const bridged = simulated ? Promise.resolve() : createBridge(network)
  const preparing = simulated ? Promise.resolve() : bridged.then(() => prepareNodes(nodeNames, cluster, pki))
  const supervising = preparing.then(() => {
    if (simulated || ended.aborted) return
    for (const name of nodeNames) {
      const n = nodePaths(paths, name)
      resources.use(superviseNode({
        clock: realClock, logPath: n.log, command: enterNode(n.pins, n.cgroup, [process.execPath, ...process.execArgv, launcherPath(), 'node', '--config', join(n.run, 'node.json'), `-v=${flags.v}`]),
        onExit: (code, by) => { if (!ended.aborted) progress.fail(name, `ended (${by ?? code}); it is started again, see ${n.log}`) },
      }))
    }
  })
  supervising.catch(() => {}) // awaited below
  const controlPlane = resources.use(await startControlPlane({
    clock: realClock, random: realRandom, logger, disk: { dataDir: paths.etcd }, onReady: (component) => progress.done(component),
    ...(flags['etcd-port'] > 0 ? { etcdServer: { address: '127.0.0.1', port: flags['etcd-port'], certificate: pki.etcdServer.certificate, key: pki.etcdServer.key, clientAuthority: pki.etcdAuthority.certificate } } : {}),
    addressesReady: bridged,
    listen: [{ address: '127.0.0.1', port: flags.port }, ...(simulated ? [] : [{ address: advertise, port: flags.port }])],
    apiServer: {
      serviceClusterIpRange: network.serviceCidr, tls: pki.apiServer, clientCa: pki.authority.certificate, advertiseAddress: advertise, securePort: flags.port,
      serviceAccounts: { issuers: [issuer], signingKey: pki.serviceAccountKey }, enableAdmissionPlugins: ['NodeRestriction'],
      requestHeaderClientCa: pki.frontProxyAuthority.certificate, requestHeaderAllowedNames: ['front-proxy-client'],
      kubeletClient: { certificate: pki.apiServerKubeletClient.certificate, key: pki.apiServerKubeletClient.key, certificateAuthority: pki.authority.certificate },
    },
    controllers: { controllers: flags.controllers, settings: { clusterCidrs: [network.podCidr], allocateNodeCidrs: true, rootCa: pki.authority.certificate } },
  }, ended))
  const server = `https://127.0.0.1:${flags.port}`
  writeFileSync(paths.kubeconfig, formatKubeconfig(flags.name, 'kubernetes-admin', server, pki.authority.certificate, pki.admin), { mode: 0o600 })
  controlPlane.broken.addEventListener('abort', () => { progress.fail('etcd', `the disk failed: ${describeError(controlPlane.broken.reason)}`); stop.abort(controlPlane.broken.reason) }, { once: true })

  await supervising
  if (simulated) {
    for (const [index, name] of nodeNames.entries()) resources.use(await startSimulatedNode({ name, index, client: controlPlane.clientOf(`system:node:${name}`, ['system:nodes'], 'kubelet'), clock: realClock, random: realRandom, logger: logger.named(name) }, ended))
  }
  if (!simulated) void keepRoutes(controlPlane.admin, cluster, nodeNames, ended)
  for (const name of nodeNames) {
    if (!await untilNodeReady(controlPlane.admin, name, ended)) break
    progress.done(name, simulated ? 'Ready (simulated pods)' : 'Ready', startedNodesMs)
  }
  if (!ended.aborted) printUsage(progress, paths, server)
  await untilAborted(ended)
  progress.say('\nstopping …')
  return stop.signal.aborted ? 1 : 0
}

/** Cables, namespaces and configuration of every node. */
async function prepareNodes(names: readonly string[], { paths, flags, network }: ClusterRun, pki: ClusterPki): Promise<void> {
  await Promise.all(names.map(async (name, index) => {
    const n = nodePaths(paths, name)
    const addresses = [nodeAddress(network, index)]
    const configuration: NodeConfiguration = {
      name, addresses, server: `https://${hostAddress(network)}:${flags.port}`, certificateAuthority: pki.authority.certificate, kubelet: pki.node(name, addresses), kubeProxy: pki.kubeProxy,
      dataDir: n.data, runDir: n.run, cgroup: n.cgroup, podCidr: '', clusterCidr: network.podCidr, serviceCidr: network.serviceCidr, clusterDns: [], verbosity: flags.v,
      insecureRegistries: [hostAddress(network), ...flags['insecure-registry']],
    }
    mkdirSync(n.run, { recursive: true })
    writeFileSync(join(n.run, 'node.json'), JSON.stringify(configuration), { mode: 0o600 })
    await Promise.all([createNodeNetwork(network, flags.name, name, index), createNodeNamespaces(n.pins, n.run, n.data, n.cgroup)])
  }))
  await routeServices(network)
}

/** The host and the nodes learn where each node's pods are, as node IPAM gives the ranges out. */
async function keepRoutes(client: ApiClient, { network, flags, logger }: ClusterRun, names: readonly string[], signal: AbortSignal): Promise<void> {
  const routed = new Map<string, string>()
  while (!signal.aborted) {
    try {
      const { items, metadata } = await client.resource(nodesKey).list('', {}, signal)
      const apply = async (name: string, podCidr: string | undefined): Promise<void> => {
        const index = names.indexOf(name)
        if (index < 0 || !podCidr || routed.get(name) === podCidr) return
        await routePods(network, flags.name, podCidr, index, names)
        routed.set(name, podCidr)
      }
      for (const node of items) await apply(node.metadata.name, node.spec.podCIDR)
      for await (const events of client.resource(nodesKey).watch('', { resourceVersion: metadata.resourceVersion }, signal)) {
        for (const event of events) if (event.type === 'ADDED' || event.type === 'MODIFIED') await apply(event.object.metadata.name, event.object.spec.podCIDR)
      }
    } catch (error) {
      if (signal.aborted) return
      logger.error('Failed to keep routes to pods', error)
      await sleep(realClock, 1000, signal).catch(() => {})
    }
  }
}

async function untilNodeReady(client: ApiClient, name: string, signal: AbortSignal): Promise<boolean> {
  const isReady = (node: { readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] } }): boolean => node.status?.conditions?.some((c) => c.type === 'Ready' && c.status === 'True') ?? false
  try {
    const { items, metadata } = await client.resource(nodesKey).list('', { fieldSelector: `metadata.name=${name}` }, signal)
    // A node from an earlier run counts only when its kubelet has reported anew: wait for the first change.
    const fresh = items.some((node) => isReady(node) && Date.parse(node.status.conditions?.find((c) => c.type === 'Ready')?.lastHeartbeatTime ?? '') >= realClock.now() - process.uptime() * 1000)
    if (fresh) return true
    for await (const events of client.resource(nodesKey).watch('', { fieldSelector: `metadata.name=${name}`, resourceVersion: metadata.resourceVersion }, signal)) {
      if (events.some((e) => (e.type === 'ADDED' || e.type === 'MODIFIED') && isReady(e.object))) return true
    }
  } catch (error) {
    if (!signal.aborted) throw error
  }
  return false
}

function printUsage(progress: Progress, paths: ClusterPaths, server: string): void {
  const local = existsSync(join(process.cwd(), 'k8ts')) ? './k8ts' : 'k8ts'
  progress.say([
    `\nThe cluster is up after ${(progress.elapsedMs() / 1000).toFixed(2)} s at ${server}`, '',
    `  export KUBECONFIG=${paths.kubeconfig}`, '  kubectl get nodes                         the original client, or:', `  ${local} kubectl apply -f examples/web/    three web servers behind a Service`, `  ${local} kubectl get pods -o wide`, '',
    `  Stop it with Ctrl-C here, or with ${local} down from anywhere.`,
  ].join('\n'))
}

async function ensurePackages(progress: Progress): Promise<boolean> {
  const missing = findMissingPackages()
  if (missing.packages.length === 0) return true
  progress.say(`  installing host packages: ${missing.packages.join(' ')}`)
  const problem = await installPackages(missing)
  if (problem === undefined) { progress.done('host packages'); return true }
  if (!missing.required) { progress.fail('host packages', `${problem} (going on without)`); return true }
  progress.fail('host packages', `${problem}\n    Real containers need: ${missing.packages.join(' ')}${missing.command ? `\n    Install them with: ${missing.command.join(' ')}` : ''}\n    Or start with simulated pods: k8ts cluster --simulated-pods`)
  return false
}

function fileWriter(path: string): (line: string) => void {
  mkdirSync(dirname(path), { recursive: true })
  rmSync(path, { force: true })
  return (line) => writeFileSync(path, line, { flag: 'a' })
}

/** The stage of the launcher that a node's process starts with: beside the bundle's folder. */
function launcherPath(): string {
  return join(dirname(dirname(fileURLToPath(import.meta.url))), 'bin', 'k8ts.mjs')
}

function firstOwnAddress(): string {
  // Without a network of our own the kubernetes Service needs some address that isn't loopback; nobody connects to it.
  return '192.0.2.1'
}
