// An etcd of one or several members, its data and many clients, through round after round of faults; each round's history is checked when it is
// over.
//
// A round: clients ask as fast as they get answers, each its own member while that answers; somewhere in it the fault strikes; what went comes
// back; a last read of everything belongs to the round's history, and is the next one's beginning. Then all members have the same hash. A
// collecting watch of all keys, resumed across every fault, gives the log of events against which everything else is checked.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { realClock } from '../../src/lib/async/real-clock.ts'
import { randomInteger, type Random } from '../../src/lib/base/random.ts'
import { RemoteEtcdClient } from '../../src/lib/etcd-client/remote-etcd-client.ts'
import { chooseCall, ClientView, prefix, prefixEnd, type TrafficShape } from './choose-call.ts'
import type { RevisionHash } from './etcd-admin.ts'
import { EventLog, type LoggedEvent } from './event-log.ts'
import { checkLinearizable } from './linearizable.ts'
import type { Call, KeyState, Operation } from './operation.ts'
import { performCall, type Performer } from './perform-call.ts'
import { checkPastReads, resolveOutcomes } from './resolve-outcomes.ts'
import { checkWatch } from './watch-guarantees.ts'
import { WatchRecorder } from './watch-recorder.ts'

/** What is under test: one process, or a cluster of them. */
export interface Deployment {
  /** One per member. */
  readonly endpoints: readonly string[]
  /** Resolves when nothing is left that could answer. */
  readonly exit: Promise<unknown>
  /** Processes that ended though nothing was done to them. */
  readonly unexpectedEnds: readonly string[]
  /** Undoes every fault; resolves when all members answer. */
  recover(): Promise<void>
  hashKV(revision: number, member?: number): Promise<RevisionHash>
}

export interface CampaignOptions {
  readonly etcd: Deployment
  readonly random: Random
  /** For histories. */
  readonly folder: string
  readonly name: string
  readonly clients?: number
  readonly watchers?: number
  /** Between two calls of a client, milliseconds: leaves the processor to what is under test. Default 0. */
  readonly pauseMs?: number
  /** Default true: the past is compacted behind what everybody has heard of. */
  readonly compacts?: boolean
  /** Changes what a client asks. */
  readonly reshape?: (call: Call) => Call
}

export interface Fault {
  readonly name: string
  /** Strikes when the round's operations have ended; the round is over when it resolves. Whatever it broke is mended then. */
  strike(round: Round): Promise<void>
  /** Some clients wait no longer than this. */
  readonly patienceMs?: number
}

/** The traffic, as a fault sees it. */
export interface Round {
  /** Resolves after so many more answers. @throws when there are too few of them for too long */
  answers(count: number): Promise<void>
}

export interface Counts { rounds: number; operations: number; answered: number; unknown: number; refused: number; revisions: number; watchEvents: number; watches: number; hashes: number; linearized: number }

export const nothingCounted: Counts = { rounds: 0, operations: 0, answered: 0, unknown: 0, refused: 0, revisions: 0, watchEvents: 0, watches: 0, hashes: 0, linearized: 0 }

export function sumOf(list: readonly Counts[]): Counts {
  const sum = { ...nothingCounted }
  for (const counts of list) for (const name of Object.keys(sum) as (keyof Counts)[]) sum[name] += counts[name] // cast: its own keys
  return sum
}

const caughtUpWithinMs = 20_000
const answersWithinMs = 60_000
/** How long answers that are on their way may still come. */
const drainMs = 1500
const leastConnections = 4

export class Campaign implements Disposable {
  readonly violations: string[] = []
  readonly counts: Counts = { ...nothingCounted }
  readonly log = new EventLog(1)
  readonly #options: CampaignOptions
  #clients: RemoteEtcdClient[] = []
  /** For the collecting watch and the last reads. */
  #observer: RemoteEtcdClient
  #observed: string
  readonly #views: ClientView[]
  readonly #checks: Promise<void>[] = []
  readonly #leases = new Map<string, { readonly ttlSeconds: number; renewedAt: number; revoked: boolean }>()
  #collector: WatchRecorder
  #watchers: WatchRecorder[] = []
  /** Changes without an answer that had not happened when their round was judged: a server that goes on may still make them. */
  #late: readonly Operation[] = []
  #start: { readonly revision: number; readonly kvs: readonly KeyState[]; readonly leases: readonly string[] } = { revision: 1, kvs: [], leases: [] }

  /** The server must be running, and new. */
  constructor(options: CampaignOptions) {
    this.#options = options
    mkdirSync(options.folder, { recursive: true })
    this.#observed = options.etcd.endpoints.join()
    this.#observer = new RemoteEtcdClient({ endpoints: options.etcd.endpoints, clock: realClock })
    this.#views = Array.from({ length: options.clients ?? 24 }, (_, client) => new ClientView(client, options.name))
    this.#collector = this.#openCollector()
  }

  /** A connection at home at each member, and some more when there are few: they go elsewhere only when their member can't be reached. */
  #connect(): void {
    for (const client of this.#clients) client[Symbol.dispose]()
    const { endpoints } = this.#options.etcd
    if (this.#observed !== endpoints.join()) {
      // The membership has changed.
      this.#collector[Symbol.dispose]()
      this.#observer[Symbol.dispose]()
      this.#observed = endpoints.join()
      this.#observer = new RemoteEtcdClient({ endpoints, clock: realClock })
      this.#collector = this.#openCollector()
    }
    this.#clients = Array.from({ length: Math.ceil(leastConnections / endpoints.length) * endpoints.length }, (_, at) => new RemoteEtcdClient({ endpoints: [...endpoints.slice(at % endpoints.length), ...endpoints.slice(0, at % endpoints.length)], clock: realClock }))
  }

  #clientAt(at: number): RemoteEtcdClient { return this.#clients[at % this.#clients.length]! } // cast: in range, and there are some

  #openCollector(): WatchRecorder { return new WatchRecorder(this.#observer, { key: prefix, end: prefixEnd, startRevision: this.log.revision + 1, previousValues: true }, (events) => this.#collect(events)) }

  #collect(events: readonly LoggedEvent[]): void {
    for (const revision of new Set(events.map((event) => event.modRevision))) this.#violate(this.log.append(revision, events.filter((event) => event.modRevision === revision)))
    this.#collector.responses.length = 0
  }

  #violate(list: readonly string[]): void { for (const text of list) if (this.violations.length < 50) this.violations.push(`round ${this.counts.rounds}: ${text}`) }

  /** One round, with a fault after `operations` operations. */
  async round(operations: number, fault: Fault): Promise<void> {
    const { etcd, random, pauseMs = 0 } = this.#options
    const history: Operation[] = []
    const over = new AbortController()
    let isEnding = false
    let answered = 0
    const answers = async (count: number): Promise<void> => {
      const wanted = answered + count
      for (const deadline = realClock.monotonic() + answersWithinMs; answered < wanted; await delay(5)) if (realClock.monotonic() > deadline) throw new Error(`${fault.name}: only ${count - wanted + answered} of ${count} answers in ${answersWithinMs} ms`)
    }
    const shape: TrafficShape = { keys: 24, newestRevision: () => this.log.revision, shortTtlSeconds: 2, longTtlSeconds: 600 }
    this.#connect()
    this.#openWatchers()
    const sample = { hash: 0, compactRevision: 0, hashRevision: 0 }
    const { patienceMs } = fault
    const work = this.#views.map(async (view) => {
      const client = this.#clientAt(view.client)
      while (!isEnding) {
        const call = chooseCall(random, view, shape)
        const signal = patienceMs !== undefined && view.client % 3 !== 0 ? () => AbortSignal.any([over.signal, AbortSignal.timeout(patienceMs)]) : () => over.signal
        const operation = await performCall({ client, now, signal }, view.client, this.#options.reshape?.(call) ?? call)
        history.push(operation)
        this.#learn(view, operation)
        if (operation.outcome.type === 'done') answered++
        if (operation.outcome.type !== 'done' && /Unavailable|unreachable/.test(operation.outcome.reason)) await delay(50)
        else if (pauseMs > 0) await delay(pauseMs)
      }
    })
    const housekeeping = this.#keepHouse(over.signal, history, sample)
    try {
      await Promise.race([answers(operations), etcd.exit])
      await fault.strike({ answers })
    } catch (error) {
      this.#violate([`${fault.name}: ${error instanceof Error ? error.message : String(error)}`])
    }
    isEnding = true
    // What has no answer soon never gets one.
    await Promise.race([Promise.all(work), delay(drainMs), etcd.exit.then(() => delay(30))])
    over.abort()
    await Promise.all([...work, housekeeping])
    try {
      await etcd.recover()
      await this.#judge(history, sample)
    } catch (error) {
      this.#violate([`after ${fault.name}: ${error instanceof Error ? error.message : String(error)}`])
    }
    this.#violate(etcd.unexpectedEnds)
  }

  /** Compacts behind the collector, and takes hashes of the past. */
  async #keepHouse(signal: AbortSignal, history: Operation[], sample: { hash: number; compactRevision: number; hashRevision: number }): Promise<void> {
    const client = this.#clientAt(0)
    for (let turn = 0; !signal.aborted; turn++) {
      await delay(120, undefined, { signal }).catch(() => {})
      if (signal.aborted) return
      if (turn % 4 === 1 && this.#options.compacts !== false) {
        const revision = Math.min(this.log.revision, ...this.#watchers.map((watcher) => Math.max(watcher.heardTo, watcher.request.startRevision))) - 300
        this.log.noteCompaction(revision)
        if (revision > 1) history.push(await performCall({ client, now, signal: () => signal }, -1, { type: 'compact', revision }))
      } else await this.#options.etcd.hashKV(0).then((hash) => { Object.assign(sample, hash) }, () => {})
      this.#watchers[turn % this.#watchers.length]?.requestProgress()
    }
  }

  #openWatchers(): void {
    const { random } = this.#options
    const places: readonly { readonly key: string; readonly end?: string }[] = [
      { key: prefix, end: prefixEnd }, { key: `${prefix}pods/`, end: `${prefix}pods0` }, { key: `${prefix}pods/p1` }, { key: `${prefix}services/`, end: '\0' }, { key: `${prefix}events/`, end: `${prefix}services0` },
    ]
    // Those of the round before go on behind what they heard of, with a stream of their own.
    const resumed = this.#watchers.map(({ request, heardTo }) => ({ ...request, startRevision: heardTo + 1 }))
    while (resumed.length < (this.#options.watchers ?? 10)) {
      const place = places[randomInteger(random, places.length)]! // cast: in range
      const roll = random.float()
      resumed.push({ ...place, startRevision: roll < 0.4 ? 0 : Math.max(2, this.log.revision - randomInteger(random, 200)), previousValues: random.float() < 0.5, noPut: roll > 0.85, noDelete: roll > 0.7 && roll < 0.85 })
    }
    // One in five is forgotten and begins anew.
    this.#watchers = resumed.map((request, at) => new WatchRecorder(this.#clientAt(at), random.float() < 0.2 ? { ...request, startRevision: Math.max(2, this.log.revision - randomInteger(random, 100)) } : request))
  }

  #learn(view: ClientView, { call, outcome, calledAt, returnedAt }: Operation): void {
    if (call.type === 'grant') {
      this.#leases.set(call.lease, { ttlSeconds: call.ttlSeconds, renewedAt: calledAt, revoked: outcome.type !== 'done' })
      if (outcome.type === 'done') view.leases.set(call.lease, call.ttlSeconds)
    }
    if (call.type === 'revoke') {
      view.leases.delete(call.lease)
      const lease = this.#leases.get(call.lease)
      if (lease) lease.revoked = true
    }
    if (call.type === 'keepAlive' && outcome.type === 'done') {
      const lease = this.#leases.get(call.lease)
      if (outcome.output.ttlSeconds === 0) this.#missLease(view, call.lease, returnedAt)
      else if (lease) lease.renewedAt = calledAt
    }
    if (call.type !== 'txn' && call.type !== 'range') return
    if (outcome.type === 'refused' && outcome.reason.startsWith('NotFound')) for (const step of call.type === 'txn' ? call.success : []) if (step.type === 'put' && step.lease !== '0') this.#missLease(view, step.lease, returnedAt)
    if (outcome.type !== 'done') return
    const { output } = outcome
    const steps = call.type === 'txn' ? output.succeeded ? call.success : call.failure : []
    output.results?.forEach((result, at) => {
      const step = steps[at]
      if (result.type === 'get') {
        const single = step?.type === 'get' ? step : call.type === 'range' ? call : undefined
        if (single && single.end === undefined && result.kvs.length === 0) view.seen.set(single.key, 0)
        for (const kv of result.kvs) view.seen.set(kv.key, kv.modRevision)
      } else if (step?.type === 'put') view.seen.set(step.key, output.revision ?? 0)
      else if (step?.type === 'delete') view.seen.set(step.key, 0)
    })
  }

  /** The store doesn't know a lease. */
  #missLease(view: ClientView, lease: string, at: number): void {
    view.leases.delete(lease)
    const known = this.#leases.get(lease)
    if (known && !known.revoked && at < this.#deadline(lease)) this.#violate([`lease ${lease} of ${known.ttlSeconds} s is gone before its time`])
    if (known) known.revoked = true
  }

  #deadline(lease: string): number {
    const known = this.#leases.get(lease)
    return known ? known.renewedAt + known.ttlSeconds * 1e9 : 0
  }

  async #judge(history: Operation[], sample: { readonly hash: number; readonly compactRevision: number; readonly hashRevision: number }): Promise<void> {
    const { folder, name } = this.#options
    const client = this.#observer
    const performer = { client, now, signal: () => AbortSignal.timeout(10_000) }
    const last = await this.#readAll(performer)
    const result = last.outcome.type === 'done' ? last.outcome.output.results?.[0] : undefined
    const revision = last.outcome.type === 'done' ? last.outcome.output.revision ?? 0 : 0
    if (result?.type !== 'get') { this.#violate([`after the fault nothing can be read: ${JSON.stringify(last.outcome)}`]); return }
    history.push(last)
    const leases = (await client.leases(performer.signal())).map(String)
    const present = new Set(leases)
    for (const [lease, known] of this.#leases) if (!known.revoked && !present.has(lease) && now() < this.#deadline(lease)) this.#violate([`acknowledged, but lost: lease ${lease} of ${known.ttlSeconds} s`])
    await this.#catchUp(revision)
    const endsAt = now()
    const resolved = resolveOutcomes({ log: this.log, from: this.#start.revision, to: revision, operations: [...this.#late, ...history], leaseDeadline: (lease) => this.#deadline(lease), endsAt })
    this.#late = resolved.unclaimed
    this.#violate(resolved.violations)
    this.#violate(checkPastReads(this.log, history))
    this.#count(history)
    this.#checkWatchers(revision)
    await this.#compareHashes(revision, sample)
    const start = this.#start
    this.#checks.push(checkLinearizable({ ...start, operations: resolved.operations }, join(folder, `${name}-${this.counts.rounds}.jsonl`)).then((verdict) => {
      this.counts.linearized += verdict.operations
      if (verdict.result !== 'Ok') this.violations.push(`history ${name}-${this.counts.rounds} is not linearizable (${verdict.result}): after ${verdict.linearized} of ${verdict.operations} comes ${verdict.stuck}`)
    }))
    // A lease that an unanswered operation asked for, or that expired meanwhile, is as the store says.
    this.#start = { revision, kvs: result.kvs, leases }
    this.counts.rounds++
  }

  /** Everything, as soon as it can be read: a client that met nobody for a while needs a moment to find that they are back. */
  async #readAll(performer: Performer): Promise<Operation> {
    for (const deadline = realClock.monotonic() + caughtUpWithinMs; ; await delay(50)) {
      const read = await performCall(performer, this.#views.length, { type: 'range', key: prefix, end: prefixEnd })
      if (read.outcome.type === 'done' || realClock.monotonic() > deadline) return read
    }
  }

  /** The past hashes to what it hashed to before the fault, and every member has the same. */
  async #compareHashes(revision: number, sample: RevisionHash): Promise<void> {
    const { etcd } = this.#options
    if (sample.hashRevision > 1) {
      const again = await etcd.hashKV(sample.hashRevision).catch(() => undefined)
      if (again && again.compactRevision === sample.compactRevision) {
        this.counts.hashes++
        if (again.hash !== sample.hash) this.#violate([`the hash at revision ${sample.hashRevision} was ${sample.hash} and is ${again.hash} after the fault`])
      }
    }
    const hashes = (): Promise<RevisionHash[]> => Promise.all(etcd.endpoints.map((_, member) => etcd.hashKV(revision, member)))
    let found = await hashes()
    // A compaction reaches the members one after the other.
    for (let turn = 0; turn < 50 && new Set(found.map(({ compactRevision }) => compactRevision)).size > 1; turn++) {
      await delay(50)
      found = await hashes()
    }
    this.counts.hashes += found.length - 1
    if (new Set(found.map(({ hash, compactRevision }) => `${hash}/${compactRevision}`)).size > 1) this.#violate([`members differ at revision ${revision}: ${found.map(({ hash, compactRevision }) => `${hash} compacted at ${compactRevision}`).join(', ')}`])
  }

  /** Waits until the collector and the watchers that can have heard of everything up to `revision`. */
  async #catchUp(revision: number): Promise<void> {
    const deadline = realClock.monotonic() + caughtUpWithinMs
    const behind = (): WatchRecorder[] => this.#watchers.filter((watcher) => watcher.heardTo < revision && !watcher.ended)
    for (let turn = 0; this.log.revision < revision || behind().length > 0; turn++) {
      if (realClock.monotonic() > deadline || this.#collector.ended) {
        this.#violate([`watches don't catch up with revision ${revision}: collector ${this.log.revision} ${String(this.#collector.ended?.error ?? this.#collector.ended?.compactRevision ?? '')}, others ${behind().map((watcher) => watcher.heardTo).join(' ')}`])
        return
      }
      if (turn % 20 === 0) for (const watcher of behind()) watcher.requestProgress()
      await delay(10)
    }
  }

  #checkWatchers(revision: number): void {
    for (const watcher of this.#watchers) {
      watcher[Symbol.dispose]()
      this.counts.watches++
      this.counts.watchEvents += watcher.eventCount
      if (watcher.ended) this.#violate([`a watch ended: ${JSON.stringify(watcher.request)} ${String(watcher.ended.error ?? '')} compacted ${watcher.ended.compactRevision}`])
      for (const violation of checkWatch(this.log, watcher.record(revision))) this.#violate([`watch ${JSON.stringify(watcher.request)} is not ${violation.guarantee}: ${violation.detail}`])
    }
  }

  #count(history: readonly Operation[]): void {
    this.counts.operations += history.length
    this.counts.revisions = this.log.revision
    for (const { outcome } of history) {
      if (outcome.type === 'done') this.counts.answered++
      if (outcome.type === 'unknown') this.counts.unknown++
      if (outcome.type === 'refused') this.counts.refused++
    }
  }

  /** Waits for the checkers. */
  async finish(): Promise<void> { await Promise.all(this.#checks) }

  [Symbol.dispose](): void {
    this.#collector[Symbol.dispose]()
    for (const watcher of this.#watchers) watcher[Symbol.dispose]()
    for (const client of [...this.#clients, this.#observer]) client[Symbol.dispose]()
  }
}

/** Whole nanoseconds; Number holds a hundred days of them. */
function now(): number { return Math.round(realClock.monotonic() * 1e6) }
