// node-ipam-controller: gives every node its own piece of the cluster's pod ranges (spec.podCIDRs), lowest free piece first; pieces of nodes that are gone
// are free again. Upstream: kubernetes/pkg/controller/nodeipam/ipam/range_allocator.go
import type { Node } from '../../../lib/api/generated/types/core-v1.ts'
import { canonicalIp, parseCidr } from '../../../lib/apimachinery/ip-address.ts'
import { nodes } from '../../../lib/client/resource-keys.ts'
import { aboutObject, patch, watch } from './shared/controller.ts'
import type { Action, Controller, Plan, PlannedEvent } from './shared/controller.ts'
import type { ControllerSettings } from './shared/settings.ts'

export interface ObservedCidrs {
  readonly nodes: readonly Node[]
  readonly clusterCidrs: readonly string[]
  /** Prefix length of a node's piece. */
  readonly maskSizeOf: (family: 4 | 6) => number
}

interface Range { readonly start: bigint, readonly pieces: number, readonly pieceSize: bigint, readonly bytes: number, readonly maskSize: number }

export function syncNodeCidrs({ nodes: all, clusterCidrs, maskSizeOf }: ObservedCidrs): Plan {
  const ranges = clusterCidrs.flatMap((cidr) => { const range = readRange(cidr, maskSizeOf); return range ? [range] : [] })
  const used = ranges.map((range) => new Set(all.flatMap((node) => podCidrsOf(node).flatMap((cidr) => piecesUsed(range, cidr)))))
  const actions: Action[] = []
  const events: PlannedEvent[] = []
  for (const node of all) {
    if (podCidrsOf(node).length > 0 || node.metadata.deletionTimestamp !== undefined) continue
    const cidrs: string[] = []
    ranges.forEach((range, i) => {
      const taken = used[i]
      const piece = taken && firstFree(range, taken)
      if (taken === undefined || piece === undefined) return
      taken.add(piece)
      cidrs.push(`${canonicalIp(bytesOf(range.start + BigInt(piece) * range.pieceSize, range.bytes))}/${range.maskSize}`)
    })
    const [first] = cidrs
    if (first === undefined || cidrs.length < ranges.length) {
      events.push({ about: aboutObject(nodes, node), type: 'Normal', reason: 'CIDRNotAvailable', message: `Node ${node.metadata.name} status is now: CIDRNotAvailable` })
      continue
    }
    actions.push(patch(nodes, node, 'application/merge-patch+json', { metadata: { uid: node.metadata.uid }, spec: { podCIDR: first, podCIDRs: cidrs } }, { tolerates: ['NotFound'] }))
  }
  return { events, steps: actions.length > 0 ? [{ actions }] : [], ...(events.length > 0 ? { requeueAfterMs: 30_000 } : {}) }
}

function podCidrsOf(node: Node): readonly string[] {
  const all = node.spec?.podCIDRs ?? []
  return all.length > 0 ? all : node.spec?.podCIDR ? [node.spec.podCIDR] : []
}

function readRange(cidr: string, maskSizeOf: (family: 4 | 6) => number): Range | undefined {
  const network = parseCidr(cidr)
  if (!network) return undefined
  const bits = network.address.length * 8
  const maskSize = maskSizeOf(bits === 32 ? 4 : 6)
  if (maskSize < network.prefixLength || maskSize > bits) return undefined
  return { start: numberOf(network.address), pieces: 2 ** Math.min(maskSize - network.prefixLength, 16), pieceSize: 1n << BigInt(bits - maskSize), bytes: network.address.length, maskSize }
}

function firstFree(range: Range, taken: ReadonlySet<number>): number | undefined {
  for (let piece = 0; piece < range.pieces; piece++) if (!taken.has(piece)) return piece
  return undefined
}

/** The pieces of the range that a node's CIDR overlaps: one, unless the mask size was another once. */
function piecesUsed(range: Range, cidr: string): readonly number[] {
  const network = parseCidr(cidr)
  if (!network || network.address.length !== range.bytes) return []
  const start = numberOf(network.address)
  const end = start + (1n << BigInt(range.bytes * 8 - network.prefixLength)) - 1n
  const first = (start - range.start) / range.pieceSize
  const last = (end - range.start) / range.pieceSize
  if (end < range.start || first >= BigInt(range.pieces)) return []
  const from = first < 0n ? 0 : Number(first)
  const to = last >= BigInt(range.pieces) ? range.pieces - 1 : Number(last)
  return Array.from({ length: to - from + 1 }, (_, i) => from + i)
}

function numberOf(bytes: readonly number[]): bigint { return bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n) }

function bytesOf(number: bigint, count: number): readonly number[] {
  return Array.from({ length: count }, (_, i) => Number((number >> BigInt(8 * (count - 1 - i))) & 0xffn))
}

export function createNodeIpamController(settings: ControllerSettings): Controller<ObservedCidrs> | undefined {
  if (!settings.allocateNodeCidrs || settings.clusterCidrs.length === 0) return undefined
  return {
    name: 'node-ipam-controller',
    component: 'cidrAllocator',
    // One key for all: two nodes must never be looked at apart from each other.
    concurrency: 1,
    watches: [watch({ resource: nodes, keysOf: () => ['all'] })],
    observe: (_key, view) => ({
      nodes: view.list(nodes), clusterCidrs: settings.clusterCidrs, maskSizeOf: (family) => (family === 4 ? settings.nodeCidrMaskSize : settings.nodeCidrMaskSizeIPv6),
    }),
    sync: syncNodeCidrs,
  }
}
