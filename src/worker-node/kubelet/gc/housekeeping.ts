// What has to be tidied now and then: pods that run and nobody wants, folders and control groups of pods that are gone, dead containers, images.
// Upstream: pkg/kubelet/kubelet_pods.go (HandlePodCleanups), pkg/kubelet/kubelet.go (StartGarbageCollection)
import { sleep } from '../../../lib/base/clock.ts'
import { CriError } from '../../../lib/cri-api/cri-services.ts'
import { uidOfCgroup } from '../cgroup/cgroup-manager.ts'
import { planContainerGc } from './container-gc.ts'
import { planImageGc } from './image-gc.ts'
import { removeContainerLogs } from '../logs/remove-logs.ts'
import type { CgroupManager } from '../cgroup/cgroup-manager.ts'
import type { Disk } from '../host/disk.ts'
import type { ImageRecord } from './image-gc.ts'
import type { KubeletSettings } from '../kubelet-options.ts'
import type { RuntimeCache } from '../runtime/runtime-cache.ts'
import type { RuntimePod } from '../runtime/runtime-status.ts'
import type { StatsProvider } from '../stats/stats-provider.ts'
import type { VolumeManager } from '../volume/volume-manager.ts'
import type { Clock } from '../../../lib/base/clock.ts'
import type { EventRecorder } from '../../../lib/client/event-recorder.ts'
import type { Logger } from '../../../lib/component-base/log.ts'
import type { ImageService, RuntimeService } from '../../../lib/cri-api/cri-services.ts'

export interface HousekeepingOptions {
  readonly clock: Clock
  readonly logger: Logger
  readonly runtime: RuntimeService
  readonly images: ImageService
  readonly settings: KubeletSettings
  readonly cache: RuntimeCache
  readonly cgroups: CgroupManager
  readonly cgroupRoot: string
  readonly volumes: VolumeManager
  readonly disk: Disk
  readonly logsDir: string
  readonly stats: StatsProvider
  readonly events: EventRecorder
  readonly nodeName: string
  readonly knowsPod: (uid: string) => boolean
  readonly isFinished: (uid: string) => boolean
  /** Every source of pods has told its pods. */
  readonly sourcesHeard: () => boolean
  readonly killOrphan: (pod: RuntimePod) => Promise<void>
  /** Called once a minute, for what others keep. */
  readonly tick: () => void
  /** Names of images that pods of this node name. */
  readonly imagesInUse: () => ReadonlySet<string>
}

const orphanEveryMs = 2000
const minuteMs = 60_000
const imageGcEveryMs = 300_000

export async function startHousekeeping(options: HousekeepingOptions, signal: AbortSignal): Promise<void> {
  const { clock, logger } = options
  const keeper = new Housekeeper(options)
  let minuteAtMs = clock.monotonic() + minuteMs
  let imagesAtMs = clock.monotonic() + imageGcEveryMs
  for (;;) {
    await sleep(clock, orphanEveryMs, signal)
    try {
      await keeper.removeOrphanedPods()
      if (clock.monotonic() >= minuteAtMs) {
        minuteAtMs = clock.monotonic() + minuteMs
        options.tick()
        await keeper.collectContainers(signal)
        await keeper.removeOrphanedFolders()
        await keeper.removeDanglingLinks()
      }
      if (clock.monotonic() >= imagesAtMs) {
        imagesAtMs = clock.monotonic() + imageGcEveryMs
        await keeper.collectImages(signal)
      }
    } catch (error) {
      if (signal.aborted) return
      logger.error('Housekeeping failed', error)
    }
  }
}

class Housekeeper {
  readonly #options: HousekeepingOptions
  readonly #busy = new Set<string>()
  readonly #images = new Map<string, { firstDetectedAtMs: number; lastUsedAtMs: number }>()

  constructor(options: HousekeepingOptions) { this.#options = options }

  /** Stops what runs for pods that no source names. */
  async removeOrphanedPods(): Promise<void> {
    const { cache, knowsPod, killOrphan, sourcesHeard, logger } = this.#options
    if (!sourcesHeard()) return
    for (const pod of cache.all()) {
      if (knowsPod(pod.uid) || this.#busy.has(pod.uid)) continue
      this.#busy.add(pod.uid)
      void killOrphan(pod).catch((error: unknown) => logger.error('Could not stop an orphaned pod', error, { uid: pod.uid })).finally(() => this.#busy.delete(pod.uid))
    }
  }

  async collectContainers(signal: AbortSignal): Promise<void> {
    const { cache, runtime, settings, knowsPod, clock, disk } = this.#options
    const plan = planContainerGc({ pods: cache.all(), keepPerContainer: settings.maxContainersPerPod, isKnown: knowsPod, nowMs: clock.now(), minimumAgeMs: 0 })
    const logPaths = new Map(cache.all().flatMap((pod) => pod.containers.map((c) => [c.id, c.logPath] as const)))
    for (const containerId of plan.containers) {
      await ignoreNotFound(runtime.removeContainer({ containerId }, signal))
      await removeContainerLogs(disk, logPaths.get(containerId) ?? '')
    }
    for (const podSandboxId of plan.sandboxes) await ignoreNotFound(runtime.removePodSandbox({ podSandboxId }, signal))
  }

  /** Folders and control groups that an earlier life of the kubelet left. */
  async removeOrphanedFolders(): Promise<void> {
    const { volumes, knowsPod, sourcesHeard, cache, cgroups, cgroupRoot, disk, logsDir, logger } = this.#options
    if (!sourcesHeard()) return
    const gone = (uid: string): boolean => !knowsPod(uid) && cache.get(uid) === undefined && !this.#busy.has(uid)
    for (const uid of await volumes.podsOnDisk()) {
      if (!gone(uid)) continue
      logger.info('Removing the folder of a pod that is gone', { uid })
      await volumes.tearDown(uid, true)
    }
    for (const tier of [cgroupRoot, `${cgroupRoot}/burstable`, `${cgroupRoot}/besteffort`]) {
      for (const name of await cgroups.children(tier)) {
        const uid = uidOfCgroup(name)
        if (uid !== undefined && gone(uid)) await cgroups.remove(`${tier}/${name}`)
      }
    }
    for (const name of await disk.list(`${logsDir}/pods`)) {
      const uid = name.split('_')[2]
      if (uid !== undefined && gone(uid)) await disk.removeTree(`${logsDir}/pods/${name}`)
    }
  }

  async removeDanglingLinks(): Promise<void> {
    const { disk, logsDir } = this.#options
    const folder = `${logsDir}/containers`
    if (!(await disk.lstat(folder))) return
    for (const name of await disk.list(folder)) {
      const path = `${folder}/${name}`
      if ((await disk.lstat(path))?.kind === 'symlink' && !(await disk.stat(path))) await disk.unlink(path)
    }
  }

  async collectImages(signal: AbortSignal): Promise<void> {
    const { images, settings, stats, clock, events, nodeName, logger } = this.#options
    const nowMs = clock.now()
    const records = await this.#imageRecords(nowMs, signal)
    await stats.refreshNodeFs()
    const fs = stats.nodeFs()
    if (!fs) return
    const plan = planImageGc({
      images: records, capacityBytes: fs.capacityBytes, availableBytes: fs.availableBytes, highThresholdPercent: settings.imageGcHighThresholdPercent, lowThresholdPercent: settings.imageGcLowThresholdPercent,
      minimumAgeMs: settings.imageMinimumGcAgeMs, nowMs,
    })
    let freed = 0
    for (const image of plan.remove) {
      logger.info('Removing an unused image', { image: image.id, size: image.sizeBytes })
      await images.removeImage({ image: { image: image.id } }, signal)
      this.#images.delete(image.id)
      freed += image.sizeBytes
    }
    if (plan.wantedBytes > freed) {
      events.event({ kind: 'Node', name: nodeName, uid: nodeName, apiVersion: 'v1' }, 'Warning', 'FreeDiskSpaceFailed', `Failed to garbage collect required amount of images. Attempted to free ${Math.round(plan.wantedBytes)} bytes, but only found ${freed} bytes eligible to free.`)
    }
  }

  async #imageRecords(nowMs: number, signal: AbortSignal): Promise<readonly ImageRecord[]> {
    const { images, cache } = this.#options
    const used = new Set(cache.all().flatMap((p) => p.containers.flatMap((c) => [c.imageRef, c.image])))
    const named = this.#options.imagesInUse()
    const found = (await images.listImages({}, signal)).images ?? []
    const out: ImageRecord[] = []
    for (const image of found) {
      const id = image.id ?? ''
      const names = [id, ...(image.repoTags ?? []), ...(image.repoDigests ?? [])]
      const inUse = names.some((n) => used.has(n) || named.has(n))
      const record = this.#images.get(id) ?? { firstDetectedAtMs: nowMs, lastUsedAtMs: 0 }
      if (inUse) record.lastUsedAtMs = nowMs
      this.#images.set(id, record)
      out.push({ id, sizeBytes: image.size ?? 0, ...record, inUse, pinned: image.pinned === true })
    }
    for (const id of this.#images.keys()) if (!found.some((i) => i.id === id)) this.#images.delete(id)
    return out
  }
}

async function ignoreNotFound(call: Promise<unknown>): Promise<void> {
  try {
    await call
  } catch (error) {
    if (!(error instanceof CriError && error.code === 'NotFound')) throw error
  }
}
