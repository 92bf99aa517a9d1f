// Snapshots saved from ours and from the original: both etcdutl say the same of them, and each restores the other's with the same hash.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { copyFileSync, existsSync, mkdtempSync, rmSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { realClock } from '../../src/lib/async/real-clock.ts'
import { realRandom } from '../../src/lib/async/real-random.ts'
import { silentLogger } from '../../src/lib/component-base/log.ts'
import { openEtcd } from '../../src/control-plane/etcd/embedded.ts'
import { hashKeyValues } from '../../src/control-plane/etcd/mvcc/hash-kv.ts'
import { hasOriginals, openPair, originalEtcdctl, originalEtcdutl, run, same, startOriginal, type Run } from './etcd-pair.ts'

const skip = hasOriginals && existsSync(originalEtcdutl) ? false : 'the originals are not built: run test/interop/build-originals.sh'
const main = join(import.meta.dirname, '../../src/cmd/main.ts')
const ours = (args: readonly string[]): Promise<Run> => run(process.execPath, ['--disable-proto=delete', '--disable-warning=ExperimentalWarning', main, 'etcdutl', ...args])
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
