import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { realClock } from '../../lib/async/real-clock.ts'
import { realRandom } from '../../lib/async/real-random.ts'
import { silentLogger } from '../../lib/component-base/log.ts'
import { connectMembers } from './connect-members.ts'
import { CorruptionChecks } from './corruption-checks.ts'
import { realDisk } from './disk/real-disk.ts'
import { withoutSync } from './disk/unsynced-disk.ts'
import { openEtcd, type EmbeddedEtcd } from './embedded.ts'
import { clusterIdOf, memberIdOf } from './member-identity.ts'
import { differingPeers, findCorrupt, findMinority, type PeerHash } from './membership/compare-hashes.ts'
import { planNewCluster, sameTexts } from './membership/plan-bootstrap.ts'
import type { PeerClient } from './peer/peer-client.ts'

const hash = (id: bigint, value: number, compactRevision = 5, currentRevision = 10): PeerHash => ({ id, hash: value, revision: 10, compactRevision, currentRevision })

test('judging hashes', () => {
  const own = { hash: 1, revision: 10, compactRevision: 5 }
  assert.deepEqual(differingPeers(own, [hash(2n, 1), hash(3n, 2), hash(4n, 2, 6)]), [3n], 'other histories are not compared')
  assert.equal(findCorrupt(1n, own, [hash(2n, 1)], own, 10), undefined)
  assert.equal(findCorrupt(1n, own, [], { ...own, hash: 2 }, 10), 1n, 'the leader itself changed what it held')
  assert.equal(findCorrupt(1n, own, [hash(2n, 1, 5, 11)], own, 10), 2n, 'nobody is ahead of the leader')
  assert.equal(findCorrupt(1n, own, [hash(2n, 1, 6)], own, 10), 2n)
  assert.equal(findCorrupt(1n, own, [hash(2n, 9)], own, 10), 2n)
  assert.deepEqual(findMinority(1n, own, [hash(2n, 1), hash(3n, 2)]), { corrupt: [3n], isWhole: true, hasMajority: true })
  assert.deepEqual(findMinority(1n, own, [hash(2n, 2), hash(3n, 2)]), { corrupt: [1n], isWhole: true, hasMajority: true }, 'the leader may be the one')
  assert.deepEqual(findMinority(1n, own, [hash(2n, 2), hash(3n, 3)]).hasMajority, false)
  assert.deepEqual(findMinority(1n, own, [hash(2n, 1), undefined]), { corrupt: [], isWhole: false, hasMajority: true })
})

interface Joined { readonly etcd: EmbeddedEtcd; readonly client: PeerClient; readonly checks: CorruptionChecks }

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((done) => { server.listen(0, '127.0.0.1', () => done()) })
  const address = server.address()
  await new Promise<void>((done) => { server.close(() => done()) })
  return address !== null && typeof address === 'object' ? address.port : 0
}

/** Three members in this process, joined over real connections. */
async function startThree(stack: AsyncDisposableStack): Promise<readonly Joined[]> {
  const folder = mkdtempSync(join(tmpdir(), 'k8ts-corrupt-'))
  stack.defer(() => rmSync(folder, { recursive: true, force: true }))
  const urls = await Promise.all(['a', 'b', 'c'].map(async (name) => [name, [`http://127.0.0.1:${await freePort()}`]] as const))
  const opened = await Promise.all(urls.map(async ([name, peerUrls]) => {
    let client: PeerClient | undefined
    const plan = planNewCluster({ name, peerUrls, token: 't', initialCluster: new Map(urls) }, { memberIdOf, clusterIdOf }, sameTexts)
    const etcd = stack.use(await openEtcd({
      disk: { dataDir: join(folder, name), disk: withoutSync(realDisk) }, clock: realClock, random: realRandom, logger: silentLogger, name, peerUrls, initialCluster: plan, hashCompactions: true, heartbeatIntervalMs: 50, electionTimeoutMs: 500,
      transport: connectMembers({ listenUrls: peerUrls, advertiseUrls: peerUrls, clock: realClock, logger: silentLogger, beforeStart: (_, transport) => { ({ client } = transport); return Promise.resolve() } }),
    }))
    assert.ok(client)
    return { etcd, client, checks: new CorruptionChecks({ etcd: etcd.internals, peerClient: client, clock: realClock, logger: silentLogger }) }
  }))
  await Promise.all(opened.map(({ etcd }) => etcd.whenReady()))
  return opened
}

/** Everybody has applied and hashed the compaction. */
async function settled(members: readonly Joined[], revision: number): Promise<void> {
  while (!members.every(({ etcd }) => etcd.internals.compactionHashes.find(revision))) await new Promise((done) => setImmediate(done))
}

test('a member whose keys differ is found: at the start, regularly, and at compactions', async () => {
  await using stack = new AsyncDisposableStack()
  const members = await startThree(stack)
  const signal = AbortSignal.timeout(20_000)
  const leader = members.find(({ etcd }) => etcd.internals.member.isLeader)
  const follower = members.find(({ etcd }) => !etcd.internals.member.isLeader)
  assert.ok(leader && follower)
  for (let i = 0; i < 10; i++) await leader.etcd.client.txn({ compare: [], success: [{ type: 'put', key: Buffer.from(`k${i}`), value: Buffer.from('v') }], failure: [] }, signal)
  await follower.etcd.internals.member.readIndex(signal)
  await follower.checks.checkInitially(signal)
  await leader.checks.checkKeys(signal)
  await leader.etcd.client.compact(5, signal)
  await settled(members, 5)
  await leader.checks.checkCompaction(signal)
  const { machine } = leader.etcd.internals.member
  assert.deepEqual(machine.alarms, [], 'all is well')

  // One member makes something else of the same request.
  for (const { etcd } of members) etcd.internals.member.machine.apply({ type: 'put', key: Buffer.from('k3'), value: Buffer.from(etcd === follower.etcd ? 'x' : 'v') }, 0)
  const { memberId } = follower.etcd.internals.identity
  await leader.etcd.client.compact(12, signal)
  await settled(members, 12)
  await leader.checks.checkCompaction(signal)
  assert.deepEqual(machine.alarms, [{ memberId, alarm: 'CORRUPT' }])
  await leader.etcd.internals.member.propose({ type: 'alarm', action: 'DEACTIVATE', memberId, alarm: 'CORRUPT' }, signal)
  await leader.etcd.client.txn({ compare: [], success: [{ type: 'put', key: Buffer.from('k4'), value: Buffer.from('v') }], failure: [] }, signal)
  await leader.checks.checkKeys(signal)
  assert.deepEqual(machine.alarms, [{ memberId, alarm: 'CORRUPT' }])
  await follower.etcd.internals.member.readIndex(signal)
  await assert.rejects(follower.checks.checkInitially(signal), { name: 'InconsistentDataError' })
  await assert.rejects(leader.etcd.client.txn({ compare: [], success: [{ type: 'put', key: Buffer.from('k'), value: Buffer.from('v') }], failure: [] }, signal), /corrupt cluster/)
})
