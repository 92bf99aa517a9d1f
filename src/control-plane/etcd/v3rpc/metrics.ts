// Metrics under etcd's names, in Prometheus' text form: the ones that dashboards and alerts look at.
import type { EtcdInternals } from '../embedded.ts'
import { etcdClusterVersion, etcdVersion } from '../version.ts'

/** Calls by path, and by code once they have ended; messages and bytes of unary calls. */
export class RpcCounts {
  readonly #ended = new Map<string, number>()
  readonly #started = new Map<string, number>()
  readonly #received = new Map<string, number>()
  readonly #sent = new Map<string, number>()
  receivedBytes = 0
  sentBytes = 0
  healthSuccess = 0
  healthFailures = 0

  add(path: string, code: string): void { raise(this.#ended, `${path} ${code}`) }
  started(path: string): void { raise(this.#started, path) }
  received(path: string, bytes: number): void { raise(this.#received, path); this.receivedBytes += bytes }
  sent(path: string, bytes: number): void { raise(this.#sent, path); this.sentBytes += bytes }

  *lines(): Generator<string> {
    if (this.#ended.size > 0) yield* ['# HELP grpc_server_handled_total Calls that have ended, by status.', '# TYPE grpc_server_handled_total counter']
    for (const [key, count] of this.#ended) {
      const [path = '', code = ''] = key.split(' ')
      yield `grpc_server_handled_total{grpc_code="${code}",${labelsOf(path)}} ${count}`
    }
    for (const [name, help, counts] of [
      ['grpc_server_started_total', 'Calls that have begun.', this.#started], ['grpc_server_msg_received_total', 'Messages received.', this.#received], ['grpc_server_msg_sent_total', 'Messages sent.', this.#sent],
    ] as const) {
      if (counts.size > 0) yield* [`# HELP ${name} ${help}`, `# TYPE ${name} counter`]
      for (const [path, count] of counts) yield `${name}{${labelsOf(path)}} ${count}`
    }
  }
}

function raise(counts: Map<string, number>, key: string): void { counts.set(key, (counts.get(key) ?? 0) + 1) }

function labelsOf(path: string): string {
  const [, service = '', method = ''] = path.split('/')
  const type = streams.has(method) ? 'bidi_stream' : serverStreams.has(method) ? 'server_stream' : 'unary'
  return `grpc_method="${method}",grpc_service="${service}",grpc_type="${type}"`
}

const serverStreams = new Set(['Snapshot', 'RangeStream', 'Observe'])
const streams = new Set(['Watch', 'LeaseKeepAlive'])

export function formatMetrics(etcd: EtcdInternals, counts: RpcCounts): string {
  const { member, identity } = etcd
  const { store } = member.machine
  const out: string[] = []
  const add = (name: string, type: 'gauge' | 'counter', help: string, value: number | string, labels = ''): void => {
    out.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, `${name}${labels} ${value}`)
  }
  add('etcd_cluster_version', 'gauge', 'The cluster version; 1 for the version that runs.', 1, `{cluster_version="${etcdClusterVersion.split('.').slice(0, 2).join('.')}"}`)
  add('etcd_server_version', 'gauge', 'The server version; 1 for the version that runs.', 1, `{server_version="${etcdVersion}"}`)
  add('etcd_server_id', 'gauge', 'The member id; 1 for the one that runs.', 1, `{server_id="${identity.memberId.toString(16)}"}`)
  add('etcd_server_has_leader', 'gauge', 'Whether a leader exists.', member.broken.aborted ? 0 : 1)
  add('etcd_server_is_leader', 'gauge', 'Whether this member leads.', member.broken.aborted ? 0 : 1)
  add('etcd_server_leader_changes_seen_total', 'counter', 'Leader changes seen.', 1)
  add('etcd_server_proposals_committed_total', 'gauge', 'Proposals committed.', member.appliedIndex)
  add('etcd_server_proposals_applied_total', 'gauge', 'Proposals applied.', member.appliedIndex)
  add('etcd_server_proposals_pending', 'gauge', 'Proposals that wait for the log.', member.pendingProposals)
  add('etcd_server_proposals_failed_total', 'counter', 'Proposals that failed.', 0)
  add('etcd_server_quota_backend_bytes', 'gauge', 'Quota of the store in bytes.', Math.max(0, member.quotaBytes))
  add('etcd_mvcc_db_total_size_in_bytes', 'gauge', 'Bytes allocated for the store.', store.sizeBytes)
  add('etcd_mvcc_db_total_size_in_use_in_bytes', 'gauge', 'Bytes of the store in use.', store.sizeInUseBytes)
  add('etcd_debugging_mvcc_keys_total', 'gauge', 'Keys in the store.', store.keyCount)
  add('etcd_debugging_mvcc_current_revision', 'gauge', 'Current revision.', store.revision)
  add('etcd_debugging_mvcc_compact_revision', 'gauge', 'Revision of the last compaction.', store.compactedRevision)
  add('etcd_debugging_mvcc_watcher_total', 'gauge', 'Watchers.', member.hub.watcherCount)
  add('etcd_debugging_mvcc_slow_watcher_total', 'gauge', 'Watchers that are behind.', member.hub.slowWatcherCount)
  const { operations } = store
  add('etcd_mvcc_put_total', 'counter', 'Puts seen by this member.', operations.puts)
  add('etcd_mvcc_delete_total', 'counter', 'Deletions seen by this member.', operations.deletes)
  add('etcd_mvcc_txn_total', 'counter', 'Writes that made a revision.', operations.commits)
  add('etcd_debugging_mvcc_total_put_size_in_bytes', 'gauge', 'Bytes of all values put.', operations.putBytes)
  add('etcd_debugging_auth_revision', 'gauge', 'Revision of the auth store.', member.machine.auth.revision)
  add('etcd_debugging_store_watchers', 'gauge', 'Watchers of the second API.', member.machine.v2.watchers.count)
  add('etcd_server_is_learner', 'gauge', 'Whether this member is a learner.', 0)
  add('etcd_server_health_success', 'counter', 'Health checks that succeeded.', counts.healthSuccess)
  add('etcd_server_health_failures', 'counter', 'Health checks that failed.', counts.healthFailures)
  add('etcd_network_client_grpc_received_bytes_total', 'counter', "Bytes of clients' requests.", counts.receivedBytes)
  add('etcd_network_client_grpc_sent_bytes_total', 'counter', 'Bytes of answers to clients.', counts.sentBytes)
  out.push(...member.metrics.fsync.lines('etcd_disk_wal_fsync_duration_seconds', 'Time that a durable write of the log takes.'))
  for (const [type, histogram] of member.metrics.requests) out.push(...histogram.lines('etcd_server_request_duration_seconds', 'Time from a proposal to its answer.', `success="true",type="${type}"`).filter((line, i) => i > 1 || type === member.metrics.firstType))
  out.push(...counts.lines())
  return `${out.join('\n')}\n`
}
