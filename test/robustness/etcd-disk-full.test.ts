// A real full disk: a small ext4 on a loop device fills up; the alarm is raised and durable, reads and deletions go on, and writes come back
// after room was made and the alarm disarmed. Needs root and loop devices.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { realClock } from '../../src/lib/async/real-clock.ts'
import { realRandom } from '../../src/lib/async/real-random.ts'
import { silentLogger } from '../../src/lib/component-base/log.ts'
import { EtcdError } from '../../src/lib/etcd-api/etcd-error.ts'
import { openEtcd, type EmbeddedEtcd } from '../../src/control-plane/etcd/embedded.ts'

const signal = new AbortController().signal

/** A mounted ext4 of some megabytes; undefined when this machine can't. */
function mountSmallDisk(): { readonly path: string; readonly [Symbol.dispose]: () => void } | undefined {
  if (process.getuid?.() !== 0) return undefined
  const folder = mkdtempSync(join(tmpdir(), 'k8ts-full-'))
  const image = join(folder, 'image')
  const path = join(folder, 'mnt')
  const remove = (): void => rmSync(folder, { recursive: true, force: true })
  try {
    writeFileSync(image, '')
    truncateSync(image, 24 * 1024 * 1024)
    execFileSync('mkfs.ext4', ['-q', '-F', '-m', '0', image], { stdio: 'ignore' })
    execFileSync('mkdir', [path])
    execFileSync('mount', ['-o', 'loop', image, path], { stdio: 'ignore' })
  } catch {
    remove()
    return undefined
  }
  return { path, [Symbol.dispose]: () => { execFileSync('umount', [path]); remove() } }
}

function put(etcd: EmbeddedEtcd, key: string): Promise<unknown> {
  return etcd.client.txn({ compare: [], success: [{ type: 'put', key: Buffer.from(key), value: Buffer.alloc(100_000, key) }], failure: [] }, signal)
}

test('a full ext4', async (t) => {
  using disk = mountSmallDisk()
  if (!disk) { t.skip('no root, no mkfs.ext4 or no loop device'); return }
  const ballast = join(disk.path, 'ballast')
  writeFileSync(ballast, Buffer.alloc(6 * 1024 * 1024))
  const open = (): Promise<EmbeddedEtcd> => openEtcd({ disk: { dataDir: join(disk.path, 'data') }, clock: realClock, random: realRandom, logger: silentLogger })
  let acknowledged = 0
  {
    await using etcd = await open()
    for (;; acknowledged++) {
      assert.ok(acknowledged < 1000, 'it never fills')
      try {
        await put(etcd, `key${acknowledged}`)
      } catch (error) {
        assert.ok(error instanceof EtcdError && error.message === 'etcdserver: mvcc: database space exceeded', String(error))
        break
      }
    }
    for (let i = 0; i < 1000 && !etcd.internals.member.machine.hasAlarm('NOSPACE'); i++) await new Promise((resolve) => { setImmediate(resolve) })
    assert.ok(etcd.internals.member.machine.hasAlarm('NOSPACE'))
    assert.equal(etcd.broken.aborted, false)
    assert.equal((await etcd.client.range({ key: Buffer.from('key0') }, signal)).count, 1)
    await etcd.client.txn({ compare: [], success: [{ type: 'deleteRange', key: Buffer.from('key0') }], failure: [] }, signal)
  }
  await using etcd = await open()
  assert.ok(etcd.internals.member.machine.hasAlarm('NOSPACE'), 'the alarm survives')
  assert.equal((await etcd.client.range({ key: Buffer.from('key'), rangeEnd: Buffer.from('kez'), countOnly: true }, signal)).count, acknowledged - 1)
  await assert.rejects(put(etcd, 'more'), { reason: 'ResourceExhausted' })
  rmSync(ballast)
  await etcd.internals.client.propose({ type: 'alarm', action: 'DEACTIVATE', memberId: etcd.internals.identity.memberId, alarm: 'NOSPACE' }, signal)
  for (let i = 0; i < 20; i++) await put(etcd, `again${i}`)
  assert.equal(etcd.internals.member.machine.hasAlarm('NOSPACE'), false)
})
