// How many pods on each node match a term, kept up to date as pods come and go. Affinity and spreading read these counters; nothing passes over
// all pods, but when a term is asked for the first time. Pods with the same labels share the answer to which terms match them.
import { matcherAnchor, matcherHolds, scopeHolds } from '../framework/affinity-terms.ts'
import type { AffinityTerm, NamespaceLabels, PodMatcher } from '../framework/affinity-terms.ts'
import type { HeldTerm, PodCounts } from '../framework/cluster-view.ts'
import type { Labels } from '../framework/labels.ts'
import type { NodeInfo } from '../framework/node-info.ts'
import type { PodInfo, PodTemplate } from '../framework/pod-info.ts'
import { widen } from './node-table.ts'
import type { NodeTable } from './node-table.ts'

/** Pods with these labels in this namespace. */
export interface LabelSet {
  readonly key: string
  readonly namespace: string
  readonly labels: Labels | undefined
  /** Counters that count such pods. */
  readonly counters: Set<MatchCounter>
  pods: number
}

export class MatchCounter {
  readonly matcher: PodMatcher
  counts: Int32Array
  /** Classes that read it; it stays while there are any. */
  pins = 0
  lastUsed = 0
  constructor(matcher: PodMatcher, capacity: number) { this.matcher = matcher; this.counts = new Int32Array(capacity) }
}

export class HeldCounter implements HeldTerm {
  readonly key: string
  readonly kind: HeldTerm['kind']
  readonly term: AffinityTerm
  readonly weight: number
  counts: Int32Array
  /** Pods and classes that hold it. */
  holders = 0
  live = true
  constructor(key: string, kind: HeldTerm['kind'], term: AffinityTerm, weight: number, capacity: number) {
    this.key = key
    this.kind = kind
    this.term = term
    this.weight = weight
    this.counts = new Int32Array(capacity)
  }
  count(node: NodeInfo): number { return this.counts[node.index] ?? 0 }
}

const unpinnedMax = 1_024

export class PodCounters implements PodCounts {
  readonly #table: NodeTable
  readonly #namespaceLabels: NamespaceLabels
  readonly #labelSets = new Map<string, LabelSet>()
  readonly #counters = new Map<string, MatchCounter>()
  readonly #held = new Map<string, HeldCounter>()
  /** `key\0value` that a pod must carry → terms; the rest under ''. */
  readonly #heldByAnchor = new Map<string, Set<HeldCounter>>()
  #heldOf = new WeakMap<PodTemplate, readonly HeldCounter[]>()
  #uses = 0
  /** Some term has had a namespaceSelector. */
  #selectsNamespaces = false
  /** Goes up when a term is held that nobody held before. */
  heldVersion = 0

  constructor(table: NodeTable, namespaceLabels: NamespaceLabels) { this.#table = table; this.#namespaceLabels = namespaceLabels }

  /** Counts a pod that came to (1) or left (-1) the row. */
  change(row: number, pod: PodInfo, by: 1 | -1): void {
    const set = this.labelSet(pod)
    set.pods += by
    for (const counter of set.counters) if (!(pod.terminating && counter.matcher.skipTerminating)) bump(counter, row, by, this.#table.capacity)
    for (const held of this.heldBy(pod.template)) {
      bump(held, row, by, this.#table.capacity)
      this.hold(held, by)
    }
    if (set.pods <= 0) this.#labelSets.delete(set.key)
  }

  labelSet(pod: PodInfo): LabelSet {
    const key = pod.labels === undefined ? pod.namespace : `${pod.namespace}|${JSON.stringify(pod.labels)}`
    let set = this.#labelSets.get(key)
    if (!set) {
      set = { key, namespace: pod.namespace, labels: pod.labels, counters: new Set(), pods: 0 }
      for (const counter of this.#counters.values()) if (matcherHolds(counter.matcher, set.namespace, set.labels, this.#namespaceLabels)) set.counters.add(counter)
      this.#labelSets.set(key, set)
    }
    return set
  }

  /** The counter of a matcher, made and filled when it is new. */
  counter(matcher: PodMatcher): MatchCounter {
    let counter = this.#counters.get(matcher.key)
    if (!counter) {
      if (this.#counters.size > unpinnedMax) this.#dropUnused()
      this.#selectsNamespaces ||= matcher.scopes.some((scope) => scope.namespaceSelector !== undefined)
      this.#counters.set(matcher.key, counter = new MatchCounter(matcher, this.#table.capacity))
      this.#fill(counter)
    }
    counter.lastUsed = ++this.#uses
    return counter
  }

  matching(matcher: PodMatcher): (node: NodeInfo) => number {
    const counter = this.counter(matcher)
    return (node) => counter.counts[node.index] ?? 0
  }

  heldTermsFor(pod: PodInfo): readonly HeldCounter[] {
    const found: HeldCounter[] = []
    const look = (anchor: string): void => {
      for (const held of this.#heldByAnchor.get(anchor) ?? []) if (scopeHolds(held.term, pod.namespace, pod.labels, this.#namespaceLabels)) found.push(held)
    }
    look('')
    for (const key in pod.labels) look(`${key}\0${pod.labels[key] ?? ''}`)
    return found
  }

  /** The counters of the terms that pods of the template hold. */
  heldBy(template: PodTemplate): readonly HeldCounter[] {
    if (template.requiredAffinity.length + template.requiredAntiAffinity.length + template.preferredAffinity.length + template.preferredAntiAffinity.length === 0) return none
    const known = this.#heldOf.get(template)
    if (known?.every((held) => held.live)) return known
    const held = [
      ...template.requiredAntiAffinity.map((term) => this.#heldCounter('requiredAnti', term, 0)), ...template.requiredAffinity.map((term) => this.#heldCounter('required', term, 0)),
      ...template.preferredAffinity.map(({ term, weight }) => this.#heldCounter('preferred', term, weight)), ...template.preferredAntiAffinity.map(({ term, weight }) => this.#heldCounter('preferredAnti', term, weight)),
    ]
    this.#heldOf.set(template, held)
    return held
  }

  /** A term nobody holds any more is forgotten. */
  hold(held: HeldCounter, by: 1 | -1): void {
    held.holders += by
    if (held.holders > 0 || !held.live) return
    held.live = false
    this.#held.delete(held.key)
    this.#heldByAnchor.get(held.term.selector.anchor ?? '')?.delete(held)
  }

  /** Labels of a namespace changed. @returns true when the counters had to be counted anew, without a word in the change log */
  namespaceChanged(namespace: string): boolean {
    // Few terms select namespaces by label; new namespaces have no pods.
    if (!this.#selectsNamespaces) return false
    let hasPods = false
    for (const set of this.#labelSets.values()) if (set.namespace === namespace) { hasPods = true; break }
    if (hasPods) this.#recountAll()
    this.heldVersion++
    return hasPods
  }

  #recountAll(): void {
    this.#labelSets.clear()
    for (const counter of this.#counters.values()) counter.counts.fill(0)
    for (const info of this.#table.infos) {
      for (const pod of info?.pods.values() ?? []) {
        const set = this.labelSet(pod)
        set.pods++
        for (const counter of set.counters) if (info && !(pod.terminating && counter.matcher.skipTerminating)) bump(counter, info.index, 1, this.#table.capacity)
      }
    }
  }

  #heldCounter(kind: HeldTerm['kind'], term: AffinityTerm, weight: number): HeldCounter {
    const key = `${kind}|${weight}|${term.topologyKey}|${term.key}`
    let held = this.#held.get(key)
    if (!held) {
      this.#selectsNamespaces ||= term.namespaceSelector !== undefined
      held = new HeldCounter(key, kind, term, weight, this.#table.capacity)
      this.#held.set(key, held)
      const anchor = term.selector.anchor ?? ''
      let group = this.#heldByAnchor.get(anchor)
      if (!group) this.#heldByAnchor.set(anchor, group = new Set())
      group.add(held)
      this.heldVersion++
    }
    return held
  }

  #fill(counter: MatchCounter): void {
    const anchor = matcherAnchor(counter.matcher)
    const matching = new Set<LabelSet>()
    for (const set of this.#labelSets.values()) if (matcherHolds(counter.matcher, set.namespace, set.labels, this.#namespaceLabels)) { set.counters.add(counter); matching.add(set) }
    if (matching.size === 0) return
    const [key, value] = anchor?.split('\0') ?? []
    for (const info of this.#table.infos) {
      for (const pod of info?.pods.values() ?? []) {
        if (key !== undefined && pod.labels?.[key] !== value) continue
        if (info && matching.has(this.labelSet(pod)) && !(pod.terminating && counter.matcher.skipTerminating)) bump(counter, info.index, 1, this.#table.capacity)
      }
    }
  }

  /** Keeps the counters that classes read and the most recently used half of the others. */
  #dropUnused(): void {
    const loose = [...this.#counters.values()].filter((counter) => counter.pins === 0).sort((a, b) => a.lastUsed - b.lastUsed)
    for (const counter of loose.slice(0, Math.ceil(loose.length / 2))) {
      this.#counters.delete(counter.matcher.key)
      for (const set of this.#labelSets.values()) set.counters.delete(counter)
    }
  }
}

const none: readonly HeldCounter[] = []

function bump(counter: { counts: Int32Array }, row: number, by: number, capacity: number): void {
  if (row >= counter.counts.length) counter.counts = widen(counter.counts, new Int32Array(capacity))
  counter.counts[row] = (counter.counts[row] ?? 0) + by
}
