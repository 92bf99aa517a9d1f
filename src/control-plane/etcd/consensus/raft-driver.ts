// Turns one Raft member in the world: its clock, its log on the disk, its messages, its state machine. The loop is the one that raft-node.ts
// asks for: send, write, send what was promised, apply; while a write is in flight what is committed already is applied, and what arrives goes
// in the next write.
//
// A member that is alone writes once for a request and sends nothing; its clock doesn't tick. Upstream: etcd/server/etcdserver/raft.go
import type { Clock, Timer } from '../../../lib/base/clock.ts'
import type { Random } from '../../../lib/base/random.ts'
import { sleep } from '../../../lib/base/clock.ts'
import type { Logger } from '../../../lib/component-base/log.ts'
import { StorageError } from '../disk/disk.ts'
import type { PeerTransport } from '../peer/peer-transport.ts'
import type { ConfChange, ConfChangeV2 } from '../raft/conf-change.ts'
import type { ConfState, Entry, Message, Snapshot } from '../raft/messages.ts'
import { noMember } from '../raft/messages.ts'
import { RaftNode, type Ready, type SoftState } from '../raft/raft-node.ts'
import type { ReadState } from '../raft/raft.ts'
import type { LogBatch, WriteAheadLog } from '../wal/write-ahead-log.ts'
import { ApplyQueue } from './apply-queue.ts'
import { LogStorage, type LogStart } from './log-storage.ts'
import type { StateMark } from './state-store.ts'

/** What the member does when Raft comes to something. Nothing here may wait. */
export interface DriverHost {
  /** Puts what waits to Raft, before each write; the promise is of room on the disk. */
  feed(node: RaftNode, wal: WriteAheadLog): Promise<void> | undefined
  /** A committed entry that is no membership change. */
  applyEntry(entry: Entry): void
  /** Gives what Raft is to make of it: nothing when it is refused. */
  applyConfChange(entry: Entry): ConfChange | ConfChangeV2
  /** After each piece of entries. */
  pieceApplied(): void
  leadershipChanged(state: SoftState): void
  readConfirmed(state: ReadState): void
  /** The membership is another. */
  membershipChanged(): void
  /** A received state is written in the log: it becomes the member's state. */
  installState(mark: StateMark): Promise<void>
  /** A state goes to a follower that is too far behind. */
  sendState(message: Message): void
  /** Between two writes. */
  idle(): void
  wrote(durationMs: number, bytes: number): void
  /** A leader's heartbeat goes out so long after the one before, more than twice as long as it should. */
  heartbeatLate(afterMs: number): void
  /** The disk or something else failed: nothing is acknowledged any more. */
  broke(error: unknown): void
}

export interface DriverOptions {
  readonly memberId: bigint
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly wal: WriteAheadLog
  readonly start: LogStart
  readonly host: DriverHost
  readonly heartbeatIntervalMs: number
  readonly electionTimeoutMs: number
  readonly preVote?: boolean
  /** Applied entries that are kept for followers that are a little behind. Default 5,000. */
  readonly catchUpEntries?: number
}

/** Applied entries that are kept in memory for followers that are a little behind. */
const keptEntries = 5000
const keptBytes = 64 * 1024 * 1024
const maxMessageBytes = 512 * 1024
const fullDiskRetryMs = 1000

export class RaftDriver {
  readonly node: RaftNode
  readonly storage: LogStorage
  readonly queue: ApplyQueue
  readonly #options: DriverOptions
  readonly #host: DriverHost
  readonly #ended = new AbortController()
  transport: PeerTransport | undefined
  confState: ConfState
  /** When the last tick was, monotonic milliseconds. */
  latestTickMs: number
  /** For longer than an election takes; until a quorum has confirmed a read since. */
  hasStoodStill = false
  #isWoken = false
  readonly #startPump = (): void => { this.#pumping = this.#pump() }
  #pumping: Promise<void> | undefined
  #tickTimer: Timer | undefined
  /** When the latest tick was to be. */
  #dueMs = -Infinity

  constructor(options: DriverOptions) {
    this.#options = options
    this.#host = options.host
    this.confState = options.start.confState
    this.latestTickMs = options.clock.monotonic()
    this.storage = new LogStorage(options.start)
    this.node = new RaftNode({
      id: options.memberId, storage: this.storage, random: options.random, heartbeatTicks: 1, electionTicks: Math.max(2, Math.round(options.electionTimeoutMs / options.heartbeatIntervalMs)),
      preVote: options.preVote ?? true, maxMessageBytes, maxInflightMessages: 512,
    })
    this.queue = new ApplyQueue({
      start: options.start.applied, apply: (entry) => this.#apply(entry), pieceApplied: (index) => this.#pieceApplied(index), failed: (error) => this.#fail(error),
    })
  }

  /** Nobody else has a say, and nobody else listens. */
  get isSole(): boolean {
    const { voters, learners, votersOutgoing } = this.confState
    return voters.length === 1 && voters[0] === this.#options.memberId && learners.length === 0 && votersOutgoing.length === 0
  }
  get isLeader(): boolean { return this.node.raft.role === 'leader' }
  get electionTimeoutMs(): number { return this.#options.electionTimeoutMs }

  start(transport: PeerTransport | undefined): void {
    this.transport = transport
    if (this.isSole) this.node.campaign()
    this.#armTicks()
    this.wake()
  }

  /** There may be something to do. */
  wake(): void {
    if (this.#isWoken || this.#ended.signal.aborted) return
    this.#isWoken = true
    // What comes in the same turn goes in the same write.
    queueMicrotask(this.#startPump)
  }

  step(message: Message): void {
    if (this.#ended.signal.aborted) return
    // A follower's proposal, while there is no room left: it hears nothing and gives up.
    if (message.type === 'MsgProp' && this.isLeader && this.#options.wal.isFull) return
    try {
      this.node.step(message)
    } catch (error) {
      this.#fail(error)
    }
    this.wake()
  }

  /** As if nearly a whole election timeout had passed: at the start nobody needs to wait for a leader that there never was. */
  hurryElection(): void {
    const ticks = Math.round(this.#options.electionTimeoutMs / this.#options.heartbeatIntervalMs) - 2
    for (let i = 0; i < ticks && !this.hasLeader; i++) this.node.tick()
    this.wake()
  }

  /** That member's process has ended, as far as its machine says. Nobody needs to wait out an election timeout to find that its leadership has, too. */
  peerEnded(id: bigint): void {
    if (this.#ended.signal.aborted || id !== this.leaderId) return
    this.#options.logger.info('the process of the leader has ended: an election begins soon', { leader: id.toString(16) })
    this.node.leaderEnded()
    this.wake()
  }

  // ---- ticks ----

  #armTicks(): void {
    const { clock, heartbeatIntervalMs } = this.#options
    if (this.#tickTimer !== undefined || this.#ended.signal.aborted || (this.isSole && this.isLeader)) {
      if (this.isSole) this.latestTickMs = clock.monotonic()
      return
    }
    // By the clock, not by when the last tick was late: a wait of many ticks would else be longer by the lateness of each.
    const armedMs = clock.monotonic()
    this.#dueMs = this.#dueMs > armedMs - heartbeatIntervalMs && this.#dueMs <= armedMs ? this.#dueMs + heartbeatIntervalMs : armedMs + heartbeatIntervalMs
    this.#tickTimer = clock.setTimer(this.#dueMs - armedMs, () => {
      this.#tickTimer = undefined
      const now = clock.monotonic()
      // This process stood still: meanwhile others may have chosen another leader.
      if (now - this.latestTickMs > this.electionTimeoutMs) this.hasStoodStill = true
      // The heartbeats of this tick are late.
      if (this.isLeader && now - this.latestTickMs > 2 * heartbeatIntervalMs) this.#host.heartbeatLate(now - this.latestTickMs)
      this.latestTickMs = now
      this.node.tick()
      this.wake()
      this.#armTicks()
    }, { keepAlive: false })
  }

  // ---- the loop ----

  /** Waits only where it must: for the disk. */
  async #pump(): Promise<void> {
    const { node } = this
    try {
      while (!this.#ended.signal.aborted) {
        const room = this.#host.feed(node, this.#options.wal)
        if (room) await room
        if (!node.hasReady()) {
          // While room was made, more may have been asked for.
          if (room) continue
          this.#host.idle()
          if (!this.#options.wal.owesMark) break
          await this.#write({ entries: [], snapshot: undefined })
          continue
        }
        const ready = node.ready()
        const writing = this.#begin(ready)
        if (writing) await writing
        if (this.#ended.signal.aborted) break
        if (ready.snapshot) await this.#install(ready.snapshot)
        this.storage.append(ready.entries)
        this.#send(ready.messagesAfterPersist)
        node.advance()
        if (!writing) continue
        const cutting = this.#options.wal.afterWrite()
        if (cutting) await cutting
        this.#host.idle()
      }
    } catch (error) {
      this.#fail(error)
    } finally {
      this.#isWoken = false
    }
  }

  /** Starts the write, when there is one, and does what need not wait for it. */
  #begin(ready: Ready): Promise<void> | undefined {
    if (ready.softState) this.#host.leadershipChanged(ready.softState)
    this.#send(ready.messages)
    const writing = ready.mustSync ? this.#write(ready) : undefined
    if (ready.committedEntries.length > 0) this.queue.add(ready.committedEntries)
    if (ready.readStates.length > 0) this.hasStoodStill = false
    for (const state of ready.readStates) this.#host.readConfirmed(state)
    return writing
  }

  /** A commit index alone is not worth a write: the next one takes it along. */
  #write({ entries, snapshot }: Pick<Ready, 'entries' | 'snapshot'>): Promise<void> {
    const { wal, clock } = this.#options
    // The hard state as it is at ready(): nothing has been stepped since.
    const batch: LogBatch = { snapshot: snapshot?.metadata, entries, hardState: this.node.raft.hardState() }
    const begunMs = clock.monotonic()
    const bytesBefore = wal.writtenBytes
    const wrote = (): void => this.#host.wrote(clock.monotonic() - begunMs, wal.writtenBytes - bytesBefore)
    return wal.append(batch).then(wrote, (error: unknown) => this.#writeWhenThereIsRoom(batch, error).then(wrote))
  }

  async #writeWhenThereIsRoom(batch: LogBatch, failure: unknown): Promise<void> {
    const { wal, clock, logger } = this.#options
    for (let error = failure; error !== undefined;) {
      if (!(error instanceof StorageError && error.reason === 'DiskFull')) throw error
      // Nothing is promised to anybody before it is written.
      logger.warn('the disk is full: this member acknowledges nothing until there is room')
      await sleep(clock, fullDiskRetryMs, this.#ended.signal)
      error = await wal.append(batch).then(() => undefined, (again: unknown) => again)
    }
  }

  #send(messages: readonly Message[]): void {
    if (messages.length === 0) return
    if (!messages.some((message) => message.type === 'MsgSnap')) { this.transport?.send(messages); return }
    for (const message of messages) {
      if (message.type === 'MsgSnap') this.#host.sendState(message)
      else this.transport?.send([message])
    }
  }

  async #install({ metadata }: Snapshot): Promise<void> {
    this.queue.restart(metadata.index, metadata.term)
    await this.#host.installState(metadata)
    this.confState = metadata.confState
    this.storage.restart(metadata.index, metadata.term)
    this.#host.membershipChanged()
    this.#armTicks()
  }

  // ---- applying ----

  #apply(entry: Entry): void {
    if (entry.type === 0) { this.#host.applyEntry(entry); return }
    const change = this.#host.applyConfChange(entry)
    this.confState = this.node.applyConfChange(entry.index, change)
    this.#host.membershipChanged()
    this.#armTicks()
  }

  #pieceApplied(index: number): void {
    this.node.appliedTo(index)
    if (this.isSole) this.storage.dropApplied(index, 0, 0)
    else this.storage.dropApplied(index, this.#options.catchUpEntries ?? keptEntries, keptBytes)
    this.#host.pieceApplied()
    this.wake()
  }

  forgetAppliedEntries(): void { this.storage.dropApplied(this.queue.appliedIndex, 0, 0) }

  #fail(error: unknown): void {
    if (this.#ended.signal.aborted) return
    this.#end()
    this.#host.broke(error)
  }

  #end(): void {
    this.#ended.abort()
    this.queue.stop()
    this.#tickTimer?.[Symbol.dispose]()
    this.#tickTimer = undefined
  }

  /** Lets the write that is in flight finish; nothing happens after that. */
  async stop(): Promise<void> {
    if (!this.#ended.signal.aborted) this.#end()
    await this.#pumping
    await this.transport?.[Symbol.asyncDispose]()
  }

  get leaderId(): bigint { return this.node.raft.leader }
  get hasLeader(): boolean { return this.node.raft.leader !== noMember }
}
