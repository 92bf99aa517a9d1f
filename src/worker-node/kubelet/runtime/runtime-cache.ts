// What the runtime runs, kept current: a list every second (ten when the runtime tells of changes itself), details of pods that changed.
// Rule it keeps: an older look never replaces a newer one; whoever is told of a change finds it in the cache.
// Upstream: pkg/kubelet/pleg (generic and evented), pkg/kubelet/container/cache.go
import { sleep } from '../../../lib/base/clock.ts'
import { CriError } from '../../../lib/cri-api/cri-services.ts'
import { tailLog } from '../logs/log-tail.ts'
import { emptyRuntimePod, podNameLabel, podNamespaceLabel, podUidLabel, terminationMessagePathAnnotation, terminationMessagePolicyAnnotation, toRuntimeContainer, toRuntimeSandbox } from './runtime-status.ts'
import type { Disk } from '../host/disk.ts'
import type { RuntimeContainer, RuntimePod, RuntimeSandbox } from './runtime-status.ts'
import type { Clock } from '../../../lib/base/clock.ts'
import type { Logger } from '../../../lib/component-base/log.ts'
import type { RuntimeService } from '../../../lib/cri-api/cri-services.ts'
import type { ContainerStatus } from '../../../lib/cri-api/generated/types.ts'

export interface RuntimeCacheOptions {
  readonly runtime: RuntimeService
  readonly clock: Clock
  readonly logger: Logger
  readonly disk: Disk
  readonly relistMs?: number
  /** Called after the cache has the change. */
  readonly onChange: (uid: string) => void
}

const maxMessageBytes = 4096
const fallbackMessageBytes = 2048
const fallbackLines = 80
const unhealthyAfterMs = 180_000

export class RuntimeCache {
  readonly #options: RuntimeCacheOptions
  readonly #pods = new Map<string, { readonly pod: RuntimePod; readonly order: number }>()
  readonly #signatures = new Map<string, string>()
  #order = 0
  #lastRelistMs: number
  #runtimeError: string | undefined
  #hasEvents = false

  constructor(options: RuntimeCacheOptions) {
    this.#options = options
    this.#lastRelistMs = options.clock.monotonic()
  }

  get(uid: string): RuntimePod | undefined { return this.#pods.get(uid)?.pod }
  all(): readonly RuntimePod[] { return [...this.#pods.values()].map((e) => e.pod) }

  /** Why looking at the runtime doesn't work; undefined when it does. */
  health(): string | undefined {
    if (this.#runtimeError !== undefined) return this.#runtimeError
    const quietMs = this.#options.clock.monotonic() - this.#lastRelistMs
    return quietMs > unhealthyAfterMs ? `PLEG is not healthy: pleg was last seen active ${Math.round(quietMs / 1000)}s ago; threshold is 3m0s` : undefined
  }

  /** Looks at one pod now. */
  async refresh(uid: string, signal: AbortSignal): Promise<RuntimePod> {
    const order = ++this.#order
    const { runtime } = this.#options
    const labelSelector = { [podUidLabel]: uid }
    const [{ items = [] }, { containers = [] }] = await Promise.all([runtime.listPodSandbox({ filter: { labelSelector } }, signal), runtime.listContainers({ filter: { labelSelector } }, signal)])
    const labels = items[0]?.labels ?? containers[0]?.labels ?? {}
    const name = items[0]?.metadata?.name ?? labels[podNameLabel] ?? ''
    const namespace = items[0]?.metadata?.namespace ?? labels[podNamespaceLabel] ?? ''
    const sandboxes: RuntimeSandbox[] = []
    const found: RuntimeContainer[] = []
    await Promise.all([
      ...items.map(async ({ id = '' }) => {
        const status = await ignoreNotFound(() => runtime.podSandboxStatus({ podSandboxId: id }, signal))
        if (status?.status) sandboxes.push(toRuntimeSandbox(status.status))
      }),
      ...containers.map(async ({ id = '', podSandboxId = '' }) => {
        const status = (await ignoreNotFound(() => runtime.containerStatus({ containerId: id }, signal)))?.status
        if (status) found.push(toRuntimeContainer(status, podSandboxId, await this.#terminationMessage(status)))
      }),
    ])
    const previous = this.#pods.get(uid)
    const pod: RuntimePod = {
      ...emptyRuntimePod(uid, name || (previous?.pod.name ?? ''), namespace || (previous?.pod.namespace ?? '')),
      sandboxes: sandboxes.toSorted((a, b) => b.attempt - a.attempt || b.createdAtMs - a.createdAtMs),
      containers: found.toSorted((a, b) => b.createdAtMs - a.createdAtMs || b.restartCount - a.restartCount),
    }
    const latest = this.#pods.get(uid)
    if (latest && latest.order > order) return latest.pod
    if (sandboxes.length === 0 && found.length === 0) this.#pods.delete(uid)
    else this.#pods.set(uid, { pod, order })
    this.#signatures.set(uid, signatureOf(items.map((s) => `${s.id} ${s.state ?? 'SANDBOX_READY'}`), containers.map((c) => `${c.id} ${c.state ?? 'CONTAINER_CREATED'}`)))
    return pod
  }

  /** Looks at everything; tells of the pods that changed. */
  async relist(signal: AbortSignal): Promise<void> {
    const { runtime, logger, onChange } = this.#options
    let changed: readonly string[]
    try {
      const [{ items = [] }, { containers = [] }] = await Promise.all([runtime.listPodSandbox({}, signal), runtime.listContainers({}, signal)])
      const parts = new Map<string, { sandboxes: string[]; containers: string[] }>()
      const partOf = (uid: string): { sandboxes: string[]; containers: string[] } => {
        let part = parts.get(uid)
        if (!part) parts.set(uid, part = { sandboxes: [], containers: [] })
        return part
      }
      for (const s of items) partOf(s.metadata?.uid ?? '').sandboxes.push(`${s.id} ${s.state ?? 'SANDBOX_READY'}`)
      for (const c of containers) partOf(c.labels?.[podUidLabel] ?? '').containers.push(`${c.id} ${c.state ?? 'CONTAINER_CREATED'}`)
      const signatures = new Map([...parts].map(([uid, part]) => [uid, signatureOf(part.sandboxes, part.containers)]))
      changed = [...new Set([...signatures.keys(), ...this.#pods.keys()])].filter((uid) => uid !== '' && this.#signatures.get(uid) !== signatures.get(uid))
      for (const uid of this.#signatures.keys()) if (!signatures.has(uid)) this.#signatures.delete(uid)
      this.#lastRelistMs = this.#options.clock.monotonic()
      this.#runtimeError = undefined
    } catch (error) {
      if (signal.aborted) return
      if (this.#runtimeError === undefined) logger.error('The container runtime does not answer', error)
      this.#runtimeError = `container runtime is down: ${error instanceof Error ? error.message : String(error)}`
      return
    }
    await Promise.all(changed.map(async (uid) => {
      try {
        await this.refresh(uid, signal)
        onChange(uid)
      } catch (error) {
        if (!signal.aborted) logger.error('Could not look at a pod', error, { uid })
      }
    }))
  }

  /** Lists and listens until `signal`. */
  async run(signal: AbortSignal): Promise<void> {
    void this.#listen(signal).catch(() => {})
    for (;;) {
      const relistMs = this.#options.relistMs ?? (this.#hasEvents ? 10_000 : 1000)
      await sleep(this.#options.clock, relistMs, signal)
      await this.relist(signal)
    }
  }

  /** Follows the runtime's own events, where it has them. */
  async #listen(signal: AbortSignal): Promise<void> {
    const { runtime, clock, logger, onChange } = this.#options
    const busy = new Set<string>()
    const again = new Set<string>()
    const look = async (uid: string): Promise<void> => {
      if (busy.has(uid)) { again.add(uid); return }
      busy.add(uid)
      try {
        do {
          again.delete(uid)
          await this.refresh(uid, signal)
          onChange(uid)
        } while (again.has(uid))
      } catch (error) {
        if (!signal.aborted) logger.warn('Could not look at a pod after an event', { uid, error: error instanceof Error ? error.message : String(error) })
      } finally {
        busy.delete(uid)
      }
    }
    while (!signal.aborted) {
      try {
        const events = runtime.getContainerEvents({}, signal)
        this.#hasEvents = true
        for await (const event of events) {
          const uid = event.podSandboxStatus?.metadata?.uid ?? event.podSandboxStatus?.labels?.[podUidLabel]
          if (uid) void look(uid)
        }
        this.#hasEvents = false
      } catch (error) {
        this.#hasEvents = false
        if (signal.aborted) return
        if (error instanceof CriError && error.code === 'Unimplemented') return
      }
      await sleep(clock, 5000, signal)
    }
  }

  async #terminationMessage(status: ContainerStatus): Promise<string> {
    if ((status.state ?? 'CONTAINER_CREATED') !== 'CONTAINER_EXITED') return ''
    const { disk } = this.#options
    const path = status.annotations?.[terminationMessagePathAnnotation] ?? ''
    const hostPath = path === '' ? undefined : status.mounts?.find((m) => m.containerPath === path)?.hostPath
    let text = ''
    if (hostPath) {
      try {
        text = new TextDecoder().decode(await disk.readFile(hostPath, maxMessageBytes))
      } catch {
        text = ''
      }
    }
    const failed = (status.exitCode ?? 0) !== 0 || status.reason === 'ContainerCannotRun'
    if (text === '' && failed && status.annotations?.[terminationMessagePolicyAnnotation] === 'FallbackToLogsOnError' && status.logPath) {
      text = await tailLog(disk, status.logPath, fallbackLines, fallbackMessageBytes)
    }
    return text === '' ? status.message ?? '' : text
  }
}

function signatureOf(sandboxes: readonly string[], containers: readonly string[]): string { return [...sandboxes.toSorted(), '|', ...containers.toSorted()].join(',') }

async function ignoreNotFound<T>(ask: () => Promise<T>): Promise<T | undefined> {
  try {
    return await ask()
  } catch (error) {
    if (error instanceof CriError && error.code === 'NotFound') return undefined
    throw error
  }
}
