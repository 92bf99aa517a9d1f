// What is known of the images on this machine. Pure: a value, and functions from it to the next one.
import { canonicalName, parseReference, repositoryName } from './reference.ts'
import type { Image } from '../../../lib/cri-api/generated/types.ts'

/** The part of an image's configuration that containers need. Upstream: image-spec config.md */
export interface ImageConfig {
  readonly config?: {
    readonly User?: string
    readonly Env?: readonly string[] | null
    readonly Entrypoint?: readonly string[] | null
    readonly Cmd?: readonly string[] | null
    readonly WorkingDir?: string
    readonly Volumes?: { readonly [path: string]: object } | null
    readonly StopSignal?: string
    readonly Labels?: { readonly [key: string]: string } | null
  }
  readonly architecture?: string
  readonly os?: string
  readonly rootfs?: { readonly diff_ids?: readonly string[] }
}

export interface ImageRecord {
  /** Digest of the configuration. */
  readonly id: string
  readonly manifestDigest: string
  /** Digests of the uncompressed layers, lowest first. */
  readonly diffIds: readonly string[]
  readonly config: ImageConfig
  readonly sizeBytes: number
  /** Made on this machine: can't be pulled again, so garbage collection must leave it. */
  readonly pinned: boolean
}

export interface ImageRecords {
  /** By id. */
  readonly images: { readonly [id: string]: ImageRecord }
  /** Full names (`repository:tag`, `repository@digest`) → id. */
  readonly names: { readonly [name: string]: string }
}

export const noImages: ImageRecords = { images: {}, names: {} }

export function addImage(records: ImageRecords, image: ImageRecord, names: readonly string[]): ImageRecords {
  return { images: { ...records.images, [image.id]: image }, names: { ...records.names, ...Object.fromEntries(names.map((name) => [name, image.id])) } }
}

/** Finds by id (`sha256:…`, also without the prefix, also shortened), or by name. */
export function findImage(records: ImageRecords, text: string): ImageRecord | undefined {
  if (text === '') return undefined
  const get = (id: string | undefined): ImageRecord | undefined => (id !== undefined && Object.hasOwn(records.images, id) ? records.images[id] : undefined)
  const exact = get(text) ?? get(`sha256:${text}`) ?? get(Object.hasOwn(records.names, text) ? records.names[text] : undefined)
  if (exact) return exact
  const reference = parseReference(text)
  const name = reference && canonicalName(reference)
  if (name !== undefined && Object.hasOwn(records.names, name)) return get(records.names[name])
  if (/^(sha256:)?[0-9a-f]{8,63}$/.test(text)) {
    const matches = Object.keys(records.images).filter((id) => id.startsWith(text) || id.startsWith(`sha256:${text}`))
    if (matches.length === 1) return get(matches[0])
  }
  return undefined
}

/**
 * Removing by name takes that name (and its repository's digest names when it was the last tag there); removing by id takes all names.
 * An image without names is gone.
 */
export function removeImage(records: ImageRecords, text: string): ImageRecords {
  const image = findImage(records, text)
  if (!image) return records
  const own = Object.keys(records.names).filter((name) => records.names[name] === image.id)
  const reference = parseReference(text)
  const byName = reference && own.includes(canonicalName(reference)) ? canonicalName(reference) : undefined
  let gone = own
  if (byName !== undefined && reference) {
    const left = own.filter((name) => name !== byName)
    const repository = repositoryName(reference)
    const hasTag = left.some((name) => name.startsWith(`${repository}:`))
    gone = [byName, ...(hasTag ? [] : left.filter((name) => name.startsWith(`${repository}@`)))]
  }
  const names = Object.fromEntries(Object.entries(records.names).filter(([name]) => !gone.includes(name)))
  const images = Object.values(names).includes(image.id) ? records.images : Object.fromEntries(Object.entries(records.images).filter(([id]) => id !== image.id))
  return { images, names }
}

export function toCriImage(records: ImageRecords, image: ImageRecord): Image {
  const own = Object.keys(records.names).filter((name) => records.names[name] === image.id).toSorted()
  const user = image.config.config?.User?.split(':')[0] ?? ''
  return {
    id: image.id, repoTags: own.filter((name) => !name.includes('@')), repoDigests: own.filter((name) => name.includes('@')), size: image.sizeBytes, pinned: image.pinned,
    ...(/^\d+$/.test(user) ? { uid: { value: Number(user) } } : user === '' ? { uid: { value: 0 } } : { username: user }),
    spec: { image: image.id, annotations: {} },
  }
}
