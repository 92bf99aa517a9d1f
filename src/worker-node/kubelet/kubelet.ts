// The kubelet: takes the pods that are bound to this node, has the runtime run them, tells the API server how they are.
//
// This file wires and starts; the decisions are in the folders: pod/ (workers, actions), status/, volume/, probe/, node/, eviction/, gc/.
// Rules it keeps: the runtime's lists are the truth about what runs, so a kubelet that starts anew takes over what its predecessor left; nothing
// is stopped as unknown before every source of pods has been heard.
// Upstream: pkg/kubelet/kubelet.go
import { sleep } from '../../lib/base/clock.ts'
import { createEventRecorder } from '../../lib/client/event-recorder.ts'
import { nodes, pods as podsKey, services as servicesKey } from '../../lib/client/resource-keys.ts'
import { kubepodsGroup, noCgroups, qosCgroup } from './cgroup/cgroup-manager.ts'
import { nodeDisk } from './host/node-disk.ts'
import { createMountlessMounter } from './host/mounter.ts'
import { secretCredentials, parseDockerConfig } from './images/pull-credentials.ts'
import { ImageManager } from './images/image-manager.ts'
import { defaultKubeletSettings } from './kubelet-options.ts'
import { parseResolvConf } from './network/resolv-conf.ts'
import { readMachineFacts } from './node/machine-facts.ts'
import { NodeAgent } from './node/node-agent.ts'
import { initialNode, isNetworkReady, nodeCapacity } from './node/node-status.ts'
import { admitPod } from './pod/pod-admission.ts'
import { isMirrorPod, isTerminalPhase, podFullName, podNamespace, podReference } from './pod/pod-facts.ts'
import { checkResizeFits } from './pod/pod-resize.ts'
import { computeQosClass, milliToShares, podRequests } from './pod/pod-resources.ts'
import { PodSyncer } from './pod/pod-syncer.ts'
import { PodWorkers } from './pod/pod-workers.ts'
import { quantityMilli, quantityValue } from './pod/quantity-value.ts'
import { createNodeProbeNetwork } from './probe/node-probe-network.ts'
import { ProbeManager } from './probe/probe-manager.ts'
import { PodRuntime } from './runtime/pod-runtime.ts'
import { RuntimeCache } from './runtime/runtime-cache.ts'
import { startHousekeeping } from './gc/housekeeping.ts'
import { EvictionManager } from './eviction/eviction-manager.ts'
import { runLogRotation } from './logs/log-rotation.ts'
import { startKubeletServer } from './server/kubelet-server.ts'
import { runManifestSource } from './static-pods/manifest-source.ts'
import { MirrorPods } from './static-pods/mirror-pods.ts'
import { StatsProvider } from './stats/stats-provider.ts'
import { StatusManager } from './status/status-manager.ts'
import { VolumeManager } from './volume/volume-manager.ts'
import type { PodAddresses } from './environment/field-values.ts'
import type { RegistryCredential } from './images/pull-credentials.ts'
import type { KubeletOptions, KubeletSettings } from './kubelet-options.ts'
import type { NodeFacts } from './node/node-status.ts'
import type { ResolvConf } from './network/resolv-conf.ts'
import type { PodFailure } from './pod/pod-lifecycle.ts'
import type { EventRecorder } from '../../lib/client/event-recorder.ts'
import type { InformerFactory } from '../../lib/client/informer-contract.ts'
import type { StatusResponse, VersionResponse } from '../../lib/cri-api/generated/types.ts'
import type { Node, Pod, Service } from '../../lib/api/generated/types/core-v1.ts'

export type { KubeletOptions, KubeletSettings } from './kubelet-options.ts'

export interface Kubelet extends AsyncDisposable {
  readonly nodeName: string
  /** The port of the HTTPS server, 0 without one. */
  readonly port: number
  /** Resolves when the node is registered and every source of pods has been heard. */
  readonly started: Promise<void>
  /** The pods of this node as the kubelet has them, static ones included, with their current status. */
  pods(): readonly Pod[]
  /** Ends the kubelet; containers go on. */
  close(): Promise<void>
}

const noEvents: EventRecorder = { event() {}, async flush() {} }
const runtimeStatusMs = 5000

/** Starts a kubelet; it ends with `signal` or when it is closed. Resolves once it runs; see `started` for when it is ready. */
export async function startKubelet(options: KubeletOptions, signal: AbortSignal): Promise<Kubelet> {
  const stop = new AbortController()
  const ended = AbortSignal.any([signal, stop.signal])
  const { clock, random, client, nodeName, runtime, images } = options
  const logger = options.logger.named('kubelet')
  const settings: KubeletSettings = { ...defaultKubeletSettings, ...options.settings }
  const kubepodsRoot = kubepodsGroup(settings.cgroupRoot)
  const disk = options.disk ?? nodeDisk
  const mounter = options.mounter ?? createMountlessMounter(disk)
  const cgroups = options.cgroups ?? noCgroups
  const rootDir = options.rootDir ?? '/var/lib/kubelet'
  const logsDir = options.logsDir ?? '/var/log'
  const hostname = options.hostname ?? nodeName
  const readMachine = options.machine ?? readMachineFacts
  const network = options.probeNetwork ?? createNodeProbeNetwork(clock)
  const informers: InformerFactory | undefined = client && options.informers
  if (client && !informers) throw new TypeError('a kubelet with a client needs informers')
  const background = new Set<Promise<unknown>>()
  const run = (name: string, task: Promise<unknown>): void => {
    const settled: Promise<unknown> = task.catch((error: unknown) => { if (!ended.aborted) logger.error(`${name} ended`, error) }).finally(() => background.delete(settled))
    background.add(settled)
  }

  await disk.makeDirectory(rootDir, 0o750)
  await disk.makeDirectory(`${logsDir}/pods`)
  const events: EventRecorder = client ? createEventRecorder({ client, clock, component: 'kubelet', host: nodeName, logger, signal: ended }) : noEvents

  // The runtime, first of all: what it runs is where everything starts.
  let machine = await readMachine()
  let version: VersionResponse | undefined
  let runtimeStatus: StatusResponse | undefined
  let runtimeSeenMs = clock.monotonic()
  const askRuntime = async (): Promise<void> => {
    try {
      version ??= await runtime.version({ version: '0.1.0' }, ended)
      const before = JSON.stringify(runtimeStatus?.status)
      runtimeStatus = await runtime.status({ verbose: false }, ended)
      runtimeSeenMs = clock.monotonic()
      if (JSON.stringify(runtimeStatus.status) !== before) nodeAgent?.poke()
    } catch (error) {
      if (!ended.aborted) logger.warn('The container runtime does not answer', { error: error instanceof Error ? error.message : String(error) })
    }
  }
  /** The range from which the runtime gives pods their addresses: set by hand, or by the node IPAM controller on the Node. */
  let toldPodCidr = ''
  let telling: Promise<void> = Promise.resolve()
  const tellPodCidr = (podCidr: string): Promise<void> => {
    if (podCidr === '' || podCidr === toldPodCidr) return telling
    toldPodCidr = podCidr
    const tell = async (): Promise<void> => {
      try {
        await runtime.updateRuntimeConfig({ runtimeConfig: { networkConfig: { podCidr } } }, ended)
        await askRuntime()
      } catch (error) {
        toldPodCidr = ''
        if (!ended.aborted) logger.error('Could not tell the runtime the pod CIDR', error)
      }
    }
    telling = tell()
    return telling
  }
  const podCidrOf = (seen: Node): string => seen.spec.podCIDRs?.join(',') || (seen.spec.podCIDR ?? '')
  const passPodCidr = (seen: Node): void => run('The pod CIDR', tellPodCidr(podCidrOf(seen)))
  const runtimeProblem = (): string | undefined => {
    const quietMs = clock.monotonic() - runtimeSeenMs
    return version === undefined || quietMs > 30_000 ? 'container runtime is down' : cache.health()
  }
  const networkProblem = (): string | undefined => {
    if (isNetworkReady(runtimeStatus)) return undefined
    const condition = runtimeStatus?.status?.conditions?.find((c) => c.type === 'NetworkReady')
    return `container runtime network not ready: NetworkReady=false reason:${condition?.reason ?? ''} message:${condition?.message ?? ''}`
  }

  let node: Node | undefined
  const apiPods = informers?.informer(podsKey, { fieldSelector: `spec.nodeName=${nodeName}` })
  const services = informers?.informer(servicesKey)
  const nodeInformer = informers?.informer(nodes, { fieldSelector: `metadata.name=${nodeName}` })
  const staticPods = new Map<string, Pod>()
  const mirrors = new MirrorPods(client, logger, () => node)
  const apiPodOf = (pod: Pod): Pod | undefined => (staticPods.has(pod.metadata.uid) ? mirrors.of(pod) : apiPods?.get(podNamespace(pod), pod.metadata.name))
  const matching = (pod: Pod): Pod | undefined => {
    const found = apiPodOf(pod)
    return found && (staticPods.has(pod.metadata.uid) || found.metadata.uid === pod.metadata.uid) ? found : undefined
  }

  const cache: RuntimeCache = new RuntimeCache({ runtime, clock, logger, disk, onChange: (uid) => { workers.poke(uid); probes.poke(uid) } })
  const statuses = new StatusManager({ client, clock, logger, apiPod: matching, signal: ended })
  const volumes = new VolumeManager({ client, disk, mounter, clock, random, rootDir, onChange: (uid) => workers.poke(uid), signal: ended })
  const probes: ProbeManager = new ProbeManager({
    clock, events, logger, runtime, network, hostIp: options.nodeIps[0] ?? '127.0.0.1', observed: (uid) => cache.get(uid), signal: ended,
    onResult: (uid) => {
      const life = workers.life(uid)
      if (life) syncer.refreshStatus(life)
      workers.poke(uid)
    },
  })
  const imageManager = new ImageManager({
    images, clock, events, serializePulls: settings.serializeImagePulls, initialBackOffMs: settings.crashLoopInitialMs, maximumBackOffMs: settings.crashLoopMaximumMs,
  })
  let hostResolvConf: Promise<ResolvConf> | undefined
  const readResolvConf = async (): Promise<ResolvConf> => {
    try {
      return parseResolvConf(settings.resolvConf === '' ? '' : new TextDecoder().decode(await disk.readFile(settings.resolvConf, 64 * 1024)))
    } catch {
      return parseResolvConf('')
    }
  }
  const podRuntime = new PodRuntime({
    runtime, network, clock, events, logger, random, disk, mounter, imageManager, volumes, rootDir, logsDir, clusterDns: settings.clusterDns, clusterDomain: settings.clusterDomain,
    crashLoopInitialMs: settings.crashLoopInitialMs, crashLoopMaximumMs: settings.crashLoopMaximumMs, memoryCapacityBytes: () => machine.memoryBytes,
    hostResolvConf: () => (hostResolvConf ??= readResolvConf()), services: (): readonly Service[] => services?.list() ?? [],
    runtimeHandler: async (name, within) => {
      if (!client) throw new Error(`RuntimeClass "${name}" can't be looked up without an API server`)
      const handler = (await client.raw('GET', `/apis/node.k8s.io/v1/runtimeclasses/${encodeURIComponent(name)}`, undefined, within))['handler']
      return typeof handler === 'string' ? handler : ''
    },
  })
  const allocatable = (): PodAddresses['allocatable'] => {
    const list = node?.status?.allocatable
    return { cpuMilli: list ? quantityMilli(list['cpu']) : machine.cpuMilli, memoryBytes: list ? quantityValue(list['memory']) : machine.memoryBytes, storageBytes: quantityValue(list?.['ephemeral-storage']) }
  }
  let nodeCredentials: readonly RegistryCredential[] | undefined
  const credentials = async (pod: Pod, within: AbortSignal): Promise<readonly RegistryCredential[]> => {
    nodeCredentials ??= await disk.readFile(`${rootDir}/config.json`, 1 << 20).then((data) => parseDockerConfig(new TextDecoder().decode(data)), () => [])
    const own: RegistryCredential[] = []
    for (const { name = '' } of pod.spec?.imagePullSecrets ?? []) {
      const secret = await volumes.secrets?.get(podNamespace(pod), name, volumes.firstSeenMs(pod.metadata.uid), within)
      if (secret) own.push(...secretCredentials(secret))
      else events.event(podReference(pod), 'Warning', 'FailedToRetrieveImagePullSecret', `Unable to retrieve some image pull secrets (${name}); attempting to pull the image may not succeed.`)
    }
    return [...own, ...nodeCredentials]
  }
  const onStep = (pod: Pod, step: string): void => options.onPodStep?.({ uid: pod.metadata.uid, name: pod.metadata.name, namespace: podNamespace(pod), step })
  const syncer: PodSyncer = new PodSyncer({
    clock, logger, events, disk, runtime, cache, podRuntime, probes, statuses, volumes, cgroups, cgroupRoot: kubepodsRoot, podPidsLimit: settings.podPidsLimit, logsDir, nodeName,
    hostIps: options.nodeIps, runtimeName: () => version?.runtimeName ?? 'unknown', allocatable, networkProblem, servicesKnown: () => services?.hasSynced ?? true, credentials, checkResizeFits: (pod) => checkResizeFits(pod, workers.lives().filter((l) => l.stage !== 'finished').map((l) => l.pod), nodeCapacity(facts([])).allocatable),
    ensureMirror: (pod, within) => mirrors.ensure(pod, within), onStep,
  })
  const workers: PodWorkers = new PodWorkers({ clock, random, logger, work: syncer, syncFrequencyMs: settings.syncFrequencyMs, signal: ended })
  const stats = new StatsProvider({ runtime, images, cgroups, cgroupRoot: kubepodsRoot, disk, clock, nodeName, rootDir, machine: readMachine, pods: () => currentPods(), cache })
  const eviction = new EvictionManager({
    clock, logger, events, settings, stats, nodeReference: () => ({ kind: 'Node', name: nodeName, uid: nodeName, apiVersion: 'v1' }),
    pods: () => workers.lives().filter((l) => l.stage === 'syncing').map((l) => l.pod), evict: (pod, failure, graceSeconds) => workers.kill(pod.metadata.uid, graceSeconds, failure), onPressure: () => nodeAgent?.poke(),
  })

  const currentPods = (): readonly Pod[] => workers.lives().map(({ pod }) => {
    const status = statuses.get(pod.metadata.uid)
    return status ? { ...pod, status } : pod
  })

  // A pod comes, changes, goes.
  const admit = (pod: Pod): PodFailure | undefined => {
    const own = facts([])
    const known = node ?? (initialNode(own) as Node) // cast: complete but for what the server sets
    // What may be allocated is this kubelet's to say, whatever the API has heard of it so far.
    const about: Node = { ...known, status: { ...known.status, allocatable: { ...known.status?.allocatable, ...nodeCapacity(own).allocatable } } }
    if ((cache.get(pod.metadata.uid)?.containers.length ?? 0) > 0) return undefined
    const others = workers.lives().filter((l) => l.stage !== 'finished').map((l) => l.pod)
    return eviction.admit(pod) ?? admitPod({ pod, node: about, others, operatingSystem: machine.operatingSystem })
  }
  const podCame = (pod: Pod): void => {
    if (workers.life(pod.metadata.uid)) { podChanged(pod); return }
    onStep(pod, 'kubelet sees pod')
    const over = isTerminalPhase(pod.status?.phase) || pod.metadata.deletionTimestamp !== undefined
    const failure = over ? undefined : admit(pod)
    if (failure) events.event(podReference(pod), 'Warning', failure.reason, failure.message)
    workers.update(pod, failure)
  }
  const podChanged = (pod: Pod): void => {
    const life = workers.life(pod.metadata.uid)
    if (!life) { podCame(pod); return }
    statuses.observe(pod)
    // Our own status coming back is no news.
    const endedByOthers = isTerminalPhase(pod.status?.phase) && !isTerminalPhase(statuses.get(pod.metadata.uid)?.phase)
    if (isSameButStatus(life.pod, pod) && !endedByOthers && life.stage !== 'finished' && sameForeignConditions(life.pod, pod)) return
    workers.update(pod)
  }
  const podGone = (pod: Pod): void => workers.remove(pod.metadata.uid)

  let manifestsHeard = settings.staticPodPath === ''
  const setStaticPods = (found: readonly Pod[]): void => {
    for (const [uid, pod] of staticPods) {
      if (found.some((p) => p.metadata.uid === uid)) continue
      staticPods.delete(uid)
      podGone(pod)
      const mirror = mirrors.of(pod)
      if (mirror && !found.some((p) => podFullName(p) === podFullName(pod))) run('Removing a mirror pod', mirrors.remove(mirror, ended))
    }
    for (const pod of found) {
      if (staticPods.has(pod.metadata.uid)) continue
      staticPods.set(pod.metadata.uid, pod)
      podCame(pod)
    }
    manifestsHeard = true
    // Mirrors of manifests that went away while no kubelet ran.
    for (const mirror of mirrors.all()) if (![...staticPods.values()].some((p) => podFullName(p) === podFullName(mirror))) run('Removing an orphaned mirror pod', mirrors.remove(mirror, ended))
  }
  apiPods?.addHandler({
    added: (pod) => (isMirrorPod(pod) ? mirrorCame(pod) : podCame(pod)),
    updated: (pod, old) => {
      // Between two looks a pod may have been replaced by another of its name.
      if (old.metadata.uid !== pod.metadata.uid && !isMirrorPod(old)) podGone(old)
      if (isMirrorPod(pod)) mirrorCame(pod)
      else podChanged(pod)
    },
    deleted: (pod) => {
      if (!isMirrorPod(pod)) { podGone(pod); return }
      mirrors.gone(pod)
      for (const own of staticPods.values()) if (podFullName(own) === podFullName(pod)) workers.poke(own.metadata.uid)
    },
  })
  const mirrorCame = (mirror: Pod): void => {
    mirrors.observe(mirror)
    const own = [...staticPods.values()].find((p) => podFullName(p) === podFullName(mirror))
    if (own) statuses.reconcile(own.metadata.uid)
    else if (manifestsHeard) run('Removing an orphaned mirror pod', mirrors.remove(mirror, ended))
  }

  // The node.
  let server: { readonly port: number; close(): Promise<void> } | undefined
  let nodeAgent: NodeAgent | undefined
  const facts = (nodeImages: NodeFacts['images']): NodeFacts => ({
    nodeName, hostname, nodeIps: options.nodeIps, kubeletPort: server?.port ?? 0, settings, machine, disk: stats.nodeFs(), images: nodeImages, version, runtimeStatus, runtimeProblem: runtimeProblem(),
    pressures: eviction.pressures(), nowMs: clock.now(),
  })
  const collectFacts = async (): Promise<NodeFacts> => {
    // A kubelet that starts anew must not call a node not ready only because the runtime hasn't heard of the range again.
    if (node) await tellPodCidr(podCidrOf(node))
    machine = await readMachine()
    await stats.refreshNodeFs()
    let found: NodeFacts['images'] = []
    try {
      found = (await images.listImages({}, ended)).images ?? []
    } catch (error) {
      if (!ended.aborted) logger.warn('Could not list images', { error: error instanceof Error ? error.message : String(error) })
    }
    return facts(found)
  }
  if (client) {
    nodeAgent = new NodeAgent({
      nodeName, client, clock, random, logger, events, registerNode: settings.registerNode, updateFrequencyMs: settings.nodeStatusUpdateFrequencyMs, reportFrequencyMs: settings.nodeStatusReportFrequencyMs,
      leaseDurationSeconds: settings.nodeLeaseDurationSeconds, facts: collectFacts, onNode: (seen) => { node = seen },
    })
    nodeInformer?.addHandler({ added: (seen) => { nodeAgent?.observe(seen); passPodCidr(seen) }, updated: (seen) => { nodeAgent?.observe(seen); passPodCidr(seen) } })
  }

  const setQosTiers = async (): Promise<void> => {
    const reserved = (resource: string, read: (text: string | undefined) => number): number => read(settings.kubeReserved[resource]) + read(settings.systemReserved[resource])
    await cgroups.ensure(kubepodsRoot, { cpuShares: milliToShares(machine.cpuMilli - reserved('cpu', quantityMilli)), memoryLimitBytes: machine.memoryBytes - reserved('memory', quantityValue) })
    const burstable = workers.lives().filter((l) => l.stage === 'syncing' && computeQosClass(l.pod) === 'Burstable').reduce((sum, l) => sum + (podRequests(l.pod)['cpu'] ?? 0), 0)
    await cgroups.ensure(qosCgroup(kubepodsRoot, 'Burstable'), { cpuShares: milliToShares(burstable) })
    await cgroups.ensure(qosCgroup(kubepodsRoot, 'BestEffort'), { cpuShares: milliToShares(0) })
  }
  await setQosTiers()
  await askRuntime()
  await cache.relist(ended)
  if (options.server && settings.enableServer) {
    server = await startKubeletServer({
      ...options.server, clock, logger, nodeName, streams: options.streams, runtime, disk, logsDir, settings, stats, probes, pods: currentPods, runtimePod: (uid) => cache.get(uid), health: runtimeProblem,
    }, ended)
  }
  events.event({ kind: 'Node', name: nodeName, uid: nodeName, apiVersion: 'v1' }, 'Normal', 'Starting', 'Starting kubelet.')
  await tellPodCidr(settings.podCidr)

  const start = async (): Promise<void> => {
    const registered = nodeAgent?.register(ended)
    if (services && informers) await Promise.race([informers.waitForSync(ended), registered?.then(() => informers.waitForSync(ended))])
    await registered
    if (nodeAgent) {
      run('The node lease', nodeAgent.runLease(ended))
      run('The node status', nodeAgent.runStatus(ended))
    }
  }
  if (settings.staticPodPath !== '') {
    run('Static pods', runManifestSource({ path: settings.staticPodPath, nodeName, disk, clock, logger, checkFrequencyMs: settings.fileCheckFrequencyMs, onPods: setStaticPods }, ended))
  }
  informers?.start(ended)
  const started = start()
  started.catch(() => {})
  run('The runtime watch', cache.run(ended))
  run('The runtime status', (async () => { for (;;) { await sleep(clock, runtimeStatusMs, ended); await askRuntime() } })())
  run('Housekeeping', startHousekeeping({
    clock, logger, runtime, images, settings, cache, cgroups, cgroupRoot: kubepodsRoot, volumes, disk, logsDir, stats, events, nodeName,
    knowsPod: (uid: string) => workers.life(uid) !== undefined, isFinished: (uid: string) => workers.life(uid)?.stage === 'finished', sourcesHeard: () => manifestsHeard && (apiPods?.hasSynced ?? true),
    killOrphan: async (orphan) => {
      logger.info('Stopping a pod that nobody wants', { pod: `${orphan.namespace}/${orphan.name}`, uid: orphan.uid })
      await podRuntime.killPod(undefined, orphan, undefined, ended)
      await syncer.removeFromRuntime(await cache.refresh(orphan.uid, ended), ended)
      await cache.refresh(orphan.uid, ended)
    },
    tick: () => {
      run('Setting the QoS tiers', setQosTiers())
      imageManager.collect()
      podRuntime.collect()
      for (const life of workers.lives()) statuses.reconcile(life.pod.metadata.uid)
    },
    imagesInUse: () => new Set(workers.lives().flatMap((l) => (l.pod.spec?.containers ?? []).map((c) => c.image ?? ''))),
  }, ended))
  run('Log rotation', runLogRotation({ clock, logger, runtime, disk, cache, maxBytes: settings.containerLogMaxBytes, maxFiles: settings.containerLogMaxFiles }, ended))
  run('Eviction', eviction.run(ended))

  const close = async (): Promise<void> => {
    stop.abort(new Error('the kubelet is closed'))
    await server?.close()
    await workers.idle()
    await Promise.allSettled(background)
  }
  ended.addEventListener('abort', () => { void server?.close() }, { once: true })
  logger.info('Started kubelet', { node: nodeName, version: version?.runtimeVersion ?? '' })
  return { nodeName, get port() { return server?.port ?? 0 }, started, pods: currentPods, close, [Symbol.asyncDispose]: close }
}

/** Nothing but the status (and what the server counts) differs. */
function isSameButStatus(a: Pod, b: Pod): boolean {
  const rest = ({ resourceVersion: _v, managedFields: _m, ...metadata }: Pod['metadata']): string => JSON.stringify(metadata)
  return a.spec === b.spec || (rest(a.metadata) === rest(b.metadata) && JSON.stringify(a.spec) === JSON.stringify(b.spec))
    ? rest(a.metadata) === rest(b.metadata) : false
}

/** The conditions that others set (readiness gates) are the same. */
function sameForeignConditions(a: Pod, b: Pod): boolean {
  const foreign = (pod: Pod): string => JSON.stringify((pod.status?.conditions ?? []).filter((c) => (pod.spec?.readinessGates ?? []).some((g) => g.conditionType === c.type)))
  return foreign(a) === foreign(b)
}

