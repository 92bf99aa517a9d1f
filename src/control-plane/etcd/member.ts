// One member of an etcd cluster: takes requests, has them logged, applies them, answers, and tells the watchers.
//
// Rules it keeps: a request is acknowledged, and visible to readers, only when the log says that it is durable; everything that arrived while
// one write was in flight goes in the next single write; after the first failed write nothing is acknowledged any more. Without a log (the
// memory disk) a request is applied at once. Upstream: etcd/server/etcdserver
import { EtcdError, etcdError } from '../../lib/etcd-api/etcd-error.ts'
import type { Clock, Timer } from '../../lib/base/clock.ts'
import type { Logger } from '../../lib/component-base/log.ts'
import { StorageError } from './disk/disk.ts'
import { DurationHistogram } from './duration-histogram.ts'
import { WatchHub } from './mvcc/watch-hub.ts'
import { yieldToLoop } from './yield-to-loop.ts'
import { insider } from './auth/caller.ts'
import { writes, type AppliedResult, type LoggedRequest, type StateMachine } from './state-machine.ts'

/** Where requests become durable. One write at a time: `add` some, `flush`, and wait before adding more. */
export interface EntryLog {
  readonly term: number
  readonly lastIndex: number
  /** Puts a request into the next write. Returns its bytes in the log. */
  add(request: LoggedRequest): number
  /** Told when the disk is found full. */
  onFull?: (() => void) | undefined
  /** Writes what was added with one write; resolves when it is on the disk. @throws StorageError DiskFull: nothing was written, others can go on */
  flush(): Promise<void>
  /** Called between two writes, after what was written has been applied; the next write waits for it. */
  afterApply(): Promise<void> | undefined
}

export interface MemberOptions {
  readonly machine: StateMachine
  readonly log: EntryLog | undefined
  readonly clock: Clock
  readonly logger: Logger
  readonly memberId: bigint
  /** 0 or less: no quota. */
  readonly quotaBytes: number
  readonly progressNotifyIntervalMs: number
}

interface Proposal {
  readonly request: LoggedRequest
  readonly signal: AbortSignal
  readonly resolve: (result: AppliedResult) => void
  readonly reject: (error: unknown) => void
  abandoned: boolean
  /** Of its entry, once it is in the log. */
  index: number
  readonly askedMs: number
}

/** Bounds of one write, so that neither encoding nor applying it holds up the event loop for long. */
const batchEntries = 512
const batchBytes = 1024 * 1024
/** Requests that may wait for the log. */
const queueLimit = 50_000
/** How often callers that gave up are looked for while a write takes long. */
const abandonCheckMs = 100
const expiredPerTurn = 500
const scrubRevisions = 500
const scrubBytes = 1024 * 1024

const never = new AbortController().signal

/** What `/metrics` says of the log and of proposals. */
export class MemberMetrics {
  readonly fsync = new DurationHistogram(0.001, 14)
  readonly requests = new Map<string, DurationHistogram>()

  get firstType(): string | undefined { return this.requests.keys().next().value }

  observeRequest(type: string, seconds: number): void {
    let histogram = this.requests.get(type)
    if (!histogram) this.requests.set(type, (histogram = new DurationHistogram(0.0005, 16)))
    histogram.observe(seconds)
  }
}

const requestTypes: { readonly [type in LoggedRequest['type']]: string } = {
  put: 'Put', deleteRange: 'DeleteRange', txn: 'Txn', compaction: 'Compaction', leaseGrant: 'LeaseGrant', leaseRevoke: 'LeaseRevoke', alarm: 'Alarm', auth: 'Auth', authenticate: 'Authenticate', v2: 'V2',
}

export class Member {
  readonly metrics = new MemberMetrics()
  readonly machine: StateMachine
  readonly hub: WatchHub
  readonly memberId: bigint
  readonly quotaBytes: number
  readonly #log: EntryLog | undefined
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #progressNotifyIntervalMs: number
  #queue: Proposal[] = []
  #inFlight: Proposal[] = []
  /** The loop that feeds the log, while it runs. */
  #pumping: Promise<void> | undefined
  #dispatchPlanned = false
  #scrubbing: Promise<void> | undefined
  #leaseTimer: { readonly atMs: number; readonly timer: Timer } | undefined
  #progressTimer: Timer | undefined
  #v2Timer: Timer | undefined
  #unloggedIndex = 1
  readonly #broken = new AbortController()
  #stopped = false
  #raising = false

  constructor(options: MemberOptions) {
    this.machine = options.machine
    this.memberId = options.memberId
    this.quotaBytes = options.quotaBytes
    this.#log = options.log
    this.#clock = options.clock
    this.#logger = options.logger
    this.#progressNotifyIntervalMs = options.progressNotifyIntervalMs
    this.hub = new WatchHub(options.machine.store, queueMicrotask, setImmediate)
    if (this.#log) this.#log.onFull = () => this.#raiseNoSpace('the disk is full')
    options.machine.store.onUnpinned = () => { if (options.machine.store.needsScrub) void this.scrub() }
  }

  /** Aborted, with the error as reason, when the log failed: nothing is acknowledged any more. */
  get broken(): AbortSignal { return this.#broken.signal }
  get isServing(): boolean { return !this.#stopped && !this.#broken.signal.aborted }
  get term(): number { return this.#log?.term ?? 1 }
  get appliedIndex(): number { return this.#log?.lastIndex ?? this.#unloggedIndex }
  get pendingProposals(): number { return this.#queue.length + this.#inFlight.length }

  /** Begins to lead: leases run from now on. */
  start(): void {
    this.machine.leases.startExpiring(this.#clock.monotonic())
    this.#armLeaseTimer()
    this.#armV2Timer()
    this.#armProgressTimer()
    if (this.machine.store.needsScrub) void this.scrub()
  }

  /** Throws what every request to a stopped or broken member gets. */
  checkServing(signal: AbortSignal): void {
    if (signal.aborted) throw signal.reason
    if (this.#stopped) throw etcdError('stopped')
    if (this.#broken.signal.aborted) throw new EtcdError('Unavailable', 'etcdserver: server stopped', { cause: this.#broken.signal.reason })
  }

  /** Resolves when the request is durable and applied. Keys and values must not change before that. */
  propose(asked: LoggedRequest, signal: AbortSignal): Promise<AppliedResult> {
    // Without a caller it is the member itself, or the API server beside it.
    const request = asked.caller === undefined && this.machine.auth.enabled ? { ...asked, caller: insider } : asked
    try {
      this.checkServing(signal)
      if (this.#queue.length >= queueLimit) throw etcdError('tooManyRequests')
      this.#checkQuota(request)
      if (this.#log === undefined) {
        this.#unloggedIndex++
        const result = this.#apply(request, this.#unloggedIndex)
        this.#planDispatch()
        return Promise.resolve(result)
      }
    } catch (error) {
      return Promise.reject(error)
    }
    return new Promise((resolve, reject) => {
      this.#queue.push({ request, signal, resolve, reject, abandoned: false, index: 0, askedMs: this.#clock.monotonic() })
      // What is asked in the same turn goes in the same write.
      this.#pumping ??= Promise.resolve().then(() => this.#pump())
    })
  }

  async #pump(): Promise<void> {
    const log = this.#log
    if (log === undefined) return
    try {
      while (this.#queue.length > 0 && !this.#stopped) {
        this.#fillBatch(log)
        if (this.#inFlight.length === 0) continue
        const watchdog = this.#watchAbandoned()
        const begunMs = this.#clock.monotonic()
        try {
          await log.flush()
          this.metrics.fsync.observe((this.#clock.monotonic() - begunMs) / 1000)
        } catch (error) {
          if (!(error instanceof StorageError && error.reason === 'DiskFull')) throw error
          for (const proposal of this.#inFlight) proposal.reject(etcdError('noSpace'))
          this.#inFlight = []
          continue
        } finally {
          watchdog[Symbol.dispose]()
        }
        for (const proposal of this.#inFlight) this.#finish(proposal)
        this.#inFlight = []
        this.hub.dispatch()
        if (!this.#stopped) await log.afterApply()
      }
    } catch (error) {
      this.#break(error)
    } finally {
      this.#pumping = undefined
    }
  }

  #fillBatch(log: EntryLog): void {
    let bytes = 0
    let taken = 0
    const batch = this.#inFlight
    while (taken < this.#queue.length && batch.length < batchEntries && bytes < batchBytes) {
      const proposal = this.#queue[taken++]! // cast: bounded by the loop
      if (proposal.abandoned) continue
      if (proposal.signal.aborted) { proposal.reject(proposal.signal.reason); continue }
      bytes += log.add(proposal.request)
      proposal.index = log.lastIndex
      batch.push(proposal)
    }
    this.#queue = taken === this.#queue.length ? [] : this.#queue.slice(taken)
  }

  #finish(proposal: Proposal): void {
    try {
      proposal.resolve(this.#apply(proposal.request, proposal.index))
      this.metrics.observeRequest(requestTypes[proposal.request.type], (this.#clock.monotonic() - proposal.askedMs) / 1000)
    } catch (error) {
      if (!(error instanceof EtcdError)) throw error
      proposal.reject(error)
    }
  }

  #apply(request: LoggedRequest, index: number): AppliedResult {
    const result = this.machine.apply(request, this.#clock.monotonic(), index)
    if (request.type === 'compaction') void this.scrub()
    else if (request.type === 'leaseGrant') this.#armLeaseTimer()
    else if (request.type === 'v2') this.#armV2Timer()
    return result
  }

  /** Callers that gave up are answered although the disk hangs; what they asked for may still happen. */
  #watchAbandoned(): Disposable {
    let timer: Timer
    const look = (): void => {
      for (const list of [this.#inFlight, this.#queue]) {
        for (const proposal of list) {
          if (!proposal.signal.aborted || proposal.abandoned) continue
          proposal.abandoned = list === this.#queue
          proposal.reject(proposal.signal.reason)
        }
      }
      timer = this.#clock.setTimer(abandonCheckMs, look, { keepAlive: false })
    }
    timer = this.#clock.setTimer(abandonCheckMs, look, { keepAlive: false })
    return { [Symbol.dispose]: () => timer[Symbol.dispose]() }
  }

  #break(error: unknown): void {
    this.#logger.error('the log failed; nothing is acknowledged any more', error)
    this.#broken.abort(error)
    this.#rejectAll(new EtcdError('Unavailable', 'etcdserver: server stopped', { cause: error }))
    this.#stopTimers()
    this.hub.closeAll()
  }

  #rejectAll(error: Error): void {
    for (const proposal of this.#inFlight) proposal.reject(error)
    for (const proposal of this.#queue) proposal.reject(error)
    this.#inFlight = []
    this.#queue = []
  }

  #planDispatch(): void {
    if (this.#dispatchPlanned) return
    this.#dispatchPlanned = true
    queueMicrotask(() => {
      this.#dispatchPlanned = false
      this.hub.dispatch()
    })
  }

  /** A put that would exceed the quota raises the NOSPACE alarm; from then on puts are refused until it is disarmed. */
  #checkQuota(request: LoggedRequest): void {
    const adds = request.type === 'put' || request.type === 'leaseGrant' || (request.type === 'txn' && writes(request))
    if (!adds) return
    if (this.machine.hasAlarm('NOSPACE')) throw etcdError('noSpace')
    if (this.quotaBytes <= 0 || this.machine.store.sizeInUseBytes < this.quotaBytes) return
    this.#raiseNoSpace('the store is full')
    throw etcdError('noSpace')
  }

  #raiseNoSpace(why: string): void {
    if (this.#stopped || this.#raising || this.machine.hasAlarm('NOSPACE')) return
    this.#raising = true
    this.#logger.warn(`${why}: alarm NOSPACE`, { quotaBytes: this.quotaBytes })
    this.propose({ type: 'alarm', action: 'ACTIVATE', memberId: this.memberId, alarm: 'NOSPACE' }, never)
      .catch((error: unknown) => this.#logger.error('alarm not raised', error)).finally(() => { this.#raising = false })
  }

  // ---- leases ----

  #armLeaseTimer(): void {
    const atMs = this.machine.leases.nextLookMs()
    if (atMs === undefined || this.#stopped || (this.#leaseTimer !== undefined && this.#leaseTimer.atMs <= atMs)) return
    this.#leaseTimer?.timer[Symbol.dispose]()
    this.#leaseTimer = { atMs, timer: this.#clock.setTimer(Math.max(0, atMs - this.#clock.monotonic()), () => this.#expireLeases(), { keepAlive: false }) }
  }

  #expireLeases(): void {
    this.#leaseTimer = undefined
    const now = this.#clock.monotonic()
    for (const id of this.machine.leases.takeExpired(now, expiredPerTurn)) {
      this.propose({ type: 'leaseRevoke', id }, never).catch((error: unknown) => {
        // Somebody else may have revoked it meanwhile.
        if (!(error instanceof EtcdError && error.reason === 'NotFound')) this.#logger.error('an expired lease was not revoked', error, { lease: id.toString(16) })
      })
    }
    this.#armLeaseTimer()
  }

  /** Removes v2 keys whose time is over, through the log, so that all members do it at the same index. */
  #armV2Timer(): void {
    const atMs = this.machine.v2.nextExpiryMs
    this.#v2Timer?.[Symbol.dispose]()
    if (atMs === undefined || this.#stopped) return
    this.#v2Timer = this.#clock.setTimer(Math.max(0, atMs - this.#clock.now()), () => {
      this.propose({ type: 'v2', request: { method: 'SYNC', timeMs: this.#clock.now() } }, never).catch((error: unknown) => this.#logger.error('expired v2 keys were not removed', error))
    }, { keepAlive: false })
  }

  #armProgressTimer(): void {
    this.#progressTimer = this.#clock.setTimer(this.#progressNotifyIntervalMs, () => {
      this.hub.notifyProgress()
      this.#armProgressTimer()
    }, { keepAlive: false })
  }

  // ---- compaction ----

  /** Frees what compactions made unreadable, in pieces that yield; resolves when it is done for now. */
  scrub(): Promise<void> {
    this.#scrubbing ??= this.#scrubInPieces().finally(() => { this.#scrubbing = undefined })
    return this.#scrubbing
  }

  async #scrubInPieces(): Promise<void> {
    await yieldToLoop()
    while (!this.#stopped && this.machine.store.scrub(scrubRevisions, scrubBytes)) await yieldToLoop()
  }

  #stopTimers(): void {
    this.#leaseTimer?.timer[Symbol.dispose]()
    this.#leaseTimer = undefined
    this.#progressTimer?.[Symbol.dispose]()
    this.#v2Timer?.[Symbol.dispose]()
  }

  /** Ends: refuses what waits, lets the write that is in flight finish, closes the watches. */
  async stop(): Promise<void> {
    if (this.#stopped) return
    this.#stopped = true
    this.#stopTimers()
    for (const proposal of this.#queue) proposal.reject(etcdError('stopped'))
    this.#queue = []
    await this.#pumping
    this.hub.closeAll()
  }
}
