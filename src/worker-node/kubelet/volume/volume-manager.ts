// Volumes of pods: set up before the containers start, refreshed at every sync, taken down when the pod is gone.
//
// Setting up is idempotent: each sync brings the files to what the objects say now. What this node can't mount is refused with the reason.
// Upstream: pkg/kubelet/volumemanager, pkg/volume/{emptydir,hostpath,configmap,secret,downwardapi,projected}
import { configMaps, persistentVolumeClaims, persistentVolumes, secrets } from '../../../lib/client/resource-keys.ts'
import { allContainers, isStaticPod, podNamespace, regularContainers, initContainers } from '../pod/pod-facts.ts'
import { fieldValue, resourceFieldValue } from '../environment/field-values.ts'
import { quantityValue } from '../pod/quantity-value.ts'
import { writeAtomically } from './atomic-writer.ts'
import { checkHostPath } from './host-path.ts'
import { createObjectCache } from './object-cache.ts'
import { ObjectWatches } from './object-watches.ts'
import { podDirectory, podsDirectory, volumeDirectory } from './pod-directories.ts'
import { TokenManager } from './token-manager.ts'
import { configMapFiles, downwardFiles, isSafeVolumePath, joinFiles, secretFiles } from './volume-files.ts'
import type { PodAddresses } from '../environment/field-values.ts'
import type { Disk } from '../host/disk.ts'
import type { Mounter } from '../host/mounter.ts'
import type { ObjectCache } from './object-cache.ts'
import type { FilesResult, VolumeFile } from './volume-files.ts'
import type { ApiClient } from '../../../lib/client/api-client.ts'
import type { ConfigMap, DownwardAPIVolumeFile, EmptyDirVolumeSource, Pod, ProjectedVolumeSource, Secret, Volume } from '../../../lib/api/generated/types/core-v1.ts'
import type { Clock } from '../../../lib/base/clock.ts'
import type { Random } from '../../../lib/base/random.ts'

export interface VolumeManagerOptions {
  readonly client: ApiClient | undefined
  readonly disk: Disk
  readonly mounter: Mounter
  readonly clock: Clock
  readonly random: Random
  readonly rootDir: string
  /** A ConfigMap or Secret that the pod shows has changed: its volumes are to be set up again. */
  readonly onChange: (podUid: string) => void
  readonly signal: AbortSignal
}

export interface VolumeFailure { readonly volume: string; readonly message: string }

/** Host paths by volume name, and what could not be set up. */
export interface VolumesResult {
  readonly paths: ReadonlyMap<string, string>
  readonly readOnly: ReadonlySet<string>
  readonly failures: readonly VolumeFailure[]
}

type OneResult = { readonly ok: true; readonly path: string; readonly readOnly?: boolean } | { readonly ok: false; readonly message: string }

export class VolumeManager {
  readonly configMaps: ObjectCache<ConfigMap> | undefined
  readonly secrets: ObjectCache<Secret> | undefined
  readonly #options: VolumeManagerOptions
  readonly #tokens: TokenManager | undefined
  readonly #watches: ObjectWatches | undefined
  /** When each pod was first seen (monotonic): its objects must be read after that. */
  readonly #seenAtMs = new Map<string, number>()
  /** Pods whose folders got their group's ownership. */
  readonly #owned = new Set<string>()

  constructor(options: VolumeManagerOptions) {
    this.#options = options
    if (options.client) {
      this.configMaps = createObjectCache(options.client, configMaps, options.clock)
      this.secrets = createObjectCache(options.client, secrets, options.clock)
      this.#tokens = new TokenManager(options.client, options.clock, options.random)
      const { client, clock, onChange, signal } = options
      this.#watches = new ObjectWatches({ client, clock, configMaps: this.configMaps, secrets: this.secrets, onChange, signal })
    }
  }

  /** The moment after which objects of this pod must have been read. */
  firstSeenMs(uid: string): number {
    let at = this.#seenAtMs.get(uid)
    if (at === undefined) this.#seenAtMs.set(uid, at = this.#options.clock.monotonic())
    return at
  }

  /** Sets up, or brings up to date, every volume that a container of the pod mounts. */
  async setUp(pod: Pod, addresses: PodAddresses, signal: AbortSignal): Promise<VolumesResult> {
    const used = new Set(allContainers(pod).flatMap((c) => [...(c.container.volumeMounts ?? []), ...(c.container.volumeDevices ?? [])].map((m) => m.name)))
    const paths = new Map<string, string>()
    const readOnly = new Set<string>()
    const failures: VolumeFailure[] = []
    await this.#options.disk.makeDirectory(podDirectory(this.#options.rootDir, pod.metadata.uid), 0o750)
    await Promise.all((pod.spec?.volumes ?? []).filter((v) => used.has(v.name)).map(async (volume) => {
      try {
        const result = await this.#setUpOne(pod, volume, addresses, signal)
        if (!result.ok) { failures.push({ volume: volume.name, message: result.message }); return }
        paths.set(volume.name, result.path)
        if (result.readOnly) readOnly.add(volume.name)
      } catch (error) {
        if (signal.aborted) throw error
        failures.push({ volume: volume.name, message: error instanceof Error ? error.message : String(error) })
      }
    }))
    if (!isStaticPod(pod)) this.#watches?.add(pod)
    return { paths, readOnly, failures }
  }

  async #setUpOne(pod: Pod, volume: Volume, addresses: PodAddresses, signal: AbortSignal): Promise<OneResult> {
    const { rootDir } = this.#options
    const uid = pod.metadata.uid
    const namespace = podNamespace(pod)
    if (!isSafeVolumePath(volume.name) || volume.name.includes('/')) return { ok: false, message: `invalid volume name "${volume.name}"` }
    if (volume.emptyDir) return this.#setUpEmptyDir(pod, volume.name, volume.emptyDir)
    if (volume.hostPath) {
      const message = await checkHostPath(volume.hostPath, this.#options.disk)
      return message === undefined ? { ok: true, path: volume.hostPath.path } : { ok: false, message }
    }
    if (volume.configMap) {
      const { name = '', items, defaultMode = 0o644, optional = false } = volume.configMap
      const object = await this.#configMap(pod, namespace, name, signal)
      return this.#writeFiles(pod, volumeDirectory(rootDir, uid, 'configmap', volume.name), configMapFiles(name, object, items, defaultMode, optional))
    }
    if (volume.secret) {
      const { secretName = '', items, defaultMode = 0o644, optional = false } = volume.secret
      const object = await this.#secret(pod, namespace, secretName, signal)
      return this.#writeFiles(pod, volumeDirectory(rootDir, uid, 'secret', volume.name), secretFiles(secretName, object, items, defaultMode, optional), true)
    }
    if (volume.downwardAPI) {
      const { items, defaultMode = 0o644 } = volume.downwardAPI
      return this.#writeFiles(pod, volumeDirectory(rootDir, uid, 'downward-api', volume.name), this.#downward(pod, items, defaultMode, addresses))
    }
    if (volume.projected) {
      const files = await this.#project(pod, volume.projected, addresses, signal)
      return this.#writeFiles(pod, volumeDirectory(rootDir, uid, 'projected', volume.name), files, true)
    }
    if (volume.persistentVolumeClaim) return this.#setUpClaim(namespace, volume.persistentVolumeClaim.claimName, volume.persistentVolumeClaim.readOnly === true, signal)
    const kind = Object.keys(volume).find((key) => key !== 'name') ?? 'unknown'
    return { ok: false, message: `no volume plugin matched: volumes of kind ${kind} are not supported by this kubelet` }
  }

  async #configMap(pod: Pod, namespace: string, name: string, signal: AbortSignal): Promise<ConfigMap | undefined> {
    if (!this.configMaps || isStaticPod(pod)) throw new Error(`static pod may not reference configmap "${name}"`)
    return this.configMaps.get(namespace, name, this.firstSeenMs(pod.metadata.uid), signal)
  }

  async #secret(pod: Pod, namespace: string, name: string, signal: AbortSignal): Promise<Secret | undefined> {
    if (!this.secrets || isStaticPod(pod)) throw new Error(`static pod may not reference secret "${name}"`)
    return this.secrets.get(namespace, name, this.firstSeenMs(pod.metadata.uid), signal)
  }

  #downward(pod: Pod, items: readonly DownwardAPIVolumeFile[] | undefined, mode: number, addresses: PodAddresses): FilesResult {
    return downwardFiles(items, mode, (item) =>
      item.fieldRef ? fieldValue(pod, addresses, item.fieldRef.fieldPath) : item.resourceFieldRef ? resourceFieldValue(pod, addresses, item.resourceFieldRef, '') : undefined)
  }

  async #project(pod: Pod, volume: ProjectedVolumeSource, addresses: PodAddresses, signal: AbortSignal): Promise<FilesResult> {
    const mode = volume.defaultMode ?? 0o644
    const namespace = podNamespace(pod)
    const parts = await Promise.all((volume.sources ?? []).map(async (source): Promise<FilesResult> => {
      if (source.configMap) {
        const { name = '', items, optional = false } = source.configMap
        return configMapFiles(name, await this.#configMap(pod, namespace, name, signal), items, mode, optional)
      }
      if (source.secret) {
        const { name = '', items, optional = false } = source.secret
        return secretFiles(name, await this.#secret(pod, namespace, name, signal), items, mode, optional)
      }
      if (source.downwardAPI) return this.#downward(pod, source.downwardAPI.items, mode, addresses)
      if (source.serviceAccountToken) {
        if (!this.#tokens || isStaticPod(pod)) return { ok: false, message: 'static pod may not use service account tokens' }
        const { path } = source.serviceAccountToken
        if (!isSafeVolumePath(path)) return { ok: false, message: `invalid path "${path}"` }
        const token = await this.#tokens.token(pod, source.serviceAccountToken, signal)
        return { ok: true, files: new Map([[path, tokenFile(pod, token, mode)]]) }
      }
      return { ok: false, message: `projected source ${Object.keys(source)[0] ?? 'unknown'} is not supported by this kubelet` }
    }))
    return joinFiles(parts)
  }

  async #writeFiles(pod: Pod, path: string, result: FilesResult, inMemory = false): Promise<OneResult> {
    if (!result.ok) return result
    const { disk, mounter, clock, random } = this.#options
    await disk.makeDirectory(path, 0o755)
    // Secrets never touch the disk.
    if (inMemory && !this.#owned.has(path)) {
      if ((await mounter.mountsBelow(path)).length === 0) await mounter.mountTmpfs(path, { mode: 0o777 })
      this.#owned.add(path)
    }
    const fsGroup = pod.spec?.securityContext?.fsGroup
    if (fsGroup !== undefined) {
      await disk.chown(path, -1, fsGroup)
      await disk.chmod(path, 0o2777)
    } else await disk.chmod(path, 0o777)
    await writeAtomically(path, result.files, { disk, clock, random, ...(fsGroup === undefined ? {} : { fsGroup }) })
    return { ok: true, path, readOnly: true }
  }

  async #setUpEmptyDir(pod: Pod, name: string, source: EmptyDirVolumeSource): Promise<OneResult> {
    const { disk, mounter, rootDir } = this.#options
    const path = volumeDirectory(rootDir, pod.metadata.uid, 'empty-dir', name)
    if (this.#owned.has(path)) return { ok: true, path }
    if (source.medium?.startsWith('HugePages')) return { ok: false, message: `emptyDir medium "${source.medium}" is not supported by this kubelet` }
    if (source.medium && source.medium !== 'Memory') return { ok: false, message: `unknown storage medium "${source.medium}"` }
    const existed = (await disk.lstat(path)) !== undefined
    await disk.makeDirectory(path, 0o777)
    if (source.medium === 'Memory' && (await mounter.mountsBelow(path)).length === 0) {
      const limit = quantityValue(source.sizeLimit)
      await mounter.mountTmpfs(path, { mode: 0o777, ...(limit > 0 ? { sizeBytes: limit } : {}) })
    }
    const fsGroup = pod.spec?.securityContext?.fsGroup
    if (fsGroup !== undefined && (!existed || pod.spec?.securityContext?.fsGroupChangePolicy !== 'OnRootMismatch')) await giveTreeToGroup(disk, path, fsGroup)
    this.#owned.add(path)
    return { ok: true, path }
  }

  /** A claim bound to a volume that is a path of this node. */
  async #setUpClaim(namespace: string, claimName: string, readOnly: boolean, signal: AbortSignal): Promise<OneResult> {
    const { client, disk } = this.#options
    if (!client) return { ok: false, message: 'static pod may not use persistent volume claims' }
    const claim = await client.resource(persistentVolumeClaims).get(namespace, claimName, signal)
    const volumeName = claim.spec.volumeName ?? ''
    if (volumeName === '' || claim.status.phase !== 'Bound') return { ok: false, message: `PVC ${namespace}/${claimName} has non-bound phase ("${claim.status.phase ?? ''}") or empty pvc.Spec.VolumeName ("${volumeName}")` }
    const { spec } = await client.resource(persistentVolumes).get('', volumeName, signal)
    if (spec.local) {
      return (await disk.stat(spec.local.path)) ? { ok: true, path: spec.local.path, readOnly } : { ok: false, message: `path "${spec.local.path}" does not exist` }
    }
    if (spec.hostPath) {
      const message = await checkHostPath(spec.hostPath, disk)
      return message === undefined ? { ok: true, path: spec.hostPath.path, readOnly } : { ok: false, message }
    }
    return { ok: false, message: `no volume plugin matched for persistent volume "${volumeName}"` }
  }

  /**
   * Unmounts and removes the pod's volumes; with `everything` its folder too (termination messages are read from there until the pod is gone).
   * What a hostPath or a claim leads to is never touched: it isn't under the pod's folder.
   */
  async tearDown(uid: string, everything: boolean): Promise<void> {
    const { disk, mounter, rootDir } = this.#options
    const folder = podDirectory(rootDir, uid)
    for (const mount of await mounter.mountsBelow(folder)) await mounter.unmount(mount)
    if ((await mounter.mountsBelow(folder)).length > 0) throw new Error(`${folder} still holds mounts`)
    if (everything) await disk.removeTree(folder)
    else for (const part of ['volumes', 'volume-subpaths', 'etc-hosts']) await disk.removeTree(`${folder}/${part}`)
    for (const path of this.#owned) if (path.startsWith(`${folder}/`)) this.#owned.delete(path)
    this.#watches?.remove(uid)
    if (!everything) return
    this.#seenAtMs.delete(uid)
    this.#tokens?.forgetPod(uid)
  }

  /** Uids of pods that have a folder, for the clean-up of what an earlier life of the kubelet left. */
  async podsOnDisk(): Promise<readonly string[]> {
    const folder = podsDirectory(this.#options.rootDir)
    return (await this.#options.disk.lstat(folder)) ? this.#options.disk.list(folder) : []
  }
}

/** Readable by the one user that all containers run as, by the group, or by all. */
function tokenFile(pod: Pod, token: string, mode: number): VolumeFile {
  const data = new TextEncoder().encode(token)
  if (pod.spec?.securityContext?.fsGroup !== undefined) return { data, mode: 0o600 }
  const users = [...regularContainers(pod), ...initContainers(pod)].map((c) => c.securityContext?.runAsUser ?? pod.spec?.securityContext?.runAsUser)
  const [user] = users
  if (user !== undefined && users.every((u) => u === user)) return { data, mode: 0o600, uid: user }
  return { data, mode }
}

async function giveTreeToGroup(disk: Disk, path: string, gid: number): Promise<void> {
  const facts = await disk.lstat(path)
  if (!facts) return
  await disk.chown(path, -1, gid)
  if (facts.kind === 'symlink') return
  const isFolder = facts.kind === 'directory'
  await disk.chmod(path, facts.mode | 0o660 | (isFolder ? 0o2110 : 0))
  if (isFolder) for (const name of await disk.list(path)) await giveTreeToGroup(disk, `${path}/${name}`, gid)
}
