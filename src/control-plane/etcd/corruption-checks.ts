// Compares this member's keys with the others': once before it serves (InitialCorruptCheck), and as the leader regularly (--corrupt-check-time,
// CompactHashCheck). Who differs raises the CORRUPT alarm, which stops writes and reads until an administrator has looked.
// Upstream: etcd/server/etcdserver/corrupt.go
import { sleep, type Clock } from '../../lib/base/clock.ts'
import { describeError, type Logger } from '../../lib/component-base/log.ts'
import type { EtcdInternals } from './embedded.ts'
import { differingPeers, findCorrupt, findMinority, type PeerHash } from './membership/compare-hashes.ts'
import { hashKeyValues, type KeyValueHash } from './mvcc/hash-kv.ts'
import type { PeerClient } from './peer/peer-client.ts'
import { fetchHash } from './peer/peer-requests.ts'
import { yieldToLoop } from './yield-to-loop.ts'

/** Other members hold other keys at the same revision. */
export class InconsistentDataError extends Error {
  override readonly name = 'InconsistentDataError'
}

export interface CorruptionCheckOptions {
  readonly etcd: EtcdInternals
  readonly peerClient: PeerClient
  readonly clock: Clock
  readonly logger: Logger
}

export class CorruptionChecks {
  readonly #options: CorruptionCheckOptions
  #checkedCompaction = 0

  constructor(options: CorruptionCheckOptions) { this.#options = options }

  /** Before this member takes part. @throws InconsistentDataError */
  async checkInitially(signal: AbortSignal): Promise<void> {
    const { etcd, logger } = this.#options
    const own = await this.#ownHash(0)
    const peers = await this.#askPeers(own.revision, signal)
    const differing = differingPeers(own, peers.filter((peer) => peer !== undefined))
    if (differing.length > 0) {
      logger.warn('found different hash values from remote peer', { revision: own.revision, hash: own.hash, peers: differing.map((id) => id.toString(16)).join(',') })
      throw new InconsistentDataError(`${etcd.identity.memberId.toString(16)} found data inconsistency with peers`)
    }
    logger.info('initial corruption checking passed; no corruption', { compared: peers.filter((peer) => peer !== undefined).length })
  }

  /** While this member leads, every `intervalMs`; until the signal. */
  async checkRegularly(kind: 'keys' | 'compactions', intervalMs: number, signal: AbortSignal): Promise<void> {
    const { etcd, clock, logger } = this.#options
    for (;;) {
      await sleep(clock, intervalMs, signal).catch(() => {})
      if (signal.aborted) return
      if (!etcd.member.isLeader) continue
      try {
        await (kind === 'keys' ? this.checkKeys(signal) : this.checkCompaction(signal))
      } catch (error) {
        if (!signal.aborted) logger.warn('failed to check hash KV', { why: describeError(error) })
      }
    }
  }

  /** At the newest revision. */
  async checkKeys(signal: AbortSignal): Promise<void> {
    const { etcd, logger } = this.#options
    const first = await this.#ownHash(0)
    const peers = (await this.#askPeers(first.revision, signal)).filter((peer) => peer !== undefined)
    await etcd.member.readIndex(signal)
    const later = await this.#ownHash(0)
    const corrupt = findCorrupt(etcd.identity.memberId, first, peers, later, etcd.member.machine.store.revision)
    if (corrupt !== undefined) await this.#raiseAlarm(corrupt, signal)
    logger.info('finished peer corruption check', { compared: peers.length })
  }

  /** At the newest compaction that all can be compared at: it is the same on all members, whatever was written since. */
  async checkCompaction(signal: AbortSignal): Promise<void> {
    const { etcd, logger } = this.#options
    for (const own of etcd.compactionHashes.list) {
      if (own.revision <= this.#checkedCompaction) return
      const { corrupt, isWhole, hasMajority } = findMinority(etcd.identity.memberId, own, await this.#askPeers(own.revision, signal))
      if (corrupt.length > 0) logger.warn('compaction hashes differ', { revision: own.revision, members: corrupt.map((id) => id.toString(16)).join(','), hasMajority })
      // Without a majority nobody can say who is wrong: the whole cluster is.
      if (hasMajority) for (const id of corrupt) await this.#raiseAlarm(id, signal)
      else await this.#raiseAlarm(0n, signal)
      logger.info('finished compaction hash check', { revision: own.revision, isWhole })
      if (!isWhole && corrupt.length === 0) continue
      this.#checkedCompaction = own.revision
      return
    }
  }

  #ownHash(revision: number): Promise<KeyValueHash> { return hashKeyValues(this.#options.etcd.member.machine.store, revision, yieldToLoop) }

  /** Side by side; undefined for those that gave none. */
  #askPeers(revision: number, signal: AbortSignal): Promise<readonly (PeerHash | undefined)[]> {
    const { etcd, peerClient, logger } = this.#options
    const { identity, admin, electionTimeoutMs } = etcd
    const others = admin.members().filter((member) => member.id !== identity.memberId)
    return Promise.all(others.map(async ({ id, peerUrls }) => {
      try {
        return { id, ...await fetchHash(peerClient, identity.clusterId, peerUrls, revision, signal, 5000 + 2 * electionTimeoutMs) }
      } catch (error) {
        if (signal.aborted) throw signal.reason
        logger.warn('cannot fetch hash from remote peer', { peer: id.toString(16), revision, why: describeError(error) })
        return undefined
      }
    }))
  }

  async #raiseAlarm(memberId: bigint, signal: AbortSignal): Promise<void> {
    this.#options.logger.warn('data corruption detected: alarm CORRUPT', { member: memberId.toString(16) })
    await this.#options.etcd.member.propose({ type: 'alarm', action: 'ACTIVATE', memberId, alarm: 'CORRUPT' }, signal)
  }
}
