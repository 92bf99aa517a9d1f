// Service-account tokens for projected volumes: asked of the API server, kept until 80 % of their life is over (a day at most), then asked anew.
// Rule it keeps: a token is bound to its pod; when the server can't be reached, the old one serves until it expires.
// Upstream: pkg/kubelet/token/token_manager.go
import { serviceAccounts } from '../../../lib/client/resource-keys.ts'
import { isJsonObject } from '../../../lib/base/json.ts'
import { podNamespace } from '../pod/pod-facts.ts'
import type { Clock } from '../../../lib/base/clock.ts'
import type { Random } from '../../../lib/base/random.ts'
import type { ApiClient } from '../../../lib/client/api-client.ts'
import type { Pod, ServiceAccountTokenProjection } from '../../../lib/api/generated/types/core-v1.ts'

interface CachedToken { readonly token: string; readonly issuedAtMs: number; readonly expiresAtMs: number; readonly refreshAtMs: number; readonly podUid: string }

const dayMs = 24 * 3_600_000
const defaultExpirationSeconds = 3600

export class TokenManager {
  readonly #client: ApiClient
  readonly #clock: Clock
  readonly #random: Random
  readonly #cache = new Map<string, CachedToken>()

  constructor(client: ApiClient, clock: Clock, random: Random) {
    this.#client = client
    this.#clock = clock
    this.#random = random
  }

  async token(pod: Pod, projection: ServiceAccountTokenProjection, signal: AbortSignal): Promise<string> {
    const serviceAccount = pod.spec?.serviceAccountName || 'default'
    const expirationSeconds = projection.expirationSeconds ?? defaultExpirationSeconds
    const key = JSON.stringify([podNamespace(pod), serviceAccount, projection.audience ?? '', expirationSeconds, pod.metadata.uid])
    const cached = this.#cache.get(key)
    const now = this.#clock.now()
    if (cached && now < cached.refreshAtMs) return cached.token
    try {
      const body = {
        apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest',
        spec: {
          ...(projection.audience ? { audiences: [projection.audience] } : {}), expirationSeconds,
          boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name: pod.metadata.name, uid: pod.metadata.uid },
        },
      }
      const answer = await this.#client.resource(serviceAccounts).createSubresource(podNamespace(pod), serviceAccount, 'token', body, signal)
      const status = isJsonObject(answer['status']) ? answer['status'] : {}
      const token = String(status['token'] ?? '')
      const expiresAtMs = Date.parse(String(status['expirationTimestamp'] ?? '')) || now + expirationSeconds * 1000
      const jitterMs = this.#random.float() * 10_000
      const refreshAtMs = Math.min(now + (expiresAtMs - now) * 0.8, now + dayMs) - Math.min(jitterMs, (expiresAtMs - now) / 20)
      this.#cache.set(key, { token, issuedAtMs: now, expiresAtMs, refreshAtMs, podUid: pod.metadata.uid })
      return token
    } catch (error) {
      if (cached && now < cached.expiresAtMs) return cached.token
      throw error
    }
  }

  forgetPod(uid: string): void {
    for (const [key, value] of this.#cache) if (value.podUid === uid) this.#cache.delete(key)
  }
}
