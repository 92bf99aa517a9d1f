// CRI's ImageService over the image store.
import { statfs } from 'node:fs/promises'
import { importArchive } from './import-archive.ts'
import { toCriImage } from './image-records.ts'
import type { ImageStore } from './image-store.ts'
import { buildLocalImage, localImageNames } from './local-image.ts'
import { pullImage } from './pull-image.ts'
import type { PullOptions } from './pull-image.ts'
import { measureFolder } from '../stats.ts'
import type { Clock } from '../../../lib/base/clock.ts'
import { inPieces } from '../../../lib/cri-api/container-filters.ts'
import { CriError } from '../../../lib/cri-api/cri-services.ts'
import type { ImageService } from '../../../lib/cri-api/cri-services.ts'
import type { FilesystemUsage } from '../../../lib/cri-api/generated/types.ts'

export interface LocalImageService extends ImageService {
  /** Imports an OCI layout or docker archive. Returns the names of the images in it. @throws CriError */
  importArchive(path: string, options?: { readonly name?: string }): Promise<readonly string[]>
  /** Puts the example's web server images together, unless they are there. Returns their names. */
  buildLocalImage(): Promise<readonly string[]>
}

export interface ImageServiceOptions extends PullOptions {
  readonly store: ImageStore
  readonly clock: Clock
  readonly containersDir: string
  /** For machines without busybox: what the local image is made from. */
  readonly nodePath: string
}

const usageCacheMs = 10_000

interface SharedPull {
  readonly done: Promise<string>
  readonly stop: AbortController
  waiting: number
}

async function waitForPull(pull: SharedPull, signal: AbortSignal): Promise<string> {
  pull.waiting++
  const gaveUp = Promise.withResolvers<never>()
  const onAbort = (): void => gaveUp.reject(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  try { return await Promise.race([pull.done, gaveUp.promise]) } finally {
    signal.removeEventListener('abort', onAbort)
    pull.waiting--
    if (pull.waiting === 0) pull.stop.abort(new CriError('Unavailable', 'nobody waits for this pull any more'))
  }
}

export function createImageService(options: ImageServiceOptions): LocalImageService {
  const { store, clock } = options
  const usages = new Map<string, { readonly atMs: number; readonly usage: FilesystemUsage }>()
  /** One pull at a time per name and credentials: others that ask for the same wait for it. It ends when nobody waits any more. */
  const pulling = new Map<string, SharedPull>()

  /** The local images are in no registry: whoever asks for one while it is being made waits, and pulling one makes it. */
  let building: Promise<readonly string[]> | undefined
  const build = (): Promise<readonly string[]> => (building ??= buildLocalImage(store, { nodePath: options.nodePath }).finally(() => { building = undefined }))
  const isLocal = (name: string): boolean => localImageNames.some((local) => local === name)

  const usageOf = async (path: string): Promise<FilesystemUsage> => {
    const known = usages.get(path)
    if (known && clock.monotonic() - known.atMs < usageCacheMs) return known.usage
    const { bytes, inodes } = await measureFolder(path)
    const usage = { timestamp: BigInt(Math.floor(clock.now() * 1000)) * 1000n, fsId: { mountpoint: path }, usedBytes: { value: bytes }, inodesUsed: { value: inodes } }
    usages.set(path, { atMs: clock.monotonic(), usage })
    return usage
  }

  const service: LocalImageService = {
    async listImages(request) {
      const wanted = request.filter?.image?.image
      const { records } = store
      const found = wanted ? [store.find(wanted)].filter((image) => image !== undefined) : Object.values(records.images)
      return { images: found.map((image) => toCriImage(records, image)) }
    },
    async* streamImages(request, signal) { for (const piece of inPieces((await service.listImages(request, signal)).images ?? [])) yield { images: piece } },
    async imageStatus(request) {
      const name = request.image?.image ?? ''
      if (isLocal(name)) await building
      const image = store.find(name)
      if (!image) return {}
      const info = request.verbose ? { info: JSON.stringify({ chainID: image.diffIds.at(-1) ?? '', imageSpec: image.config }) } : undefined
      return { image: toCriImage(store.records, image), ...(info && { info }) }
    },
    async pullImage(request, signal) {
      const name = request.image?.image ?? ''
      if (name === '') throw new CriError('InvalidArgument', 'image name is empty')
      if (isLocal(name)) {
        await build()
        const made = store.find(name)
        if (made) return { imageRef: made.id }
      }
      const key = JSON.stringify([name, request.auth ?? null])
      let pull = pulling.get(key)
      if (!pull) {
        const stop = new AbortController()
        pull = { done: pullImage(store, name, request.auth, options, stop.signal).finally(() => pulling.delete(key)), stop, waiting: 0 }
        pull.done.catch(() => {}) // each waiter sees it for itself
        pulling.set(key, pull)
      }
      return { imageRef: await waitForPull(pull, signal) }
    },
    async removeImage(request) { await store.removeImage(request.image?.image ?? ''); return {} },
    async imageFsInfo() {
      await statfs(store.dir) // fails when the file system is gone: an empty answer would look like a full disk
      return { imageFilesystems: [await usageOf(store.dir)], containerFilesystems: [await usageOf(options.containersDir)] }
    },
    importArchive: (path, given) => importArchive(store, path, { architecture: options.architecture, ...(given?.name !== undefined && { name: given.name }) }),
    buildLocalImage: build,
  }
  return service
}
