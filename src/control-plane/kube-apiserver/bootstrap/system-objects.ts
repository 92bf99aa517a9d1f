// What a cluster has from its first second: namespaces, priority classes, the API server's own Service. Data; reconcile.ts creates what is missing.
// Upstream: pkg/controlplane/controller/systemnamespaces, pkg/registry/scheduling/rest/storage_scheduling.go
import type { JsonObject } from '../../../lib/base/json.ts'

export const systemNamespaces = ['kube-system', 'kube-public', 'kube-node-lease', 'default'] as const

export interface BootstrapObject {
  /** `group/resource` */
  readonly resource: string
  readonly object: JsonObject
}

const priorityClass = (name: string, value: number, description: string): BootstrapObject => ({
  resource: 'scheduling.k8s.io/priorityclasses', object: { metadata: { name }, value, description },
})

export const systemObjects: readonly BootstrapObject[] = [
  ...systemNamespaces.map((name): BootstrapObject => ({ resource: '/namespaces', object: { metadata: { name } } })),
  priorityClass('system-node-critical', 2_000_001_000, 'Used for system critical pods that must not be moved from their current node.'),
  priorityClass('system-cluster-critical', 2_000_000_000, 'Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.'),
]
