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
    await this.#beCurrent(signal)
    // Or the next leader would take away what is given here.
    if (leases.checkpointOf(id) > 0) await this.#options.takeBackCheckpoint(id, signal)
    return leases.renew(id, this.#options.clock.monotonic())
  }

  async timesHere(id: bigint, withKeys: boolean, signal: AbortSignal): Promise<LeaseTimes> {
    const { leases } = this.#options.machine
    await this.#beCurrent(signal)
    const { ttlSeconds, grantedTtlSeconds, keys } = leases.inspect(id, this.#options.clock.monotonic())
    return { ttlSeconds, grantedTtlSeconds, keys: withKeys ? keys.map(keyBytes) : [] }
  }

  /**
   * A quorum says that this member leads, after it was asked: a leader that doesn't know yet that there is another would promise time which that
   * one never heard of. And everything committed is applied here: the lease may be in an entry that isn't, or its end may be, which an earlier
   * leader asked for. The original asks nobody, and has both holes. One question to the others serves all who ask meanwhile.
   */
  async #beCurrent(signal: AbortSignal): Promise<void> {
    const { replica } = this.#options
    if (!replica) return
    if (!replica.isLeader) throw etcdError('notLeader')
    await replica.readIndex(signal)
    if (!replica.isLeader) throw etcdError('notLeader')
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
