// Pulls an image: reference → manifest (of this platform) → configuration → layers, each verified before it counts; then the image appears at once.
import { rm } from 'node:fs/promises'
import { digestOf, readPieces } from './image-store.ts'
import type { ImageStore } from './image-store.ts'
import { ManifestError, choosePlatform, parseImageConfig, parseManifest } from './manifest.ts'
import { PathError } from './open-beneath.ts'
import { canonicalName, parseReference, repositoryName } from './reference.ts'
import { RegistryClient } from './registry-client.ts'
import type { RegistrySettings } from './registry-client.ts'
import { RegistryError } from './registry-http.ts'
import { TarError } from './tar-reader.ts'
import { CriError } from '../../../lib/cri-api/cri-services.ts'
import type { AuthConfig } from '../../../lib/cri-api/generated/types.ts'

export interface PullOptions {
  /** Settings per registry: `host:port`, or `host` for all its ports. */
  readonly registries: { readonly [host: string]: RegistrySettings }
  readonly architecture: string
}

const parallelLayers = 3

/** Returns the image's id. @throws CriError InvalidArgument, NotFound, Unavailable, Internal */
export async function pullImage(store: ImageStore, name: string, auth: AuthConfig | undefined, options: PullOptions, signal: AbortSignal): Promise<string> {
  const reference = parseReference(name)
  if (!reference) throw new CriError('InvalidArgument', `failed to pull image ${JSON.stringify(name)}: invalid reference format`)
  try {
    const client = new RegistryClient(reference, auth, options.registries[reference.registry] ?? options.registries[reference.registry.replace(/:\d+$/, '')] ?? {}, signal)
    const top = await client.manifest(reference.digest ?? reference.tag ?? 'latest')
    const topDigest = digestOf(top.bytes)
    if (reference.digest !== undefined && topDigest !== reference.digest) throw new RegistryError('broken', `manifest doesn't have the digest ${reference.digest}`)
    let manifestBytes = top.bytes
    let manifest = parseManifest(manifestBytes)
    if (manifest.kind === 'index') {
      const chosen = choosePlatform(manifest.manifests, options.architecture)
      if (!chosen) throw new CriError('NotFound', `failed to pull image ${JSON.stringify(name)}: no match for platform linux/${options.architecture} in manifest`)
      manifestBytes = (await client.manifest(chosen.digest)).bytes
      if (digestOf(manifestBytes) !== chosen.digest) throw new RegistryError('broken', `manifest doesn't have the digest ${chosen.digest}`)
      manifest = parseManifest(manifestBytes)
    }
    if (manifest.kind === 'index') throw new ManifestError('index of indexes')
    const id = manifest.config.digest
    const configBytes = await client.blob(id)
    const config = parseImageConfig(configBytes)
    const diffIds = config.rootfs.diff_ids
    const { layers } = manifest
    if (diffIds.length !== layers.length) throw new ManifestError(`configuration names ${diffIds.length} layers, manifest ${layers.length}`)
    using _claim = store.claim(diffIds)
    const waiting = layers.map((layer, i) => ({ layer, diffId: diffIds[i] ?? '' })).filter(({ diffId }) => !store.hasLayer(diffId))
    const worker = async (): Promise<void> => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        const { layer, diffId } = next
        const target = store.temporaryPath()
        await client.download(layer.digest, layer.size, store.partialPath(layer.digest), target)
        try { await store.addLayer(diffId, () => readPieces(target), { durable: true }) } finally { await rm(target, { force: true }) }
      }
    }
    await Promise.all(Array.from({ length: parallelLayers }, worker))
    await store.addBlob(id, configBytes)
    await store.addBlob(digestOf(manifestBytes), manifestBytes)
    const sizeBytes = layers.reduce((sum, layer) => sum + layer.size, configBytes.length)
    await store.addImage({ id, manifestDigest: digestOf(manifestBytes), diffIds, config, sizeBytes, pinned: false },
      [...new Set([canonicalName(reference), `${repositoryName(reference)}@${topDigest}`])])
    return id
  } catch (error) {
    throw describeFailure(name, error, signal)
  }
}

function describeFailure(name: string, error: unknown, signal: AbortSignal): unknown {
  if (error instanceof CriError || signal.aborted) return error
  const said = `failed to pull and unpack image ${JSON.stringify(name)}: ${error instanceof Error ? error.message : String(error)}`
  if (error instanceof RegistryError) {
    if (error.reason === 'not-found') return new CriError('NotFound', `${said}: not found`, { cause: error })
    return new CriError(error.reason === 'unreachable' ? 'Unavailable' : 'Internal', error.reason === 'unauthorized' ? `${said}: authorization failed` : said, { cause: error })
  }
  if (error instanceof TarError || error instanceof PathError || error instanceof ManifestError) return new CriError('Internal', said, { cause: error })
  return new CriError('Internal', said, { cause: error })
}
