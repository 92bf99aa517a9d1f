// The nodes' numbers as columns, one row per node: what the class heaps compute with. A column is a typed array, so that a pass over thousands of
// nodes reads memory in order and allocates nothing. Rows of nodes that are gone are used again.
import { amountOf } from '../framework/resources.ts'
import type { NodeInfo } from '../framework/node-info.ts'

export interface ResourceColumns {
  allocatable: Float64Array
  requested: Float64Array
}

export class NodeTable {
  capacity: number
  /** Rows in use lie below this. */
  end = 0
  /** Row → node; undefined for a free row. */
  readonly infos: (NodeInfo | undefined)[] = []
  readonly resources = new Map<string, ResourceColumns>()
  nonZeroMilliCpu: Float64Array
  nonZeroMemory: Float64Array
  podCount: Int32Array
  allowedPods: Int32Array
  /** Goes up when labels, taints, images or allocatable of the row's node change, and when the row gets another node. */
  generation: Int32Array
  readonly #free: number[] = []

  constructor(capacity = 64) {
    this.capacity = capacity
    this.nonZeroMilliCpu = new Float64Array(capacity)
    this.nonZeroMemory = new Float64Array(capacity)
    this.podCount = new Int32Array(capacity)
    this.allowedPods = new Int32Array(capacity)
    this.generation = new Int32Array(capacity)
    for (const name of ['cpu', 'memory', 'ephemeral-storage']) this.column(name)
  }

  /** A row for a new node. */
  allocate(): number {
    const row = this.#free.pop() ?? this.end++
    if (row >= this.capacity) this.#grow()
    return row
  }

  release(row: number): void {
    this.infos[row] = undefined
    this.generation[row] = (this.generation[row] ?? 0) + 1
    this.#free.push(row)
  }

  /** The columns of a resource; new ones are filled from the nodes. */
  column(name: string): ResourceColumns {
    let columns = this.resources.get(name)
    if (!columns) {
      this.resources.set(name, columns = { allocatable: new Float64Array(this.capacity), requested: new Float64Array(this.capacity) })
      for (const info of this.infos) {
        if (!info) continue
        columns.allocatable[info.index] = amountOf(info.allocatable, name)
        columns.requested[info.index] = amountOf(info.requested, name)
      }
    }
    return columns
  }

  /** Copies what pods change: after every pod that comes or goes. */
  syncPods(info: NodeInfo): void {
    const row = info.index
    for (const [name, columns] of this.resources) columns.requested[row] = amountOf(info.requested, name)
    this.nonZeroMilliCpu[row] = info.nonZeroMilliCpu
    this.nonZeroMemory[row] = info.nonZeroMemory
    this.podCount[row] = info.pods.size
  }

  /** Copies all, when the node itself changed. */
  syncNode(info: NodeInfo): void {
    const row = info.index
    this.infos[row] = info
    for (const [name, columns] of this.resources) columns.allocatable[row] = amountOf(info.allocatable, name)
    this.allowedPods[row] = info.allowedPods
    this.generation[row] = (this.generation[row] ?? 0) + 1
    this.syncPods(info)
  }

  #grow(): void {
    this.capacity *= 2
    for (const columns of this.resources.values()) {
      columns.allocatable = widen(columns.allocatable, new Float64Array(this.capacity))
      columns.requested = widen(columns.requested, new Float64Array(this.capacity))
    }
    this.nonZeroMilliCpu = widen(this.nonZeroMilliCpu, new Float64Array(this.capacity))
    this.nonZeroMemory = widen(this.nonZeroMemory, new Float64Array(this.capacity))
    this.podCount = widen(this.podCount, new Int32Array(this.capacity))
    this.allowedPods = widen(this.allowedPods, new Int32Array(this.capacity))
    this.generation = widen(this.generation, new Int32Array(this.capacity))
  }
}

/** `into` with the values of `from` at its beginning. */
export function widen<A extends Float64Array | Int32Array>(from: A, into: A): A {
  into.set(from)
  return into
}
