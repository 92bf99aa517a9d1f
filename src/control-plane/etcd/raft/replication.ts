// How a leader brings its log to the others: appends, snapshots for those who are too far behind, heartbeats, and the commit by count.
import { assert } from '../../../lib/base/assert.ts'
import { membershipOf, membersOf } from './membership-change.ts'
import { payloadBytes, type Entry } from './messages.ts'
import type { Progress } from './progress.ts'
import type { Raft } from './raft.ts'

/** Puts entries of the leader's term behind its log; false when too much waits for its commit already. An empty entry always goes. */
export function appendOwnEntries(raft: Raft, proposed: readonly Pick<Entry, 'type' | 'data'>[]): boolean {
  const { log, term } = raft
  const last = log.lastIndex()
  const entries = proposed.map((entry, i): Entry => ({ type: entry.type, term, index: last + 1 + i, data: entry.data }))
  const sizeBytes = payloadBytes(entries)
  if (raft.uncommittedBytes > 0 && sizeBytes > 0 && raft.uncommittedBytes + sizeBytes > raft.config.maxUncommittedBytes) return false
  raft.uncommittedBytes += sizeBytes
  log.append(entries)
  return true
}

/** Sends what the follower lacks, if its state allows; an append without entries only when `evenIfEmpty`. True when something went out. */
export function sendAppend(raft: Raft, to: bigint, progress: Progress, evenIfEmpty: boolean): boolean {
  if (progress.isPaused) return false
  const { log } = raft
  const previous = progress.next - 1
  const previousTerm = log.term(previous)
  if (previousTerm === undefined) return sendSnapshot(raft, to, progress)
  // A full window still lets an empty append through, which carries the commit index.
  const windowOpen = progress.state !== 'replicate' || !progress.inflights.isFull
  const entries = windowOpen ? log.entriesFrom(progress.next, raft.config.maxMessageBytes) : []
  if (entries === undefined) return sendSnapshot(raft, to, progress)
  if (entries.length === 0 && !evenIfEmpty) return false
  raft.send({ type: 'MsgApp', to, index: previous, logTerm: previousTerm, entries, commit: log.committed })
  progress.sentEntries(entries.length, payloadBytes(entries), log.committed)
  return true
}

function sendSnapshot(raft: Raft, to: bigint, progress: Progress): boolean {
  // Snapshots are expensive: not for somebody who may be gone.
  if (!progress.recentActive) return false
  const snapshot = raft.log.unstable.snapshot ?? raft.log.storage.snapshot()
  if (snapshot === undefined) return false
  assert(snapshot.metadata.index > 0, 'a snapshot that is sent holds something')
  // One from before it joined is no use to it: the storage has to make a newer one.
  if (!membersOf(membershipOf(snapshot.metadata.confState)).has(to)) return false
  progress.becomeSnapshot(snapshot.metadata.index)
  raft.send({ type: 'MsgSnap', to, snapshot })
  return true
}

export function broadcastAppend(raft: Raft, evenIfEmpty = true): void {
  for (const [id, progress] of raft.tracker.progress) if (id !== raft.id) sendAppend(raft, id, progress, evenIfEmpty)
}

export function broadcastHeartbeat(raft: Raft): void {
  const context = raft.reads.heartbeatContext()
  for (const [id, progress] of raft.tracker.progress) {
    if (id === raft.id) continue
    // Never more than the follower has: it may have less log than the leader has committed.
    const commit = Math.min(progress.match, raft.log.committed)
    raft.send({ type: 'MsgHeartbeat', to: id, commit, context })
    progress.sentCommit = Math.max(progress.sentCommit, commit)
  }
}

/** Commits what a quorum holds; true when that is news. */
export function maybeCommit(raft: Raft): boolean { return raft.log.maybeCommit(raft.tracker.committed(), raft.term) }
