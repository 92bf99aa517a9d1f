// Who may use a kubelet's own server: the API server is asked (TokenReview, SubjectAccessReview), and answers are kept for a while, as the
// original's webhook mode does. Upstream: apiserver/plugin/pkg/authorizer/webhook
import type { Clock } from '../lib/base/clock.ts'
import { isJsonObject } from '../lib/base/json.ts'
import type { ApiClient } from '../lib/client/api-client.ts'
import type { AccessRules } from '../worker-node/kubelet/server/request-access.ts'

const allowedForMs = 300_000
const deniedForMs = 30_000
const mostRemembered = 1000

export function askApiServer(client: ApiClient, nodeName: string, clock: Clock): Required<Pick<AccessRules, 'authenticateToken' | 'authorize'>> {
  const answers = new Map<string, { readonly allowed: boolean; readonly untilMs: number }>()
  return {
    async authenticateToken(token, signal) {
      const review = await client.raw('POST', '/apis/authentication.k8s.io/v1/tokenreviews', { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec: { token } }, signal)
      const status = isJsonObject(review['status']) ? review['status'] : {}
      const user = isJsonObject(status['user']) ? status['user'] : {}
      return status['authenticated'] === true ? { name: String(user['username'] ?? ''), groups: Array.isArray(user['groups']) ? user['groups'].map(String) : [] } : undefined
    },
    async authorize(user, attributes, signal) {
      for (const subresource of attributes.subresources) {
        const key = JSON.stringify([user, attributes.verb, subresource])
        const known = answers.get(key)
        if (known && known.untilMs > clock.monotonic()) { if (known.allowed) return true; continue }
        const review = await client.raw('POST', '/apis/authorization.k8s.io/v1/subjectaccessreviews', {
          apiVersion: 'authorization.k8s.io/v1', kind: 'SubjectAccessReview', spec: { user: user.name, groups: [...user.groups], resourceAttributes: { verb: attributes.verb, version: 'v1', resource: 'nodes', subresource, name: nodeName } },
        }, signal)
        const allowed = isJsonObject(review['status']) && review['status']['allowed'] === true
        if (answers.size >= mostRemembered) answers.clear()
        answers.set(key, { allowed, untilMs: clock.monotonic() + (allowed ? allowedForMs : deniedForMs) })
        if (allowed) return true
      }
      return false
    },
  }
}
