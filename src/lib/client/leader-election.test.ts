import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '../base/random.ts'
import { silentLogger } from '../component-base/log.ts'
import { FakeApiServer } from '../testing/fake-api-server.ts'
import { SimulatedClock } from '../testing/simulated-clock.ts'
import { runLeaderElection } from './leader-election.ts'
import { createApiClient } from './resource-client.ts'
import { leases } from './resource-keys.ts'

test('one leads; when it dies the other takes over within 17 s, when it is cut off it stops before', async () => {
  const clock = new SimulatedClock()
  const server = new FakeApiServer({ clock })
  const log: string[] = []
  let cutOff = ''
  server.intercept = (request) => (request.headers?.['user-agent'] === cutOff ? 0 : undefined)
  const start = (identity: string, seed: number): { abort: AbortController, done: Promise<string> } => {
    const abort = new AbortController()
    const done = runLeaderElection({
      client: createApiClient(server, { userAgent: identity }), clock, random: seededRandom(seed), logger: silentLogger, namespace: 'kube-system', name: 'kube-scheduler', identity,
      lead: (signal) => {
        log.push(`${clock.monotonic()} ${identity} leads`)
        return new Promise((resolve) => signal.addEventListener('abort', () => { log.push(`${clock.monotonic()} ${identity} stops`); resolve() }))
      },
    }, abort.signal)
    return { abort, done }
  }
  const a = start('a', 1)
  await clock.advance(1)
  const b = start('b', 2)
  await clock.advance(60_000)
  assert.deepEqual(log, ['0 a leads'])
  cutOff = 'a'
  await clock.advance(30_000)
  assert.equal(await a.done, 'lost')
  const stopped = Number(log[1]?.split(' ')[0])
  const taken = Number(log[2]?.split(' ')[0])
  assert.ok(log[1]?.endsWith('a stops') && log[2]?.endsWith('b leads'), log.join())
  assert.ok(stopped < taken && taken - 60_000 <= 20_000, log.join())
  assert.equal(server.get(leases, 'kube-system', 'kube-scheduler')?.spec.leaseTransitions, 1)
  b.abort.abort()
  await b.done
})
