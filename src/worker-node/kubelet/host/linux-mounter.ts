// mount(2) and umount2(2) by foreign function calls: tens of microseconds where a mount(8) process takes milliseconds.
import { mkdir, open, readFile, stat, writeFile } from 'node:fs/promises'
import { constants } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import koffi from 'koffi'
import { DiskError } from './disk.ts'
import type { Mounter } from './mounter.ts'

const msNoSuid = 2, msNoDev = 4, msBind = 4096, msRec = 16384
const mntDetach = 2, umountNoFollow = 8
const eInval = 22, eNoEnt = 2
/** O_PATH, which node:fs has no constant for. */
const openPath = 0o10000000

interface Libc {
  mount(source: string, target: string, type: string | null, flags: number, data: string | null): number
  umount2(target: string, flags: number): number
}

let loaded: Libc | undefined
function libc(): Libc {
  if (loaded) return loaded
  const library = koffi.load('libc.so.6')
  const call = (declaration: string): unknown => library.func(declaration)
  loaded = {
    mount: call('int mount(const char *source, const char *target, const char *type, unsigned long flags, const char *data)') as Libc['mount'], // cast: declared so
    umount2: call('int umount2(const char *target, int flags)') as Libc['umount2'], // cast: declared so
  }
  return loaded
}

function check(result: number, what: string): void {
  if (result === 0) return
  const errno = koffi.errno()
  throw new DiskError(errno === 13 || errno === 1 ? 'Forbidden' : errno === eNoEnt ? 'NotFound' : errno === 16 ? 'Busy' : 'Unknown', `${what}: errno ${errno}`)
}

/** mountinfo's escapes: `\040` for a space and so on. */
const unescape = (text: string): string => text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))

export const linuxMounter: Mounter = {
  async mountTmpfs(path, options) {
    const data = [`mode=${(options.mode ?? 0o1777).toString(8)}`, ...(options.sizeBytes === undefined ? [] : [`size=${options.sizeBytes}`])].join(',')
    check(libc().mount('tmpfs', path, 'tmpfs', msNoSuid | msNoDev, data), `mount tmpfs at ${path}`)
  },
  async bindBeneath(root, subPath, target) {
    await using source = await openBeneath(root, subPath)
    const isFolder = (await source.handle.stat()).isDirectory()
    if (isFolder) await mkdir(target, { recursive: true })
    else {
      await mkdir(target.slice(0, target.lastIndexOf('/')), { recursive: true })
      await writeFile(target, '', { flag: 'a' })
    }
    check(libc().mount(`/proc/self/fd/${source.handle.fd}`, target, null, msBind | msRec, null), `bind ${root}/${subPath} to ${target}`)
  },
  async unmount(path) {
    if (libc().umount2(path, mntDetach | umountNoFollow) === 0) return
    const errno = koffi.errno()
    if (errno !== eInval && errno !== eNoEnt) throw new DiskError(errno === 16 ? 'Busy' : 'Unknown', `unmount ${path}: errno ${errno}`)
  },
  async mountsBelow(path) {
    const lines = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n')
    const points = lines.map((line) => unescape(line.split(' ')[4] ?? '')).filter((p) => p === path || p.startsWith(`${path}/`))
    return points.toSorted((a, b) => b.length - a.length)
  },
}

interface Opened extends AsyncDisposable { readonly handle: FileHandle }

/** Walks from `root` one name at a time without following links, making missing folders; the handle pins what was found. */
async function openBeneath(root: string, subPath: string): Promise<Opened> {
  let handle = await open(root, openPath | constants.O_DIRECTORY)
  const parts = subPath.split('/').filter((p) => p !== '' && p !== '.')
  for (const part of parts) {
    const parent = handle
    try {
      if (part === '..') throw new DiskError('Forbidden', `subPath ${JSON.stringify(subPath)} must not contain '..'`)
      const path = `/proc/self/fd/${parent.fd}/${part}`
      handle = await openStep(path, parent, subPath)
    } catch (error) {
      await parent.close()
      throw error
    }
    await parent.close()
  }
  return { handle, [Symbol.asyncDispose]: () => handle.close() }
}

async function openStep(path: string, parent: FileHandle, subPath: string): Promise<FileHandle> {
  for (let attempt = 0; ; attempt++) {
    try {
      const handle = await open(path, openPath | constants.O_NOFOLLOW)
      const facts = await handle.stat()
      if (!facts.isSymbolicLink()) return handle
      await handle.close()
      // An atomically written volume is links into `..data`: follow a link only when it is relative and stays beside.
      return await followInside(path, parent, subPath)
    } catch (error) {
      if (error instanceof DiskError) throw error
      const code = error instanceof Error && 'code' in error ? error.code : ''
      if (code !== 'ENOENT' || attempt > 0) throw new DiskError('Unknown', `open ${subPath}`, { cause: error })
      const { mode } = await stat(`/proc/self/fd/${parent.fd}`)
      await mkdir(path, { mode: mode & 0o777 }).catch((cause: unknown) => { if (!(cause instanceof Error && 'code' in cause && cause.code === 'EEXIST')) throw cause })
    }
  }
}

async function followInside(path: string, parent: FileHandle, subPath: string): Promise<FileHandle> {
  const { readlink } = await import('node:fs/promises')
  const link = await readlink(path)
  const parts = link.split('/').filter((p) => p !== '' && p !== '.')
  if (link.startsWith('/') || parts.includes('..') || parts.length > 40) throw new DiskError('Forbidden', `subPath ${JSON.stringify(subPath)} leads out of its volume`)
  let handle: FileHandle | undefined
  for (const part of parts) {
    const at: FileHandle = handle ?? parent
    const next = await open(`/proc/self/fd/${at.fd}/${part}`, openPath | constants.O_NOFOLLOW)
    if (handle) await handle.close()
    handle = next
    if ((await next.stat()).isSymbolicLink()) {
      // `..data` is itself a link to a folder beside it: one more step of the same kind.
      const target = await readlink(`/proc/self/fd/${at.fd}/${part}`)
      await next.close()
      if (target.includes('/') || target === '..') throw new DiskError('Forbidden', `subPath ${JSON.stringify(subPath)} leads out of its volume`)
      handle = await open(`/proc/self/fd/${at.fd}/${target}`, openPath | constants.O_NOFOLLOW)
    }
  }
  if (!handle) throw new DiskError('Loop', `subPath ${JSON.stringify(subPath)} is a link to nothing`)
  return handle
}
