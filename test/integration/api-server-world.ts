// An API server with an in-memory etcd under a clock that the test moves, and short ways to talk to it.
import assert from 'node:assert/strict'
import { startApiServer } from '../../src/control-plane/kube-apiserver/api-server.ts'
import type { ApiServer, ApiServerOptions } from '../../src/control-plane/kube-apiserver/api-server.ts'
import { openEtcd } from '../../src/control-plane/etcd/embedded.ts'
import type { JsonObject } from '../../src/lib/base/json.ts'
import { seededRandom } from '../../src/lib/base/random.ts'
import type { ApiRequest, ApiResponse, ApiTransport } from '../../src/lib/client/transport.ts'
import type { WatchEvent } from '../../src/lib/client/watch-event.ts'
import { silentLogger } from '../../src/lib/component-base/log.ts'
import type { EtcdClient } from '../../src/lib/etcd-client/etcd-client.ts'
import { generateKeyPair } from '../../src/lib/net/pki/certificates.ts'
import { SimulatedClock } from '../../src/lib/testing/simulated-clock.ts'

export const admin = { name: 'admin', uid: '', groups: ['system:masters', 'system:authenticated'], extra: {} }
export const forever = new AbortController().signal

/** What the API answers, read without ceremony. */
// oxlint-disable-next-line typescript/no-explicit-any
export type Loose = any

type Method = ApiRequest['method']
type Headers = { readonly [name: string]: string }

export interface World extends AsyncDisposable {
  readonly etcd: EtcdClient
  readonly clock: SimulatedClock
  readonly api: ApiServer
  readonly transport: ApiTransport
  call(method: Method, path: string, body?: unknown, headers?: Headers): Promise<ApiResponse>
  /** The answer's object; fails unless the status is as said. */
  ask(status: number, method: Method, path: string, body?: unknown, headers?: Headers): Promise<Loose>
  /** The same as somebody else. */
  askAs(user: { readonly name: string; readonly groups?: readonly string[] }, status: number, method: Method, path: string, body?: unknown, headers?: Headers): Promise<Loose>
  /** A watch, one event at a time. */
  watch(path: string, signal?: AbortSignal): Promise<() => Promise<Loose>>
  /** etcd's revision: what isn't written doesn't move it. */
  revision(): Promise<number>
  /** Another API server on the same etcd. */
  restart(): Promise<ApiServer>
}

export async function startWorld(more: Partial<ApiServerOptions> = {}): Promise<World> {
  const clock = new SimulatedClock()
  const etcd = await openEtcd({ disk: 'memory', clock, random: seededRandom(1), logger: silentLogger })
  const options: ApiServerOptions = {
    etcd: etcd.client, clock, random: seededRandom(2), logger: silentLogger, freezeObjects: true, serviceAccounts: { issuers: ['https://kubernetes.default.svc.cluster.local'], signingKey: generateKeyPair().keyPem }, ...more,
  }
  const api = await startApiServer(options, forever)
  const others: ApiServer[] = []
  const transport = api.transport(admin)
  const send = (over: ApiTransport, method: Method, path: string, body?: unknown, headers?: Headers): Promise<ApiResponse> => over.request({
    method, path, signal: forever, ...(body !== undefined && { body: (typeof body === 'string' ? Buffer.from(body) : body) as JsonObject }), ...(headers && { headers }),
  })
  const expect = (status: number, answer: ApiResponse): Loose => {
    const object = answer.body.kind === 'object' ? answer.body.object : answer.body.kind === 'bytes' ? Buffer.from(answer.body.bytes).toString() : undefined
    assert.equal(answer.status, status, JSON.stringify(object))
    return object
  }
  return {
    etcd: etcd.client, clock, api, transport,
    call: (method, path, body, headers) => send(transport, method, path, body, headers),
    ask: async (status, method, path, body, headers) => expect(status, await send(transport, method, path, body, headers)),
    askAs: async ({ name, groups = [] }, status, method, path, body, headers) => expect(status, await send(api.transport({ name, uid: '', groups: [...groups, 'system:authenticated'], extra: {} }), method, path, body, headers)),
    async watch(path, signal = forever) {
      const answer = await transport.request({ method: 'GET', path, signal })
      assert.equal(answer.body.kind, 'events', JSON.stringify(answer))
      const events = (answer.body as { readonly events: AsyncIterable<readonly WatchEvent[]> }).events[Symbol.asyncIterator]()
      let batch: WatchEvent[] = []
      return async () => {
        while (batch.length === 0) {
          const next = await events.next()
          if (next.done) return undefined
          batch = [...next.value]
        }
        return batch.shift()
      }
    },
    async revision() { return (await etcd.client.range({ key: Buffer.from('x') }, forever)).revision },
    async restart() {
      const other = await startApiServer({ ...options, random: seededRandom(3) }, forever)
      others.push(other)
      return other
    },
    async [Symbol.asyncDispose]() {
      for (const other of others) await other[Symbol.asyncDispose]()
      await api[Symbol.asyncDispose]()
      await etcd[Symbol.asyncDispose]()
    },
  }
}

export const configMap = (name: string, data: { readonly [key: string]: string } = {}, labels?: { readonly [key: string]: string }): JsonObject => ({ metadata: { name, ...(labels && { labels }) }, data })
export const mapsPath = '/api/v1/namespaces/default/configmaps'
export const podsPath = '/api/v1/namespaces/default/pods'
export const podOf = (name: string, more: JsonObject = {}): JsonObject => ({ metadata: { name }, spec: { containers: [{ name: 'main', image: 'example.com/x:1' }], ...more } })
export const json = { 'content-type': 'application/json' }
export const mergePatch = { 'content-type': 'application/merge-patch+json' }
export const jsonPatch = { 'content-type': 'application/json-patch+json' }
export const strategicPatch = { 'content-type': 'application/strategic-merge-patch+json' }
