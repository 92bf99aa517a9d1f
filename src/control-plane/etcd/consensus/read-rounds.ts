// Linearizable reads: how far the store must be so that a read sees everything that was acknowledged before it was asked for.
//
// One question to the leader serves all reads that wait when it is put; those that come meanwhile wait for the next one. A lost question is
// asked again, under a new context: answers to older ones are not believed. Upstream: etcd/server/etcdserver/v3_server.go (linearizableReadLoop)
import type { Clock, Timer } from '../../../lib/base/clock.ts'
import { etcdError, type EtcdError } from '../../../lib/etcd-api/etcd-error.ts'
import type { ReadState } from '../raft/raft.ts'
import type { RequestIds } from './request-ids.ts'

export interface ReadRoundsOptions {
  readonly clock: Clock
  readonly ids: RequestIds
  readonly timeoutMs: number
  readonly timeoutError: (askedMs: number) => EtcdError
  /** Puts the question to Raft. */
  readonly ask: (context: Uint8Array) => void
  readonly appliedIndex: () => number
  /** A read was not confirmed in time. */
  readonly failed: () => void
  /** A question had no answer in time and is put again. */
  readonly slow: () => void
}

interface WaitingRead {
  readonly signal: AbortSignal
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
  readonly askedMs: number
}

interface Round {
  readonly reads: readonly WaitingRead[]
  context: bigint
  askedMs: number
}

const retryMs = 500
const lookMs = 100
const readLimit = 50_000

export class ReadRounds {
  readonly #options: ReadRoundsOptions
  /** For the next round. */
  #next: WaitingRead[] = []
  #round: Round | undefined
  /** Confirmed, and waiting until the store is so far. */
  #confirmed: { readonly index: number; readonly reads: readonly WaitingRead[] }[] = []
  #timer: Timer | undefined

  constructor(options: ReadRoundsOptions) { this.#options = options }

  /** Resolves when the store may be read. @throws EtcdError too many requests, request timed out */
  wait(signal: AbortSignal): Promise<void> {
    if (this.#next.length >= readLimit) return Promise.reject(etcdError('tooManyRequests'))
    return new Promise((resolve, reject) => {
      this.#next.push({ signal, resolve, reject, askedMs: this.#options.clock.monotonic() })
      this.#timer ??= this.#options.clock.setTimer(lookMs, () => this.#look(), { keepAlive: false })
      // Reads that come in the same turn go in the same round.
      if (this.#round === undefined && this.#next.length === 1) queueMicrotask(() => this.#begin())
    })
  }

  #begin(): void {
    if (this.#round !== undefined || this.#next.length === 0) return
    this.#round = { reads: this.#next, context: 0n, askedMs: 0 }
    this.#next = []
    this.#ask(this.#round)
  }

  #ask(round: Round): void {
    const { ids, clock, ask } = this.#options
    round.context = ids.whole(ids.next())
    round.askedMs = clock.monotonic()
    const context = new Uint8Array(8)
    new DataView(context.buffer).setBigUint64(0, round.context)
    ask(context)
  }

  /** Another leader, or the same one in another term: what was asked before is lost. */
  leaderChanged(): void { if (this.#round) this.#ask(this.#round) }

  /** An answer came. */
  confirm({ index, context }: ReadState): void {
    if (this.#round === undefined || context.length !== 8) return
    if (new DataView(context.buffer, context.byteOffset, 8).getBigUint64(0) !== this.#round.context) return
    this.#confirmed.push({ index, reads: this.#round.reads })
    this.#round = undefined
    this.applied()
    this.#begin()
  }

  /** The store came further. */
  applied(): void {
    if (this.#confirmed.length === 0) return
    const applied = this.#options.appliedIndex()
    const done = this.#confirmed.filter(({ index }) => index <= applied)
    if (done.length === 0) return
    this.#confirmed = this.#confirmed.filter(({ index }) => index > applied)
    for (const { reads } of done) for (const read of reads) read.resolve()
  }

  #look(): void {
    const { clock, timeoutMs, timeoutError } = this.#options
    const now = clock.monotonic()
    const stays = (read: WaitingRead): boolean => {
      if (read.signal.aborted) read.reject(read.signal.reason)
      else if (now - read.askedMs >= timeoutMs) {
        this.#options.failed()
        read.reject(timeoutError(read.askedMs))
      } else return true
      return false
    }
    this.#next = this.#next.filter(stays)
    if (this.#round) {
      const reads = this.#round.reads.filter(stays)
      this.#round = reads.length === 0 ? undefined : { ...this.#round, reads }
    }
    const tooSlow = (read: WaitingRead): boolean => {
      if (read.signal.aborted || now - read.askedMs < timeoutMs) return stays(read)
      read.reject(etcdError('timeoutWaitAppliedIndex'))
      return false
    }
    this.#confirmed = this.#confirmed.map(({ index, reads }) => ({ index, reads: reads.filter(tooSlow) })).filter(({ reads }) => reads.length > 0)
    if (this.#round && now - this.#round.askedMs >= retryMs) {
      this.#options.slow()
      this.#ask(this.#round)
    }
    this.#begin()
    const waits = this.#next.length > 0 || this.#round !== undefined || this.#confirmed.length > 0
    this.#timer = waits ? clock.setTimer(lookMs, () => this.#look(), { keepAlive: false }) : undefined
  }

  rejectAll(error: Error): void {
    const reads = [...this.#next, ...(this.#round?.reads ?? []), ...this.#confirmed.flatMap((c) => c.reads)]
    this.#next = []
    this.#round = undefined
    this.#confirmed = []
    this.#timer?.[Symbol.dispose]()
    this.#timer = undefined
    for (const read of reads) read.reject(error)
  }
}
