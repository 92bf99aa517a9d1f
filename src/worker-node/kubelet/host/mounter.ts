// The mounts that the kubelet itself makes: memory file systems for volumes, and binds that keep a subPath inside its volume.
import type { Disk } from './disk.ts'

export interface TmpfsOptions {
  /** Bound of its size; none means half of the machine's memory. */
  readonly sizeBytes?: number
  readonly mode?: number
}

export interface Mounter {
  mountTmpfs(path: string, options: TmpfsOptions): Promise<void>
  /**
   * Mounts `root/subPath` at `target` without ever following a link out of `root`, even when a container changes links meanwhile. What is
   * missing is made a folder. Rejects with DiskError Forbidden when the path leads out.
   */
  bindBeneath(root: string, subPath: string, target: string): Promise<void>
  /** Fine when nothing is mounted there. */
  unmount(path: string): Promise<void>
  /** Mount points at or under `path`, the deepest first. */
  mountsBelow(path: string): Promise<readonly string[]>
}

/** For nodes without mounts (simulated, or without root): a memory volume is a folder, a subPath a link. */
export function createMountlessMounter(disk: Disk): Mounter {
  return {
    async mountTmpfs(path, options) { await disk.makeDirectory(path, options.mode ?? 0o1777) },
    async bindBeneath(root, subPath, target) {
      const source = `${root}/${subPath}`
      if (!(await disk.stat(source))) await disk.makeDirectory(source, 0o755)
      await disk.removeTree(target)
      await disk.symlink(source, target)
    },
    async unmount() {},
    async mountsBelow() { return [] },
  }
}
