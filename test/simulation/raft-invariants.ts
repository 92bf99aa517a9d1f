// What must hold in a Raft cluster after every single step, watched by somebody who sees all members at once (Raft paper, figure 3).
import type { RaftNode } from '../../src/control-plane/etcd/raft/raft-node.ts'
import type { Raft } from '../../src/control-plane/etcd/raft/raft.ts'
import type { Entry, EntryId } from '../../src/control-plane/etcd/raft/messages.ts'

export type InvariantName =
  | 'electionSafety' | 'logMatching' | 'leaderCompleteness' | 'stateMachineSafety' | 'committedEntriesOnQuorum' | 'linearizableReads' | 'monotonicity' | 'liveness'

export class InvariantBroken extends Error {
  override readonly name = 'InvariantBroken'
  readonly invariant: InvariantName
  constructor(invariant: InvariantName, what: string) {
    super(`${invariant}: ${what}`)
    this.invariant = invariant
  }
}

/** What the observer knows of a member between two steps. */
export interface WatchedMember {
  readonly id: bigint
  /** Whether its disk holds the entry, or a snapshot with it. */
  hasDurably(index: number, term: number): boolean
  durableLast(): EntryId
  node: RaftNode | undefined
  seenTerm: number
  seenCommit: number
  seenEntries: readonly Entry[]
  seenEntryCount: number
  wasLeaderIn: number
}

interface CommittedEntry {
  readonly term: number
  readonly data: Uint8Array
  /** The term of the leader that committed it. */
  readonly inTerm: number
  /** Digest of all entries up to here. */
  readonly digest: number
}

function isAtLeast(a: EntryId, b: EntryId): boolean { return a.term > b.term || (a.term === b.term && a.index >= b.index) }

export function extendDigest(digest: number, entry: Pick<Entry, 'term' | 'index' | 'data'>): number {
  let h = Math.imul(digest ^ entry.index, 0x9e3779b1) ^ entry.term
  for (const byte of entry.data) h = Math.imul(h ^ byte, 0x01000193)
  return h >>> 0
}

export class RaftObserver {
  readonly #leaders = new Map<number, bigint>()
  /** Every entry that any log ever had: its place determines what it is and what came before. */
  readonly #entries = new Map<string, { readonly data: Uint8Array; readonly previousTerm: number }>()
  /** By index. */
  readonly #committed = new Map<number, CommittedEntry>()
  #lastCommitted = 0

  get lastCommitted(): number { return this.#lastCommitted }

  /** The cluster's first entries, committed by decree. */
  decree(entries: readonly Entry[]): void {
    for (const entry of entries) this.#commit(entry, 0)
  }

  #commit(entry: Entry, inTerm: number): void {
    const digest = extendDigest(this.#committed.get(entry.index - 1)?.digest ?? 0, entry)
    this.#committed.set(entry.index, { term: entry.term, data: entry.data, inTerm, digest })
    this.#lastCommitted = entry.index
  }

  /** Looks at a member that has just done something. */
  check(member: WatchedMember): void {
    const { node } = member
    if (!node) return
    const { raft } = node
    if (raft.term < member.seenTerm) throw new InvariantBroken('monotonicity', `${member.id} went back from term ${member.seenTerm} to ${raft.term}`)
    member.seenTerm = raft.term
    this.#checkNewEntries(member, node)
    if (raft.role === 'leader' && member.wasLeaderIn !== raft.term) this.#checkNewLeader(member, node)
    if (raft.log.committed > member.seenCommit) this.#checkCommits(member, node)
    if (raft.log.committed < member.seenCommit) throw new InvariantBroken('monotonicity', `${member.id} took back a commit`)
  }

  #checkNewEntries(member: WatchedMember, { raft }: RaftNode): void {
    const { entries, offset } = raft.log.unstable
    if (entries === member.seenEntries && entries.length === member.seenEntryCount) return
    member.seenEntries = entries
    member.seenEntryCount = entries.length
    let previousTerm = raft.log.term(offset - 1) ?? -1
    for (const entry of entries) {
      const key = `${entry.index}/${entry.term}`
      const known = this.#entries.get(key)
      if (!known) this.#entries.set(key, { data: entry.data, previousTerm })
      else if (known.data !== entry.data || (known.previousTerm !== previousTerm && previousTerm !== -1)) throw new InvariantBroken('logMatching', `${member.id} has another entry at ${key}`)
      previousTerm = entry.term
    }
  }

  #checkNewLeader(member: WatchedMember, { raft }: RaftNode): void {
    const other = this.#leaders.get(raft.term)
    if (other !== undefined && other !== member.id) throw new InvariantBroken('electionSafety', `term ${raft.term} has leaders ${other} and ${member.id}`)
    this.#leaders.set(raft.term, member.id)
    member.wasLeaderIn = raft.term
    for (let index = raft.log.firstIndex(); index <= this.#lastCommitted; index++) {
      const committed = this.#committed.get(index)
      if (committed && committed.inTerm < raft.term && raft.log.term(index) !== committed.term) {
        throw new InvariantBroken('leaderCompleteness', `leader ${member.id} of term ${raft.term} lacks ${committed.term}/${index}`)
      }
    }
  }

  #checkCommits(member: WatchedMember, { raft }: RaftNode): void {
    const { log } = raft
    for (let index = Math.max(member.seenCommit + 1, log.firstIndex()); index <= log.committed; index++) {
      const entry = log.slice(index, index + 1, Infinity)?.[0]
      if (!entry) throw new InvariantBroken('stateMachineSafety', `${member.id} committed ${index} without having it`)
      const committed = this.#committed.get(index)
      if (committed) {
        if (committed.term !== entry.term || committed.data !== entry.data) throw new InvariantBroken('stateMachineSafety', `${member.id} committed another entry at ${index}`)
        continue
      }
      if (index !== this.#lastCommitted + 1) throw new InvariantBroken('stateMachineSafety', `${member.id} committed ${index} before what precedes it`)
      this.#commit(entry, raft.term)
      const holders = new Set(this.members.filter((m) => m.hasDurably(index, entry.term)).map((m) => m.id))
      if (!raft.tracker.hasQuorum(holders)) throw new InvariantBroken('committedEntriesOnQuorum', `${entry.term}/${index} is committed and only on the disks of ${[...holders].join(', ')}`)
      this.#checkNobodyElectableWithout(raft, entry)
    }
    member.seenCommit = log.committed
  }

  /** Leader completeness, foreseen: after any crash, no member without the committed entry finds a quorum that would vote for it. */
  #checkNobodyElectableWithout(raft: Raft, { index, term }: Entry): void {
    for (const candidate of this.members) {
      if (candidate.hasDurably(index, term) || candidate.node?.raft.log.matchTerm({ index, term })) continue
      const log = candidate.node?.raft.log.lastEntryId() ?? candidate.durableLast()
      const voters = new Set(this.members.filter((m) => m === candidate || isAtLeast(log, m.durableLast())).map((m) => m.id))
      if (raft.tracker.hasQuorum(voters)) throw new InvariantBroken('leaderCompleteness', `${term}/${index} is committed, and ${[...voters].join(', ')} would elect ${candidate.id} without it`)
    }
  }

  members: readonly WatchedMember[] = []

  /** The state machine of a member has this digest after applying up to `index`. */
  checkApplied(id: bigint, index: number, digest: number): void {
    const committed = this.#committed.get(index)
    if (committed?.digest !== digest) throw new InvariantBroken('stateMachineSafety', `${id} has another state at ${index}`)
  }

  /** A read that began when `atLeast` was the last commit anywhere got this index. */
  checkRead(id: bigint, index: number, atLeast: number): void {
    if (index < atLeast) throw new InvariantBroken('linearizableReads', `${id} reads at ${index} what was committed up to ${atLeast} before it asked`)
  }
}
