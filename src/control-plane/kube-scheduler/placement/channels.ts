// A channel carries one number per topology domain to the class that reads it: pods that match a spread constraint, pods that an affinity term
// wants near or far. It follows the counters row by row and keeps the sums by domain.
//
// Coarse channels (few domains, such as zones) are read by domain when a pod is placed. Fine ones (a domain per node, such as the host name) put
// their value into the node's bucket, so that a change moves the few nodes of that domain and no others.
import { labelOf } from '../framework/labels.ts'
import type { Labels } from '../framework/labels.ts'
import { widen } from '../cache/node-table.ts'

/** Anything that counts pods per row. */
export interface RowCounter { counts: Int32Array }
export interface WeightedCounter { readonly counter: RowCounter; readonly weight: number }

/** Topology keys with more domains than this are fine. */
export const defaultCoarseMax = 64

/** The domains of one topology key: 0 is "no such label". */
export class TopologyDomains {
  readonly key: string
  readonly fine: boolean
  readonly #ids = new Map<string, number>()
  /** Row → domain. */
  of: Int32Array
  /** Fine only: domain → rows. */
  readonly members: Set<number>[] = [new Set()]

  constructor(key: string, capacity: number, valueCount: number, coarseMax: number) {
    this.key = key
    this.fine = valueCount > coarseMax || key === 'kubernetes.io/hostname'
    this.of = new Int32Array(capacity)
  }

  get count(): number { return this.#ids.size + 1 }

  /** Sets the row's domain from the node's labels. */
  assign(row: number, labels: Labels | undefined): void {
    const value = labelOf(labels, this.key)
    let id = 0
    if (value !== undefined) {
      id = this.#ids.get(value) ?? 0
      if (id === 0) this.#ids.set(value, id = this.#ids.size + 1)
    }
    const before = this.of[row] ?? 0
    this.of[row] = id
    if (!this.fine) return
    if (before > 0) this.members[before]?.delete(row)
    if (id > 0) (this.members[id] ??= new Set()).add(row)
  }

  grow(capacity: number): void { if (capacity > this.of.length) this.of = widen(this.of, new Int32Array(capacity)) }
}

export interface ChannelRules {
  readonly sources: readonly WeightedCounter[]
  /** Hard spreading: the least count matters, over domains with a node that counts. */
  readonly tracksMinimum?: boolean
  /** Each node for itself, whatever its domain: soft spreading by host name. */
  readonly perNode?: boolean
}

export class Channel {
  readonly domains: TopologyDomains
  readonly #sources: readonly WeightedCounter[]
  readonly #tracksMinimum: boolean
  readonly perNode: boolean
  /** Row → what it has added to its domain. */
  #added: Float64Array
  /** Row → whether it counts. */
  #counts: Uint8Array
  /** Domain → sum. */
  readonly sums: number[] = [0]
  /** Domain → nodes that count. */
  readonly #nodes: number[] = [0]
  /** Domains with a node that counts. */
  domainCount = 0
  /** Fine and tracksMinimum: sum → domains that have it. */
  readonly #levels: number[] = []
  total = 0

  constructor(domains: TopologyDomains, rules: ChannelRules, capacity: number) {
    this.domains = domains
    this.#sources = rules.sources
    this.#tracksMinimum = rules.tracksMinimum ?? false
    this.perNode = rules.perNode ?? false
    this.#added = new Float64Array(capacity)
    this.#counts = new Uint8Array(capacity)
  }

  get fine(): boolean { return this.domains.fine || this.perNode }

  grow(capacity: number): void {
    if (capacity <= this.#added.length) return
    this.#added = widen(this.#added, new Float64Array(capacity))
    const counts = new Uint8Array(capacity)
    counts.set(this.#counts)
    this.#counts = counts
  }

  /** Takes the row's part out: before its node, labels or standing change. */
  leave(row: number): void {
    if (!this.#counts[row]) return
    const domain = this.domains.of[row] ?? 0
    this.#shift(domain, -(this.#added[row] ?? 0))
    this.#added[row] = 0
    this.#counts[row] = 0
    const left = (this.#nodes[domain] ?? 0) - 1
    this.#nodes[domain] = left
    if (left === 0) { this.domainCount--; this.#level(this.sums[domain] ?? 0, -1) }
  }

  /** The row counts from now on, in the domain it has now. */
  join(row: number): void {
    const domain = this.domains.of[row] ?? 0
    this.#counts[row] = 1
    const before = this.#nodes[domain] ?? 0
    this.#nodes[domain] = before + 1
    this.sums[domain] ??= 0
    if (before === 0) { this.domainCount++; this.#level(this.sums[domain] ?? 0, 1) }
  }

  /** Reads the row's counters. @returns true when its domain's sum changed */
  follow(row: number): boolean {
    if (!this.#counts[row]) return false
    let value = 0
    for (const { counter, weight } of this.#sources) value += weight * (counter.counts[row] ?? 0)
    const delta = value - (this.#added[row] ?? 0)
    if (delta === 0) return false
    this.#added[row] = value
    this.#shift(this.domains.of[row] ?? 0, delta)
    return true
  }

  /** The number for the row: of its domain, or its own (-1 without the label). */
  valueAt(row: number): number {
    const domain = this.domains.of[row] ?? 0
    if (this.perNode) return domain === 0 ? -1 : this.#added[row] ?? 0
    return this.sums[domain] ?? 0
  }

  /** The least sum over domains with a node that counts; 0 while there are fewer than `minDomains`. */
  minimum(minDomains: number): number {
    if (this.domainCount < minDomains) return 0
    if (this.domains.fine) {
      for (let sum = 0; sum < this.#levels.length; sum++) if ((this.#levels[sum] ?? 0) > 0) return sum
      return Number.MAX_SAFE_INTEGER
    }
    let least = Number.MAX_SAFE_INTEGER
    for (let domain = 0; domain < this.#nodes.length; domain++) if ((this.#nodes[domain] ?? 0) > 0 && (this.sums[domain] ?? 0) < least) least = this.sums[domain] ?? 0
    return least
  }

  #shift(domain: number, delta: number): void {
    if (delta === 0) return
    const before = this.sums[domain] ?? 0
    this.sums[domain] = before + delta
    this.total += delta
    if ((this.#nodes[domain] ?? 0) > 0) { this.#level(before, -1); this.#level(before + delta, 1) }
  }

  #level(sum: number, by: 1 | -1): void {
    if (this.#tracksMinimum && this.domains.fine) this.#levels[sum] = (this.#levels[sum] ?? 0) + by
  }
}
