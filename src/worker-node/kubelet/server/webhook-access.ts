// Access to the kubelet decided by the API server: tokens by TokenReview, permissions by SubjectAccessReview; answers are kept for a while.
// Upstream: cmd/kubelet/app/auth.go, apiserver/plugin/pkg/{authenticator/token,authorizer}/webhook
import { createHash } from 'node:crypto'
import { isJsonObject } from '../../../lib/base/json.ts'
import type { AccessAttributes, AccessRules, KubeletUser } from './request-access.ts'
import type { Clock } from '../../../lib/base/clock.ts'
import type { ApiClient } from '../../../lib/client/api-client.ts'

export interface WebhookAccessOptions {
  readonly client: ApiClient
  readonly nodeName: string
  readonly clock: Clock
  /** Default 2 min for tokens, 5 min for what is allowed, 30 s for what isn't. */
  readonly tokenCacheMs?: number
  readonly allowedCacheMs?: number
  readonly deniedCacheMs?: number
}

const mostEntries = 4096

export function createWebhookAccess(options: WebhookAccessOptions): Required<Pick<AccessRules, 'authenticateToken' | 'authorize'>> {
  const { client, nodeName, clock } = options
  const users = new Map<string, { readonly user: KubeletUser | undefined; readonly untilMs: number }>()
  const decisions = new Map<string, { readonly allowed: boolean; readonly untilMs: number }>()
  const remember = <T>(map: Map<string, T>, key: string, value: T): void => {
    if (map.size >= mostEntries) map.clear()
    map.set(key, value)
  }
  const review = async (user: KubeletUser, verb: string, subresource: string, signal: AbortSignal): Promise<boolean> => {
    const key = JSON.stringify([user.name, user.groups, verb, subresource])
    const known = decisions.get(key)
    if (known && clock.monotonic() < known.untilMs) return known.allowed
    const answer = await client.raw('POST', '/apis/authorization.k8s.io/v1/subjectaccessreviews', {
      apiVersion: 'authorization.k8s.io/v1', kind: 'SubjectAccessReview',
      spec: { user: user.name, groups: [...user.groups], resourceAttributes: { verb, group: '', version: 'v1', resource: 'nodes', subresource, ...(nodeName === '' ? {} : { name: nodeName }) } },
    }, signal)
    const allowed = isJsonObject(answer['status']) && answer['status']['allowed'] === true
    remember(decisions, key, { allowed, untilMs: clock.monotonic() + (allowed ? options.allowedCacheMs ?? 300_000 : options.deniedCacheMs ?? 30_000) })
    return allowed
  }
  return {
    async authenticateToken(token, signal) {
      const key = createHash('sha256').update(token).digest('base64')
      const known = users.get(key)
      if (known && clock.monotonic() < known.untilMs) return known.user
      const answer = await client.raw('POST', '/apis/authentication.k8s.io/v1/tokenreviews', { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec: { token } }, signal)
      const status = isJsonObject(answer['status']) ? answer['status'] : {}
      const info = isJsonObject(status['user']) ? status['user'] : {}
      const user = status['authenticated'] === true && typeof info['username'] === 'string' ? { name: info['username'], groups: Array.isArray(info['groups']) ? info['groups'].map(String) : [] } : undefined
      remember(users, key, { user, untilMs: clock.monotonic() + (options.tokenCacheMs ?? 120_000) })
      return user
    },
    async authorize(user: KubeletUser, { verb, subresources }: AccessAttributes, signal: AbortSignal) {
      for (const subresource of subresources) if (await review(user, verb, subresource, signal)) return true
      return false
    },
  }
}
