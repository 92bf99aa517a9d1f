// All pods that are alike in what bears on placing, and for them every node: does it fit, and how good is it? Kept up to date through the change
// log, when a pod of the class comes up: only nodes that changed since are looked at. Placing a pod reads the tops of a few heaps.
//
// Rule it keeps: it finds a node of the same total score as the plain way looking at all nodes (schedulePodPlain). A property test holds it to that.
import type { SchedulerCache } from '../cache/scheduler-cache.ts'
import { widen } from '../cache/node-table.ts'
import type { ResourceColumns } from '../cache/node-table.ts'
import type { HeldCounter, MatchCounter } from '../cache/pod-counters.ts'
import { podMatcher } from '../framework/affinity-terms.ts'
import type { NodeInfo } from '../framework/node-info.ts'
import { matchesAnyNodeTerm } from '../framework/node-selectors.ts'
import { normalizedByMaximum } from '../framework/plugin.ts'
import type { PodInfo } from '../framework/pod-info.ts'
import { scoreAllocation, scoreBalance } from '../framework/resource-scoring.ts'
import type { ResourceWeight } from '../framework/resource-scoring.ts'
import { countUntoleratedPreferences, findUntoleratedTaint } from '../framework/tolerations.ts'
import { imageScore } from '../plugins/image-locality.ts'
import { heldWeight, matchesOwnAffinity, normalizedAffinity } from '../plugins/inter-pod-affinity.ts'
import { matchesRequiredNodeAffinity, preferredNodeScore } from '../plugins/node-affinity.ts'
import { isIgnoredResource, requestsForScore } from '../plugins/node-resources-fit.ts'
import { allowsUnschedulable } from '../plugins/node-unschedulable.ts'
import { hasAllKeys, hostnameKey, includesNode, normalizedSpread, spreadCost, spreadWeight } from '../plugins/pod-topology-spread.ts'
import type { SpreadConstraint, SpreadConstraints } from '../plugins/pod-topology-spread.ts'
import { Bucket, insertRow, removeRow, reorderRow } from './bucket.ts'
import type { HeapColumns } from './bucket.ts'
import { Channel, TopologyDomains } from './channels.ts'
import type { WeightedCounter } from './channels.ts'
import type { FastProfile } from './fast-profile.ts'

export interface ClassDemands {
  readonly pod: PodInfo
  readonly hard: readonly SpreadConstraint[]
  readonly soft: SpreadConstraints
  /** Terms of pods on nodes that speak of the class. */
  readonly held: readonly HeldCounter[]
}

export interface Pick {
  readonly node: NodeInfo
  readonly total: number
  readonly feasible: number
}

interface Asked { readonly columns: ResourceColumns; readonly amount: number }
interface Scored { readonly columns: ResourceColumns | undefined; readonly amount: number; readonly nonZero: 'cpu' | 'memory' | undefined }

export class PlacementClass {
  readonly demands: ClassDemands
  readonly #cache: SchedulerCache
  readonly #profile: FastProfile
  readonly #random: (bound: number) => number
  readonly #counters: MatchCounter[] = []
  readonly #keys: TopologyDomains[] = []
  readonly #coarseKeys: TopologyDomains[] = []
  readonly #hard: { readonly constraint: SpreadConstraint; readonly channel: Channel }[] = []
  readonly #soft: { readonly constraint: SpreadConstraint; readonly channel: Channel }[] = []
  readonly #affinity: Channel[] = []
  /** Nothing may be here: the pod's anti-affinity, and others' towards it. */
  readonly #forbidden: Channel[] = []
  readonly #preferred: Channel[] = []
  readonly #channels: Channel[] = []
  /** Channels whose value is part of the bucket. */
  readonly #inBucket: Channel[] = []
  readonly #goesFirst: boolean
  readonly #asked: Asked[]
  readonly #fitScored: readonly Scored[]
  readonly #balanceScored: readonly Scored[]
  readonly #requested: number[] = []
  readonly #allocatable: number[] = []
  readonly #heap: HeapColumns
  #bucketOf: (Bucket | undefined)[] = []
  #generation: Int32Array
  #static: Uint8Array
  #image: Float64Array
  #prefix: Int32Array
  readonly #prefixes: { readonly taints: number; readonly wishes: number; readonly ignored: boolean; readonly domains: readonly number[]; readonly buckets: Map<string | number, Bucket>; plain: Bucket | undefined }[] = []
  readonly #prefixIds = new Map<string, number>()
  #buckets: Bucket[] = []
  #position = -1
  /** Rows to look at in this round; marked so that each is there once. */
  readonly #dirty: number[] = []
  #marks: Int32Array
  #round = 0
  #images = ''
  #stamp = 0
  readonly #stamped: number[] = []
  /** For the owner: uses, least recent first to go. */
  lastUsed = 0

  constructor(demands: ClassDemands, profile: FastProfile, cache: SchedulerCache, random: (bound: number) => number, coarseMax: number) {
    this.demands = demands
    this.#cache = cache
    this.#profile = profile
    this.#random = random
    const { capacity } = cache.table
    this.#heap = { score: new Float64Array(capacity), place: new Int32Array(capacity), tie: new Int32Array(0) }
    this.#generation = new Int32Array(capacity).fill(-1)
    this.#static = new Uint8Array(capacity)
    this.#image = new Float64Array(capacity)
    this.#prefix = new Int32Array(capacity)
    this.#marks = new Int32Array(capacity)
    const { template } = demands.pod
    const { requests } = template
    const ask = (name: string, amount: number): Asked[] => (amount > 0 ? [{ columns: cache.table.column(name), amount }] : [])
    this.#asked = profile.filters.has('NodeResourcesFit') ? [
      ...ask('cpu', requests.milliCpu), ...ask('memory', requests.memory), ...ask('ephemeral-storage', requests.ephemeralStorage),
      ...[...requests.scalars ?? []].flatMap(([name, amount]) => (name.includes('/') && isIgnoredResource(profile.fitArgs, name) ? [] : ask(name, amount))),
    ] : []
    const scored = (resources: readonly ResourceWeight[], nonZero: boolean): readonly Scored[] => requestsForScore(template, resources, nonZero).map((amount, i) => {
      const name = resources[i]?.name ?? ''
      const counts = amount !== 0 || name === 'cpu' || name === 'memory' || name === 'ephemeral-storage'
      return { amount, columns: counts ? cache.table.column(name) : undefined, nonZero: nonZero && (name === 'cpu' || name === 'memory') ? name : undefined }
    })
    this.#fitScored = scored(profile.strategy.resources, true)
    const balance = scored(profile.balanced, false)
    this.#balanceScored = balance.every(({ amount }) => amount === 0) ? [] : balance
    this.#goesFirst = matchesOwnAffinity(demands.pod, cache.namespaceLabels)
    this.#openChannels(capacity, coarseMax)
    this.#shuffleTies(capacity)
  }

  /** False: soft spreading over a topology of many domains is left to the plain way. */
  get supported(): boolean { return this.#soft.every(({ channel, constraint }) => constraint.topologyKey === hostnameKey || !channel.domains.fine) }

  /** Lets go of the counters. */
  release(): void {
    for (const counter of this.#counters) counter.pins--
    for (const held of [...this.demands.held, ...this.#cache.counts.heldBy(this.demands.pod.template)]) this.#cache.counts.hold(held, -1)
  }

  #openChannels(capacity: number, coarseMax: number): void {
    const { pod, hard, soft, held } = this.demands
    const { filters, weights, affinityArgs } = this.#profile
    const { counts } = this.#cache
    for (const one of [...held, ...counts.heldBy(pod.template)]) counts.hold(one, 1)
    const source = (matcher: Parameters<typeof counts.counter>[0], weight = 1): WeightedCounter => {
      const counter = counts.counter(matcher)
      counter.pins++
      this.#counters.push(counter)
      return { counter, weight }
    }
    const open = (key: string, sources: readonly WeightedCounter[], rules: { readonly tracksMinimum?: boolean; readonly perNode?: boolean } = {}): Channel => {
      let domains = this.#keys.find((k) => k.key === key)
      if (!domains) this.#keys.push(domains = new TopologyDomains(key, capacity, this.#countValues(key), coarseMax))
      const channel = new Channel(domains, { sources, ...rules }, capacity)
      this.#channels.push(channel)
      return channel
    }
    if (filters.has('PodTopologySpread')) for (const constraint of hard) this.#hard.push({ constraint, channel: open(constraint.topologyKey, [source(constraint.matcher)], { tracksMinimum: true }) })
    if (weights.has('PodTopologySpread')) for (const constraint of soft.constraints) this.#soft.push({ constraint, channel: open(constraint.topologyKey, [source(constraint.matcher)], { perNode: constraint.topologyKey === hostnameKey }) })
    const { requiredAffinity, requiredAntiAffinity, preferredAffinity, preferredAntiAffinity } = pod.template
    if (filters.has('InterPodAffinity')) {
      for (const key of new Set(requiredAffinity.map((t) => t.topologyKey))) this.#affinity.push(open(key, [source(podMatcher(requiredAffinity, false))]))
      const forbidden = new Map<string, WeightedCounter[]>()
      const forbid = (key: string, from: WeightedCounter): void => { const list = forbidden.get(key); if (list) list.push(from); else forbidden.set(key, [from]) }
      for (const term of requiredAntiAffinity) forbid(term.topologyKey, source(podMatcher([term], false)))
      for (const one of held) if (one.kind === 'requiredAnti') forbid(one.term.topologyKey, { counter: one, weight: 1 })
      for (const [key, sources] of forbidden) this.#forbidden.push(open(key, sources))
    }
    if (weights.has('InterPodAffinity')) {
      const preferred = new Map<string, WeightedCounter[]>()
      const prefer = (key: string, from: WeightedCounter): void => { const list = preferred.get(key); if (list) list.push(from); else preferred.set(key, [from]) }
      for (const { term, weight } of preferredAffinity) prefer(term.topologyKey, source(podMatcher([term], false), weight))
      for (const { term, weight } of preferredAntiAffinity) prefer(term.topologyKey, source(podMatcher([term], false), -weight))
      for (const one of held) {
        const weight = heldWeight(one, affinityArgs, preferredAffinity.length + preferredAntiAffinity.length > 0)
        if (weight !== 0) prefer(one.term.topologyKey, { counter: one, weight })
      }
      for (const [key, sources] of preferred) this.#preferred.push(open(key, sources))
    }
    this.#coarseKeys.push(...this.#keys.filter((k) => !k.fine))
    this.#inBucket.push(...this.#channels.filter((c) => c.fine && !this.#forbidden.includes(c)))
  }

  #countValues(key: string): number {
    const values = new Set<string>()
    for (const node of this.#cache.nodes) { const value = node.node.metadata.labels?.[key]; if (value !== undefined) values.add(value) }
    return values.size
  }

  /** The best node for a pod of the class, or undefined when none fits. */
  pick(): Pick | undefined {
    this.#catchUp()
    const { weights } = this.#profile
    let feasible = 0
    let scorable = 0
    let mostTaints = 0
    let mostWishes = 0
    let leastAffinity = Number.MAX_SAFE_INTEGER
    let mostAffinity = Number.MIN_SAFE_INTEGER
    const minimums = this.#hard.map(({ channel, constraint }) => channel.minimum(constraint.minDomains))
    for (const bucket of this.#buckets) {
      bucket.feasible = bucket.rows.length > 0 && this.#admits(bucket, minimums)
      if (!bucket.feasible) continue
      feasible += bucket.rows.length
      if (!bucket.ignored) scorable += bucket.rows.length
      if (bucket.taints > mostTaints) mostTaints = bucket.taints
      if (bucket.wishes > mostWishes) mostWishes = bucket.wishes
      if (this.#preferred.length === 0) continue
      let affinity = 0
      for (const channel of this.#preferred) affinity += this.#read(channel, bucket)
      bucket.affinity = affinity
      if (affinity < leastAffinity) leastAffinity = affinity
      if (affinity > mostAffinity) mostAffinity = affinity
    }
    if (feasible === 0) return undefined
    const spread = this.#soft.length > 0 ? this.#spreadCosts(scorable) : undefined
    const taintWeight = weights.get('TaintToleration') ?? 0
    const wishWeight = this.demands.pod.template.preferredNodeTerms.length + this.#profile.added.preferred.length > 0 ? weights.get('NodeAffinity') ?? 0 : 0
    const spreadPart = weights.get('PodTopologySpread') ?? 0
    const affinityPart = weights.get('InterPodAffinity') ?? 0
    let best = -1
    let bestTotal = -1
    let ties = 0
    for (const bucket of this.#buckets) {
      if (!bucket.feasible) continue
      const top = bucket.rows[0] ?? 0
      let total = (this.#heap.score[top] ?? 0) + taintWeight * normalizedByMaximum(bucket.taints, mostTaints, true) + wishWeight * normalizedByMaximum(bucket.wishes, mostWishes, false)
      if (spread && !bucket.ignored) total += spreadPart * normalizedSpread(bucket.spreadCost, spread.cheapest, spread.dearest)
      if (this.#preferred.length > 0) total += affinityPart * normalizedAffinity(bucket.affinity, leastAffinity, mostAffinity)
      if (total > bestTotal) { best = top; bestTotal = total; ties = 1 }
      else if (total === bestTotal && this.#random(++ties) === 0) best = top
    }
    const node = this.#cache.table.infos[best]
    return node && { node, total: bestTotal, feasible }
  }

  /** What depends on the domain or the count of a whole bucket. */
  #admits(bucket: Bucket, minimums: readonly number[]): boolean {
    for (let i = 0; i < this.#hard.length; i++) {
      const entry = this.#hard[i]
      if (entry && this.#read(entry.channel, bucket) + (entry.constraint.selfMatches ? 1 : 0) - (minimums[i] ?? 0) > entry.constraint.maxSkew) return false
    }
    for (const channel of this.#forbidden) if (!channel.fine && bucket.domains[this.#coarseKeys.indexOf(channel.domains)] !== 0 && this.#read(channel, bucket) > 0) return false
    let near = true
    for (const channel of this.#affinity) if (this.#read(channel, bucket) <= 0) near = false
    return near || (this.#goesFirst && this.#affinity.every((channel) => channel.total === 0))
  }

  #read(channel: Channel, bucket: Bucket): number {
    if (channel.fine) return bucket.values[this.#inBucket.indexOf(channel)] ?? 0
    const domain = bucket.domains[this.#coarseKeys.indexOf(channel.domains)] ?? 0
    return domain === 0 ? 0 : channel.sums[domain] ?? 0
  }

  #spreadCosts(scorable: number): { readonly cheapest: number; readonly dearest: number } {
    const factors = this.#soft.map(({ channel, constraint }) => {
      if (constraint.topologyKey === hostnameKey) return spreadWeight(scorable)
      const index = this.#coarseKeys.indexOf(channel.domains)
      const stamp = ++this.#stamp
      let domains = 0
      for (const bucket of this.#buckets) {
        if (!bucket.feasible || bucket.ignored) continue
        const domain = bucket.domains[index] ?? 0
        if (this.#stamped[domain] !== stamp) { this.#stamped[domain] = stamp; domains++ }
      }
      return spreadWeight(domains)
    })
    let cheapest = Number.MAX_SAFE_INTEGER
    let dearest = 0
    for (const bucket of this.#buckets) {
      if (!bucket.feasible || bucket.ignored) continue
      let cost = 0
      for (let i = 0; i < this.#soft.length; i++) {
        const entry = this.#soft[i]
        if (!entry) continue
        const { channel, constraint } = entry
        // A node without the label pays nothing for it.
        const count = channel.perNode ? bucket.values[this.#inBucket.indexOf(channel)] ?? 0 : bucket.domains[this.#coarseKeys.indexOf(channel.domains)] === 0 ? -1 : this.#read(channel, bucket)
        if (count >= 0) cost += spreadCost(count, constraint.maxSkew, factors[i] ?? 0)
      }
      bucket.spreadCost = Math.round(cost)
      if (bucket.spreadCost < cheapest) cheapest = bucket.spreadCost
      if (bucket.spreadCost > dearest) dearest = bucket.spreadCost
    }
    return { cheapest, dearest }
  }

  /** Looks at the rows that changed since the last time. */
  #catchUp(): void {
    const { log, table } = this.#cache
    if (table.capacity > this.#generation.length) this.#grow(table.capacity)
    const images = this.#imageStanding()
    const dirty = this.#dirty
    dirty.length = 0
    const round = ++this.#round
    const marks = this.#marks
    if (this.#position < 0 || images !== this.#images || !log.reaches(this.#position) || log.position - this.#position > 2 * table.end) {
      if (images !== this.#images) this.#generation.fill(-1)
      this.#images = images
      for (let row = 0; row < table.end; row++) { dirty.push(row); marks[row] = round }
    } else {
      for (let at = this.#position; at < log.position; at++) {
        const row = log.at(at)
        if (marks[row] !== round) { dirty.push(row); marks[row] = round }
      }
    }
    this.#position = log.position
    // First all the sums, then the nodes that read them.
    const siblings: number[] = []
    for (const row of dirty) {
      if (this.#generation[row] !== table.generation[row]) {
        this.#addSiblings(row, siblings)
        this.#readNode(row)
        this.#addSiblings(row, siblings)
      }
      for (const channel of this.#channels) {
        if (!channel.follow(row) || !channel.domains.fine || channel.perNode) continue
        const members = channel.domains.members[channel.domains.of[row] ?? 0]
        if (members && members.size > 1) siblings.push(...members)
      }
    }
    for (const row of siblings) if (marks[row] !== round) { dirty.push(row); marks[row] = round }
    for (const row of dirty) this.#place(row)
    if (this.#buckets.length > 4_096) this.#dropEmptyBuckets()
  }

  /** Others in the row's fine domains: its coming or going changes their sums. */
  #addSiblings(row: number, siblings: number[]): void {
    for (const key of this.#keys) {
      const members = key.fine ? key.members[key.of[row] ?? 0] : undefined
      if (members && members.size > 1) siblings.push(...members)
    }
  }

  #imageStanding(): string {
    if (!this.#profile.weights.has('ImageLocality')) return ''
    let standing = ''
    for (const image of this.demands.pod.template.images) { const on = this.#cache.imageNodes(image); if (on > 0) standing += `${image} ${on} ` }
    return standing === '' ? '' : `${standing}${this.#cache.nodeCount}`
  }

  /** What follows from the node itself: labels, taints, images. */
  #readNode(row: number): void {
    const { table } = this.#cache
    const info = table.infos[row]
    for (const channel of this.#channels) channel.leave(row)
    this.#generation[row] = table.generation[row] ?? 0
    const labels = info?.node.metadata.labels
    for (const domains of this.#keys) domains.assign(row, labels)
    if (!info) { this.#static[row] = 0; return }
    const { pod, hard, soft } = this.demands
    const { template } = pod
    const { filters, weights, added } = this.#profile
    const { node } = info
    const allHard = hasAllKeys(hard, node)
    const allSoft = !soft.requireAllKeys || hasAllKeys(soft.constraints, node)
    for (const { constraint, channel } of this.#hard) if (allHard && includesNode(constraint, pod, node)) channel.join(row)
    for (const { constraint, channel } of this.#soft) {
      const has = (channel.domains.of[row] ?? 0) > 0
      if (channel.perNode ? has : allSoft && has && includesNode(constraint, pod, node)) channel.join(row)
    }
    for (const channel of [...this.#affinity, ...this.#forbidden, ...this.#preferred]) if ((channel.domains.of[row] ?? 0) > 0) channel.join(row)
    this.#static[row] = (!filters.has('NodeUnschedulable') || allowsUnschedulable(template, node))
      && (!filters.has('TaintToleration') || findUntoleratedTaint(node.spec?.taints, template.tolerations) === undefined)
      && (!filters.has('NodeAffinity') || ((added.required === undefined || matchesAnyNodeTerm(added.required, node)) && matchesRequiredNodeAffinity(template, node)))
      && (this.#hard.length === 0 || allHard)
      && this.#affinity.every((channel) => (channel.domains.of[row] ?? 0) > 0) ? 1 : 0
    this.#image[row] = weights.has('ImageLocality') ? imageScore(template, info, this.#cache, this.#cache.nodeCount) : 0
    const taints = countUntoleratedPreferences(node.spec?.taints, template.tolerations)
    const wishes = preferredNodeScore(template.preferredNodeTerms, node) + preferredNodeScore(added.preferred, node)
    const ignored = this.#soft.length > 0 && !allSoft
    const domains = this.#coarseKeys.map((key) => key.of[row] ?? 0)
    const key = `${taints} ${wishes} ${ignored ? 1 : 0} ${domains.join(' ')}`
    let id = this.#prefixIds.get(key)
    if (id === undefined) {
      this.#prefixIds.set(key, id = this.#prefixes.length)
      this.#prefixes.push({ taints, wishes, ignored, domains, buckets: new Map(), plain: undefined })
    }
    this.#prefix[row] = id
  }

  /** Puts the row where it belongs now: into its bucket at its score, or nowhere. */
  #place(row: number): void {
    const before = this.#bucketOf[row]
    const bucket = this.#static[row] && this.#fits(row) ? this.#bucketFor(row) : undefined
    if (!bucket) {
      if (before) { removeRow(before, row, this.#heap); this.#bucketOf[row] = undefined }
      return
    }
    const score = this.#ownScore(row)
    if (before === bucket) {
      if (this.#heap.score[row] === score) return
      this.#heap.score[row] = score
      reorderRow(bucket, row, this.#heap)
      return
    }
    if (before) removeRow(before, row, this.#heap)
    this.#heap.score[row] = score
    this.#bucketOf[row] = bucket
    insertRow(bucket, row, this.#heap)
  }

  #fits(row: number): boolean {
    const { table } = this.#cache
    if (this.#profile.filters.has('NodeResourcesFit')) {
      if ((table.podCount[row] ?? 0) + 1 > (table.allowedPods[row] ?? 0)) return false
      for (const { columns, amount } of this.#asked) if (amount > (columns.allocatable[row] ?? 0) - (columns.requested[row] ?? 0)) return false
    }
    for (const channel of this.#forbidden) if (channel.fine && (channel.domains.of[row] ?? 0) > 0 && channel.valueAt(row) > 0) return false
    const { hostPorts } = this.demands.pod.template
    return hostPorts.length === 0 || !this.#profile.filters.has('NodePorts') || !(table.infos[row]?.portsConflict(hostPorts) ?? true)
  }

  #ownScore(row: number): number {
    const { weights, strategy } = this.#profile
    let score = (weights.get('ImageLocality') ?? 0) * (this.#image[row] ?? 0)
    const fit = weights.get('NodeResourcesFit')
    if (fit) { this.#fill(row, this.#fitScored); score += fit * scoreAllocation(strategy, this.#requested, this.#allocatable) }
    const balance = weights.get('NodeResourcesBalancedAllocation')
    if (balance && this.#balanceScored.length > 0) { this.#fill(row, this.#balanceScored); score += balance * scoreBalance(this.#requested, this.#allocatable) }
    return score
  }

  #fill(row: number, scored: readonly Scored[]): void {
    const { table } = this.#cache
    this.#requested.length = scored.length
    this.#allocatable.length = scored.length
    for (let i = 0; i < scored.length; i++) {
      const entry = scored[i]
      if (!entry?.columns) { this.#requested[i] = 0; this.#allocatable[i] = 0; continue }
      this.#allocatable[i] = entry.columns.allocatable[row] ?? 0
      const used = entry.nonZero === 'cpu' ? table.nonZeroMilliCpu[row] : entry.nonZero === 'memory' ? table.nonZeroMemory[row] : entry.columns.requested[row]
      this.#requested[i] = entry.amount + (used ?? 0)
    }
  }

  #bucketFor(row: number): Bucket | undefined {
    const prefix = this.#prefixes[this.#prefix[row] ?? 0]
    if (!prefix) return undefined
    if (this.#inBucket.length === 0) return prefix.plain ??= this.#newBucket(prefix, [])
    let key: string | number = this.#inBucket[0]?.valueAt(row) ?? 0
    for (let i = 1; i < this.#inBucket.length; i++) key = `${key} ${this.#inBucket[i]?.valueAt(row) ?? 0}`
    let bucket = prefix.buckets.get(key)
    if (!bucket) prefix.buckets.set(key, bucket = this.#newBucket(prefix, this.#inBucket.map((channel) => channel.valueAt(row))))
    return bucket
  }

  #newBucket(from: { readonly taints: number; readonly wishes: number; readonly ignored: boolean; readonly domains: readonly number[] }, values: readonly number[]): Bucket {
    const bucket = new Bucket(from.taints, from.wishes, from.ignored, from.domains, values)
    this.#buckets.push(bucket)
    return bucket
  }

  #dropEmptyBuckets(): void {
    this.#buckets = this.#buckets.filter((bucket) => bucket.rows.length > 0)
    for (const prefix of this.#prefixes) {
      if (prefix.plain?.rows.length === 0) prefix.plain = undefined
      for (const [key, bucket] of prefix.buckets) if (bucket.rows.length === 0) prefix.buckets.delete(key)
    }
  }

  #grow(capacity: number): void {
    const old = this.#generation.length
    this.#generation = widen(this.#generation, new Int32Array(capacity).fill(-1, old))
    const fixed = new Uint8Array(capacity)
    fixed.set(this.#static)
    this.#static = fixed
    this.#image = widen(this.#image, new Float64Array(capacity))
    this.#prefix = widen(this.#prefix, new Int32Array(capacity))
    this.#marks = widen(this.#marks, new Int32Array(capacity))
    this.#heap.score = widen(this.#heap.score, new Float64Array(capacity))
    this.#heap.place = widen(this.#heap.place, new Int32Array(capacity))
    for (const domains of this.#keys) domains.grow(capacity)
    for (const channel of this.#channels) channel.grow(capacity)
    this.#shuffleTies(capacity)
  }

  #shuffleTies(capacity: number): void {
    const seed = this.#random(0x7fffffff)
    const tie = new Int32Array(capacity)
    for (let row = 0; row < capacity; row++) tie[row] = Math.imul(row ^ seed, 0x9e3779b1) >>> 1
    this.#heap.tie = tie
    // Order changes with the ties: start over.
    for (const bucket of this.#buckets) bucket.rows.length = 0
    this.#bucketOf = []
    this.#position = -1
  }
}
