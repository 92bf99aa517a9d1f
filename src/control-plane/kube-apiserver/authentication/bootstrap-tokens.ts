// Bootstrap tokens: `abcdef.0123456789abcdef`, each a Secret in kube-system, good for joining nodes until it runs out.
// Upstream: plugin/pkg/auth/authenticator/token/bootstrap
import { timingSafeEqual } from 'node:crypto'
import type { Clock } from '../../../lib/base/clock.ts'
import { secrets } from '../../../lib/client/resource-keys.ts'
import { cachedKind } from '../endpoints/server-context.ts'
import type { ServedResource } from '../endpoints/served-resource.ts'
import type { UserInfo } from '../registry/strategy.ts'

const groupPattern = /^system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]$/

export function bootstrapTokens(stored: ReadonlyMap<string, ServedResource>, clock: Clock): (token: string) => UserInfo | undefined {
  return (token) => {
    const match = /^([a-z0-9]{6})\.([a-z0-9]{16})$/.exec(token)
    const [, id, secret] = match ?? []
    if (id === undefined || secret === undefined) return undefined
    const found = cachedKind(stored, secrets).get('kube-system', `bootstrap-token-${id}`)
    if (!found || found.metadata.deletionTimestamp !== undefined || found.type !== 'bootstrap.kubernetes.io/token') return undefined
    const data = (key: string): string => Buffer.from(found.data?.[key] ?? '', 'base64').toString()
    const kept = Buffer.from(data('token-secret'))
    const given = Buffer.from(secret)
    if (kept.length !== given.length || !timingSafeEqual(kept, given) || data('token-id') !== id) return undefined
    const expiration = data('expiration')
    if (expiration !== '' && !(Date.parse(expiration) > clock.now())) return undefined
    if (data('usage-bootstrap-authentication') !== 'true') return undefined
    const groups = data('auth-extra-groups').split(',').map((g) => g.trim()).filter((g) => g !== '')
    if (groups.some((group) => !groupPattern.test(group))) return undefined
    return { name: `system:bootstrap:${id}`, uid: '', groups: ['system:bootstrappers', ...groups, 'system:authenticated'], extra: {} }
  }
}
