// What members do for their cluster besides Raft: each says its name and client URLs once it takes part; the leader decides which version all
// of them speak, and ends a downgrade that is done. Upstream: etcdserver/server.go (publish, monitorVersions)
import { sleep, type Clock } from '../../../lib/base/clock.ts'
import type { Logger } from '../../../lib/component-base/log.ts'
import { EtcdError } from '../../../lib/etcd-api/etcd-error.ts'
import { decideClusterVersion, isDowngradeDone } from '../membership/cluster-version.ts'
import type { Member } from '../member.ts'
import { etcdVersion } from '../version.ts'
import { noQuestions, type PeerQuestions } from './peer-questions.ts'

export interface LeaderDutiesOptions {
  readonly member: Member
  readonly clock: Clock
  readonly logger: Logger
  readonly name: string
  readonly clientUrls: readonly string[]
  /** How often is looked whether a downgrade is done; 0: never. Default 5 s. */
  readonly downgradeCheckMs?: number | undefined
}

/** How often versions are looked at. */
const monitorIntervalMs = 4000
const downgradeIntervalMs = 5000
const retryMs = 500

export class LeaderDuties {
  readonly #options: LeaderDutiesOptions
  readonly #ended = new AbortController()
  #questions: PeerQuestions = noQuestions
  #reign: AbortController | undefined
  #isMonitoring = false

  constructor(options: LeaderDutiesOptions) { this.#options = options }

  /** Resolves when this member has said who it is; rejects when it ends before. */
  async start(questions: PeerQuestions): Promise<void> {
    const { member, clock, name, clientUrls, logger } = this.#options
    this.#questions = questions
    const { signal } = this.#ended
    for (;;) {
      signal.throwIfAborted()
      try {
        // Also when nothing is to be said: by then everything that was committed before is applied here.
        await member.readIndex(signal)
        const own = member.machine.membership.members.get(member.memberId)
        const isSaid = own !== undefined && own.name === name && own.clientUrls.join() === clientUrls.join()
        if (own === undefined || isSaid) { if (isSaid || member.isSole) return } else {
          await member.propose({ type: 'clusterMemberAttrSet', memberId: member.memberId, name, clientUrls }, signal)
          return
        }
      } catch (error) {
        if (signal.aborted || !(error instanceof EtcdError)) throw error
        logger.warn('this member could not say who it is yet', { error: error.message })
      }
      await sleep(clock, retryMs, signal)
    }
  }

  startLeading(): void {
    const reign = new AbortController()
    this.#reign = reign
    const signal = AbortSignal.any([reign.signal, this.#ended.signal])
    this.#isMonitoring = true
    this.#monitor(signal).catch((error: unknown) => { if (!signal.aborted) this.#options.logger.error('the versions of the members were not looked at', error) })
  }

  stopLeading(): void { this.#reign?.abort() }

  /** Something to look at may have come: another member, a downgrade. A leader that was alone had stopped looking. */
  look(): void { if (this.#reign && !this.#reign.signal.aborted && !this.#isMonitoring) this.startLeading() }
  stop(): void { this.#ended.abort() }

  async #monitor(signal: AbortSignal): Promise<void> {
    const { member, clock, logger, downgradeCheckMs = downgradeIntervalMs } = this.#options
    let [decideMs, checkMs] = [clock.monotonic(), clock.monotonic() + (downgradeCheckMs || Infinity)]
    while (!signal.aborted) {
      const now = clock.monotonic()
      const [decides, checks] = [now >= decideMs, now >= checkMs]
      if (decides) decideMs = now + monitorIntervalMs
      if (checks) checkMs = now + downgradeCheckMs
      try {
        if (decides || (checks && member.machine.membership.downgrade.enabled)) await this.#decide(decides, checks, signal)
      } catch (error) {
        if (signal.aborted) return
        logger.warn('the cluster version was not decided', { error: String(error) })
      }
      // A member that is alone knows its version.
      if (member.isSole && !member.machine.membership.downgrade.enabled) { this.#isMonitoring = false; return }
      await sleep(clock, Math.max(0, Math.min(decideMs, checkMs) - clock.monotonic()), signal).catch(() => {})
    }
  }

  /** @param decides about the cluster's version @param checks whether a downgrade is done */
  async #decide(decides: boolean, checks: boolean, signal: AbortSignal): Promise<void> {
    const { member, logger } = this.#options
    const { membership } = member.machine
    if (membership.members.size === 0) return
    const others = await this.#questions.serverVersions(membership.list(), member.memberId, signal)
    const serverVersions = membership.list().map(({ id }) => (id === member.memberId ? etcdVersion : others.get(id)))
    if (checks && isDowngradeDone(membership.downgrade, serverVersions)) await member.propose({ type: 'downgradeInfoSet', enabled: false, version: '' }, signal)
    if (!decides) return
    const decision = decideClusterVersion({ current: membership.clusterVersion, downgrade: membership.downgrade, serverVersions })
    if (decision.type === 'set') {
      logger.info('the cluster version is set', { from: membership.clusterVersion ?? 'none', to: decision.version })
      await member.propose({ type: 'clusterVersionSet', version: decision.version }, signal)
    }
  }
}
