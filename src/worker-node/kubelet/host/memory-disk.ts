// A disk in memory for simulated nodes and tests: the same rules, no files.
import { DiskError } from './disk.ts'
import type { Disk, DiskErrorReason, FileFacts, FileKind } from './disk.ts'

interface Entry { kind: FileKind; data: Uint8Array; target: string; mode: number; uid: number; gid: number; modifiedAtMs: number; inode: number }

const parentOf = (path: string): string => path.slice(0, Math.max(1, path.lastIndexOf('/')))
const fail = (reason: DiskErrorReason, path: string): never => { throw new DiskError(reason, `${path}: ${reason}`) }

/** @param capacityBytes what `usage` tells. */
export function createMemoryDisk(options: { readonly now: () => number; readonly capacityBytes?: number }): Disk {
  const entries = new Map<string, Entry>()
  let inodes = 0
  const make = (kind: FileKind, mode: number): Entry => ({ kind, data: new Uint8Array(), target: '', mode, uid: 0, gid: 0, modifiedAtMs: options.now(), inode: ++inodes })
  entries.set('/', make('directory', 0o755))

  /** The path with every link on the way resolved; the last part only when `follow`. */
  const resolve = (path: string, follow: boolean, depth = 0): string => {
    if (depth > 40) fail('Loop', path)
    let at = '/'
    const parts = path.split('/').filter((p) => p !== '' && p !== '.')
    for (let i = 0; i < parts.length; i++) {
      const part = parts[i]! // cast: bounded by the loop
      if (part === '..') { at = parentOf(at); continue }
      const next = at === '/' ? `/${part}` : `${at}/${part}`
      const entry = entries.get(next)
      if (entry?.kind === 'symlink' && (follow || i < parts.length - 1)) {
        at = resolve(entry.target.startsWith('/') ? entry.target : `${at}/${entry.target}`, true, depth + 1)
      } else at = next
    }
    return at
  }
  const need = (path: string, follow: boolean): Entry => entries.get(resolve(path, follow)) ?? fail('NotFound', path)
  const put = (path: string, entry: Entry): void => {
    const real = resolve(path, true)
    if (entries.get(parentOf(real))?.kind !== 'directory') fail('NotFound', path)
    entries.set(real, entry)
  }
  const facts = (e: Entry | undefined): FileFacts | undefined => e && { kind: e.kind, size: e.data.length, mode: e.mode, uid: e.uid, gid: e.gid, modifiedAtMs: e.modifiedAtMs, inode: e.inode }
  const below = (path: string): string[] => [...entries.keys()].filter((p) => p.startsWith(`${path}/`))

  return {
    async makeDirectory(path, mode) {
      const real = resolve(path, true)
      let at = ''
      for (const part of real.split('/').filter((p) => p !== '')) {
        at += `/${part}`
        const entry = entries.get(at)
        if (entry && entry.kind !== 'directory') fail('NotADirectory', path)
        if (!entry) entries.set(at, make('directory', 0o755))
      }
      if (mode !== undefined) need(real, true).mode = mode
    },
    async writeFile(path, data, mode) {
      const there = entries.get(resolve(path, true))
      if (there?.kind === 'directory') fail('IsADirectory', path)
      if (there) Object.assign(there, { data: Uint8Array.from(data), mode, modifiedAtMs: options.now() })
      else put(path, { ...make('file', mode), data: Uint8Array.from(data) })
    },
    async openFile(path) {
      const entry = need(path, true)
      return { read: async (position, length) => entry.data.slice(position, position + length), stat: async () => facts(entry) ?? fail('NotFound', path), async [Symbol.asyncDispose]() {} }
    },
    async readFile(path, maxBytes) {
      const entry = need(path, true)
      if (entry.kind === 'directory') fail('IsADirectory', path)
      return entry.data.slice(0, maxBytes)
    },
    async symlink(target, path) {
      const real = resolve(path, false)
      if (entries.has(real)) fail('AlreadyExists', path)
      if (entries.get(parentOf(real))?.kind !== 'directory') fail('NotFound', path)
      entries.set(real, { ...make('symlink', 0o777), target })
    },
    async readlink(path) { return need(path, false).target },
    async rename(from, to) {
      const source = resolve(from, false)
      const target = resolve(to, false)
      const entry = entries.get(source) ?? fail('NotFound', from)
      for (const p of below(target)) entries.delete(p)
      for (const p of below(source)) {
        const moved = entries.get(p)
        if (moved) entries.set(target + p.slice(source.length), moved)
        entries.delete(p)
      }
      entries.set(target, entry)
      entries.delete(source)
    },
    async list(path) {
      const real = resolve(path, true)
      if (need(real, true).kind !== 'directory') fail('NotADirectory', path)
      const prefix = real === '/' ? '/' : `${real}/`
      return [...entries.keys()].filter((p) => p.startsWith(prefix) && p !== '/' && !p.slice(prefix.length).includes('/')).map((p) => p.slice(prefix.length)).toSorted()
    },
    async lstat(path) { return facts(entries.get(resolve(path, false))) },
    async stat(path) { return facts(entries.get(resolve(path, true))) },
    async chmod(path, mode) { need(path, true).mode = mode },
    async chown(path, uid, gid) {
      const entry = need(path, false)
      if (uid >= 0) entry.uid = uid
      if (gid >= 0) entry.gid = gid
    },
    async unlink(path) {
      need(path, false)
      entries.delete(resolve(path, false))
    },
    async removeTree(path) {
      const real = resolve(path, false)
      for (const p of below(real)) entries.delete(p)
      if (real !== '/') entries.delete(real)
    },
    async realPath(path) {
      need(path, true)
      return resolve(path, true)
    },
    async usage() { const capacityBytes = options.capacityBytes ?? 100 * 2 ** 30; return { capacityBytes, availableBytes: capacityBytes * 0.9, inodes: 1e7, inodesFree: 9e6 } },
  }
}
