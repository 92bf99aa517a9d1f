// What a running cluster leaves under /run, so that `k8ts down`, another terminal or the next start can find it and take it away.
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import type { ClusterNetwork } from './host-network.ts'

export interface NodeState {
  readonly name: string
  readonly index: number
  readonly networkNamespace: string
  readonly mountNamespace: string
  readonly runDir: string
  /** Path below each cgroup hierarchy's root. */
  readonly cgroup: string
}

export interface ClusterState {
  readonly pid: number
  readonly name: string
  readonly network: ClusterNetwork
  readonly nodes: readonly NodeState[]
  /** There is a bridge for real nodes, even when there are none. Absent in files of older versions. */
  readonly hasBridge?: boolean
  readonly kubeconfig: string
  /** The host didn't forward packets before we came. */
  readonly forwardingWasOff: boolean
}

export function readClusterState(path: string): ClusterState | undefined {
  if (!existsSync(path)) return undefined
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as ClusterState // cast: written below
  } catch {
    return undefined // half written by a killed process: what it names is found by its usual names
  }
}

export function writeClusterState(path: string, state: ClusterState): void {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(`${path}.new`, JSON.stringify(state, null, 2))
  renameSync(`${path}.new`, path)
}

export function isProcessAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
