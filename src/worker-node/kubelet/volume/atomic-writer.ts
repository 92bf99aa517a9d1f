// Writes a volume's files so that a reader sees all of the old ones or all of the new ones, never a mixture.
//
// The files live in a folder named by the time; `..data` links to it; what users see are links into `..data`. An update writes a new folder and
// swaps the one link by a rename. Upstream: pkg/volume/util/atomic_writer.go
import { DiskError } from '../host/disk.ts'
import { randomInteger } from '../../../lib/base/random.ts'
import type { Clock } from '../../../lib/base/clock.ts'
import type { Random } from '../../../lib/base/random.ts'
import type { Disk } from '../host/disk.ts'
import type { VolumeFiles } from './volume-files.ts'

const dataLink = '..data'
const newDataLink = '..data_tmp'

export interface AtomicWriteOptions {
  readonly disk: Disk
  readonly clock: Clock
  readonly random: Random
  /** Group that owns and may read the files. */
  readonly fsGroup?: number
}

/** Brings the folder `target` to hold exactly `files`. Resolves to whether anything was written. */
export async function writeAtomically(target: string, files: VolumeFiles, options: AtomicWriteOptions): Promise<boolean> {
  const { disk } = options
  const previous = await readLinkOrNothing(disk, `${target}/${dataLink}`)
  if (previous !== undefined && (await holdsExactly(disk, `${target}/${previous}`, files, options.fsGroup))) return false

  const folder = `..${timestamp(options.clock.now())}.${randomInteger(options.random, 1e10)}`
  const base = `${target}/${folder}`
  await disk.makeDirectory(base, 0o755)
  if (options.fsGroup !== undefined) await giveToGroup(disk, base, options.fsGroup, 0o2775)
  for (const [path, file] of files) {
    const slash = path.lastIndexOf('/')
    if (slash > 0) await makeFolders(disk, base, path.slice(0, slash), options.fsGroup)
    const mode = withGroup(file.mode, options.fsGroup)
    await disk.writeFile(`${base}/${path}`, file.data, mode)
    if (options.fsGroup !== undefined || file.uid !== undefined) {
      await disk.chown(`${base}/${path}`, file.uid ?? -1, options.fsGroup ?? -1)
      await disk.chmod(`${base}/${path}`, mode)
    }
  }
  await disk.removeTree(`${target}/${newDataLink}`)
  await disk.symlink(folder, `${target}/${newDataLink}`)
  await disk.rename(`${target}/${newDataLink}`, `${target}/${dataLink}`)

  const wanted = new Set([...files.keys()].map((path) => path.split('/')[0] ?? path))
  const present = await disk.list(target)
  for (const name of wanted) if (!present.includes(name)) await disk.symlink(`${dataLink}/${name}`, `${target}/${name}`)
  for (const name of present) {
    if (name === dataLink || name === folder || wanted.has(name)) continue
    await disk.removeTree(`${target}/${name}`)
  }
  return true
}

async function makeFolders(disk: Disk, base: string, path: string, fsGroup: number | undefined): Promise<void> {
  let at = base
  for (const part of path.split('/')) {
    at += `/${part}`
    await disk.makeDirectory(at, 0o755)
    if (fsGroup !== undefined) await giveToGroup(disk, at, fsGroup, 0o2775)
  }
}

async function giveToGroup(disk: Disk, path: string, gid: number, mode: number): Promise<void> {
  await disk.chown(path, -1, gid)
  await disk.chmod(path, mode)
}

function withGroup(mode: number, fsGroup: number | undefined): number { return fsGroup === undefined ? mode : mode | 0o440 }

async function readLinkOrNothing(disk: Disk, path: string): Promise<string | undefined> {
  try {
    return await disk.readlink(path)
  } catch (error) {
    if (error instanceof DiskError && (error.reason === 'NotFound' || error.reason === 'NotADirectory')) return undefined
    throw error
  }
}

async function holdsExactly(disk: Disk, base: string, files: VolumeFiles, fsGroup: number | undefined): Promise<boolean> {
  try {
    if ((await listTree(disk, base, '')).length !== files.size) return false
    for (const [path, file] of files) {
      const facts = await disk.lstat(`${base}/${path}`)
      if (facts?.kind !== 'file' || facts.size !== file.data.length || facts.mode !== withGroup(file.mode, fsGroup)) return false
      if (Buffer.compare(await disk.readFile(`${base}/${path}`), file.data) !== 0) return false
    }
    return true
  } catch (error) {
    if (error instanceof DiskError && error.reason === 'NotFound') return false
    throw error
  }
}

async function listTree(disk: Disk, base: string, prefix: string): Promise<readonly string[]> {
  const out: string[] = []
  for (const name of await disk.list(prefix === '' ? base : `${base}/${prefix}`)) {
    const path = prefix === '' ? name : `${prefix}/${name}`
    if ((await disk.lstat(`${base}/${path}`))?.kind === 'directory') out.push(...(await listTree(disk, base, path)))
    else out.push(path)
  }
  return out
}

function timestamp(epochMs: number): string { return new Date(epochMs).toISOString().slice(0, 19).replace('T', '_').replaceAll('-', '_').replaceAll(':', '_') }
