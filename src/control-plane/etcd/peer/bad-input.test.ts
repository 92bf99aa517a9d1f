// The peer port is open to the network. Whatever comes there, the member stays, answers its peers, and holds no more memory than it allows.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { connect, type AddressInfo } from 'node:net'
import { realClock } from '../../../lib/async/real-clock.ts'
import { silentLogger } from '../../../lib/component-base/log.ts'
import { etcdError } from '../../../lib/etcd-api/etcd-error.ts'
import { seededRandom } from '../../../lib/base/random.ts'
import type { Message } from '../raft/messages.ts'
import { openPeerTransport, type OpenPeerTransport } from './open-peer-transport.ts'
import { fetchMembers, fetchVersions, type PeerRequests } from './peer-requests.ts'

const clusterId = 0xabcn
const never = async (): Promise<never> => { throw etcdError('noLeader') }
const requests: PeerRequests = {
  members: () => [{ id: 1n, name: 'one', peerUrls: ['http://one'], clientUrls: [], isLearner: false }],
  versions: () => ({ cluster: undefined, storage: undefined }), promote: never, renewLease: never, leaseTimes: never, hashKeyValues: never, isDowngradeEnabled: never,
}

interface Member extends AsyncDisposable { readonly transport: OpenPeerTransport; readonly messages: Message[]; readonly port: number }

async function open(frameLimitBytes = 1 << 20): Promise<Member> {
  const messages: Message[] = []
  const transport = await openPeerTransport({
    id: 1n, clusterId, advertiseUrls: ['http://127.0.0.1:1'], listenUrls: ['http://127.0.0.1:0'], clock: realClock, logger: silentLogger, requests, frameLimitBytes,
    handler: {
      step: (message) => { messages.push(message) }, receiveSnapshot: async (_, body) => { for await (const piece of body.pieces) void piece }, reportUnreachable: () => {}, reportSnapshot: () => {},
      peerEnded: () => {}, isRemoved: () => false, removedFromCluster: () => {},
    },
  })
  return { transport, messages, port: transport.ports[0] ?? 0, [Symbol.asyncDispose]: () => transport[Symbol.asyncDispose]() }
}

/** Sends bytes as they are; gives what comes until the other side closes. */
function talk(port: number, ...pieces: readonly (string | Buffer)[]): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    let heard = ''
    socket.on('data', (chunk) => { heard += chunk.toString('latin1') })
    socket.on('error', () => {})
    socket.on('close', () => resolve(heard))
    for (const piece of pieces) socket.write(piece)
  })
}

const head = (path: string, more: string, method = 'POST'): string =>
  `${method} ${path} HTTP/1.1\r\nHost: x\r\nX-Server-From: 2\r\nX-Server-Version: 3.7.3\r\nX-Min-Cluster-Version: 3.0.0\r\nX-Etcd-Cluster-ID: abc\r\nConnection: close\r\n${more}\r\n`

async function stillAnswers(member: Member): Promise<void> {
  const signal = AbortSignal.timeout(10_000)
  assert.equal((await fetchMembers(member.transport.client, [`http://127.0.0.1:${member.port}`], signal)).clusterId, clusterId)
}

test('garbage, other protocols and endless headers are refused', async () => {
  await using member = await open()
  const random = seededRandom(3)
  for (let i = 0; i < 20; i++) assert.match(`${await talk(member.port, Buffer.from(random.bytes(500)), '\r\n\r\n')}HTTP/1.1 400`, /^HTTP\/1\.1 400/)
  assert.match(await talk(member.port, 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), /^HTTP\/1\.1 400|^$/)
  assert.match(await talk(member.port, Buffer.from('16030100c8010000c40303', 'hex'), Buffer.alloc(200)), /^HTTP\/1\.1 400/)
  assert.match(await talk(member.port, `GET /members HTTP/1.1\r\nHost: x\r\nX: ${'y'.repeat(40_000)}\r\n\r\n`), /^HTTP\/1\.1 4/)
  assert.match(await talk(member.port, head('//', '', 'GET')), /^HTTP\/1\.1 404/)
  assert.match(await talk(member.port, head('http://[', '', 'GET')), /^HTTP\/1\.1 [45]/)
  await stillAnswers(member)
})

test('bodies that are too long, never end or say they are huge cost nothing', async () => {
  await using member = await open(100_000)
  const before = process.memoryUsage().rss
  assert.match(await talk(member.port, head('/raft', 'Content-Length: 200000\r\n'), Buffer.alloc(200_000)), /^HTTP\/1\.1 413/)
  // A body of 2^50 bytes is answered when it has sent more than is allowed.
  assert.match(await talk(member.port, head('/raft', 'Content-Length: 1125899906842624\r\n'), Buffer.alloc(200_000)), /^HTTP\/1\.1 413/)
  assert.match(await talk(member.port, head('/raft/snapshot', 'Content-Length: 1125899906842624\r\n'), Buffer.from('7fffffffffffffff', 'hex')), /^HTTP\/1\.1 400[^]*error limit exceeded/)
  assert.match(await talk(member.port, head('/raft/snapshot', 'Content-Length: 8\r\n'), Buffer.from('0000000000000009', 'hex')), /^HTTP\/1\.1 400[^]*unexpected EOF/)
  assert.match(await talk(member.port, head('/leases', 'Content-Length: 70000\r\n'), Buffer.alloc(70_000)), /^HTTP\/1\.1 413/)
  assert.match(await talk(member.port, head('/leases', 'Content-Length: 3\r\n'), 'abc'), /^HTTP\/1\.1 400/)
  assert.match(await talk(member.port, head('/leases/internal', 'Content-Length: 2\r\n'), Buffer.from('0a7f', 'hex')), /^HTTP\/1\.1 400/)
  assert.match(await talk(member.port, head('/members/hashkv', 'Content-Length: 3\r\n', 'GET'), '[1]'), /^HTTP\/1\.1 400|^HTTP\/1\.1 500/)
  assert.match(await talk(member.port, head('/members/hashkv', 'Content-Length: 3\r\n', 'GET'), '{{{'), /^HTTP\/1\.1 400/)
  assert.ok(process.memoryUsage().rss - before < 100 << 20)
  assert.deepEqual(member.messages, [])
  await stillAnswers(member)
})

test('posted messages that no member sends are not stepped', async () => {
  await using member = await open()
  const post = (hex: string): Promise<string> => talk(member.port, head('/raft', `Content-Length: ${hex.length / 2}\r\n`), Buffer.from(hex, 'hex'))
  assert.match(await post(''), /^HTTP\/1\.1 403/) // to nobody
  assert.match(await post('080010011802'), /^HTTP\/1\.1 500/) // MsgHup
  assert.match(await post('080a10011802'), /^HTTP\/1\.1 500/) // MsgUnreachable
  assert.match(await post('080710011802'), /^HTTP\/1\.1 500/) // MsgSnap without its state
  assert.match(await post('0803100118022005300a3a041005180c'), /^HTTP\/1\.1 500/) // entry 12 behind 10
  assert.match(await post('086310011802'), /^HTTP\/1\.1 400/)
  assert.match(await post('080810011802200562ff'), /^HTTP\/1\.1 400/)
  assert.deepEqual(member.messages, [])
  assert.match(await post('0808100118022005'), /^HTTP\/1\.1 204/)
  assert.equal(member.messages.length, 1)
})

test('a peer that answers streams and questions with nonsense is dialled again, no more', async () => {
  await using member = await open()
  let dials = 0
  const wanted = Promise.withResolvers<void>()
  const liar = createServer((request, response) => {
    if (++dials > 8) wanted.resolve()
    const body = request.url?.includes('msgapp') ? '02ffffffffffffffff' : request.url?.includes('/message/') ? '00000000000000050811ff' : '5b7b226964223a317d5d'
    response.writeHead(200, { 'X-Server-Version': '3.7.3', 'X-Etcd-Cluster-ID': 'abc' })
    response.write(Buffer.from(body, 'hex'))
  })
  await new Promise<void>((resolve) => { liar.listen(0, '127.0.0.1', resolve) })
  try {
    const url = `http://127.0.0.1:${(liar.address() as AddressInfo).port}`
    member.transport.setPeers([{ id: 2n, urls: [url] }])
    await wanted.promise
    assert.deepEqual(member.messages, [])
    const signal = AbortSignal.timeout(10_000)
    const figures = member.transport.metrics.known(2n)
    assert.ok(figures !== undefined && figures.receiveFailures > 0)
    await assert.rejects(fetchMembers(member.transport.client, [url], signal, 300), { name: 'PeerRequestError' })
    assert.equal(await fetchVersions(member.transport.client, [url], signal, 300), undefined)
    await stillAnswers(member)
  } finally {
    liar.closeAllConnections()
    liar.close()
  }
})

test('remotes that anybody may announce are bounded and have to be URLs', async () => {
  await using member = await open()
  const announce = (id: string, urls: string): Promise<string> => talk(member.port, head('/raft', `Content-Length: 0\r\nX-PeerURLs: ${urls}\r\n`).replace('X-Server-From: 2', `X-Server-From: ${id}`))
  for (let i = 0; i < 100; i++) await announce((i + 10).toString(16), i % 2 === 0 ? 'http://127.0.0.1:1' : 'file:///etc/passwd')
  await stillAnswers(member)
})
