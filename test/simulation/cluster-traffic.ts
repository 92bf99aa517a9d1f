// Who uses a simulated cluster: clients, each with one request at a time at whichever member runs, and watches, which go on at another member behind
// what they heard of when theirs is gone. Everything that they were told is kept for the judge; nothing is judged here.
//
// A client knows only what it was told. One of the watches, the collector, tells the simulation what happened at all: its events are the log.
import { randomInteger } from '../../src/lib/base/random.ts'
import type { EtcdClient } from '../../src/lib/etcd-client/etcd-client.ts'
import type { EmbeddedEtcd } from '../../src/control-plane/etcd/embedded.ts'
import { chooseCall, ClientView, prefix, prefixEnd } from '../robustness/choose-call.ts'
import { EventLog, type LoggedEvent } from '../robustness/event-log.ts'
import type { Call, Operation } from '../robustness/operation.ts'
import { performCall, withValueIds } from '../robustness/perform-call.ts'
import type { WatchRecord } from '../robustness/watch-guarantees.ts'
import { WatchRecorder, type RecorderRequest } from '../robustness/watch-recorder.ts'
import type { ClusterWorld, Place } from './cluster-world.ts'
import { dropFirstEvent } from './drop-first-event.ts'

const clients = 4
const watchers = 3
const shortTtlSeconds = 2
const longTtlSeconds = 600
const requestTimeoutMs = 3000

export interface Watching {
  readonly first: RecorderRequest
  readonly recorder: WatchRecorder
  readonly place: Place
  /** Of the process that tells it. */
  readonly life: AbortSignal
  /** The collector's watch is what the simulation learns from what happened. */
  readonly isCollector: boolean
}

export class ClusterTraffic {
  readonly #world: ClusterWorld
  readonly log = new EventLog(1)
  readonly operations: Operation[] = []
  /** What watches that have ended or moved were told. */
  readonly records: { readonly watch: WatchRecord; readonly name: string }[] = []
  watches: Watching[] = []
  /** The newest revision that a client was told. */
  heard = 1
  readonly #views: readonly ClientView[] = Array.from({ length: clients }, (_, client) => new ClientView(client, 'c'))
  readonly #leases = new Map<string, { readonly ttlSeconds: number; renewedAt: number }>()

  constructor(world: ClusterWorld) { this.#world = world }

  /** Resolves when the last client has stopped, after the time of faults. */
  async start(): Promise<void> {
    this.watches = [this.#watchFrom({ key: prefix, end: prefixEnd, startRevision: 2, previousValues: true }, true), ...Array.from({ length: watchers }, () => this.#newWatch())]
    await Promise.all(this.#views.map((view) => this.#use(view)))
  }

  // ---- clients ----

  async #use(view: ClientView): Promise<void> {
    const random = this.#world.random
    const shape = { keys: 6, newestRevision: () => this.heard, shortTtlSeconds, longTtlSeconds }
    while (!this.#world.over) {
      const running = this.#world.running
      const place = running[randomInteger(random, running.length)]
      if (!place?.node.etcd) { await this.#pause(50); continue }
      const { etcd } = place.node
      const call = random.float() < 0.02 ? this.#chooseCompaction() : chooseCall(random, view, shape)
      const calledAt = this.#world.now()
      using limit = this.#world.limit(place, requestTimeoutMs)
      const { signal } = limit
      const client = this.#clientOf(etcd)
      // A machine without power never answers.
      const gone = new Promise<undefined>((resolve) => signal.addEventListener('abort', () => resolve(undefined), { once: true }))
      const operation = await Promise.race([performCall({ client, now: this.#world.now, signal: () => signal }, view.client, call), gone])
        ?? { client: view.client, call: withValueIds(call), calledAt, returnedAt: this.#world.now(), outcome: { type: 'unknown' as const, reason: 'no answer' } }
      this.#world.counts.operations++
      if (operation.outcome.type === 'done') this.#world.counts.acknowledged++
      this.operations.push(operation)
      this.#learn(view, operation)
      this.#world.say(JSON.stringify({ ...operation, calledAt: 0, returnedAt: 0 }))
      if (random.float() < 0.3 || operation.outcome.type !== 'done') await this.#pause(randomInteger(random, 120))
    }
  }

  #pause(ms: number): Promise<void> { return new Promise((resolve) => { this.#world.later(ms, resolve) }) }

  #clientOf(etcd: EmbeddedEtcd): EtcdClient {
    const { client } = etcd
    if (this.#world.control !== 'read-without-quorum' && this.#world.control !== 'dropped-event') return client
    return {
      range: (request, s) => client.range(this.#world.control === 'read-without-quorum' ? { ...request, serializable: true } : request, s),
      txn: (request, s) => client.txn(request, s), compact: (revision, s, options) => client.compact(revision, s, options),
      leaseGrant: (ttlSeconds, s, id) => client.leaseGrant(ttlSeconds, s, id), leaseRevoke: (id, s) => client.leaseRevoke(id, s), leaseKeepAlive: (id, s) => client.leaseKeepAlive(id, s),
      leaseTimeToLive: (id, s, options) => client.leaseTimeToLive(id, s, options), leases: (s) => client.leases(s), status: (s) => client.status(s),
      watch: (request, observer) => client.watch(request, this.#world.control === 'dropped-event' ? dropFirstEvent(request, observer) : observer),
    }
  }

  #chooseCompaction(): Call {
    const heard = Math.min(this.heard, ...this.watches.map(({ recorder }) => Math.max(recorder.heardTo, recorder.request.startRevision)))
    const revision = Math.max(1, heard - randomInteger(this.#world.random, 30))
    this.log.noteCompaction(revision)
    return { type: 'compact', revision }
  }

  #learn(view: ClientView, { call, outcome, calledAt }: Operation): void {
    if (call.type === 'grant') {
      this.#leases.set(call.lease, { ttlSeconds: call.ttlSeconds, renewedAt: calledAt })
      if (outcome.type === 'done') view.leases.set(call.lease, call.ttlSeconds)
    }
    if (outcome.type === 'refused' && outcome.reason.startsWith('NotFound')) for (const step of call.type === 'txn' ? call.success : []) if (step.type === 'put') view.leases.delete(step.lease)
    if (call.type === 'revoke') view.leases.delete(call.lease)
    const lease = call.type === 'keepAlive' ? this.#leases.get(call.lease) : undefined
    if (call.type === 'keepAlive' && lease && outcome.type === 'done') {
      if (outcome.output.ttlSeconds === 0) view.leases.delete(call.lease)
      else lease.renewedAt = calledAt
    }
    if (outcome.type !== 'done') return
    this.heard = Math.max(this.heard, outcome.output.revision ?? 0)
    if (call.type === 'txn') for (const step of outcome.output.succeeded ? call.success : []) if (step.type === 'put') view.seen.set(step.key, outcome.output.revision ?? 0)
    if (call.type === 'range') for (const result of outcome.output.results ?? []) if (result.type === 'get') for (const kv of result.kvs) view.seen.set(kv.key, kv.modRevision)
  }

  deadline = (lease: string): number => {
    const known = this.#leases.get(lease)
    return known ? known.renewedAt + known.ttlSeconds * 1e9 : 0
  }

  // ---- watches ----

  #newWatch(): Watching {
    const random = this.#world.random
    const places = [{ key: prefix, end: prefixEnd }, { key: `${prefix}pods/`, end: `${prefix}pods0` }, { key: `${prefix}pods/p1` }]
    const roll = random.float()
    const request: RecorderRequest = {
      ...places[randomInteger(random, places.length)]!, // cast: in range
      startRevision: 2, previousValues: random.float() < 0.7, noPut: roll > 0.9, noDelete: roll < 0.1,
    }
    return this.#watchFrom(request)
  }

  #watchFrom(request: RecorderRequest, isCollector = false, running = this.#world.running): Watching {
    const place = running[randomInteger(this.#world.random, running.length)] ?? this.#world.places[0]
    if (!place?.node.etcd) throw new Error('a watch needs a member')
    const collect = (events: readonly LoggedEvent[]): void => {
      for (const at of new Set(events.map((event) => event.modRevision))) if (at > this.log.revision) this.#world.violate(...this.log.append(at, events.filter((event) => event.modRevision === at)))
    }
    return { first: request, place, life: place.life.signal, isCollector, recorder: isCollector ? new WatchRecorder(place.node.etcd.client, request, collect) : new WatchRecorder(this.#clientOf(place.node.etcd), request) }
  }

  /** Watches of a member that is gone go on at another one, behind what they heard of. */
  followWatches(running = this.#world.running): void {
    this.watches = this.watches.map((watching) => {
      const { recorder, life, place } = watching
      if (!life.aborted && !recorder.ended && running.includes(place)) return watching
      if (running.length === 0) return watching
      this.checkRecord(watching)
      recorder[Symbol.dispose]()
      const compacted = recorder.ended?.compactRevision ?? 0
      return this.#watchFrom({ ...watching.first, startRevision: Math.max(recorder.heardTo + 1, recorder.request.startRevision, compacted + 1) }, watching.isCollector, running)
    })
  }

  checkRecord({ recorder, place }: Watching, completeTo?: number): void { this.records.push({ watch: recorder.record(completeTo), name: place.node.name }) }
}
