// Connects a member with the others of its cluster: listens on the peer URLs, dials the others, and answers what they ask.
import type { Clock } from '../../lib/base/clock.ts'
import type { Logger } from '../../lib/component-base/log.ts'
import type { EtcdInternals } from './embedded.ts'
import { hashKeyValues } from './mvcc/hash-kv.ts'
import { openPeerTransport, type OpenPeerTransport } from './peer/open-peer-transport.ts'
import type { PeerRequests } from './peer/peer-requests.ts'
import type { PeerTimeouts } from './peer/peer-timeouts.ts'
import type { PeerTls } from './peer/peer-tls.ts'
import type { PeerHandler } from './peer/peer-transport.ts'
import { defaultFrameLimitBytes } from './peer/stream-frames.ts'
import { requireAdmin } from './v3rpc/access.ts'
import { storageVersionOf } from './v3rpc/maintenance-service.ts'
import { yieldToLoop } from './yield-to-loop.ts'

export interface PeerConnectionOptions {
  /** `--listen-peer-urls`. */
  readonly listenUrls: readonly string[]
  /** `--initial-advertise-peer-urls`. */
  readonly advertiseUrls: readonly string[]
  readonly tls?: PeerTls
  readonly timeouts?: PeerTimeouts
  /** The address that connections to others come from. */
  readonly localAddress?: string
  /** Of this member; others are believed to allow no more than eight times as much. */
  readonly maxRequestBytes?: number
  readonly clock: Clock
  readonly logger: Logger
  /** Called when the way to the others stands, before this member takes part in anything. What it throws ends the start. */
  readonly beforeStart?: (etcd: EtcdInternals, transport: OpenPeerTransport) => Promise<void>
}

/** What openEtcd takes as `transport`. */
export function connectMembers(options: PeerConnectionOptions): (handler: PeerHandler, etcd: EtcdInternals) => Promise<OpenPeerTransport> {
  return async (handler, etcd) => {
    const { electionTimeoutMs, identity } = etcd
    const transport = await openPeerTransport({
      id: identity.memberId, clusterId: identity.clusterId, listenUrls: options.listenUrls, advertiseUrls: options.advertiseUrls, clock: options.clock, logger: options.logger.named('peer'), handler,
      requests: peerRequestsOf(etcd), dialTimeoutMs: 1000 + electionTimeoutMs, requestTimeoutMs: 5000 + 2 * electionTimeoutMs,
      frameLimitBytes: Math.max(defaultFrameLimitBytes, 8 * (options.maxRequestBytes ?? 0)), ...(options.tls && { tls: options.tls }), ...(options.timeouts && { timeouts: options.timeouts }),
      ...(options.localAddress && { localAddress: options.localAddress }),
    })
    try {
      await options.beforeStart?.(etcd, transport)
    } catch (error) {
      await transport[Symbol.asyncDispose]()
      throw error
    }
    return transport
  }
}

/** How a member answers others. */
export function peerRequestsOf(etcd: EtcdInternals): PeerRequests {
  const { member, admin } = etcd
  const { membership, store } = member.machine
  return {
    members: () => admin.members(),
    versions: () => ({ cluster: membership.clusterVersion, storage: storageVersionOf(member) }),
    promote: async (id, token, signal) => {
      requireAdmin(etcd, { headers: token === undefined ? {} : { token } })
      return await admin.promote(id, token, signal)
    },
    renewLease: (id, signal) => member.renewOwnLease(id, signal),
    leaseTimes: (id, withKeys, signal) => member.ownLeaseTimes(id, withKeys, signal),
    hashKeyValues: async (revision) => ({ ...etcd.compactionHashes.find(revision) ?? await hashKeyValues(store, revision, yieldToLoop), currentRevision: store.revision }),
    isDowngradeEnabled: (signal) => admin.isDowngradeEnabled(signal),
  }
}
