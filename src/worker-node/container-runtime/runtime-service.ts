// CRI's RuntimeService: puts sandboxes, containers, exec, statistics and events together.
import { join } from 'node:path'
import type { Cgroups } from './containers/cgroups.ts'
import type { ContainerManager } from './containers/container-manager.ts'
import { containerStatus } from './containers/container-record.ts'
import type { ContainerRecord } from './containers/container-record.ts'
import type { PodNetwork } from './network/pod-network.ts'
import type { SandboxManager } from './sandboxes/sandbox-manager.ts'
import { sandboxStatus } from './sandboxes/sandbox-record.ts'
import type { SandboxRecord } from './sandboxes/sandbox-record.ts'
import { interfacesOf, memoryOf } from './stats.ts'
import type { StatsReader } from './stats.ts'
import type { StreamingServer } from './streaming/streaming-server.ts'
import { execSync } from './streaming/exec-process.ts'
import type { ExecDependencies } from './streaming/exec-process.ts'
import { containerOfStatus, inPieces, matchesContainer, matchesContainerStats, matchesSandbox, matchesSandboxStats, sandboxOfStatus } from '../../lib/cri-api/container-filters.ts'
import { CriError } from '../../lib/cri-api/cri-services.ts'
import type { RuntimeService } from '../../lib/cri-api/cri-services.ts'
import type { EventFanout } from '../../lib/cri-api/event-fanout.ts'
import type { ContainerEventType, ContainerStats, PodSandboxStats, PodSandboxStatus } from '../../lib/cri-api/generated/types.ts'

export interface RuntimeServiceDependencies extends ExecDependencies {
  readonly sandboxes: SandboxManager
  readonly containers: ContainerManager
  readonly network: PodNetwork
  readonly cgroups: Cgroups
  readonly stats: StatsReader
  readonly events: EventFanout
  readonly streaming: StreamingServer
  readonly publish: EventPublisher
  readonly version: string
}

/** Tells subscribers of a change, with the state of the pod and all its containers after it. */
export type EventPublisher = (type: ContainerEventType, containerId: string, podSandboxId: string) => void

export const runtimeName = 'k8ts'

export function createRuntimeService(dependencies: RuntimeServiceDependencies): RuntimeService {
  const { sandboxes, containers, network, clock, stats, events, streaming, cgroups, publish } = dependencies
  const nowNs = (): bigint => BigInt(Math.floor(clock.now() * 1000)) * 1000n

  const statusOf = (record: SandboxRecord): PodSandboxStatus => sandboxStatus(sandboxes.isReady(record) ? record : { ...record, state: 'notready' })
  const containerStats = (record: ContainerRecord): Promise<ContainerStats> => stats.container(record, join(containers.places(record.id).dir, 'upper'))
  const podStats = async (record: SandboxRecord): Promise<PodSandboxStats> => {
    const { id, metadata, labels, annotations } = statusOf(record)
    const timestamp = nowNs()
    const running = containers.ofSandbox(record.id).filter((container) => container.phase === 'running')
    const usage = cgroups.usage(sandboxes.cgroupParent(record))
    const first = running.find((container) => container.process)?.process?.pid ?? record.holder?.pid
    const interfaces = first === undefined || record.namespaces.net === undefined ? [] : interfacesOf(`/proc/${first}/net/dev`)
    return {
      attributes: { id, metadata, labels, annotations },
      linux: {
        cpu: stats.cpu(`pod ${record.id}`, usage, timestamp), memory: memoryOf(usage, timestamp), containers: await Promise.all(running.map(containerStats)),
        network: { timestamp, ...(interfaces[0] && { defaultInterface: interfaces[0] }), interfaces: interfaces.slice(1) },
        process: { timestamp, processCount: { value: running.reduce((sum, container) => sum + (cgroups.usage(container.cgroup).processes ?? 0), 0) } },
      },
    }
  }
  const stopSandbox = async (record: SandboxRecord, signal: AbortSignal): Promise<void> => {
    await Promise.all(containers.ofSandbox(record.id).map((container) => containers.stop(container.id, 0, signal)))
    const wasReady = record.state === 'ready'
    await sandboxes.stop(record)
    if (wasReady) publish('CONTAINER_STOPPED_EVENT', record.id, record.id)
  }
  const refuseCheckpoint = (): never => { throw new CriError('Unimplemented', 'this runtime makes no checkpoints') }

  const service: RuntimeService = {
    async version() { return { version: '0.1.0', runtimeName, runtimeVersion: dependencies.version, runtimeApiVersion: 'v1' } },
    async status(request) {
      const notReady = network.notReady()
      return {
        status: { conditions: [{ type: 'RuntimeReady', status: true, reason: '', message: '' }, { type: 'NetworkReady', status: !notReady, reason: notReady?.reason ?? '', message: notReady?.message ?? '' }] },
        runtimeHandlers: [{ name: '', features: { recursiveReadOnlyMounts: true, userNamespaces: false } }], features: { supplementalGroupsPolicy: true },
        ...(request.verbose && { info: { config: JSON.stringify({ ociRuntime: dependencies.runtime.name }) } }),
      }
    },
    async runPodSandbox(request, signal) {
      const record = await sandboxes.run(request.config ?? {}, request.runtimeHandler ?? '', signal)
      publish('CONTAINER_CREATED_EVENT', record.id, record.id)
      publish('CONTAINER_STARTED_EVENT', record.id, record.id)
      return { podSandboxId: record.id }
    },
    async stopPodSandbox(request, signal) {
      const record = sandboxes.find(request.podSandboxId ?? '')
      if (record) await stopSandbox(record, signal)
      return {}
    },
    async removePodSandbox(request, signal) {
      const record = sandboxes.find(request.podSandboxId ?? '')
      if (!record) return {}
      await stopSandbox(record, signal)
      await Promise.all(containers.ofSandbox(record.id).map(async (container) => { await containers.remove(container.id, signal); stats.forget(container.id) }))
      await sandboxes.remove(sandboxes.get(record.id))
      stats.forget(`pod ${record.id}`)
      publish('CONTAINER_DELETED_EVENT', record.id, record.id)
      return {}
    },
    async podSandboxStatus(request) {
      const record = sandboxes.get(request.podSandboxId ?? '')
      const info = { info: JSON.stringify({ namespaces: record.namespaces, pid: record.holder?.pid ?? 0, config: record.config, runtimeType: dependencies.runtime.name }) }
      return { status: statusOf(record), containersStatuses: containers.ofSandbox(record.id).filter((c) => c.phase !== 'creating').map(containerStatus), timestamp: nowNs(), ...(request.verbose && { info }) }
    },
    async listPodSandbox(request) {
      return { items: [...sandboxes.all()].filter((record) => record.state !== 'creating').map((record) => sandboxOfStatus(statusOf(record))).filter((item) => matchesSandbox(item, request.filter)) }
    },
    async* streamPodSandboxes(request, signal) { for (const piece of inPieces((await service.listPodSandbox(request, signal)).items ?? [])) yield { podSandboxes: piece } },
    async createContainer(request, signal) { return { containerId: await containers.create(request.podSandboxId ?? '', request.config ?? {}, signal) } },
    async startContainer(request, signal) { await containers.start(request.containerId ?? '', signal); return {} },
    async stopContainer(request, signal) { await containers.stop(request.containerId ?? '', request.timeout ?? 0, signal); return {} },
    async removeContainer(request, signal) { await containers.remove(request.containerId ?? '', signal); stats.forget(request.containerId ?? ''); return {} },
    async listContainers(request) {
      await containers.noticeAllLost()
      const shown = [...containers.all()].filter((record) => record.phase !== 'creating')
      return { containers: shown.map((record) => containerOfStatus(containerStatus(record), record.podSandboxId)).filter((item) => matchesContainer(item, request.filter)) }
    },
    async* streamContainers(request, signal) { for (const piece of inPieces((await service.listContainers(request, signal)).containers ?? [])) yield { containers: piece } },
    async containerStatus(request) {
      await containers.noticeLost(containers.get(request.containerId ?? '').id)
      const record = containers.get(request.containerId ?? '')
      const info = { info: JSON.stringify({ sandboxID: record.podSandboxId, pid: record.process?.pid ?? 0, user: record.user }) }
      return { status: containerStatus(record), ...(request.verbose && { info }) }
    },
    async updateContainerResources(request, signal) { await containers.updateResources(request.containerId ?? '', request.linux ?? {}, signal); return {} },
    async reopenContainerLog(request) { containers.reopenLog(request.containerId ?? ''); return {} },
    execSync: (request, signal) => execSync(dependencies, { containerId: request.containerId ?? '', command: request.cmd ?? [], timeoutSeconds: request.timeout ?? 0 }, signal),
    async exec(request) {
      const record = containers.getRunning(request.containerId ?? '')
      return { url: await streaming.offer({ kind: 'exec', containerId: record.id, command: request.cmd ?? [], tty: request.tty ?? false, stdin: request.stdin ?? false, stdout: request.stdout ?? false, stderr: request.stderr ?? false }) }
    },
    async attach(request) {
      const record = containers.getRunning(request.containerId ?? '')
      return { url: await streaming.offer({ kind: 'attach', containerId: record.id, tty: request.tty ?? false, stdin: request.stdin ?? false, stdout: request.stdout ?? false, stderr: request.stderr ?? false }) }
    },
    async portForward(request) {
      const record = sandboxes.get(request.podSandboxId ?? '')
      return { url: await streaming.offer({ kind: 'portforward', podSandboxId: record.id, ports: request.port ?? [] }) }
    },
    async containerStats(request) { return { stats: await containerStats(containers.get(request.containerId ?? '')) } },
    async listContainerStats(request) {
      const wanted = [...containers.all()].filter((record) => record.phase === 'running' && matchesContainerStats(containerOfStatus(containerStatus(record), record.podSandboxId), request.filter))
      return { stats: await Promise.all(wanted.map(containerStats)) }
    },
    async* streamContainerStats(request, signal) { for (const piece of inPieces((await service.listContainerStats(request, signal)).stats ?? [])) yield { containerStats: piece } },
    async podSandboxStats(request) { return { stats: await podStats(sandboxes.get(request.podSandboxId ?? '')) } },
    async listPodSandboxStats(request) {
      const wanted = [...sandboxes.all()].filter((record) => sandboxes.isReady(record) && matchesSandboxStats(sandboxOfStatus(statusOf(record)), request.filter))
      return { stats: await Promise.all(wanted.map(podStats)) }
    },
    async* streamPodSandboxStats(request, signal) { for (const piece of inPieces((await service.listPodSandboxStats(request, signal)).stats ?? [])) yield { podSandboxStats: piece } },
    async updateRuntimeConfig(request) {
      const podCidr = request.runtimeConfig?.networkConfig?.podCidr
      if (podCidr) await network.setPodCidr(podCidr)
      return {}
    },
    async checkpointContainer() { return refuseCheckpoint() },
    async checkpointPod() { return refuseCheckpoint() },
    async restorePod() { return refuseCheckpoint() },
    getContainerEvents: (_request, signal) => events.subscribe(signal),
    async listMetricDescriptors() { return { descriptors: [] } },
    async listPodSandboxMetrics() { return { podMetrics: [] } },
    async* streamPodSandboxMetrics() { yield { podSandboxMetrics: [] } },
    async runtimeConfig() { return { linux: { cgroupDriver: 'CGROUPFS' } } },
    async updatePodSandboxResources(request) { sandboxes.get(request.podSandboxId ?? ''); return {} }, // the pod's cgroup is the kubelet's; this only tells plugins
  }
  return service
}
