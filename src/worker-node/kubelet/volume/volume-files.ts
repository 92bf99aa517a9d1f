// Which files a ConfigMap, Secret, downward API or projected volume holds: pure, from objects to contents and modes.
// Rule it keeps: a path from the API never leaves the volume; a missing required object or key is an outcome.
// Upstream: pkg/volume/{configmap,secret,downwardapi,projected} (MakePayload, collectData)
import type { ConfigMap, DownwardAPIVolumeFile, KeyToPath, Secret } from '../../../lib/api/generated/types/core-v1.ts'

export interface VolumeFile {
  readonly data: Uint8Array
  readonly mode: number
  /** Owner, where the file must belong to the container's user. */
  readonly uid?: number
}

/** Files by path relative to the volume. */
export type VolumeFiles = ReadonlyMap<string, VolumeFile>

export type FilesResult = { readonly ok: true; readonly files: VolumeFiles } | { readonly ok: false; readonly message: string }

const text = new TextEncoder()

/** True for a relative path that stays inside and doesn't start with `..`, which is kept for the writer. */
export function isSafeVolumePath(path: string): boolean {
  if (path === '' || path.startsWith('/') || path.length > 4096 || path.includes('\0')) return false
  const parts = path.split('/')
  return !parts.includes('..') && !(parts[0] ?? '').startsWith('..') && parts.every((p) => p.length <= 255)
}

function pickKeys(what: string, all: ReadonlyMap<string, Uint8Array>, items: readonly KeyToPath[] | undefined, mode: number, optional: boolean): FilesResult {
  const files = new Map<string, VolumeFile>()
  if (!items || items.length === 0) {
    for (const [key, data] of all) if (isSafeVolumePath(key)) files.set(key, { data, mode })
    return { ok: true, files }
  }
  for (const item of items) {
    const data = all.get(item.key)
    if (!data) {
      if (optional) continue
      return { ok: false, message: `${what} references non-existent ${what.startsWith('secret') ? 'secret' : 'config'} key: ${item.key}` }
    }
    if (!isSafeVolumePath(item.path)) return { ok: false, message: `invalid path "${item.path}"` }
    files.set(normalize(item.path), { data, mode: item.mode ?? mode })
  }
  return { ok: true, files }
}

function normalize(path: string): string { return path.split('/').filter((p) => p !== '' && p !== '.').join('/') }

export function configMapFiles(name: string, object: ConfigMap | undefined, items: readonly KeyToPath[] | undefined, mode: number, optional: boolean): FilesResult {
  if (!object) return optional ? { ok: true, files: new Map() } : { ok: false, message: `configmap "${name}" not found` }
  const all = new Map<string, Uint8Array>()
  for (const [key, value] of Object.entries(object.data ?? {})) all.set(key, text.encode(value))
  for (const [key, value] of Object.entries(object.binaryData ?? {})) all.set(key, decodeBase64(value))
  return pickKeys('configmap', all, items, mode, optional)
}

export function secretFiles(name: string, object: Secret | undefined, items: readonly KeyToPath[] | undefined, mode: number, optional: boolean): FilesResult {
  if (!object) return optional ? { ok: true, files: new Map() } : { ok: false, message: `secret "${name}" not found` }
  return pickKeys('secret', new Map(Object.entries(object.data ?? {}).map(([key, value]) => [key, decodeBase64(value)])), items, mode, optional)
}

/** @param value gives an item's content, undefined when it can't be told. */
export function downwardFiles(items: readonly DownwardAPIVolumeFile[] | undefined, mode: number, value: (item: DownwardAPIVolumeFile) => string | undefined): FilesResult {
  const files = new Map<string, VolumeFile>()
  for (const item of items ?? []) {
    const content = value(item)
    if (content === undefined) return { ok: false, message: `unsupported field: ${item.fieldRef?.fieldPath ?? item.resourceFieldRef?.resource ?? ''}` }
    if (!isSafeVolumePath(item.path)) return { ok: false, message: `invalid path "${item.path}"` }
    files.set(normalize(item.path), { data: text.encode(content), mode: item.mode ?? mode })
  }
  return { ok: true, files }
}

/** Later sources win. */
export function joinFiles(parts: readonly FilesResult[]): FilesResult {
  const files = new Map<string, VolumeFile>()
  for (const part of parts) {
    if (!part.ok) return part
    for (const [path, file] of part.files) files.set(path, file)
  }
  return { ok: true, files }
}

function decodeBase64(value: string): Uint8Array { return Uint8Array.from(atob(value), (c) => c.charCodeAt(0)) }
