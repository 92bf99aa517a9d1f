// The container runtime engine: starts, stops and shows real containers from images, behind CRI's two services. Drives an OCI runtime (crun, else
// runc) under conmon, overlayfs, pinned namespaces, and a pod network.
//
// Containers don't depend on this process: disposing it, or killing it, leaves them running, and the next start finds them by what is on disk.
import { existsSync } from 'node:fs'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Cgroups } from './containers/cgroups.ts'
import { ContainerManager } from './containers/container-manager.ts'
import { containerStatus } from './containers/container-record.ts'
import { probeHost } from './containers/host-facts.ts'
import { OciRuntime } from './containers/oci-runtime.ts'
import { createImageService } from './images/image-service.ts'
import type { LocalImageService } from './images/image-service.ts'
import { ImageStore } from './images/image-store.ts'
import type { RegistrySettings } from './images/registry-client.ts'
import { BridgeNetwork } from './network/bridge-network.ts'
import { CniNetwork } from './network/cni-network.ts'
import type { CniOptions } from './network/cni-network.ts'
import type { PodNetwork } from './network/pod-network.ts'
import { runtimePaths } from './runtime-paths.ts'
import { createRuntimeService } from './runtime-service.ts'
import type { EventPublisher } from './runtime-service.ts'
import { SandboxManager } from './sandboxes/sandbox-manager.ts'
import { sandboxStatus } from './sandboxes/sandbox-record.ts'
import { StatsReader } from './stats.ts'
import { openAttach } from './streaming/attach-process.ts'
import { openExec } from './streaming/exec-process.ts'
import { openPortForward } from './streaming/port-forward.ts'
import { createStreamingServer } from './streaming/streaming-server.ts'
import type { Clock } from '../../lib/base/clock.ts'
import type { Random } from '../../lib/base/random.ts'
import type { Logger } from '../../lib/component-base/log.ts'
import { CriError } from '../../lib/cri-api/cri-services.ts'
import type { RuntimeService } from '../../lib/cri-api/cri-services.ts'
import { EventFanout } from '../../lib/cri-api/event-fanout.ts'
import { serveCri } from '../../lib/cri-api/cri-server.ts'
import type { RuntimeStreams } from '../../lib/cri-api/streams.ts'

export interface ContainerRuntimeOptions {
  /** Images, container state, writable layers: survives reboots. */
  readonly rootDir: string
  /** Pinned namespaces, mounts, sockets: short (socket addresses) and, best, on a tmpfs. */
  readonly runDir: string
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** The node's pod range; may come later through CRI's UpdateRuntimeConfig. */
  readonly podCidr?: string
  /** Ranges in which pods keep their own address when they talk to each other; default 10.0.0.0/8. */
  readonly clusterCidrs?: readonly string[]
  readonly bridgeName?: string
  readonly mtu?: number
  /** CNI plugins instead of the built-in network. */
  readonly cni?: CniOptions
  /** Parent cgroup of pods whose config names none; default /k8ts-runtime. */
  readonly cgroupParent?: string
  /** Settings per registry (`host:port`, or `host` for all its ports): mirrors, plain HTTP, certificates. */
  readonly registries?: { readonly [host: string]: RegistrySettings }
  /** Most processes in one container; 0 for no limit. */
  readonly pidsLimit?: number
  /** Address of the streaming server behind CRI's Exec, Attach and PortForward. */
  readonly streamingAddress?: string
}

export interface ContainerRuntime extends AsyncDisposable {
  readonly runtime: RuntimeService
  readonly images: LocalImageService
  readonly streams: RuntimeStreams
  /** Serves both CRI services on a unix socket. */
  listen(socketPath: string): Promise<AsyncDisposable>
  /** Removes every pod and container, the network and everything on disk but the images: for taking a node down. */
  tearDown(signal: AbortSignal): Promise<void>
}

export const runtimeVersion = '0.1.0'
const defaultCgroupParent = '/k8ts-runtime'

/** Starts the engine and takes over what an earlier one left. @throws CriError FailedPrecondition when the host lacks a program */
export async function startContainerRuntime(options: ContainerRuntimeOptions, signal: AbortSignal): Promise<ContainerRuntime> {
  const { clock, random, logger } = options
  signal.throwIfAborted()
  const host = probeHost()
  if (process.getuid?.() !== 0) throw new CriError('FailedPrecondition', 'the container runtime needs root')
  if (!host.ociRuntime || !host.conmonPath) throw new CriError('FailedPrecondition', `the container runtime needs ${host.ociRuntime ? 'conmon' : 'crun (or runc)'}: apt-get install crun conmon`)
  const paths = runtimePaths(options.rootDir, options.runDir)
  for (const dir of [paths.rootDir, paths.runDir]) await mkdir(dir, { recursive: true, mode: 0o711 })
  await forgetLastBoot(paths.runDir)
  await rm(paths.trash, { recursive: true, force: true })
  await mkdir(paths.trash, { recursive: true, mode: 0o700 })
  const runtime = new OciRuntime(host.ociRuntime, paths.ociState)
  const cgroups = new Cgroups(host.cgroup2)
  await using stack = new AsyncDisposableStack()
  const network: PodNetwork = options.cni ? new CniNetwork(options.cni) : stack.use(new BridgeNetwork({
    ...(options.podCidr !== undefined && { podCidr: options.podCidr }), clusterCidrs: options.clusterCidrs ?? ['10.0.0.0/8'], bridgeName: options.bridgeName ?? 'cni0', mtu: options.mtu ?? 1500, logger,
  }))
  const events = new EventFanout()
  const publish: EventPublisher = (type, containerId, podSandboxId) => {
    if (events.subscriberCount === 0) return
    const sandbox = sandboxes.find(podSandboxId)
    events.publish({
      containerId, containerEventType: type, createdAt: BigInt(Math.floor(clock.now() * 1000)) * 1000n, ...(sandbox && { podSandboxStatus: sandboxStatus(sandbox) }),
      containersStatuses: containers.ofSandbox(podSandboxId).filter((record) => record.phase !== 'creating').map(containerStatus),
    })
  }
  const store: ImageStore = await ImageStore.open({ dir: paths.images, random, clock, layersInUse: () => Array.from(containers.all(), (record) => record.diffIds).flat() })
  const sandboxes = new SandboxManager({ paths, clock, random, logger, network, runtime, cgroups, defaultCgroupParent: options.cgroupParent ?? defaultCgroupParent, architecture: host.architecture })
  const containers: ContainerManager = stack.use(new ContainerManager({
    paths, clock, random, logger, host, runtime, conmonPath: host.conmonPath, cgroups, images: store, sandboxes, pidsLimit: options.pidsLimit ?? 0, onEvent: publish,
  }))
  await containers.restore()
  await sandboxes.restore((sandboxId) => containers.ofSandbox(sandboxId).flatMap((record) => (record.phase === 'running' && record.process ? [record.process.pid] : [])))
  await store.collectGarbage()
  const execDependencies = { containers, runtime, clock, random }
  const streams: RuntimeStreams = {
    openExec: (request, stop) => openExec(execDependencies, request, stop),
    openAttach: (request, stop) => openAttach(execDependencies, request, stop),
    openPortForward: (request, stop) => openPortForward(sandboxes, request, stop),
  }
  const streaming = stack.use(createStreamingServer({ clock, random, streams, ...(options.streamingAddress !== undefined && { address: options.streamingAddress }) }))
  const service = createRuntimeService({ ...execDependencies, sandboxes, network, cgroups, stats: new StatsReader(clock, cgroups), events, streaming, publish, version: runtimeVersion })
  const images = createImageService({ store, clock, containersDir: paths.containers, nodePath: process.execPath, registries: options.registries ?? {}, architecture: host.architecture })
  logger.info('container runtime is ready', { root: paths.rootDir, ociRuntime: runtime.name, sandboxes: [...sandboxes.all()].length, containers: [...containers.all()].length })
  const owned = stack.move() // nothing can fail any more
  return {
    runtime: service, images, streams,
    async listen(socketPath) { return owned.use(await serveCri({ clock, socketPath, runtime: service, images, importArchive: (path, name) => images.importArchive(path, { ...(name !== '' && { name }) }) })) },
    async tearDown(stop) {
      await Promise.all(Array.from(sandboxes.all(), (record) => service.removePodSandbox({ podSandboxId: record.id }, stop)))
      await network.tearDown(stop)
      cgroups.remove(options.cgroupParent ?? defaultCgroupParent)
      await owned.disposeAsync()
      for (const dir of [paths.containers, paths.sandboxes, paths.trash, paths.runDir]) await rm(dir, { recursive: true, force: true })
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

/** `runDir` may lie on a disk: after a reboot, what it says about processes and mounts is wrong. */
async function forgetLastBoot(runDir: string): Promise<void> {
  const bootId = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => '')).trim()
  const marker = join(runDir, 'boot-id')
  const last = (await readFile(marker, 'utf8').catch(() => '')).trim()
  if (last !== '' && last !== bootId && existsSync(runDir)) {
    await rm(runDir, { recursive: true, force: true })
    await mkdir(runDir, { recursive: true, mode: 0o711 })
  }
  await writeFile(marker, bootId)
}
