// What a member and its servers are told of the flags: names and units of one beside those of the other.
import type { EtcdOptions } from '../../control-plane/etcd/embedded.ts'
import type { FeatureSwitches } from '../../control-plane/etcd/features.ts'
import { normalizeUrls, parseMemberUrl } from '../../control-plane/etcd/membership/parse-urls.ts'
import { shortestPeerTimeoutMs, type PeerTimeouts } from '../../control-plane/etcd/peer/peer-timeouts.ts'
import type { ServeEtcdOptions } from '../../control-plane/etcd/v3rpc/serve-etcd.ts'
import type { Logger } from '../../lib/component-base/log.ts'
import type { EtcdSettings } from './check-settings.ts'

/** With the feature LeaseCheckpoint. */
const leaseCheckpointIntervalMs = 300_000
const shortestProgressMs = 100
const megabyte = 1024 * 1024
const usualBatch = 1000
const usualPauseMs = 10
const usualWarningMs = 300

export function memberOptionsOf(flags: EtcdSettings, features: FeatureSwitches): Omit<EtcdOptions, 'disk' | 'clock' | 'random' | 'logger' | 'transport' | 'initialCluster'> {
  return {
    name: flags.name,
    peerUrls: normalizeUrls(flags['initial-advertise-peer-urls']),
    clientUrls: normalizeUrls(flags['advertise-client-urls']),
    clusterToken: flags['initial-cluster-token'],
    quotaBackendBytes: flags['quota-backend-bytes'],
    maxRequestBytes: flags['max-request-bytes'],
    maxTxnOps: flags['max-txn-ops'],
    snapshotCount: flags['snapshot-count'],
    snapshotCatchUpEntries: flags['snapshot-catchup-entries'],
    maxSnapshots: flags['max-snapshots'],
    maxWals: flags['max-wals'],
    bootstrapDefragmentBytes: flags['bootstrap-defrag-threshold-megabytes'] * megabyte,
    // The original takes 0 for the usual.
    compactionPace: { batchRevisions: Math.max(1, flags['compaction-batch-limit'] || usualBatch), pauseMs: flags['compaction-sleep-interval'] || usualPauseMs },
    watchProgressNotifyIntervalMs: Math.max(shortestProgressMs, flags['watch-progress-notify-interval']),
    warningApplyMs: flags['warning-apply-duration'],
    electionTimeoutMs: flags['election-timeout'],
    heartbeatIntervalMs: flags['heartbeat-interval'],
    preVote: flags['pre-vote'],
    hurryFirstElection: flags['initial-election-tick-advance'],
    strictReconfigCheck: flags['strict-reconfig-check'],
    maxLearners: flags['max-learners'],
    downgradeCheckMs: flags['downgrade-check-time'],
    hashCompactions: features.CompactHashCheck,
    forceNewCluster: flags['force-new-cluster'],
    authToken: flags['auth-token'],
    authTokenTtlMs: flags['auth-token-ttl'] * 1000,
    bcryptCost: flags['bcrypt-cost'],
    clientCertAuth: flags['client-cert-auth'],
    features,
    ...(features.LeaseCheckpoint ? { leaseCheckpointIntervalMs } : {}),
  }
}

export function serverOptionsOf(flags: EtcdSettings): Omit<ServeEtcdOptions, 'clock' | 'listen' | 'tls' | 'tracer' | 'pprof'> {
  const keepAlive = {
    ...(flags['grpc-keepalive-min-time'] > 0 ? { minPingIntervalMs: flags['grpc-keepalive-min-time'] } : {}),
    // Both or none, as in the original.
    ...(flags['grpc-keepalive-interval'] > 0 && flags['grpc-keepalive-timeout'] > 0 ? { intervalMs: flags['grpc-keepalive-interval'], timeoutMs: flags['grpc-keepalive-timeout'] } : {}),
  }
  return {
    maxRequestBytes: flags['max-request-bytes'],
    gateway: flags['enable-grpc-gateway'],
    v2: flags['enable-v2'],
    metrics: flags.metrics === 'extensive' ? 'extensive' : 'basic',
    maxConcurrentStreams: flags['max-concurrent-streams'],
    keepAlive,
    requestWarnings: { unaryMs: flags['warning-unary-request-duration'] || usualWarningMs, applyMs: flags['warning-apply-duration'], tellsAll: flags['log-level'] === 'debug' },
    ...(isOpen(flags.cors) ? {} : { cors: flags.cors.split(',') }),
    ...(isOpen(flags['host-whitelist']) ? {} : { hostWhitelist: flags['host-whitelist'].split(',') }),
  }
}

function isOpen(list: string): boolean { return list === '' || list === '*' }

/** Shorter ones are made as long as members expect of each other. */
export function peerTimeoutsOf(flags: EtcdSettings, logger: Logger): PeerTimeouts {
  const atLeast = (flag: 'raft-read-timeout' | 'raft-write-timeout'): number => {
    if (flags[flag] < shortestPeerTimeoutMs) logger.info(`${flag} increased to minimum value: ${shortestPeerTimeoutMs / 1000}s`)
    return Math.max(shortestPeerTimeoutMs, flags[flag])
  }
  return { readMs: atLeast('raft-read-timeout'), writeMs: atLeast('raft-write-timeout') }
}

/** The address that connections to other members come from (the feature SetMemberLocalAddr): the first that is advertised and is one. */
export function localAddressOf(flags: EtcdSettings, features: FeatureSwitches, logger: Logger): string | undefined {
  if (!features.SetMemberLocalAddr) return undefined
  const address = flags['initial-advertise-peer-urls'].map((url) => parseMemberUrl(url).host).find((host) => /^[\d.]+$|:/.test(host) && !/^127\.|^0\.0\.0\.0$|^::1?$/.test(host))
  if (address === undefined) logger.warn('unable to set a member local address due to lack of suitable local addresses', { 'advertise-peer-urls': flags['initial-advertise-peer-urls'].join(',') })
  else logger.info('setting member local address', { LocalAddr: address })
  return address
}
