// The tables of what etcd measures, under the original's names. What counts as it happens is counted where it happens; what can be read from the
// state when somebody scrapes is filled in by v3rpc/metrics.ts. Go's own names (go_*) are left out: there is no Go here.
// Upstream: the `metrics.go` files of etcd/server
import { doublingBounds } from './instruments.ts'
import { counter, counters, gauge, gauges, histogram, histograms } from './metric-rows.ts'

const fine = doublingBounds(0.0001, 20)
const usual = doublingBounds(0.001, 14)
const snapshots = doublingBounds(0.1, 10)
const callLabels = ['grpc_method', 'grpc_service', 'grpc_type']

/** The member in its cluster. */
export const serverRows = {
  hasLeader: gauge('etcd_server_has_leader', 'Whether this member knows of a leader: 1 yes, 0 no.'),
  isLeader: gauge('etcd_server_is_leader', 'Whether this member leads: 1 yes, 0 no.'),
  isLearner: gauge('etcd_server_is_learner', 'Whether this member is a learner: 1 yes, 0 no.'),
  leaderChanges: counter('etcd_server_leader_changes_seen_total', 'Changes of leader that this member has seen.'),
  learnerPromoteFailures: counters('etcd_server_learner_promote_failures', 'Promotions of learners that this member refused while it led.', ['Reason']),
  learnerPromoteSuccesses: counter('etcd_server_learner_promote_successes', 'Promotions of learners that this member carried out while it led.'),
  heartbeatSendFailures: counter('etcd_server_heartbeat_send_failures_total', 'Heartbeats that went out late, as when the disk is too slow.'),
  snapshotApplyInProgress: gauge('etcd_server_snapshot_apply_in_progress_total', 'Snapshots from the leader that are being taken over: 0 or 1.'),
  proposalsCommitted: gauge('etcd_server_proposals_committed_total', 'Index of the last entry that is committed.'),
  proposalsApplied: gauge('etcd_server_proposals_applied_total', 'Index of the last entry that is applied.'),
  proposalsPending: gauge('etcd_server_proposals_pending', 'Proposals that wait to be committed.'),
  proposalsFailed: counter('etcd_server_proposals_failed_total', 'Proposals that failed.'),
  requestDuration: histograms('etcd_server_request_duration_seconds', 'Time from a request to its answer.', ['success', 'type'], usual),
  applyDuration: histograms('etcd_server_apply_duration_seconds', 'Time that applying a request takes.', ['op', 'success', 'version'], fine),
  rangeDuration: histograms('etcd_server_range_duration_seconds', 'Time that reading a range takes.', ['success'], fine),
  slowApply: counter('etcd_server_slow_apply_total', 'Requests whose applying took too long.'),
  slowReadIndexes: counter('etcd_server_slow_read_indexes_total', 'Read-index requests that were slow, or had no answer in time.'),
  readIndexesFailed: counter('etcd_server_read_indexes_failed_total', 'Read-index requests that failed.'),
  version: gauges('etcd_server_version', "The server's version in the label, with 1.", ['server_version']),
  goVersion: gauges('etcd_server_go_version', 'The runtime in the label, with 1; here it is Node.js.', ['server_go_version']),
  id: gauges('etcd_server_id', "The member's id in the label, with 1.", ['server_id']),
  clusterVersion: gauges('etcd_cluster_version', "The cluster's version in the label, with 1.", ['cluster_version']),
  featureEnabled: gauges('etcd_server_feature_enabled', 'Features: 1 on, 0 off.', ['name', 'stage']),
  quotaBackendBytes: gauge('etcd_server_quota_backend_bytes', 'Size at which the store takes nothing more, bytes.'),
  alarms: gauges('etcd_debugging_server_alarms', 'Alarms that are raised.', ['alarm_type', 'server_id']),
  authRevision: gauge('etcd_debugging_auth_revision', 'Revision of users and roles.'),
}

/** Log, database file and snapshots. */
export const diskRows = {
  walFsync: histogram('etcd_disk_wal_fsync_duration_seconds', 'Time until a write of the log is on the disk.', usual),
  walWriteBytes: gauge('etcd_disk_wal_write_bytes_total', 'Bytes written to the log.'),
  backendCommit: histogram('etcd_disk_backend_commit_duration_seconds', 'Time that a commit of the database file takes.', usual),
  backendDefrag: histogram('etcd_disk_backend_defrag_duration_seconds', 'Time that a defragmentation takes.', doublingBounds(0.1, 13)),
  backendSnapshot: histogram('etcd_disk_backend_snapshot_duration_seconds', 'Time that sending a snapshot of the database takes.', doublingBounds(0.01, 17)),
  defragInflight: gauge('etcd_disk_defrag_inflight', 'Whether a defragmentation runs: 1 yes, 0 no.'),
  snapFsync: histogram('etcd_snap_fsync_duration_seconds', 'Time until a snapshot file is on the disk.', usual),
  snapDbSave: histogram('etcd_snap_db_save_total_duration_seconds', 'Time that storing a received database takes.', snapshots),
  snapDbFsync: histogram('etcd_snap_db_fsync_duration_seconds', 'Time until a received database is on the disk.', usual),
  snapSave: histogram('etcd_debugging_snap_save_total_duration_seconds', 'Time that saving a snapshot takes.', usual),
}

/** Keys, revisions, watches. */
export const mvccRows = {
  ranges: counter('etcd_mvcc_range_total', 'Ranges read on this member.'),
  puts: counter('etcd_mvcc_put_total', 'Puts seen by this member.'),
  deletes: counter('etcd_mvcc_delete_total', 'Deletions seen by this member.'),
  txns: counter('etcd_mvcc_txn_total', 'Transactions seen by this member.'),
  keys: gauge('etcd_debugging_mvcc_keys_total', 'Keys in the store.'),
  watchStreams: gauge('etcd_debugging_mvcc_watch_stream_total', 'Streams with watches.'),
  watchers: gauge('etcd_debugging_mvcc_watcher_total', 'Watches.'),
  slowWatchers: gauge('etcd_debugging_mvcc_slow_watcher_total', 'Watches that are behind.'),
  events: counter('etcd_debugging_mvcc_events_total', 'Events sent by this member.'),
  dbCompactionPauseMs: histogram('etcd_debugging_mvcc_db_compaction_pause_duration_milliseconds', 'Pauses of the store while it is compacted.', doublingBounds(1, 13)),
  dbCompactionTotalMs: histogram('etcd_debugging_mvcc_db_compaction_total_duration_milliseconds', 'Time that a compaction of the store takes.', doublingBounds(100, 14)),
  dbCompactionLast: gauge('etcd_debugging_mvcc_db_compaction_last', 'When the store was last compacted, seconds since the epoch.'),
  dbCompactionKeys: counter('etcd_debugging_mvcc_db_compaction_keys_total', 'Revisions of keys that compactions removed.'),
  dbSize: gauge('etcd_mvcc_db_total_size_in_bytes', 'Bytes allocated for the store.'),
  dbSizeInUse: gauge('etcd_mvcc_db_total_size_in_use_in_bytes', 'Bytes of the store that are in use.'),
  openReadTransactions: gauge('etcd_mvcc_db_open_read_transactions', 'Reads of the store that go on now.'),
  hashDuration: histogram('etcd_mvcc_hash_duration_seconds', 'Time that a hash of the database takes.', doublingBounds(0.01, 15)),
  hashRevisionDuration: histogram('etcd_mvcc_hash_rev_duration_seconds', 'Time that a hash of the keys up to a revision takes.', doublingBounds(0.01, 15)),
  currentRevision: gauge('etcd_debugging_mvcc_current_revision', 'Current revision.'),
  compactRevision: gauge('etcd_debugging_mvcc_compact_revision', 'Revision of the last compaction.'),
  totalPutSize: gauge('etcd_debugging_mvcc_total_put_size_in_bytes', 'Bytes of all puts.'),
  watchSend: histogram('etcd_debugging_server_watch_send_loop_watch_stream_duration_seconds', 'Time that handing over the events of a watch takes.', usual),
  watchSendPerEvent: histogram('etcd_debugging_server_watch_send_loop_watch_stream_duration_per_event_seconds', 'The same, divided by the number of events.', usual),
  watchSendControl: histogram('etcd_debugging_server_watch_send_loop_control_stream_duration_seconds', 'Time that handing over answers to requests of a watch stream takes.', usual),
  watchSendProgress: histogram('etcd_debugging_server_watch_send_loop_progress_duration_seconds', 'Time that telling the progress of watches takes.', usual),
}

/** Leases. */
export const leaseRows = {
  granted: counter('etcd_debugging_lease_granted_total', 'Leases granted.'),
  revoked: counter('etcd_debugging_lease_revoked_total', 'Leases revoked.'),
  renewed: counter('etcd_debugging_lease_renewed_total', 'Renewals of leases seen by the leader.'),
  expired: counter('etcd_debugging_server_lease_expired_total', 'Leases that ran out.'),
  ttl: histogram('etcd_debugging_lease_ttl_total', 'Times to live of leases, seconds.', doublingBounds(1, 24)),
}

/** Clients' and peers' bytes. Ids of members are in hex. */
export const networkRows = {
  clientReceivedBytes: counter('etcd_network_client_grpc_received_bytes_total', 'Bytes of messages from gRPC clients.'),
  clientSentBytes: counter('etcd_network_client_grpc_sent_bytes_total', 'Bytes of messages to gRPC clients.'),
  streamFailures: counters('etcd_network_server_stream_failures_total', 'Streams of clients that failed on this member.', ['API', 'Type']),
  knownPeers: gauges('etcd_network_known_peers', 'Members that this one knows of.', ['Local', 'Remote']),
  activePeers: gauges('etcd_network_active_peers', 'Members with which there is a connection.', ['Local', 'Remote']),
  disconnectedPeers: counters('etcd_network_disconnected_peers_total', 'Lost connections to members.', ['Local', 'Remote']),
  peerSentBytes: counters('etcd_network_peer_sent_bytes_total', 'Bytes sent to members.', ['To']),
  peerReceivedBytes: counters('etcd_network_peer_received_bytes_total', 'Bytes received from members.', ['From']),
  peerSentFailures: counters('etcd_network_peer_sent_failures_total', 'Messages to members that could not be sent.', ['To']),
  peerReceivedFailures: counters('etcd_network_peer_received_failures_total', 'Messages from members that could not be read.', ['From']),
  peerRoundTrip: histograms('etcd_network_peer_round_trip_time_seconds', 'Time to a member and back.', ['To'], doublingBounds(0.0001, 16)),
  snapshotSendSuccess: counters('etcd_network_snapshot_send_success', 'Snapshots sent.', ['To']),
  snapshotSendInflights: gauges('etcd_network_snapshot_send_inflights_total', 'Snapshots that are being sent.', ['To']),
  snapshotSendFailures: counters('etcd_network_snapshot_send_failures', 'Snapshots that could not be sent.', ['To']),
  snapshotSendDuration: histograms('etcd_network_snapshot_send_total_duration_seconds', 'Time that sending a snapshot takes.', ['To'], snapshots),
  snapshotReceiveSuccess: counters('etcd_network_snapshot_receive_success', 'Snapshots received.', ['From']),
  snapshotReceiveInflights: gauges('etcd_network_snapshot_receive_inflights_total', 'Snapshots that are being received.', ['From']),
  snapshotReceiveFailures: counters('etcd_network_snapshot_receive_failures', 'Snapshots whose receipt failed.', ['From']),
  snapshotReceiveDuration: histograms('etcd_network_snapshot_receive_total_duration_seconds', 'Time that receiving a snapshot takes.', ['From'], snapshots),
}

/** gRPC calls, under the names of go-grpc-middleware. */
export const grpcRows = {
  started: counters('grpc_server_started_total', 'Calls that have begun.', callLabels),
  handled: counters('grpc_server_handled_total', 'Calls that have ended, by status.', ['grpc_code', ...callLabels]),
  received: counters('grpc_server_msg_received_total', 'Messages received.', callLabels),
  sent: counters('grpc_server_msg_sent_total', 'Messages sent.', callLabels),
  clientRequests: counters('etcd_server_client_requests_total', "Requests of clients, by the client's version.", ['client_api_version', 'type']),
}

/** Health checks and /metrics itself. */
export const httpRows = {
  healthSuccess: counter('etcd_server_health_success', 'Answers of /health that said true.'),
  healthFailures: counter('etcd_server_health_failures', 'Answers of /health that said false.'),
  healthcheck: gauges('etcd_server_healthcheck', 'What each check of /livez and /readyz said last: 1 good, 0 bad.', ['name', 'type']),
  healthchecks: counters('etcd_server_healthchecks_total', 'Checks of /livez and /readyz.', ['name', 'status', 'type']),
  scrapes: counters('promhttp_metric_handler_requests_total', 'Answers of /metrics, by status.', ['code']),
  scraping: gauge('promhttp_metric_handler_requests_in_flight', 'Answers of /metrics that are being made.'),
}

/** The second API's store. */
export const v2Rows = {
  reads: counters('etcd_debugging_store_reads_total', 'Reads of the second API, by action.', ['action']),
  writes: counters('etcd_debugging_store_writes_total', 'Writes of the second API, by action.', ['action']),
  readsFailed: counters('etcd_debugging_store_reads_failed_total', 'Reads of the second API that failed.', ['action']),
  writesFailed: counters('etcd_debugging_store_writes_failed_total', 'Writes of the second API that failed.', ['action']),
  expires: counter('etcd_debugging_store_expires_total', 'Keys of the second API that ran out.'),
  watchRequests: counter('etcd_debugging_store_watch_requests_total', 'Watches of the second API that were asked for.'),
  watchers: gauge('etcd_debugging_store_watchers', 'Watches of the second API.'),
}

/** The process, as Linux tells. */
export const processRows = {
  fdLimit: gauge('os_fd_limit', 'Files that the process may have open.'),
  fdUsed: gauge('os_fd_used', 'Files that the process has open.'),
  cpuSeconds: counter('process_cpu_seconds_total', 'Processor time used, seconds.'),
  maxFds: gauge('process_max_fds', 'Files that the process may have open.'),
  openFds: gauge('process_open_fds', 'Files that the process has open.'),
  receivedBytes: counter('process_network_receive_bytes_total', "Bytes that the process's network namespace received."),
  transmittedBytes: counter('process_network_transmit_bytes_total', "Bytes that the process's network namespace sent."),
  residentBytes: gauge('process_resident_memory_bytes', 'Memory in use, bytes.'),
  startTimeSeconds: gauge('process_start_time_seconds', 'When the process began, seconds since the epoch.'),
  virtualBytes: gauge('process_virtual_memory_bytes', 'Virtual memory, bytes.'),
  virtualMaxBytes: gauge('process_virtual_memory_max_bytes', 'Most virtual memory that the process may have, bytes.'),
}

/**
 * Shown because the original shows them, and still: what they measure does not happen here. The original's server shows its proxy's, too, although
 * that is another program.
 */
export const stillRows = {
  snapMarshalling: histogram('etcd_debugging_snap_save_marshalling_duration_seconds', 'Part of saving a snapshot: encoding it (not measured here: it is encoded while it is written).', usual),
  walWrite: histogram('etcd_disk_wal_write_duration_seconds', 'Time that writing to the log takes, without waiting for the disk (not measured here: writing and waiting for the disk are one call here, see fsync).', usual),
  backendCommitRebalance: histogram('etcd_debugging_disk_backend_commit_rebalance_duration_seconds', 'Part of a commit: balancing pages (not measured here: the database is written whole: no pages are balanced).', usual),
  backendCommitSpill: histogram('etcd_debugging_disk_backend_commit_spill_duration_seconds', 'Part of a commit: dividing pages (not measured here: nor divided).', usual),
  backendCommitWrite: histogram('etcd_debugging_disk_backend_commit_write_duration_seconds', 'Part of a commit: writing pages (not measured here: nor written one by one).', usual),
  indexCompactionPauseMs: histogram('etcd_debugging_mvcc_index_compaction_pause_duration_milliseconds', 'Pauses of the index while it is compacted (not measured here: the index is compacted with the store).', doublingBounds(0.5, 14)),
  pendingEvents: gauge('etcd_debugging_mvcc_pending_events_total', 'Events that wait to be sent (not measured here: a watch that is behind reads from the history, no event is queued for it).'),
  proxyCacheHits: gauge('etcd_grpc_proxy_cache_hits_total', 'Answers of a proxy from its cache.'),
  proxyCacheKeys: gauge('etcd_grpc_proxy_cache_keys_total', "Keys in a proxy's cache."),
  proxyCacheMisses: gauge('etcd_grpc_proxy_cache_misses_total', 'Answers that a proxy had to ask for.'),
  proxyEvents: counter('etcd_grpc_proxy_events_coalescing_total', 'Events that a proxy put together.'),
  proxyWatchers: gauge('etcd_grpc_proxy_watchers_coalescing_total', 'Watches that a proxy put together.'),
}
