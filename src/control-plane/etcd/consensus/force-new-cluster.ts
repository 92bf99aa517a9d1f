// The majority of a cluster is lost for good: one member goes on alone with what it has, by its own decree. What others may have committed
// and this one never heard of is lost with them.
//
// All of its log counts. A follower learns a little later that an entry is committed than the client who was told so, and what it has learned
// need not be on its disk; the original keeps what it has applied, which here is in memory alone. What nobody was told of may have happened.
// Upstream: etcd/server/etcdserver/bootstrap.go (--force-new-cluster)
import type { Logger } from '../../../lib/component-base/log.ts'
import { encodeMember } from '../membership/member-json.ts'
import { encodeConfChange, type ConfChangeType } from '../raft/conf-change.ts'
import { entryTypes, noMember, type ConfState, type Entry } from '../raft/messages.ts'
import type { StateMachine } from '../state-machine.ts'
import type { WriteAheadLog } from '../wal/write-ahead-log.ts'
import type { LogStart } from './log-storage.ts'

export interface ForceNewClusterOptions {
  readonly wal: WriteAheadLog
  readonly start: LogStart
  readonly machine: StateMachine
  readonly memberId: bigint
  readonly logger: Logger
  readonly replay: (entry: Entry) => void
  readonly confState: () => ConfState
}

/** Applies the log's end, removes all others, and makes this member a voter: written to the log as committed entries, and applied. */
export async function forceNewCluster({ wal, start, machine, memberId, logger, replay, confState }: ForceNewClusterOptions): Promise<LogStart> {
  const { hardState, tail } = start
  for (const entry of tail) replay(entry)
  const applied = tail.at(-1) ?? start.applied
  const term = Math.max(hardState.term, applied.term)
  const entries: Entry[] = []
  const add = (type: ConfChangeType, nodeId: bigint, context: Uint8Array): void => {
    entries.push({ type: entryTypes.confChange, term, index: applied.index + 1 + entries.length, data: encodeConfChange({ id: 0n, type, nodeId, context }) })
  }
  const { voters, learners, votersOutgoing } = confState()
  const ids = [...new Set([...voters, ...learners, ...votersOutgoing, ...machine.membership.members.keys()])].sort((a, b) => (a < b ? -1 : 1))
  // A learner that goes on alone has to vote: it leaves and comes again, under a decree that no other member sees.
  const own = machine.membership.members.get(memberId)
  if (!voters.includes(memberId) && own) add('ConfChangeAddNode', memberId, Buffer.from(`{"id":${memberId},"peerURLs":null,"isPromote":true}`))
  else if (!own) add('ConfChangeAddNode', memberId, Buffer.from(encodeMember({ id: memberId, name: '', peerUrls: ['http://localhost:2380'], clientUrls: [], isLearner: false })))
  for (const id of ids) {
    if (id === memberId) continue
    // A backup says who voted but not who that was: nobody can be removed whom the membership does not know.
    if (!machine.membership.members.has(id)) add('ConfChangeAddNode', id, Buffer.from(encodeMember({ id, name: '', peerUrls: [`http://unknown-${id.toString(16)}:2380`], clientUrls: [], isLearner: false })))
    add('ConfChangeRemoveNode', id, new Uint8Array(0))
  }
  logger.warn('forcing a new cluster of this member alone', { member: memberId.toString(16), kept: tail.length, changes: entries.length })
  const last = entries.at(-1)?.index ?? applied.index
  const decreed = { term, vote: noMember, commit: last }
  if (entries.length > 0 || tail.length > 0) {
    // The second write says that the first is committed.
    if (entries.length > 0) await wal.append({ entries, hardState: { ...decreed, commit: applied.index } })
    await wal.append({ entries: [], hardState: decreed })
  }
  for (const entry of entries) replay(entry)
  return { hardState: decreed, confState: confState(), applied: { index: last, term: entries.length > 0 ? term : applied.term }, tail: [] }
}
