// The machine's disk. Every call goes through libuv's threads: none blocks the event loop.
import { close, constants, fdatasync, fstat, open, read, write } from 'node:fs'
import { mkdir, open as openHandle, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { StorageError, type Disk, type DiskFile, type OpenMode } from './disk.ts'

const flags: { readonly [mode in OpenMode]: number } = {
  read: constants.O_RDONLY,
  create: constants.O_RDWR | constants.O_CREAT | constants.O_TRUNC,
  update: constants.O_RDWR,
  // Windows and some others have no O_DSYNC; then each write is followed by a sync.
  dsync: constants.O_RDWR | (constants.O_DSYNC ?? 0),
}

/** On a bare descriptor: this is under every write of the log, and file handles cost more than the write. */
class RealFile implements DiskFile {
  readonly #descriptor: number
  readonly #syncEachWrite: boolean
  constructor(descriptor: number, syncEachWrite: boolean) {
    this.#descriptor = descriptor
    this.#syncEachWrite = syncEachWrite
  }

  async read(target: Uint8Array, position: number): Promise<number> {
    let total = 0
    while (total < target.length) {
      const count = await this.#readSome(target.subarray(total), position + total)
      if (count === 0) break
      total += count
    }
    return total
  }

  #readSome(target: Uint8Array, position: number): Promise<number> {
    return new Promise((resolve, reject) => { read(this.#descriptor, target, 0, target.length, position, (error, count) => { if (error) reject(error); else resolve(count) }) })
  }

  write(bytes: Uint8Array, position: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const writeRest = (from: number): void => {
        write(this.#descriptor, bytes, from, bytes.length - from, position + from, (error, count) => {
          if (error) reject(error)
          else if (from + count < bytes.length) writeRest(from + count)
          else if (this.#syncEachWrite) this.sync().then(resolve, reject)
          else resolve()
        })
      }
      writeRest(0)
    })
  }

  sync(): Promise<void> {
    return new Promise((resolve, reject) => { fdatasync(this.#descriptor, (error) => { if (error) reject(error); else resolve() }) })
  }

  size(): Promise<number> {
    return new Promise((resolve, reject) => { fstat(this.#descriptor, (error, stats) => { if (error) reject(error); else resolve(stats.size) }) })
  }

  [Symbol.asyncDispose](): Promise<void> {
    return new Promise((resolve, reject) => { close(this.#descriptor, (error) => { if (error) reject(error); else resolve() }) })
  }
}

export const realDisk: Disk = {
  open: (path, mode) => new Promise((resolve, reject) => {
    open(path, flags[mode], 0o600, (error, descriptor) => {
      if (error) reject(error)
      else resolve(new RealFile(descriptor, mode === 'dsync' && constants.O_DSYNC === undefined))
    })
  }),
  makeFolder: async (path) => { await mkdir(path, { recursive: true, mode: 0o700 }) },
  list: async (path) => {
    try {
      return await readdir(path)
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return []
      throw error
    }
  },
  rename: (from, to) => rename(from, to),
  remove: (path) => rm(path, { force: true }),
  syncFolder: async (path) => {
    await using folder = await openHandle(path, constants.O_RDONLY)
    await folder.sync()
  },
  lock: lockFolder,
}

function hasCode(error: unknown, code: string): boolean { return error instanceof Error && 'code' in error && error.code === code }

/** A file that names its owner: the process id and when that process started, so that a reused id is not taken for it. */
async function lockFolder(folder: string): Promise<AsyncDisposable> {
  const path = join(folder, 'k8ts.lock')
  const mine = `${process.pid} ${await startTime(process.pid)}`
  for (let attempt = 0; attempt < 3; attempt++) {
    try {
      await writeFile(path, mine, { flag: 'wx', mode: 0o600 })
      const lock = { [Symbol.asyncDispose]: () => rm(path, { force: true }) }
      const other = await originalIn(folder)
      if (other === undefined) return lock
      await lock[Symbol.asyncDispose]()
      throw new StorageError('InUse', `${folder} is in use by process ${other}`)
    } catch (error) {
      if (!hasCode(error, 'EEXIST')) throw error
    }
    const owner = await readFile(path, 'utf8').catch(() => '')
    const pid = Number(owner.split(' ')[0])
    if (owner !== '' && `${pid} ${await startTime(pid)}` === owner) throw new StorageError('InUse', `${folder} is in use by process ${pid}`)
    await rm(path, { force: true })
  }
  throw new StorageError('InUse', `${folder} is in use`)
}

/** The original locks its log and its database with flock(2), which the kernel lists: the process that holds one of the folder's files. */
async function originalIn(folder: string): Promise<string | undefined> {
  const locks = await readFile('/proc/locks', 'utf8').catch(() => '')
  if (locks === '') return undefined
  const holders = new Map([...locks.matchAll(/FLOCK +\S+ +\S+ +(\d+) +([0-9a-f]+):([0-9a-f]+):(\d+) /g)].map(([, pid = '', major = '', minor = '', inode = '']) => [`${Number.parseInt(major, 16)}:${Number.parseInt(minor, 16)}:${inode}`, pid]))
  for (const name of ['snap', 'wal']) {
    for (const file of await readdir(join(folder, name)).catch(() => [])) {
      const stats = await stat(join(folder, name, file)).catch(() => undefined)
      const holder = stats && holders.get(`${(stats.dev >> 8) & 0xfff}:${(stats.dev & 0xff) | ((stats.dev >> 12) & 0xfff00)}:${stats.ino}`)
      if (holder !== undefined) return holder
    }
  }
  return undefined
}

/** When the process started, in the kernel's ticks; `-` when it is not there or the system doesn't say. */
async function startTime(pid: number): Promise<string> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '-'
  } catch {
    return '-'
  }
}
