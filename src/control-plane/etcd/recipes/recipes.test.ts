import { test } from 'node:test'
import assert from 'node:assert/strict'
import { seededRandom } from '../../../lib/base/random.ts'
import { silentLogger } from '../../../lib/component-base/log.ts'
import { SimulatedClock } from '../../../lib/testing/simulated-clock.ts'
import type { LockResponse } from '../../../lib/etcd-api/generated/types.ts'
import { openEtcd } from '../embedded.ts'
import { electionImplementation } from './election-service.ts'
import { lockImplementation } from './lock-service.ts'

const b = (text: string): Uint8Array => Buffer.from(text)
const signal = new AbortController().signal
const peer = { headers: {} }
const turn = (): Promise<void> => new Promise((resolve) => { setImmediate(resolve) })
type Method<T> = (request: object, signal: AbortSignal, peer: object) => Promise<T>

test('a lock waits for the one before it, and whoever gives up stands in nobody\'s way', async () => {
  await using etcd = await openEtcd({ disk: 'memory', clock: new SimulatedClock(), random: seededRandom(1), logger: silentLogger })
  const { lock, unlock } = lockImplementation(etcd.internals) as { lock: Method<LockResponse>; unlock: Method<object> }
  for (const id of [1n, 2n, 3n]) await etcd.client.leaseGrant(100, signal, id)
  const granted: string[] = []
  const first = await lock({ name: b('l'), lease: 1n }, signal, peer)
  assert.equal(Buffer.from(first.key ?? []).toString(), 'l/1')
  const givesUp = new AbortController()
  const second = lock({ name: b('l'), lease: 2n }, givesUp.signal, peer)
  await turn()
  const third = lock({ name: b('l'), lease: 3n }, signal, peer).then((response) => { granted.push('third'); return response })
  await turn()
  givesUp.abort(new Error('enough'))
  await assert.rejects(second, /enough/)
  await turn()
  assert.deepEqual(granted, [])
  await unlock({ key: b('l/1') }, signal, peer)
  const response = await third
  assert.equal(response.header?.revision, (await etcd.client.status(signal)).revision)
})

test('observers see every leader and what it proclaims, in order', async () => {
  await using etcd = await openEtcd({ disk: 'memory', clock: new SimulatedClock(), random: seededRandom(1), logger: silentLogger })
  const { campaign, proclaim, resign, observe } = electionImplementation(etcd.internals) as {
    campaign: Method<{ leader: object }>; proclaim: Method<object>; resign: Method<object>; observe: (request: object, signal: AbortSignal, peer: object) => AsyncGenerator<{ kv: { value: Uint8Array } }>
  }
  for (const id of [1n, 2n]) await etcd.client.leaseGrant(100, signal, id)
  const seen = observe({ name: b('e') }, signal, peer)
  const next = async (): Promise<string> => Buffer.from((await seen.next()).value?.kv.value ?? []).toString()
  const before = next()
  await turn()
  const { leader } = await campaign({ name: b('e'), value: b('one'), lease: 1n }, signal, peer)
  assert.equal(await before, 'one')
  const proclaimed = next()
  await turn()
  await proclaim({ leader, value: b('one again') }, signal, peer)
  assert.equal(await proclaimed, 'one again')
  const changed = next()
  const waits = campaign({ name: b('e'), value: b('two'), lease: 2n }, signal, peer)
  await turn()
  await resign({ leader }, signal, peer)
  await waits
  assert.equal(await changed, 'two')
  await assert.rejects(proclaim({ leader, value: b('late') }, signal, peer), /election: not leader/)
})
