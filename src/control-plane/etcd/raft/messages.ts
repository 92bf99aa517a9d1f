// What Raft keeps and what its members say to each other, under the names of raftpb (the wire and the log on disk use the same).
//
// All of it is readonly: a message, an entry or a snapshot that crossed the library's border is never changed by either side.
// Ids of members are 64-bit and therefore bigint; terms and indexes stay far below 2^53. Upstream: go.etcd.io/raft/v3/raftpb

/** Numbers, not names, because entries go to the log as they are. */
export const entryTypes = { normal: 0, confChange: 1, confChangeV2: 2 } as const

export interface Entry {
  /** One of `entryTypes`. */
  readonly type: number
  readonly term: number
  readonly index: number
  readonly data: Uint8Array
}

/** What a member must remember across a crash, besides its entries. */
export interface HardState {
  readonly term: number
  /** Whom it voted for in `term`; `noMember` for nobody. */
  readonly vote: bigint
  readonly commit: number
}

/** The membership as a snapshot carries it. Outside a joint configuration `votersOutgoing` and `learnersNext` are empty. */
export interface ConfState {
  readonly voters: readonly bigint[]
  readonly learners: readonly bigint[]
  readonly votersOutgoing: readonly bigint[]
  /** Voters of the outgoing half that become learners when the joint configuration is left. */
  readonly learnersNext: readonly bigint[]
  readonly autoLeave: boolean
}

export interface SnapshotMetadata {
  readonly confState: ConfState
  readonly index: number
  readonly term: number
}

export interface Snapshot {
  /** The shell's business: the whole state, or a reference to it. */
  readonly data: Uint8Array
  readonly metadata: SnapshotMetadata
}

/** The place of an entry: two logs that hold the same one agree on everything before it. */
export interface EntryId {
  readonly term: number
  readonly index: number
}

export type MessageType =
  | 'MsgHup' | 'MsgBeat' | 'MsgProp' | 'MsgApp' | 'MsgAppResp' | 'MsgVote' | 'MsgVoteResp' | 'MsgSnap' | 'MsgHeartbeat' | 'MsgHeartbeatResp'
  | 'MsgUnreachable' | 'MsgSnapStatus' | 'MsgCheckQuorum' | 'MsgTransferLeader' | 'MsgTimeoutNow' | 'MsgReadIndex' | 'MsgReadIndexResp'
  | 'MsgPreVote' | 'MsgPreVoteResp' | 'MsgForgetLeader'

/** One shape for all types, every field present: which ones mean something depends on the type. */
export interface Message {
  readonly type: MessageType
  readonly to: bigint
  readonly from: bigint
  /** 0: the message belongs to no term (local events, proposals and reads on their way to the leader). */
  readonly term: number
  /** MsgApp: term of the entry before `entries`. Votes: term of the candidate's last entry. A rejection: term at the hint. */
  readonly logTerm: number
  /** MsgApp: index of the entry before `entries`. MsgAppResp: what is acknowledged, or the index that was rejected. */
  readonly index: number
  readonly entries: readonly Entry[]
  readonly commit: number
  readonly snapshot: Snapshot | undefined
  readonly reject: boolean
  /** Rejected MsgApp: the highest index at which the follower might agree with the leader. */
  readonly rejectHint: number
  readonly context: Uint8Array | undefined
}

/** The id that no member has. */
export const noMember = 0n

/** The context of votes that a leader asked for (leadership transfer): they are heard even while the leader is alive. Etcd's own word. */
export const campaignTransferContext: Uint8Array = Uint8Array.from('CampaignTransfer', (c) => c.charCodeAt(0))

export const noBytes: Uint8Array = new Uint8Array(0)
export const noEntries: readonly Entry[] = []
export const emptyHardState: HardState = { term: 0, vote: noMember, commit: 0 }
export const emptyConfState: ConfState = { voters: [], learners: [], votersOutgoing: [], learnersNext: [], autoLeave: false }

/** What a message needs at least; the rest is empty. */
export type MessageParts = Partial<Message> & Pick<Message, 'type'>

export function makeMessage(parts: MessageParts): Message {
  return {
    type: parts.type, to: parts.to ?? noMember, from: parts.from ?? noMember, term: parts.term ?? 0, logTerm: parts.logTerm ?? 0, index: parts.index ?? 0,
    entries: parts.entries ?? noEntries, commit: parts.commit ?? 0, snapshot: parts.snapshot, reject: parts.reject ?? false, rejectHint: parts.rejectHint ?? 0,
    context: parts.context,
  }
}

/** Events that a member tells itself; they never come from the network. */
export function isLocalMessage(type: MessageType): boolean {
  return type === 'MsgHup' || type === 'MsgBeat' || type === 'MsgUnreachable' || type === 'MsgSnapStatus' || type === 'MsgCheckQuorum' || type === 'MsgForgetLeader'
}

/** Answers: they mean something only when they come from somebody that the leader or candidate knows. */
export function isResponse(type: MessageType): boolean {
  return type === 'MsgAppResp' || type === 'MsgVoteResp' || type === 'MsgPreVoteResp' || type === 'MsgHeartbeatResp'
}

/** An entry's size on the wire, at most: data and room for the other fields. */
export function entrySizeBytes(entry: Entry): number { return entry.data.length + 24 }

/** As many of entries[start..end) as fit into `maxBytes`, but always one. */
export function takeEntries(entries: readonly Entry[], start: number, end: number, maxBytes: number): readonly Entry[] {
  let size = 0
  let to = start
  for (; to < end && to < entries.length; to++) {
    const entry = entries[to]
    size += entry === undefined ? 0 : entrySizeBytes(entry)
    if (size > maxBytes && to > start) break
  }
  return entries.slice(start, to)
}

export function payloadBytes(entries: readonly Entry[]): number {
  let size = 0
  for (const entry of entries) size += entry.data.length
  return size
}

export function isSameHardState(a: HardState, b: HardState): boolean { return a.term === b.term && a.vote === b.vote && a.commit === b.commit }

export function isSameBytes(a: Uint8Array | undefined, b: Uint8Array): boolean {
  return a !== undefined && a.length === b.length && a.every((byte, i) => byte === b[i])
}
