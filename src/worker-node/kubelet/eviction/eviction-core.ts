// When the node is short of something, and which pod has to go: pure.
// Upstream: pkg/kubelet/eviction/{helpers,eviction_manager}.go
import { podRequests } from '../pod/pod-resources.ts'
import { thresholdBytes } from '../node/node-status.ts'
import { isCriticalPod } from '../pod/pod-facts.ts'
import type { PressureSignal } from '../node/node-status.ts'
import type { Pod } from '../../../lib/api/generated/types/core-v1.ts'

export type EvictionSignal = 'memory.available' | 'nodefs.available' | 'nodefs.inodesFree' | 'imagefs.available' | 'imagefs.inodesFree' | 'pid.available'

export interface SignalObservation { readonly available: number; readonly capacity: number }

export interface Threshold {
  readonly signal: EvictionSignal
  /** `100Mi` or `10%`. */
  readonly value: string
  readonly hard: boolean
  readonly gracePeriodMs: number
}

export const pressureOf: { readonly [S in EvictionSignal]: PressureSignal } = {
  'memory.available': 'MemoryPressure', 'nodefs.available': 'DiskPressure', 'nodefs.inodesFree': 'DiskPressure', 'imagefs.available': 'DiskPressure', 'imagefs.inodesFree': 'DiskPressure', 'pid.available': 'PIDPressure',
}

const resourceNames: { readonly [S in EvictionSignal]: string } = {
  'memory.available': 'memory', 'nodefs.available': 'ephemeral-storage', 'nodefs.inodesFree': 'inodes', 'imagefs.available': 'ephemeral-storage', 'imagefs.inodesFree': 'inodes', 'pid.available': 'pids',
}

/** The thresholds of the settings; unknown signals are left out. */
export function makeThresholds(hard: { readonly [s: string]: string }, soft: { readonly [s: string]: string }, softGraceMs: { readonly [s: string]: number }): readonly Threshold[] {
  const known = (signal: string): signal is EvictionSignal => signal in pressureOf
  return [
    ...Object.entries(hard).flatMap(([signal, value]) => (known(signal) ? [{ signal, value, hard: true, gracePeriodMs: 0 }] : [])),
    ...Object.entries(soft).flatMap(([signal, value]) => (known(signal) ? [{ signal, value, hard: false, gracePeriodMs: softGraceMs[signal] ?? 0 }] : [])),
  ]
}

export function isMet(threshold: Threshold, observations: ReadonlyMap<EvictionSignal, SignalObservation>): boolean {
  const seen = observations.get(threshold.signal)
  return seen !== undefined && seen.capacity > 0 && seen.available < thresholdBytes(threshold.value, seen.capacity)
}

export interface RankedPod { readonly pod: Pod; readonly usage: number }

/** Who goes first: over its request, then of low priority, then by how far it is over. */
export function rankForEviction(pods: readonly RankedPod[], signal: EvictionSignal): readonly RankedPod[] {
  const resource = resourceNames[signal]
  const over = ({ pod, usage }: RankedPod): number => usage - (podRequests(pod)[resource] ?? 0)
  return pods.filter((p) => !isCriticalPod(p.pod)).toSorted((a, b) =>
    Number(over(b) > 0) - Number(over(a) > 0) || (a.pod.spec?.priority ?? 0) - (b.pod.spec?.priority ?? 0) || over(b) - over(a))
}

export function evictionMessage(threshold: Threshold, seen: SignalObservation | undefined): string {
  const show = (bytes: number): string => (threshold.signal.includes('inodes') || threshold.signal === 'pid.available' ? String(Math.floor(bytes)) : `${Math.floor(bytes / 1024)}Ki`)
  return `The node was low on resource: ${resourceNames[threshold.signal]}. Threshold quantity: ${threshold.value}, available: ${show(seen?.available ?? 0)}. `
}
