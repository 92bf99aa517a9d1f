// The end of a cluster on this machine: nothing stays but its data. Each step passes over what isn't there, so that it can be run twice, and
// after a kill -9.
import { rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import type { ClusterState } from './cluster-state.ts'
import { removeNetwork } from './host-network.ts'
import { killNodeProcesses, removeCgroups, removeNodeNamespaces } from './node-namespaces.ts'

/** @param statePath the state file, whose folder goes last */
export async function cleanUpCluster(state: ClusterState, statePath: string): Promise<void> {
  await Promise.all(state.nodes.map(async (node) => {
    await killNodeProcesses(node.networkNamespace, node.mountNamespace, node.cgroup)
    removeCgroups(node.cgroup)
    await removeNodeNamespaces(node.mountNamespace, node.runDir)
  }))
  for (const parent of new Set(state.nodes.map((node) => dirname(node.cgroup)))) removeCgroups(parent)
  removeCgroups('/k8ts')
  if (state.hasBridge ?? state.nodes.length > 0) await removeNetwork(state.network, state.name, state.nodes.map((node) => node.name))
  if (state.forwardingWasOff) writeFileSync('/proc/sys/net/ipv4/ip_forward', '0')
  rmSync(dirname(statePath), { recursive: true, force: true })
}
