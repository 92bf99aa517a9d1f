// The first log of a new cluster: one membership change for each initial member, committed by decree. All initial members begin with the same
// bytes, so their logs agree before they have spoken. Upstream: raft/bootstrap.go
import { encodeConfChange } from './conf-change.ts'
import { entryTypes, noMember, type Entry, type HardState } from './messages.ts'

export interface InitialMember {
  readonly id: bigint
  /** What the shell keeps with it: etcd's JSON of name and peer URLs. */
  readonly context: Uint8Array
}

/** What to save before the member starts for the first time. Members are sorted by id. */
export function bootstrapLog(members: readonly InitialMember[]): { readonly hardState: HardState; readonly entries: readonly Entry[] } {
  const sorted = [...members].sort((a, b) => (a.id < b.id ? -1 : 1))
  const entries = sorted.map(({ id, context }, i): Entry => (
    { type: entryTypes.confChange, term: 1, index: i + 1, data: encodeConfChange({ id: 0n, type: 'ConfChangeAddNode', nodeId: id, context }) }))
  return { hardState: { term: 1, vote: noMember, commit: entries.length }, entries }
}
