// Data folders that earlier versions left: every later version opens them, goes on with them, and keeps them in its own form (promise D10).
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { cpSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { realClock } from '../../src/lib/async/real-clock.ts'
import { realRandom } from '../../src/lib/async/real-random.ts'
import { silentLogger } from '../../src/lib/component-base/log.ts'
import { openEtcd } from '../../src/control-plane/etcd/embedded.ts'
import { hashKeyValues } from '../../src/control-plane/etcd/mvcc/hash-kv.ts'

const signal = new AbortController().signal

test('a folder with a .k8tsnap file (before November 2026)', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'k8ts-kept-'))
  try {
    cpSync(join(import.meta.dirname, 'kept-data-folders/k8tsnap'), dataDir, { recursive: true })
    // As it was told when the folder was made.
    const expected = { hash: 3064985685, revision: 93, compactRevision: 20 }
    const lease = 7071967813723494764n
    for (let round = 0; round < 3; round++) {
      await using etcd = await openEtcd({ disk: { dataDir }, clock: realClock, random: realRandom, logger: silentLogger, name: 'kept', snapshotCount: 5, snapshotBytes: 1 })
      const { machine } = etcd.internals.member
      assert.deepEqual(await hashKeyValues(machine.store, expected.revision, () => Promise.resolve()), expected)
      assert.equal(machine.store.revision, expected.revision + round * 60)
      assert.deepEqual([...machine.leases.keysOf(lease)], ['leased'])
      assert.deepEqual(machine.auth.user('u')?.roles, ['r'])
      assert.deepEqual(machine.v2.image().map(({ path, value }) => [path, value]), [['/1', undefined], ['/1/a', undefined], ['/1/a/b', 'v2']])
      for (let i = 0; i < 60; i++) await etcd.client.txn({ compare: [], success: [{ type: 'put', key: Buffer.from('more'), value: Buffer.from(String(i)) }], failure: [] }, signal)
    }
    const names = readdirSync(join(dataDir, 'member/snap'))
    assert.ok(names.includes('db') && !names.some((name) => name.endsWith('.k8tsnap')), names.join(' '))
  } finally {
    rmSync(dataDir, { recursive: true, force: true })
  }
})
