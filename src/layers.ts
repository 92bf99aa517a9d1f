// Who may import whom: the diagram as data. tools/check-layers.ts enforces it in well under a second; changing it needs a decision record.
//
// cmd and test may touch every component. Components never import components: they meet through lib/client (the API), lib/etcd-client
// (kube-apiserver and etcdctl only) and lib/cri-api. lib never imports a component. A pure module never imports an impure one and never
// touches Node. A path with /internal/ belongs to its parent folder.

export interface Layer {
  /** Folder under src/. The longest match owns a file. */
  readonly path: string
  /** Logic without time, chance, disk, network: compiled without Node's types. */
  readonly pure?: true
  /** Folders under src/ that its files may import, besides their own. */
  readonly may: readonly string[]
}

const pureLibs = ['lib/base', 'lib/apimachinery', 'lib/api'] as const
const everyLib = ['lib'] as const

export const layers: readonly Layer[] = [
  { path: 'lib/base', pure: true, may: [] },
  { path: 'lib/apimachinery', pure: true, may: ['lib/base'] },
  { path: 'lib/api', pure: true, may: ['lib/base', 'lib/apimachinery'] },
  { path: 'lib/etcd-api', pure: true, may: ['lib/base'] },
  { path: 'lib/async', may: ['lib/base'] },
  { path: 'lib/net', may: ['lib/base', 'lib/async'] },
  { path: 'lib/component-base', may: [...pureLibs, 'lib/async', 'lib/net'] },
  { path: 'lib/client', may: [...pureLibs, 'lib/async', 'lib/net'] },
  // Names and references only, no I/O: the pure controllers use them.
  { path: 'lib/client/resource-keys.ts', pure: true, may: [...pureLibs, 'lib/client'] },
  { path: 'lib/client/object-references.ts', pure: true, may: [...pureLibs, 'lib/client'] },
  { path: 'lib/etcd-client', may: ['lib/base', 'lib/etcd-api', 'lib/async', 'lib/net'] },
  { path: 'lib/cri-api', may: ['lib/base', 'lib/async', 'lib/net'] },
  { path: 'lib/testing', may: ['lib', 'control-plane', 'worker-node', 'cmd'] },

  { path: 'control-plane/etcd', may: everyLib },
  { path: 'control-plane/etcd/mvcc', pure: true, may: ['lib/base', 'lib/etcd-api'] },
  { path: 'control-plane/etcd/raft', pure: true, may: ['lib/base'] },
  { path: 'control-plane/etcd/metrics', pure: true, may: ['lib/base'] },
  { path: 'control-plane/etcd/membership', pure: true, may: ['lib/base', 'lib/etcd-api', 'control-plane/etcd/raft'] },
  { path: 'control-plane/etcd/lease', pure: true, may: ['lib/base', 'lib/etcd-api'] },
  { path: 'control-plane/kube-apiserver', may: everyLib },
  { path: 'control-plane/kube-apiserver/registry', pure: true, may: [...pureLibs, 'lib/client'] },
  { path: 'control-plane/kube-controller-manager', may: everyLib },
  { path: 'control-plane/kube-controller-manager/controllers', pure: true, may: [...pureLibs, 'lib/client'] },
  { path: 'control-plane/kube-scheduler', may: everyLib },
  { path: 'control-plane/kube-scheduler/framework', pure: true, may: [...pureLibs] },
  { path: 'control-plane/kube-scheduler/plugins', pure: true, may: [...pureLibs, 'control-plane/kube-scheduler/framework'] },
  { path: 'control-plane/kube-scheduler/queue', pure: true, may: [...pureLibs, 'control-plane/kube-scheduler/framework'] },
  { path: 'control-plane/kube-scheduler/cache', pure: true, may: [...pureLibs, 'control-plane/kube-scheduler/framework'] },
  // The class heaps: the fast way to the same answer as framework/schedule-pod.ts; they call the plugins' own functions.
  { path: 'control-plane/kube-scheduler/placement', pure: true, may: [...pureLibs, 'control-plane/kube-scheduler/framework', 'control-plane/kube-scheduler/plugins', 'control-plane/kube-scheduler/cache'] },
  { path: 'worker-node/kubelet', may: everyLib },
  { path: 'worker-node/kube-proxy', may: everyLib },
  { path: 'worker-node/container-runtime', may: everyLib },
  { path: 'clients', may: everyLib },
  { path: 'clients/kubectl', may: everyLib },
  { path: 'clients/etcdctl', may: everyLib },
  // It works on the files of an etcd that does not run: the code that reads and writes them is the server's.
  { path: 'clients/etcdutl', may: ['lib', 'control-plane/etcd'] },
  { path: 'cmd', may: ['lib', 'control-plane', 'worker-node', 'clients'] },
]

/** The only places that may import lib/etcd-client: row A2 of the system's description as an import rule. */
export const etcdClientUsers: readonly string[] = ['control-plane/kube-apiserver', 'control-plane/etcd', 'clients/etcdctl', 'clients/etcdutl', 'cmd', 'lib/testing', 'lib/etcd-client']
