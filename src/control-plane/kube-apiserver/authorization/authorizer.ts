// Who may do what: one question, asked of several authorizers in turn. Answers are synchronous, from rules held in memory.
// Upstream: apiserver/pkg/authorization/authorizer
import type { RequestInfo } from '../endpoints/request-info.ts'
import type { UserInfo } from '../registry/strategy.ts'

/** What a request is about, and whose it is. */
export interface AuthorizationAttributes extends Omit<RequestInfo, 'parts'> {
  readonly user: UserInfo
  /** As given, for authorizers that look at what a list is limited to. */
  readonly fieldSelector?: string
  readonly labelSelector?: string
}

export interface Decision {
  readonly decision: 'allow' | 'deny' | 'noOpinion'
  readonly reason: string
  readonly error?: string
}

export interface Authorizer {
  authorize(attributes: AuthorizationAttributes): Decision
}

export const noOpinion: Decision = { decision: 'noOpinion', reason: '' }

/** The first that allows or denies decides; nobody: no. Members of system:masters are always allowed. */
export function unionAuthorizer(authorizers: readonly Authorizer[]): Authorizer {
  return {
    authorize(attributes) {
      if (attributes.user.groups.includes('system:masters')) return { decision: 'allow', reason: '' }
      const reasons: string[] = []
      const errors: string[] = []
      for (const authorizer of authorizers) {
        const decision = authorizer.authorize(attributes)
        if (decision.decision !== 'noOpinion') return decision
        if (decision.reason !== '') reasons.push(decision.reason)
        if (decision.error !== undefined) errors.push(decision.error)
      }
      return { decision: 'noOpinion', reason: reasons.join('\n'), ...(errors.length > 0 && { error: errors.join('\n') }) }
    },
  }
}

export const alwaysAllow: Authorizer = { authorize: () => ({ decision: 'allow', reason: '' }) }
export const alwaysDeny: Authorizer = { authorize: () => ({ decision: 'noOpinion', reason: 'Everything is forbidden.' }) }

/** The sentence after "is forbidden: ". */
export function explainForbidden(a: AuthorizationAttributes, reason: string): string {
  const user = JSON.stringify(a.user.name)
  const tail = reason === '' ? '' : `: ${reason}`
  if (!a.isResource) return `User ${user} cannot ${a.verb} path ${JSON.stringify(a.path)}${tail}`
  const resource = a.subresource === '' ? a.resource : `${a.resource}/${a.subresource}`
  const where = a.namespace === '' ? 'at the cluster scope' : `in the namespace ${JSON.stringify(a.namespace)}`
  return `User ${user} cannot ${a.verb} resource ${JSON.stringify(resource)} in API group ${JSON.stringify(a.group)} ${where}${tail}`
}
