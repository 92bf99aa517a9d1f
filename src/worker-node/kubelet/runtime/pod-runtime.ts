// Carries out what pod-actions.ts decided: sandboxes, images, containers, hooks, in the original's order and with its events.
// Rule it keeps: a failure of one container doesn't stop the others; it becomes that container's waiting reason and a time to try again.
// Upstream: pkg/kubelet/kuberuntime/kuberuntime_manager.go (SyncPod), kuberuntime_container.go (startContainer)
import { environmentReferences, makeEnvironment } from '../environment/container-environment.ts'
import { serviceEnvironment } from '../environment/service-environment.ts'
import { containerLogLink, containerLogPath, podLogDirectory } from '../logs/log-paths.ts'
import { removeContainerLogs } from '../logs/remove-logs.ts'
import { hostNetworkHostsFile, podHostname, podHostsFile } from '../network/hosts-file.ts'
import { podDnsConfig } from '../network/resolv-conf.ts'
import { BackOff, formatGoDuration } from '../pod/back-off.ts'
import { containerHash, containerReference, describePod, findContainer, isHostNetwork, podNamespace, podReference } from '../pod/pod-facts.ts'
import { newestExited } from '../status/container-statuses.ts'
import { makeMounts } from '../volume/container-mounts.ts'
import { hostsFilePath } from '../volume/pod-directories.ts'
import { checkRunAsNonRoot, containerResources, imageUser, makeContainerConfig } from './container-config.ts'
import { killAllContainers, killContainer } from './kill-containers.ts'
import { runHook } from './lifecycle-hooks.ts'
import { newestContainer } from './runtime-status.ts'
import { makeSandboxConfig } from './sandbox-config.ts'
import { CriError } from '../../../lib/cri-api/cri-services.ts'
import type { PodAddresses } from '../environment/field-values.ts'
import type { Disk } from '../host/disk.ts'
import type { Mounter } from '../host/mounter.ts'
import type { ImageManager } from '../images/image-manager.ts'
import type { RegistryCredential } from '../images/pull-credentials.ts'
import type { ResolvConf } from '../network/resolv-conf.ts'
import type { ContainerKind, PlacedContainer } from '../pod/pod-facts.ts'
import type { PodActions } from '../pod/pod-actions.ts'
import type { WaitingReason } from '../status/container-statuses.ts'
import type { VolumeManager, VolumesResult } from '../volume/volume-manager.ts'
import type { KillerOptions } from './kill-containers.ts'
import type { RuntimeContainer, RuntimePod } from './runtime-status.ts'
import type { Random } from '../../../lib/base/random.ts'
import type { PodSandboxConfig } from '../../../lib/cri-api/generated/types.ts'
import type { ConfigMap, Pod, Secret, Service } from '../../../lib/api/generated/types/core-v1.ts'

export interface PodRuntimeOptions extends KillerOptions {
  readonly random: Random
  readonly disk: Disk
  readonly mounter: Mounter
  readonly imageManager: ImageManager
  readonly volumes: VolumeManager
  readonly rootDir: string
  readonly logsDir: string
  readonly clusterDns: readonly string[]
  readonly clusterDomain: string
  readonly crashLoopInitialMs: number
  readonly crashLoopMaximumMs: number
  readonly memoryCapacityBytes: () => number
  readonly hostResolvConf: () => Promise<ResolvConf>
  readonly services: () => readonly Service[]
  /** The runtime's handler for a RuntimeClass. */
  readonly runtimeHandler: (runtimeClassName: string, signal: AbortSignal) => Promise<string>
}

export interface SyncInput {
  readonly pod: Pod
  readonly observed: RuntimePod
  readonly actions: PodActions
  readonly volumes: VolumesResult
  readonly addresses: PodAddresses
  readonly cgroupParent: string
  readonly credentials: readonly RegistryCredential[]
}

export interface SyncOutcome {
  /** By container name. */
  readonly failures: ReadonlyMap<string, WaitingReason>
  readonly started: readonly string[]
  /** When to try again, whatever else happens; undefined when nothing failed. */
  readonly retryAfterMs: number | undefined
}

interface StartInput extends SyncInput {
  readonly sandboxId: string
  readonly sandboxConfig: PodSandboxConfig
  readonly podIps: readonly string[]
}

type StartResult = { readonly ok: true } | { readonly ok: false; readonly reason: string; readonly message: string; readonly retryAfterMs: number }

export class PodRuntime {
  readonly #options: PodRuntimeOptions
  readonly #backOff: BackOff

  constructor(options: PodRuntimeOptions) {
    this.#options = options
    this.#backOff = new BackOff(options.crashLoopInitialMs, options.crashLoopMaximumMs)
  }

  collect(): void { this.#backOff.collect(this.#options.clock.now()) }

  async syncPod(input: SyncInput, signal: AbortSignal): Promise<SyncOutcome> {
    const { pod, actions, observed } = input
    const { runtime, events, clock } = this.#options
    const failures = new Map<string, WaitingReason>()
    const started: string[] = []
    let retryAfterMs: number | undefined
    const fail = (name: string, result: { readonly reason: string; readonly message: string; readonly retryAfterMs: number }): void => {
      failures.set(name, { reason: result.reason, message: result.message })
      retryAfterMs = Math.min(retryAfterMs ?? Infinity, result.retryAfterMs)
    }
    if (actions.killPod) {
      if (actions.createSandbox && observed.sandboxes.length > 0) events.event(podReference(pod), 'Normal', 'SandboxChanged', 'Pod sandbox changed, it will be killed and re-created.')
      if (observed.sandboxes.length > 0 || observed.containers.length > 0) await this.killPod(pod, observed, undefined, signal)
      if (!actions.createSandbox) return { failures, started, retryAfterMs }
    } else {
      const podIp = observed.sandboxes[0]?.ips[0] ?? ''
      await Promise.all(actions.containersToKill.map(async ({ id, reason, message }) => {
        const container = observed.containers.find((c) => c.id === id)
        if (container) await killContainer(this.#options, { pod, container, podIp, reason, message, graceOverrideSeconds: undefined }, signal)
      }))
    }
    for (const name of actions.containersToUpdate) {
      const container = findContainer(pod, name)?.container
      const running = newestContainer(observed, name)
      if (!container || !running) continue
      try {
        await runtime.updateContainerResources({ containerId: running.id, linux: containerResources(pod, container, this.#options.memoryCapacityBytes()) }, signal)
        events.event(containerReference(pod, name), 'Normal', 'ResizeCompleted', `Resources of container ${name} changed`)
      } catch (error) {
        if (signal.aborted) throw error
        events.event(containerReference(pod, name), 'Warning', 'ResizeError', `Could not change the resources of container ${name}: ${describe(error)}`)
      }
    }
    // An init container that runs again leaves no more than one dead attempt behind.
    for (const name of actions.initContainersToStart) await this.#pruneInit(observed, name, signal)

    const sandboxConfig = await this.#sandboxConfig(input, actions.attempt)
    let sandboxId = actions.sandboxId
    let podIps: readonly string[] = observed.sandboxes[0]?.ips ?? []
    if (actions.createSandbox) {
      try {
        await this.#options.disk.makeDirectory(podLogDirectory(this.#options.logsDir, pod), 0o755)
        const runtimeHandler = pod.spec?.runtimeClassName ? await this.#options.runtimeHandler(pod.spec.runtimeClassName, signal) : ''
        sandboxId = (await runtime.runPodSandbox({ config: sandboxConfig, runtimeHandler }, signal)).podSandboxId ?? ''
        const { status } = await runtime.podSandboxStatus({ podSandboxId: sandboxId }, signal)
        podIps = [status?.network?.ip ?? '', ...(status?.network?.additionalIps ?? []).map((p) => p.ip ?? '')].filter((ip) => ip !== '')
      } catch (error) {
        if (signal.aborted) throw error
        events.event(podReference(pod), 'Warning', 'FailedCreatePodSandBox', `Failed to create pod sandbox: ${describe(error)}`)
        return { failures, started, retryAfterMs: 5000 }
      }
    }
    const ips = isHostNetwork(pod) ? input.addresses.hostIps : podIps
    const start: StartInput = { ...input, sandboxId, sandboxConfig, podIps: ips, addresses: { ...input.addresses, podIps: ips } }
    const lists: readonly (readonly [ContainerKind, readonly string[]])[] = [['ephemeral', actions.ephemeralContainersToStart], ['init', actions.initContainersToStart], ['container', actions.containersToStart]]
    for (const [kind, names] of lists) {
      for (const name of names) {
        const placed = findContainer(pod, name)
        if (!placed || placed.kind !== kind) continue
        const result = this.#checkBackOff(pod, placed, actions.createSandbox ? { ...observed, sandboxes: [] } : observed, clock.now()) ?? (await this.#startContainer(start, placed, signal))
        if (result.ok) started.push(name)
        else fail(name, result)
      }
    }
    return { failures, started, retryAfterMs }
  }

  /** Stops every container and sandbox of the pod. */
  async killPod(pod: Pod | undefined, observed: RuntimePod, graceOverrideSeconds: number | undefined, signal: AbortSignal): Promise<void> {
    await killAllContainers(this.#options, pod, observed, graceOverrideSeconds, signal)
    for (const sandbox of observed.sandboxes) {
      if (!sandbox.ready) continue
      try {
        await this.#options.runtime.stopPodSandbox({ podSandboxId: sandbox.id }, signal)
      } catch (error) {
        if (error instanceof CriError && error.code === 'NotFound') continue
        if (pod && !signal.aborted) this.#options.events.event(podReference(pod), 'Warning', 'FailedKillPod', `error killing pod: ${describe(error)}`)
        throw error
      }
    }
  }

  #checkBackOff(pod: Pod, { container, kind }: PlacedContainer, observed: RuntimePod, nowMs: number): StartResult | undefined {
    if (kind === 'ephemeral') return undefined
    const exited = newestExited(observed, container.name)
    if (!exited) return undefined
    const key = `${pod.metadata.name}_${podNamespace(pod)}_${pod.metadata.uid}_${container.name}_${containerHash(container)}`
    const remainingMs = this.#backOff.remaining(key, exited.finishedAtMs, nowMs)
    if (remainingMs === 0) {
      this.#backOff.next(key, exited.finishedAtMs, nowMs)
      return undefined
    }
    this.#options.events.event(containerReference(pod, container.name), 'Warning', 'BackOff', `Back-off restarting failed container ${container.name} in pod ${describePod(pod)}`)
    const message = `back-off ${formatGoDuration(this.#backOff.get(key))} restarting failed container=${container.name} pod=${describePod(pod)}`
    return { ok: false, reason: 'CrashLoopBackOff', message, retryAfterMs: remainingMs }
  }

  async #pruneInit(observed: RuntimePod, name: string, signal: AbortSignal): Promise<void> {
    const dead = observed.containers.filter((c) => c.name === name && (c.state === 'exited' || c.state === 'created'))
    for (const container of dead.slice(1)) {
      await this.#options.runtime.removeContainer({ containerId: container.id }, signal)
      await removeContainerLogs(this.#options.disk, container.logPath)
    }
  }

  async #sandboxConfig(input: SyncInput, attempt: number): Promise<PodSandboxConfig> {
    const { pod } = input
    const { clusterDns, clusterDomain, logsDir } = this.#options
    const { hostname, domain } = podHostname(pod, clusterDomain)
    return makeSandboxConfig({
      pod, attempt, hostname: pod.spec?.setHostnameAsFQDN && domain !== '' ? `${hostname}.${domain}` : hostname,
      dns: podDnsConfig(pod, await this.#options.hostResolvConf(), { clusterDns, clusterDomain }), logDirectory: podLogDirectory(logsDir, pod), cgroupParent: input.cgroupParent,
    })
  }

  async #startContainer(input: StartInput, placed: PlacedContainer, signal: AbortSignal): Promise<StartResult> {
    const { pod, observed } = input
    const { container, kind } = placed
    const { runtime, events, imageManager, disk, logsDir } = this.#options
    const about = containerReference(pod, container.name)
    const refuse = (reason: string, message: string, retryAfterMs = 10_000): StartResult => {
      events.event(about, 'Warning', 'Failed', `Error: ${message}`)
      return { ok: false, reason, message, retryAfterMs }
    }
    const image = await imageManager.ensureImage(pod, container, input.credentials, input.sandboxConfig, signal)
    if (!image.ok) {
      events.event(about, 'Warning', 'Failed', `Error: ${image.reason}`)
      return image
    }
    const previous = newestContainer(observed, container.name)
    const restartCount = previous ? previous.restartCount + 1 : kind === 'ephemeral' ? 0 : await this.#restartCountFromLogs(pod, container.name)
    let containerId: string
    try {
      const refused = checkRunAsNonRoot(pod, container, imageUser(image.image))
      if (refused !== undefined) return refuse('CreateContainerConfigError', refused)
      const environment = await this.#environment(input, placed, signal)
      if (!environment.ok) return refuse('CreateContainerConfigError', environment.message)
      const hostsFile = await this.#writeHostsFile(pod, input.podIps)
      const mounts = await makeMounts({
        pod, container, volumes: input.volumes, environment: environment.variables, hostsFile, disk, mounter: this.#options.mounter, random: this.#options.random, rootDir: this.#options.rootDir,
      })
      if (!mounts.ok) return refuse('CreateContainerConfigError', mounts.message)
      const target = 'targetContainerName' in container && container.targetContainerName ? newestContainer(observed, container.targetContainerName) : undefined
      const config = makeContainerConfig({
        pod, container, restartCount, imageRef: image.imageRef, environment: environment.variables, mounts: mounts.mounts, memoryCapacityBytes: this.#options.memoryCapacityBytes(),
        ...(target ? { targetContainerId: target.id } : {}),
      })
      await disk.makeDirectory(`${podLogDirectory(logsDir, pod)}/${container.name}`, 0o755)
      containerId = (await runtime.createContainer({ podSandboxId: input.sandboxId, config, sandboxConfig: input.sandboxConfig }, signal)).containerId ?? ''
    } catch (error) {
      if (signal.aborted) throw error
      return refuse('CreateContainerError', describe(error))
    }
    events.event(about, 'Normal', 'Created', 'Container created')
    try {
      await runtime.startContainer({ containerId }, signal)
    } catch (error) {
      if (signal.aborted) throw error
      return refuse('RunContainerError', describe(error))
    }
    events.event(about, 'Normal', 'Started', 'Container started')
    await this.#linkLog(pod, container.name, containerId, restartCount)
    const hook = container.lifecycle?.postStart
    if (!hook) return { ok: true }
    const failure = await runHook(hook, {
      pod, container, containerId, podIp: input.podIps[0] ?? '', runtime, network: this.#options.network, clock: this.#options.clock, timeoutMs: 0,
    }, signal)
    if (failure === undefined) return { ok: true }
    events.event(about, 'Warning', 'FailedPostStartHook', 'PostStartHook failed')
    this.#options.logger.warn('PostStart hook failed', { pod: describePod(pod), container: container.name, failure })
    const running: RuntimeContainer = {
      id: containerId, name: container.name, sandboxId: input.sandboxId, state: 'running', restartCount, hash: '', createdAtMs: 0, startedAtMs: 0, finishedAtMs: 0, exitCode: 0, reason: '', message: '',
      image: '', imageRef: '', annotations: {}, logPath: '', resources: undefined, user: undefined,
    }
    await killContainer(this.#options, { pod, container: running, podIp: input.podIps[0] ?? '', reason: undefined, message: 'FailedPostStartHook', graceOverrideSeconds: undefined }, signal)
    return { ok: false, reason: 'PostStartHookError', message: failure, retryAfterMs: 1000 }
  }

  async #environment(input: StartInput, { container }: PlacedContainer, signal: AbortSignal): Promise<ReturnType<typeof makeEnvironment>> {
    const { pod } = input
    const { volumes, events } = this.#options
    const namespace = podNamespace(pod)
    const references = environmentReferences(container)
    const since = volumes.firstSeenMs(pod.metadata.uid)
    const configMaps = new Map<string, ConfigMap>()
    const secrets = new Map<string, Secret>()
    await Promise.all([
      ...references.configMaps.map(async (name) => { const object = await volumes.configMaps?.get(namespace, name, since, signal); if (object) configMaps.set(name, object) }),
      ...references.secrets.map(async (name) => { const object = await volumes.secrets?.get(namespace, name, since, signal); if (object) secrets.set(name, object) }),
    ])
    const services = serviceEnvironment(this.#options.services(), namespace, pod.spec?.enableServiceLinks !== false)
    const result = makeEnvironment(pod, container, input.addresses, services, { configMap: (name) => configMaps.get(name), secret: (name) => secrets.get(name) })
    if (result.ok) {
      for (const { kind, name, keys } of result.skipped) {
        events.event(podReference(pod), 'Warning', 'InvalidEnvironmentVariableNames', `Keys [${keys.join(', ')}] from the EnvFrom ${kind === 'Secret' ? 'secret' : 'configMap'} ${namespace}/${name} were skipped since they are considered invalid environment variable names.`)
      }
    }
    return result
  }

  async #writeHostsFile(pod: Pod, podIps: readonly string[]): Promise<string | undefined> {
    const { disk, rootDir, clusterDomain } = this.#options
    if (podIps.length === 0 && !isHostNetwork(pod)) return undefined
    const path = hostsFilePath(rootDir, pod.metadata.uid)
    const aliases = pod.spec?.hostAliases ?? []
    const { hostname, domain } = podHostname(pod, clusterDomain)
    const text = isHostNetwork(pod) ? hostNetworkHostsFile(await this.#hostHostsFile(), aliases) : podHostsFile(podIps, hostname, domain, aliases)
    await disk.writeFile(path, new TextEncoder().encode(text), 0o644)
    return path
  }

  async #hostHostsFile(): Promise<string> {
    try {
      return new TextDecoder().decode(await this.#options.disk.readFile('/etc/hosts', 1 << 20))
    } catch {
      return '127.0.0.1\tlocalhost\n'
    }
  }

  /** When the runtime forgot the earlier attempts, their log files still tell their number. */
  async #restartCountFromLogs(pod: Pod, container: string): Promise<number> {
    const folder = `${podLogDirectory(this.#options.logsDir, pod)}/${container}`
    if (!(await this.#options.disk.lstat(folder))) return 0
    const numbers = (await this.#options.disk.list(folder)).flatMap((name) => { const n = /^(\d+)\.log/.exec(name)?.[1]; return n === undefined ? [] : [Number(n)] })
    return numbers.length === 0 ? 0 : Math.max(...numbers) + 1
  }

  async #linkLog(pod: Pod, container: string, containerId: string, restartCount: number): Promise<void> {
    const { disk, logsDir, logger } = this.#options
    const link = containerLogLink(logsDir, pod, container, containerId)
    try {
      await disk.makeDirectory(`${logsDir}/containers`)
      await disk.symlink(containerLogPath(logsDir, pod, container, restartCount), link)
    } catch (error) {
      logger.warn('Could not link the container log', { link, error: describe(error) })
    }
  }
}

function describe(error: unknown): string { return error instanceof Error ? error.message : String(error) }
