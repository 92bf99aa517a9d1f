// Metrics under etcd's names, in Prometheus' text form: the ones that dashboards and alerts look at.
import type { EtcdInternals } from '../embedded.ts'
import { etcdClusterVersion, etcdVersion } from '../version.ts'

/** Ended calls by path and code. */
export class RpcCounts {
  readonly #counts = new Map<string, number>()

  add(path: string, code: string): void {
    const key = `${path} ${code}`
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1)
  }

  *lines(): Generator<string> {
    for (const [key, count] of this.#counts) {
      const [path = '', code = ''] = key.split(' ')
      const [, service = '', method = ''] = path.split('/')
      yield `grpc_server_handled_total{grpc_code="${code}",grpc_method="${method}",grpc_service="${service}",grpc_type="${streams.has(method) ? 'bidi_stream' : 'unary'}"} ${count}`
    }
  }
}

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
  const calls = [...counts.lines()]
  if (calls.length > 0) out.push('# HELP grpc_server_handled_total Calls that have ended, by status.', '# TYPE grpc_server_handled_total counter', ...calls)
  return `${out.join('\n')}\n`
}
