// The leader's side of linearizable reads; the bookkeeping is in read-requests.ts.
import { noBytes, noMember, type Message } from './messages.ts'
import type { Raft } from './raft.ts'
import { broadcastHeartbeat } from './replication.ts'

/** Takes a request, from here or a follower. Beyond the bound it is dropped: who asks, asks again. */
export function requestReadIndex(raft: Raft, request: Message): void {
  if (raft.reads.isFull) return
  if (!raft.hasCommittedInTerm()) raft.reads.addEarly(request)
  else beginRead(raft, request)
}

/** The first commit of the term is there. */
export function releaseEarlyReads(raft: Raft): void {
  if (!raft.hasCommittedInTerm()) return
  for (const request of raft.reads.takeEarly()) beginRead(raft, request)
}

function beginRead(raft: Raft, request: Message): void {
  if (raft.tracker.isSingleton(raft.id)) {
    answerRead(raft, request, raft.log.committed)
    return
  }
  raft.reads.add(request, raft.log.committed)
  broadcastHeartbeat(raft)
}

export function recordReadAnswer(raft: Raft, from: bigint, context: Uint8Array): void {
  const confirmed = raft.reads.recordAnswer(from, raft.id, context, (members) => raft.tracker.hasQuorum(members))
  for (const { request, index } of confirmed) answerRead(raft, request, index)
}

function answerRead(raft: Raft, request: Message, index: number): void {
  if (request.from === noMember || request.from === raft.id) raft.readStates.push({ index, context: request.entries[0]?.data ?? noBytes })
  else raft.send({ type: 'MsgReadIndexResp', to: request.from, index, entries: request.entries })
}
