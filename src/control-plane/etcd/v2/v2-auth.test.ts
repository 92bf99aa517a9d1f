// Users and roles of the second API: kept through the log and over restarts, out of reach of keys; who may do what.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { seededRandom } from '../../../lib/base/random.ts'
import { silentLogger } from '../../../lib/component-base/log.ts'
import { SimulatedClock } from '../../../lib/testing/simulated-clock.ts'
import { SimulatedDisk } from '../../../lib/testing/simulated-disk.ts'
import { openEtcd, type EmbeddedEtcd } from '../embedded.ts'
import { answerV2 } from './v2-http.ts'

const disk = new SimulatedDisk(seededRandom(1))
const open = (): Promise<EmbeddedEtcd> => openEtcd({ disk: { dataDir: '/data', disk }, clock: new SimulatedClock(), random: seededRandom(2), logger: silentLogger, zeroedBytes: 65_536, bcryptCost: 4, clientCertAuth: true })

interface Asked { readonly body?: string; readonly user?: string; readonly certificate?: string }

async function ask(etcd: EmbeddedEtcd, method: string, path: string, { body = '', user, certificate }: Asked = {}): Promise<string> {
  const answer = await answerV2(etcd.internals, {
    method, path, body: Buffer.from(body), signal: new AbortController().signal, clientCommonName: certificate,
    headers: { 'content-type': body.startsWith('{') ? 'application/json' : 'application/x-www-form-urlencoded', ...(user === undefined ? {} : { authorization: `Basic ${Buffer.from(user).toString('base64')}` }) },
  })
  return `${answer?.status} ${answer?.body.trim()}`
}

test('paths, guests, certificates, and a restart', async () => {
  {
    await using etcd = await open()
    for (const user of ['root', 'joe']) assert.match(await ask(etcd, 'PUT', `/v2/auth/users/${user}`, { body: JSON.stringify({ user, password: 'pw' }) }), /^201 /)
    assert.match(await ask(etcd, 'PUT', '/v2/auth/roles/r', { body: '{"role":"r","permissions":{"kv":{"read":["/a/*"],"write":["/a/b"]}}}' }), /^201 /)
    assert.match(await ask(etcd, 'PUT', '/v2/auth/users/joe', { body: '{"user":"joe","grant":["r"]}' }), /^200 /)
    await ask(etcd, 'PUT', '/v2/keys/a/b', { body: 'value=1' })
    assert.equal(await ask(etcd, 'PUT', '/v2/auth/enable'), '200 ')
    assert.match(await ask(etcd, 'GET', '/v2/keys/a/b'), /^200 /, 'a guest may, until the role says otherwise')
    assert.match(await ask(etcd, 'PUT', '/v2/auth/roles/guest', { user: 'root:pw', body: '{"role":"guest","revoke":{"kv":{"read":["/*"],"write":["/*"]}}}' }), /^200 /)
  }
  await using etcd = await open()
  const joe = { user: 'joe:pw' }
  assert.match(await ask(etcd, 'GET', '/v2/keys/a/b'), /^401 .*"errorCode":110/)
  assert.match(await ask(etcd, 'GET', '/v2/keys/a/b', joe), /^200 /)
  assert.match(await ask(etcd, 'GET', '/v2/keys/a/b', { user: 'joe:no' }), /^401 /)
  assert.match(await ask(etcd, 'PUT', '/v2/keys/a/b', { ...joe, body: 'value=2' }), /^200 /)
  assert.match(await ask(etcd, 'PUT', '/v2/keys/a/c', { ...joe, body: 'value=2' }), /^401 /)
  assert.match(await ask(etcd, 'GET', '/v2/keys/a?recursive=true', joe), /^401 /, 'the folder itself is not granted')
  assert.match(await ask(etcd, 'GET', '/v2/keys/a/?recursive=true', joe), /^200 /)
  assert.match(await ask(etcd, 'GET', '/v2/keys/a/../x', joe), /^401 /, 'dots don\'t lead out of what is granted')
  assert.match(await ask(etcd, 'GET', '/v2/keys/a/b', { certificate: 'joe' }), /^200 /)
  assert.match(await ask(etcd, 'GET', '/v2/keys/a/b', { certificate: 'stranger' }), /^401 /)
  assert.match(await ask(etcd, 'GET', '/v2/auth/users', joe), /^401 /)
  assert.match(await ask(etcd, 'GET', '/v2/auth/users', { certificate: 'root' }), /^200 .*"joe".*"root"/)
  assert.doesNotMatch(await ask(etcd, 'GET', '/v2/keys/?recursive=true', { user: 'root:pw' }), /auth|password/)
  assert.match(await ask(etcd, 'GET', '/v2/keys/_%02auth/users/root', { user: 'root:pw' }), /^404 /)
  assert.match(await ask(etcd, 'PUT', '/v2/keys/_%02auth/enabled', { user: 'root:pw', body: 'value=false' }), /^404 /)
  assert.equal(await ask(etcd, 'DELETE', '/v2/auth/enable', { user: 'root:pw' }), '200 ')
})
