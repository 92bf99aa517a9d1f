// Takes a removed container's log away, with what rotation made of it: a pod that crashes for weeks must not fill the disk.
// Upstream: pkg/kubelet/kuberuntime/kuberuntime_container.go (removeContainerLog)
import type { Disk } from '../host/disk.ts'

/** @param logPath of one attempt, `…/<container>/<n>.log`; empty for none */
export async function removeContainerLogs(disk: Disk, logPath: string): Promise<void> {
  const at = logPath.lastIndexOf('/')
  if (at <= 0) return
  const folder = logPath.slice(0, at)
  const own = logPath.slice(at + 1)
  if (!(await disk.lstat(folder))) return
  for (const name of await disk.list(folder)) if (name === own || name.startsWith(`${own}.`)) await disk.removeTree(`${folder}/${name}`)
}
