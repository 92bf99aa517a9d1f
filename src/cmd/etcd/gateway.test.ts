import assert from 'node:assert/strict'
import { connect, createServer, type AddressInfo } from 'node:net'
import { test } from 'node:test'
import { realRandom } from '../../lib/async/real-random.ts'
import { silentLogger } from '../../lib/component-base/log.ts'
import { SimulatedClock } from '../../lib/testing/simulated-clock.ts'
import { EndpointChoice, parseEndpoint, startGateway, type GatewayEndpoint } from './gateway.ts'

const endpoint = (port: number, more: Partial<GatewayEndpoint> = {}): GatewayEndpoint => ({ host: '127.0.0.1', port, priority: 0, weight: 0, ...more })

test('endpoints take turns; a lower priority waits until all others are gone; weights are shares', () => {
  const [a, b, spare] = [endpoint(1), endpoint(2), endpoint(3, { priority: 5 })]
  const choice = new EndpointChoice([a, b, spare], realRandom)
  assert.deepEqual([1, 2, 3, 4].map(() => choice.pick()?.port), [1, 2, 1, 2])
  choice.inactive.add(a)
  assert.deepEqual([1, 2].map(() => choice.pick()?.port), [2, 2])
  choice.inactive.add(b)
  assert.equal(choice.pick(), spare)
  choice.inactive.add(spare)
  assert.equal(choice.pick(), undefined)
  const weighted = new EndpointChoice([endpoint(1, { weight: 9 }), endpoint(2, { weight: 1 })], realRandom)
  const picks = Array.from({ length: 400 }, () => weighted.pick()?.port)
  assert.ok(picks.filter((port) => port === 1).length > 300)
  assert.deepEqual(parseEndpoint('http://[::1]:2379'), { host: '::1', port: 2379, priority: 0, weight: 0 })
  assert.throws(() => parseEndpoint('nowhere'), { name: 'FlagError' })
})

/** Answers each connection with its name, then with what it is sent. */
async function startBackend(name: string, port = 0): Promise<AsyncDisposable & { readonly port: number }> {
  const server = createServer((socket) => { socket.on('error', () => {}); socket.write(`${name}:`); socket.pipe(socket) })
  await new Promise<void>((done) => { server.listen(port, '127.0.0.1', () => done()) })
  return { port: (server.address() as AddressInfo).port, [Symbol.asyncDispose]: () => new Promise((done) => { server.close(() => done()) }) } // cast: it listens on TCP
}

function ask(port: number, text: string): Promise<string> {
  return new Promise((done) => {
    let answer = ''
    const socket = connect(port, '127.0.0.1', () => socket.end(text))
    socket.on('data', (chunk: Buffer) => { answer += chunk.toString() }).on('error', () => {}).once('close', () => done(answer))
  })
}

test('passes bytes on both ways, leaves dead members out, and finds them again', async () => {
  const clock = new SimulatedClock()
  await using first = await startBackend('first')
  const { port: secondPort } = await startBackend('').then(async (backend) => { await backend[Symbol.asyncDispose](); return backend })
  await using gateway = await startGateway({ listen: { host: '127.0.0.1', port: 0 }, endpoints: [endpoint(first.port), endpoint(secondPort)], retryDelayMs: 1000, clock, random: realRandom, logger: silentLogger })
  assert.equal(await ask(gateway.port, 'hello'), 'first:hello')
  assert.equal(await ask(gateway.port, 'x'), 'first:x', 'the second one is dead')
  await using second = await startBackend('second', secondPort)
  void second
  const names = new Set<string>()
  for (let i = 0; i < 20 && names.size < 2; i++) {
    await clock.advance(1000)
    names.add(await ask(gateway.port, ''))
  }
  assert.deepEqual([...names].sort(), ['first:', 'second:'])
})
