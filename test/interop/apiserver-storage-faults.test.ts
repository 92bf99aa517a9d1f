// kube-apiserver while its etcd is killed, away, or without its leader: no acknowledged write is lost, no watch has a gap, requests that can't be
// served say so with a Status, and all goes on afterwards. Processes of ours and of the original.
import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import { realClock } from '../../src/lib/async/real-clock.ts'
import { openServer, until, type ServerUnderTest } from './apiserver-under-test.ts'
import { backendKinds, startBackend, type Backend, type BackendKind } from './etcd-backends.ts'
import { Load, problemsOf } from './writers-and-watchers.ts'

/** Of the originals, which only show that the harness is right, the first test of each kind runs; all of them with K8TS_SOAK. */
const isThorough = (kind: BackendKind): boolean => kind.program === 'ours' || process.env['K8TS_SOAK'] !== undefined

const maps = '/api/v1/namespaces/default/configmaps'

/** What clients are told when etcd is not there: a Status that says so, nothing else. */
function assertProperRefusals(load: Load): void {
  for (const refusal of load.refusals.keys()) {
    // 409 and "Conflict": a write whose answer was lost had been made. 500 without a reason: etcd's own words, the outcome is unknown.
    assert.match(refusal, /^(read )?(500 (ServerTimeout)?|504 Timeout|503 ServiceUnavailable|429 TooManyRequests|409 (Conflict|AlreadyExists))$/, JSON.stringify([...load.refusals]))
  }
}

async function underLoad(backend: Backend, during: (load: Load, servers: readonly ServerUnderTest[]) => Promise<void>): Promise<void> {
  await using a = await openServer(backend.client())
  await using b = await openServer(backend.client())
  const load = new Load({ servers: [() => a, () => b], writers: 6, watchers: 4 })
  await load.start()
  await load.more(100)
  await during(load, [a, b])
  await load.more(100)
  const history = await load.finish().catch((error: unknown) => { throw new Error(`${backend.members.map((member) => `${member.name}: ${member.isRunning ? 'runs' : 'has ended'}\n${member.lastWords()}`).join('\n')}`, { cause: error }) })
  assert.deepEqual(problemsOf(history), [])
  assertProperRefusals(load)
}

for (const kind of backendKinds) {
  if (kind.program === 'debian') continue
  describe(`kube-apiserver while ${kind.name} ${kind.members === 1 ? 'is' : 'are'} struck`, { ...(kind.missing !== undefined && { skip: kind.missing }), timeout: 600_000, concurrency: false }, () => {
    if (kind.members === 1) {
      test('killed under load and started again, twice', { timeout: 90_000 }, async () => {
        await using backend = await startBackend(kind)
        const [member] = backend.members
        assert.ok(member)
        await underLoad(backend, async (load) => {
          for (let round = 0; round < 2; round++) {
            await member.signal('SIGKILL')
            await delay(200)
            member.start()
            await backend.untilHealthy()
            const started = realClock.monotonic()
            await load.more(50)
            assert.ok(realClock.monotonic() - started < 10_000)
          }
        })
      })

      if (!isThorough(kind)) return
      test('ended in good order and started again under load', { timeout: 90_000 }, async () => {
        await using backend = await startBackend(kind)
        const [member] = backend.members
        assert.ok(member)
        await underLoad(backend, async (load) => {
          await member.signal('SIGTERM')
          member.start()
          await load.more(50)
        })
      })

      test('away for eight seconds: told at once and in proper form, healthy and serving again within five of its return', { timeout: 90_000 }, async () => {
        await using backend = await startBackend(kind)
        const [member] = backend.members
        assert.ok(member)
        await using server = await openServer(backend.client(), { etcdHealthcheckTimeoutMs: 500, etcdReadycheckTimeoutMs: 500 })
        const made = await server.ask(201, 'POST', maps, { metadata: { name: 'a' }, data: { value: '0' } })
        using watch = await server.watch(`${maps}?watch=true&resourceVersion=${made.metadata.resourceVersion}`)
        await member.signal('SIGKILL')
        await until('/healthz/etcd and the others say so', async () => {
          const answers = await Promise.all(['/healthz/etcd', '/livez/etcd', '/readyz/etcd-readiness', '/readyz'].map((path) => server.call('GET', path)))
          return answers.every((answer) => answer.status === 500)
        })
        assert.match((await server.call('GET', '/healthz/etcd')).body, /^internal server error: error getting data from etcd: /)
        const refused = await server.ask(500, 'GET', `${maps}/a`)
        assert.deepEqual([refused.reason, refused.details.retryAfterSeconds], ['ServerTimeout', 2])
        await delay(5500)
        const started = realClock.monotonic()
        assert.equal((await server.ask(500, 'POST', maps, { metadata: { name: 'b' } })).reason, 'ServerTimeout', 'nothing was sent: it may be tried again')
        assert.ok(realClock.monotonic() - started < 1000, 'after so long nobody is made to wait any more')
        assert.equal((await server.ask(200, 'GET', `${maps}/a?resourceVersion=0`)).data.value, '0', 'what is cached can be read')
        member.start()
        // How long a program needs to start is not asked here.
        await backend.untilHealthy()
        const returned = realClock.monotonic()
        await until('service', async () => (await server.call('PATCH', `${maps}/a`, { data: { value: '1' } }, { 'content-type': 'application/merge-patch+json' })).status === 200)
        assert.ok(realClock.monotonic() - returned < 8000, `${realClock.monotonic() - returned} ms`)
        const event = await watch.next()
        assert.deepEqual([event.type, event.object.data.value], ['MODIFIED', '1'])
        await until('healthy', async () => (await server.call('GET', '/readyz')).status === 200)
      })
      return
    }

    test('the leader killed under load: writes go on, and it comes back', { timeout: 120_000 }, async () => {
      await using backend = await startBackend(kind)
      await underLoad(backend, async (load) => {
        for (let round = 0; round < 2; round++) {
          const leader = await backend.leader()
          const started = realClock.monotonic()
          await leader.signal('SIGKILL')
          await load.more(50, 20_000)
          assert.ok(realClock.monotonic() - started < 15_000)
          leader.start()
          await backend.untilHealthy()
          await load.more(30)
        }
      })
    })

    if (!isThorough(kind)) return
    test('each member ended in good order, one after the other, under load', { timeout: 120_000 }, async () => {
      await using backend = await startBackend(kind)
      await underLoad(backend, async (load) => {
        for (const member of backend.members) {
          await member.signal('SIGTERM')
          await load.more(30, 20_000)
          member.start()
          await backend.untilHealthy()
        }
      })
    })

    test('two of three away: no write is acknowledged, cached reads go on; all is served again when one returns', { timeout: 120_000 }, async () => {
      await using backend = await startBackend(kind)
      const [a, b] = backend.members
      assert.ok(a && b)
      await using server = await openServer(backend.client())
      await server.ask(201, 'POST', maps, { metadata: { name: 'a' }, data: { value: '0' } })
      await Promise.all([a.signal('SIGKILL'), b.signal('SIGKILL')])
      const [written, read] = await Promise.all([
        server.call('PATCH', `${maps}/a`, { data: { value: '1' } }, { 'content-type': 'application/merge-patch+json' }), server.call('GET', `${maps}/a`),
      ])
      assert.ok(written.status >= 500 && read.status >= 500, `${written.status} ${read.status}`)
      assert.equal((await server.ask(200, 'GET', `${maps}/a?resourceVersion=0`)).metadata.name, 'a')
      a.start()
      await until('service', async () => (await server.call('PATCH', `${maps}/a`, { data: { value: '2' } }, { 'content-type': 'application/merge-patch+json' })).status === 200, 30_000)
      assert.equal((await server.ask(200, 'GET', `${maps}/a`)).data.value, '2')
    })

    test('an endpoint that is dead stands first in the list: the start and the requests are not slower for it', { timeout: 60_000 }, async () => {
      await using backend = await startBackend(kind)
      const started = realClock.monotonic()
      await using server = await openServer(backend.client(['https://127.0.0.1:1', ...backend.endpoints]))
      await server.ask(201, 'POST', maps, { metadata: { name: 'a' } })
      await server.ask(200, 'GET', maps)
      assert.ok(realClock.monotonic() - started < 8000, `${realClock.monotonic() - started} ms`)
    })
  })
}
