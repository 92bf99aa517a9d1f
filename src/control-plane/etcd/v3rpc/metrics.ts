// /metrics under etcd's names: what was counted as it happened (metrics/etcd-metrics.ts), and what the state says at the moment of asking.
import type { EtcdInternals } from '../embedded.ts'
import { featureNames, stageOf } from '../features.ts'
import { etcdVersion } from '../version.ts'
import type { NetworkMetrics } from '../metrics/etcd-metrics.ts'
import type { PeerFigures } from '../peer/peer-metrics.ts'
import { clusterVersionOf, hasLeader, membersOf, raftOf } from './cluster-view.ts'
import { readProcess } from './process-metrics.ts'

export function formatMetrics(etcd: EtcdInternals): string {
  const { metrics } = etcd.member
  metrics.http.scraping.inc()
  try {
    readMember(etcd)
    readStore(etcd)
    readPeers(metrics.network, etcd.identity.memberId.toString(16), etcd.member.transport?.figures ?? [])
    readV2(etcd)
    readProcess(metrics.process)
    return metrics.text()
  } finally {
    metrics.http.scraping.dec()
    metrics.http.scrapes.of('200').inc()
  }
}

function readMember(etcd: EtcdInternals): void {
  const { member, identity } = etcd
  const { server, network } = member.metrics
  const { machine } = member
  const raft = raftOf(etcd)
  server.hasLeader.set(hasLeader(etcd) ? 1 : 0)
  server.isLeader.set(raft.isLeader ? 1 : 0)
  server.isLearner.set(raft.isLearner ? 1 : 0)
  server.proposalsCommitted.set(raft.committedIndex)
  server.proposalsApplied.set(raft.appliedIndex)
  server.proposalsPending.set(member.pendingProposals)
  server.quotaBackendBytes.set(Math.max(0, member.quotaBytes))
  server.authRevision.set(machine.auth.revision)
  server.version.of(etcdVersion).set(1)
  server.goVersion.of(`node ${process.version}`).set(1)
  server.id.of(identity.memberId.toString(16)).set(1)
  server.clusterVersion.clear()
  const version = clusterVersionOf(etcd)
  if (version !== undefined) server.clusterVersion.of(version.split('.').slice(0, 2).join('.')).set(1)
  for (const name of featureNames) server.featureEnabled.of(name, stageOf(name)).set(etcd.features[name] ? 1 : 0)
  server.alarms.clear()
  for (const { alarm, memberId } of machine.alarms) server.alarms.of(alarm, memberId.toString(16)).set(1)
  readPeers(network, identity.memberId.toString(16), member.transport?.figures ?? [])
  network.knownPeers.clear()
  for (const { id } of membersOf(etcd)) network.knownPeers.of(identity.memberId.toString(16), id.toString(16)).set(1)
}

/** What the transport between members has counted; what has not happened yet is not shown, as in the original. */
function readPeers(network: NetworkMetrics, local: string, peers: Iterable<PeerFigures>): void {
  for (const p of peers) {
    const id = p.id.toString(16)
    network.activePeers.of(local, id).set(p.isActive ? 1 : 0)
    if (p.disconnections > 0) network.disconnectedPeers.of(local, id).value = p.disconnections
    for (const [family, value] of [
      [network.peerSentBytes, p.sentBytes], [network.peerReceivedBytes, p.receivedBytes], [network.peerSentFailures, p.sendFailures], [network.peerReceivedFailures, p.receiveFailures],
      [network.snapshotSendSuccess, p.snapshotsSent], [network.snapshotSendFailures, p.snapshotSendFailures], [network.snapshotReceiveSuccess, p.snapshotsReceived], [network.snapshotReceiveFailures, p.snapshotReceiveFailures],
    ] as const) if (value > 0) family.of(id).value = value
    if (p.snapshotSendsUnderWay + p.snapshotsSent + p.snapshotSendFailures > 0) network.snapshotSendInflights.of(id).set(p.snapshotSendsUnderWay)
    if (p.snapshotReceivesUnderWay + p.snapshotsReceived + p.snapshotReceiveFailures > 0) network.snapshotReceiveInflights.of(id).set(p.snapshotReceivesUnderWay)
    for (const [family, histogram] of [[network.peerRoundTrip, p.roundTrip], [network.snapshotSendDuration, p.snapshotSendSeconds], [network.snapshotReceiveDuration, p.snapshotReceiveSeconds]] as const) {
      if (histogram.count > 0) family.adopt(histogram, id)
    }
  }
}

function readStore({ member }: EtcdInternals): void {
  const { mvcc } = member.metrics
  const { store } = member.machine
  const { operations } = store
  mvcc.puts.value = operations.puts
  mvcc.deletes.value = operations.deletes
  mvcc.txns.value = operations.commits
  mvcc.totalPutSize.set(operations.putBytes)
  mvcc.dbCompactionKeys.value = operations.forgotten
  mvcc.openReadTransactions.set(store.walks)
  mvcc.keys.set(store.keyCount)
  mvcc.dbSize.set(store.sizeBytes)
  mvcc.dbSizeInUse.set(store.sizeInUseBytes)
  mvcc.currentRevision.set(store.revision)
  mvcc.compactRevision.set(store.compactedRevision)
  mvcc.watchers.set(member.hub.watcherCount)
  mvcc.events.value = member.hub.delivered
  mvcc.slowWatchers.set(member.hub.slowWatcherCount)
}

/** Actions of the second API and what its statistics call them. */
const reads: readonly (readonly [action: string, counter: string])[] = [['get', 'gets']]
const writes: readonly (readonly [action: string, counter: string])[] = [
  ['set', 'sets'], ['update', 'update'], ['create', 'create'], ['delete', 'delete'], ['compareAndSwap', 'compareAndSwap'], ['compareAndDelete', 'compareAndDelete'],
]

function readV2({ member }: EtcdInternals): void {
  const { v2 } = member.metrics
  const { stats, watchers } = member.machine.v2
  v2.watchers.set(watchers.count)
  v2.watchRequests.value = watchers.asked
  v2.expires.value = stats['expireCount'] ?? 0
  for (const [list, good, bad] of [[reads, v2.reads, v2.readsFailed], [writes, v2.writes, v2.writesFailed]] as const) {
    for (const [action, counter] of list) {
      const [succeeded = 0, failed = 0] = [stats[`${counter}Success`], stats[`${counter}Fail`]]
      if (succeeded > 0) good.of(action).value = succeeded
      if (failed > 0) bad.of(action).value = failed
    }
  }
}
