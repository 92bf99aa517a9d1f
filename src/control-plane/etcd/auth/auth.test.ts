import { test } from 'node:test'
import assert from 'node:assert/strict'
import { seededRandom } from '../../../lib/base/random.ts'
import { encodeProto3 } from '../../../lib/base/protobuf/proto3.ts'
import { etcdTable } from '../../../lib/etcd-api/generated/table.ts'
import { silentLogger } from '../../../lib/component-base/log.ts'
import { SimulatedClock } from '../../../lib/testing/simulated-clock.ts'
import { SimulatedDisk } from '../../../lib/testing/simulated-disk.ts'
import { openEtcd, type EmbeddedEtcd } from '../embedded.ts'
import { authImplementation } from '../v3rpc/auth-service.ts'
import { callerOf } from '../v3rpc/access.ts'
import type { AuthChange, AuthImage } from './auth-store.ts'
import { hashPassword, verifyPassword } from './bcrypt.ts'

const b = (text: string): Uint8Array => Buffer.from(text)
const signal = new AbortController().signal
const pause = (): Promise<void> => Promise.resolve()

function open(disk: SimulatedDisk, clock: SimulatedClock, snapshotCount: number): Promise<EmbeddedEtcd> {
  return openEtcd({ disk: { dataDir: '/data', disk }, clock, random: seededRandom(1), logger: silentLogger, zeroedBytes: 65_536, snapshotCount, snapshotBytes: 1, bcryptCost: 4 })
}

test('bcrypt agrees with others\' hashes', async () => {
  assert.ok(await verifyPassword(b('U*U'), '$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW', pause))
  assert.ok(!(await verifyPassword(b('U*V'), '$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW', pause)))
  const hash = await hashPassword(b(''), b('0123456789abcdef'), 4, pause)
  assert.ok(await verifyPassword(b(''), hash, pause))
  assert.ok(!(await verifyPassword(b('x'), 'no hash', pause)))
})

function encoded({ enabled, revision, users, roles }: AuthImage): object {
  const hex = (type: string, value: object): string => Buffer.from(encodeProto3(etcdTable, type, value)).toString('hex')
  return { enabled, revision, users: users.map((user) => hex('StoredUser', user)), roles: roles.map((role) => hex('StoredRole', role)) }
}

for (const snapshotCount of [100_000, 3]) {
  test(`users, roles and the auth revision survive a restart, ${snapshotCount === 3 ? 'from a snapshot' : 'from the log'}; tokens expire`, async () => {
    const disk = new SimulatedDisk(seededRandom(2))
    const clock = new SimulatedClock()
    let image: unknown
    {
      await using etcd = await open(disk, clock, snapshotCount)
      const { member, client } = etcd.internals
      const service = authImplementation(etcd.internals) as { authenticate: (request: object, signal: AbortSignal) => Promise<{ token: string }>; userAdd: (request: object, signal: AbortSignal, peer: object) => Promise<object> }
      const change = (request: AuthChange): Promise<unknown> => client.propose({ type: 'auth', change: request }, signal)
      await service.userAdd({ name: 'root', password: 'pw' }, signal, { headers: {} })
      await change({ authUserGrantRole: { user: 'root', role: 'root' } })
      await service.userAdd({ name: 'alice', password: 'secret' }, signal, { headers: {} })
      await change({ authRoleAdd: { name: 'reader' } })
      await change({ authRoleGrantPermission: { name: 'reader', perm: { permType: 'READ', key: b('a'), rangeEnd: b('c') } } })
      await change({ authUserGrantRole: { user: 'alice', role: 'reader' } })
      await change({ authEnable: {} })
      const { token } = await service.authenticate({ name: 'alice', password: 'secret' }, signal)
      const peer = { headers: { token } }
      assert.equal(callerOf(etcd.internals, peer).username, 'alice')
      member.machine.auth.checkRange(callerOf(etcd.internals, peer), b('b'), undefined)
      assert.throws(() => member.machine.auth.checkPut(callerOf(etcd.internals, peer), b('b')), { reason: 'PermissionDenied' })
      await clock.advance(299_000)
      callerOf(etcd.internals, peer)
      await clock.advance(300_001)
      assert.throws(() => callerOf(etcd.internals, peer), { reason: 'Unauthenticated' })
      // The API server beside the store needs no token.
      await client.txn({ compare: [], success: [{ type: 'put', key: b('k'), value: b('v') }], failure: [] }, signal)
      await assert.rejects(client.txn({ compare: [], success: [{ type: 'put', key: b('k'), value: b('v') }], failure: [], caller: { username: 'alice', authRevision: member.machine.auth.revision } }, signal), { reason: 'PermissionDenied' })
      for (let i = 0; i < 100; i++) await new Promise((resolve) => { setImmediate(resolve) })
      image = encoded(member.machine.auth.image())
    }
    await using etcd = await open(disk, clock, snapshotCount)
    const { auth, store } = etcd.internals.member.machine
    assert.deepEqual(encoded(auth.image()), image)
    assert.ok(auth.enabled)
    assert.equal(store.revision, 2, 'what was refused then is refused again')
    assert.equal(disk.paths.some((path) => path.endsWith('.snap')), snapshotCount === 3)
  })
}
