// Two members' transports over real sockets, plain and with TLS: every kind of message both ways, appends in order, a whole state, and what
// happens when a peer goes, comes back elsewhere, is removed, or doesn't belong.
import { test, type TestContext } from 'node:test'
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { realClock } from '../../../lib/async/real-clock.ts'
import { realRandom } from '../../../lib/async/real-random.ts'
import { silentLogger } from '../../../lib/component-base/log.ts'
import { etcdError } from '../../../lib/etcd-api/etcd-error.ts'
import { createAuthority, issueCertificate } from '../../../lib/net/pki/certificates.ts'
import type { ClusterMember } from '../membership/cluster-member.ts'
import { makeMessage, type Message, type MessageType } from '../raft/messages.ts'
import { openPeerTransport, type OpenPeerTransport, type PeerTransportOptions } from './open-peer-transport.ts'
import { fetchAllVersions, fetchDowngradeEnabled, fetchHash, fetchMembers, leaseTimesAtLeader, promoteAtLeader, renewLeaseAtLeader, type PeerRequests } from './peer-requests.ts'
import { PeerTls, type PeerTlsOptions } from './peer-tls.ts'
import type { PeerHandler, SnapshotBody } from './peer-transport.ts'

const clusterId = 0xcdf818194e3a8c32n
const ids = [0x8e9e05c52164694dn, 0x91bc3c398fb3c146n] as const
/** Of one wait: with many others in this process the file may have its turn late. */
const limit = (): AbortSignal => AbortSignal.timeout(60_000)

/** Keeps what it is told; `until` waits for it. */
class Recorder implements PeerHandler {
  readonly messages: Message[] = []
  readonly states: Buffer[] = []
  readonly unreachable: bigint[] = []
  readonly snapshots: string[] = []
  readonly removed = new Set<bigint>()
  wasRemoved = false
  refusesStates = false
  #waiters: (() => void)[] = []

  #told(): void { for (const wake of this.#waiters.splice(0)) wake() }
  step(message: Message): void { this.messages.push(message); this.#told() }
  async receiveSnapshot(message: Message, body: SnapshotBody): Promise<void> {
    if (this.refusesStates) throw new Error('no room')
    const pieces: Uint8Array[] = []
    for await (const piece of body.pieces) pieces.push(piece)
    this.states.push(Buffer.concat(pieces))
    this.step(message)
  }
  reportUnreachable(id: bigint): void { this.unreachable.push(id); this.#told() }
  readonly ended: bigint[] = []
  peerEnded(id: bigint): void { this.ended.push(id); this.#told() }
  reportSnapshot(id: bigint, outcome: string): void { this.snapshots.push(`${id.toString(16)} ${outcome}`); this.#told() }
  isRemoved(id: bigint): boolean { return this.removed.has(id) }
  removedFromCluster(): void { this.wasRemoved = true; this.#told() }
  async until(condition: () => boolean): Promise<void> {
    const late = limit()
    while (!condition()) {
      late.throwIfAborted()
      await new Promise<void>((resolve) => { this.#waiters.push(resolve) })
    }
  }
}

const members: readonly ClusterMember[] = [
  { id: ids[0], name: 'one', peerUrls: ['http://127.0.0.1:2380'], clientUrls: ['http://127.0.0.1:2379'], isLearner: false },
  { id: ids[1], name: '', peerUrls: ['http://127.0.0.1:2390', 'http://[::1]:2390'], clientUrls: [], isLearner: true },
]
const requests: PeerRequests = {
  members: () => members,
  versions: () => ({ cluster: '3.7.0', storage: undefined }),
  promote: async (id, token) => {
    if (id === 1n) throw etcdError('memberNotFound')
    if (id === 2n) throw etcdError('memberNotLearner')
    if (id === 3n) throw etcdError('learnerNotReady')
    assert.equal(token, 'secret.1')
    return members.map((member) => ({ ...member, isLearner: false }))
  },
  renewLease: async (id) => {
    if (id !== 7n) throw etcdError('leaseNotFound')
    return 60
  },
  leaseTimes: async (id, withKeys) => {
    if (id !== -7n) throw etcdError('leaseNotFound')
    return { ttlSeconds: 41, grantedTtlSeconds: 60, keys: withKeys ? [Buffer.from('a'), Buffer.from('b')] : [] }
  },
  hashKeyValues: async (revision) => {
    if (revision === 99) throw etcdError('futureRevision')
    return { hash: 0xdeadbeef, revision: revision === 0 ? 12 : revision, compactRevision: -1, currentRevision: 12 }
  },
  isDowngradeEnabled: async () => true,
}

interface Member extends AsyncDisposable { readonly transport: OpenPeerTransport; readonly handler: Recorder; readonly url: string }

async function open(id: bigint, options: Partial<PeerTransportOptions> & { readonly scheme?: string } = {}): Promise<Member> {
  const handler = new Recorder()
  const scheme = options.scheme ?? 'http'
  const transport = await openPeerTransport({
    id, clusterId, advertiseUrls: [`${scheme}://127.0.0.1:1`], listenUrls: [`${scheme}://127.0.0.1:0`], clock: realClock, logger: silentLogger, handler, requests, ...options,
  })
  return { transport, handler, url: `${scheme}://127.0.0.1:${transport.ports[0]}`, [Symbol.asyncDispose]: () => transport[Symbol.asyncDispose]() }
}

function introduce(a: Member, b: Member): void {
  a.transport.setPeers([{ id: ids[1], urls: [b.url] }])
  b.transport.setPeers([{ id: ids[0], urls: [a.url] }])
}

const entry = (term: number, index: number, text: string): Message['entries'][number] => ({ type: 0, term, index, data: Buffer.from(text) })

/** One of each kind that goes over the network. */
function everyMessage(from: bigint, to: bigint): readonly Message[] {
  const types: readonly MessageType[] = ['MsgAppResp', 'MsgVote', 'MsgVoteResp', 'MsgHeartbeat', 'MsgHeartbeatResp', 'MsgTransferLeader', 'MsgTimeoutNow', 'MsgReadIndexResp', 'MsgPreVote', 'MsgPreVoteResp']
  return [
    makeMessage({ type: 'MsgApp', from, to, term: 5, logTerm: 4, index: 10, commit: 9, entries: [entry(5, 11, 'first')] }),
    makeMessage({ type: 'MsgApp', from, to, term: 5, logTerm: 5, index: 11, commit: 11, entries: [entry(5, 12, 'second'), entry(5, 13, 'x'.repeat(200_000))] }),
    makeMessage({ type: 'MsgApp', from, to, term: 5, logTerm: 5, index: 13, commit: 13 }),
    makeMessage({ type: 'MsgProp', from, to, entries: [entry(0, 0, 'proposal')] }),
    makeMessage({ type: 'MsgReadIndex', from, to, entries: [entry(0, 0, '12345678')] }),
    ...types.map((type, i) => makeMessage({ type, from, to, term: 6, index: i + 1, logTerm: 5, commit: 3, reject: i % 2 === 0, rejectHint: i, context: Buffer.from([i, 255]) })),
  ]
}

/** Views and copies of bytes compare alike. */
function plain(message: Message): object {
  return { ...message, entries: message.entries.map((e) => ({ ...e, data: Buffer.from(e.data).toString('latin1') })), context: message.context && Buffer.from(message.context).toString('hex') }
}
const byContent = (a: object, b: object): number => (JSON.stringify(a, jsonId) < JSON.stringify(b, jsonId) ? -1 : 1)
const jsonId = (_: string, value: unknown): unknown => (typeof value === 'bigint' ? value.toString(16) : value)

async function exchangeEverything(a: Member, b: Member): Promise<void> {
  introduce(a, b)
  // Streams stand when each has dialled the other; messages before go by post.
  const isConnected = (): boolean => a.transport.activeSinceMs(ids[1]) !== undefined && b.transport.activeSinceMs(ids[0]) !== undefined
  while (!isConnected()) await new Promise((resolve) => { realClock.setTimer(5, () => resolve(undefined)) })
  for (const [sender, from, receiver, to] of [[a, ids[0], b, ids[1]], [b, ids[1], a, ids[0]]] as const) {
    const messages = everyMessage(from, to)
    sender.transport.send(messages)
    await receiver.handler.until(() => receiver.handler.messages.length >= messages.length)
    assert.deepEqual(receiver.handler.messages.map(plain).sort(byContent), messages.map(plain).sort(byContent))
    // Appends arrive in order.
    assert.deepEqual(receiver.handler.messages.filter((m) => m.type === 'MsgApp').map((m) => m.index), [10, 11, 13])
  }
  const snapshot = makeMessage({
    type: 'MsgSnap', from: ids[0], to: ids[1], term: 6,
    snapshot: { data: Buffer.from('{}'), metadata: { index: 100, term: 6, confState: { voters: [...ids], learners: [3n], votersOutgoing: [], learnersNext: [], autoLeave: false } } },
  })
  const state = Buffer.concat([realRandom.bytes(700_000)])
  let isEnded = false
  a.transport.sendSnapshot(snapshot, {
    totalBytes: state.length,
    pieces: (async function* () { try { for (let at = 0; at < state.length; at += 65_000) yield state.subarray(at, at + 65_000) } finally { isEnded = true } })(),
  })
  await a.handler.until(() => a.handler.snapshots.length > 0)
  assert.deepEqual(a.handler.snapshots, [`${ids[1].toString(16)} delivered`])
  assert.ok(b.handler.states[0]?.equals(state))
  assert.ok(isEnded)
  assert.deepEqual(b.handler.messages.at(-1)?.snapshot?.metadata, snapshot.snapshot?.metadata)
}

test('all kinds of messages and a whole state, both ways', async () => {
  await using a = await open(ids[0])
  await using b = await open(ids[1])
  await exchangeEverything(a, b)
  const figures = a.transport.metrics.known(ids[1])
  assert.ok(figures !== undefined && figures.sentBytes > 900_000 && figures.receivedBytes > 200_000 && figures.isActive && figures.snapshotsSent === 1)
})

test('a peer whose streams break and whose machine refuses new ones has ended; who was never there has not', async () => {
  await using a = await open(ids[0])
  const b = await open(ids[1])
  introduce(a, b)
  a.transport.setPeers([{ id: ids[1], urls: [b.url] }, { id: 77n, urls: ['http://127.0.0.1:1'] }])
  while (a.transport.activeSinceMs(ids[1]) === undefined) await new Promise((resolve) => { realClock.setTimer(5, () => resolve(undefined)) })
  await b[Symbol.asyncDispose]()
  await a.handler.until(() => a.handler.ended.length > 0)
  assert.deepEqual([...new Set(a.handler.ended)], [ids[1]])
})

function certificates(t: TestContext): { readonly folder: string; make(name: string, commonName: string, names: readonly string[]): PeerTlsOptions } {
  const folder = mkdtempSync(join(tmpdir(), 'peer-tls-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const validity = { notBeforeMs: realClock.now() - 60_000, notAfterMs: realClock.now() + 3_600_000 }
  const authority = createAuthority('peers', validity, realRandom)
  writeFileSync(join(folder, 'ca.pem'), authority.certificatePem)
  return {
    folder,
    make(name, commonName, names) {
      const pair = issueCertificate(authority, 'peers', { subject: { commonName }, names, usages: ['server', 'client'], random: realRandom, ...validity })
      const certFile = join(folder, `${name}.pem`), keyFile = join(folder, `${name}-key.pem`)
      writeFileSync(certFile, pair.certificatePem)
      writeFileSync(keyFile, pair.keyPem)
      return { certFile, keyFile, trustedCaFile: join(folder, 'ca.pem'), clientCertAuth: true }
    },
  }
}

test('the same with TLS, both sides showing certificates', async (t) => {
  const pki = certificates(t)
  const tls = [await PeerTls.load({ ...pki.make('a', 'etcd-peer', ['127.0.0.1']), allowedCommonNames: ['etcd-peer'] }), await PeerTls.load(pki.make('b', 'etcd-peer', ['127.0.0.1']))] as const
  await using a = await open(ids[0], { scheme: 'https', tls: tls[0] })
  await using b = await open(ids[1], { scheme: 'https', tls: tls[1] })
  await exchangeEverything(a, b)
})

test('the same over unix sockets, plain and with TLS', async (t) => {
  const pki = certificates(t)
  const tls = await PeerTls.load(pki.make('a', 'etcd-peer', ['localhost']))
  for (const scheme of ['unix', 'unixs']) {
    const [first, second] = ['one', 'two'].map((name) => `${scheme}://${join(pki.folder, `${scheme}-${name}:1`)}`)
    assert.ok(first && second)
    const secure = scheme === 'unixs' ? { tls } : {}
    // A socket file that a dead process left is in nobody's way.
    writeFileSync(join(pki.folder, `${scheme}-one:1`), '')
    await using a = await open(ids[0], { listenUrls: [first], advertiseUrls: [first], ...secure })
    await using b = await open(ids[1], { listenUrls: [second], advertiseUrls: [second], ...secure })
    await exchangeEverything({ ...a, url: first }, { ...b, url: second })
  }
})

test('a certificate without an allowed name, for another address, or none at all is refused', async (t) => {
  const pki = certificates(t)
  const good = pki.make('good', 'etcd-peer', ['127.0.0.1'])
  await using a = await open(ids[0], { scheme: 'https', tls: await PeerTls.load({ ...good, allowedCommonNames: ['etcd-peer'] }) })
  const refused = async (options: PeerTlsOptions): Promise<void> => {
    await using b = await open(ids[1], { scheme: 'https', tls: await PeerTls.load(options) })
    await assert.rejects(fetchMembers(b.transport.client, [a.url], limit()))
  }
  await refused(pki.make('name', 'somebody', ['127.0.0.1']))
  await refused(pki.make('address', 'etcd-peer', ['10.1.2.3']))
  await refused({ trustedCaFile: join(pki.folder, 'ca.pem') }).catch((error: unknown) => { if (!String(error).includes('KeyFile')) throw error })
  // Nor does it mind what is no TLS at all.
  await new Promise<void>((resolve) => {
    const socket = connect(a.transport.ports[0] ?? 0, '127.0.0.1', () => socket.write('GET /members HTTP/1.1\r\n\r\n'))
    socket.on('error', () => {})
    socket.on('close', () => resolve())
    socket.resume()
  })
  await using b = await open(ids[1], { scheme: 'https', tls: await PeerTls.load(good) })
  assert.equal((await fetchMembers(b.transport.client, [a.url], limit())).clusterId, clusterId)
})

test('a peer that has gone is reported, and found again where it lives then', async () => {
  await using a = await open(ids[0])
  const message = makeMessage({ type: 'MsgHeartbeat', from: ids[0], to: ids[1], term: 3 })
  {
    await using b = await open(ids[1])
    introduce(a, b)
    a.transport.send([message])
    await b.handler.until(() => b.handler.messages.length > 0)
  }
  for (let i = 0; a.handler.unreachable.length === 0; i++) {
    a.transport.send([message])
    await new Promise((resolve) => { realClock.setTimer(10, () => resolve(undefined)) })
    assert.ok(i < 1000)
  }
  assert.equal(a.transport.activeSinceMs(ids[1]), undefined)
  await using b = await open(ids[1])
  introduce(a, b)
  for (; b.handler.messages.length === 0;) {
    a.transport.send([message])
    await new Promise((resolve) => { realClock.setTimer(10, () => resolve(undefined)) })
  }
  assert.equal(b.handler.messages[0]?.type, 'MsgHeartbeat')
})

test('a member that the log does not know yet is answered where it says it lives', async () => {
  let url: string
  { await using probe = await open(ids[1]); url = probe.url }
  await using a = await open(ids[0])
  await using b = await open(ids[1], { listenUrls: [url], advertiseUrls: [url] })
  b.transport.setPeers([{ id: ids[0], urls: [a.url] }])
  b.transport.send([makeMessage({ type: 'MsgAppResp', from: ids[1], to: ids[0], term: 3, index: 1 })])
  await a.handler.until(() => a.handler.messages.length > 0)
  a.transport.send([makeMessage({ type: 'MsgHeartbeat', from: ids[0], to: ids[1], term: 3 })])
  await b.handler.until(() => b.handler.messages.length > 0)
  assert.equal(a.transport.activeSinceMs(ids[1]), undefined, 'it is no peer')
  introduce(a, b)
  while (a.transport.activeSinceMs(ids[1]) === undefined) await new Promise((resolve) => { realClock.setTimer(5, () => resolve(undefined)) })
})

test('a removed member is told so; a member of another cluster is not heard', async () => {
  await using a = await open(ids[0])
  await using b = await open(ids[1])
  a.handler.removed.add(ids[1])
  b.transport.setPeers([{ id: ids[0], urls: [a.url] }])
  await b.handler.until(() => b.handler.wasRemoved)
  await using stranger = await open(3n, { clusterId: 1n })
  stranger.transport.setPeers([{ id: ids[0], urls: [a.url] }])
  stranger.transport.send([makeMessage({ type: 'MsgVote', from: 3n, to: ids[0], term: 100 })])
  await stranger.handler.until(() => stranger.handler.unreachable.length > 0)
  assert.deepEqual(a.handler.messages, [])
})

test('a state that is not taken over, or breaks off, is reported as failed', async () => {
  await using a = await open(ids[0])
  await using b = await open(ids[1])
  introduce(a, b)
  b.handler.refusesStates = true
  const snapshot = makeMessage({ type: 'MsgSnap', from: ids[0], to: ids[1], term: 6, snapshot: { data: new Uint8Array(), metadata: { index: 9, term: 6, confState: { voters: [], learners: [], votersOutgoing: [], learnersNext: [], autoLeave: false } } } })
  const body = (count: number, said: number): SnapshotBody => ({ totalBytes: said, pieces: (async function* () { for (let i = 0; i < count; i++) yield Buffer.alloc(1000) })() })
  a.transport.sendSnapshot(snapshot, body(10, 10_000))
  await a.handler.until(() => a.handler.snapshots.length === 1)
  b.handler.refusesStates = false
  a.transport.sendSnapshot(snapshot, body(5, 10_000))
  await a.handler.until(() => a.handler.snapshots.length === 2)
  a.transport.sendSnapshot({ ...snapshot, to: 77n }, body(1, 1000))
  await a.handler.until(() => a.handler.snapshots.length === 3)
  assert.deepEqual(a.handler.snapshots, [`${ids[1].toString(16)} failed`, `${ids[1].toString(16)} failed`, '4d failed'])
  assert.deepEqual(b.handler.messages, [])
})

test('questions between members', async () => {
  await using a = await open(ids[0])
  await using b = await open(ids[1])
  const { client } = b.transport
  const urls = ['http://127.0.0.1:1', a.url]
  assert.deepEqual(await fetchMembers(client, urls, limit()), { clusterId, members })
  assert.deepEqual([...await fetchAllVersions(client, [{ ...members[0]!, peerUrls: urls }, members[1]!], ids[1], limit())], [[ids[0], { server: '3.7.3', cluster: '3.7.0', storage: undefined }]])
  assert.equal(await fetchDowngradeEnabled(client, [{ ...members[0]!, peerUrls: urls }], ids[1], limit()), true)
  const promote = (id: bigint): Promise<readonly ClusterMember[]> => promoteAtLeader(client, urls, id, 'secret.1', limit(), 5000)
  await assert.rejects(promote(1n), { message: 'etcdserver: member not found' })
  await assert.rejects(promote(2n), { message: 'etcdserver: can only promote a learner member' })
  await assert.rejects(promote(3n), { message: 'etcdserver: can only promote a learner member which is in sync with leader' })
  assert.ok((await promote(ids[1])).every((member) => !member.isLearner))
  assert.equal(await renewLeaseAtLeader(client, urls, 7n, limit(), 5000), 60)
  await assert.rejects(renewLeaseAtLeader(client, urls, 8n, limit(), 5000), { message: 'etcdserver: requested lease not found' })
  const times = await leaseTimesAtLeader(client, urls, -7n, true, limit(), 5000)
  assert.deepEqual([times.ttlSeconds, times.grantedTtlSeconds, times.keys.map((key) => Buffer.from(key).toString())], [41, 60, ['a', 'b']])
  assert.deepEqual(await fetchHash(client, clusterId, urls, 10, limit(), 5000), { hash: 0xdeadbeef, revision: 10, compactRevision: -1, currentRevision: 12 })
  await assert.rejects(fetchHash(client, clusterId, [a.url], 99, limit(), 5000), { message: 'etcdserver: mvcc: required revision is a future revision' })
  await assert.rejects(fetchHash(client, 1n, [a.url], 1, limit(), 5000), { message: 'etcdserver: cluster ID mismatch' })
})

test('answers to requests by hand are the original\'s', async () => {
  await using a = await open(ids[0])
  const headers = { 'X-Server-From': '2', 'X-Server-Version': '3.7.3', 'X-Min-Cluster-Version': '3.0.0', 'X-Etcd-Cluster-ID': clusterId.toString(16) }
  const ask = (method: string, path: string, extra: { readonly [name: string]: string } = headers, body = ''): Promise<string> => new Promise((resolve, reject) => {
    const request = httpRequest(`${a.url}${path}`, { method, headers: extra }, (response) => {
      let text = ''
      response.on('data', (chunk: Buffer) => { text += chunk.toString() })
      response.on('end', () => resolve(`${response.statusCode} ${text}`))
    })
    request.on('error', reject)
    request.end(body)
  })
  const stream = `/raft/stream/message/2`
  assert.equal(await ask('POST', stream), '405 Method Not Allowed\n')
  assert.equal(await ask('GET', stream, { ...headers, 'X-Etcd-Cluster-ID': '1' }), '412 cluster ID mismatch\n')
  assert.equal(await ask('GET', stream, { ...headers, 'X-Server-Version': '2.3.8' }), '412 incompatible version\n')
  assert.equal(await ask('GET', stream, { ...headers, 'X-Min-Cluster-Version': '3.8.0' }), '412 incompatible version\n')
  assert.equal(await ask('GET', stream, { ...headers, 'X-Server-Version': 'nonsense' }), '412 incompatible version\n')
  assert.equal(await ask('GET', stream), '404 error sender not found\n')
  assert.equal(await ask('GET', '/raft/stream/message/zz'), '404 invalid from\n')
  assert.equal(await ask('GET', '/raft/stream/snap/2'), '404 invalid path\n')
  a.transport.setPeers([{ id: 2n, urls: ['http://127.0.0.1:1'] }])
  assert.equal(await ask('GET', stream, { ...headers, 'X-Raft-To': '9' }), '412 to field mismatch\n')
  a.handler.removed.add(2n)
  assert.equal(await ask('GET', stream), '410 removed member\n')
  assert.equal(await ask('POST', '/raft', headers, Buffer.from('0808100118021802', 'hex').toString('latin1')), '403 {"message":"cannot process message from removed member"}')
  assert.equal(await ask('POST', '/raft', headers, Buffer.from('080810011803', 'hex').toString('latin1')), '403 {"message":"cannot process message to mismatch member"}')
  assert.equal(await ask('POST', '/raft', headers, 'garbage'), '400 error unmarshalling raft message\n')
  assert.equal(await ask('POST', '/raft/snapshot', headers, '\0\0\0\0\0\0\0\u0002\u0008\u0008'), '400 wrong raft message type\n')
  assert.equal(await ask('GET', '/members'), '200 [{"id":10276657743932975437,"peerURLs":["http://127.0.0.1:2380"],"name":"one","clientURLs":["http://127.0.0.1:2379"]},{"id":10501334649042878790,"peerURLs":["http://127.0.0.1:2390","http://[::1]:2390"],"isLearner":true}]\n')
  assert.equal(await ask('GET', '/version'), '200 {"etcdserver":"3.7.3","etcdcluster":"3.7.0","storage":"unknown"}')
  assert.equal(await ask('POST', '/members/promote/x'), '404 member x not found in cluster\n')
  assert.equal(await ask('GET', '/downgrade/enabled'), '200 true')
  assert.equal(await ask('GET', '/metrics'), '404 404 page not found\n')
  assert.match(await ask('GET', '/raft/probing'), /^200 \{"OK":true,"Now":"\d{4}-/)
})
