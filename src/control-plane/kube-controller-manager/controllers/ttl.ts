// ttl-controller: tells each node, by an annotation, for how long its kubelet may keep Secrets and ConfigMaps: not at all in small clusters, longer in large
// ones. The limits overlap, so that a cluster on a border does not go back and forth. Upstream: kubernetes/pkg/controller/ttl
import type { Node } from '../../../lib/api/generated/types/core-v1.ts'
import { nodes } from '../../../lib/client/resource-keys.ts'
import { inOrder, patch, watch } from './shared/controller.ts'
import type { Controller, Plan } from './shared/controller.ts'

export interface ObservedNodeTtl { readonly node: Node, readonly nodeCount: number }

const annotation = 'node.alpha.kubernetes.io/ttl'
const steps: readonly { readonly above: number, readonly upTo: number, readonly ttlSeconds: number }[] = [
  { above: 0, upTo: 100, ttlSeconds: 0 }, { above: 90, upTo: 500, ttlSeconds: 15 }, { above: 450, upTo: 1000, ttlSeconds: 30 },
  { above: 900, upTo: 2000, ttlSeconds: 60 }, { above: 1800, upTo: Number.POSITIVE_INFINITY, ttlSeconds: 300 },
]

export function syncNodeTtl({ node, nodeCount }: ObservedNodeTtl): Plan {
  const present = node.metadata.annotations?.[annotation]
  const fitting = steps.filter((step) => nodeCount >= step.above && nodeCount <= step.upTo)
  if (fitting.some((step) => String(step.ttlSeconds) === present)) return {}
  const [step] = fitting
  return step ? { steps: inOrder(patch(nodes, node, 'application/merge-patch+json', { metadata: { uid: node.metadata.uid, annotations: { [annotation]: String(step.ttlSeconds) } } }, { tolerates: ['NotFound'] })) } : {}
}

export function createTtlController(): Controller<ObservedNodeTtl> {
  return {
    name: 'ttl-controller',
    watches: [watch({ resource: nodes, keysOf: (node) => [node.metadata.name] })],
    observe(key, view) {
      const node = view.get(nodes, '', key)
      return node && { node, nodeCount: view.list(nodes).length }
    },
    sync: syncNodeTtl,
  }
}
