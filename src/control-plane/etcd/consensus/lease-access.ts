// How long leases live only the leader knows: it answers from its book, everybody else asks it. Upstream: etcdserver/v3_server.go (LeaseRenew …)
import { sleep, type Clock } from '../../../lib/base/clock.ts'
import { EtcdError, etcdError } from '../../../lib/etcd-api/etcd-error.ts'
import type { ClusterMember } from '../membership/cluster-member.ts'
import { keyBytes } from '../mvcc/key-text.ts'
import type { LeaseTimes } from '../peer/peer-requests.ts'
import type { StateMachine } from '../state-machine.ts'
import { noQuestions, type PeerQuestions } from './peer-questions.ts'
import type { Replica } from './replica.ts'

export interface LeaseAccessOptions {
  readonly machine: StateMachine
  readonly clock: Clock
  /** Without one this member leads. */
  readonly replica: Replica | undefined
  readonly heartbeatIntervalMs: number
  /** A lease that is known is renewed without waiting for what is committed to be applied (the feature FastLeaseKeepAlive). Default true. */
  readonly renewsFast?: boolean | undefined
  /** Says through the log that the lease has its whole time again. */
  readonly takeBackCheckpoint: (id: bigint, signal: AbortSignal) => Promise<unknown>
}

const retryMs = 50
/** A leader whose clock hasn't ticked for so many intervals may have slept through an election. */
const staleTicks = 3

export class LeaseAccess {
  readonly #options: LeaseAccessOptions
  questions: PeerQuestions = noQuestions

  constructor(options: LeaseAccessOptions) { this.#options = options }

  async renew(id: bigint, signal: AbortSignal): Promise<number> {
    if (this.#leads) return this.renewHere(id, signal)
    return this.#askLeader((leader) => this.questions.renewLease(leader, id, signal), () => this.renewHere(id, signal), 0, signal)
  }

  async times(id: bigint, withKeys: boolean, signal: AbortSignal): Promise<LeaseTimes> {
    if (this.#leads) return this.timesHere(id, withKeys, signal)
    return this.#askLeader((leader) => this.questions.leaseTimes(leader, id, withKeys, signal), () => this.timesHere(id, withKeys, signal), { ttlSeconds: -1, grantedTtlSeconds: 0, keys: [] }, signal)
  }

  get #leads(): boolean { return this.#options.replica?.isLeader ?? true }

  /** From this member's own book. @throws EtcdError not leader */
  async renewHere(id: bigint, signal: AbortSignal): Promise<number> {
    const { leases } = this.#options.machine
    await this.#beCurrent(signal, leases.has(id))
    // Or the next leader would take away what is given here.
    if (leases.checkpointOf(id) > 0) await this.#options.takeBackCheckpoint(id, signal)
    return leases.renew(id, this.#options.clock.monotonic())
  }

  async timesHere(id: bigint, withKeys: boolean, signal: AbortSignal): Promise<LeaseTimes> {
    const { leases } = this.#options.machine
    await this.#beCurrent(signal, leases.has(id))
    const { ttlSeconds, grantedTtlSeconds, keys } = leases.inspect(id, this.#options.clock.monotonic())
    return { ttlSeconds, grantedTtlSeconds, keys: withKeys ? keys.map(keyBytes) : [] }
  }

  /**
   * A lease that isn't known may be in an entry that isn't applied; and as long as a leader has applied nothing of its own term, the log may hold
   * an earlier leader's revocation of a lease that it would now renew.
   */
  async #beCurrent(signal: AbortSignal, isKnown: boolean): Promise<void> {
    const { replica, renewsFast = true } = this.#options
    if (!replica) return
    if (!replica.isLeader) throw etcdError('notLeader')
    await this.confirmLeading(signal)
    if (!isKnown || !renewsFast || replica.driver.queue.appliedTerm < replica.driver.node.raft.term) await replica.readIndex(signal)
  }

  /** Makes sure of leading when time has passed unnoticed. @throws EtcdError not leader, request timed out */
  async confirmLeading(signal: AbortSignal): Promise<void> {
    const { replica, clock, heartbeatIntervalMs } = this.#options
    if (!replica || replica.driver.isSole) return
    const { latestTickMs, hasStoodStill } = replica.driver
    if (!hasStoodStill && clock.monotonic() - latestTickMs <= staleTicks * heartbeatIntervalMs) return
    await replica.readIndex(signal)
    if (!replica.isLeader) throw etcdError('notLeader')
  }

  async #askLeader<T>(ask: (leader: ClusterMember) => Promise<T>, here: () => Promise<T>, none: T, signal: AbortSignal): Promise<T> {
    const { clock, replica, machine } = this.#options
    const begunMs = clock.monotonic()
    for (;;) {
      const leader = replica && machine.membership.members.get(replica.leaderId)
      try {
        // Meanwhile it may be this one.
        if (this.#leads) return await here()
        if (leader) return await ask(leader)
      } catch (error) {
        if (error instanceof EtcdError && error.reason === 'NotFound') return none
        signal.throwIfAborted()
      }
      if (clock.monotonic() - begunMs >= (replica?.timeoutMs ?? 0)) throw etcdError(leader ? 'timeout' : 'noLeader')
      await sleep(clock, retryMs, signal)
    }
  }
}
