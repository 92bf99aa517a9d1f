// Data folders go both ways: the original killed at any moment, then ours on its folder, then the original again on ours; the same keys, leases,
// users and hashes each time, also after many saved states.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { openEtcd, type EmbeddedEtcd } from '../../src/control-plane/etcd/embedded.ts'
import { hashKeyValues } from '../../src/control-plane/etcd/mvcc/hash-kv.ts'
import { realClock } from '../../src/lib/async/real-clock.ts'
import { realRandom } from '../../src/lib/async/real-random.ts'
import { silentLogger } from '../../src/lib/component-base/log.ts'
import { RemoteEtcdClient } from '../../src/lib/etcd-client/remote-etcd-client.ts'
import { freePort, hasOriginals, originalEtcd, originalEtcdctl, run } from './etcd-pair.ts'

const skip = hasOriginals ? false : 'the originals are not built: run test/interop/build-originals.sh'
const debianEtcd = '/usr/bin/etcd'
const main = resolve(import.meta.dirname, '../../src/cmd/main.ts')
const signal = new AbortController().signal
const oursCommand = [process.execPath, '--disable-proto=delete', '--disable-warning=ExperimentalWarning', main, 'etcd']

interface Running extends AsyncDisposable {
  readonly url: string
  /** As a power cut for the program: nothing is written any more. */
  kill(): Promise<void>
}

interface Member { readonly name: string; readonly clientPort: number; readonly peerPort: number }

async function memberNamed(name: string): Promise<Member> { return { name, clientPort: await freePort(), peerPort: await freePort() } }

async function start(command: readonly string[], dataDir: string, member: Member, more: readonly string[] = []): Promise<Running> {
  const [program = '', ...args] = command
  const url = `http://127.0.0.1:${member.clientPort}`
  const peer = `http://127.0.0.1:${member.peerPort}`
  const child: ChildProcess = spawn(program, [...args, '--name', member.name, '--data-dir', dataDir, '--listen-client-urls', url, '--advertise-client-urls', url, '--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer,
    '--initial-cluster', `${member.name}=${peer}`, '--snapshot-count', '100', ...more], { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (data: Buffer) => { output = (output + data.toString()).slice(-6000) })
  const exited = new Promise<void>((done) => { child.once('exit', () => done()) })
  const end = async (how: NodeJS.Signals): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) child.kill(how)
    await exited
  }
  for (let i = 0; ; i++) {
    const answer = await fetch(`${url}/health`).catch(() => undefined)
    if (answer?.ok) break
    if (i === 150 || child.exitCode !== null) { await end('SIGKILL'); throw new Error(`${program} did not start on ${dataDir}: ${output}`) }
    await new Promise((done) => setTimeout(done, 100))
  }
  return { url, kill: () => end('SIGKILL'), [Symbol.asyncDispose]: () => end('SIGTERM') }
}

async function etcdctl(url: string, ...args: readonly string[]): Promise<string> {
  const { code, out, err } = await run(originalEtcdctl, ['--endpoints', url, ...args])
  assert.equal(code, 0, `etcdctl ${args.join(' ')}: ${err}`)
  return out
}

async function work(url: string, from: number, to: number): Promise<void> {
  using client = new RemoteEtcdClient({ endpoints: [url], clock: realClock })
  for (let i = from; i < to; i += 20) {
    await Promise.all(Array.from({ length: 20 }, (_, j) => client.txn({ compare: [], success: [{ type: 'put', key: Buffer.from(`key${(i + j) % 31}`), value: Buffer.from(`value ${i + j} `.repeat((i + j) % 40)) }], failure: [] }, signal)))
  }
  await client.txn({ compare: [], success: [{ type: 'deleteRange', key: Buffer.from(`key${from % 31}`) }, { type: 'put', key: Buffer.from('last'), value: Buffer.from(String(to)) }], failure: [] }, signal)
}

/** What has to be the same whoever serves the folder. */
async function describe(url: string): Promise<object> {
  const [hash] = JSON.parse(await etcdctl(url, 'endpoint', 'hashkv', '-w', 'json')) as [{ readonly HashKV: { readonly hash: number; readonly compact_revision: number; readonly header: { readonly revision: number } } }]
  const leases = (await etcdctl(url, 'lease', 'list')).split('\n').slice(1).filter((line) => line !== '').sort()
  const attached = await Promise.all(leases.map(async (id) => /attached keys\((.*)\)/.exec(await etcdctl(url, 'lease', 'timetolive', id, '--keys'))?.[1]))
  return {
    hash: hash.HashKV.hash, revision: hash.HashKV.header.revision, compacted: hash.HashKV.compact_revision, leases, attached, users: await etcdctl(url, 'user', 'get', 'u'), role: await etcdctl(url, 'role', 'get', 'r'),
    alarms: await etcdctl(url, 'alarm', 'list'), members: (await etcdctl(url, 'member', 'list')).replaceAll(/http:\S+/g, 'URL'), last: await etcdctl(url, 'get', 'last', '--print-value-only'),
  }
}

async function withFolder(body: (dataDir: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'k8ts-data-folder-'))
  try {
    await body(join(folder, 'data'))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function fill(url: string): Promise<void> {
  const lease = /lease (\S+) granted/.exec(await etcdctl(url, 'lease', 'grant', '10000'))?.[1] ?? ''
  await etcdctl(url, 'lease', 'grant', '5000')
  await etcdctl(url, 'put', 'leased', 'x', '--lease', lease)
  await etcdctl(url, 'role', 'add', 'r')
  await etcdctl(url, 'role', 'grant-permission', 'r', 'readwrite', 'a', 'b')
  await etcdctl(url, 'user', 'add', 'u:password')
  await etcdctl(url, 'user', 'grant-role', 'u', 'r')
}

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
  let acknowledged = from
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
