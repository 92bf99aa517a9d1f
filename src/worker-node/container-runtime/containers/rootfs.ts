// A container's root file system: the image's layers, shared and read-only, under a writable layer of its own (overlayfs).
import { lstatSync, mkdirSync, readFileSync } from 'node:fs'
import { closeSync } from 'node:fs'
import { join } from 'node:path'
import { MS_BIND, MS_RDONLY, MS_REMOUNT, mount, unmount } from '../host/syscalls.ts'
import { runSuccessfully } from '../../../lib/async/run-command.ts'
import { openFileBeneath, openRoot } from '../images/open-beneath.ts'
import { CriError } from '../../../lib/cri-api/cri-services.ts'

/** The kernel takes one page of options. */
const maxOptionBytes = 4000

/** Mounts the layers (lowest first) and a writable one at `target`. `dir` gets the writable layer and is on the same file system. */
export async function mountRootfs(layers: readonly string[], dir: string, target: string): Promise<void> {
  const upper = join(dir, 'upper')
  const work = join(dir, 'work')
  for (const path of [upper, work, target]) mkdirSync(path, { recursive: true, mode: 0o755 })
  // `volatile`: nothing is written to disk at unmount; the layer is thrown away with the container, and after a crash of the machine never used again.
  const lower = layers.toReversed()
  const options = `lowerdir=${lower.join(':')},upperdir=${upper},workdir=${work},volatile`
  if (options.length <= maxOptionBytes) { mount('overlay', target, 'overlay', 0, options); return }
  // Too many layers for absolute paths: a mount(8) that stands in their folder can name them shortly.
  const base = join(lower[0] ?? '/', '..')
  const short = `lowerdir=${lower.map((path) => path.slice(base.length + 1)).join(':')},upperdir=${upper},workdir=${work},volatile`
  await runSuccessfully('mount', ['-t', 'overlay', '-o', short, 'overlay', target], { cwd: base })
}

/** Mounts an image's layers read-only at `target`: for volumes that are images. */
export function mountImageVolume(layers: readonly string[], target: string): void {
  mkdirSync(target, { recursive: true, mode: 0o755 })
  const [only] = layers
  if (layers.length === 1 && only !== undefined) {
    mount(only, target, null, MS_BIND)
    mount(only, target, null, MS_BIND | MS_REMOUNT | MS_RDONLY)
  } else mount('overlay', target, 'overlay', MS_RDONLY, `lowerdir=${layers.toReversed().join(':')}`)
}

export function unmountAll(target: string): void { while (unmount(target)) { /* until nothing is mounted there */ } }

/** A text file inside the root file system, whatever symlinks the image has; '' when it doesn't exist or is too large. */
export function readInRootfs(rootfs: string, path: string): string {
  using root = openRoot(rootfs)
  const fd = openFileBeneath(root, path)
  if (fd === undefined) return ''
  try {
    const text = readFileSync(fd, 'utf8')
    return text.length > 4 * 1024 * 1024 ? '' : text
  } catch { return '' } finally { closeSync(fd) }
}

/**
 * Refuses images that bring a symlink where the OCI runtime mounts its own file systems: older runtimes follow it out of the container.
 * @throws CriError FailedPrecondition
 */
export function refuseSymlinkedMountPoints(rootfs: string): void {
  for (const name of ['dev', 'proc', 'sys']) {
    const found = lstatSync(join(rootfs, name), { throwIfNoEntry: false })
    if (found && !found.isDirectory()) throw new CriError('FailedPrecondition', `image has a /${name} that is no folder`)
  }
}
