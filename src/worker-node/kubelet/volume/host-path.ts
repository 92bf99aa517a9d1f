// hostPath volumes: whether what the pod expects at the path is there, made where the type says so.
// Upstream: pkg/volume/hostpath
import type { HostPathVolumeSource } from '../../../lib/api/generated/types/core-v1.ts'
import type { Disk, FileKind } from '../host/disk.ts'

const kinds: { readonly [type: string]: readonly [kind: FileKind, described: string] } = {
  Directory: ['directory', 'a directory'], File: ['file', 'a file'], Socket: ['socket', 'a socket file'],
  CharDevice: ['character device', 'a character device'], BlockDevice: ['block device', 'a block device'],
}

/** A message when the path isn't what its type says. */
export async function checkHostPath(source: HostPathVolumeSource, disk: Disk): Promise<string | undefined> {
  const type = source.type ?? ''
  if (type === '') return undefined
  const facts = await disk.stat(source.path)
  if (type === 'DirectoryOrCreate') {
    if (facts && facts.kind !== 'directory') return `hostPath type check failed: ${source.path} is not a directory`
    if (!facts) await disk.makeDirectory(source.path, 0o755)
    return undefined
  }
  if (type === 'FileOrCreate') {
    if (facts && facts.kind !== 'file') return `hostPath type check failed: ${source.path} is not a file`
    if (!facts) await disk.writeFile(source.path, new Uint8Array(), 0o644)
    return undefined
  }
  const expected = kinds[type]
  if (!expected) return `${type} is an invalid volume type`
  return facts?.kind === expected[0] ? undefined : `hostPath type check failed: ${source.path} is not ${expected[1]}`
}
