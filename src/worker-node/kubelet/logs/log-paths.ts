// Where containers' logs are: /var/log/pods/<namespace>_<name>_<uid>/<container>/<n>.log, with links under /var/log/containers.
// Upstream: pkg/kubelet/kuberuntime/{helpers,legacy}.go
import { podNamespace } from '../pod/pod-facts.ts'
import type { Pod } from '../../../lib/api/generated/types/core-v1.ts'

export const podLogsRoot = (logsDir: string): string => `${logsDir}/pods`
export const podLogDirectory = (logsDir: string, pod: Pod): string => `${podLogsRoot(logsDir)}/${podNamespace(pod)}_${pod.metadata.name}_${pod.metadata.uid}`
export const containerLogPath = (logsDir: string, pod: Pod, container: string, restartCount: number): string => `${podLogDirectory(logsDir, pod)}/${container}/${restartCount}.log`

/** The link that log collectors watch; at most 255 characters long. */
export function containerLogLink(logsDir: string, pod: Pod, container: string, containerId: string): string {
  const prefix = `${pod.metadata.name}_${podNamespace(pod)}_${container}`.slice(0, 255 - containerId.length - '-.log'.length)
  return `${logsDir}/containers/${prefix}-${containerId}.log`
}
