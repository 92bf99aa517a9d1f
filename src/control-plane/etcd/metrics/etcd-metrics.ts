// Everything that etcd measures, under the original's names: one object per member, shared by all its servers.
//
// What counts as it happens is counted here (`metrics.proposalsFailed.inc()`); what can be read from the state when somebody scrapes is filled in
// by v3rpc/metrics.ts. Go's own names (go_*) are left out: there is no Go here. Upstream: the `metrics.go` files of etcd/server
import { doublingBounds, MetricRegistry, type Counter, type Family, type Gauge, type Histogram } from './instruments.ts'

const fine = doublingBounds(0.0001, 20)
const usual = doublingBounds(0.001, 14)
const snapshots = doublingBounds(0.1, 10)
/** Prometheus' own. */
const callBounds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

export class EtcdMetrics {
  readonly registry = new MetricRegistry()
  readonly server: ServerMetrics
  readonly disk: DiskMetrics
  readonly mvcc: MvccMetrics
  readonly leases: LeaseMetrics
  readonly network: NetworkMetrics
  readonly grpc: GrpcMetrics
  readonly http: HttpMetrics
  readonly v2: V2Metrics
  readonly process: ProcessMetrics
  readonly #requests = new Map<string, Histogram>()
  readonly #applied = new Map<string, Histogram>()

  constructor() {
    this.server = new ServerMetrics(this.registry)
    this.disk = new DiskMetrics(this.registry)
    this.mvcc = new MvccMetrics(this.registry)
    this.leases = new LeaseMetrics(this.registry)
    this.network = new NetworkMetrics(this.registry)
    this.grpc = new GrpcMetrics(this.registry)
    this.http = new HttpMetrics(this.registry)
    this.v2 = new V2Metrics(this.registry)
    this.process = new ProcessMetrics(this.registry)
    registerProxy(this.registry)
  }

  /** Time of one durable write of the log, seconds. */
  get fsync(): Histogram { return this.disk.walFsync }

  /** @param type of the request, as the original names it (`Put`) @param seconds from the proposal to its answer */
  observeRequest(type: string, seconds: number, succeeded = true): void { series(this.#requests, type, succeeded, () => this.server.requestDuration.of(String(succeeded), type)).observe(seconds) }

  /** @param seconds that applying one request took */
  observeApply(type: string, seconds: number, succeeded = true): void { series(this.#applied, type, succeeded, () => this.server.applyDuration.of(type, String(succeeded), 'v3')).observe(seconds) }

  text(): string { return this.registry.text() }
}

/** The series of a request's type, without making up its labels each time. */
function series(known: Map<string, Histogram>, type: string, succeeded: boolean, open: () => Histogram): Histogram {
  const id = succeeded ? type : `!${type}`
  let histogram = known.get(id)
  if (!histogram) known.set(id, (histogram = open()))
  return histogram
}

/** The member in its cluster. */
export class ServerMetrics {
  readonly hasLeader: Gauge
  readonly isLeader: Gauge
  readonly isLearner: Gauge
  readonly leaderChanges: Counter
  readonly learnerPromoteFailures: Family<Counter>
  readonly learnerPromoteSuccesses: Counter
  /** Heartbeats that could not be sent in time, because this member is too slow. */
  readonly heartbeatSendFailures: Counter
  readonly snapshotApplyInProgress: Gauge
  readonly proposalsCommitted: Gauge
  readonly proposalsApplied: Gauge
  readonly proposalsPending: Gauge
  readonly proposalsFailed: Counter
  readonly requestDuration: Family<Histogram>
  readonly applyDuration: Family<Histogram>
  readonly rangeDuration: Family<Histogram>
  readonly slowApply: Counter
  readonly slowReadIndexes: Counter
  readonly readIndexesFailed: Counter
  readonly version: Family<Gauge>
  readonly goVersion: Family<Gauge>
  readonly id: Family<Gauge>
  readonly clusterVersion: Family<Gauge>
  readonly featureEnabled: Family<Gauge>
  readonly quotaBackendBytes: Gauge
  readonly alarms: Family<Gauge>
  readonly authRevision: Gauge

  constructor(r: MetricRegistry) {
    this.hasLeader = r.gauge('etcd_server_has_leader', 'Whether this member knows of a leader: 1 yes, 0 no.')
    this.isLeader = r.gauge('etcd_server_is_leader', 'Whether this member leads: 1 yes, 0 no.')
    this.isLearner = r.gauge('etcd_server_is_learner', 'Whether this member is a learner: 1 yes, 0 no.')
    this.leaderChanges = r.counter('etcd_server_leader_changes_seen_total', 'Changes of leader that this member has seen.')
    this.learnerPromoteFailures = r.counters('etcd_server_learner_promote_failures', 'Promotions of learners that this member refused while it led.', ['Reason'])
    this.learnerPromoteSuccesses = r.counter('etcd_server_learner_promote_successes', 'Promotions of learners that this member carried out while it led.')
    this.heartbeatSendFailures = r.counter('etcd_server_heartbeat_send_failures_total', 'Heartbeats that went out late, as when the disk is too slow.')
    this.snapshotApplyInProgress = r.gauge('etcd_server_snapshot_apply_in_progress_total', 'Snapshots from the leader that are being taken over: 0 or 1.')
    this.proposalsCommitted = r.gauge('etcd_server_proposals_committed_total', 'Index of the last entry that is committed.')
    this.proposalsApplied = r.gauge('etcd_server_proposals_applied_total', 'Index of the last entry that is applied.')
    this.proposalsPending = r.gauge('etcd_server_proposals_pending', 'Proposals that wait to be committed.')
    this.proposalsFailed = r.counter('etcd_server_proposals_failed_total', 'Proposals that failed.')
    this.requestDuration = r.histograms('etcd_server_request_duration_seconds', 'Time from a request to its answer.', ['success', 'type'], usual)
    this.applyDuration = r.histograms('etcd_server_apply_duration_seconds', 'Time that applying a request takes.', ['op', 'success', 'version'], fine)
    this.rangeDuration = r.histograms('etcd_server_range_duration_seconds', 'Time that reading a range takes.', ['success'], fine)
    this.slowApply = r.counter('etcd_server_slow_apply_total', 'Requests whose applying took too long.')
    this.slowReadIndexes = r.counter('etcd_server_slow_read_indexes_total', 'Read-index requests that were slow, or had no answer in time.')
    this.readIndexesFailed = r.counter('etcd_server_read_indexes_failed_total', 'Read-index requests that failed.')
    this.version = r.gauges('etcd_server_version', "The server's version in the label, with 1.", ['server_version'])
    this.goVersion = r.gauges('etcd_server_go_version', 'The runtime in the label, with 1; here it is Node.js.', ['server_go_version'])
    this.id = r.gauges('etcd_server_id', "The member's id in the label, with 1.", ['server_id'])
    this.clusterVersion = r.gauges('etcd_cluster_version', "The cluster's version in the label, with 1.", ['cluster_version'])
    this.featureEnabled = r.gauges('etcd_server_feature_enabled', 'Features: 1 on, 0 off.', ['name', 'stage'])
    this.quotaBackendBytes = r.gauge('etcd_server_quota_backend_bytes', 'Size at which the store takes nothing more, bytes.')
    this.alarms = r.gauges('etcd_debugging_server_alarms', 'Alarms that are raised.', ['alarm_type', 'server_id'])
    this.authRevision = r.gauge('etcd_debugging_auth_revision', 'Revision of users and roles.')
  }
}

/** Log, database file and snapshots. */
export class DiskMetrics {
  readonly walFsync: Histogram
  readonly walWrite: Histogram
  readonly walWriteBytes: Gauge
  readonly backendCommit: Histogram
  readonly backendCommitRebalance: Histogram
  readonly backendCommitSpill: Histogram
  readonly backendCommitWrite: Histogram
  readonly backendDefrag: Histogram
  readonly backendSnapshot: Histogram
  readonly defragInflight: Gauge
  readonly snapFsync: Histogram
  readonly snapDbSave: Histogram
  readonly snapDbFsync: Histogram
  readonly snapMarshalling: Histogram
  readonly snapSave: Histogram

  constructor(r: MetricRegistry) {
    this.walFsync = r.histogram('etcd_disk_wal_fsync_duration_seconds', 'Time until a write of the log is on the disk.', usual)
    this.walWrite = r.histogram('etcd_disk_wal_write_duration_seconds', 'Time that writing to the log takes, without waiting for the disk.', usual)
    this.walWriteBytes = r.gauge('etcd_disk_wal_write_bytes_total', 'Bytes written to the log.')
    this.backendCommit = r.histogram('etcd_disk_backend_commit_duration_seconds', 'Time that a commit of the database file takes.', usual)
    this.backendCommitRebalance = r.histogram('etcd_debugging_disk_backend_commit_rebalance_duration_seconds', 'Part of a commit: balancing pages.', usual)
    this.backendCommitSpill = r.histogram('etcd_debugging_disk_backend_commit_spill_duration_seconds', 'Part of a commit: dividing pages.', usual)
    this.backendCommitWrite = r.histogram('etcd_debugging_disk_backend_commit_write_duration_seconds', 'Part of a commit: writing pages.', usual)
    this.backendDefrag = r.histogram('etcd_disk_backend_defrag_duration_seconds', 'Time that a defragmentation takes.', doublingBounds(0.1, 13))
    this.backendSnapshot = r.histogram('etcd_disk_backend_snapshot_duration_seconds', 'Time that sending a snapshot of the database takes.', doublingBounds(0.01, 17))
    this.defragInflight = r.gauge('etcd_disk_defrag_inflight', 'Whether a defragmentation runs: 1 yes, 0 no.')
    this.snapFsync = r.histogram('etcd_snap_fsync_duration_seconds', 'Time until a snapshot file is on the disk.', usual)
    this.snapDbSave = r.histogram('etcd_snap_db_save_total_duration_seconds', 'Time that storing a received database takes.', snapshots)
    this.snapDbFsync = r.histogram('etcd_snap_db_fsync_duration_seconds', 'Time until a received database is on the disk.', usual)
    this.snapMarshalling = r.histogram('etcd_debugging_snap_save_marshalling_duration_seconds', 'Part of saving a snapshot: encoding it.', usual)
    this.snapSave = r.histogram('etcd_debugging_snap_save_total_duration_seconds', 'Time that saving a snapshot takes.', usual)
  }
}

/** Keys, revisions, watches. */
export class MvccMetrics {
  readonly ranges: Counter
  readonly puts: Counter
  readonly deletes: Counter
  readonly txns: Counter
  readonly keys: Gauge
  readonly watchStreams: Gauge
  readonly watchers: Gauge
  readonly slowWatchers: Gauge
  readonly events: Counter
  readonly pendingEvents: Gauge
  readonly indexCompactionPauseMs: Histogram
  readonly dbCompactionPauseMs: Histogram
  readonly dbCompactionTotalMs: Histogram
  readonly dbCompactionLast: Gauge
  readonly dbCompactionKeys: Counter
  readonly dbSize: Gauge
  readonly dbSizeInUse: Gauge
  readonly openReadTransactions: Gauge
  readonly hashDuration: Histogram
  readonly hashRevisionDuration: Histogram
  readonly currentRevision: Gauge
  readonly compactRevision: Gauge
  readonly totalPutSize: Gauge
  readonly watchSend: Histogram
  readonly watchSendPerEvent: Histogram
  readonly watchSendControl: Histogram
  readonly watchSendProgress: Histogram

  constructor(r: MetricRegistry) {
    this.ranges = r.counter('etcd_mvcc_range_total', 'Ranges read on this member.')
    this.puts = r.counter('etcd_mvcc_put_total', 'Puts seen by this member.')
    this.deletes = r.counter('etcd_mvcc_delete_total', 'Deletions seen by this member.')
    this.txns = r.counter('etcd_mvcc_txn_total', 'Transactions seen by this member.')
    this.keys = r.gauge('etcd_debugging_mvcc_keys_total', 'Keys in the store.')
    this.watchStreams = r.gauge('etcd_debugging_mvcc_watch_stream_total', 'Streams with watches.')
    this.watchers = r.gauge('etcd_debugging_mvcc_watcher_total', 'Watches.')
    this.slowWatchers = r.gauge('etcd_debugging_mvcc_slow_watcher_total', 'Watches that are behind.')
    this.events = r.counter('etcd_debugging_mvcc_events_total', 'Events sent by this member.')
    this.pendingEvents = r.gauge('etcd_debugging_mvcc_pending_events_total', 'Events that wait to be sent.')
    this.indexCompactionPauseMs = r.histogram('etcd_debugging_mvcc_index_compaction_pause_duration_milliseconds', 'Pauses of the index while it is compacted.', doublingBounds(0.5, 14))
    this.dbCompactionPauseMs = r.histogram('etcd_debugging_mvcc_db_compaction_pause_duration_milliseconds', 'Pauses of the store while it is compacted.', doublingBounds(1, 13))
    this.dbCompactionTotalMs = r.histogram('etcd_debugging_mvcc_db_compaction_total_duration_milliseconds', 'Time that a compaction of the store takes.', doublingBounds(100, 14))
    this.dbCompactionLast = r.gauge('etcd_debugging_mvcc_db_compaction_last', 'When the store was last compacted, seconds since the epoch.')
    this.dbCompactionKeys = r.counter('etcd_debugging_mvcc_db_compaction_keys_total', 'Revisions of keys that compactions removed.')
    this.dbSize = r.gauge('etcd_mvcc_db_total_size_in_bytes', 'Bytes allocated for the store.')
    this.dbSizeInUse = r.gauge('etcd_mvcc_db_total_size_in_use_in_bytes', 'Bytes of the store that are in use.')
    this.openReadTransactions = r.gauge('etcd_mvcc_db_open_read_transactions', 'Reads of the store that go on now.')
    this.hashDuration = r.histogram('etcd_mvcc_hash_duration_seconds', 'Time that a hash of the database takes.', doublingBounds(0.01, 15))
    this.hashRevisionDuration = r.histogram('etcd_mvcc_hash_rev_duration_seconds', 'Time that a hash of the keys up to a revision takes.', doublingBounds(0.01, 15))
    this.currentRevision = r.gauge('etcd_debugging_mvcc_current_revision', 'Current revision.')
    this.compactRevision = r.gauge('etcd_debugging_mvcc_compact_revision', 'Revision of the last compaction.')
    this.totalPutSize = r.gauge('etcd_debugging_mvcc_total_put_size_in_bytes', 'Bytes of all puts.')
    const name = 'etcd_debugging_server_watch_send_loop'
    this.watchSend = r.histogram(`${name}_watch_stream_duration_seconds`, 'Time that handing over the events of a watch takes.', usual)
    this.watchSendPerEvent = r.histogram(`${name}_watch_stream_duration_per_event_seconds`, 'The same, divided by the number of events.', usual)
    this.watchSendControl = r.histogram(`${name}_control_stream_duration_seconds`, 'Time that handing over answers to requests of a watch stream takes.', usual)
    this.watchSendProgress = r.histogram(`${name}_progress_duration_seconds`, 'Time that telling the progress of watches takes.', usual)
  }
}

export class LeaseMetrics {
  readonly granted: Counter
  readonly revoked: Counter
  readonly renewed: Counter
  readonly expired: Counter
  readonly ttl: Histogram

  constructor(r: MetricRegistry) {
    this.granted = r.counter('etcd_debugging_lease_granted_total', 'Leases granted.')
    this.revoked = r.counter('etcd_debugging_lease_revoked_total', 'Leases revoked.')
    this.renewed = r.counter('etcd_debugging_lease_renewed_total', 'Renewals of leases seen by the leader.')
    this.expired = r.counter('etcd_debugging_server_lease_expired_total', 'Leases that ran out.')
    this.ttl = r.histogram('etcd_debugging_lease_ttl_total', 'Times to live of leases, seconds.', doublingBounds(1, 24))
  }
}

/** Clients' and peers' bytes. Ids of members are in hex. */
export class NetworkMetrics {
  readonly clientReceivedBytes: Counter
  readonly clientSentBytes: Counter
  readonly streamFailures: Family<Counter>
  readonly knownPeers: Family<Gauge>
  readonly activePeers: Family<Gauge>
  readonly disconnectedPeers: Family<Counter>
  readonly peerSentBytes: Family<Counter>
  readonly peerReceivedBytes: Family<Counter>
  readonly peerSentFailures: Family<Counter>
  readonly peerReceivedFailures: Family<Counter>
  readonly peerRoundTrip: Family<Histogram>
  readonly snapshotSendSuccess: Family<Counter>
  readonly snapshotSendInflights: Family<Gauge>
  readonly snapshotSendFailures: Family<Counter>
  readonly snapshotSendDuration: Family<Histogram>
  readonly snapshotReceiveSuccess: Family<Counter>
  readonly snapshotReceiveInflights: Family<Gauge>
  readonly snapshotReceiveFailures: Family<Counter>
  readonly snapshotReceiveDuration: Family<Histogram>

  constructor(r: MetricRegistry) {
    const name = (rest: string): string => `etcd_network_${rest}`
    this.clientReceivedBytes = r.counter(name('client_grpc_received_bytes_total'), 'Bytes of messages from gRPC clients.')
    this.clientSentBytes = r.counter(name('client_grpc_sent_bytes_total'), 'Bytes of messages to gRPC clients.')
    this.streamFailures = r.counters(name('server_stream_failures_total'), 'Streams of clients that failed on this member.', ['API', 'Type'])
    this.knownPeers = r.gauges(name('known_peers'), 'Members that this one knows of.', ['Local', 'Remote'])
    this.activePeers = r.gauges(name('active_peers'), 'Members with which there is a connection.', ['Local', 'Remote'])
    this.disconnectedPeers = r.counters(name('disconnected_peers_total'), 'Lost connections to members.', ['Local', 'Remote'])
    this.peerSentBytes = r.counters(name('peer_sent_bytes_total'), 'Bytes sent to members.', ['To'])
    this.peerReceivedBytes = r.counters(name('peer_received_bytes_total'), 'Bytes received from members.', ['From'])
    this.peerSentFailures = r.counters(name('peer_sent_failures_total'), 'Messages to members that could not be sent.', ['To'])
    this.peerReceivedFailures = r.counters(name('peer_received_failures_total'), 'Messages from members that could not be read.', ['From'])
    this.peerRoundTrip = r.histograms(name('peer_round_trip_time_seconds'), 'Time to a member and back.', ['To'], doublingBounds(0.0001, 16))
    this.snapshotSendSuccess = r.counters(name('snapshot_send_success'), 'Snapshots sent.', ['To'])
    this.snapshotSendInflights = r.gauges(name('snapshot_send_inflights_total'), 'Snapshots that are being sent.', ['To'])
    this.snapshotSendFailures = r.counters(name('snapshot_send_failures'), 'Snapshots that could not be sent.', ['To'])
    this.snapshotSendDuration = r.histograms(name('snapshot_send_total_duration_seconds'), 'Time that sending a snapshot takes.', ['To'], snapshots)
    this.snapshotReceiveSuccess = r.counters(name('snapshot_receive_success'), 'Snapshots received.', ['From'])
    this.snapshotReceiveInflights = r.gauges(name('snapshot_receive_inflights_total'), 'Snapshots that are being received.', ['From'])
    this.snapshotReceiveFailures = r.counters(name('snapshot_receive_failures'), 'Snapshots whose receipt failed.', ['From'])
    this.snapshotReceiveDuration = r.histograms(name('snapshot_receive_total_duration_seconds'), 'Time that receiving a snapshot takes.', ['From'], snapshots)
  }
}

const callLabels = ['grpc_method', 'grpc_service', 'grpc_type']

/** gRPC calls, under the names of go-grpc-middleware. */
export class GrpcMetrics {
  readonly started: Family<Counter>
  readonly handled: Family<Counter>
  readonly received: Family<Counter>
  readonly sent: Family<Counter>
  readonly clientRequests: Family<Counter>
  readonly #registry: MetricRegistry
  #handlingSeconds: Family<Histogram> | undefined

  constructor(r: MetricRegistry) {
    this.#registry = r
    const labels = callLabels
    this.started = r.counters('grpc_server_started_total', 'Calls that have begun.', labels)
    this.handled = r.counters('grpc_server_handled_total', 'Calls that have ended, by status.', ['grpc_code', ...labels])
    this.received = r.counters('grpc_server_msg_received_total', 'Messages received.', labels)
    this.sent = r.counters('grpc_server_msg_sent_total', 'Messages sent.', labels)
    this.clientRequests = r.counters('etcd_server_client_requests_total', "Requests of clients, by the client's version.", ['client_api_version', 'type'])
  }

  get handlingSeconds(): Family<Histogram> | undefined { return this.#handlingSeconds }

  /** From now on the time of every call is measured: `--metrics=extensive`. */
  measureCalls(): void { this.#handlingSeconds ??= this.#registry.histograms('grpc_server_handling_seconds', 'Time from the start of a call to its end.', callLabels, callBounds) }
}

/** Health checks and /metrics itself. */
export class HttpMetrics {
  readonly healthSuccess: Counter
  readonly healthFailures: Counter
  readonly healthcheck: Family<Gauge>
  readonly healthchecks: Family<Counter>
  readonly scrapes: Family<Counter>
  readonly scraping: Gauge

  constructor(r: MetricRegistry) {
    this.healthSuccess = r.counter('etcd_server_health_success', 'Answers of /health that said true.')
    this.healthFailures = r.counter('etcd_server_health_failures', 'Answers of /health that said false.')
    this.healthcheck = r.gauges('etcd_server_healthcheck', 'What each check of /livez and /readyz said last: 1 good, 0 bad.', ['name', 'type'])
    this.healthchecks = r.counters('etcd_server_healthchecks_total', 'Checks of /livez and /readyz.', ['name', 'status', 'type'])
    this.scrapes = r.counters('promhttp_metric_handler_requests_total', 'Answers of /metrics, by status.', ['code'])
    this.scraping = r.gauge('promhttp_metric_handler_requests_in_flight', 'Answers of /metrics that are being made.')
    for (const code of ['200', '500', '503']) this.scrapes.of(code)
  }
}

/** The second API's store. */
export class V2Metrics {
  readonly reads: Family<Counter>
  readonly writes: Family<Counter>
  readonly readsFailed: Family<Counter>
  readonly writesFailed: Family<Counter>
  readonly expires: Counter
  readonly watchRequests: Counter
  readonly watchers: Gauge

  constructor(r: MetricRegistry) {
    const name = (rest: string): string => `etcd_debugging_store_${rest}`
    this.reads = r.counters(name('reads_total'), 'Reads of the second API, by action.', ['action'])
    this.writes = r.counters(name('writes_total'), 'Writes of the second API, by action.', ['action'])
    this.readsFailed = r.counters(name('reads_failed_total'), 'Reads of the second API that failed.', ['action'])
    this.writesFailed = r.counters(name('writes_failed_total'), 'Writes of the second API that failed.', ['action'])
    this.expires = r.counter(name('expires_total'), 'Keys of the second API that ran out.')
    this.watchRequests = r.counter(name('watch_requests_total'), 'Watches of the second API that were asked for.')
    this.watchers = r.gauge(name('watchers'), 'Watches of the second API.')
  }
}

/** The original's server shows these although its proxy is another program; they stay 0 there too. */
function registerProxy(r: MetricRegistry): void {
  const name = (rest: string): string => `etcd_grpc_proxy_${rest}`
  r.gauge(name('cache_hits_total'), 'Answers of a proxy from its cache.')
  r.gauge(name('cache_keys_total'), "Keys in a proxy's cache.")
  r.gauge(name('cache_misses_total'), 'Answers that a proxy had to ask for.')
  r.counter(name('events_coalescing_total'), 'Events that a proxy put together.')
  r.gauge(name('watchers_coalescing_total'), 'Watches that a proxy put together.')
}

/** The process, as Linux tells. */
export class ProcessMetrics {
  readonly fdLimit: Gauge
  readonly fdUsed: Gauge
  readonly cpuSeconds: Counter
  readonly maxFds: Gauge
  readonly openFds: Gauge
  readonly receivedBytes: Counter
  readonly transmittedBytes: Counter
  readonly residentBytes: Gauge
  readonly startTimeSeconds: Gauge
  readonly virtualBytes: Gauge
  readonly virtualMaxBytes: Gauge

  constructor(r: MetricRegistry) {
    this.fdLimit = r.gauge('os_fd_limit', 'Files that the process may have open.')
    this.fdUsed = r.gauge('os_fd_used', 'Files that the process has open.')
    this.cpuSeconds = r.counter('process_cpu_seconds_total', 'Processor time used, seconds.')
    this.maxFds = r.gauge('process_max_fds', 'Files that the process may have open.')
    this.openFds = r.gauge('process_open_fds', 'Files that the process has open.')
    this.receivedBytes = r.counter('process_network_receive_bytes_total', "Bytes that the process's network namespace received.")
    this.transmittedBytes = r.counter('process_network_transmit_bytes_total', "Bytes that the process's network namespace sent.")
    this.residentBytes = r.gauge('process_resident_memory_bytes', 'Memory in use, bytes.')
    this.startTimeSeconds = r.gauge('process_start_time_seconds', 'When the process began, seconds since the epoch.')
    this.virtualBytes = r.gauge('process_virtual_memory_bytes', 'Virtual memory, bytes.')
    this.virtualMaxBytes = r.gauge('process_virtual_memory_max_bytes', 'Most virtual memory that the process may have, bytes.')
  }
}
