// One etcd in a simulated world, from a seed: clients, watches, a clock that runs as it is told and jumps, a disk that is slow, loses power in
// the middle of any write, tears writes, fails or flips bits. After each restart everything is compared with the naive model (EventLog).
// The same seed gives the same run, to the letter of its trace.
import { createHash } from 'node:crypto'
import { randomInteger, seededRandom, type Random } from '../../src/lib/base/random.ts'
import { silentLogger } from '../../src/lib/component-base/log.ts'
import type { EtcdClient } from '../../src/lib/etcd-client/etcd-client.ts'
import { SimulatedClock } from '../../src/lib/testing/simulated-clock.ts'
import { SimulatedDisk } from '../../src/lib/testing/simulated-disk.ts'
import { StorageError, type Disk } from '../../src/control-plane/etcd/disk/disk.ts'
import { openEtcd, type EmbeddedEtcd } from '../../src/control-plane/etcd/embedded.ts'
import { chooseCall, ClientView, prefix, prefixEnd } from '../robustness/choose-call.ts'
import { dropFirstEvent } from './drop-first-event.ts'
import { EventLog, sameState, type LoggedEvent } from '../robustness/event-log.ts'
import type { Call, Operation } from '../robustness/operation.ts'
import { performCall, withValueIds } from '../robustness/perform-call.ts'
import { checkPastReads, resolveOutcomes } from '../robustness/resolve-outcomes.ts'
import { checkWatch } from '../robustness/watch-guarantees.ts'
import { WatchRecorder, type RecorderRequest } from '../robustness/watch-recorder.ts'
import { checksumBlindDisk, forgetfulDisk, slowDisk } from './disks.ts'

/** Faults that can be put into the store, to see that the simulation notices. */
export type ControlFault = 'early-acknowledgement' | 'ignored-checksum' | 'dropped-event' | 'forgotten-lease'

export interface SimulationResult {
  readonly violations: readonly string[]
  /** Hash of everything that happened. */
  readonly trace: string
  readonly operations: number
  readonly crashes: number
  readonly flips: number
  readonly refusedFlips: number
}

interface KnownLease { readonly ttlSeconds: number; renewedAt: number; maybeGone: boolean }

const dataDir = '/data'
const clients = 4
const watchers = 3
const operationsPerLife = 36
const shortTtlSeconds = 2
const longTtlSeconds = 600

/** What each client waits for. */
type InFlight = Map<number, { readonly call: Call; readonly calledAt: number }>

export function simulateEtcd(seed: number, control?: ControlFault): Promise<SimulationResult> { return new Simulation(seed, control).run() }

class Simulation {
  readonly #random: Random
  readonly #control: ControlFault | undefined
  readonly #violations: string[] = []
  readonly #never = new AbortController().signal
  readonly #trace = createHash('sha256')
  readonly #log = new EventLog(1)
  readonly #views: readonly ClientView[]
  readonly #leases = new Map<string, KnownLease>()
  #disk: SimulatedDisk
  #clock = new SimulatedClock()
  /** Simulated nanoseconds before this life of the store. */
  #elapsedNs = 0
  /** What has not been compared with the log yet; it began after `#judgedTo`. */
  #pending: Operation[] = []
  #judgedTo = 1
  #watches: WatchRecorder[] = []
  #compactedTo = 0
  #life = 0
  #counts = { operations: 0, crashes: 0, flips: 0, refusedFlips: 0 }
  readonly #sizes: { readonly snapshotCount: number; readonly snapshotBytes: number; readonly segmentBytes: number; readonly zeroedBytes: number }

  constructor(seed: number, control: ControlFault | undefined) {
    this.#random = seededRandom(seed)
    this.#control = control
    this.#disk = new SimulatedDisk(this.#random)
    this.#views = Array.from({ length: clients }, (_, client) => new ClientView(client, 's'))
    // So small that a few writes go through snapshots, segments and the removal of both.
    this.#sizes = { snapshotCount: 8 + randomInteger(this.#random, 40), snapshotBytes: 1500, segmentBytes: 12_000 + randomInteger(this.#random, 30_000), zeroedBytes: 2048 + randomInteger(this.#random, 4) * 1024 }
  }

  async run(): Promise<SimulationResult> {
    const lives = this.#random.float() < 0.2 ? 4 : 3
    for (this.#life = 0; this.#life < lives && this.#violations.length === 0; this.#life++) {
      if (this.#life > 0 && this.#random.float() < 0.5) await this.#tryFlippedBit()
      await this.#live(this.#life === lives - 1)
    }
    return { violations: this.#violations, trace: this.#trace.digest('hex'), ...this.#counts }
  }

  #say(text: string): void { this.#trace.update(`${text}\n`) }
  #violate(list: readonly string[]): void { for (const text of list) if (this.#violations.length < 20) this.#violations.push(`life ${this.#life}: ${text}`) }
  #now = (): number => this.#elapsedNs + Math.round(this.#clock.monotonic() * 1e6)

  /** From the start of the process to its end, by whatever way. */
  async #live(isLast: boolean): Promise<void> {
    const random = this.#random
    const disk = this.#disk
    let off = false
    disk.onPowerCut = () => { off = true }
    const end = isLast ? 'stop' : (['power cut', 'power cut', 'power cut', 'failing disk', 'stop'] as const)[randomInteger(random, 5)]
    disk.cutPowerAt(end === 'power cut' ? 1 + randomInteger(random, random.float() < 0.2 ? 12 : 36) : Infinity)
    disk.failFrom(end === 'failing disk' ? 8 + randomInteger(random, 60) : Infinity)
    // The wall clock is wherever it likes; the monotonic one begins anew.
    this.#elapsedNs = this.#now()
    this.#clock = new SimulatedClock(Date.UTC(2026, 0, 1) + (random.float() - 0.5) * 2 * 86_400_000)
    const slow = random.float() < 0.3 ? slowDisk(disk, this.#clock, random, 1 + randomInteger(random, 20)) : disk
    const running: { etcd?: EmbeddedEtcd; over?: true } = {}
    const inFlight: InFlight = new Map()
    const life = (async () => {
      const etcd = await this.#open(this.#control === 'early-acknowledgement' ? forgetfulDisk(slow) : slow, 1)
      running.etcd = etcd
      this.#forgetLease(etcd)
      await this.#judge(etcd)
      await this.#traffic(etcd, inFlight, () => !off)
      await this.#quiesce(etcd)
      await etcd[Symbol.asyncDispose]()
    })().catch((error: unknown) => {
      // A failing disk ends the store with a named error, if not this then the one that it was broken by.
      if (end !== 'failing disk') this.#violate([`the store failed: ${String(error)}`])
      this.#say(`failed ${String(error)}`)
    }).finally(() => { running.over = true })
    while (!running.over && !off) await this.#clock.advance(randomInteger(random, 40))
    if (running.over) await life
    if (running.etcd?.broken.aborted && !(running.etcd.broken.reason instanceof StorageError)) this.#violate([`broken by an unnamed error: ${String(running.etcd.broken.reason)}`])
    // Whoever waits for an answer never gets one.
    for (const [client, { call, calledAt }] of inFlight) {
      const operation: Operation = { client, call: withValueIds(call), calledAt, returnedAt: this.#now(), outcome: { type: 'unknown', reason: 'power cut' } }
      this.#pending.push(operation)
      this.#learn(this.#views[client]!, operation) // cast: a client's number
    }
    for (const watch of this.#watches) watch[Symbol.dispose]()
    this.#say(`life ${this.#life} ended by ${end} ${off} after ${disk.operations} disk operations, revision ${this.#log.revision}, ${disk.paths.length} files`)
    if (off) this.#counts.crashes++
    if (off || end === 'failing disk') this.#disk = disk.reboot()
  }

  #open(disk: Disk, seed: number): Promise<EmbeddedEtcd> {
    return openEtcd({ disk: { dataDir, disk }, clock: this.#clock, random: seededRandom(seed), logger: silentLogger, ...this.#sizes })
  }

  /** Control. */
  #forgetLease(etcd: EmbeddedEtcd): void {
    if (this.#control !== 'forgotten-lease') return
    const { leases } = etcd.internals.member.machine
    const first = leases.ids()[0]
    if (first !== undefined) leases.revoke(first)
  }

  #clientOf(etcd: EmbeddedEtcd): EtcdClient {
    if (this.#control !== 'dropped-event') return etcd.client
    const { client } = etcd
    return {
      range: (request, s) => client.range(request, s), txn: (request, s) => client.txn(request, s), compact: (revision, s, options) => client.compact(revision, s, options),
      leaseGrant: (ttlSeconds, s, id) => client.leaseGrant(ttlSeconds, s, id), leaseRevoke: (id, s) => client.leaseRevoke(id, s), leaseKeepAlive: (id, s) => client.leaseKeepAlive(id, s),
      leaseTimeToLive: (id, s, options) => client.leaseTimeToLive(id, s, options), leases: (s) => client.leases(s), status: (s) => client.status(s),
      watch: (request, observer) => client.watch(request, dropFirstEvent(request, observer)),
    }
  }

  /** Compares what the store has after a start with the model and with all that was acknowledged. */
  async #judge(etcd: EmbeddedEtcd): Promise<void> {
    const { revision } = await etcd.client.status(this.#never)
    this.#violate(await this.#audit(etcd, this.#log))
    const resolved = resolveOutcomes({ log: this.#log, from: this.#judgedTo, to: revision, operations: this.#pending, leaseDeadline: (lease) => this.#deadline(lease), endsAt: this.#now() })
    this.#violate(resolved.violations)
    this.#violate(checkPastReads(this.#log, this.#pending))
    for (const { request, responses } of this.#watches) this.#violate(checkWatch(this.#log, { ...request, responses }).map(({ guarantee, detail }) => `a watch of the life before is not ${guarantee}: ${detail}`))
    this.#say(`judged ${this.#pending.length} operations to revision ${revision}`)
    this.#pending = []
    this.#judgedTo = revision
    // Everybody goes on behind what they heard of, and catches up.
    const client = this.#clientOf(etcd)
    const resumed: RecorderRequest[] = this.#watches.map((watch) => ({ ...watch.request, startRevision: Math.max(watch.heardTo + 1, watch.request.startRevision) })).filter((request) => request.startRevision > this.#compacted(etcd))
    while (resumed.length < watchers) resumed.push(this.#newWatch(etcd))
    this.#watches = resumed.map((request) => new WatchRecorder(client, request))
    await this.#catchUp(this.#watches, revision)
    for (const watch of this.#watches) this.#violate(checkWatch(this.#log, watch.record(revision)).map(({ guarantee, detail }) => `a resumed watch of ${JSON.stringify(watch.request)} is not ${guarantee}: ${detail}`))
  }

  #compacted(etcd: EmbeddedEtcd): number { return etcd.internals.member.machine.store.compactedRevision }

  #newWatch(etcd: EmbeddedEtcd): RecorderRequest {
    const random = this.#random
    const places = [{ key: prefix, end: prefixEnd }, { key: `${prefix}pods/`, end: `${prefix}pods0` }, { key: `${prefix}pods/p1` }]
    const roll = random.float()
    return {
      ...places[randomInteger(random, places.length)]!, // cast: in range
      startRevision: Math.max(this.#compacted(etcd) + 1, 2, this.#log.revision - randomInteger(random, 20)), previousValues: random.float() < 0.7, noPut: roll > 0.9, noDelete: roll < 0.1,
    }
  }

  /** Reads all that can be read, adds to `log` what it doesn't know, and says what is wrong. */
  async #audit(etcd: EmbeddedEtcd, log: EventLog): Promise<readonly string[]> {
    const wrong: string[] = []
    const { client } = etcd
    const { revision } = await client.status(this.#never)
    const compacted = this.#compacted(etcd)
    if (revision < log.revision) wrong.push(`revision ${log.revision} was heard of; the store has ${revision}`)
    if (compacted < this.#compactedTo) wrong.push(`a compaction at ${this.#compactedTo} was acknowledged; the store says ${compacted}`)
    if (compacted > log.revision) wrong.push(`the store is compacted at ${compacted}, beyond what was asked`)
    using reader = new WatchRecorder(this.#clientOf(etcd), { key: prefix, end: prefixEnd, startRevision: Math.max(2, compacted + 1), previousValues: true })
    await this.#catchUp([reader], revision)
    if (reader.ended) wrong.push(`the history can't be read: ${String(reader.ended.error)} compacted ${reader.ended.compactRevision}`)
    for (const response of reader.responses) if (response.type === 'events') wrong.push(...collectInto(log, response.events))
    wrong.push(...checkWatch(log, reader.record(revision)).map(({ guarantee, detail }) => `the history is not ${guarantee}: ${detail}`))
    const listed = await performCall({ client, now: this.#now, signal: () => this.#never }, -1, { type: 'range', key: prefix, end: prefixEnd })
    const result = listed.outcome.type === 'done' ? listed.outcome.output.results?.[0] : undefined
    const expected = log.statesIn(prefix, prefixEnd, revision)
    if (result?.type !== 'get' || result.kvs.length !== expected.length || !expected.every((kv, at) => sameState(kv, result.kvs[at]))) wrong.push(`the keys are ${JSON.stringify(result)}; expected ${JSON.stringify(expected)}`)
    wrong.push(...await this.#auditLeases(client, log, revision))
    return wrong
  }

  async #auditLeases(client: EtcdClient, log: EventLog, revision: number): Promise<readonly string[]> {
    const wrong: string[] = []
    const present = new Set((await client.leases(this.#never)).map(String))
    for (const [lease, known] of this.#leases) {
      if (known.maybeGone || this.#now() >= this.#deadline(lease)) continue
      if (!present.has(lease)) { wrong.push(`lease ${lease} of ${known.ttlSeconds} s was acknowledged and is gone`); continue }
      const { keys, grantedTtlSeconds } = await client.leaseTimeToLive(BigInt(lease), this.#never, { keys: true })
      const attached = log.statesIn(prefix, prefixEnd, revision).filter((kv) => kv.lease === lease).map((kv) => kv.key)
      if (grantedTtlSeconds !== known.ttlSeconds || keys.map((key) => Buffer.from(key).toString()).sort().join() !== attached.join()) wrong.push(`lease ${lease} has ${grantedTtlSeconds} s and keys ${keys.map((key) => Buffer.from(key).toString()).join()}; expected ${known.ttlSeconds} s and ${attached.join()}`)
    }
    return wrong
  }

  /** Until these have heard of everything up to `revision`; bounded, so that a watch that stays silent is found. */
  async #catchUp(list: readonly WatchRecorder[], revision: number): Promise<void> {
    for (let turn = 0; turn < 80 && list.some((watch) => watch.heardTo < revision && !watch.ended); turn++) {
      for (const watch of list) if (watch.heardTo < revision) watch.requestProgress()
      for (let i = 0; i < 2; i++) await new Promise<void>((resolve) => { setImmediate(resolve) })
    }
  }

  async #traffic(etcd: EmbeddedEtcd, inFlight: InFlight, isOn: () => boolean): Promise<void> {
    const random = this.#random
    const client = this.#clientOf(etcd)
    using collector = new WatchRecorder(client, { key: prefix, end: prefixEnd, startRevision: this.#log.revision + 1, previousValues: true }, (events) => this.#violate(collectInto(this.#log, events)))
    void collector
    const performer = { client, now: this.#now, signal: () => this.#never }
    let asked = 0
    const shape = { keys: 6, newestRevision: () => this.#log.revision, shortTtlSeconds, longTtlSeconds }
    await Promise.all(this.#views.map(async (view) => {
      while (isOn() && asked++ < operationsPerLife && !etcd.broken.aborted) {
        const call = random.float() < 0.03 ? this.#chooseCompaction() : chooseCall(random, view, shape)
        inFlight.set(view.client, { call, calledAt: this.#now() })
        const operation = await performCall(performer, view.client, call)
        // Nobody hears of what a machine without power still does.
        if (!isOn()) return
        inFlight.delete(view.client)
        this.#pending.push(operation)
        this.#learn(view, operation)
        this.#counts.operations++
        this.#say(JSON.stringify(operation))
        if (random.float() < 0.1) await new Promise<void>((resolve) => { this.#clock.setTimer(randomInteger(random, 900), resolve) })
      }
    }))
    if (!etcd.broken.aborted) await this.#catchUp([collector], (await etcd.client.status(this.#never)).revision)
  }

  #chooseCompaction(): Call {
    const heard = Math.min(this.#log.revision, ...this.#watches.map((watch) => Math.max(watch.heardTo, watch.request.startRevision)))
    const revision = Math.max(1, heard - randomInteger(this.#random, 15))
    this.#log.noteCompaction(revision)
    return { type: 'compact', revision }
  }

  /** After traffic that nothing interrupted, every watch has heard of everything. */
  async #quiesce(etcd: EmbeddedEtcd): Promise<void> {
    if (etcd.broken.aborted) return
    const { revision } = await etcd.client.status(this.#never)
    await this.#catchUp(this.#watches, revision)
    for (const watch of this.#watches) if (!watch.ended) this.#violate(checkWatch(this.#log, watch.record(revision)).map(({ guarantee, detail }) => `a watch of ${JSON.stringify(watch.request)} is not ${guarantee}: ${detail}`))
  }

  #learn(view: ClientView, { call, outcome, calledAt, returnedAt }: Operation): void {
    if (call.type === 'grant') {
      this.#leases.set(call.lease, { ttlSeconds: call.ttlSeconds, renewedAt: calledAt, maybeGone: outcome.type !== 'done' })
      if (outcome.type === 'done') view.leases.set(call.lease, call.ttlSeconds)
    }
    if (call.type === 'compact' && outcome.type === 'done') this.#compactedTo = Math.max(this.#compactedTo, call.revision)
    if (outcome.type === 'refused' && outcome.reason.startsWith('NotFound')) for (const step of call.type === 'txn' ? call.success : []) if (step.type === 'put') this.#missLease(view, step.lease, returnedAt)
    const lease = call.type === 'revoke' || call.type === 'keepAlive' ? this.#leases.get(call.lease) : undefined
    if (call.type === 'revoke' && lease) {
      lease.maybeGone = true
      view.leases.delete(call.lease)
    }
    if (call.type === 'keepAlive' && lease && outcome.type === 'done') {
      if (outcome.output.ttlSeconds === 0) this.#missLease(view, call.lease, returnedAt)
      else lease.renewedAt = calledAt
    }
    if (call.type === 'txn' && outcome.type === 'done') for (const step of outcome.output.succeeded ? call.success : []) if (step.type === 'put') view.seen.set(step.key, outcome.output.revision ?? 0)
    if (call.type === 'range' && outcome.type === 'done') for (const result of outcome.output.results ?? []) if (result.type === 'get') for (const kv of result.kvs) view.seen.set(kv.key, kv.modRevision)
  }

  #missLease(view: ClientView, lease: string, at: number): void {
    view.leases.delete(lease)
    const known = this.#leases.get(lease)
    if (!known || known.maybeGone) return
    if (at < this.#deadline(lease)) this.#violate([`lease ${lease} of ${known.ttlSeconds} s is gone before its time`])
    known.maybeGone = true
  }

  #deadline(lease: string): number {
    const known = this.#leases.get(lease)
    return known ? known.renewedAt + known.ttlSeconds * 1e9 : 0
  }

  /** On a copy of the disk one bit is wrong: the store names the damage, or has everything all the same. */
  async #tryFlippedBit(): Promise<void> {
    const random = this.#random
    const copy = new SimulatedDisk(seededRandom(7))
    for (const path of this.#disk.paths) copy.poke(path, this.#disk.peek(path))
    const candidates = copy.paths.filter((path) => /\.(wal|snap)$|\/db$/.test(path))
    const path = candidates[randomInteger(random, candidates.length)]
    if (path === undefined) return
    const bytes = copy.peek(path)
    let length = bytes.length
    while (length > 0 && bytes[length - 1] === 0) length--
    const at = randomInteger(random, length + 16)
    const bit = randomInteger(random, 8)
    if (at >= bytes.length) return
    bytes[at]! ^= 1 << bit // cast: below the length
    copy.poke(path, bytes)
    this.#counts.flips++
    const copyOfLog = this.#log.clone()
    try {
      await using etcd = await this.#open(this.#control === 'ignored-checksum' ? checksumBlindDisk(copy) : copy, 2)
      const { revision } = await etcd.client.status(this.#never)
      const wrong = await this.#audit(etcd, copyOfLog)
      const resolved = resolveOutcomes({ log: copyOfLog, from: this.#judgedTo, to: revision, operations: this.#pending, leaseDeadline: (lease) => this.#deadline(lease), endsAt: this.#now() })
      this.#violate([...wrong, ...resolved.violations].map((text) => `bit ${bit} of byte ${at} of ${length} in ${path} is flipped: ${text}`))
    } catch (error) {
      if (!(error instanceof StorageError)) this.#violate([`bit ${bit} of byte ${at} of ${length} in ${path} is flipped: an unnamed error: ${error instanceof Error ? error.stack : String(error)}`])
      this.#counts.refusedFlips++
    }
  }
}

/** Adds changes of revisions that the log doesn't have. */
function collectInto(log: EventLog, events: readonly LoggedEvent[]): readonly string[] {
  const revisions = new Set(events.map((event) => event.modRevision).filter((revision) => revision > log.revision))
  return [...revisions].flatMap((revision) => log.append(revision, events.filter((event) => event.modRevision === revision)))
}
