// What administrators do to a cluster: add, remove, change and promote members, hand the leadership over, go down a version. Used by the client
// port (v3rpc) and by other members, who forward what only the leader can do.
//
// Everything is checked here before it enters the log, and once more by the membership when it is applied.
// Upstream: etcd/server/etcdserver/server.go, v3_server.go (Downgrade), version/manager.go
import { sleep, type Clock } from '../../lib/base/clock.ts'
import { EtcdError, etcdError } from '../../lib/etcd-api/etcd-error.ts'
import { memberIdOf } from './member-identity.ts'
import type { ClusterMember } from './membership/cluster-member.ts'
import { checkDowngradeTarget, shortVersion } from './membership/cluster-version.ts'
import type { MembershipProposal } from './membership/membership-store.ts'
import { normalizeUrls, UrlError } from './membership/parse-urls.ts'
import type { LearnerProgress, ReconfigurationView } from './membership/reconfiguration-checks.ts'
import type { PeerClient } from './peer/peer-client.ts'
import { promoteAtLeader } from './peer/peer-requests.ts'
import type { Member } from './member.ts'

export interface ClusterAdminOptions {
  readonly member: Member
  readonly clock: Clock
  /** `--strict-reconfig-check`. */
  readonly isStrict: boolean
  /** Five seconds and two election timeouts. */
  readonly requestTimeoutMs: number
  /** Asks other members; undefined where there is no network. */
  readonly peerClient: () => PeerClient | undefined
}

const leaderLookMs = 50

export class ClusterAdmin {
  readonly #member: Member
  readonly #clock: Clock
  readonly #options: ClusterAdminOptions

  constructor(options: ClusterAdminOptions) {
    this.#member = options.member
    this.#clock = options.clock
    this.#options = options
  }

  members(): readonly ClusterMember[] { return this.#member.machine.membership.list() }

  async list(linearizable: boolean, signal: AbortSignal): Promise<readonly ClusterMember[]> {
    if (linearizable) await this.#member.readIndex(signal)
    return this.members()
  }

  /** @throws EtcdError */
  async add(givenUrls: readonly string[], isLearner: boolean, signal: AbortSignal): Promise<ClusterMember> {
    const peerUrls = checkedUrls(givenUrls)
    // It could decide nothing any more: the new member would be waited for, and could never come.
    if (!this.#member.transport) throw new EtcdError('Unimplemented', 'this etcd has no connections to other members')
    const id = memberIdOf(peerUrls, '', Math.floor(this.#clock.now() / 1000))
    const member: ClusterMember = { id, name: '', peerUrls, clientUrls: [], isLearner }
    await this.#change(this.#member.machine.membership.checkAdd(member, this.#view()), signal)
    return member
  }

  /** @throws EtcdError */
  async remove(id: bigint, signal: AbortSignal): Promise<void> {
    await this.#change(this.#member.machine.membership.checkRemove(id, this.#view()), signal)
  }

  /** @throws EtcdError */
  async update(id: bigint, peerUrls: readonly string[], signal: AbortSignal): Promise<void> {
    await this.#change(this.#member.machine.membership.checkUpdate(id, peerUrls), signal)
  }

  /** Makes a learner a voter, here when this member leads, else at the leader. @param token of the caller, for the leader. @throws EtcdError */
  async promote(id: bigint, token: string | undefined, signal: AbortSignal): Promise<readonly ClusterMember[]> {
    if (this.#member.isLeader) {
      await this.promoteHere(id, signal)
      return this.members()
    }
    const { requestTimeoutMs } = this.#options
    const peerClient = this.#options.peerClient()
    if (!peerClient) throw etcdError('notLeader')
    const untilMs = this.#clock.monotonic() + requestTimeoutMs
    for (;;) {
      const leader = await this.#awaitLeader(untilMs, signal)
      if (leader === this.#member.memberId) return this.promote(id, token, signal)
      try {
        return await promoteAtLeader(peerClient, this.#member.machine.membership.members.get(leader)?.peerUrls ?? [], id, token, signal, Math.max(1, untilMs - this.#clock.monotonic()))
      } catch (error) {
        // What the leader decided stands; a leader that is gone may have a successor.
        if (!(error instanceof EtcdError) || (error.reason !== 'Unavailable' && error.reason !== 'Unknown') || this.#clock.monotonic() >= untilMs) throw error
        await sleep(this.#clock, leaderLookMs, signal)
      }
    }
  }

  /** @throws EtcdError; not leader when another member has to be asked */
  async promoteHere(id: bigint, signal: AbortSignal): Promise<void> {
    const { learnerPromoteSuccesses, learnerPromoteFailures } = this.#member.metrics.server
    try {
      await this.#change(this.#member.machine.membership.checkPromote(id, this.#progressOf(id), this.#view()), signal)
      learnerPromoteSuccesses.inc()
    } catch (error) {
      learnerPromoteFailures.of(error instanceof EtcdError ? error.message : 'other').inc()
      throw error
    }
  }

  /** @throws EtcdError */
  async moveLeader(to: bigint, signal: AbortSignal): Promise<void> {
    const { machine, isLeader, memberId } = this.#member
    if (!isLeader) throw etcdError('notLeader')
    const target = machine.membership.members.get(to)
    if (!target || target.isLearner) throw etcdError('badLeaderTransferee')
    if (to !== memberId) await this.#member.transferLeadership(to, signal)
  }

  /** Gives the cluster's version in short form, `3.7`, as all three do. @throws EtcdError */
  async validateDowngrade(version: string, signal: AbortSignal): Promise<string> {
    const { membership } = this.#member.machine
    checkDowngradeFormat(version)
    const current = membership.clusterVersion
    if (current === undefined) throw etcdError('clusterVersionUnavailable')
    await this.#member.readIndex(signal)
    checkDowngradeTarget(version, membership.clusterVersion, membership.downgrade)
    return shortVersion(current)
  }

  /** @throws EtcdError */
  async enableDowngrade(version: string, signal: AbortSignal): Promise<string> {
    const { membership } = this.#member.machine
    checkDowngradeFormat(version)
    await this.#member.readIndex(signal)
    const target = checkDowngradeTarget(version, membership.clusterVersion, membership.downgrade)
    await this.#member.propose({ type: 'downgradeInfoSet', enabled: true, version: target }, signal)
    return shortVersion(membership.clusterVersion ?? target)
  }

  /** Nothing to cancel is no error, as in the original. @throws EtcdError */
  async cancelDowngrade(signal: AbortSignal): Promise<string> {
    const { membership } = this.#member.machine
    await this.#member.readIndex(signal)
    if (membership.downgrade.enabled) await this.#member.propose({ type: 'downgradeInfoSet', enabled: false, version: '' }, signal)
    return shortVersion(membership.clusterVersion ?? '')
  }

  async isDowngradeEnabled(signal: AbortSignal): Promise<boolean> {
    await this.#member.readIndex(signal)
    return this.#member.machine.membership.downgrade.enabled
  }

  async #change(change: MembershipProposal, signal: AbortSignal): Promise<void> { await this.#member.changeMembership(change, signal) }

  #view(): ReconfigurationView {
    return { isStrict: this.#options.isStrict, selfId: this.#member.memberId, nowMs: this.#clock.monotonic(), activeSinceMs: (id) => this.#member.transport?.activeSinceMs(id) }
  }

  #progressOf(id: bigint): LearnerProgress | 'unknownMember' | undefined {
    const { isLeader, memberId } = this.#member
    if (!isLeader) return undefined
    const status = this.#member.raftStatus()
    // Without a log it is alone.
    if (!status) return id === memberId ? { learnerMatch: 1, leaderMatch: 1 } : 'unknownMember'
    const { progress } = status
    const leader = progress.find((p) => p.id === memberId)
    const learner = progress.find((p) => p.id === id)
    if (!leader) return undefined
    return learner ? { learnerMatch: learner.match, leaderMatch: leader.match } : 'unknownMember'
  }

  async #awaitLeader(untilMs: number, signal: AbortSignal): Promise<bigint> {
    while (this.#member.leaderId === 0n) {
      if (this.#clock.monotonic() >= untilMs) throw etcdError('timeout')
      await sleep(this.#clock, leaderLookMs, signal)
    }
    return this.#member.leaderId
  }
}

function checkDowngradeFormat(version: string): void {
  if (!/^\d+\.\d+(\.\d+(-[0-9A-Za-z.-]+)?(\+.*)?)?$/.test(version)) throw etcdError('wrongDowngradeVersionFormat')
}

function checkedUrls(urls: readonly string[]): readonly string[] {
  try {
    return normalizeUrls(urls)
  } catch (error) {
    if (error instanceof UrlError) throw etcdError('memberBadUrls', { cause: error })
    throw error
  }
}
