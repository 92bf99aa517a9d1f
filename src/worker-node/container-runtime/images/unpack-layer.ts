// Unpacks one image layer into a folder of its own, in the form overlayfs wants: a deleted file becomes a character device 0:0, an emptied
// folder gets the attribute trusted.overlay.opaque.
//
// Rule it keeps: whatever the archive says, nothing outside the folder is touched (open-beneath.ts). `..` in a name is refused; an absolute
// name counts from the folder; a hard link's target must lie inside.
// Upstream: image-spec layer.md ("Change Types", "Whiteouts")
import {
  chmodSync, closeSync, constants, fchmodSync, fchownSync, futimesSync, lchownSync, linkSync, lstatSync, lutimesSync, mkdirSync, openSync, rmSync, symlinkSync, writeSync,
} from 'node:fs'
import type { Stats } from 'node:fs'
import { openFolderBeneath, openRoot, splitPath } from './open-beneath.ts'
import type { OpenFolder } from './open-beneath.ts'
import { readTar, TarError } from './tar-reader.ts'
import type { TarEntry } from './tar-reader.ts'
import { makeDevice, makeNode, setAttribute } from '../host/syscalls.ts'

const S_IFIFO = 0o010000
const S_IFCHR = 0o020000
const S_IFBLK = 0o060000

export interface UnpackedLayer {
  readonly bytes: number
  readonly entries: number
}

export interface UnpackOptions {
  /** Highest number of bytes of all files together. */
  readonly maxBytes?: number
  readonly maxEntries?: number
}

/** Unpacks an uncompressed layer. @throws TarError, PathError, system errors */
export async function unpackLayer(pieces: AsyncIterable<Uint8Array>, folder: string, options: UnpackOptions = {}): Promise<UnpackedLayer> {
  using unpacker = new LayerUnpacker(folder, options)
  await readTar(pieces, (entry, body) => unpacker.add(entry, body))
  return { bytes: unpacker.bytes, entries: unpacker.entries }
}

class LayerUnpacker implements Disposable {
  readonly #root: OpenFolder
  readonly #maxBytes: number
  readonly #maxEntries: number
  /** The folder of the entry before: archives list a folder's files together. Dropped when anything is removed, because names may then mean something else. */
  #lastParent: { readonly path: string; readonly folder: OpenFolder } | undefined
  bytes = 0
  entries = 0

  constructor(folder: string, options: UnpackOptions) {
    this.#root = openRoot(folder)
    this.#maxBytes = options.maxBytes ?? 64 * 2 ** 30
    this.#maxEntries = options.maxEntries ?? 5_000_000
  }

  async add(entry: TarEntry, body: () => AsyncIterable<Uint8Array>): Promise<void> {
    this.entries++
    this.bytes += entry.type === 'file' ? entry.size : 0
    if (this.entries > this.#maxEntries || this.bytes > this.#maxBytes) throw new TarError('layer is larger than allowed')
    const parts = splitPath(entry.name)
    const name = parts.pop()
    if (name === undefined) { // the root folder's own entry
      if (entry.type === 'directory') { chmodSync(this.#root.path(''), entry.mode); lchownSync(this.#root.path(''), entry.uid, entry.gid) }
      return
    }
    const parent = this.#parent(parts)
    if (name.startsWith('.wh.')) { this.#whiteOut(parent, name); return }
    const path = parent.path(name)
    const before = lstatOrUndefined(path)
    const hidLower = before !== undefined && before.isCharacterDevice() && before.rdev === 0
    if (before && !(before.isDirectory() && entry.type === 'directory')) { this.#forget(); this.#remove(parts, name); return this.#write(this.#parent(parts), name, entry, body, hidLower) }
    return this.#write(parent, name, entry, body, false, before)
  }

  async #write(parent: OpenFolder, name: string, entry: TarEntry, body: () => AsyncIterable<Uint8Array>, hidLower: boolean, before?: Stats): Promise<void> {
    const path = parent.path(name)
    switch (entry.type) {
      case 'directory':
        if (!before) mkdirSync(path, 0o700)
        lchownSync(path, entry.uid, entry.gid)
        chmodSync(path, entry.mode) // a folder we just made or saw: chmod follows symlinks, but lstat and mkdir say it is none, and nobody else writes here
        if (hidLower) setAttribute(path, 'trusted.overlay.opaque', Buffer.from('y'))
        break
      case 'file': await this.#writeFile(path, entry, body); return
      case 'symlink':
        symlinkSync(entry.linkName, path)
        lchownSync(path, entry.uid, entry.gid)
        break
      case 'link': {
        const targetParts = splitPath(entry.linkName)
        const targetName = targetParts.pop() ?? ''
        using folder = openFolderBeneath(this.#root, targetParts)
        linkSync(folder.path(targetName), path)
        return
      }
      case 'character-device': case 'block-device': case 'fifo': {
        const type = entry.type === 'fifo' ? S_IFIFO : entry.type === 'block-device' ? S_IFBLK : S_IFCHR
        if (entry.type === 'character-device' && entry.deviceMajor === 0 && entry.deviceMinor === 0) throw new TarError(`${entry.name}: a device 0:0 is overlayfs's own mark`)
        makeNode(path, type | (entry.mode & 0o777), entry.type === 'fifo' ? 0 : makeDevice(entry.deviceMajor, entry.deviceMinor))
        lchownSync(path, entry.uid, entry.gid)
        chmodSync(path, entry.mode)
        break
      }
      case 'other': return
    }
    this.#setAttributes(path, entry)
    lutimesSync(path, entry.modifiedSeconds, entry.modifiedSeconds)
  }

  async #writeFile(path: string, entry: TarEntry, body: () => AsyncIterable<Uint8Array>): Promise<void> {
    const fd = openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o600)
    try {
      for await (const piece of body()) for (let at = 0; at < piece.length;) at += writeSync(fd, piece, at)
      fchownSync(fd, entry.uid, entry.gid)
      fchmodSync(fd, entry.mode) // after chown, which clears the set-user-id bit
      this.#setAttributes(path, entry)
      futimesSync(fd, entry.modifiedSeconds, entry.modifiedSeconds)
    } finally { closeSync(fd) }
  }

  #setAttributes(path: string, entry: TarEntry): void {
    for (const [name, value] of entry.attributes) {
      if (name.startsWith('trusted.')) continue // overlayfs's own marks can't come from an archive
      setAttribute(path, name, value)
    }
  }

  #whiteOut(parent: OpenFolder, name: string): void {
    if (name === '.wh..wh..opq') { setAttribute(parent.path(''), 'trusted.overlay.opaque', Buffer.from('y')); return }
    if (name.startsWith('.wh..wh.')) return
    const target = parent.path(name.slice(4))
    if (name.length > 4 && name !== '.wh..' && !lstatOrUndefined(target)) makeNode(target, S_IFCHR, 0)
  }

  #parent(parts: readonly string[]): OpenFolder {
    const path = parts.join('/')
    if (this.#lastParent?.path === path) return this.#lastParent.folder
    this.#forget()
    const folder = openFolderBeneath(this.#root, parts, { create: true })
    this.#lastParent = { path, folder }
    return folder
  }

  #forget(): void {
    this.#lastParent?.folder[Symbol.dispose]()
    this.#lastParent = undefined
  }

  #remove(parts: readonly string[], name: string): void {
    using parent = openFolderBeneath(this.#root, parts)
    rmSync(parent.path(name), { recursive: true, force: true })
  }

  [Symbol.dispose](): void {
    this.#forget()
    this.#root[Symbol.dispose]()
  }
}

function lstatOrUndefined(path: string): Stats | undefined { return lstatSync(path, { throwIfNoEntry: false }) }
