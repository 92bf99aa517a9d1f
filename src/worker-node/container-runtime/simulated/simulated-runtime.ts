// A container runtime that runs nothing: pods and containers exist in memory only. `cluster` uses it on machines without root, and tests use it
// to have thousands of pods, a clock they move themselves, and containers that exit, fail or answer probes on command.
//
// It keeps CRI's rules where a kubelet can see them: states, times, exit codes, idempotent stops, NotFound for unknown ids, containers gone
// with their sandbox, events in order.
import { PassThrough } from 'node:stream'
import { createSimulatedImages } from './simulated-images.ts'
import type { SimulatedImages } from './simulated-images.ts'
import type { Clock } from '../../../lib/base/clock.ts'
import { sleep } from '../../../lib/base/clock.ts'
import type { Random } from '../../../lib/base/random.ts'
import { CriError } from '../../../lib/cri-api/cri-services.ts'
import type { RuntimeService } from '../../../lib/cri-api/cri-services.ts'
import { EventFanout } from '../../../lib/cri-api/event-fanout.ts'
import {
  containerOfStatus, inPieces, matchesContainer, matchesContainerStats, matchesSandbox, matchesSandboxStats, sandboxOfStatus,
} from '../../../lib/cri-api/container-filters.ts'
import type {
  ContainerConfig, ContainerEventType, ContainerStats, ContainerStatus, ExecSyncRequest, ExecSyncResponse, PodSandboxConfig, PodSandboxStats, PodSandboxStatus,
} from '../../../lib/cri-api/generated/types.ts'
import type { ProcessStreams, RuntimeStreams } from '../../../lib/cri-api/streams.ts'

export interface SimulatedContainer {
  readonly id: string
  readonly podSandboxId: string
  readonly config: ContainerConfig
  /** The pod's name and namespace, from its sandbox. */
  readonly podName: string
  readonly namespace: string
  readonly status: ContainerStatus
  /** Full path of the log file it would have. */
  readonly logPath: string
  readonly log: readonly string[]
}

interface ContainerRecord { id: string; podSandboxId: string; config: ContainerConfig; podName: string; namespace: string; status: ContainerStatus; logPath: string; log: string[]; done: PromiseWithResolvers<void>; ignoresStop: boolean; resourceUpdates: number }
interface SandboxRecord { status: PodSandboxStatus; config: PodSandboxConfig }

export interface SimulatedRuntimeOptions {
  readonly clock: Clock
  readonly random: Random
  /** Every image is on the machine already; default true. */
  readonly imagesPresent?: boolean
  /** The first two numbers of pod addresses; default `10.88`. */
  readonly podAddressPrefix?: string
  /** Called for each line of a container's log, in CRI's file format, so that a caller may keep files. */
  readonly writeLog?: (path: string, line: string) => void
  /** What a started container does: `exit` ends it by itself after `afterMs`. Default: runs until stopped. */
  readonly behave?: (container: SimulatedContainer) => { readonly exit?: { readonly code: number; readonly afterMs: number }; readonly ignoresStop?: boolean } | undefined
  /** Answers exec; default: prints the command, exit code 0. */
  readonly exec?: (container: SimulatedContainer, command: readonly string[]) => { readonly stdout?: string; readonly stderr?: string; readonly exitCode?: number } | undefined
}

export interface SimulatedRuntime {
  readonly runtime: RuntimeService
  readonly images: SimulatedImages
  readonly streams: RuntimeStreams
  /** All containers that were not removed. */
  containers(): readonly SimulatedContainer[]
  /** The newest container of that name in that pod. */
  find(podName: string, containerName: string): SimulatedContainer | undefined
  /** Ends a running container. */
  exit(containerId: string, exitCode: number, reason?: string): void
  /** Adds a line to its log. */
  log(containerId: string, line: string, stream?: 'stdout' | 'stderr'): void
  /** Exec probes of this container fail while it isn't ready; probes over the network are the kubelet's: ask isReady there. */
  setReady(podName: string, containerName: string, ready: boolean): void
  isReady(podName: string, containerName: string): boolean
  /** Every call fails as if the runtime were down. */
  setAvailable(available: boolean): void
  /** The sandbox's holder dies: the pod must be made anew. */
  breakSandbox(podSandboxId: string): void
}

export function createSimulatedRuntime(options: SimulatedRuntimeOptions): SimulatedRuntime {
  const { clock, random } = options
  const sandboxes = new Map<string, SandboxRecord>()
  const containers = new Map<string, ContainerRecord>()
  const events = new EventFanout()
  const notReady = new Set<string>()
  let available = true
  let addresses = 1
  const images = createSimulatedImages({ clock, alwaysPresent: options.imagesPresent ?? true })
  const nowNs = (): bigint => BigInt(Math.floor(clock.now() * 1000)) * 1000n
  const newId = (): string => Array.from(random.bytes(32), (byte) => byte.toString(16).padStart(2, '0')).join('')

  const checkAvailable = (): void => { if (!available) throw new CriError('Unavailable', 'the simulated runtime is down') }
  const sandboxOf = (id: string | undefined): SandboxRecord => {
    checkAvailable()
    const found = sandboxes.get(id ?? '')
    if (!found) throw new CriError('NotFound', `an error occurred when try to find sandbox ${JSON.stringify(id ?? '')}: not found`)
    return found
  }
  const containerOf = (id: string | undefined): ContainerRecord => {
    checkAvailable()
    const found = containers.get(id ?? '')
    if (!found) throw new CriError('NotFound', `an error occurred when try to find container ${JSON.stringify(id ?? '')}: not found`)
    return found
  }
  const statusesOf = (podSandboxId: string): ContainerStatus[] => [...containers.values()].filter((c) => c.podSandboxId === podSandboxId).map((c) => c.status)
  const publish = (type: ContainerEventType, containerId: string, podSandboxId: string): void => {
    if (events.subscriberCount === 0) return
    events.publish({ containerId, containerEventType: type, createdAt: nowNs(), podSandboxStatus: sandboxes.get(podSandboxId)?.status, containersStatuses: statusesOf(podSandboxId) })
  }
  const end = (container: ContainerRecord, exitCode: number, reason?: string): void => {
    if (container.status.state !== 'CONTAINER_RUNNING') return
    container.status = { ...container.status, state: 'CONTAINER_EXITED', finishedAt: nowNs(), exitCode, reason: reason ?? (exitCode === 0 ? 'Completed' : 'Error') }
    container.done.resolve()
    publish('CONTAINER_STOPPED_EVENT', container.id, container.podSandboxId)
  }
  const appendLog = (container: ContainerRecord, text: string, stream: 'stdout' | 'stderr' = 'stdout'): void => {
    const line = `${new Date(clock.now()).toISOString().replace('Z', '000000Z')} ${stream} F ${text}\n`
    if (container.log.length >= 10_000) container.log.shift()
    container.log.push(line)
    options.writeLog?.(container.logPath, line)
  }
  const runExec = (container: ContainerRecord, command: readonly string[]): Required<ExecSyncResponse> => {
    if (container.status.state !== 'CONTAINER_RUNNING') throw new CriError('FailedPrecondition', `container ${container.id} is not running`)
    const ready = !notReady.has(`${container.podName}/${container.config.metadata?.name}`)
    const answer = options.exec?.(container, command) ?? { stdout: `${command.join(' ')}\n`, exitCode: ready ? 0 : 1 }
    const encode = (text = ''): Uint8Array => new TextEncoder().encode(text)
    return { stdout: encode(answer.stdout), stderr: encode(answer.stderr), exitCode: answer.exitCode ?? 0 }
  }
  const stop = async (container: ContainerRecord, timeoutSeconds: number, signal: AbortSignal): Promise<void> => {
    if (container.status.state !== 'CONTAINER_RUNNING') return
    if (container.ignoresStop && timeoutSeconds > 0) await Promise.race([sleep(clock, timeoutSeconds * 1000, signal), container.done.promise])
    end(container, container.ignoresStop || timeoutSeconds === 0 ? 137 : 143)
  }
  const usage = (value: number): { readonly timestamp: bigint; readonly value: { readonly value: number } } => ({ timestamp: nowNs(), value: { value } })
  const statsOf = (container: ContainerRecord): ContainerStats => {
    const { id, metadata, labels, annotations } = container.status
    const seconds = Number((nowNs() - (container.status.startedAt ?? nowNs())) / 1_000_000n) / 1000
    const timestamp = nowNs()
    return {
      attributes: { id, metadata, labels, annotations },
      cpu: { timestamp, usageCoreNanoSeconds: { value: Math.floor(seconds * 1e6) }, usageNanoCores: { value: 1_000_000 } },
      memory: { timestamp, workingSetBytes: { value: 10_000_000 }, usageBytes: { value: 10_000_000 }, rssBytes: { value: 8_000_000 } },
      writableLayer: { timestamp, fsId: { mountpoint: '/simulated' }, usedBytes: usage(4096).value, inodesUsed: { value: 1 } },
    }
  }
  const sandboxStatsOf = (sandbox: SandboxRecord): PodSandboxStats => {
    const { id, metadata, labels, annotations } = sandbox.status
    const running = [...containers.values()].filter((c) => c.podSandboxId === id && c.status.state === 'CONTAINER_RUNNING')
    return { attributes: { id, metadata, labels, annotations }, linux: { containers: running.map(statsOf), process: { timestamp: nowNs(), processCount: { value: running.length } } } }
  }

  const runtime: RuntimeService = {
    async version() { checkAvailable(); return { version: '0.1.0', runtimeName: 'k8ts-simulated', runtimeVersion: '0.1.0', runtimeApiVersion: 'v1' } },
    async status() {
      checkAvailable()
      return {
        status: { conditions: [{ type: 'RuntimeReady', status: true }, { type: 'NetworkReady', status: true }] },
        runtimeHandlers: [{ name: '', features: {} }], features: { supplementalGroupsPolicy: true },
      }
    },
    async runPodSandbox(request) {
      checkAvailable()
      const config = request.config
      if (!config?.metadata?.name) throw new CriError('InvalidArgument', 'sandbox config has no metadata')
      const id = newId()
      const network = config.linux?.securityContext?.namespaceOptions?.network ?? 'POD'
      const ip = `${options.podAddressPrefix ?? '10.88'}.${(addresses >> 8) & 255}.${addresses & 255}`
      if (network === 'POD') addresses++
      sandboxes.set(id, {
        config,
        status: {
          id, metadata: config.metadata, state: 'SANDBOX_READY', createdAt: nowNs(), network: network === 'POD' ? { ip } : {},
          linux: { namespaces: { options: config.linux?.securityContext?.namespaceOptions ?? {} } }, labels: config.labels, annotations: config.annotations, runtimeHandler: request.runtimeHandler,
        },
      })
      publish('CONTAINER_CREATED_EVENT', id, id)
      publish('CONTAINER_STARTED_EVENT', id, id)
      return { podSandboxId: id }
    },
    async stopPodSandbox(request) {
      checkAvailable()
      const sandbox = sandboxes.get(request.podSandboxId ?? '')
      if (!sandbox) return {}
      for (const container of containers.values()) if (container.podSandboxId === request.podSandboxId) end(container, 137)
      if (sandbox.status.state === 'SANDBOX_READY') {
        sandbox.status = { ...sandbox.status, state: 'SANDBOX_NOTREADY', network: {} }
        publish('CONTAINER_STOPPED_EVENT', sandbox.status.id ?? '', sandbox.status.id ?? '')
      }
      return {}
    },
    async removePodSandbox(request, signal) {
      await runtime.stopPodSandbox(request, signal)
      const id = request.podSandboxId ?? ''
      for (const container of containers.values()) if (container.podSandboxId === id) containers.delete(container.id)
      if (sandboxes.delete(id)) publish('CONTAINER_DELETED_EVENT', id, id)
      return {}
    },
    async podSandboxStatus(request) {
      const { status } = sandboxOf(request.podSandboxId)
      return { status, containersStatuses: statusesOf(status.id ?? ''), timestamp: nowNs(), info: request.verbose ? { info: '{}' } : undefined }
    },
    async listPodSandbox(request) {
      checkAvailable()
      return { items: [...sandboxes.values()].map((s) => sandboxOfStatus(s.status)).filter((s) => matchesSandbox(s, request.filter)) }
    },
    async* streamPodSandboxes(request, signal) { for (const piece of inPieces((await runtime.listPodSandbox(request, signal)).items ?? [])) yield { podSandboxes: piece } },
    async createContainer(request) {
      const sandbox = sandboxOf(request.podSandboxId)
      const config = request.config
      if (!config?.metadata?.name) throw new CriError('InvalidArgument', 'container config has no metadata')
      if (sandbox.status.state !== 'SANDBOX_READY') throw new CriError('FailedPrecondition', `sandbox ${request.podSandboxId} is not ready`)
      const { image } = await images.imageStatus({ image: config.image }, new AbortController().signal)
      if (!image) throw new CriError('NotFound', `image ${config.image?.image} is not on this machine`)
      const id = newId()
      const logPath = `${sandbox.config.logDirectory ?? ''}/${config.logPath ?? ''}`
      containers.set(id, {
        id, podSandboxId: request.podSandboxId ?? '', config, logPath, log: [], done: Promise.withResolvers<void>(), ignoresStop: false, resourceUpdates: 0,
        podName: sandbox.config.metadata?.name ?? '', namespace: sandbox.config.metadata?.namespace ?? '',
        status: {
          id, metadata: config.metadata, state: 'CONTAINER_CREATED', createdAt: nowNs(), image: config.image, imageRef: image.repoDigests?.[0] ?? image.id, imageId: image.id,
          labels: config.labels, annotations: config.annotations, mounts: config.mounts, logPath, resources: { linux: config.linux?.resources }, stopSignal: config.stopSignal,
        },
      })
      publish('CONTAINER_CREATED_EVENT', id, request.podSandboxId ?? '')
      return { containerId: id }
    },
    async startContainer(request) {
      const container = containerOf(request.containerId)
      if (container.status.state !== 'CONTAINER_CREATED') throw new CriError('FailedPrecondition', `container ${container.id} is in state ${container.status.state}`)
      container.status = { ...container.status, state: 'CONTAINER_RUNNING', startedAt: nowNs() }
      const behaviour = options.behave?.(container)
      container.ignoresStop = behaviour?.ignoresStop ?? false
      const exit = behaviour?.exit
      if (exit) clock.setTimer(exit.afterMs, () => end(container, exit.code), { keepAlive: false })
      publish('CONTAINER_STARTED_EVENT', container.id, container.podSandboxId)
      return {}
    },
    async stopContainer(request, signal) {
      checkAvailable()
      const container = containers.get(request.containerId ?? '')
      if (container) await stop(container, request.timeout ?? 0, signal)
      return {}
    },
    async removeContainer(request, signal) {
      checkAvailable()
      const container = containers.get(request.containerId ?? '')
      if (!container) return {}
      await stop(container, 0, signal)
      containers.delete(container.id)
      publish('CONTAINER_DELETED_EVENT', container.id, container.podSandboxId)
      return {}
    },
    async listContainers(request) {
      checkAvailable()
      return { containers: [...containers.values()].map((c) => containerOfStatus(c.status, c.podSandboxId)).filter((c) => matchesContainer(c, request.filter)) }
    },
    async* streamContainers(request, signal) { for (const piece of inPieces((await runtime.listContainers(request, signal)).containers ?? [])) yield { containers: piece } },
    async containerStatus(request) { return { status: containerOf(request.containerId).status, info: request.verbose ? { info: '{}' } : undefined } },
    async updateContainerResources(request) {
      const container = containerOf(request.containerId)
      container.resourceUpdates++
      container.status = { ...container.status, resources: { linux: { ...container.status.resources?.linux, ...request.linux } } }
      return {}
    },
    async reopenContainerLog(request) { containerOf(request.containerId); return {} },
    async execSync(request: ExecSyncRequest) { return runExec(containerOf(request.containerId), request.cmd ?? []) },
    async exec() { throw new CriError('Unimplemented', 'the simulated runtime has no streaming server; use its streams') },
    async attach() { throw new CriError('Unimplemented', 'the simulated runtime has no streaming server; use its streams') },
    async portForward() { throw new CriError('Unimplemented', 'the simulated runtime has no streaming server; use its streams') },
    async containerStats(request) { return { stats: statsOf(containerOf(request.containerId)) } },
    async listContainerStats(request) {
      checkAvailable()
      const wanted = [...containers.values()].filter((c) => matchesContainerStats(containerOfStatus(c.status, c.podSandboxId), request.filter))
      return { stats: wanted.filter((c) => c.status.state === 'CONTAINER_RUNNING').map(statsOf) }
    },
    async* streamContainerStats(request, signal) { for (const piece of inPieces((await runtime.listContainerStats(request, signal)).stats ?? [])) yield { containerStats: piece } },
    async podSandboxStats(request) { return { stats: sandboxStatsOf(sandboxOf(request.podSandboxId)) } },
    async listPodSandboxStats(request) {
      checkAvailable()
      return { stats: [...sandboxes.values()].filter((s) => matchesSandboxStats(sandboxOfStatus(s.status), request.filter)).map(sandboxStatsOf) }
    },
    async* streamPodSandboxStats(request, signal) { for (const piece of inPieces((await runtime.listPodSandboxStats(request, signal)).stats ?? [])) yield { podSandboxStats: piece } },
    async updateRuntimeConfig() { return {} },
    async checkpointContainer() { throw new CriError('Unimplemented', 'the simulated runtime makes no checkpoints') },
    async checkpointPod() { throw new CriError('Unimplemented', 'the simulated runtime makes no checkpoints') },
    async restorePod() { throw new CriError('Unimplemented', 'the simulated runtime makes no checkpoints') },
    async* getContainerEvents(_request, signal) { checkAvailable(); yield* events.subscribe(signal) },
    async listMetricDescriptors() { return {} },
    async listPodSandboxMetrics() { return {} },
    async* streamPodSandboxMetrics() { yield {} },
    async runtimeConfig() { return { linux: { cgroupDriver: 'CGROUPFS' } } },
    async updatePodSandboxResources(request) { sandboxOf(request.podSandboxId); return {} },
  }

  const streams: RuntimeStreams = {
    async openExec(request) {
      const result = runExec(containerOf(request.containerId), request.command)
      return streamsOf(result, request.tty, request.stdin)
    },
    async openAttach(request) {
      const container = containerOf(request.containerId)
      if (container.status.state !== 'CONTAINER_RUNNING') throw new CriError('FailedPrecondition', `container ${container.id} is not running`)
      return streamsOf({ stdout: new Uint8Array(0), stderr: new Uint8Array(0), exitCode: 0 }, request.tty, request.stdin, container.done.promise)
    },
    async openPortForward(request) { sandboxOf(request.podSandboxId); return new PassThrough() },
  }

  return {
    runtime, images, streams,
    containers: () => [...containers.values()],
    find: (podName, containerName) => [...containers.values()].findLast((c) => c.podName === podName && c.config.metadata?.name === containerName),
    exit: (id, exitCode, reason) => end(containerOf(id), exitCode, reason),
    log: (id, line, stream) => appendLog(containerOf(id), line, stream),
    setReady: (podName, name, ready) => { if (ready) notReady.delete(`${podName}/${name}`); else notReady.add(`${podName}/${name}`) },
    isReady: (podName, name) => !notReady.has(`${podName}/${name}`),
    setAvailable: (value) => { available = value },
    breakSandbox: (id) => {
      const sandbox = sandboxOf(id)
      for (const container of containers.values()) if (container.podSandboxId === id) end(container, 137)
      sandbox.status = { ...sandbox.status, state: 'SANDBOX_NOTREADY' }
    },
  }
}

/** Streams that say `result`, echo stdin back, and end when stdin ends (without stdin: at once, or when `until` settles). */
function streamsOf(result: Required<ExecSyncResponse>, tty: boolean, wantsStdin: boolean, until?: Promise<void>): ProcessStreams {
  const stdout = new PassThrough()
  const stderr = tty ? undefined : new PassThrough()
  const stdin = wantsStdin ? new PassThrough() : undefined
  stdout.write(result.stdout)
  ;(stderr ?? stdout).write(result.stderr)
  const exited = Promise.withResolvers<{ readonly exitCode: number }>()
  const finish = (): void => { stdout.end(); stderr?.end(); exited.resolve({ exitCode: result.exitCode }) }
  if (stdin) { stdin.on('data', (chunk) => stdout.write(chunk)); stdin.on('end', finish) } else if (!until) finish()
  until?.then(finish, finish)
  return { stdin, stdout, stderr, resize: () => {}, exit: exited.promise, [Symbol.asyncDispose]: async () => { stdin?.destroy(); finish() } }
}
