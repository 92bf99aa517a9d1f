import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '../../../lib/base/random.ts'
import { createApiClient } from '../../../lib/client/resource-client.ts'
import { SimulatedClock } from '../../../lib/testing/simulated-clock.ts'
import { TokenManager } from './token-manager.ts'
import type { ApiTransport } from '../../../lib/client/transport.ts'
import type { JsonObject } from '../../../lib/base/json.ts'
import type { Pod } from '../../../lib/api/generated/types/core-v1.ts'

test('a token is bound to its pod, kept until 80 % of its life, and the old one serves while the server is away', async () => {
  const clock = new SimulatedClock()
  const bodies: JsonObject[] = []
  let away = false
  const transport: ApiTransport = {
    async request({ body, path }) {
      if (away) return { status: 503, headers: {}, body: { kind: 'object', object: { kind: 'Status', status: 'Failure', code: 503, reason: 'ServiceUnavailable', message: 'away' } } }
      assert.equal(path, '/api/v1/namespaces/ns/serviceaccounts/sa/token')
      bodies.push(body as JsonObject) // cast: the client sends objects
      return { status: 201, headers: {}, body: { kind: 'object', object: { status: { token: `t${bodies.length}`, expirationTimestamp: new Date(clock.now() + 3600_000).toISOString() } } } }
    },
  }
  const tokens = new TokenManager(createApiClient(transport, { userAgent: 'test' }), clock, seededRandom(1))
  const pod: Pod = { metadata: { name: 'p', namespace: 'ns', uid: 'u1', resourceVersion: '', creationTimestamp: '' }, spec: { serviceAccountName: 'sa', containers: [] }, status: {} }
  const ask = (): Promise<string> => tokens.token(pod, { path: 'token', expirationSeconds: 3600, audience: 'api' }, new AbortController().signal)
  assert.equal(await ask(), 't1')
  assert.deepEqual(bodies[0]?.['spec'], { audiences: ['api'], expirationSeconds: 3600, boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name: 'p', uid: 'u1' } })
  await clock.advance(47 * 60_000)
  assert.equal(await ask(), 't1')
  await clock.advance(60_000)
  away = true
  assert.equal(await ask(), 't1', 'an old token is better than none')
  away = false
  assert.equal(await ask(), 't2')
  away = true
  await clock.advance(3601_000)
  await assert.rejects(ask(), 'an expired token is no token')
})
