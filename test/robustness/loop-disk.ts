// File systems of a test's own: ext4 on a loop device, which can lose power and become full. Root only.
import { spawnSync } from 'node:child_process'
import { appendFileSync, mkdirSync, rmSync, statfsSync, truncateSync, writeFileSync } from 'node:fs'

/** Why there can't be one here; undefined when there can. */
export function loopDisksMissing(): string | undefined {
  if (process.getuid?.() !== 0) return 'mounting needs root'
  for (const program of ['mkfs.ext4', 'mount', 'losetup']) if (spawnSync('sh', ['-c', `command -v ${program}`]).status !== 0) return `there is no ${program}`
  return undefined
}

/** Why the power can't be cut here. */
export function powerCutMissing(): string | undefined { return loopDisksMissing() ?? (spawnSync('sh', ['-c', 'command -v xfs_io']).status === 0 ? undefined : 'there is no xfs_io (xfsprogs)') }

export class LoopDisk implements Disposable {
  readonly path: string
  readonly #image: string
  #mounted = false

  /** @param place of the mount point; the image lies beside it */
  constructor(place: string, megabytes: number) {
    this.path = place
    this.#image = `${place}.img`
    writeFileSync(this.#image, '')
    truncateSync(this.#image, megabytes * 1024 * 1024)
    run('mkfs.ext4', '-q', '-F', this.#image)
    mkdirSync(place)
    this.mount()
  }

  mount(): void {
    run('mount', '-o', 'loop', this.#image, this.path)
    this.#mounted = true
  }

  /**
   * The power goes: from now on nothing reaches the file system, and what had not been made durable never will. Who has files open there meets
   * errors; when they are gone, `restorePower`.
   */
  cutPower(): void { run('xfs_io', '-x', '-c', 'shutdown', this.path) }

  restorePower(): void {
    run('umount', this.path)
    this.mount()
  }

  /** Takes all room, in a file of this name. */
  fill(path: string): void {
    const block = Buffer.alloc(64 * 1024)
    writeFileSync(path, '')
    for (;;) {
      try {
        appendFileSync(path, block)
      } catch {
        break
      }
    }
    const { bavail } = statfsSync(path)
    if (bavail >= 64) throw new Error(`${bavail} blocks are left`)
  }

  [Symbol.dispose](): void {
    if (this.#mounted) run('umount', '-l', this.path)
    rmSync(this.#image, { force: true })
  }
}

function run(command: string, ...args: readonly string[]): void {
  const { status, stderr } = spawnSync(command, args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${stderr}`)
}
