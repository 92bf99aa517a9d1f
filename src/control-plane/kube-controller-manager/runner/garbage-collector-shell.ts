// garbage-collector-controller, the part that does: watches every deletable resource that discovery shows (looking again every 30 s), keeps the owner
// graph, examines objects against the live API server and carries out what the pure part decides. Nothing is examined before the graph is complete.
// Upstream: kubernetes/pkg/controller/garbagecollector/{garbagecollector,graph_builder}.go
import { sleep } from '../../../lib/base/clock.ts'
import type { OwnerReference } from '../../../lib/api/generated/types/meta-v1.ts'
import type { ApiObject, ResourceKey } from '../../../lib/client/api-client.ts'
import { hasReason } from '../../../lib/client/api-error.ts'
import type { Informer } from '../../../lib/client/informer-contract.ts'
import { groupOf } from '../../../lib/client/object-references.ts'
import { createWorkQueue } from '../../../lib/client/work-queue.ts'
import { OwnerGraph, blockingDependents, decideOnObject, dropFinalizerPatch, dropOwnersPatch, foregroundFinalizer, orphanFinalizer } from '../controllers/garbage-collector.ts'
import type { GraphNode, GraphWork, OwnerState } from '../controllers/garbage-collector.ts'
import type { ControllerWorld } from './controller-runner.ts'
import { discoverResources } from './discovery.ts'
import { resourceId } from './write-tracker.ts'

const discoveryPeriodMs = 30_000
const initialSyncMs = 30_000
const workers = 20
const mergePatch = 'application/merge-patch+json'

/** Never collected: events come and go by themselves. */
const ignored: ReadonlySet<string> = new Set(['/events', 'events.k8s.io/events'])

export function prepareGarbageCollector(world: ControllerWorld): { start(signal: AbortSignal): { readonly done: Promise<void> } } {
  return { start: (signal) => ({ done: new GarbageCollector(world, signal).run() }) }
}

class GarbageCollector {
  readonly #world: ControllerWorld
  readonly #signal: AbortSignal
  readonly #graph = new OwnerGraph()
  readonly #monitors = new Map<string, Informer<ApiObject>>()
  /** Resources by group and kind, as owner references name them. */
  #byKind = new Map<string, ResourceKey>()
  readonly #examine
  readonly #orphan

  constructor(world: ControllerWorld, signal: AbortSignal) {
    this.#world = world
    this.#signal = signal
    this.#examine = createWorkQueue({ clock: world.clock, addsPerSecond: 100, burst: 1000 })
    this.#orphan = createWorkQueue({ clock: world.clock, addsPerSecond: 100, burst: 1000 })
  }

  async run(): Promise<void> {
    const { clock, logger } = this.#world
    const signal = this.#signal
    signal.addEventListener('abort', () => { this.#examine.shutDown(); this.#orphan.shutDown() }, { once: true })
    if (signal.aborted) return
    try {
      await this.#discover()
      for (let waitedMs = 0; waitedMs < initialSyncMs && ![...this.#monitors.values()].every((informer) => informer.hasSynced); waitedMs += 100) await sleep(clock, 100, signal)
    } catch (error) {
      if (signal.aborted) return
      logger.error('Not all resources could be watched; going on with those that can', error)
    }
    const work = [...Array.from({ length: workers }, () => this.#work(this.#examine, (uid) => this.#examineObject(uid))), this.#work(this.#orphan, (uid) => this.#orphanDependents(uid))]
    await Promise.all([...work, this.#rediscover()])
  }

  async #rediscover(): Promise<void> {
    while (!this.#signal.aborted) {
      try {
        await sleep(this.#world.clock, discoveryPeriodMs, this.#signal)
        await this.#discover()
      } catch (error) {
        if (!this.#signal.aborted) this.#world.logger.error('Discovery failed', error)
      }
    }
  }

  async #discover(): Promise<void> {
    const { client, informers, logger } = this.#world
    const { resources, failures } = await discoverResources(client, this.#signal)
    for (const { groupVersion, message } of failures) logger.warn('Discovery of a group failed', { groupVersion, message })
    this.#byKind = new Map(resources.map((found) => [`${found.group}/${found.kind}`, found]))
    for (const found of resources) {
      const id = resourceId(found)
      if (ignored.has(id) || this.#monitors.has(id) || !['delete', 'list', 'watch'].every((verb) => found.verbs.includes(verb))) continue
      const { verbs: _verbs, ...key } = found
      const informer = informers.informer<ApiObject>(key)
      this.#monitors.set(id, informer)
      informer.addHandler({
        added: (object) => this.#enqueue(this.#graph.upsert(key, object)),
        updated: (object) => this.#enqueue(this.#graph.upsert(key, object)),
        deleted: (object) => this.#enqueue(this.#graph.remove(object.metadata.uid)),
      })
    }
  }

  #enqueue({ examine, orphan }: GraphWork): void {
    for (const uid of examine) this.#examine.add(uid)
    for (const uid of orphan) this.#orphan.add(uid)
  }

  async #work(queue: ReturnType<typeof createWorkQueue>, run: (uid: string) => Promise<boolean>): Promise<void> {
    for (let uid = await queue.get(); uid !== undefined; uid = await queue.get()) {
      try {
        if (await run(uid)) queue.forget(uid)
        else queue.addRateLimited(uid)
      } catch (error) {
        if (!this.#signal.aborted && !hasReason(error, 'Conflict', 'NotFound')) this.#world.logger.error('Garbage collection of an object failed', error, { object: this.#describe(uid) })
        queue.addRateLimited(uid)
      } finally {
        queue.done(uid)
      }
    }
  }

  #describe(uid: string): string {
    const node = this.#graph.get(uid)
    return node ? `${node.resource.resource} ${node.namespace}/${node.name}` : uid
  }

  /** The object as it is now; undefined when it is gone or another one has its name. */
  async #live(node: GraphNode): Promise<ApiObject | undefined> {
    try {
      const live = await this.#world.client.resource(node.resource).get(node.namespace, node.name, this.#signal)
      return live.metadata.uid === node.uid ? live : undefined
    } catch (error) {
      if (hasReason(error, 'NotFound')) return undefined
      throw error
    }
  }

  /** False: look again later. */
  async #examineObject(uid: string): Promise<boolean> {
    const node = this.#graph.get(uid)
    if (!node || (node.beingDeleted && !node.deletingDependents)) return true
    // Every owner is there and stays, as far as the graph knows; should one go, its deletion brings this object back here.
    if (!node.deletingDependents && node.owners.every(({ uid: owner }) => this.#graph.get(owner)?.deletingDependents === false)) return true
    const live = await this.#live(node)
    // Gone: its deletion is on its way through the watch.
    if (!live) return true
    if (node.deletingDependents) return this.#finishForeground(node, live)
    const references = live.metadata.ownerReferences ?? []
    if (references.length === 0) return true
    const owners: OwnerState[] = []
    for (const reference of references) owners.push(await this.#ownerState(reference, node))
    const decision = decideOnObject({ live, owners, dependents: this.#graph.dependentsOf(uid) })
    const resource = this.#world.client.resource(node.resource)
    switch (decision.kind) {
      case 'keep': return true
      case 'unsure': return false
      case 'dropOwners': await resource.patch(node.namespace, node.name, mergePatch, decision.patch, this.#signal); return true
      case 'delete':
        this.#world.logger.info('Deleting object', { object: this.#describe(uid), propagationPolicy: decision.options.propagationPolicy }, 2)
        if (decision.unblock) await resource.patch(node.namespace, node.name, mergePatch, decision.unblock, this.#signal)
        try {
          await resource.delete(node.namespace, node.name, decision.options, this.#signal)
        } catch (error) {
          if (!hasReason(error, 'NotFound')) throw error
        }
        return true
    }
  }

  /** Asks the API server. Only a clear "there is no such object" makes an owner absent. */
  async #ownerState(reference: OwnerReference, dependent: GraphNode): Promise<OwnerState> {
    const resource = this.#byKind.get(`${groupOf(reference.apiVersion)}/${reference.kind}`)
    if (!resource) return 'unknown'
    // A cluster-scoped object cannot have an owner in a namespace; such a reference proves nothing.
    if (resource.namespaced && !dependent.resource.namespaced) return 'solid'
    try {
      const owner = await this.#world.client.resource(resource).get(resource.namespaced ? dependent.namespace : '', reference.name, this.#signal)
      if (owner.metadata.uid !== reference.uid) return 'absent'
      const waiting = owner.metadata.deletionTimestamp !== undefined && (owner.metadata.finalizers ?? []).includes(foregroundFinalizer)
      return waiting ? 'waiting' : 'solid'
    } catch (error) {
      if (hasReason(error, 'NotFound')) return 'absent'
      throw error
    }
  }

  /** An owner that is deleted in the foreground goes when no dependent blocks it any more. */
  async #finishForeground(node: GraphNode, live: ApiObject): Promise<boolean> {
    const blocking = blockingDependents(node, this.#graph.dependentsOf(node.uid))
    if (blocking.length > 0) {
      for (const dependent of blocking) if (!dependent.deletingDependents) this.#examine.add(dependent.uid)
      return true
    }
    if (!(live.metadata.finalizers ?? []).includes(foregroundFinalizer)) return true
    await this.#world.client.resource(node.resource).patch(node.namespace, node.name, mergePatch, dropFinalizerPatch(live, foregroundFinalizer), this.#signal)
    return true
  }

  async #orphanDependents(uid: string): Promise<boolean> {
    const node = this.#graph.get(uid)
    if (!node) return true
    for (const dependent of this.#graph.dependentsOf(uid)) {
      const live = await this.#live(dependent)
      if (!live?.metadata.ownerReferences?.some((reference) => reference.uid === uid)) continue
      await this.#world.client.resource(dependent.resource).patch(dependent.namespace, dependent.name, mergePatch, dropOwnersPatch(live, [uid]), this.#signal)
    }
    const live = await this.#live(node)
    if (live?.metadata.finalizers?.includes(orphanFinalizer)) {
      await this.#world.client.resource(node.resource).patch(node.namespace, node.name, mergePatch, dropFinalizerPatch(live, orphanFinalizer), this.#signal)
    }
    return true
  }
}
