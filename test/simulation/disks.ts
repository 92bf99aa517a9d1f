// Disks between the store and the simulated one: slow ones, and two that put a fault into the store, as controls.
import type { Clock } from '../../src/lib/base/clock.ts'
import { randomInteger, type Random } from '../../src/lib/base/random.ts'
import type { Disk, DiskFile } from '../../src/control-plane/etcd/disk/disk.ts'
import { parseRecord, RecordBuffer, recordTypes } from '../../src/control-plane/etcd/wal/wal-record.ts'

/** Every operation takes up to `longestMs` more, and now and then a hundred times that. */
export function slowDisk(disk: Disk, clock: Clock, random: Random, longestMs: number): Disk {
  const wait = (): Promise<void> => new Promise((resolve) => { clock.setTimer(randomInteger(random, longestMs + 1) * (random.float() < 0.02 ? 100 : 1), resolve) })
  return withFiles(disk, (file) => ({
    ...bound(file),
    write: async (bytes, position) => {
      const copy = Buffer.from(bytes)
      await wait()
      return file.write(copy, position)
    },
    sync: async () => {
      await wait()
      return file.sync()
    },
  }))
}

/** Control: says that a write is durable when it isn't. */
export function forgetfulDisk(disk: Disk): Disk { return { ...bound(disk), open: (path, mode) => disk.open(path, mode === 'dsync' ? 'update' : mode) } }

/** Control: what is read of the log has checksums that fit, whatever was stored; as if nobody compared them. */
export function checksumBlindDisk(disk: Disk): Disk {
  let chain: number | undefined
  return {
    ...bound(disk),
    open: async (path, mode) => {
      const file = await disk.open(path, mode)
      if (mode !== 'read' || !path.endsWith('.wal')) return file
      const bytes = Buffer.alloc(await file.size())
      await file.read(bytes, 0)
      const mended = mendChecksums(bytes, chain)
      chain = mended.chain
      return { ...bound(file), read: async (target, position) => mended.bytes.copy(target, 0, position, position + target.length), size: async () => mended.bytes.length }
    },
  }
}

function mendChecksums(bytes: Buffer, chain: number | undefined): { readonly bytes: Buffer; readonly chain: number } {
  const first = parseRecord(bytes, 0)
  const records = new RecordBuffer(chain ?? first?.crc ?? 0)
  let at = 0
  for (let record = first; record; record = parseRecord(bytes, at)) {
    if (record.type === recordTypes.crc) records.add(record.type)
    else records.add(record.type, record.data)
    at = record.end
  }
  return { bytes: Buffer.concat([records.bytes, bytes.subarray(at)]), chain: records.crc }
}

function withFiles(disk: Disk, wrap: (file: DiskFile) => DiskFile): Disk {
  return { ...bound(disk), open: async (path, mode) => wrap(await disk.open(path, mode)) }
}

/** The methods without their object, to be spread. */
function bound<T extends Disk | DiskFile>(target: T): T
function bound(target: Disk | DiskFile): Disk | DiskFile {
  if ('open' in target) {
    return {
      open: (path, mode) => target.open(path, mode), makeFolder: (path) => target.makeFolder(path), list: (path) => target.list(path), rename: (from, to) => target.rename(from, to),
      remove: (path) => target.remove(path), syncFolder: (path) => target.syncFolder(path), lock: (folder) => target.lock(folder),
    }
  }
  return {
    read: (into, position) => target.read(into, position), write: (bytes, position) => target.write(bytes, position), sync: () => target.sync(), size: () => target.size(),
    [Symbol.asyncDispose]: () => target[Symbol.asyncDispose](),
  }
}
