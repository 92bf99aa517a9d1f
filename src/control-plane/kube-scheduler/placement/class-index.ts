// Finds the class of a pod, makes it when it is new, and forgets the ones least used when they take too much memory.
//
// A class is named by all that bears on placing: the template (spec and namespace), the spread constraints that follow from labels and owners, and
// which of the terms held by pods on nodes speak of it. Labels themselves are not part of it: the pods of a StatefulSet share one.
import type { SchedulerCache } from '../cache/scheduler-cache.ts'
import type { PodInfo } from '../framework/pod-info.ts'
import { matchesOwnAffinity } from '../plugins/inter-pod-affinity.ts'
import { spreadConstraints } from '../plugins/pod-topology-spread.ts'
import type { SpreadConstraint } from '../plugins/pod-topology-spread.ts'
import type { FastProfile } from './fast-profile.ts'
import { defaultCoarseMax } from './channels.ts'
import { PlacementClass } from './placement-class.ts'

/** Rows of all classes together; about 60 bytes each. */
const rowsMax = 4_000_000
const classesMin = 16
const lookupMax = 50_000

export class ClassIndex {
  readonly #cache: SchedulerCache
  readonly #random: (bound: number) => number
  readonly #coarseMax: number
  readonly #classes = new Map<string, PlacementClass | undefined>()
  /** profile, template, owner and labels → class: right until the terms that pods hold, or owners' selectors, change. */
  readonly #lookup = new Map<string, PlacementClass | undefined>()
  #heldVersion = -1
  #ownersVersion = -1
  #namespacesVersion = -1
  #uses = 0

  /** @param coarseMax topology keys with more domains than this are handled node by node; tests make it small */
  constructor(cache: SchedulerCache, random: (bound: number) => number, coarseMax = defaultCoarseMax) {
    this.#cache = cache
    this.#random = random
    this.#coarseMax = coarseMax
  }

  get size(): number { return this.#classes.size }

  /** The pod's class; undefined when the pod is one for the plain way. */
  classOf(pod: PodInfo, profile: FastProfile): PlacementClass | undefined {
    // Volumes need a look at claims, per node; nominations of others need trials; a named node is looked at sooner than a class is made.
    if (pod.template.volumes.length > 0 || pod.template.namesNodes || this.#cache.nominatedElsewhere(pod.uid) > 0 || pod.pod.status?.nominatedNodeName) return undefined
    this.#dropStale()
    // Default spreading goes by the owner's selector.
    const owner = pod.template.spreadConstraints.length > 0 ? '' : pod.pod.metadata.ownerReferences?.find((o) => o.controller)?.uid ?? ''
    const key = `${profile.name}|${pod.template.id}|${owner}|${pod.labels ? JSON.stringify(pod.labels) : ''}`
    let found = this.#lookup.get(key)
    if (found === undefined && !this.#lookup.has(key)) {
      found = this.#resolve(pod, profile)
      if (this.#lookup.size >= lookupMax) this.#lookup.clear()
      this.#dropStale()
      this.#lookup.set(key, found)
    }
    if (found) found.lastUsed = ++this.#uses
    return found
  }

  #dropStale(): void {
    const { counts, namespacesVersion, ownersVersion } = this.#cache
    if (namespacesVersion !== this.#namespacesVersion) {
      // The counters were counted anew without a word in the log.
      for (const old of this.#classes.values()) old?.release()
      this.#classes.clear()
      this.#lookup.clear()
    } else if (counts.heldVersion !== this.#heldVersion || ownersVersion !== this.#ownersVersion) this.#lookup.clear()
    this.#heldVersion = counts.heldVersion
    this.#ownersVersion = ownersVersion
    this.#namespacesVersion = namespacesVersion
  }

  #resolve(pod: PodInfo, profile: FastProfile): PlacementClass | undefined {
    const { counts, objects } = this.#cache
    // The class's own terms will be held as soon as its first pod is placed: register them now, so that the class stays the same then.
    counts.heldBy(pod.template)
    const { constraints: hard } = spreadConstraints(pod, 'DoNotSchedule', profile.spreadArgs, objects)
    const soft = spreadConstraints(pod, 'ScheduleAnyway', profile.spreadArgs, objects)
    const held = counts.heldTermsFor(pod)
    const name = [
      profile.name, pod.template.id, matchesOwnAffinity(pod, this.#cache.namespaceLabels), hard.map(nameConstraint).join(';'), soft.requireAllKeys, soft.constraints.map(nameConstraint).join(';'),
      held.map((one) => one.key).sort().join(';'),
    ].join('\u0004')
    let found = this.#classes.get(name)
    if (found === undefined && !this.#classes.has(name)) {
      this.#makeRoom()
      found = new PlacementClass({ pod, hard, soft, held }, profile, this.#cache, this.#random, this.#coarseMax)
      if (!found.supported) { found.release(); found = undefined }
      this.#classes.set(name, found)
    }
    return found
  }

  #makeRoom(): void {
    const most = Math.max(classesMin, Math.floor(rowsMax / Math.max(1, this.#cache.table.capacity)))
    if (this.#classes.size < most) return
    const byUse = [...this.#classes].sort(([, a], [, b]) => (a?.lastUsed ?? 0) - (b?.lastUsed ?? 0))
    for (const [name, old] of byUse.slice(0, Math.ceil(most / 4))) { old?.release(); this.#classes.delete(name) }
    this.#lookup.clear()
  }
}

function nameConstraint(c: SpreadConstraint): string {
  return `${c.topologyKey},${c.maxSkew},${c.minDomains},${c.selfMatches},${c.honorsAffinity},${c.honorsTaints},${c.matcher.key}`
}
