// The wire between members, spoken with the original: in a cluster of two an original etcd and a member that is no more than our transport and our
// Raft core. Whoever leads, what the original's clients write is replicated to both. And the original's state, as it sends it to a learner.
import { test, type TestContext } from 'node:test'
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sleep } from '../../src/lib/base/clock.ts'
import { decodeProto3 } from '../../src/lib/base/protobuf/proto3.ts'
import { realClock } from '../../src/lib/async/real-clock.ts'
import { realRandom } from '../../src/lib/async/real-random.ts'
import { silentLogger } from '../../src/lib/component-base/log.ts'
import { etcdError } from '../../src/lib/etcd-api/etcd-error.ts'
import { etcdTable } from '../../src/lib/etcd-api/generated/table.ts'
import type { InternalRaftRequest } from '../../src/lib/etcd-api/generated/types.ts'
import { createAuthority, issueCertificate } from '../../src/lib/net/pki/certificates.ts'
import { clusterIdOf, memberIdOf } from '../../src/control-plane/etcd/member-identity.ts'
import { openPeerTransport, type OpenPeerTransport } from '../../src/control-plane/etcd/peer/open-peer-transport.ts'
import { fetchHash, fetchMembers, fetchVersions, fetchDowngradeEnabled, renewLeaseAtLeader, leaseTimesAtLeader, promoteAtLeader, type PeerRequests } from '../../src/control-plane/etcd/peer/peer-requests.ts'
import { PeerTls, type PeerTlsOptions } from '../../src/control-plane/etcd/peer/peer-tls.ts'
import type { PeerHandler } from '../../src/control-plane/etcd/peer/peer-transport.ts'
import { bootstrapLog } from '../../src/control-plane/etcd/raft/bootstrap.ts'
import { confChangeOf } from '../../src/control-plane/etcd/raft/conf-change.ts'
import { MemoryStorage } from '../../src/control-plane/etcd/raft/memory-storage.ts'
import type { Entry, Message } from '../../src/control-plane/etcd/raft/messages.ts'
import { RaftNode } from '../../src/control-plane/etcd/raft/raft-node.ts'
import { freePort, hasOriginals, originalEtcd, originalEtcdctl, run } from './etcd-pair.ts'

const skip = hasOriginals ? false : 'the originals are not built: run test/interop/build-originals.sh'
const token = 'peer-protocol'

interface Original extends AsyncDisposable { readonly client: string; readonly peer: string; readonly said: string[] }

async function startOriginal(peer: string, flags: readonly string[], program = originalEtcd): Promise<Original> {
  const folder = mkdtempSync(join(tmpdir(), 'k8ts-peer-'))
  const client = `http://127.0.0.1:${await freePort()}`
  const said: string[] = []
  const child = spawn(program, ['--name', 'original', '--data-dir', join(folder, 'data'), '--listen-client-urls', client, '--advertise-client-urls', client, '--listen-peer-urls', peer,
    '--initial-advertise-peer-urls', peer, '--initial-cluster-token', token, '--log-level', 'info', ...flags], { stdio: ['ignore', 'ignore', 'pipe'] })
  child.stderr.on('data', (chunk: Buffer) => { said.push(chunk.toString()) })
  const exited = new Promise<void>((done) => { child.once('exit', () => done()) })
  return {
    client, peer, said,
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGTERM')
      const timer = realClock.setTimer(3000, () => child.kill('SIGKILL'))
      await exited
      timer[Symbol.dispose]()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** Raft in memory over the real wire: votes, keeps the log, and knows what was committed. */
class TestMember implements PeerHandler, AsyncDisposable {
  readonly id: bigint
  readonly node: RaftNode
  readonly storage = new MemoryStorage()
  readonly committed: Entry[] = []
  readonly received = new Map<string, number>()
  readonly states: { readonly message: Message; readonly bytes: Buffer }[] = []
  wasRemoved = false
  #transport: OpenPeerTransport | undefined
  #stop = new AbortController()
  #turning = false

  constructor(id: bigint, initial?: Parameters<typeof bootstrapLog>[0]) {
    this.id = id
    if (initial !== undefined) {
      const { hardState, entries } = bootstrapLog(initial)
      this.storage.setHardState(hardState)
      this.storage.append(entries)
    }
    // It stands for election only when it is asked to.
    this.node = new RaftNode({ id, storage: this.storage, random: realRandom, electionTicks: 1_000_000, heartbeatTicks: 1 })
    if (initial !== undefined) this.turn()
  }

  get transport(): OpenPeerTransport { return this.#transport ?? assert.fail('the transport is not open yet') }

  start(transport: OpenPeerTransport): void {
    this.#transport = transport
    const tick = async (): Promise<void> => {
      for (;;) {
        try { await sleep(realClock, 100, this.#stop.signal) } catch { return }
        this.node.tick()
        this.turn()
      }
    }
    void tick()
  }

  turn(): void {
    if (this.#turning) return
    this.#turning = true
    while (this.node.hasReady()) {
      const ready = this.node.ready()
      this.#transport?.send(ready.messages)
      if (ready.snapshot !== undefined) this.storage.installSnapshot(ready.snapshot)
      this.storage.append(ready.entries)
      if (ready.hardState !== undefined) this.storage.setHardState(ready.hardState)
      this.#transport?.send(ready.messagesAfterPersist)
      this.node.advance()
      for (const entry of ready.committedEntries) {
        this.committed.push(entry)
        const change = confChangeOf(entry)
        if (change !== undefined) this.node.applyConfChange(entry.index, change)
        this.node.appliedTo(entry.index)
      }
    }
    this.#turning = false
  }

  step(message: Message): void {
    this.received.set(message.type, (this.received.get(message.type) ?? 0) + 1)
    this.node.step(message)
    this.turn()
  }
  async receiveSnapshot(message: Message, body: { readonly pieces: AsyncIterable<Uint8Array> }): Promise<void> {
    const pieces: Uint8Array[] = []
    for await (const piece of body.pieces) pieces.push(piece)
    this.states.push({ message, bytes: Buffer.concat(pieces) })
    this.step(message)
  }
  reportUnreachable(id: bigint): void { this.node.reportUnreachable(id); this.turn() }
  peerEnded(): void {}
  reportSnapshot(id: bigint, outcome: 'delivered' | 'failed'): void { this.node.reportSnapshot(id, outcome); this.turn() }
  isRemoved(): boolean { return false }
  removedFromCluster(): void { this.wasRemoved = true }

  /** Values of puts that are committed here, by key. */
  puts(): ReadonlyMap<string, string> {
    const found = new Map<string, string>()
    for (const entry of this.committed) {
      if (entry.type !== 0 || entry.data.length === 0) continue
      const put = putOf(entry)
      if (put) found.set(Buffer.from(put.key ?? []).toString(), Buffer.from(put.value ?? []).toString())
    }
    return found
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    await this.#transport?.[Symbol.asyncDispose]()
  }
}

/** Members before 3.6 log requests of the second API too, which are no InternalRaftRequests. */
function putOf(entry: Entry): InternalRaftRequest['put'] {
  try {
    return decodeProto3<InternalRaftRequest>(etcdTable, 'InternalRaftRequest', entry.data).put
  } catch {
    return undefined
  }
}

async function until(what: string, condition: () => boolean | Promise<boolean>, original: Original, limitMs = 15_000): Promise<void> {
  const endMs = realClock.monotonic() + limitMs
  while (!await condition()) {
    if (realClock.monotonic() > endMs) assert.fail(`waited in vain: ${what}\n${original.said.join('').split('\n').filter((line) => line.includes('"warn"') || line.includes('"error"')).slice(-15).join('\n')}`)
    await new Promise<void>((done) => { realClock.setTimer(20, done) })
  }
}

const noRequests: Omit<PeerRequests, 'members'> = {
  versions: () => ({ cluster: undefined, storage: undefined }),
  promote: async () => { throw etcdError('notLeader') }, renewLease: async () => { throw etcdError('leaseNotFound') }, leaseTimes: async () => { throw etcdError('leaseNotFound') },
  hashKeyValues: async () => { throw etcdError('futureRevision') }, isDowngradeEnabled: async () => false,
}

interface Talk { readonly scheme: 'http' | 'https'; readonly flags?: readonly string[]; readonly tls?: PeerTls; readonly old?: string }

async function pairTalks({ scheme, flags = [], tls, old }: Talk): Promise<void> {
  const originalPeer = `${scheme}://127.0.0.1:${await freePort()}`
  const ourPeer = `${scheme}://127.0.0.1:${await freePort()}`
  const original = { id: memberIdOf([originalPeer], token), name: 'original', peerUrls: [originalPeer], clientUrls: [], isLearner: false }
  const ours = { id: memberIdOf([ourPeer], token), name: 'ours', peerUrls: [ourPeer], clientUrls: [], isLearner: false }
  const clusterId = clusterIdOf([original.id, ours.id])
  const context = (member: typeof ours): Uint8Array => Buffer.from(`{"id":${member.id},"peerURLs":${JSON.stringify(member.peerUrls)},"name":"${member.name}"}`)
  await using member = new TestMember(ours.id, [original, ours].map((m) => ({ id: m.id, context: context(m) })))
  const transport = await openPeerTransport({
    id: ours.id, clusterId, advertiseUrls: [ourPeer], listenUrls: [ourPeer], clock: realClock, logger: silentLogger, handler: member, requests: { ...noRequests, members: () => [original, ours] }, ...(tls && { tls }),
  })
  member.start(transport)
  transport.setPeers([{ id: original.id, urls: [originalPeer] }])
  await using process = await startOriginal(originalPeer, ['--initial-cluster', `original=${originalPeer},ours=${ourPeer}`, ...flags], old)
  const ctl = async (...args: readonly string[]): Promise<string> => {
    const result = await run(originalEtcdctl, ['--endpoints', process.client, ...args])
    assert.equal(result.code, 0, result.err + process.said.join('').split('\n').slice(-10).join('\n'))
    return result.out
  }

  // The original asks for our vote and leads; what its client puts comes to us.
  await until('the original leads', () => member.node.status().leader === original.id, process)
  for (let i = 0; i < 20; i++) await ctl('put', `key${i}`, 'x'.repeat(i * 100))
  await until('the puts are committed here', () => member.puts().get('key19') === 'x'.repeat(1900), process)
  assert.equal(member.puts().size, 20)
  assert.ok((member.received.get('MsgApp') ?? 0) >= 20)

  if (old === undefined) await askOriginal(transport, clusterId, originalPeer, original.id, ours.id, process, ctl)
  else assert.deepEqual((await fetchMembers(transport.client, [originalPeer], AbortSignal.timeout(5000))).members.map((m) => m.name).sort(), ['original', 'ours'])

  // We lead: the original's proposals come to us, our appends go to it.
  await ctl('move-leader', ours.id.toString(16))
  await until('we lead', () => member.node.status().leader === ours.id, process)
  for (let i = 0; i < 10; i++) await ctl('put', `theirs${i}`, `value ${i}`)
  assert.equal(await ctl('get', 'theirs9', '--print-value-only'), 'value 9\n') // linearizable: the read index is ours
  assert.ok((member.received.get('MsgProp') ?? 0) >= 10 && (member.received.get('MsgAppResp') ?? 0) >= 10 && (member.received.get('MsgReadIndex') ?? 0) >= 1)
  assert.equal(member.puts().get('theirs9'), 'value 9')
  const status = await ctl('endpoint', 'status', '-w', 'json')
  assert.match(status, new RegExp(`"leader":${ours.id}`))
  const figures = transport.metrics.known(original.id)
  assert.ok(figures !== undefined && figures.sentBytes > 1000 && figures.receivedBytes > 1000 && figures.isActive)
  assert.ok(!member.wasRemoved)
}

/** Questions to the original on its peer port. */
async function askOriginal(transport: OpenPeerTransport, clusterId: bigint, originalPeer: string, originalId: bigint, ourId: bigint, process: Original, ctl: (...args: readonly string[]) => Promise<string>): Promise<void> {
  const signal = AbortSignal.timeout(20_000)
  const cluster = await fetchMembers(transport.client, [originalPeer], signal)
  assert.equal(cluster.clusterId, clusterId)
  assert.deepEqual(cluster.members.map((m) => m.id).sort(), [originalId, ourId].sort())
  assert.equal((await fetchVersions(transport.client, [originalPeer], signal))?.server, '3.7.3')
  // The leader has asked for our version, and so decided on the cluster's.
  await until('the cluster has a version', async () => (await fetchVersions(transport.client, [originalPeer], signal))?.cluster === '3.7.0', process)
  assert.equal(await fetchDowngradeEnabled(transport.client, cluster.members, ourId, signal), false)
  assert.equal((await fetchHash(transport.client, clusterId, [originalPeer], 0, signal, 5000)).revision, 21)
  await assert.rejects(fetchHash(transport.client, clusterId, [originalPeer], 1000, signal, 5000), { message: 'etcdserver: mvcc: required revision is a future revision' })
  await assert.rejects(fetchHash(transport.client, 5n, [originalPeer], 1, signal, 5000), { message: 'etcdserver: cluster ID mismatch' })
  const lease = BigInt(`0x${/lease ([0-9a-f]+) granted/.exec(await ctl('lease', 'grant', '100'))?.[1]}`)
  await ctl('put', '--lease', lease.toString(16), 'leased', 'v')
  assert.equal(await renewLeaseAtLeader(transport.client, [originalPeer], lease, signal, 5000), 100)
  await assert.rejects(renewLeaseAtLeader(transport.client, [originalPeer], 1234n, signal, 5000), { message: 'etcdserver: requested lease not found' })
  const times = await leaseTimesAtLeader(transport.client, [originalPeer], lease, true, signal, 5000)
  assert.deepEqual([times.grantedTtlSeconds, times.keys.map((key) => Buffer.from(key).toString())], [100, ['leased']])
  await assert.rejects(promoteAtLeader(transport.client, [originalPeer], 5n, undefined, signal, 5000), { message: 'etcdserver: member not found' })
  await assert.rejects(promoteAtLeader(transport.client, [originalPeer], ourId, undefined, signal, 5000), { message: 'etcdserver: can only promote a learner member' })
}

test('a cluster of the original and our wire: either leads, both have the log', { skip }, async () => { await pairTalks({ scheme: 'http' }) })

test('the same with TLS', { skip }, async (t: TestContext) => {
  const folder = mkdtempSync(join(tmpdir(), 'k8ts-peer-tls-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const validity = { notBeforeMs: realClock.now() - 60_000, notAfterMs: realClock.now() + 3_600_000 }
  const authority = createAuthority('peers', validity, realRandom)
  const pair = issueCertificate(authority, 'peers', { subject: { commonName: 'peer' }, names: ['127.0.0.1', 'localhost'], usages: ['server', 'client'], random: realRandom, ...validity })
  const files: PeerTlsOptions = { certFile: join(folder, 'cert.pem'), keyFile: join(folder, 'key.pem'), trustedCaFile: join(folder, 'ca.pem'), clientCertAuth: true, allowedCommonNames: ['peer'] }
  writeFileSync(join(folder, 'ca.pem'), authority.certificatePem)
  writeFileSync(join(folder, 'cert.pem'), pair.certificatePem)
  writeFileSync(join(folder, 'key.pem'), pair.keyPem)
  await pairTalks({ scheme: 'https', flags: ['--peer-cert-file', files.certFile ?? '', '--peer-key-file', files.keyFile ?? '', '--peer-trusted-ca-file', files.trustedCaFile ?? '', '--peer-client-cert-auth', '--peer-cert-allowed-cn', 'peer'], tls: await PeerTls.load(files) })
})

const debianEtcd = '/usr/bin/etcd'

test('the same with an original from long ago (3.4)', { skip: skip || (!existsSync(debianEtcd) && `${debianEtcd} is not installed`) }, async () => {
  await pairTalks({ scheme: 'http', flags: ['--logger', 'zap'], old: debianEtcd })
})

test('the original sends a learner of ours its whole state', { skip }, async () => {
  const originalPeer = `http://127.0.0.1:${await freePort()}`
  const ourPeer = `http://127.0.0.1:${await freePort()}`
  await using process = await startOriginal(originalPeer, ['--initial-cluster', `original=${originalPeer}`, '--snapshot-count', '5', '--snapshot-catchup-entries', '1'])
  const ctl = (...args: readonly string[]): Promise<{ readonly code: number; readonly out: string; readonly err: string }> => run(originalEtcdctl, ['--endpoints', process.client, ...args])
  await until('the original serves', async () => (await ctl('put', 'k', 'v')).code === 0, process)
  // Its log is cut at every hundredth entry.
  await Promise.all(Array.from({ length: 4 }, async (_, worker) => {
    for (let i = 0; i < 60; i++) {
      const body = JSON.stringify({ key: Buffer.from(`key-${worker}-${i}`).toString('base64'), value: Buffer.from('y'.repeat(500)).toString('base64') })
      const answer = await fetch(`${process.client}/v3/kv/put`, { method: 'POST', body })
      await answer.text()
      assert.equal(answer.status, 200)
    }
  }))
  const added = await ctl('member', 'add', 'ours', '--learner', '--peer-urls', ourPeer, '-w', 'json')
  assert.equal(added.code, 0, added.err)
  const id = BigInt(/"member":\{"ID":(\d+)/.exec(added.out)?.[1] ?? '0')
  const clusterId = BigInt(/"cluster_id":(\d+)/.exec(added.out)?.[1] ?? '0')
  await using member = new TestMember(id)
  const transport = await openPeerTransport({
    id, clusterId, advertiseUrls: [ourPeer], listenUrls: [ourPeer], clock: realClock, logger: silentLogger, handler: member, requests: { ...noRequests, members: () => [] },
  })
  member.start(transport)
  transport.setPeers([{ id: memberIdOf([originalPeer], token), urls: [originalPeer] }])
  await until('the state has come', () => member.states.length > 0, process)
  const state = member.states[0] ?? assert.fail()
  assert.equal(state.bytes.readUInt32LE(16), 0xed0cdaed, 'a bbolt file')
  assert.equal(state.bytes.length % 4096, 0)
  assert.ok(state.bytes.includes('key-0-0'))
  const { metadata } = state.message.snapshot ?? assert.fail()
  assert.deepEqual(metadata.confState.learners, [id])
  await until('the log goes on behind the state', async () => {
    await ctl('put', 'after', 'the state')
    return member.puts().has('after')
  }, process)
  assert.ok(member.storage.firstIndex() > 100)
})
