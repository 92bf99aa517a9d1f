// Snapshots saved from ours and from the original: both etcdutl say the same of them, and each restores the other's with the same hash.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { copyFileSync, cpSync, existsSync, mkdtempSync, rmSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { realClock } from '../../src/lib/async/real-clock.ts'
import { realRandom } from '../../src/lib/async/real-random.ts'
import { silentLogger } from '../../src/lib/component-base/log.ts'
import { openEtcd } from '../../src/control-plane/etcd/embedded.ts'
import { hashKeyValues } from '../../src/control-plane/etcd/mvcc/hash-kv.ts'
import { freePort, hasOriginals, openPair, originalEtcd, originalEtcdctl, originalEtcdutl, run, same, startOriginal, type Run } from './etcd-pair.ts'

const skip = hasOriginals && existsSync(originalEtcdutl) ? false : 'the originals are not built: run test/interop/build-originals.sh'
const main = join(import.meta.dirname, '../../src/cmd/main.ts')
const node = [process.execPath, '--disable-proto=delete', '--disable-warning=ExperimentalWarning', main]
const ours = (args: readonly string[]): Promise<Run> => run(process.execPath, [...node.slice(1), 'etcdutl', ...args])
const theirs = (args: readonly string[]): Promise<Run> => run(originalEtcdutl, args)

test('snapshots go both ways', { skip }, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'k8ts-etcdutl-'))
  try {
    await using pair = await openPair(['--bcrypt-cost', '4'], { bcryptCost: 4 })
    for (let i = 0; i < 40; i++) await same(pair, ['put', `k${i % 9}`, `v${i}`.repeat(1 + i * 5)])
    await same(pair, ['del', 'k3'])
    await same(pair, ['compaction', '20', '--physical'])
    await same(pair, ['role', 'add', 'r'])
    await same(pair, ['user', 'add', 'u:pw'])
    await same(pair, ['user', 'grant-role', 'u', 'r'])
    const { hash: served } = await hashKeyValues(pair.etcd.internals.member.machine.store, 0, () => Promise.resolve())
    for (const [name, url] of [['ours', pair.ours], ['original', pair.original]] as const) {
      const file = join(folder, `${name}.db`)
      const saved = await run(originalEtcdctl, ['--endpoints', url, 'snapshot', 'save', file])
      assert.equal(saved.code, 0, saved.err)
      for (const format of ['simple', 'json', 'fields', 'table']) {
        const [a, b] = [await theirs(['snapshot', 'status', file, '-w', format]), await ours(['snapshot', 'status', file, '-w', format])]
        assert.deepEqual({ code: b.code, out: b.out }, { code: 0, out: a.out }, `${name} ${format} ${b.err}`)
      }
      // The original writes to the file that it hashes.
      const copy = `${file}.copy`
      copyFileSync(file, copy)
      const [a, b] = [await theirs(['hashkv', copy, '-w', 'json']), await ours(['hashkv', file, '-w', 'json'])]
      assert.equal(b.out, a.out, b.err)
      assert.equal((JSON.parse(b.out) as { hash: number }).hash, served)
      assert.equal((await theirs(['hashkv', copy, '--rev', '30'])).out, (await ours(['hashkv', file, '--rev', '30'])).out)

      const restored = await ours(['snapshot', 'restore', file, '--data-dir', join(folder, `${name}-by-ours`)])
      assert.equal(restored.code, 0, restored.err)
      {
        await using etcd = await openEtcd({ disk: { dataDir: join(folder, `${name}-by-ours`) }, clock: realClock, random: realRandom, logger: silentLogger })
        const { store, auth } = etcd.internals.member.machine
        assert.equal((await hashKeyValues(store, 0, () => Promise.resolve())).hash, served)
        assert.deepEqual(auth.user('u')?.roles, ['r'])
        await etcd.client.txn({ compare: [], success: [{ type: 'put', key: Buffer.from('after'), value: Buffer.from('1') }], failure: [] }, new AbortController().signal)
      }
      const byOriginal = join(folder, `${name}-by-original`)
      assert.equal((await theirs(['snapshot', 'restore', file, '--data-dir', byOriginal])).code, 0)
      await using original = await startOriginal([], byOriginal)
      const hash = JSON.parse((await run(originalEtcdctl, ['--endpoints', original.url, 'endpoint', 'hashkv', '-w', 'json'])).out) as { HashKV: { hash: number } }[]
      assert.equal(hash[0]?.HashKV.hash, served)
      assert.equal((await run(originalEtcdctl, ['--endpoints', original.url, 'user', 'get', 'u'])).out, 'User: u\nRoles: r\n')
    }
    // A damaged file is refused, and a folder that holds something isn't overwritten.
    const bytes = readFileSync(join(folder, 'ours.db'))
    bytes[5000]! ^= 1 // cast: the file has several pages
    writeFileSync(join(folder, 'damaged.db'), bytes)
    assert.match((await ours(['snapshot', 'restore', join(folder, 'damaged.db'), '--data-dir', join(folder, 'd')])).err, /expected sha256/)
    assert.match((await ours(['snapshot', 'restore', join(folder, 'ours.db'), '--data-dir', join(folder, 'ours-by-ours')])).err, /not empty/)
    const bumped = await ours(['snapshot', 'restore', join(folder, 'ours.db'), '--data-dir', join(folder, 'bumped'), '--bump-revision', '1000000000', '--mark-compacted'])
    assert.equal(bumped.code, 0, bumped.err)
    await using etcd = await openEtcd({ disk: { dataDir: join(folder, 'bumped') }, clock: realClock, random: realRandom, logger: silentLogger })
    const { revision } = await etcd.client.status(new AbortController().signal)
    assert.ok(revision > 1_000_000_000)
    assert.equal((await etcd.client.range({ key: Buffer.from('k'), rangeEnd: Buffer.from('l') }, new AbortController().signal)).count, 8)
    await assert.rejects(etcd.client.range({ key: Buffer.from('k'), revision: 30 }, new AbortController().signal), { reason: 'Compacted' })
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

/** Without the lines of logs, which are each program's own. */
function withoutLogs(text: string): string { return text.split('\n').filter((line) => !/^(\d{4}-\d\d-\d\dT|[IWE]\d{4} )/.test(line)).join('\n') }

test('every command line gets the same answer', { skip }, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'k8ts-etcdutl-'))
  try {
    const db = join(folder, 'db')
    {
      await using original = await startOriginal([], join(folder, 'data'))
      for (let i = 0; i < 30; i++) assert.equal((await run(originalEtcdctl, ['--endpoints', original.url, 'put', `k${i % 4}`, `v${i}`])).code, 0)
      assert.equal((await run(originalEtcdctl, ['--endpoints', original.url, 'snapshot', 'save', db])).code, 0)
    }
    const data = join(folder, 'data')
    const cases: readonly (readonly string[])[] = [
      [], ['--help'], ['help'], ['help', 'snapshot'], ['snapshot'], ['snapshot', '--help'], ['snapshot', 'restore', '--help'], ['snapshot', 'status', '-h'], ['hashkv', '--help'], ['defrag', '--help'], ['migrate', '--help'],
      ['version'], ['version', 'x'], ['version', '--help'], ['nope'], ['--nope'], ['snapshot', 'status'], ['snapshot', 'status', join(folder, 'none')], ['snapshot', 'status', db, '-w', 'nope'], ['snapshot', 'status', db, '-w', 'protobuf'],
      ['hashkv'], ['hashkv', 'a', 'b'], ['hashkv', join(folder, 'none')], ['hashkv', db, '-w', 'protobuf'], ['defrag'], ['defrag', '--data-dir', join(folder, 'none')], ['migrate'], ['migrate', '--data-dir', data],
      ['migrate', '--data-dir', data, '--target-version', '3'], ['migrate', '--data-dir', data, '--target-version', '3.4'], ['migrate', '--data-dir', data, '--target-version', '3.7'], ['migrate', '--data-dir', join(folder, 'none'), '--target-version', '3.7'],
      ['snapshot', 'restore'], ['snapshot', 'restore', join(folder, 'none'), '--data-dir', join(folder, 'x')], ['snapshot', 'restore', db, '--name', 'x', '--data-dir', join(folder, 'x')], ['snapshot', 'restore', db, '--data-dir', data], ['snapshot', 'restore', db, '--mark-compacted'], ['snapshot', 'restore', db, '--bump-revision', '3'],
      ['snapshot', 'restore', join(data, 'member/snap/db'), '--data-dir', join(folder, 'x')], ['completion'], ['completion', 'nope'],
    ]
    for (const args of cases) {
      const answering = theirs(args)
      // Two that make the same folder go one after the other.
      if (args.includes(join(folder, 'x'))) {
        await answering
        rmSync(join(folder, 'x'), { recursive: true, force: true })
      }
      const [a, b] = await Promise.all([answering, ours(args)])
      assert.deepEqual({ code: b.code, out: b.out, err: withoutLogs(b.err) }, { code: a.code, out: a.out, err: withoutLogs(a.err) }, `etcdutl ${args.join(' ')}`)
      rmSync(join(folder, 'x'), { recursive: true, force: true })
    }
    for (const shell of ['bash', 'zsh', 'fish', 'powershell']) assert.match((await ours(['completion', shell])).out, /snapshot/)
    const completed = await run('bash', ['-c', 'eval "$(cat)"; COMP_WORDS=(etcdutl snapshot re); COMP_CWORD=2; _etcdutl; echo "${COMPREPLY[@]}"'], (await ours(['completion', 'bash'])).out)
    assert.equal(completed.out.trim(), 'restore')

    // Defragmented and migrated folders are the original's still.
    const before = JSON.parse((await ours(['hashkv', join(data, 'member/snap/db'), '-w', 'json'])).out) as { hash: number }
    cpSync(data, join(folder, 'copy'), { recursive: true })
    assert.equal((await ours(['defrag', '--data-dir', data])).code, 0)
    assert.equal((JSON.parse((await ours(['hashkv', join(data, 'member/snap/db'), '-w', 'json'])).out) as { hash: number }).hash, before.hash)
    for (const version of ['3.6', '3.5', '3.7']) {
      for (const [etcdutl, dataDir] of [[theirs, join(folder, 'copy')], [ours, data]] as const) assert.equal((await etcdutl(['migrate', '--data-dir', dataDir, '--target-version', version])).code, 0)
      const [a, b] = await Promise.all([join(folder, 'copy'), data].map(async (dataDir) => JSON.parse((await theirs(['snapshot', 'status', join(dataDir, 'member/snap/db'), '-w', 'json'])).out) as { version: string }))
      assert.equal(b?.version, a?.version)
      assert.equal(b?.version, version === '3.5' ? '' : `${version}.0`)
    }
    await using original = await startOriginal([], data)
    assert.equal((await run(originalEtcdctl, ['--endpoints', original.url, 'get', 'k3', '--print-value-only'])).out, 'v27\n')
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

interface Place { readonly name: string; readonly client: string; readonly peer: string }

/** Three members on the folders `<folder>/<name>`; resolves when each is healthy. */
async function startThree(commandOf: (place: Place) => readonly string[], folder: string, places: readonly Place[]): Promise<AsyncDisposable> {
  const children = places.map((place) => {
    const [program = '', ...args] = commandOf(place)
    return spawn(program, [...args, '--name', place.name, '--data-dir', join(folder, place.name), '--listen-client-urls', place.client, '--advertise-client-urls', place.client, '--listen-peer-urls', place.peer], { stdio: 'ignore' })
  })
  const ended = children.map((child) => new Promise<void>((done) => { child.once('exit', () => done()) }))
  const stop = async (): Promise<void> => {
    for (const child of children) child.kill('SIGTERM')
    await Promise.all(ended)
  }
  for (const { client } of places) {
    for (let i = 0; !(await fetch(`${client}/health`).catch(() => undefined))?.ok; i++) {
      if (i === 200) { await stop(); throw new Error(`${client} did not become healthy`) }
      await new Promise((done) => setTimeout(done, 100))
    }
  }
  return { [Symbol.asyncDispose]: stop }
}

test('a snapshot of ours becomes a cluster of three: of the original, of ours, and of both', { skip }, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'k8ts-etcdutl-'))
  try {
    const file = join(folder, 'saved.db')
    let served = 0
    {
      await using pair = await openPair()
      for (let i = 0; i < 60; i++) await same(pair, ['put', `k${i % 9}`, `v${i}`.repeat(1 + i * 5)])
      await same(pair, ['compaction', '30', '--physical'])
      served = (await hashKeyValues(pair.etcd.internals.member.machine.store, 0, () => Promise.resolve())).hash
      assert.equal((await run(originalEtcdctl, ['--endpoints', pair.ours, 'snapshot', 'save', file])).code, 0)
    }
    const original = [originalEtcd, '--log-level', 'error']
    const own = [...node, 'etcd']
    for (const [round, commandOf, restoreOf] of [
      ['original', () => original, () => ours], ['mixed', (place: Place) => (place.name === 'b' ? own : original), (place: Place) => (place.name === 'c' ? theirs : ours)], ['ours', () => own, () => ours],
    ] as const) {
      const places = await Promise.all(['a', 'b', 'c'].map(async (name): Promise<Place> => ({ name, client: `http://127.0.0.1:${await freePort()}`, peer: `http://127.0.0.1:${await freePort()}` })))
      const cluster = places.map(({ name, peer }) => `${name}=${peer}`).join(',')
      for (const place of places) {
        const restored = await restoreOf(place)(['snapshot', 'restore', file, '--name', place.name, '--initial-cluster', cluster, '--initial-advertise-peer-urls', place.peer, '--initial-cluster-token', round, '--data-dir', join(folder, round, place.name)])
        assert.equal(restored.code, 0, restored.err)
      }
      await using running = await startThree(commandOf, join(folder, round), places)
      void running
      const endpoints = places.map(({ client }) => client).join(',')
      const hashes = async (): Promise<readonly number[]> => (JSON.parse((await run(originalEtcdctl, ['--endpoints', endpoints, 'endpoint', 'hashkv', '-w', 'json'])).out) as { HashKV: { hash: number } }[]).map(({ HashKV }) => HashKV.hash)
      assert.deepEqual(await hashes(), [served, served, served], round)
      assert.equal((await run(originalEtcdctl, ['--endpoints', endpoints, 'put', 'after', round])).out, 'OK\n')
      for (const { client } of places) assert.equal((await run(originalEtcdctl, ['--endpoints', client, 'get', 'after', '--print-value-only'])).out, `${round}\n`)
      const [a, b, c] = await hashes()
      assert.ok(a === b && b === c && a !== served)
      assert.equal((await run(originalEtcdctl, ['--endpoints', endpoints, 'member', 'list'])).out.trim().split('\n').length, 3)
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})
