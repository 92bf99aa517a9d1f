// A network between members in one process, for tests and the simulation: messages take time, get lost or doubled, overtake each other, and edges
// are cut in one direction or both. Everything follows from the clock and the random numbers that it is given.
//
//   const network = new SimulatedPeerNetwork({ clock, random })
//   await openEtcd({ …, transport: network.join(memberId) })     again after a restart of that member
//   network.cut(a, b)                                            until network.heal()
import { randomInteger, type Random } from '../../../lib/base/random.ts'
import type { Clock } from '../../../lib/base/clock.ts'
import { etcdError } from '../../../lib/etcd-api/etcd-error.ts'
import type { EtcdInternals } from '../embedded.ts'
import type { Member } from '../member.ts'
import type { PeerAddress, PeerHandler, SnapshotBody } from '../peer/peer-transport.ts'
import type { Message } from '../raft/messages.ts'
import { etcdVersion } from '../version.ts'
import type { PeerQuestions, QuestioningTransport } from './peer-questions.ts'

export interface SimulatedPeerNetworkOptions {
  readonly clock: Clock
  readonly random: Random
  /** Of each message, milliseconds. Default 0 to 2. */
  readonly delayMs?: readonly [least: number, most: number]
}

interface Joined {
  readonly handler: PeerHandler
  readonly member: Member
  readonly sinceMs: number
  peers: Set<bigint>
}

const connectionLookMs = 100

export class SimulatedPeerNetwork {
  readonly #clock: Clock
  readonly #random: Random
  readonly #joined = new Map<bigint, Joined>()
  /** From whom, to whom. */
  readonly #cut = new Map<bigint, Set<bigint>>()
  readonly #healedMs = new Map<bigint, Map<bigint, number>>()
  delayMs: readonly [least: number, most: number]
  /** Chance of a message to get lost, and to come twice. */
  loss = 0
  duplication = 0
  readonly counts = { sent: 0, lost: 0, snapshots: 0 }

  constructor(options: SimulatedPeerNetworkOptions) {
    this.#clock = options.clock
    this.#random = options.random
    this.delayMs = options.delayMs ?? [0, 2]
  }

  /** The way of one member into the network: `openEtcd`'s transport. */
  join(id: bigint): (handler: PeerHandler, etcd: EtcdInternals) => Promise<QuestioningTransport> {
    return async (handler, { member }) => {
      const joined: Joined = { handler, member, sinceMs: this.#clock.monotonic(), peers: new Set() }
      this.#joined.set(id, joined)
      return {
        setPeers: (peers: readonly PeerAddress[]) => { joined.peers = new Set(peers.map((peer) => peer.id)) },
        send: (messages) => { for (const message of messages) if (this.#joined.get(id) === joined) this.#send(joined, message) },
        sendSnapshot: (message, body) => { void this.#sendSnapshot(joined, message, body) },
        activeSinceMs: (peer) => this.#activeSinceMs(id, peer),
        questions: this.#questions(id),
        [Symbol.asyncDispose]: async () => {
          if (this.#joined.get(id) !== joined) return
          this.#joined.delete(id)
          this.#tellEnded(id)
        },
      }
    }
  }

  /** Nothing goes from `from` to `to` any more. */
  cutOneWay(from: bigint, to: bigint): void {
    const edges = this.#cut.get(from)
    if (edges) edges.add(to)
    else this.#cut.set(from, new Set([to]))
  }
  cut(a: bigint, b: bigint): void {
    this.cutOneWay(a, b)
    this.cutOneWay(b, a)
  }
  /** A member is alone. */
  isolate(id: bigint, others: Iterable<bigint>): void { for (const other of others) if (other !== id) this.cut(id, other) }

  heal(): void {
    for (const [from, edges] of this.#cut) {
      const healed = this.#healedMs.get(from) ?? new Map<bigint, number>()
      for (const to of edges) healed.set(to, this.#clock.monotonic())
      this.#healedMs.set(from, healed)
    }
    this.#cut.clear()
  }

  /** A member that lost its power says nothing more, and hears nothing. The others learn of it when it was only the process. */
  unplug(id: bigint): void {
    this.#joined.delete(id)
    if (this.#random.float() < 0.5) this.#tellEnded(id)
  }

  /** A false alarm: `by` takes `id`, which lives, for ended. */
  mistakeForEnded(id: bigint, by: bigint): void { this.#joined.get(by)?.handler.peerEnded(id) }

  #tellEnded(id: bigint): void {
    for (const [other, joined] of this.#joined) {
      if (!joined.peers.has(id) || !this.#isOpen(other, id) || !this.#isOpen(id, other)) continue
      this.#later(() => { if (this.#joined.get(other) === joined && !this.#joined.has(id)) joined.handler.peerEnded(id) })
    }
  }

  #isOpen(from: bigint, to: bigint): boolean { return this.#cut.get(from)?.has(to) !== true }

  #send(from: Joined, message: Message): void {
    this.counts.sent++
    const { to } = message
    if (!from.peers.has(to)) return
    if (!this.#isOpen(from.member.memberId, to) || this.#random.float() < this.loss || !this.#joined.has(to)) {
      this.counts.lost++
      const chance = this.#random.float()
      const isHere = (): boolean => this.#joined.get(from.member.memberId) === from
      if (chance < 0.2) this.#later(() => { if (isHere()) from.handler.reportUnreachable(to) })
      // A false alarm: a rule for packets answers in its place.
      else if (chance < 0.22) this.#later(() => { if (isHere()) from.handler.peerEnded(to) })
      return
    }
    const deliver = (): void => {
      const target = this.#joined.get(to)
      if (!target || !this.#isOpen(from.member.memberId, to)) return
      if (target.handler.isRemoved(from.member.memberId)) { from.handler.removedFromCluster(); return }
      // Whoever is heard of can be answered, also before the log tells of them.
      target.peers.add(from.member.memberId)
      target.handler.step(message)
    }
    this.#later(deliver)
    // A connection never gives the same proposal twice; what Raft says may come again over another one.
    if (message.type !== 'MsgProp' && this.#random.float() < this.duplication) this.#later(deliver)
  }

  async #sendSnapshot(from: Joined, message: Message, body: SnapshotBody): Promise<void> {
    const { to } = message
    const self = from.member.memberId
    this.counts.snapshots++
    const isAlive = (): boolean => this.#isOpen(self, to) && this.#joined.has(to) && this.#joined.get(self) === from
    const pieces = delivered(body, isAlive, () => this.#passTime())
    try {
      await this.#passTime()
      const target = this.#joined.get(to)
      if (!target || !isAlive()) throw new Error('the member is not there')
      // Whoever is gone never answers; the connection tells.
      const ended = { yet: false }
      const lost = new Promise<never>((_, reject) => {
        const look = (): void => {
          if (!isAlive() || this.#joined.get(to) !== target) reject(new Error('the connection was lost'))
          else if (!ended.yet) this.#clock.setTimer(connectionLookMs, look, { keepAlive: false })
        }
        look()
      })
      lost.catch(() => {})
      await Promise.race([target.handler.receiveSnapshot(message, { totalBytes: body.totalBytes, pieces }), lost]).finally(() => { ended.yet = true })
      this.#later(() => from.handler.reportSnapshot(to, 'delivered'))
    } catch {
      await pieces.return(undefined)
      this.#later(() => from.handler.reportSnapshot(to, 'failed'))
    }
  }

  #passTime(): Promise<void> { return new Promise((resolve) => { this.#later(resolve) }) }

  #later(run: () => void): void {
    const [least, most] = this.delayMs
    this.#clock.setTimer(least + randomInteger(this.#random, most - least + 1), run, { keepAlive: false })
  }

  #activeSinceMs(self: bigint, peer: bigint): number | undefined {
    const [own, other] = [this.#joined.get(self), this.#joined.get(peer)]
    if (!own || !other || !this.#isOpen(self, peer) || !this.#isOpen(peer, self)) return undefined
    return Math.max(own.sinceMs, other.sinceMs, this.#healedMs.get(self)?.get(peer) ?? 0, this.#healedMs.get(peer)?.get(self) ?? 0)
  }

  #questions(self: bigint): PeerQuestions {
    const reach = (id: bigint): Member => {
      const other = this.#joined.get(id)
      if (!other || !this.#isOpen(self, id) || !this.#isOpen(id, self)) throw etcdError('timeoutConnectionLost')
      return other.member
    }
    return {
      renewLease: async (leader, id, signal) => {
        const ttl = await reach(leader.id).renewOwnLease(id, signal)
        if (ttl === 0) throw etcdError('leaseNotFound')
        return ttl
      },
      leaseTimes: async (leader, id, withKeys, signal) => reach(leader.id).ownLeaseTimes(id, withKeys, signal),
      serverVersions: async (members) => new Map(members.filter(({ id }) => id !== self).map(({ id }) => {
        try {
          reach(id)
          return [id, etcdVersion]
        } catch {
          return [id, undefined]
        }
      })),
    }
  }
}

/** A state's pieces as they come, as long as the connection lives. */
async function* delivered(body: SnapshotBody, isAlive: () => boolean, passTime: () => Promise<void>): AsyncGenerator<Uint8Array, void> {
  for await (const piece of body.pieces) {
    // Its bytes may be used again for the next piece.
    const copy = Uint8Array.from(piece)
    await passTime()
    if (!isAlive()) throw new Error('the connection was lost')
    yield copy
  }
}
