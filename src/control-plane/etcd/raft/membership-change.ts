// From one membership to the next: a pure computation on configurations. The rules are those of thesis chapter 4.
//
//   simple      at most one voter comes or goes: old and new majorities overlap
//   enterJoint  any number: from now on both majorities are needed, the old voters' (outgoing) and the new ones' (incoming)
//   leaveJoint  the incoming half alone remains
//
// A voter that becomes a learner stays a voter of the outgoing half until that is gone; it waits in learnersNext.
// Upstream: raft/confchange
import { unreachable } from '../../../lib/base/assert.ts'
import { isLeaveJoint, leavesByItself, needsJoint, type ConfChangeSingle, type ConfChangeV2 } from './conf-change.ts'
import { noMember, type ConfState } from './messages.ts'
import { isJoint, type MembershipConfig } from './progress-tracker.ts'

export type MembershipRefusal = 'alreadyJoint' | 'notJoint' | 'noVotersLeft' | 'moreThanOneVoter'

export type MembershipResult =
  | { readonly type: 'changed'; readonly config: MembershipConfig }
  | { readonly type: 'refused'; readonly reason: MembershipRefusal }

/** The membership after a change; refused when the change isn't possible from this one. */
export function changeMembership(config: MembershipConfig, change: ConfChangeV2): MembershipResult {
  if (isLeaveJoint(change)) return leaveJoint(config)
  if (isJoint(config)) return refused('alreadyJoint')
  const next = draftOf(config)
  if (needsJoint(change)) {
    next.outgoing = new Set(next.incoming)
    next.autoLeave = leavesByItself(change)
  }
  for (const single of change.changes) applySingle(next, single)
  if (next.incoming.size === 0 && config.voters[0].size > 0) return refused('noVotersLeft')
  if (!needsJoint(change) && differenceCount(config.voters[0], next.incoming) > 1) return refused('moreThanOneVoter')
  return { type: 'changed', config: finish(next) }
}

/** The membership that a snapshot carries. */
export function membershipOf(state: ConfState): MembershipConfig {
  return {
    voters: [new Set(state.voters), new Set(state.votersOutgoing)], learners: new Set(state.learners), learnersNext: new Set(state.learnersNext),
    autoLeave: state.autoLeave,
  }
}

/** Everybody who gets entries: voters of both halves and learners. */
export function membersOf(config: MembershipConfig): Set<bigint> {
  return new Set([...config.voters[0], ...config.voters[1], ...config.learners, ...config.learnersNext])
}

export function isVoterOf(config: MembershipConfig, id: bigint): boolean { return config.voters[0].has(id) || config.voters[1].has(id) }

/** Whether the member has no vote any more after the change. */
export function removesVoter(config: MembershipConfig, change: ConfChangeV2, id: bigint): boolean {
  const after = changeMembership(config, change)
  return after.type === 'changed' && !isVoterOf(after.config, id)
}

interface MembershipDraft {
  readonly incoming: Set<bigint>
  outgoing: Set<bigint>
  readonly learners: Set<bigint>
  readonly learnersNext: Set<bigint>
  autoLeave: boolean
}

function draftOf(config: MembershipConfig): MembershipDraft {
  return {
    incoming: new Set(config.voters[0]), outgoing: new Set(config.voters[1]), learners: new Set(config.learners), learnersNext: new Set(config.learnersNext),
    autoLeave: config.autoLeave,
  }
}

function finish(draft: MembershipDraft): MembershipConfig {
  return { voters: [draft.incoming, draft.outgoing], learners: draft.learners, learnersNext: draft.learnersNext, autoLeave: draft.autoLeave }
}

function refused(reason: MembershipRefusal): MembershipResult { return { type: 'refused', reason } }

function leaveJoint(config: MembershipConfig): MembershipResult {
  if (!isJoint(config)) return refused('notJoint')
  return {
    type: 'changed',
    config: { voters: [config.voters[0], new Set()], learners: new Set([...config.learners, ...config.learnersNext]), learnersNext: new Set(), autoLeave: false },
  }
}

function applySingle(draft: MembershipDraft, { type, nodeId }: ConfChangeSingle): void {
  if (nodeId === noMember) return
  switch (type) {
    case 'ConfChangeAddNode':
      forget(draft, nodeId)
      draft.incoming.add(nodeId)
      return
    case 'ConfChangeAddLearnerNode':
      forget(draft, nodeId)
      if (draft.outgoing.has(nodeId)) draft.learnersNext.add(nodeId)
      else draft.learners.add(nodeId)
      return
    case 'ConfChangeRemoveNode': forget(draft, nodeId); return
    case 'ConfChangeUpdateNode': return
    default: unreachable(type)
  }
}

/** Takes it out of everything but the outgoing half, which is history and stays. */
function forget(draft: MembershipDraft, id: bigint): void {
  draft.incoming.delete(id)
  draft.learners.delete(id)
  draft.learnersNext.delete(id)
}

function differenceCount(a: ReadonlySet<bigint>, b: ReadonlySet<bigint>): number {
  return [...a].filter((id) => !b.has(id)).length + [...b].filter((id) => !a.has(id)).length
}
