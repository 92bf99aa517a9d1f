// One storage suite for kube-apiserver, on every etcd: embedded, ours and the original over TLS with client certificates (one member and three),
// and Debian's old one. Then what only several processes can show: etcd killed, away and back, its leader lost.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { openEtcd } from '../../src/control-plane/etcd/embedded.ts'
import { realClock } from '../../src/lib/async/real-clock.ts'
import { realRandom } from '../../src/lib/async/real-random.ts'
import { silentLogger } from '../../src/lib/component-base/log.ts'
import type { EtcdClient } from '../../src/lib/etcd-client/etcd-client.ts'
import { apiServerStorageSuite } from './apiserver-storage-suite.ts'
import { openServer } from './apiserver-under-test.ts'
import { backendKinds, startBackend } from './etcd-backends.ts'
import { Load, problemsOf, type History } from './writers-and-watchers.ts'

apiServerStorageSuite('the embedded store', async () => {
  const etcd = await openEtcd({ disk: 'memory', clock: realClock, random: realRandom, logger: silentLogger })
  return { client: () => etcd.client, canCatchUp: true, [Symbol.asyncDispose]: () => etcd[Symbol.asyncDispose]() }
})

for (const kind of backendKinds) {
  apiServerStorageSuite(kind.name, async () => {
    const backend = await startBackend(kind)
    return { client: () => backend.client(), canCatchUp: kind.program !== 'debian', [Symbol.asyncDispose]: () => backend[Symbol.asyncDispose]() }
  }, kind.missing === undefined ? {} : { skip: kind.missing })
}

const write = (name: string, value: number, revision: number): { name: string; value: number; revision: number } => ({ name, value, revision })
const good: History = {
  acknowledged: [write('w', 0, 10), write('w', 1, 12)], stored: [write('w', 1, 12)],
  watched: [[{ type: 'ADDED', ...write('w', 0, 10) }, { type: 'MODIFIED', ...write('w', 1, 12) }]],
}

test('control: the judge finds a lost write, a gap, a duplicate, a wrong order, a list anew', () => {
  const [told] = good.watched
  assert.ok(told)
  assert.deepEqual(problemsOf(good), [])
  const verdict = (history: Partial<History>): string => problemsOf({ ...good, ...history }).join('; ')
  assert.match(verdict({ stored: [write('w', 0, 10)] }), /lost: w=1/)
  assert.match(verdict({ stored: [] }), /lost: w=1 was acknowledged, nothing/)
  assert.match(verdict({ watched: [told.slice(1)] }), /gap: w=0 at 10/)
  assert.match(verdict({ watched: [told.slice(0, 1)] }), /gap: w=1 at 12/)
  assert.match(verdict({ watched: [[...told, ...told.slice(1)]] }), /duplicate: revision 12/)
  assert.match(verdict({ watched: [[...told].reverse()] }), /order: revision 10 after 12/)
  assert.match(verdict({ expired: 1 }), /list again/)
})

/** An etcd that keeps one event from its watchers. */
function withLostEvent(etcd: EtcdClient, lost: number): EtcdClient {
  let count = 0
  return new Proxy(etcd, {
    get(target, property) {
      if (property === 'watch') {
        const watch: EtcdClient['watch'] = (request, observer) => target.watch(request, {
          ...observer, created: (revision) => { observer.created?.(revision) }, closed: (end) => { observer.closed(end) },
          events: (events, revision) => { observer.events(events.filter(({ kv }) => !Buffer.from(kv.key).includes('/load/') || ++count !== lost), revision) },
        })
        return watch
      }
      const value: unknown = Reflect.get(target, property)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

test('control: one event lost between etcd and the API server is found by the load', async () => {
  await using etcd = await openEtcd({ disk: 'memory', clock: realClock, random: realRandom, logger: silentLogger })
  await using server = await openServer(withLostEvent(etcd.client, 40))
  const load = new Load({ servers: [() => server] })
  await load.start()
  await load.more(100)
  assert.match(problemsOf(await load.finish()).join('\n'), /gap/)
})
