// Keeps an original etcd out of a folder that is in use: it locks its database (`snap/db`) with flock(2) and waits for it, so this locks the
// same file. A file that takes the database's place (a state is written beside it and renamed) is locked before it has the name.
//
// Node has no flock. It is called in a worker thread, so that loading the library (some 50 ms) stalls nobody; the lock belongs to the open
// file, so it is this process's, and ends with it. Starting `flock(1)` instead would copy the page tables of the whole store: 300 ms at 1 GB.
// Where the library can't be loaded there is no lock. Upstream: bbolt/bolt_unix.go (flock)
import { constants } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { describeError, type Logger } from '../../../lib/component-base/log.ts'
import { StorageError, type Disk } from './disk.ts'

/** Calls flock(fd, LOCK_EX | LOCK_NB) and tells the error's number, 0 when the lock is held. */
const lockSource = `
const { parentPort, workerData } = require('node:worker_threads')
const koffi = require(workerData.library)
const flock = koffi.load('libc.so.6').func('int flock(int, int)')
parentPort.postMessage(flock(workerData.fd, 2 | 4) === 0 ? 0 : koffi.errno())
`
const wouldBlock = 11

export function withFlock(disk: Disk, logger: Logger): Disk {
  const held = new Map<string, FileHandle>()
  return {
    makeFolder: (path) => disk.makeFolder(path), list: (path) => disk.list(path), remove: (path) => disk.remove(path), syncFolder: (path) => disk.syncFolder(path), open: (path, mode) => disk.open(path, mode),
    lock: async (folder) => {
      const lock = await disk.lock(folder)
      const path = join(folder, 'snap', 'db')
      // An empty file is a database to come, for the original as for us.
      const file = await open(path, constants.O_RDWR | constants.O_CREAT, 0o600).catch((error: unknown) => {
        // A full disk, for instance: it is no reason not to start.
        logger.info('the database is not locked against other programs', { why: describeError(error) }, 2)
        return undefined
      })
      if (!file) return lock
      held.set(path, file)
      const confirmed = lockFile(file.fd).then((outcome) => {
        if (outcome === 'taken') throw new StorageError('InUse', `${path} is locked by another process`)
        if (outcome !== 'locked') logger.info('the database is not locked against other programs', { why: outcome }, 2)
      })
      // Who does not look at it need not hear of it.
      confirmed.catch(() => {})
      return {
        confirmed,
        [Symbol.asyncDispose]: async () => {
          await confirmed.catch(() => {})
          const last = held.get(path)
          held.delete(path)
          await last?.close()
          await lock[Symbol.asyncDispose]()
        },
      }
    },
    rename: async (from, to) => {
      const before = held.get(to)
      if (!before) { await disk.rename(from, to); return }
      const file = await open(from, constants.O_RDWR).catch(() => undefined)
      if (!file) { await disk.rename(from, to); return }
      try {
        await lockFile(file.fd)
        await disk.rename(from, to)
      } catch (error) {
        await file.close()
        throw error
      }
      if (held.has(to)) {
        held.set(to, file)
        await before.close()
      } else await file.close()
    },
  }
}

/** `locked`, `taken` by another process, or why nothing can be locked here. */
function lockFile(fd: number): Promise<string> {
  let library: string
  try {
    library = createRequire(import.meta.url).resolve('koffi')
  } catch (error) {
    return Promise.resolve(describeError(error))
  }
  return new Promise((resolve) => {
    const worker = new Worker(lockSource, { eval: true, workerData: { fd, library } })
    worker.unref()
    worker.once('message', (errno: number) => resolve(errno === 0 ? 'locked' : errno === wouldBlock ? 'taken' : `errno ${errno}`))
    worker.once('error', (error) => resolve(describeError(error)))
    worker.once('exit', () => resolve('the worker ended'))
  })
}
