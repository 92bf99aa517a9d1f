import { test } from 'node:test'
import assert from 'node:assert/strict'
import { SimulatedClock, settle } from '../testing/simulated-clock.ts'
import { EndpointBalancer, type BalancedChannel } from './endpoint-balancer.ts'

const signal = new AbortController().signal

/** A channel that connects when the test says so. */
class ScriptedChannel implements BalancedChannel {
  isReady = false
  attempts: number[] = []
  readonly #clock: SimulatedClock
  readonly onDisconnect: (error: Error | undefined) => void
  #answer: { resolve: () => void; reject: (error: Error) => void } | undefined
  constructor(clock: SimulatedClock, onDisconnect: (error: Error | undefined) => void) { this.#clock = clock; this.onDisconnect = onDisconnect }

  ready(): Promise<void> {
    this.attempts.push(this.#clock.monotonic())
    return new Promise((resolve, reject) => { this.#answer = { resolve, reject } })
  }
  async connect(): Promise<void> { this.isReady = true; this.#answer?.resolve(); await settle(1) }
  async refuse(): Promise<void> { this.#answer?.reject(new Error('refused')); await settle(1) }
  lose(): void { this.isReady = false; this.onDisconnect(new Error('reset')) }
  [Symbol.dispose](): void { this.isReady = false }
}

function open(endpoints: readonly string[], patienceMs = 5000): { readonly clock: SimulatedClock; readonly balancer: EndpointBalancer<ScriptedChannel>; readonly channels: readonly ScriptedChannel[] } {
  const clock = new SimulatedClock()
  const channels: ScriptedChannel[] = []
  const balancer = new EndpointBalancer({ endpoints, clock, patienceMs, open: (_, onDisconnect) => { const channel = new ScriptedChannel(clock, onDisconnect); channels.push(channel); return channel } })
  return { clock, balancer, channels }
}

test('all endpoints are connected to at once; calls wait for the first that stands, and stay there', async () => {
  const { clock, balancer, channels: [a, b, c] } = open(['a', 'b', 'c'])
  assert.ok(a && b && c)
  assert.deepEqual([a.attempts.length, b.attempts.length, c.attempts.length], [1, 1, 1])
  const waiting = balancer.pick(signal)
  await b.connect()
  await clock.advance(50)
  assert.equal((await waiting).target, 'b')
  await a.connect()
  await c.connect()
  assert.equal(balancer.ready?.target, 'b', 'the first of the list came later')
  balancer.avoid(await balancer.pick(signal))
  assert.equal(balancer.ready?.target, 'c', 'b could not serve')
  // Whoever was there before has nothing to say about c.
  balancer.avoid(balancer.endpoints[1]!) // cast: there are three
  assert.equal(balancer.ready?.target, 'c')
  c.lose()
  assert.equal(balancer.ready?.target, 'a')
})

test('the order of the list is a preference where the connections come together', async () => {
  const { balancer, channels: [a, b] } = open(['a', 'b'])
  assert.ok(a && b)
  const waiting = balancer.pick(signal)
  await b.connect()
  await a.connect()
  assert.equal((await waiting).target, 'a')
})

test('attempts to connect come at growing distances, at once after a loss, never further apart than two seconds', async () => {
  const { clock, channels: [a] } = open(['a'])
  assert.ok(a)
  for (let i = 0; i < 12; i++) {
    await a.refuse()
    await clock.advance(2000)
  }
  const gaps = a.attempts.slice(1).map((at, i) => Math.round(at - a.attempts[i]!)) // cast: one shorter
  assert.equal(gaps[0], 100)
  assert.ok(gaps.every((gap, i) => i === 0 || gap >= 100) && Math.max(...gaps) <= 4000, gaps.join())
  await a.connect()
  const before = a.attempts.length
  a.lose()
  await clock.advance(0)
  assert.equal(a.attempts.length, before + 1)
})

test('with nobody there callers wait for a while and are told why; later ones are told at once; then all goes on', async () => {
  const { clock, balancer, channels: [a, b] } = open(['a', 'b'], 1000)
  assert.ok(a && b)
  const refused = assert.rejects(balancer.pick(signal), { reason: 'Unavailable', message: 'etcdclient: no available endpoints (a: refused; b: refused)' })
  await a.refuse()
  await b.refuse()
  await clock.advance(1000)
  await refused
  await assert.rejects(balancer.pick(signal), { reason: 'Unavailable' })
  await a.connect()
  assert.equal((await balancer.pick(signal)).target, 'a')
  // A new loss is waited for again.
  a.lose()
  const again = balancer.pick(signal)
  await clock.advance(900)
  await a.connect()
  assert.equal((await again).target, 'a')
  const abort = new AbortController()
  a.lose()
  const aborted = assert.rejects(balancer.pick(abort.signal), { message: 'enough' })
  abort.abort(new Error('enough'))
  await aborted
  const closed = assert.rejects(balancer.pick(signal), { reason: 'Canceled' })
  balancer[Symbol.dispose]()
  await closed
  assert.equal(clock.pending, 0)
})

test('a connection whose server said goodbye takes no new calls', async () => {
  const { clock, balancer, channels: [a] } = open(['a'])
  assert.ok(a)
  await a.connect()
  // Not ready, and not ended yet: its last answers are coming.
  a.isReady = false
  assert.equal(balancer.ready, undefined)
  const waiting = balancer.pick(signal)
  await clock.advance(0)
  assert.equal(a.attempts.length, 2)
  await a.connect()
  assert.equal((await waiting).target, 'a')
})
