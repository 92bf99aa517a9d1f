// Data folders go both ways: the original killed at any moment, then ours on its folder, then the original again on ours; the same keys, leases,
// users and hashes each time, also after many saved states.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { cpSync, existsSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { openEtcd, type EmbeddedEtcd } from '../../src/control-plane/etcd/embedded.ts'
import { hashKeyValues } from '../../src/control-plane/etcd/mvcc/hash-kv.ts'
import { realClock } from '../../src/lib/async/real-clock.ts'
import { realRandom } from '../../src/lib/async/real-random.ts'
import { silentLogger } from '../../src/lib/component-base/log.ts'
import { RemoteEtcdClient } from '../../src/lib/etcd-client/remote-etcd-client.ts'
import { describe, etcdctl, fill, memberNamed, oursCommand, signal, start, withFolder, work } from './etcd-folder.ts'
import { freePort, hasOriginals, originalEtcd, run } from './etcd-pair.ts'
import { oldEtcdctl } from './etcdctl-runs.ts'

const skip = hasOriginals ? false : 'the originals are not built: run test/interop/build-originals.sh'
const debianEtcd = '/usr/bin/etcd'

test('a folder of the original 3.7, killed; ours on it, killed; the original again', { skip }, () => withFolder(async (dataDir) => {
  const member = await memberNamed('m')
  let expected: object = {}
  {
    await using etcd = await start([originalEtcd, '--log-level', 'error'], dataDir, member)
    await fill(etcd.url)
    await work(etcd.url, 0, 460)
    await etcdctl(etcd.url, 'compaction', '150', '--physical')
    expected = await describe(etcd.url)
    // Two on one folder would be its end.
    const second = { ...member, clientPort: await freePort(), peerPort: await freePort() }
    await assert.rejects(start(oursCommand, dataDir, second), /is in use by process/)
    await etcd.kill()
  }
  for (let round = 1; round <= 4; round++) {
    const isOurs = round % 2 === 1
    await using etcd = await start(isOurs ? oursCommand : [originalEtcd, '--log-level', 'error'], dataDir, member)
    assert.deepEqual(await describe(etcd.url), expected, `round ${round}`)
    await work(etcd.url, round * 1000, round * 1000 + 460)
    await etcdctl(etcd.url, 'compaction', String(round * 300), '--physical')
    expected = await describe(etcd.url)
    if (round < 3) await etcd.kill()
  }
  assert.ok(readdirSync(join(dataDir, 'member/snap')).filter((name) => name.endsWith('.snap')).length > 3)
}))

test('a folder that ours began, with many saved states, opens with the original', { skip }, () => withFolder(async (dataDir) => {
  const member = await memberNamed('m')
  let expected: object = {}
  {
    await using etcd = await start(oursCommand, dataDir, member)
    await fill(etcd.url)
    // More than the bytes of log after which a state is saved.
    using client = new RemoteEtcdClient({ endpoints: [etcd.url], clock: realClock })
    for (let i = 0; i < 60; i++) await Promise.all(Array.from({ length: 10 }, (_, j) => client.txn({ compare: [], success: [{ type: 'put', key: Buffer.from(`large${j}`), value: Buffer.alloc(30_000, i) }], failure: [] }, signal)))
    await work(etcd.url, 0, 200)
    await etcdctl(etcd.url, 'compaction', '400', '--physical')
    expected = await describe(etcd.url)
    await etcd.kill()
  }
  const snap = join(dataDir, 'member/snap')
  assert.ok(readdirSync(snap).some((name) => name.endsWith('.snap')) && existsSync(join(snap, 'db')), readdirSync(snap).join(' '))
  for (const command of [[originalEtcd, '--log-level', 'error'], oursCommand]) {
    await using etcd = await start(command, dataDir, member)
    assert.deepEqual(await describe(etcd.url), expected)
  }
}))

test('a log of many segments, with states saved all the time, opens with the original, and what the original made of it with ours', { skip }, () => withFolder(async (dataDir) => {
  const member = await memberNamed('m')
  const peer = `http://127.0.0.1:${member.peerPort}`
  const open = (): Promise<EmbeddedEtcd> => openEtcd({
    disk: { dataDir }, clock: realClock, random: realRandom, logger: silentLogger, name: member.name, peerUrls: [peer], snapshotCount: 40, snapshotBytes: 3000, segmentBytes: 40_000, zeroedBytes: 4096,
  })
  const segments = new Set<string>()
  for (let round = 0; round < 3; round++) {
    let expected: object
    {
      await using etcd = await open()
      for (let i = 0; i < 300; i++) {
        await etcd.client.txn({ compare: [], success: [{ type: 'put', key: Buffer.from(`k${i % 40}`), value: Buffer.from(`${round} ${i} `.repeat(i % 70)) }], failure: [] }, signal)
        for (const name of readdirSync(join(dataDir, 'member/wal'))) segments.add(name)
      }
      const { hash, revision } = await hashKeyValues(etcd.internals.member.machine.store, 0, () => Promise.resolve())
      expected = { hash, revision }
    }
    await using original = await start([originalEtcd, '--log-level', 'error'], dataDir, member)
    const [{ HashKV }] = JSON.parse(await etcdctl(original.url, 'endpoint', 'hashkv', '-w', 'json')) as [{ readonly HashKV: { readonly hash: number; readonly header: { readonly revision: number } } }]
    assert.deepEqual({ hash: HashKV.hash, revision: HashKV.header.revision }, expected, `round ${round}`)
    await work(original.url, round * 100, round * 100 + 140)
    await original.kill()
  }
  assert.ok(segments.size > 8, [...segments].join(' '))
}))

/** Writes until it can't any more. */
async function writeUntilKilled(url: string, from: number): Promise<number> {
  using client = new RemoteEtcdClient({ endpoints: [url], clock: realClock })
  let acknowledged = 0
  const writer = async (name: number): Promise<void> => {
    for (let i = from; ; i++) {
      const { revision } = await client.txn({ compare: [], success: [{ type: 'put', key: Buffer.from(`w${name}-${i % 20}`), value: Buffer.alloc(20_000 + (i % 7) * 1000, i) }], failure: [] }, AbortSignal.timeout(5000))
      acknowledged = Math.max(acknowledged, revision)
    }
  }
  await Promise.allSettled(Array.from({ length: 8 }, (_, name) => writer(name)))
  return acknowledged
}

test('killed in the middle of writes, ours and the original find the same in the folder, whoever wrote it', { skip }, () => withFolder(async (dataDir) => {
  const member = await memberNamed('m')
  for (const [round, writer] of [oursCommand, [originalEtcd, '--log-level', 'error'], oursCommand].entries()) {
    let acknowledged = 0
    {
      await using etcd = await start(writer, dataDir, member)
      const writing = writeUntilKilled(etcd.url, round * 1000)
      await new Promise((done) => setTimeout(done, 1500 + round * 400))
      await etcd.kill()
      acknowledged = await writing
    }
    const found: object[] = []
    for (const reader of [oursCommand, [originalEtcd, '--log-level', 'error']]) {
      const copy = `${dataDir}-copy`
      rmSync(copy, { recursive: true, force: true })
      cpSync(dataDir, copy, { recursive: true })
      await using etcd = await start(reader, copy, member)
      const [{ HashKV }] = JSON.parse(await etcdctl(etcd.url, 'endpoint', 'hashkv', '-w', 'json')) as [{ readonly HashKV: { readonly hash: number; readonly header: { readonly revision: number } } }]
      found.push({ hash: HashKV.hash, revision: HashKV.header.revision })
      assert.ok(HashKV.header.revision >= acknowledged, `round ${round}: revision ${HashKV.header.revision} is there, ${acknowledged} was acknowledged`)
    }
    assert.deepEqual(found[0], found[1], `round ${round}`)
  }
}))

async function v2Keys(url: string): Promise<unknown> { return (await fetch(`${url}/v2/keys/?recursive=true&sorted=true`)).json() }

test('a folder of the original 3.4, killed, opens with ours: also keys of the second API', { skip: skip || (existsSync(debianEtcd) ? false : 'no etcd 3.4 (apt install etcd-server)') }, async () => {
  for (const writes of [0, 460]) {
    await withFolder(async (dataDir) => {
      const member = await memberNamed('m')
      let expected: object = {}
      let keys: unknown
      {
        await using etcd = await start([debianEtcd, '--enable-v2'], dataDir, member)
        if (writes > 0) {
          await fill(etcd.url)
          for (let i = 0; i < 20; i++) await fetch(`${etcd.url}/v2/keys/folder${i % 3}/key${i}`, { method: 'PUT', body: new URLSearchParams({ value: `v${i}` }) })
          await work(etcd.url, 0, writes)
          for (let i = 10; i < 30; i++) await fetch(`${etcd.url}/v2/keys/folder${i % 4}/key${i}`, { method: 'PUT', body: new URLSearchParams({ value: `new${i}` }) })
          await fetch(`${etcd.url}/v2/keys/folder0/key3`, { method: 'DELETE' })
          expected = await describe(etcd.url)
        }
        keys = await v2Keys(etcd.url)
        await etcd.kill()
      }
      for (let round = 0; round < 2; round++) {
        await using etcd = await start([...oursCommand, '--enable-v2'], dataDir, member)
        assert.deepEqual(await v2Keys(etcd.url), keys)
        if (writes > 0) assert.deepEqual(await describe(etcd.url), expected)
        // Saved by ours, loaded by ours.
        if (writes > 0) await work(etcd.url, 0, 200)
        if (writes > 0) expected = await describe(etcd.url)
        await etcd.kill()
      }
    })
  }
})

test('a backup with etcdctl of the second API, theirs and ours: the original 3.4 and ours begin with it, a cluster of their own', { skip: skip || (existsSync(debianEtcd) && existsSync(oldEtcdctl) ? false : 'no etcd 3.4 (apt install etcd-server etcd-client)') }, () => withFolder(async (dataDir) => {
  const member = await memberNamed('m')
  let keys: unknown
  let expected = ''
  {
    await using etcd = await start([debianEtcd, '--enable-v2'], dataDir, member)
    for (let i = 0; i < 150; i++) await fetch(`${etcd.url}/v2/keys/folder${i % 3}/key${i % 40}`, { method: 'PUT', body: new URLSearchParams({ value: `v${i}` }) })
    await work(etcd.url, 0, 40)
    keys = await v2Keys(etcd.url)
    expected = await etcdctl(etcd.url, 'get', 'key', '--prefix')
    await etcd.kill()
  }
  const backups = await Promise.all((['theirs', 'ours'] as const).flatMap((by) => [false, true].map(async (withV3) => {
    const folder = `${dataDir}-${by}-${withV3 ? 'v3' : 'v2'}`
    const program = by === 'theirs' ? [oldEtcdctl] : [...oursCommand.slice(0, -1), 'etcdctl']
    const { code, err } = await run('/usr/bin/env', ['ETCDCTL_API=2', ...program, 'backup', '--data-dir', dataDir, '--backup-dir', folder, ...(withV3 ? ['--with-v3'] : [])])
    assert.equal(code, 0, `${by}: ${err}`)
    return { folder, by, withV3 }
  })))
  for (const { folder, by, withV3 } of backups) {
    for (const command of [[debianEtcd, '--enable-v2'], [...oursCommand, '--enable-v2']]) {
      // What matters of the four by two: ours for both, theirs for ours.
      if (command[0] === debianEtcd ? by === 'theirs' : by === 'ours' && !withV3) continue
      const copy = `${folder}-copy`
      rmSync(copy, { recursive: true, force: true })
      cpSync(folder, copy, { recursive: true })
      await using etcd = await start(command, copy, member, ['--force-new-cluster'])
      const said = `${by}, ${withV3 ? 'with' : 'without'} v3, served by ${command[0] ?? ''}`
      assert.deepEqual(await v2Keys(etcd.url), keys, said)
      assert.equal(await etcdctl(etcd.url, 'get', 'key', '--prefix'), withV3 ? expected : '', said)
      assert.equal((await etcdctl(etcd.url, 'member', 'list')).trim().split('\n').length, 1, said)
    }
  }
}))
