// An API server on an etcd that the test chose, in this process, and short ways to talk to it.
import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import { startApiServer, type ApiServer, type ApiServerOptions } from '../../src/control-plane/kube-apiserver/api-server.ts'
import { realClock } from '../../src/lib/async/real-clock.ts'
import { realRandom } from '../../src/lib/async/real-random.ts'
import type { JsonObject } from '../../src/lib/base/json.ts'
import type { ApiRequest, ApiTransport } from '../../src/lib/client/transport.ts'
import type { WatchEvent } from '../../src/lib/client/watch-event.ts'
import { silentLogger } from '../../src/lib/component-base/log.ts'
import type { EtcdClient } from '../../src/lib/etcd-client/etcd-client.ts'

export const admin = { name: 'admin', uid: '', groups: ['system:masters', 'system:authenticated'], extra: {} }

/** What the API answers, read without ceremony. */
// oxlint-disable-next-line typescript/no-explicit-any
export type Loose = any

export interface Answer { readonly status: number; readonly body: Loose; readonly headers: { readonly [name: string]: string } }

export interface EventStream extends Disposable {
  /** The next event; undefined when the watch has ended. Fails when nothing comes for ten seconds. */
  next(): Promise<Loose>
}

export interface ServerUnderTest extends AsyncDisposable {
  readonly api: ApiServer
  readonly transport: ApiTransport
  call(method: ApiRequest['method'], path: string, body?: unknown, headers?: { readonly [name: string]: string }): Promise<Answer>
  /** The answer's object; fails unless the status is as said. */
  ask(status: number, method: ApiRequest['method'], path: string, body?: unknown, headers?: { readonly [name: string]: string }): Promise<Loose>
  watch(path: string): Promise<EventStream>
}

export async function openServer(etcd: EtcdClient, more: Partial<ApiServerOptions> = {}): Promise<ServerUnderTest> {
  const stop = new AbortController()
  const starting = startApiServer({ etcd, clock: realClock, random: realRandom, logger: silentLogger, freezeObjects: true, ...more }, stop.signal)
  const api = await Promise.race([starting, delay(20_000, undefined, { ref: false }).then(() => { throw new Error('the API server has not started in 20 s') })])
  const transport = api.transport(admin)
  const call: ServerUnderTest['call'] = async (method, path, body, headers) => {
    const answer = await transport.request({
      method, path, signal: AbortSignal.any([stop.signal, AbortSignal.timeout(30_000)]), ...(body !== undefined && { body: (typeof body === 'string' ? Buffer.from(body) : body) as JsonObject }), ...(headers && { headers }), // cast: what a test sends is JSON
    })
    const read = answer.body.kind === 'object' ? answer.body.object : answer.body.kind === 'bytes' ? Buffer.from(answer.body.bytes).toString() : undefined
    return { status: answer.status, body: read, headers: answer.headers as { readonly [name: string]: string } } // cast: an API server's headers are texts
  }
  return {
    api, transport, call,
    async ask(status, method, path, body, headers) {
      const answer = await call(method, path, body, headers)
      assert.equal(answer.status, status, `${method} ${path}: ${JSON.stringify(answer.body)}`)
      return answer.body
    },
    async watch(path) {
      const abort = new AbortController()
      const answer = await transport.request({ method: 'GET', path, signal: abort.signal })
      assert.equal(answer.body.kind, 'events', JSON.stringify(answer))
      const events = (answer.body as { readonly events: AsyncIterable<readonly WatchEvent[]> }).events[Symbol.asyncIterator]() // cast: the line before made sure
      let batch: WatchEvent[] = []
      return {
        async next() {
          while (batch.length === 0) {
            const late = new AbortController()
            const next = await Promise.race([events.next(), delay(10_000, undefined, { signal: late.signal, ref: false }).then(() => { throw new Error(`no event in 10 s: ${path}`) })])
            late.abort()
            if (next.done) return undefined
            batch = [...next.value]
          }
          return batch.shift()
        },
        [Symbol.dispose]() { abort.abort() },
      }
    },
    async [Symbol.asyncDispose]() {
      await api[Symbol.asyncDispose]()
      stop.abort()
    },
  }
}

/** `count` events of a watch as texts: type, name, and data.value where there is one. */
export async function eventTexts(watch: EventStream, count: number): Promise<readonly string[]> {
  const texts: string[] = []
  while (texts.length < count) {
    const event = await watch.next()
    if (event === undefined) return [...texts, 'end']
    if (event.type === 'ERROR') texts.push(`ERROR ${event.object.code} ${event.object.reason}`)
    else texts.push(`${event.type} ${event.object.metadata.name ?? ''}${event.object.data?.value === undefined ? '' : `=${event.object.data.value}`}`)
  }
  return texts
}

/** Waits until `condition` holds. */
export async function until(what: string, condition: () => boolean | Promise<boolean>, withinMs = 10_000): Promise<void> {
  for (const deadline = realClock.monotonic() + withinMs; !(await condition()); await delay(20)) {
    if (realClock.monotonic() > deadline) throw new Error(`not in ${withinMs} ms: ${what}`)
  }
}
