// Stands in for disk/real-disk.ts in a process of etcd-program.ts: the same disk with failpoints on it, or a control build's.
import { basename, dirname } from 'node:path'
import type { Disk, DiskFile, OpenMode } from '../../src/control-plane/etcd/disk/disk.ts'
import { realDisk as machineDisk } from '../../src/control-plane/etcd/disk/real-disk.ts'
import { faultyDisk } from './control-faults.ts'
import { pass, tears } from './failpoints.ts'

export const realDisk: Disk = withFailpoints(faultyDisk(machineDisk, process.env['K8TS_CONTROL']))

/** A file's kind: `wal/*.wal`, `snap/db`. */
function kindOf(path: string): string { return `${basename(dirname(path))}/${basename(path).replaceAll(/[0-9a-f]{16}(-[0-9a-f]{16})?/g, '*')}` }

const writing: { readonly [mode in OpenMode]: string } = { read: 'write', create: 'write', update: 'overwrite', dsync: 'append' }

async function around<T>(name: string, act: () => Promise<T>): Promise<T> {
  await pass(`${name}:before`)
  const result = await act()
  await pass(`${name}:after`)
  return result
}

function withFailpoints(disk: Disk): Disk {
  return {
    open: async (path, mode) => {
      const kind = kindOf(path)
      if (mode === 'read') return disk.open(path, mode)
      const file = mode === 'create' ? await around(`${kind}:create`, () => disk.open(path, mode)) : await disk.open(path, mode)
      return fileWithFailpoints(file, kind, writing[mode])
    },
    makeFolder: (path) => disk.makeFolder(path),
    list: (path) => disk.list(path),
    rename: (from, to) => around(`${kindOf(to)}:rename`, () => disk.rename(from, to)),
    remove: (path) => around(`${kindOf(path)}:remove`, () => disk.remove(path)),
    syncFolder: (path) => around(`${basename(path)}/:sync`, () => disk.syncFolder(path)),
    lock: (folder) => disk.lock(folder),
  }
}

function fileWithFailpoints(file: DiskFile, kind: string, verb: string): DiskFile {
  return {
    read: (target, position) => file.read(target, position),
    size: () => file.size(),
    write: async (bytes, position) => {
      const before = pass(`${kind}:${verb}:before`)
      // Whoever writes may use the buffer again only when this has resolved.
      if (before) await before
      // Disks write whole sectors.
      const half = (position + (bytes.length >> 1)) & ~511
      if (tears(`${kind}:${verb}:torn`) && half > position) await file.write(bytes.subarray(0, half - position), position)
      await pass(`${kind}:${verb}:torn`)
      await file.write(bytes, position)
      await pass(`${kind}:${verb}:after`)
    },
    sync: () => around(`${kind}:sync`, () => file.sync()),
    [Symbol.asyncDispose]: () => file[Symbol.asyncDispose](),
  }
}
