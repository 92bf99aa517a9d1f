import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { Resolver } from 'node:dns/promises'
import { createServer } from 'node:http'
import { test } from 'node:test'
import { realClock } from '../../../lib/async/real-clock.ts'
import { realRandom } from '../../../lib/async/real-random.ts'
import { silentLogger } from '../../../lib/component-base/log.ts'
import { SimulatedClock } from '../../../lib/testing/simulated-clock.ts'
import { openEtcd } from '../embedded.ts'
import { memberIdOf } from '../member-identity.ts'
import type { ClusterMember } from '../membership/cluster-member.ts'
import { encodeMembers } from '../membership/member-json.ts'
import { parseInitialCluster } from '../membership/parse-urls.ts'
import { PeerClient } from '../peer/peer-client.ts'
import { bootstrapCluster, type BootstrapOptions } from './bootstrap-cluster.ts'
import { discoverByDns } from './discover-by-dns.ts'
import { discoverByService } from './discover-by-service.ts'
import { comparePlaces } from './same-places.ts'

const signal = AbortSignal.timeout(60_000)

/** A name server that knows these records: SRV by name, and localhost. */
async function startNameServer(records: { readonly [name: string]: readonly { readonly target: string; readonly port: number }[] }): Promise<AsyncDisposable & { readonly resolver: Resolver; readonly asked: string[] }> {
  const asked: string[] = []
  const socket = createSocket('udp4')
  const encodeName = (name: string): Buffer => Buffer.concat([...name.split('.').map((label) => Buffer.concat([Buffer.of(label.length), Buffer.from(label)])), Buffer.of(0)])
  socket.on('message', (query, from) => {
    const labels: string[] = []
    let at = 12
    for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) { labels.push(query.subarray(at + 1, at + 1 + length).toString()); at += length + 1 }
    const name = labels.join('.')
    asked.push(name)
    const answers = (records[name] ?? []).map(({ target, port }) => {
      const data = Buffer.concat([Buffer.of(0, 10, 0, 10, port >> 8, port & 255), encodeName(target)])
      return Buffer.concat([Buffer.of(0xc0, 12, 0, 33, 0, 1, 0, 0, 0, 60, data.length >> 8, data.length & 255), data])
    })
    const flags = answers.length > 0 ? [0x81, 0x80] : [0x81, 0x83]
    socket.send(Buffer.concat([query.subarray(0, 2), Buffer.from([...flags, 0, 1, 0, answers.length, 0, 0, 0, 0]), query.subarray(12, at + 5), ...answers]), from.port, from.address)
  })
  await new Promise<void>((done) => { socket.bind(0, '127.0.0.1', () => done()) })
  const resolver = new Resolver({ timeout: 1000, tries: 1 })
  resolver.setServers([`127.0.0.1:${socket.address().port}`])
  return { resolver, asked, [Symbol.asyncDispose]: () => new Promise((done) => { socket.close(() => done()) }) }
}

test('SRV records name the members; the one that leads here is this member', async () => {
  const host = 'member.test'
  await using server = await startNameServer({
    '_etcd-server._tcp.example.com': [{ target: host, port: 7001 }, { target: host, port: 7002 }, { target: host, port: 7003 }],
    '_etcd-server-ssl-other._tcp.example.com': [{ target: host, port: 8001 }],
  })
  const base = { domain: 'example.com', serviceName: '', lookUpSrv: (name: string) => server.resolver.resolveSrv(name), lookUpHost: (name: string) => Promise.resolve(name === host ? '10.1.1.1' : name), logger: silentLogger }
  const found = await discoverByDns({ ...base, name: 'me', peerUrls: ['http://10.1.1.1:7002'] })
  assert.deepEqual([...parseInitialCluster(found)].map(([name, urls]) => `${name} ${urls.join()}`).sort(), [`0 http://${host}:7001`, `1 http://${host}:7003`, `me http://${host}:7002`])
  assert.ok(server.asked.includes('_etcd-server-ssl._tcp.example.com'), 'https is asked for too')
  assert.equal(await discoverByDns({ ...base, name: 'me', serviceName: 'other', peerUrls: ['https://10.1.1.1:8001'] }), `me=https://${host}:8001`)
  await assert.rejects(discoverByDns({ ...base, name: 'me', peerUrls: ['http://10.1.1.1:9'] }), { message: 'cannot find local etcd member "me" in SRV records' })
  await assert.rejects(discoverByDns({ ...base, name: 'me', domain: 'nothing.here', peerUrls: ['http://10.1.1.1:9'] }), /error querying DNS SRV records for _etcd-server-ssl .*\n.*_etcd-server /s)
  // What was found is good for a start, whatever the names stand for.
  const places = await comparePlaces([['http://10.1.1.1:7002'], [`http://${host}:7002`]], base.lookUpHost, realClock, signal)
  assert.equal(places(['http://10.1.1.1:7002'], [`http://${host}:7002`]), true)
  assert.equal(places(['http://10.1.1.1:7001'], [`http://${host}:7002`]), false)
})

test('a name that is not known yet is looked up again', async () => {
  const clock = new SimulatedClock()
  let tries = 0
  const comparing = comparePlaces([['http://a.test:1'], ['http://10.0.0.1:1']], () => (tries++ < 3 ? Promise.reject(new Error('not yet')) : Promise.resolve('10.0.0.1')), clock, signal)
  await clock.advance(5000)
  assert.equal((await comparing)(['http://a.test:1'], ['http://10.0.0.1:1']), true)
  assert.equal(tries, 4)
})

/** A member as far as those who begin ask: /members, /version, /downgrade/enabled. */
async function startPeer(members: (url: string) => readonly ClusterMember[], version = '3.7.0'): Promise<AsyncDisposable & { readonly url: string }> {
  let url = ''
  const server = createServer((request, response) => {
    response.setHeader('X-Etcd-Cluster-ID', 'abc')
    if (request.url === '/members') response.end(encodeMembers(members(url)))
    else if (request.url === '/version') response.end(JSON.stringify({ etcdserver: '3.7.3', etcdcluster: version }))
    else response.end('false')
  })
  await new Promise<void>((done) => { server.listen(0, '127.0.0.1', () => done()) })
  const address = server.address()
  url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`
  return { url, [Symbol.asyncDispose]: () => new Promise((done) => { server.closeAllConnections(); server.close(() => done()) }) }
}

function optionsOf(client: PeerClient, state: 'new' | 'existing', cluster: string): BootstrapOptions {
  return {
    settings: { name: 'a', peerUrls: ['http://127.0.0.1:1'], token: 't', initialCluster: parseInitialCluster(cluster) }, state, maxLearners: 1, electionTimeoutMs: 100, peerClient: client,
    lookUpHost: (host) => Promise.resolve(host), clock: realClock, logger: silentLogger,
  }
}

test('who joins a running cluster takes its ids from those that run', async () => {
  const own: ClusterMember = { id: 5n, name: '', peerUrls: ['http://127.0.0.1:1'], clientUrls: [], isLearner: true }
  const peer = (version?: string) => startPeer((url) => [own, { id: 7n, name: 'b', peerUrls: [url], clientUrls: ['http://c:1'], isLearner: false }], version)
  using client = new PeerClient({ clock: realClock })
  await using running = await peer()
  const join = (cluster: string) => bootstrapCluster(optionsOf(client, 'existing', cluster), signal)
  const plan = await join(`a=http://127.0.0.1:1,b=${running.url}`)
  assert.deepEqual([plan.memberId, plan.clusterId, plan.isNewCluster, plan.members.map((m) => m.id)], [5n, 0xabcn, false, [5n, 7n]])
  await assert.rejects(join(`b=${running.url}`), { message: `couldn't find local name "a" in the initial cluster configuration` })
  await assert.rejects(join(`a=http://127.0.0.1:1,b=${running.url},c=http://127.0.0.1:3`), /member count is unequal/)
  await assert.rejects(join('a=http://127.0.0.1:1,b=http://127.0.0.1:2'), { message: 'cannot fetch cluster info from peer urls: could not retrieve cluster information from the given URLs' })
  await using newer = await peer('3.8.0')
  await assert.rejects(join(`a=http://127.0.0.1:1,b=${newer.url}`), { message: 'incompatible with current running cluster' })
})

test('who has begun before and lost its data must not begin anew', async () => {
  const id = memberIdOf(['http://127.0.0.1:1'], 't')
  using client = new PeerClient({ clock: realClock })
  await using running = await startPeer(() => [{ id, name: 'a', peerUrls: ['http://127.0.0.1:1'], clientUrls: ['http://c:1'], isLearner: false }])
  await assert.rejects(bootstrapCluster(optionsOf(client, 'new', `a=http://127.0.0.1:1,b=${running.url}`), signal), { message: `member ${id.toString(16)} has already been bootstrapped` })
  const alone = await bootstrapCluster(optionsOf(client, 'new', 'a=http://127.0.0.1:1,b=http://127.0.0.1:2'), signal)
  assert.equal(alone.memberId, id, 'nobody to ask is no hindrance')
})

test('a discovery service brings members together, and turns the late away', async () => {
  await using etcd = await openEtcd({ disk: 'memory', clock: realClock, random: realRandom, logger: silentLogger })
  const put = (key: string, value: string) => etcd.client.txn({ compare: [], success: [{ type: 'put', key: Buffer.from(key), value: Buffer.from(value) }], failure: [] }, signal)
  const join = (id: bigint, urls: string, token = 'x') => discoverByService({ client: etcd.client, token, memberId: id, ownUrls: urls, requestTimeoutMs: 1000, clock: realClock, logger: silentLogger }, signal)
  await assert.rejects(join(1n, 'a=http://a:1'), { message: 'failed to join discovery cluster (discovery: size key not found)' })
  await put('/_etcd/registry/x/_config/size', '2')
  await put('/_etcd/registry/y/_config/size', 'many')
  await assert.rejects(join(1n, 'a=http://a:1', 'y'), { message: 'failed to join discovery cluster (discovery: size key is bad)' })
  const [first, second] = await Promise.all([join(1n, 'a=http://a:1,a=http://a:2'), join(0xffn, 'b=http://b:1')])
  assert.equal(first, second)
  assert.deepEqual([...parseInitialCluster(first)].sort(), [['a', ['http://a:1', 'http://a:2']], ['b', ['http://b:1']]])
  await assert.rejects(join(3n, 'c=http://c:1'), { message: 'failed to join discovery cluster (discovery: cluster is full)' })
})
