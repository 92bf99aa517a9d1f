// Manifests and indexes of images, read with suspicion: what comes from a registry or an archive may be anything. Pure.
// Upstream: image-spec manifest.md, image-index.md, config.md; docker's image manifest v2.2
import type { ImageConfig } from './image-records.ts'
import { isDigest } from './reference.ts'
import { isJsonObject } from '../../../lib/base/json.ts'

export interface Descriptor {
  readonly digest: string
  readonly size: number
  readonly mediaType: string
  readonly platform: { readonly os: string; readonly architecture: string; readonly variant: string } | undefined
  readonly annotations: { readonly [key: string]: string }
}

export interface ImageManifest {
  readonly kind: 'manifest'
  readonly config: Descriptor
  readonly layers: readonly Descriptor[]
}

export interface ImageIndex {
  readonly kind: 'index'
  readonly manifests: readonly Descriptor[]
}

/** The document is no manifest. */
export class ManifestError extends Error {
  override readonly name = 'ManifestError'
}

const maxLayers = 500
const maxDepth = 32

function parseJson(bytes: Uint8Array): { readonly [key: string]: unknown } {
  let parsed: unknown
  try { parsed = JSON.parse(new TextDecoder().decode(bytes)) } catch (error) { throw new ManifestError('document is no JSON', { cause: error }) }
  if (!isJsonObject(parsed)) throw new ManifestError('document is no JSON object')
  const depthOf = (value: unknown, depth: number): void => {
    if (depth > maxDepth) throw new ManifestError('document is nested too deeply')
    if (typeof value === 'object' && value !== null) for (const item of Object.values(value)) depthOf(item, depth + 1)
  }
  depthOf(parsed, 0)
  return parsed
}

function descriptor(value: unknown): Descriptor {
  if (!isJsonObject(value) || typeof value.digest !== 'string' || !isDigest(value.digest) || !value.digest.startsWith('sha256:')) throw new ManifestError('descriptor without a sha256 digest')
  if (typeof value.size !== 'number' || !Number.isSafeInteger(value.size) || value.size < 0) throw new ManifestError(`descriptor ${value.digest} without a size`)
  const platform = isJsonObject(value.platform) ? { os: String(value.platform.os ?? ''), architecture: String(value.platform.architecture ?? ''), variant: String(value.platform.variant ?? '') } : undefined
  const annotations = isJsonObject(value.annotations) ? Object.fromEntries(Object.entries(value.annotations).map(([key, text]) => [key, String(text)])) : {}
  return { digest: value.digest, size: value.size, mediaType: String(value.mediaType ?? ''), platform, annotations }
}

/** @throws ManifestError */
export function parseManifest(bytes: Uint8Array): ImageManifest | ImageIndex {
  const document = parseJson(bytes)
  if (Array.isArray(document.manifests)) return { kind: 'index', manifests: document.manifests.map(descriptor) }
  if (document.schemaVersion === 1) throw new ManifestError('manifests of schema version 1 are too old')
  if (!Array.isArray(document.layers) || document.config === undefined) throw new ManifestError('document is neither an image manifest nor an index')
  if (document.layers.length > maxLayers) throw new ManifestError(`image of ${document.layers.length} layers`)
  return { kind: 'manifest', config: descriptor(document.config), layers: document.layers.map(descriptor) }
}

/** @throws ManifestError */
export function parseImageConfig(bytes: Uint8Array): ImageConfig & { readonly rootfs: { readonly diff_ids: readonly string[] } } {
  const document = parseJson(bytes)
  const rootfs = isJsonObject(document.rootfs) ? document.rootfs : {}
  const diffIds: readonly unknown[] = Array.isArray(rootfs.diff_ids) ? rootfs.diff_ids : []
  const clean = diffIds.map((id) => { if (typeof id !== 'string' || !isDigest(id) || !id.startsWith('sha256:')) throw new ManifestError('layer id is no sha256 digest'); return id })
  const given = isJsonObject(document.config) ? document.config : {}
  const texts = (value: unknown): readonly string[] | undefined => (Array.isArray(value) ? value.map(String) : undefined)
  const text = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined)
  const labels = isJsonObject(given.Labels) ? Object.fromEntries(Object.entries(given.Labels).map(([key, value]) => [key, String(value)])) : undefined
  const config: ImageConfig['config'] = {
    ...(text(given.User) && { User: text(given.User) }), ...(texts(given.Env) && { Env: texts(given.Env) }), ...(texts(given.Entrypoint) && { Entrypoint: texts(given.Entrypoint) }),
    ...(texts(given.Cmd) && { Cmd: texts(given.Cmd) }), ...(text(given.WorkingDir) && { WorkingDir: text(given.WorkingDir) }), ...(text(given.StopSignal) && { StopSignal: text(given.StopSignal) }),
    ...(isJsonObject(given.Volumes) && { Volumes: Object.fromEntries(Object.keys(given.Volumes).map((path) => [path, {}])) }), ...(labels && { Labels: labels }),
  }
  return { config, architecture: String(document.architecture ?? ''), os: String(document.os ?? ''), rootfs: { diff_ids: clean } }
}

/** The manifest of an index that runs here: Linux, this architecture (as Node names it). */
export function choosePlatform(manifests: readonly Descriptor[], architecture: string): Descriptor | undefined {
  const wanted = architecture === 'x64' ? 'amd64' : architecture === 'ia32' ? '386' : architecture
  const fits = manifests.filter((entry) => entry.platform?.os === 'linux' && entry.platform.architecture === wanted)
  return fits.find((entry) => entry.platform?.variant === '' || entry.platform?.variant === 'v8') ?? fits[0] ?? (manifests.length === 1 && manifests[0]?.platform === undefined ? manifests[0] : undefined)
}
