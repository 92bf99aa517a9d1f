// Several members on simulated disks and a simulated network.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { EtcdError } from '../../../lib/etcd-api/etcd-error.ts'
import type { EmbeddedEtcd } from '../embedded.ts'
import { encodeMember, encodePromotion } from '../membership/member-json.ts'
import { hashKeyValues } from '../mvcc/hash-kv.ts'
import { MemberRemovedError } from '../member.ts'
import { confStateOf, exportState } from '../snapshot/state-files.ts'
import { SimulatedCluster, type SimulatedNode } from './simulated-cluster.ts'

const b = (text: string): Uint8Array => Buffer.from(text)
const t = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString()
const signal = new AbortController().signal

function put(etcd: EmbeddedEtcd, key: string, value: string, lease?: bigint): Promise<number> {
  return etcd.client.txn({ compare: [], success: [{ type: 'put', key: b(key), value: b(value), ...(lease === undefined ? {} : { lease }) }], failure: [] }, signal).then((r) => r.revision)
}

async function get(etcd: EmbeddedEtcd, key: string, serializable = false): Promise<string | undefined> {
  const { kvs } = await etcd.client.range({ key: b(key), serializable }, signal)
  return kvs[0] && t(kvs[0].value)
}

function up(node: SimulatedNode | undefined): EmbeddedEtcd {
  assert.ok(node?.etcd, 'the member runs')
  return node.etcd
}

async function assertSame(cluster: SimulatedCluster): Promise<void> {
  const members = cluster.running.map(({ etcd }) => etcd.internals.member)
  const goal = Math.max(...members.map((member) => member.appliedIndex))
  await cluster.untilTrue(() => members.every((member) => member.appliedIndex >= goal))
  const hashes = await Promise.all(members.map((member) => hashKeyValues(member.machine.store, 0, async () => {})))
  for (const hash of hashes) assert.deepEqual(hash, hashes[0])
}

const small = { snapshotCount: 20, snapshotBytes: 2000, segmentBytes: 24_000, zeroedBytes: 3000 }

for (const size of [3, 5]) {
  test(`${size} members: a put on any member is read on every other, and all hold the same`, async () => {
    await using cluster = await SimulatedCluster.start({ size })
    assert.equal(cluster.running.filter(({ etcd }) => etcd.internals.member.isLeader).length, 1)
    for (const [i, { etcd }] of cluster.running.entries()) {
      await cluster.until(() => put(etcd, 'k', `v${i}`))
      for (const other of cluster.running) assert.equal(await cluster.until(() => get(other.etcd, 'k')), `v${i}`)
    }
    await assertSame(cluster)
    const { membership } = up(cluster.nodes[0]).internals.member.machine
    assert.deepEqual(membership.list().map(({ name, clientUrls }) => [name, clientUrls]).sort(), cluster.nodes.map(({ name }) => [name, [`http://${name}:2379`]]))
    await cluster.untilTrue(() => membership.clusterVersion !== undefined)
    assert.equal(membership.clusterVersion, '3.7.0')
  })
}

test('watches and transactions work on every member, and revisions are the same everywhere', async () => {
  await using cluster = await SimulatedCluster.start({ size: 3 })
  const heard = cluster.running.map(() => [] as string[])
  const watches = cluster.running.map(({ etcd }, i) => etcd.client.watch({ key: b('a'), rangeEnd: b('z') }, { events: (events) => { for (const e of events) heard[i]?.push(`${e.kv.modRevision}${e.type}${t(e.kv.key)}`) }, closed: () => {} }))
  await Promise.all(cluster.running.map(async ({ etcd }, i) => cluster.until(async () => { for (let n = 0; n < 20; n++) await put(etcd, `k${(i + n) % 5}`, `${i}-${n}`) })))
  const [first = []] = heard
  await cluster.untilTrue(() => heard.every((list) => list.length === 60))
  for (const list of heard) assert.deepEqual(list, first)
  for (const watch of watches) watch[Symbol.dispose]()
  await assertSame(cluster)
})

test('the leader dies: another one takes over, nothing acknowledged is lost, and it catches up when it comes back', async () => {
  await using cluster = await SimulatedCluster.start({ size: 3 })
  for (let round = 0; round < 4; round++) {
    const leader = cluster.leader()
    assert.ok(leader)
    await cluster.until(() => put(leader.etcd, `before${round}`, 'x'))
    const node = cluster.nodes.find(({ id }) => id === leader.id)
    assert.ok(node)
    await cluster.crash(node)
    const [other] = cluster.running
    assert.ok(other)
    assert.equal(await cluster.until(() => get(other.etcd, `before${round}`)), 'x')
    await cluster.until(() => put(other.etcd, `after${round}`, 'y'))
    await cluster.until(() => cluster.startNode(node))
    assert.equal(await cluster.until(() => get(up(node), `after${round}`)), 'y')
  }
  await assertSame(cluster)
})

test('all lose power at once, again and again', async () => {
  await using cluster = await SimulatedCluster.start({ size: 3, settings: small })
  const acknowledged: string[] = []
  for (let round = 0; round < 8; round++) {
    await Promise.all(cluster.running.map(({ etcd }, i) => cluster.until(async () => {
      for (let n = 0; n < 15; n++) {
        await put(etcd, `k${round}-${i}-${n}`, 'v'.repeat(100))
        acknowledged.push(`k${round}-${i}-${n}`)
      }
    })))
    for (const node of cluster.nodes) await cluster.crash(node)
    for (const node of cluster.nodes) await cluster.startNode(node)
    const keys = new Set((await cluster.until(() => up(cluster.nodes[round % 3]).client.range({ key: b('k'), rangeEnd: b('l') }, signal))).kvs.map((kv) => t(kv.key)))
    for (const key of acknowledged) assert.ok(keys.has(key), `${key} was acknowledged`)
  }
  await assertSame(cluster)
})

test('a partition: the smaller side answers no linearizable read and takes no write; its serializable reads are old', async () => {
  await using cluster = await SimulatedCluster.start({ size: 3 })
  const old = cluster.leader()
  assert.ok(old)
  await cluster.until(() => put(old.etcd, 'k', 'old'))
  cluster.network.isolate(old.id, cluster.nodes.map(({ id }) => id))
  const other = cluster.running.find(({ id }) => id !== old.id)
  assert.ok(other)
  const stale = old.etcd.client.range({ key: b('k') }, signal).then(() => undefined, (error: unknown) => error)
  const lost = put(old.etcd, 'k', 'lost').catch((error: unknown) => error)
  await cluster.untilTrue(() => cluster.leader() !== undefined && cluster.leader()?.id !== old.id)
  await cluster.until(() => put(other.etcd, 'k', 'new'))
  assert.equal(await get(old.etcd, 'k', true), 'old', 'the control: a read of the own store is old')
  const refused = await cluster.until(async () => stale)
  assert.ok(refused instanceof EtcdError && refused.reason === 'Unavailable' && refused.message.startsWith('etcdserver: request timed out'), String(refused))
  const failure = await cluster.until(async () => lost)
  assert.ok(failure instanceof EtcdError && failure.reason === 'Unavailable', String(failure))
  assert.ok(old.etcd.internals.member.noLeaderFor(3000))
  cluster.network.heal()
  assert.equal(await cluster.until(() => get(old.etcd, 'k')), 'new')
  await assertSame(cluster)
})

test('messages that are lost, doubled and late change nothing', async () => {
  await using cluster = await SimulatedCluster.start({ size: 3, seed: 5 })
  cluster.network.loss = 0.1
  cluster.network.duplication = 0.1
  cluster.network.delayMs = [0, 60]
  let failed = 0
  await Promise.all(cluster.running.map(({ etcd }, i) => cluster.until(async () => {
    for (let n = 0; n < 25; n++) await put(etcd, `k${i}-${n}`, 'v').catch(() => { failed++ })
  }, 600_000)))
  cluster.network.loss = 0
  assert.ok(failed < 30, `${failed} timed out`)
  await assertSame(cluster)
})

test('a member that fell far behind gets the whole state; its watches go on or are told', async () => {
  await using cluster = await SimulatedCluster.start({ size: 3, settings: small })
  const [behind] = cluster.running.filter(({ etcd }) => !etcd.internals.member.isLeader)
  assert.ok(behind)
  const revision = await cluster.until(() => put(behind.etcd, 'k', 'first'))
  const heard: number[] = []
  const ended: unknown[] = []
  const watch = behind.etcd.client.watch({ key: b('k') }, { events: (events) => { for (const e of events) heard.push(e.kv.modRevision) }, closed: (end) => { ended.push(end.compactRevision) } })
  await cluster.clock.advance(10)
  cluster.network.isolate(behind.id, cluster.nodes.map(({ id }) => id))
  const leader = await (async () => { await cluster.untilTrue(() => cluster.leader() !== undefined && cluster.leader()?.id !== behind.id); return cluster.leader() })()
  assert.ok(leader)
  const lease = await cluster.until(() => leader.etcd.client.leaseGrant(600, signal))
  await cluster.until(async () => { for (let i = 0; i < 60; i++) await put(leader.etcd, 'k', `v${i}`, lease.id) })
  for (const { etcd, id } of cluster.running) if (id !== behind.id) etcd.internals.member.forgetAppliedEntries()
  cluster.network.heal()
  await cluster.untilTrue(() => heard.includes(revision + 60))
  assert.ok(cluster.network.counts.snapshots > 0, 'the state went over')
  assert.equal(heard.length, 60, 'nothing was compacted, so nothing is missed')
  assert.deepEqual(ended, [])
  assert.equal(await cluster.until(() => get(behind.etcd, 'k')), 'v59')
  assert.deepEqual(behind.etcd.internals.member.machine.leases.ids(), [lease.id])
  assert.equal((await cluster.until(() => behind.etcd.client.leaseTimeToLive(lease.id, signal, { keys: true }))).keys.map(t).join(), 'k')
  await assertSame(cluster)
  watch[Symbol.dispose]()
  // And it starts again from what it was given.
  const node = cluster.nodes.find(({ id }) => id === behind.id)
  assert.ok(node)
  await cluster.crash(node)
  await cluster.until(() => cluster.startNode(node))
  assert.equal(await cluster.until(() => get(up(node), 'k')), 'v59')
  await assertSame(cluster)
})

test('a download that nobody reads on holds no member back from the state that its leader sends, nor the watches there', async () => {
  await using cluster = await SimulatedCluster.start({ size: 3 })
  const [behind] = cluster.running.filter(({ etcd }) => !etcd.internals.member.isLeader)
  assert.ok(behind)
  const many = Array.from({ length: 100 }, (_, i) => ({ type: 'put', key: b(`k${i}`), value: Buffer.alloc(200) }) as const)
  await cluster.until(async () => { for (let i = 0; i < 30; i++) await behind.etcd.client.txn({ compare: [], success: many, failure: [] }, signal) })
  const heard: number[] = []
  behind.etcd.client.watch({ key: b('k') }, { events: (events) => { for (const e of events) heard.push(e.kv.modRevision) }, closed: () => {} })
  const { machine, appliedIndex, term } = behind.etcd.internals.member
  using state = await exportState(machine, { index: appliedIndex, term, confState: confStateOf(machine) })
  const pieces = state.pieces[Symbol.asyncIterator]()
  await pieces.next()
  cluster.network.isolate(behind.id, cluster.nodes.map(({ id }) => id))
  await cluster.untilTrue(() => cluster.leader() !== undefined && cluster.leader()?.id !== behind.id)
  const leader = cluster.leader()
  assert.ok(leader)
  const revision = await cluster.until(() => put(leader.etcd, 'k', 'v'))
  for (const { etcd, id } of cluster.running) if (id !== behind.id) etcd.internals.member.forgetAppliedEntries()
  cluster.network.heal()
  await cluster.untilTrue(() => heard.includes(revision), 10_000)
  await assert.rejects(async () => { while (!(await pieces.next()).done) { /* as far as it goes */ } }, { reason: 'WriteFailed' })
  await assertSame(cluster)
})

test('a member loses its power at every operation of taking over a state: it comes back, and has all', async () => {
  let cuts = 0
  let states = 0
  for (let at = 1; at <= 24; at++) {
    await using cluster = await SimulatedCluster.start({ size: 3, seed: at, settings: small })
    const behind = cluster.nodes.find(({ etcd }) => etcd?.internals.member.isLeader === false)
    assert.ok(behind)
    cluster.network.isolate(behind.id, cluster.nodes.map(({ id }) => id))
    const leader = cluster.leader()
    assert.ok(leader)
    await cluster.until(async () => { for (let i = 0; i < 40; i++) await put(leader.etcd, `k${i % 7}`, `v${i}`) })
    for (const { etcd, id } of cluster.running) if (id !== behind.id) etcd.internals.member.forgetAppliedEntries()
    const { disk } = behind
    disk.onPowerCut = () => {
      cuts++
      cluster.network.unplug(behind.id)
      behind.etcd = undefined
    }
    disk.cutPowerAt(at)
    cluster.network.heal()
    await cluster.clock.advance(1500)
    states += cluster.network.counts.snapshots
    if (disk.isOff) {
      behind.disk = disk.reboot()
      await cluster.until(() => cluster.startNode(behind))
    } else disk.cutPowerAt(Infinity)
    assert.equal(await cluster.until(() => get(up(behind), 'k4')), 'v39', `cut at ${at}`)
    await assertSame(cluster)
  }
  assert.ok(cuts > 10 && states >= 24, `${cuts} cuts, ${states} states`)
})

test('leases: kept alive on a follower, ended by the leader, and extended by the next one', async () => {
  await using cluster = await SimulatedCluster.start({ size: 3 })
  const follower = cluster.running.find(({ etcd }) => !etcd.internals.member.isLeader)
  assert.ok(follower)
  const { client } = follower.etcd
  const { id } = await cluster.until(() => client.leaseGrant(5, signal))
  await cluster.until(() => put(follower.etcd, 'leased', 'x', id))
  for (let i = 0; i < 4; i++) {
    await cluster.clock.advance(3000)
    assert.equal((await cluster.until(() => client.leaseKeepAlive(id, signal))).ttlSeconds, 5)
  }
  assert.ok((await cluster.until(() => client.leaseTimeToLive(id, signal))).ttlSeconds >= 4)
  await cluster.clock.advance(3000)
  const leader = cluster.nodes.find((node) => node.id === cluster.leader()?.id)
  assert.ok(leader)
  await cluster.crash(leader)
  await cluster.untilTrue(() => cluster.leader() !== undefined)
  await cluster.clock.advance(3500)
  assert.equal(await cluster.until(() => get(follower.etcd, 'leased')), 'x', 'it has its whole time again')
  await cluster.clock.advance(5000)
  assert.equal(await cluster.until(() => get(follower.etcd, 'leased')), undefined)
  assert.equal((await cluster.until(() => client.leaseKeepAlive(id, signal))).ttlSeconds, 0)
  assert.equal((await cluster.until(() => client.leaseTimeToLive(id, signal))).ttlSeconds, -1)
})

test('a learner joins, follows, becomes a voter; a member is removed and ends; the leader hands over', async () => {
  await using cluster = await SimulatedCluster.start({ size: 3 })
  const leader = cluster.leader()
  assert.ok(leader)
  for (let i = 0; i < 10; i++) await cluster.until(() => put(leader.etcd, `k${i}`, 'v'))
  const id = 0x1234n
  const learner = { id, name: '', peerUrls: ['http://m4:2380'], clientUrls: [], isLearner: true }
  await cluster.until(() => leader.etcd.internals.member.changeMembership({ type: 'ConfChangeAddLearnerNode', nodeId: id, context: b(encodeMember(learner)) }, signal))
  const node = cluster.addNode(id, 'm4')
  const joined = await cluster.until(() => cluster.startNode(node))
  await cluster.until(() => joined.whenReady())
  assert.equal(joined.internals.member.isLearner, true)
  assert.equal(await cluster.until(() => get(joined, 'k9')), 'v')
  await cluster.until(() => leader.etcd.internals.member.changeMembership({ type: 'ConfChangeAddNode', nodeId: id, context: b(encodePromotion(id)) }, signal))
  await cluster.untilTrue(() => !joined.internals.member.isLearner)
  const askedMs = cluster.clock.monotonic()
  await cluster.until(() => leader.etcd.internals.member.transferLeadership(id, signal))
  assert.ok(cluster.clock.monotonic() - askedMs <= 50, 'told when it has happened, not with the next heartbeat')
  assert.equal(joined.internals.member.isLeader, true)
  await cluster.until(() => put(leader.etcd, 'k', 'by the new leader'))
  // The old leader goes; asked of another member.
  await cluster.until(() => joined.internals.member.changeMembership({ type: 'ConfChangeRemoveNode', nodeId: leader.id, context: new Uint8Array(0) }, signal))
  await cluster.untilTrue(() => leader.etcd.broken.aborted)
  assert.ok(leader.etcd.broken.reason instanceof MemberRemovedError)
  const gone = cluster.nodes.find((other) => other.id === leader.id)
  assert.ok(gone)
  await cluster.stop(gone)
  assert.deepEqual(joined.internals.member.raftStatus()?.confState.voters.length, 3)
  await cluster.until(() => put(joined, 'k', 'without it'))
  // The leader itself goes.
  await cluster.until(() => joined.internals.member.changeMembership({ type: 'ConfChangeRemoveNode', nodeId: id, context: new Uint8Array(0) }, signal))
  const [rest] = cluster.running.filter((other) => other.id !== id)
  assert.ok(rest)
  await cluster.untilTrue(() => joined.broken.aborted)
  await cluster.untilTrue(() => cluster.leader() !== undefined && cluster.leader()?.id !== id)
  await cluster.until(() => put(rest.etcd, 'k', 'two are left'))
})

test("the leader's process ends: the others, who are told so by its machine, elect another without waiting for an election timeout", async () => {
  await using cluster = await SimulatedCluster.start({ size: 3 })
  for (let round = 0; round < 5; round++) {
    const leader = cluster.nodes.find(({ id }) => id === cluster.leader()?.id)
    assert.ok(leader)
    await cluster.stop(leader)
    const endedMs = cluster.clock.monotonic()
    const [other] = cluster.running
    assert.ok(other)
    await cluster.untilTrue(() => cluster.leader() !== undefined)
    await cluster.until(() => put(other.etcd, 'k', `${round}`))
    assert.ok(cluster.clock.monotonic() - endedMs < 900, `${cluster.clock.monotonic() - endedMs} ms`)
    const again = await cluster.until(() => cluster.startNode(leader))
    await cluster.until(() => again.whenReady())
  }
  await assertSame(cluster)
})

test('a leader that is mistaken for ended leads on', async () => {
  await using cluster = await SimulatedCluster.start({ size: 3 })
  const leader = cluster.leader()
  assert.ok(leader)
  const { term } = leader.etcd.internals.member
  const mistaken = cluster.running.find(({ id }) => id !== leader.id)
  assert.ok(mistaken)
  for (let i = 0; i < 20; i++) {
    cluster.network.mistakeForEnded(leader.id, mistaken.id)
    await cluster.clock.advance(130)
  }
  await cluster.until(() => put(mistaken.etcd, 'k', 'v'))
  assert.deepEqual([cluster.leader()?.id, leader.etcd.internals.member.term], [leader.id, term])
})

test('a refused change of the membership changes nothing', async () => {
  await using cluster = await SimulatedCluster.start({ size: 3 })
  const [{ etcd }] = cluster.running as [SimulatedNode & { readonly etcd: EmbeddedEtcd }] // cast: three run
  await assert.rejects(cluster.until(() => etcd.internals.member.changeMembership({ type: 'ConfChangeRemoveNode', nodeId: 77n, context: new Uint8Array(0) }, signal)), { reason: 'NotFound' })
  await cluster.until(() => put(etcd, 'k', 'v'))
  assert.equal(etcd.internals.member.raftStatus()?.confState.voters.length, 3)
})

test('two of three are lost for good: the last one goes on alone', async () => {
  await using cluster = await SimulatedCluster.start({ size: 3, settings: small })
  const [first] = cluster.nodes
  assert.ok(first)
  await cluster.until(async () => { for (let i = 0; i < 50; i++) await put(up(first), `k${i}`, 'v'.repeat(50)) })
  for (const node of cluster.nodes) await cluster.stop(node)
  const alone = await cluster.until(() => cluster.startNode(first, { forceNewCluster: true }))
  assert.equal(alone.internals.member.isLeader, true)
  assert.equal(await get(alone, 'k49'), 'v'.repeat(50))
  await cluster.until(() => put(alone, 'k', 'alone'))
  assert.deepEqual(alone.internals.member.machine.membership.list().map(({ id }) => id), [first.id])
  await cluster.crash(first)
  const again = await cluster.until(() => cluster.startNode(first))
  assert.equal(await get(again, 'k'), 'alone')
  assert.equal(again.internals.member.isSole, true)
})

test('no leader: a write says so after its time', async () => {
  await using cluster = await SimulatedCluster.start({ size: 3 })
  for (const node of cluster.nodes.slice(1)) await cluster.stop(node)
  const [first] = cluster.nodes
  await assert.rejects(cluster.until(() => put(up(first), 'k', 'v')), { reason: 'Unavailable', message: /^etcdserver: request timed out/ })
  await assert.rejects(cluster.until(() => get(up(first), 'k')), { reason: 'Unavailable', message: /^etcdserver: request timed out/ })
})

test('the first election need not wait for a leader that there never was', async () => {
  const readyAfterMs = async (hurryFirstElection: boolean): Promise<number> => {
    await using cluster = await SimulatedCluster.start({ size: 3, settings: { hurryFirstElection } })
    return cluster.clock.monotonic()
  }
  const [hurried, patient] = [await readyAfterMs(true), await readyAfterMs(false)]
  assert.ok(patient >= 1000, `an election timeout passes: ${patient}`)
  assert.ok(hurried < patient && hurried < 1500, `${hurried} after ${patient}`)
})

test("a follower's disk is full: the cluster says NOSPACE; a member that can't write acknowledges nothing, the others go on; with room it catches up", async () => {
  await using cluster = await SimulatedCluster.start({ size: 3, settings: { snapshotCount: 100_000, zeroedBytes: 16_384, segmentBytes: 200_000 } })
  const full = cluster.nodes.find(({ etcd }) => etcd?.internals.member.isLeader === false)
  const leader = cluster.leader()
  assert.ok(full && leader)
  full.disk.capacityBytes = 90_000
  let refused = 0
  await cluster.until(async () => { for (let i = 0; i < 200 && refused === 0; i++) await put(leader.etcd, `k${i}`, 'v'.repeat(1000)).catch(() => { refused++ }) })
  assert.equal(refused, 1)
  const { machine } = leader.etcd.internals.member
  assert.deepEqual(machine.alarms, [{ memberId: full.id, alarm: 'NOSPACE' }])
  // Somebody disarms it, although there is no room: the others are a majority.
  await cluster.until(() => leader.etcd.internals.client.propose({ type: 'alarm', action: 'DEACTIVATE', memberId: full.id, alarm: 'NOSPACE' }, signal))
  for (let i = 0; i < 60; i++) await cluster.until(() => put(leader.etcd, `more${i}`, 'v'.repeat(1000)).catch(() => leader.etcd.internals.client.propose({ type: 'alarm', action: 'DEACTIVATE', memberId: full.id, alarm: 'NOSPACE' }, signal)))
  assert.equal(up(full).broken.aborted, false)
  assert.ok(up(full).internals.member.appliedIndex < leader.etcd.internals.member.appliedIndex, 'it is behind')
  full.disk.capacityBytes = Infinity
  await cluster.clock.advance(3000)
  await assertSame(cluster)
})

test('lease checkpoints, when asked for: the next leader goes on with what was left, and a renewal gives the whole time again', async () => {
  await using cluster = await SimulatedCluster.start({ size: 3, settings: { leaseCheckpointIntervalMs: 10_000 } })
  const leader = cluster.leader()
  assert.ok(leader)
  const [kept, renewed] = [await cluster.until(() => leader.etcd.client.leaseGrant(100, signal)), await cluster.until(() => leader.etcd.client.leaseGrant(100, signal))]
  await cluster.clock.advance(41_000)
  assert.equal((await cluster.until(() => leader.etcd.client.leaseKeepAlive(renewed.id, signal))).ttlSeconds, 100)
  const to = cluster.running.find(({ id }) => id !== leader.id)
  assert.ok(to)
  await cluster.until(() => leader.etcd.internals.member.transferLeadership(to.id, signal))
  await cluster.clock.advance(500)
  const left = async (id: bigint): Promise<number> => (await cluster.until(() => to.etcd.client.leaseTimeToLive(id, signal))).ttlSeconds
  assert.ok(await left(kept.id) < 75 && await left(kept.id) > 50, `${await left(kept.id)} s are left`)
  assert.ok(await left(renewed.id) > 95, `${await left(renewed.id)} s are left`)
})
