// Linearizable reads without a log entry (thesis 6.4): the leader notes its commit index, proves by a round of heartbeats that it still leads,
// and only then answers with that index.
//
// Every request starts a round with the next number as the heartbeats' context; the answer to a round confirms all earlier ones too. Before
// the leader has committed an entry of its own term it doesn't know the newest commit index, so requests wait. Upstream: raft/read_only.go
import type { Message } from './messages.ts'

interface WaitingRead {
  readonly request: Message
  readonly index: number
  readonly round: number
}

export class ReadRequests {
  readonly #maxPending: number
  /** Until the term's first commit. */
  #early: Message[] = []
  #waiting: WaitingRead[] = []
  #round = 0
  /** The newest round that each member answered. */
  #answered = new Map<bigint, number>()

  constructor(maxPending: number) { this.#maxPending = maxPending }

  get isFull(): boolean { return this.#early.length + this.#waiting.length >= this.#maxPending }

  reset(): void {
    this.#early = []
    this.#waiting = []
    this.#round = 0
    this.#answered = new Map()
  }

  addEarly(request: Message): void { this.#early.push(request) }

  takeEarly(): readonly Message[] {
    const early = this.#early
    this.#early = []
    return early
  }

  /** Begins the round that confirms this request. */
  add(request: Message, index: number): void { this.#waiting.push({ request, index, round: ++this.#round }) }

  /** The context of heartbeats while something waits. */
  heartbeatContext(): Uint8Array | undefined {
    if (this.#waiting.length === 0) return undefined
    const context = new Uint8Array(8)
    new DataView(context.buffer).setFloat64(0, this.#round)
    return context
  }

  /** A member answered the heartbeat with this context: gives the requests that a quorum has confirmed, oldest first. */
  recordAnswer(from: bigint, self: bigint, context: Uint8Array, hasQuorum: (members: ReadonlySet<bigint>) => boolean): readonly WaitingRead[] {
    if (context.length !== 8) return []
    const round = new DataView(context.buffer, context.byteOffset, 8).getFloat64(0)
    this.#answered.set(from, Math.max(round, this.#answered.get(from) ?? 0))
    let confirmed = 0
    for (const waiting of this.#waiting) {
      const members = new Set([self])
      for (const [id, answered] of this.#answered) if (answered >= waiting.round) members.add(id)
      if (!hasQuorum(members)) break
      confirmed++
    }
    return this.#waiting.splice(0, confirmed)
  }
}
