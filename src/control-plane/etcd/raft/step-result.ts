// What became of a message or proposal: only proposals can be refused, everything else is taken or ignored.

/**
 * Why a proposal was not taken. noLeader: nobody to take it. forwardingDisabled: not the leader. transferring: the leader hands over.
 * tooMuchUncommitted: the leader's bound. leaving: the leader is being
 * removed. confChangePending: an earlier change isn't applied. confChangeRefused: not possible from the present membership. All but the last: try again.
 */
export type ProposalRefusal = 'noLeader' | 'forwardingDisabled' | 'transferring' | 'tooMuchUncommitted' | 'leaving' | 'confChangePending' | 'confChangeRefused'

export type StepResult = { readonly type: 'ok' } | { readonly type: 'dropped'; readonly reason: ProposalRefusal }
export const stepOk: StepResult = { type: 'ok' }
