// Authentication: the same etcdctl commands against the original and ours, with the same words and codes; and that users and roles survive restarts.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { hasOriginals, openPair, same, samePost } from './etcd-pair.ts'

const skip = hasOriginals ? false : 'the originals are not built: run test/interop/build-originals.sh'

test('users, roles and permissions as the original has them', { skip }, async () => {
  await using pair = await openPair(['--bcrypt-cost', '4'], { bcryptCost: 4 })
  const differences: string[] = []
  const ctl = (line: string, input?: string): Promise<unknown> => same(pair, line.split(' '), input).catch((error: unknown) => differences.push(String(error)))
  const root = '--user root:rootpw'
  await ctl('auth status')
  await ctl('auth enable')
  await ctl('user add root:rootpw')
  await ctl('auth enable') // etcdctl makes the root role when it is missing
  await ctl('user list')
  await ctl(`${root} user list`)
  await ctl(`${root} auth status`)
  await ctl(`${root} user add alice --new-user-password alicepw`)
  await ctl(`${root} user add alice:again`)
  await ctl(`${root} user add certified --no-password`)
  await ctl(`${root} role add reader`)
  await ctl(`${root} role add reader`)
  await ctl(`${root} role add writer`)
  await ctl(`${root} role grant-permission reader read /a/ --prefix=true`)
  await ctl(`${root} role grant-permission reader read b c`)
  await ctl(`${root} role grant-permission reader read c d`)
  await ctl(`${root} role grant-permission writer readwrite w`)
  await ctl(`${root} role grant-permission writer write x --from-key`)
  await ctl(`${root} role grant-permission missing read k`)
  await ctl(`${root} role grant-permission reader read z a`)
  await ctl(`${root} role get reader`)
  await ctl(`${root} role get writer`)
  await ctl(`${root} role get root`)
  await ctl(`${root} role get missing`)
  await ctl(`${root} role list`)
  await ctl(`${root} user grant-role alice reader`)
  await ctl(`${root} user grant-role alice reader`)
  await ctl(`${root} user grant-role alice missing`)
  await ctl(`${root} user grant-role missing reader`)
  await ctl(`${root} user get alice`)
  await ctl(`${root} user get alice --detail`)
  await ctl(`${root} user get missing`)
  const alice = '--user alice:alicepw'
  for (const line of [
    'get /a/x', 'get --prefix /a/', 'get b', 'get b d', 'get a d', 'get c', 'get d', 'get --from-key w', 'put w 1', 'put /a/x 1', 'del /a/x', 'get', 'user get alice', 'user get root', 'user list', 'role get reader', 'role get writer', 'role list',
    'member list', 'alarm list', 'alarm disarm', 'defrag', 'compaction 1', 'lease list', 'lease grant 60 -w json', 'watch --rev=1 zzz', 'auth disable', 'move-leader 1234', 'endpoint hashkv', 'snapshot save /dev/null',
  ]) {
    if (line.startsWith('lease grant')) continue // its lease has a random number
    await ctl(`${alice} ${line}`)
  }
  await ctl('--user alice:wrong get /a/x')
  await ctl('--user nobody:x get /a/x')
  await ctl('--user certified:x get /a/x')
  await ctl('get /a/x')
  await ctl('put w 1')
  await ctl('lease list')
  await ctl('member list')
  await ctl('compaction 1')
  await ctl(`${root} put /a/x 1`)
  await ctl(`${root} put w 1`)
  await ctl(`${alice} get --prefix /a/`)
  await ctl(`${alice} txn`, 'value("/a/x") = "1"\n\nget /a/x\n\n\n')
  await ctl(`${alice} txn`, 'value("w") = "1"\n\nget /a/x\n\n\n')
  await ctl(`${alice} txn`, '\nput w 2\n\n\n')
  await ctl(`${root} user grant-role alice writer`)
  await ctl(`${alice} txn`, '\nput w 2\n\n\n')
  await ctl(`${alice} put zz 1`)
  await ctl(`${alice} get zz`)
  await ctl(`${alice} put --prev-kv zz 1`)
  await ctl(`${alice} del --prev-kv zz`)
  await ctl(`${alice} del zz`)
  await ctl(`${root} role revoke-permission reader b c`)
  await ctl(`${root} role revoke-permission reader b c`)
  await ctl(`${root} role get reader`)
  await ctl(`${root} user passwd alice --interactive=false`, 'newpw\n')
  await ctl(`${alice} get c`)
  await ctl('--user alice:newpw get c')
  await ctl(`${root} user revoke-role alice writer`)
  await ctl(`${root} user revoke-role alice writer`)
  await ctl(`${root} user revoke-role root root`)
  await ctl(`${root} user delete root`)
  await ctl(`${root} role delete root`)
  await ctl(`${root} role delete reader`)
  await ctl(`${root} role delete reader`)
  await ctl(`${root} user get alice`)
  await ctl(`${root} user delete alice`)
  await ctl(`${root} user delete alice`)
  await ctl(`${root} auth status`)
  await ctl(`${root} endpoint health`)
  await ctl(`${root} auth disable`)
  await ctl('get w')
  await ctl(`${root} get w`)
  await ctl('auth status')
  assert.equal(differences.join('\n'), '')
})

test('tokens over the gateway, and JWT', { skip }, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'k8ts-jwt-'))
  try {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    writeFileSync(join(folder, 'key.pem'), privateKey.export({ type: 'pkcs8', format: 'pem' }))
    const authToken = `jwt,sign-method=RS256,priv-key=${join(folder, 'key.pem')},ttl=10m`
    await using pair = await openPair(['--bcrypt-cost', '4', '--auth-token', authToken], { bcryptCost: 4, authToken })
    await samePost(pair, '/v3/auth/user/add', '{"name":"root","password":"pw"}')
    await samePost(pair, '/v3/auth/user/grant', '{"user":"root","role":"root"}')
    await samePost(pair, '/v3/auth/enable', '{}')
    await samePost(pair, '/v3/auth/authenticate', '{"name":"root","password":"no"}')
    const tokens = await Promise.all([pair.original, pair.ours].map(async (url) => {
      const answer = await fetch(`${url}/v3/auth/authenticate`, { method: 'POST', body: '{"name":"root","password":"pw"}' })
      return (await answer.json() as { token: string }).token // cast: the answer's form
    }))
    assert.ok(tokens[0] && tokens[1])
    // Signed with the same key, so each server takes the other's token.
    for (const token of tokens) assert.equal((await samePost(pair, '/v3/kv/range', '{"key":"YQ=="}', { authorization: token })).status, 200)
    assert.equal((await samePost(pair, '/v3/kv/range', '{"key":"YQ=="}', { authorization: `${tokens[0]}x` })).status, 401)
    assert.equal((await samePost(pair, '/v3/kv/range', '{"key":"YQ=="}')).status, 400)
    await same(pair, ['--user', 'root:pw', 'put', 'a', '1'])
    await same(pair, ['--user', 'root:pw', 'user', 'add', 'bob:x'])
    // The rules have changed since the tokens were signed.
    for (const token of tokens) await samePost(pair, '/v3/kv/range', '{"key":"YQ=="}', { authorization: token })
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})
