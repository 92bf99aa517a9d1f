// Upgrades and the way back: folders of the originals 3.5 and 3.6 open with ours, clusters of 3.6 become ours member by member under load, and a
// cluster of ours goes down to 3.6. The older originals are built only when asked for (build-older-etcds.sh: about 35 s of CPU each, cold).
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { test } from 'node:test'
import { TestCluster, type ClusterMemberProcess } from './etcd-cluster.ts'
import { describe, etcdctl, fill, memberNamed, oursCommand, start, withFolder, work } from './etcd-folder.ts'
import { hasOriginals, olderEtcd, originalEtcdutl, run } from './etcd-pair.ts'

function skipWithout(version: '3.6' | '3.5'): string | false {
  return hasOriginals && existsSync(olderEtcd(version)) ? false : `no original ${version}: run test/interop/build-older-etcds.sh`
}

interface Versions { readonly etcdserver: string; readonly etcdcluster: string; readonly storage?: string }

async function versionsOf(url: string): Promise<Versions> {
  return JSON.parse(await (await fetch(`${url}/version`)).text()) as Versions
}

async function untilVersions(url: string, cluster: string): Promise<void> {
  const until = Date.now() + 30_000
  for (;;) {
    const { etcdcluster, storage } = await versionsOf(url)
    if (etcdcluster === cluster && (storage === undefined || storage === cluster)) return
    assert.ok(Date.now() < until, `the cluster speaks ${etcdcluster} and stores as ${storage}, not ${cluster}`)
    await new Promise((done) => setTimeout(done, 200))
  }
}

async function v2Keys(url: string): Promise<unknown> { return (await fetch(`${url}/v2/keys/?recursive=true&sorted=true`)).json() }

test('a folder of 3.6, killed, opens with ours; after a downgrade it opens with 3.6 again, and without one it does not', { skip: skipWithout('3.6') }, () => withFolder(async (dataDir) => {
  const member = await memberNamed('m')
  const old = [olderEtcd('3.6'), '--log-level', 'error']
  let expected: object
  {
    await using etcd = await start(old, dataDir, member)
    await fill(etcd.url)
    await work(etcd.url, 0, 460)
    await etcdctl(etcd.url, 'compaction', '150', '--physical')
    expected = await describe(etcd.url)
    await etcd.kill()
  }
  {
    await using etcd = await start(oursCommand, dataDir, member)
    assert.deepEqual(await describe(etcd.url), expected, 'ours on the folder of 3.6')
    await untilVersions(etcd.url, '3.7.0')
    await work(etcd.url, 1000, 1460)
    expected = await describe(etcd.url)
    await etcd.kill()
  }
  await assert.rejects(start(old, dataDir, member), /lower than the version of the cluster|lower than determined cluster version|cannot detect|invalid|version/, 'as the folder of a 3.7 is refused by 3.6')
  {
    await using etcd = await start(oursCommand, dataDir, member)
    await etcdctl(etcd.url, 'downgrade', 'enable', '3.6')
    await untilVersions(etcd.url, '3.6.0')
    await work(etcd.url, 2000, 2060)
    expected = await describe(etcd.url)
    await etcd.kill()
  }
  {
    await using etcd = await start(old, dataDir, member)
    assert.deepEqual(await describe(etcd.url), expected, '3.6 on the folder of ours')
    await work(etcd.url, 3000, 3200)
    expected = await describe(etcd.url)
  }
  await using etcd = await start(oursCommand, dataDir, member)
  assert.deepEqual(await describe(etcd.url), expected, 'ours again')
}))

test('etcdutl migrate of the original makes a stopped folder of ours one of 3.6', { skip: skipWithout('3.6') }, () => withFolder(async (dataDir) => {
  const member = await memberNamed('m')
  let expected: object
  {
    await using etcd = await start(oursCommand, dataDir, member)
    await fill(etcd.url)
    await work(etcd.url, 0, 460)
    await etcdctl(etcd.url, 'downgrade', 'enable', '3.6')
    await untilVersions(etcd.url, '3.6.0')
    expected = await describe(etcd.url)
  }
  const migrated = await run(originalEtcdutl, ['migrate', '--data-dir', dataDir, '--target-version', '3.6'])
  assert.equal(migrated.code, 0, migrated.err)
  await using etcd = await start([olderEtcd('3.6'), '--log-level', 'error'], dataDir, member)
  assert.deepEqual(await describe(etcd.url), expected)
}))

test('a folder of 3.5 with keys of both APIs, killed, opens with ours', { skip: skipWithout('3.5') }, () => withFolder(async (dataDir) => {
  const member = await memberNamed('m')
  let expected: object
  let keys: unknown
  {
    await using etcd = await start([olderEtcd('3.5'), '--log-level', 'error', '--enable-v2'], dataDir, member)
    await fill(etcd.url)
    for (let i = 0; i < 20; i++) await fetch(`${etcd.url}/v2/keys/folder${i % 3}/key${i}`, { method: 'PUT', body: new URLSearchParams({ value: `v${i}` }) })
    await work(etcd.url, 0, 460)
    await fetch(`${etcd.url}/v2/keys/folder0/key3`, { method: 'DELETE' })
    await etcdctl(etcd.url, 'compaction', '150', '--physical')
    expected = await describe(etcd.url)
    keys = await v2Keys(etcd.url)
    await etcd.kill()
  }
  for (let round = 0; round < 2; round++) {
    await using etcd = await start([...oursCommand, '--enable-v2'], dataDir, member)
    assert.deepEqual(await v2Keys(etcd.url), keys, `round ${round}`)
    assert.deepEqual(await describe(etcd.url), expected, `round ${round}`)
    await work(etcd.url, 0, 200)
    expected = await describe(etcd.url)
    await etcd.kill()
  }
}))

/** Writers that go on while members change. What was acknowledged must be there at the end. */
function writeMeanwhile(cluster: TestCluster): AsyncDisposable & { end(): Promise<ReadonlyMap<string, number>> } {
  const acknowledged = new Map<string, number>()
  const ending = new AbortController()
  const writers = [0, 1, 2].map(async (name) => {
    using client = cluster.client()
    for (let i = 1; !ending.signal.aborted; i++) {
      const key = `load${name}-${i % 50}`
      try {
        await client.txn({ compare: [], success: [{ type: 'put', key: Buffer.from(key), value: Buffer.from(String(i)) }], failure: [] }, AbortSignal.timeout(10_000))
        acknowledged.set(key, i)
      } catch {
        // Its outcome is unknown: a later write of the key decides.
        acknowledged.delete(key)
      }
    }
  })
  const end = async (): Promise<ReadonlyMap<string, number>> => { ending.abort(); await Promise.all(writers); return acknowledged }
  return { end, [Symbol.asyncDispose]: async () => { await end() } }
}

async function holdsAll(cluster: TestCluster, acknowledged: ReadonlyMap<string, number>): Promise<void> {
  using client = cluster.client()
  for (const [key, i] of acknowledged) {
    const { kvs: [kv] } = await client.range({ key: Buffer.from(key) }, AbortSignal.timeout(10_000))
    assert.equal(Buffer.from(kv?.value ?? []).toString(), String(i), key)
  }
}

async function upgrade(cluster: TestCluster, member: ClusterMemberProcess, kind: ClusterMemberProcess['kind']): Promise<void> {
  await cluster.end(member, 'SIGTERM')
  cluster.run(cluster.become(member, kind))
  await cluster.healthy()
}

test('a cluster of 3.6 becomes ours member by member under load; its version rises at the end; a downgrade takes it back to 3.6', { skip: skipWithout('3.6') }, async () => {
  await using cluster = await TestCluster.start(['3.6', '3.6', '3.6'], { secure: false })
  const url = (): string => cluster.members[0]?.clientUrl ?? ''
  await untilVersions(url(), '3.6.0')
  const lease = /lease ([0-9a-f]+)/.exec(await cluster.ok(['lease', 'grant', '3600']))?.[1] ?? ''
  await cluster.ok(['put', 'leased', 'v', `--lease=${lease}`])
  for (const args of [['user', 'add', 'u:pw'], ['role', 'add', 'r'], ['role', 'grant-permission', 'r', 'read', 'a', 'b'], ['user', 'grant-role', 'u', 'r']]) await cluster.ok(args)
  await using load = writeMeanwhile(cluster)
  for (const [i, member] of [...cluster.members].entries()) {
    await upgrade(cluster, member, 'ours')
    if (i === 2) continue
    // Whoever leads: the old rule holds while one of the old ones is there.
    const [leads, heir] = [await cluster.leader(), cluster.members[i === 0 ? 0 : 2]]
    assert.ok(heir)
    if (leads.name !== heir.name) await cluster.ok(['move-leader', await cluster.idOf(heir)], [leads, heir])
    assert.equal((await versionsOf(url())).etcdcluster, '3.6.0')
    await cluster.fill(`mixed ${i} `, 120)
    await cluster.equalHashes()
  }
  for (const member of cluster.members) await untilVersions(member.clientUrl, '3.7.0')
  await holdsAll(cluster, await load.end())
  await cluster.equalHashes()
  assert.match(await cluster.ok(['lease', 'timetolive', lease, '--keys']), /attached keys\(\[leased\]\)/)
  assert.match(await cluster.ok(['role', 'get', 'r']), /\[a, b\)/)

  // And back. Without a downgrade an old member is refused.
  const [first] = cluster.members
  assert.ok(first)
  await cluster.end(first, 'SIGTERM')
  cluster.run(cluster.become(first, '3.6'))
  assert.notEqual(await cluster.exit(first), 0)
  cluster.run(cluster.become(cluster.members[0] ?? first, 'ours'))
  await cluster.healthy()
  await cluster.ok(['downgrade', 'enable', '3.6'])
  for (const member of cluster.members) await untilVersions(member.clientUrl, '3.6.0')
  await using more = writeMeanwhile(cluster)
  for (const member of [...cluster.members]) {
    await upgrade(cluster, member, '3.6')
    await cluster.fill(`back ${member.name} `, 120)
    await cluster.equalHashes()
  }
  await holdsAll(cluster, await more.end())
  assert.equal((await versionsOf(url())).etcdserver.slice(0, 3), '3.6')
  assert.match(await cluster.ok(['lease', 'timetolive', lease, '--keys']), /attached keys\(\[leased\]\)/)
})

for (const version of ['3.6', '3.5'] as const) {
  test(`two of ${version} and one of ours: whole states and logs go both ways, whoever leads`, { skip: skipWithout(version) }, async () => {
    await using cluster = await TestCluster.start([version, version, 'ours'], { secure: false })
    const [old, , ours] = cluster.members
    assert.ok(old && ours)
    await untilVersions(ours.clientUrl, `${version}.0`)
    for (const [leader, behind] of [[old, ours], [ours, old]] as const) {
      const leads = await cluster.leader()
      if (leads.name !== leader.name) await cluster.ok(['move-leader', await cluster.idOf(leader)], [leads, leader])
      await cluster.end(behind, 'SIGKILL')
      await cluster.fill(`while ${behind.kind} was down `, 300, leader)
      await cluster.ok(['del', `while ${behind.kind} was down 1`, '--prefix'], [leader])
      cluster.run(behind)
      await cluster.healthy()
      await cluster.equalHashes()
    }
    // A learner of ours joins a cluster that an old one leads, and the other way round.
    const leads = await cluster.leader()
    if (leads.name !== old.name) await cluster.ok(['move-leader', await cluster.idOf(old)], [leads, old])
    const fourth = await cluster.plan('m3', 'ours')
    await cluster.eventually(async () => { await cluster.ok(['member', 'add', 'm3', '--learner', `--peer-urls=${fourth.peerUrl}`]) })
    cluster.run(fourth, ['--initial-cluster', cluster.members.map((member) => `${member.name}=${member.peerUrl}`).join(','), '--initial-cluster-state', 'existing'])
    const id = await cluster.idOf(fourth)
    await cluster.eventually(async () => { await cluster.ok(['member', 'promote', id], [old]) })
    await cluster.healthy()
    await cluster.equalHashes()
    await cluster.ok(['member', 'remove', id], [old])
  })
}
