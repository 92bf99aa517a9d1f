// Images on disk: `images.json` says which exist, `blobs/` holds manifests and configurations, `layers/<digest>` one unpacked layer each, shared
// by all images and containers that have it.
//
// Rule it keeps (N4): bytes become visible under their digest only after the digest was verified, and an image only after all its layers are
// there, each by one rename. Whatever a crash leaves behind lies in `tmp/` and is thrown away at the next start.
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, open, readFile, readdir, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { Readable, Transform } from 'node:stream'
import { createGunzip, createZstdDecompress } from 'node:zlib'
import { addImage, findImage, noImages, removeImage } from './image-records.ts'
import type { ImageRecord, ImageRecords } from './image-records.ts'
import { unpackLayer } from './unpack-layer.ts'
import type { UnpackOptions } from './unpack-layer.ts'
import { writeFileAtomically } from '../host/atomic-file.ts'
import { syncFilesystem } from '../host/syscalls.ts'
import { CriError } from '../../../lib/cri-api/cri-services.ts'
import type { Clock } from '../../../lib/base/clock.ts'
import type { Random } from '../../../lib/base/random.ts'

export interface ImageStoreOptions {
  readonly dir: string
  readonly random: Random
  readonly clock: Clock
  /** Diff ids of layers that containers use, whatever became of their image. */
  readonly layersInUse: () => Iterable<string>
  readonly limits?: UnpackOptions
}

/** A download that nobody resumed for so long is given up. */
const partialLifeMs = 24 * 3600 * 1000

export class ImageStore {
  readonly dir: string
  readonly #options: ImageStoreOptions
  #records: ImageRecords = noImages
  readonly #unpacking = new Map<string, Promise<void>>()
  /** Layers that belong to pulls under way. */
  readonly #claimed = new Map<string, number>()
  #saving: Promise<void> = Promise.resolve()

  private constructor(options: ImageStoreOptions) {
    this.#options = options
    this.dir = options.dir
  }

  static async open(options: ImageStoreOptions): Promise<ImageStore> {
    const store = new ImageStore(options)
    await rm(join(options.dir, 'tmp'), { recursive: true, force: true })
    for (const name of ['tmp', 'partial', 'layers', join('blobs', 'sha256')]) await mkdir(join(options.dir, name), { recursive: true, mode: 0o700 })
    for (const name of await readdir(join(options.dir, 'partial'))) {
      const path = join(options.dir, 'partial', name)
      if (options.clock.now() - (await stat(path)).mtimeMs > partialLifeMs) await rm(path, { force: true })
    }
    const text = await readFile(join(options.dir, 'images.json'), 'utf8').catch(() => '')
    if (text !== '') {
      const read: unknown = JSON.parse(text)
      store.#records = read as ImageRecords // cast: our own file, written whole
    }
    return store
  }

  get records(): ImageRecords { return this.#records }

  find(text: string): ImageRecord | undefined { return findImage(this.#records, text) }

  /** Folder of an unpacked layer. Short, because overlayfs takes all of them in one page of options. */
  layerPath(diffId: string): string { return join(this.dir, 'layers', diffId.slice(7, 31)) }

  hasLayer(diffId: string): boolean { return existsSync(this.layerPath(diffId)) }

  blobPath(digest: string): string { return join(this.dir, 'blobs', 'sha256', digest.slice(7)) }

  /** Where a download that may be resumed lies until it is verified. */
  partialPath(digest: string): string { return join(this.dir, 'partial', digest.slice(7)) }

  /** A fresh name in the folder that is emptied at start. */
  temporaryPath(): string { return join(this.dir, 'tmp', Buffer.from(this.#options.random.bytes(8)).toString('hex')) }

  /** Keeps these layers from being collected until the result is disposed. */
  claim(diffIds: readonly string[]): Disposable {
    for (const id of diffIds) this.#claimed.set(id, (this.#claimed.get(id) ?? 0) + 1)
    return { [Symbol.dispose]: () => {
      for (const id of diffIds) { const left = (this.#claimed.get(id) ?? 1) - 1; if (left > 0) this.#claimed.set(id, left); else this.#claimed.delete(id) }
    } }
  }

  /** Stores a manifest or configuration. */
  async addBlob(digest: string, bytes: Uint8Array): Promise<void> {
    if (digestOf(bytes) !== digest) throw new CriError('Internal', `content of ${digest} doesn't have that digest`)
    await writeFileAtomically(this.blobPath(digest), bytes, { sync: false })
  }

  /**
   * Unpacks a layer unless it is there. The pieces may be compressed by gzip or zstd; that is seen from their first bytes.
   * @param options.durable writes everything to disk before the layer counts: for what came from far away
   * @throws CriError when the uncompressed bytes don't have the digest; TarError, PathError
   */
  async addLayer(diffId: string, open: () => AsyncIterable<Uint8Array>, options: { readonly durable: boolean }): Promise<void> {
    if (this.hasLayer(diffId)) return
    const running = this.#unpacking.get(diffId)
    if (running) { await running; return }
    const work = this.#unpack(diffId, open, options.durable).finally(() => this.#unpacking.delete(diffId))
    this.#unpacking.set(diffId, work)
    await work
  }

  async #unpack(diffId: string, open: () => AsyncIterable<Uint8Array>, durable: boolean): Promise<void> {
    const folder = this.temporaryPath()
    await mkdir(folder, { mode: 0o755 })
    try {
      const hash = createHash('sha256')
      const hashed = async function* (): AsyncIterable<Uint8Array> { for await (const piece of decompress(open())) { hash.update(piece); yield piece } }
      await unpackLayer(hashed(), folder, this.#options.limits)
      if (`sha256:${hash.digest('hex')}` !== diffId) throw new CriError('Internal', `layer ${diffId} doesn't have that digest when unpacked`)
      if (durable) {
        const handle = await openFolder(folder)
        try { await syncFilesystem(handle.fd) } finally { await handle.close() }
      }
      await rename(folder, this.layerPath(diffId))
    } catch (error) {
      await rm(folder, { recursive: true, force: true })
      throw error
    }
  }

  /** Makes an image visible. All its layers must be there. */
  async addImage(image: ImageRecord, names: readonly string[]): Promise<void> {
    const missing = image.diffIds.find((id) => !this.hasLayer(id))
    if (missing !== undefined) throw new CriError('Internal', `image ${image.id} lacks layer ${missing}`)
    await this.#save((records) => addImage(records, image, names))
  }

  async removeImage(text: string): Promise<void> {
    await this.#save((records) => removeImage(records, text))
    await this.collectGarbage()
  }

  /** Removes layers and blobs that no image, container or pull needs. */
  async collectGarbage(): Promise<void> {
    const keptLayers = new Set<string>([...this.#options.layersInUse(), ...this.#claimed.keys(), ...this.#unpacking.keys(), ...Object.values(this.#records.images).flatMap((image) => image.diffIds)]
      .map((id) => id.slice(7, 31)))
    const keptBlobs = new Set(Object.values(this.#records.images).flatMap((image) => [image.id.slice(7), image.manifestDigest.slice(7)]))
    for (const name of await readdir(join(this.dir, 'layers'))) if (!keptLayers.has(name)) await rm(join(this.dir, 'layers', name), { recursive: true, force: true })
    if (this.#claimed.size > 0) return
    for (const name of await readdir(join(this.dir, 'blobs', 'sha256'))) if (!keptBlobs.has(name)) await rm(join(this.dir, 'blobs', 'sha256', name), { force: true })
  }

  /** Saves one change after the other. */
  #save(change: (records: ImageRecords) => ImageRecords): Promise<void> {
    const save = async (): Promise<void> => {
      const next = change(this.#records)
      if (next === this.#records) return
      await writeFileAtomically(join(this.dir, 'images.json'), JSON.stringify(next), { sync: true })
      this.#records = next
    }
    const done = this.#saving.then(save)
    this.#saving = done.catch(() => {})
    return done
  }
}

export function digestOf(bytes: Uint8Array): string { return `sha256:${createHash('sha256').update(bytes).digest('hex')}` }

async function openFolder(path: string): Promise<Awaited<ReturnType<typeof open>>> { return open(path, 'r') }

/** Undoes gzip or zstd, if the first bytes say that there is any. */
export async function* decompress(pieces: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  const iterator = pieces[Symbol.asyncIterator]()
  const first = await iterator.next()
  if (first.done) return
  const start = first.value
  const rest = async function* (): AsyncIterable<Uint8Array> {
    yield start
    for (let next = await iterator.next(); !next.done; next = await iterator.next()) yield next.value
  }
  let engine: Transform | undefined
  if (start[0] === 0x1f && start[1] === 0x8b) engine = createGunzip()
  else if (start[0] === 0x28 && start[1] === 0xb5 && start[2] === 0x2f && start[3] === 0xfd) engine = createZstdDecompress()
  if (!engine) { yield* rest(); return }
  const failed = pipeline(Readable.from(rest()), engine)
  failed.catch(() => {}) // seen by the reader of `engine`, which the pipeline destroys with the same error
  yield* engine
  await failed
}

/** Bytes of a file, in pieces. */
export async function* readPieces(path: string): AsyncIterable<Uint8Array> {
  const handle = await open(path, 'r')
  try {
    for (;;) {
      const buffer = Buffer.allocUnsafe(256 * 1024)
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, null)
      if (bytesRead === 0) return
      yield buffer.subarray(0, bytesRead)
    }
  } finally { await handle.close() }
}

export async function fileSize(path: string): Promise<number> { return stat(path).then((found) => found.size, () => 0) }
