// Where a cluster keeps what: data that outlives it, and run-time state that goes with it.
import { homedir } from 'node:os'
import { join } from 'node:path'

export interface ClusterPaths {
  readonly name: string
  /** Objects, images, certificates: kept when the cluster stops. */
  readonly data: string
  /** Process ids, sockets, pinned namespaces: gone when the cluster stops. */
  readonly run: string
  readonly pki: string
  readonly etcd: string
  readonly kubeconfig: string
  readonly state: string
}

export function clusterPaths(name: string, asRoot: boolean, dataOverride?: string): ClusterPaths {
  const data = dataOverride ?? join(asRoot ? '/var/lib/k8ts' : join(homedir(), '.local', 'share', 'k8ts'), name)
  const run = join(asRoot ? '/run/k8ts' : (process.env['XDG_RUNTIME_DIR'] ?? join('/tmp', `k8ts-${process.getuid?.() ?? 0}`)), name)
  return { name, data, run, pki: join(data, 'pki'), etcd: join(data, 'etcd'), kubeconfig: join(data, 'kubeconfig'), state: join(run, 'cluster.json') }
}

export interface NodePaths {
  readonly data: string
  readonly run: string
  readonly pins: { readonly mount: string; readonly cgroup: string; readonly network: string }
  readonly log: string
  /** Control group below every hierarchy's root. */
  readonly cgroup: string
}

/** Folders of one worker node. */
export function nodePaths(paths: ClusterPaths, node: string): NodePaths {
  const run = join(paths.run, node)
  const data = join(paths.data, 'nodes', node)
  return { data, run, pins: { mount: join(run, 'ns', 'mnt'), cgroup: join(run, 'ns', 'cgroup'), network: `/run/netns/${paths.name}-${node}` }, log: join(data, 'node.log'), cgroup: `/k8ts/${paths.name}/${node}` }
}
