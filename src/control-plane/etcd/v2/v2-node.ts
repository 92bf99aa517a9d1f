// The tree of the second API: directories and files with an index for every change.
import type { V2Node } from './v2-request.ts'

export class TreeNode {
  readonly path: string
  readonly parent: TreeNode | undefined
  readonly createdIndex: number
  modifiedIndex: number
  value: string
  /** Absent: a file. */
  readonly children: Map<string, TreeNode> | undefined
  /** Milliseconds since the epoch; 0: stays. */
  expiresAtMs: number

  constructor(path: string, parent: TreeNode | undefined, index: number, content: { readonly value: string } | 'directory', expiresAtMs: number, modifiedIndex = index) {
    this.path = path
    this.parent = parent
    this.createdIndex = index
    this.modifiedIndex = modifiedIndex
    this.value = content === 'directory' ? '' : content.value
    this.children = content === 'directory' ? new Map() : undefined
    this.expiresAtMs = expiresAtMs
  }

  get name(): string { return this.path.slice(this.path.lastIndexOf('/') + 1) }
  get isHidden(): boolean { return this.name.startsWith('_') }
}

/** What clients see of a node's lifetime. */
export function lifetimeOf(node: TreeNode, nowMs: number): Pick<V2Node, 'expiration' | 'ttl'> {
  if (node.expiresAtMs === 0) return {}
  return { expiration: new Date(node.expiresAtMs).toISOString().replace(/\.?0*Z$/, 'Z'), ttl: Math.ceil((node.expiresAtMs - nowMs) / 1000) }
}

/** The node without children: as the previous node of an event. */
export function describe(node: TreeNode, nowMs: number): V2Node {
  // The root has none.
  const { modifiedIndex, createdIndex } = node
  const indexes = { ...lifetimeOf(node, nowMs), ...(modifiedIndex === 0 ? {} : { modifiedIndex }), ...(createdIndex === 0 ? {} : { createdIndex }) }
  if (node.children) return { ...(node.path === '/' ? {} : { key: node.path }), dir: true, ...indexes }
  return { key: node.path, value: node.value, ...indexes }
}

/** With its children, all the way down when `recursive`; hidden ones are left out. */
export function describeTree(node: TreeNode, recursive: boolean, sorted: boolean, nowMs: number): V2Node {
  const own = describe(node, nowMs)
  if (!node.children) return own
  const shown = [...node.children.values()].filter((child) => !child.isHidden)
  if (sorted) shown.sort((a, b) => (a.path < b.path ? -1 : 1))
  const nodes = shown.map((child) => (recursive ? describeTree(child, true, sorted, nowMs) : describe(child, nowMs)))
  return nodes.length > 0 ? { ...own, nodes } : own
}
