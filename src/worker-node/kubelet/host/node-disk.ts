// The real disk, through Node's promises: nothing synchronous.
import { chmod, lchown, lstat, mkdir, open, readdir, readlink, realpath, rename, rm, stat, statfs, symlink, unlink, writeFile } from 'node:fs/promises'
import type { Stats } from 'node:fs'
import { DiskError } from './disk.ts'
import type { Disk, DiskErrorReason, FileFacts, FileKind } from './disk.ts'

const reasons: { readonly [code: string]: DiskErrorReason } = {
  ENOENT: 'NotFound', EEXIST: 'AlreadyExists', ENOTDIR: 'NotADirectory', EISDIR: 'IsADirectory', ENOTEMPTY: 'NotEmpty', EACCES: 'Forbidden', EPERM: 'Forbidden',
  ENOSPC: 'NoSpace', EROFS: 'ReadOnly', EBUSY: 'Busy', ELOOP: 'Loop',
}

async function guarded<T>(path: string, run: () => Promise<T>): Promise<T> {
  try {
    return await run()
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : ''
    throw new DiskError(reasons[code] ?? 'Unknown', `${path}: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
  }
}

function kindOf(s: Stats): FileKind {
  if (s.isFile()) return 'file'
  if (s.isDirectory()) return 'directory'
  if (s.isSymbolicLink()) return 'symlink'
  if (s.isSocket()) return 'socket'
  if (s.isCharacterDevice()) return 'character device'
  return s.isBlockDevice() ? 'block device' : 'other'
}

const toFacts = (s: Stats): FileFacts => ({ kind: kindOf(s), size: s.size, mode: s.mode & 0o7777, uid: s.uid, gid: s.gid, modifiedAtMs: s.mtimeMs, inode: s.ino })

async function factsOrNothing(path: string, ask: (path: string) => Promise<Stats>): Promise<FileFacts | undefined> {
  try {
    return await guarded(path, async () => toFacts(await ask(path)))
  } catch (error) {
    if (error instanceof DiskError && (error.reason === 'NotFound' || error.reason === 'NotADirectory')) return undefined
    throw error
  }
}

export const nodeDisk: Disk = {
  makeDirectory: (path, mode) => guarded(path, async () => {
    await mkdir(path, { recursive: true })
    if (mode !== undefined) await chmod(path, mode)
  }),
  writeFile: (path, data, mode) => guarded(path, async () => {
    await writeFile(path, data, { mode })
    await chmod(path, mode)
  }),
  readFile: (path, maxBytes) => guarded(path, async () => {
    await using file = await open(path, 'r')
    if (maxBytes === undefined) return new Uint8Array(await file.readFile())
    const buffer = new Uint8Array(maxBytes)
    const { bytesRead } = await file.read(buffer, 0, maxBytes, 0)
    return buffer.subarray(0, bytesRead)
  }),
  openFile: (path) => guarded(path, async () => {
    const file = await open(path, 'r')
    return {
      async read(position, length) {
        const { buffer, bytesRead } = await file.read(new Uint8Array(length), 0, length, position)
        return buffer.subarray(0, bytesRead)
      },
      stat: async () => toFacts(await file.stat()),
      [Symbol.asyncDispose]: () => file.close(),
    }
  }),
  symlink: (target, path) => guarded(path, () => symlink(target, path)),
  readlink: (path) => guarded(path, () => readlink(path)),
  rename: (from, to) => guarded(to, () => rename(from, to)),
  list: (path) => guarded(path, async () => (await readdir(path)).toSorted()),
  lstat: (path) => factsOrNothing(path, lstat),
  stat: (path) => factsOrNothing(path, stat),
  chmod: (path, mode) => guarded(path, () => chmod(path, mode)),
  chown: (path, uid, gid) => guarded(path, () => lchown(path, uid, gid)),
  unlink: (path) => guarded(path, () => unlink(path)),
  removeTree: (path) => guarded(path, () => rm(path, { recursive: true, force: true })),
  realPath: (path) => guarded(path, () => realpath(path)),
  usage: (path) => guarded(path, async () => {
    const s = await statfs(path)
    return { capacityBytes: s.blocks * s.bsize, availableBytes: s.bavail * s.bsize, inodes: s.files, inodesFree: s.ffree }
  }),
}
