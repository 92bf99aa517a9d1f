import assert from 'node:assert/strict'
import { test } from 'node:test'
import { silentLogger } from '../component-base/log.ts'
import { FakeApiServer } from '../testing/fake-api-server.ts'
import { SimulatedClock } from '../testing/simulated-clock.ts'
import { createEventRecorder } from './event-recorder.ts'
import { createApiClient } from './resource-client.ts'
import { events } from './resource-keys.ts'

const about = { kind: 'Pod', apiVersion: 'v1', namespace: 'default', name: 'p', uid: 'u' }

function world() {
  const clock = new SimulatedClock()
  const server = new FakeApiServer({ clock })
  const stop = new AbortController()
  const recorder = createEventRecorder({ client: createApiClient(server, { userAgent: 'test' }), clock, component: 'kubelet', host: 'n1', logger: silentLogger, signal: stop.signal })
  return { clock, server, recorder }
}

test('the same event again raises its count; when the stored one has expired it is made anew', async () => {
  const { clock, server, recorder } = world()
  for (let i = 0; i < 3; i++) { recorder.event(about, 'Warning', 'BackOff', 'again'); await clock.advance(1_000) }
  await recorder.flush()
  const [event, ...others] = server.list(events)
  assert.equal(others.length, 0)
  assert.deepEqual([event?.count, event?.type, event?.source, event?.reportingComponent, event?.firstTimestamp, event?.lastTimestamp], [3, 'Warning', { component: 'kubelet', host: 'n1' }, 'kubelet', '2026-01-01T00:00:00Z', '2026-01-01T00:00:02Z'])
  server.remove(events, 'default', event?.metadata.name ?? '')
  recorder.event(about, 'Warning', 'BackOff', 'again')
  await recorder.flush()
  assert.equal(server.list(events)[0]?.count, 4)
})

test('many that differ only in their message become one; a source that goes on and on is throttled', async () => {
  const { server, recorder } = world()
  for (let i = 0; i < 60; i++) recorder.event(about, 'Normal', 'Pulling', `layer ${i}`)
  await recorder.flush()
  const all = server.list(events)
  assert.equal(all.length, 10)
  const combined = all.find((event) => event.message?.startsWith('(combined from similar events): '))
  // 25 in a row, then one in five minutes.
  assert.equal(combined?.count, 25 - 9)
})

test('an event about something without a namespace goes to default', async () => {
  const { server, recorder } = world()
  recorder.event({ kind: 'Node', name: 'n1', uid: 'n1' }, 'Normal', 'Starting', 'here')
  await recorder.flush()
  assert.equal(server.list(events)[0]?.metadata.namespace, 'default')
})
