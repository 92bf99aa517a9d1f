// The node's tree of control groups: kubepods, its two tiers for lesser qualities of service, and one group per pod. The runtime makes the
// containers' own below the pod's. An interface, because machines differ (v1, v2) and simulated ones have none.
// Upstream: pkg/kubelet/cm/{qos_container_manager,pod_container_manager,cgroup_manager}_linux.go
import type { QosClass } from '../pod/pod-resources.ts'

export interface CgroupLimits {
  readonly cpuShares?: number
  /** Microseconds per period; 0 or less: no bound. */
  readonly cpuQuota?: number
  readonly cpuPeriod?: number
  readonly memoryLimitBytes?: number
  readonly pidsLimit?: number
}

export interface CgroupUsage {
  readonly cpuNanoseconds: number
  readonly memoryUsageBytes: number
  readonly memoryWorkingSetBytes: number
  readonly memoryRssBytes: number
  readonly pageFaults: number
  readonly majorPageFaults: number
  readonly processes: number
}

export interface CgroupManager {
  /** Makes the group with those above it, and sets its limits. */
  ensure(path: string, limits: CgroupLimits): Promise<void>
  /** Kills what is left in it and removes it with those below; fine when there is none. */
  remove(path: string): Promise<void>
  /** Names of the groups directly below. */
  children(path: string): Promise<readonly string[]>
  /** Undefined when there is no such group. */
  usage(path: string): Promise<CgroupUsage | undefined>
}

/** The group of all pods, under the node's root group. */
export function kubepodsGroup(cgroupRoot: string): string { return `${cgroupRoot.replace(/\/+$/, '')}/kubepods` }

export function qosCgroup(root: string, qos: QosClass): string { return qos === 'Guaranteed' ? root : `${root}/${qos.toLowerCase()}` }

export function podCgroup(root: string, qos: QosClass, uid: string): string { return `${qosCgroup(root, qos)}/pod${uid}` }

/** The uid in a pod's group name; undefined for other groups. */
export function uidOfCgroup(name: string): string | undefined { return /^pod([0-9a-zA-Z-]{8,})$/.exec(name)?.[1] }

export const noCgroups: CgroupManager = { async ensure() {}, async remove() {}, async children() { return [] }, async usage() { return undefined } }
