// Prefers nodes that hold the pod's images already; an image that is everywhere counts in full, one on a single node hardly, so that no node draws
// everything to itself. Upstream: plugins/imagelocality
import type { ClusterView } from '../framework/cluster-view.ts'
import type { NodeInfo } from '../framework/node-info.ts'
import { maxNodeScore } from '../framework/plugin.ts'
import type { Plugin } from '../framework/plugin.ts'
import type { PodTemplate } from '../framework/pod-info.ts'

const minimumBytes = 23 * 1024 * 1024
const maximumBytesPerContainer = 1000 * 1024 * 1024

export function imageScore(template: PodTemplate, node: NodeInfo, cluster: Pick<ClusterView, 'imageNodes'>, nodeCount: number): number {
  if (node.images.size === 0) return 0
  let bytes = 0
  for (const image of template.images) {
    const size = node.images.get(image)
    if (size !== undefined) bytes += Math.trunc((size * cluster.imageNodes(image)) / nodeCount)
  }
  const maximum = maximumBytesPerContainer * template.imageCount
  return Math.floor((maxNodeScore * (Math.min(Math.max(bytes, minimumBytes), maximum) - minimumBytes)) / (maximum - minimumBytes))
}

export function imageLocality(): Plugin {
  return { name: 'ImageLocality', score: (_state, { template }, node, cluster) => imageScore(template, node, cluster, cluster.nodes.length) }
}
