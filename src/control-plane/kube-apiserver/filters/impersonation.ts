// Acting as somebody else: allowed to those who may `impersonate` that user, each of the groups, and each extra value.
// Upstream: apiserver/pkg/endpoints/filters/impersonation
import type { AuthorizationAttributes, Authorizer } from '../authorization/authorizer.ts'
import { explainForbidden } from '../authorization/authorizer.ts'
import { badRequest, forbidden } from '../endpoints/api-errors.ts'
import type { UserInfo } from '../registry/strategy.ts'

type Headers = { readonly [name: string]: string }
const extraPrefix = 'impersonate-extra-'

/** The user that the request asks to be, or the one that it is. Repeated headers arrive joined by `, `. @throws ApiError 400, 403 */
export function impersonate(user: UserInfo, headers: Headers, authorizer: Authorizer): UserInfo {
  const name = headers['impersonate-user'] ?? ''
  const groups = (headers['impersonate-group'] ?? '').split(',').map((g) => g.trim()).filter((g) => g !== '')
  const uid = headers['impersonate-uid'] ?? ''
  const extra: { [key: string]: readonly string[] } = {}
  for (const [header, value] of Object.entries(headers)) {
    if (header.startsWith(extraPrefix)) extra[unescapeKey(header.slice(extraPrefix.length))] = value.split(',').map((v) => v.trim())
  }
  if (name === '') {
    if (groups.length > 0 || uid !== '' || Object.keys(extra).length > 0) throw badRequest(`requested ${JSON.stringify(groups)} without impersonating a user name`)
    return user
  }
  const check = (group: string, resource: string, target: string, namespace = '', subresource = ''): void => {
    const attributes: AuthorizationAttributes = { user, verb: 'impersonate', isResource: true, group, version: 'v1', resource, subresource, namespace, name: target, path: '' }
    const decision = authorizer.authorize(attributes)
    if (decision.decision !== 'allow') throw forbidden({ group, resource }, target, explainForbidden(attributes, decision.reason))
  }
  const account = /^system:serviceaccount:([^:]+):([^:]+)$/.exec(name)
  if (account) check('', 'serviceaccounts', account[2] ?? '', account[1] ?? '')
  else check('', 'users', name)
  for (const group of groups) check('', 'groups', group)
  if (uid !== '') check('authentication.k8s.io', 'uids', uid)
  for (const [key, values] of Object.entries(extra)) for (const value of values) check('authentication.k8s.io', 'userextras', value, '', key)
  const all = [...groups]
  if (account && groups.length === 0) all.push('system:serviceaccounts', `system:serviceaccounts:${account[1] ?? ''}`)
  if (name === 'system:anonymous') { if (!all.includes('system:unauthenticated')) all.push('system:unauthenticated') } else if (!all.includes('system:authenticated')) all.push('system:authenticated')
  return { name, uid, groups: all, extra }
}

function unescapeKey(text: string): string {
  try { return decodeURIComponent(text).toLowerCase() } catch { return text.toLowerCase() }
}
