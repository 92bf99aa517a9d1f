// The arithmetic of majorities. A joint configuration has two sets of voters, and whatever is decided needs a majority of each.
//
// An empty set agrees to everything: so a configuration that isn't joint is the joint one with an empty outgoing half.
// Upstream: raft/quorum
export type VoteResult = 'won' | 'lost' | 'pending'

/** Incoming and outgoing voters. */
export type JointVoters = readonly [ReadonlySet<bigint>, ReadonlySet<bigint>]

/** The highest index that a majority has; Infinity for no voters. */
function majorityIndex(voters: ReadonlySet<bigint>, indexOf: (id: bigint) => number): number {
  if (voters.size === 0) return Infinity
  const indexes = Array.from(voters, indexOf).sort((a, b) => b - a)
  return indexes[voters.size >> 1] ?? 0
}

/** The highest index that can be committed: acknowledged by a majority of both halves. */
export function committedIndex(voters: JointVoters, indexOf: (id: bigint) => number): number {
  return Math.min(majorityIndex(voters[0], indexOf), majorityIndex(voters[1], indexOf))
}

function majorityVote(voters: ReadonlySet<bigint>, voteOf: (id: bigint) => boolean | undefined): VoteResult {
  if (voters.size === 0) return 'won'
  let granted = 0
  let missing = 0
  for (const id of voters) {
    const vote = voteOf(id)
    if (vote === undefined) missing++
    else if (vote) granted++
  }
  const needed = (voters.size >> 1) + 1
  if (granted >= needed) return 'won'
  return granted + missing >= needed ? 'pending' : 'lost'
}

/** Won with a majority of both halves, lost when either half can't agree any more. */
export function voteResult(voters: JointVoters, voteOf: (id: bigint) => boolean | undefined): VoteResult {
  const incoming = majorityVote(voters[0], voteOf)
  const outgoing = majorityVote(voters[1], voteOf)
  if (incoming === outgoing) return incoming
  return incoming === 'lost' || outgoing === 'lost' ? 'lost' : 'pending'
}
