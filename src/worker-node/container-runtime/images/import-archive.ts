// Imports images from an archive file: an OCI image layout in a tar, or what `docker save` writes. The archive is read once to a folder of our
// own, where only plain files of plain names are kept; its layers then go the same verified way as pulled ones.
// Upstream: image-spec image-layout.md; moby image/spec v1.2 ("Combined Image JSON + Filesystem Changeset Format")
import { createHash } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { mkdir, readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { decompress, digestOf, readPieces } from './image-store.ts'
import type { ImageStore } from './image-store.ts'
import { ManifestError, choosePlatform, parseImageConfig, parseManifest } from './manifest.ts'
import type { Descriptor } from './manifest.ts'
import { canonicalName, parseReference, repositoryName } from './reference.ts'
import { readTar } from './tar-reader.ts'
import { isJsonObject } from '../../../lib/base/json.ts'
import { CriError } from '../../../lib/cri-api/cri-services.ts'

export interface ImportOptions {
  readonly architecture: string
  /** Name for an image whose archive gives it none. */
  readonly name?: string
}

const maxFiles = 10_000
const maxDocumentBytes = 4 * 1024 * 1024

/** Returns the names of the images that were added. @throws CriError InvalidArgument when the archive is none or is broken */
export async function importArchive(store: ImageStore, path: string, options: ImportOptions): Promise<readonly string[]> {
  const folder = store.temporaryPath()
  try {
    await mkdir(folder, { mode: 0o700 })
    const archive = (await stat(path)).isDirectory() ? openLayoutFolder(path) : await unpackArchive(path, folder)
    const index = await archive.document('index.json')
    if (index) return await importLayout(store, archive, index, options)
    const manifest = await archive.document('manifest.json')
    if (manifest) return await importDockerArchive(store, archive, manifest, options)
    throw new ManifestError('neither an OCI image layout nor a docker archive')
  } catch (error) {
    if (error instanceof CriError) throw error
    throw new CriError('InvalidArgument', `failed to import ${path}: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
  } finally { await rm(folder, { recursive: true, force: true }) }
}

interface ArchiveFiles {
  /** A small file, or undefined when it doesn't exist. */
  document(name: string): Promise<Buffer | undefined>
  /** Where a file lies on disk. */
  path(name: string): string | undefined
}

/** `blobs/sha256/x`, without any way out. */
function cleanName(name: string): string | undefined {
  const parts = name.split('/').filter((part) => part !== '' && part !== '.')
  return parts.length === 0 || parts.includes('..') || name.includes('\0') ? undefined : parts.join('/')
}

function filesOf(paths: (name: string) => string | undefined): ArchiveFiles {
  return {
    path: (name) => { const clean = cleanName(name); return clean === undefined ? undefined : paths(clean) },
    async document(name) {
      const path = this.path(name)
      const found = path === undefined ? undefined : await stat(path).catch(() => undefined)
      if (path === undefined || !found?.isFile()) return undefined
      if (found.size > maxDocumentBytes) throw new ManifestError(`${name} is larger than allowed`)
      return readFile(path)
    },
  }
}

function openLayoutFolder(folder: string): ArchiveFiles { return filesOf((name) => join(folder, name)) }

/** Every regular file of the archive goes to a file named by number; symlinks inside (docker's old layers) point at other names. */
async function unpackArchive(path: string, folder: string): Promise<ArchiveFiles> {
  const files = new Map<string, string>()
  const links = new Map<string, string>()
  await readTar(decompress(readPieces(path)), async (entry, body) => {
    const name = cleanName(entry.name)
    if (name === undefined) { if (entry.type === 'directory') return; throw new ManifestError(`archive has a file named ${JSON.stringify(entry.name)}`) }
    if (files.size + links.size > maxFiles) throw new ManifestError('archive of too many files')
    if (entry.type === 'symlink' || entry.type === 'link') {
      const target = entry.type === 'link' ? cleanName(entry.linkName) : resolveLink(name, entry.linkName)
      if (target === undefined) throw new ManifestError(`link ${JSON.stringify(entry.name)} leads out of the archive`)
      links.set(name, target)
    }
    if (entry.type !== 'file') return
    const place = join(folder, String(files.size))
    files.set(name, place)
    await pipeline(body, createWriteStream(place, { mode: 0o600 }))
  })
  return filesOf((name) => files.get(name) ?? files.get(links.get(name) ?? ''))
}

function resolveLink(from: string, target: string): string | undefined {
  const parts = target.startsWith('/') ? [] : from.split('/').slice(0, -1)
  for (const part of target.split('/')) {
    if (part === '..') { if (parts.length === 0) return undefined; parts.pop() } else if (part !== '' && part !== '.') parts.push(part)
  }
  return parts.join('/')
}

/** A blob of a layout; its name says its digest, and that is checked. */
async function blobOf(archive: ArchiveFiles, digest: string): Promise<Buffer> {
  const bytes = await archive.document(`blobs/sha256/${digest.slice(7)}`)
  if (!bytes) throw new ManifestError(`archive lacks blob ${digest}`)
  if (digestOf(bytes) !== digest) throw new ManifestError(`blob ${digest} doesn't have that digest`)
  return bytes
}

async function importLayout(store: ImageStore, archive: ArchiveFiles, indexBytes: Buffer, options: ImportOptions): Promise<readonly string[]> {
  const index = parseManifest(indexBytes)
  if (index.kind !== 'index') throw new ManifestError('index.json is no index')
  const names: string[] = []
  for (const entry of index.manifests) names.push(...await importManifest(store, archive, entry, options))
  if (names.length === 0) throw new ManifestError(`archive holds no image for linux/${options.architecture}`)
  return names
}

async function importManifest(store: ImageStore, archive: ArchiveFiles, entry: Descriptor, options: ImportOptions): Promise<readonly string[]> {
  let bytes = await blobOf(archive, entry.digest)
  let manifest = parseManifest(bytes)
  if (manifest.kind === 'index') {
    const chosen = choosePlatform(manifest.manifests, options.architecture)
    if (!chosen) return []
    bytes = await blobOf(archive, chosen.digest)
    manifest = parseManifest(bytes)
    if (manifest.kind === 'index') throw new ManifestError('index of indexes')
  }
  const configBytes = await blobOf(archive, manifest.config.digest)
  const layers = manifest.layers.map((layer) => ({ path: archive.path(`blobs/sha256/${layer.digest.slice(7)}`), digest: layer.digest }))
  const named = entry.annotations['io.containerd.image.name'] ?? entry.annotations['org.opencontainers.image.ref.name']
  const name = named !== undefined && /[/:]/.test(named) ? named : (options.name ?? (named === undefined ? undefined : `k8ts.local/imported:${named}`))
  return addImported(store, { configBytes, layers, manifestBytes: bytes, names: name === undefined ? [] : [name] })
}

async function importDockerArchive(store: ImageStore, archive: ArchiveFiles, manifestBytes: Buffer, options: ImportOptions): Promise<readonly string[]> {
  const parsed: unknown = JSON.parse(manifestBytes.toString())
  if (!Array.isArray(parsed)) throw new ManifestError('manifest.json is no list')
  const names: string[] = []
  for (const entry of parsed) {
    if (!isJsonObject(entry) || typeof entry.Config !== 'string' || !Array.isArray(entry.Layers)) throw new ManifestError('manifest.json lacks Config or Layers')
    const configBytes = await archive.document(entry.Config)
    if (!configBytes) throw new ManifestError(`archive lacks ${JSON.stringify(entry.Config)}`)
    const layers = entry.Layers.map((name) => ({ path: archive.path(String(name)), digest: undefined }))
    const tags = Array.isArray(entry.RepoTags) ? entry.RepoTags.map(String) : []
    const manifest = Buffer.from(JSON.stringify({ schemaVersion: 2, config: { digest: digestOf(configBytes), size: configBytes.length }, layers: entry.Layers }))
    names.push(...await addImported(store, { configBytes, layers, manifestBytes: manifest, names: tags.length > 0 ? tags : options.name === undefined ? [] : [options.name] }))
  }
  return names
}

interface Imported {
  readonly configBytes: Buffer
  readonly layers: readonly { readonly path: string | undefined; readonly digest: string | undefined }[]
  readonly manifestBytes: Buffer
  readonly names: readonly string[]
}

async function addImported(store: ImageStore, image: Imported): Promise<readonly string[]> {
  const config = parseImageConfig(image.configBytes)
  const diffIds = config.rootfs.diff_ids
  if (diffIds.length !== image.layers.length) throw new ManifestError(`configuration names ${diffIds.length} layers, manifest ${image.layers.length}`)
  const references = image.names.map((name) => { const reference = parseReference(name); if (!reference) throw new ManifestError(`${JSON.stringify(name)} is no image name`); return reference })
  using _claim = store.claim(diffIds)
  let sizeBytes = image.configBytes.length
  for (const [i, layer] of image.layers.entries()) {
    if (layer.path === undefined) throw new ManifestError('archive lacks a layer')
    const path = layer.path
    sizeBytes += (await stat(path)).size
    if (layer.digest !== undefined && (await digestOfFile(path)) !== layer.digest) throw new ManifestError(`layer ${layer.digest} doesn't have that digest`)
    await store.addLayer(diffIds[i] ?? '', () => readPieces(path), { durable: true })
  }
  const id = digestOf(image.configBytes)
  const manifestDigest = digestOf(image.manifestBytes)
  await store.addBlob(id, image.configBytes)
  await store.addBlob(manifestDigest, image.manifestBytes)
  const names = references.length > 0 ? references.flatMap((reference) => [canonicalName(reference), `${repositoryName(reference)}@${manifestDigest}`]) : [`k8ts.local/imported@${manifestDigest}`]
  await store.addImage({ id, manifestDigest, diffIds, config, sizeBytes, pinned: false }, names)
  return references.length > 0 ? references.map(canonicalName) : names
}

async function digestOfFile(path: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const piece of readPieces(path)) hash.update(piece)
  return `sha256:${hash.digest('hex')}`
}
