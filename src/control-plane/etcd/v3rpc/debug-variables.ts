// /debug/vars: the command line, the limit of open files, memory under the names that mean the same in Go, and the state of Raft.
// Upstream: etcd/server/etcdserver/api/etcdhttp/debug.go
import { getHeapStatistics } from 'node:v8'
import type { JsonObject } from '../../../lib/base/json.ts'
import type { EtcdInternals } from '../embedded.ts'
import type { RaftStatus } from '../raft/status.ts'
import { leaderIdOf, raftOf } from './cluster-view.ts'
import { limitOf } from './process-metrics.ts'

export function formatDebugVariables(etcd: EtcdInternals): string {
  const lines = Object.entries(variablesOf(etcd)).map(([name, value]) => `${JSON.stringify(name)}: ${JSON.stringify(value)}`)
  return `{\n${lines.join(',\n')}\n}\n`
}

function variablesOf(etcd: EtcdInternals): JsonObject {
  const heap = getHeapStatistics()
  const { rss, external, arrayBuffers } = process.memoryUsage()
  return {
    cmdline: process.argv,
    file_descriptor_limit: limitOf('Max open files'),
    memstats: { Alloc: heap.used_heap_size, Sys: rss, HeapAlloc: heap.used_heap_size, HeapSys: heap.total_heap_size, HeapInuse: heap.used_heap_size, HeapIdle: heap.total_heap_size - heap.used_heap_size, OtherSys: external + arrayBuffers },
    'raft.status': raftStatusOf(etcd),
  }
}

const roles: { readonly [role in RaftStatus['role']]: string } = { follower: 'StateFollower', preCandidate: 'StatePreCandidate', candidate: 'StateCandidate', leader: 'StateLeader' }

/** What the Raft core tells of itself; a member without a log leads itself. */
function raftStatusOf(etcd: EtcdInternals): JsonObject {
  const { member, identity } = etcd
  const id = identity.memberId.toString(16)
  const { appliedIndex } = raftOf(etcd)
  const status = member.raftStatus()
  if (!status) {
    const progress = { [id]: { match: appliedIndex, next: appliedIndex + 1, state: 'StateReplicate' } }
    return { id, term: member.term, vote: id, commit: appliedIndex, lead: leaderIdOf(etcd).toString(16), raftState: 'StateLeader', applied: appliedIndex, progress, leadtransferee: '0' }
  }
  const progress = Object.fromEntries(status.progress.map(({ id: other, match, next, state }) => [other.toString(16), { match, next, state: `State${state.charAt(0).toUpperCase()}${state.slice(1)}` }]))
  return {
    id, term: status.term, vote: status.vote.toString(16), commit: status.committed, lead: status.leader.toString(16), raftState: roles[status.role], applied: appliedIndex, progress, leadtransferee: status.transferee.toString(16),
  }
}
