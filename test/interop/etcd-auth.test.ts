// Authentication: the same etcdctl commands against the original and ours, with the same words and codes; and that users and roles survive restarts.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Agent, request as httpsRequest } from 'node:https'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { realClock } from '../../src/lib/async/real-clock.ts'
import { realRandom } from '../../src/lib/async/real-random.ts'
import { sleep } from '../../src/lib/base/clock.ts'
import { silentLogger } from '../../src/lib/component-base/log.ts'
import { createAuthority, issueCertificate } from '../../src/lib/net/pki/certificates.ts'
import { openEtcd } from '../../src/control-plane/etcd/embedded.ts'
import { serveEtcd } from '../../src/control-plane/etcd/v3rpc/serve-etcd.ts'
import { runOriginal, runOurs, type CtlOutcome } from './etcdctl-runs.ts'
import { freePort, hasOriginals, openPair, originalEtcd, originalEtcdctl, same, samePost } from './etcd-pair.ts'

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
    'member list', 'alarm list', 'alarm disarm', 'defrag', 'compaction 1', 'lease list', 'lease grant 60 -w json', 'watch --rev=1 zzz', 'auth disable', 'move-leader 1234', 'endpoint hashkv', 'snapshot save /tmp/k8ts-etcd-auth.snapshot',
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

interface Certificates { readonly ca: string; readonly server: readonly [cert: string, key: string]; readonly clients: { readonly [name: string]: readonly [cert: string, key: string] } }

function makeCertificates(folder: string, names: readonly string[]): Certificates {
  const now = Date.now()
  const validity = { notBeforeMs: now - 60_000, notAfterMs: now + 3_600_000 }
  const authority = createAuthority('etcd-ca', validity, realRandom)
  const file = (name: string, text: string): string => { const path = join(folder, name); writeFileSync(path, text, { mode: 0o600 }); return path }
  const issue = (name: string, usages: readonly ('server' | 'client')[], hosts: readonly string[] = []): readonly [string, string] => {
    const { certificatePem, keyPem } = issueCertificate(authority, 'etcd-ca', { subject: { commonName: name }, names: [...hosts], usages: [...usages], random: realRandom, ...validity })
    return [file(`${name}.crt`, certificatePem), file(`${name}.key`, keyPem)]
  }
  return { ca: file('ca.crt', authority.certificatePem), server: issue('etcd', ['server', 'client'], ['127.0.0.1', 'localhost']), clients: Object.fromEntries(names.map((name) => [name, issue(name, ['client'])])) }
}

test("the name in a client's certificate is the user: both clients, both servers", { skip }, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'k8ts-cn-'))
  await using stack = new AsyncDisposableStack()
  stack.defer(() => rmSync(folder, { recursive: true, force: true }))
  const { ca, server: [cert, key], clients } = makeCertificates(folder, ['root', 'alice', 'stranger'])
  const [theirPort, peerPort, ourPort] = [await freePort(), await freePort(), await freePort()]
  const theirs = `https://127.0.0.1:${theirPort}`
  const peer = `http://127.0.0.1:${peerPort}`
  const child = spawn(originalEtcd, ['--data-dir', join(folder, 'data'), '--listen-client-urls', theirs, '--advertise-client-urls', theirs, '--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer, '--initial-cluster', `default=${peer}`,
    '--cert-file', cert, '--key-file', key, '--trusted-ca-file', ca, '--client-cert-auth', '--bcrypt-cost', '4', '--unsafe-no-fsync', '--log-level', 'error'], { stdio: 'ignore' })
  stack.defer(async () => { const ended = once(child, 'exit'); child.kill('SIGKILL'); await ended })
  const etcd = stack.use(await openEtcd({ disk: 'memory', clock: realClock, random: realRandom, logger: silentLogger, bcryptCost: 4, clientCertAuth: true }))
  stack.use(await serveEtcd(etcd, { clock: realClock, listen: [{ host: '127.0.0.1', port: ourPort }], tls: { cert: readFileSync(cert), key: readFileSync(key), ca: readFileSync(ca), requireClientCertificate: true } }))
  const servers = [theirs, `https://127.0.0.1:${ourPort}`]
  const as = (name: string, url: string): string[] => ['--endpoints', url, '--cacert', ca, '--cert', clients[name]?.[0] ?? '', '--key', clients[name]?.[1] ?? '', '--command-timeout', '10s']
  for (let i = 0; i < 100; i++) {
    if ((await runOriginal(originalEtcdctl, { args: [...as('root', theirs), 'endpoint', 'health'] })).code === 0) break
    await sleep(realClock, 100, new AbortController().signal)
  }
  const steps: readonly (readonly [user: string, line: string])[] = [
    ['root', 'user add root:pw'], ['root', 'user add alice --no-password'], ['root', 'role add r'], ['root', 'role grant-permission r readwrite a'], ['root', 'user grant-role alice r'], ['root', 'user grant-role root root'], ['root', 'auth enable'],
    ['root', 'put b 1'], ['alice', 'put a 1'], ['alice', 'get a'], ['alice', 'get b'], ['alice', 'put b 2'], ['alice', 'user list'], ['alice', 'user get alice'], ['alice', 'member list'], ['stranger', 'get a'], ['stranger', 'put a 2'], ['alice', '--user root:pw get b'],
    ['alice', '--user alice:pw get a'], ['root', '--user root:bad get b'], ['alice', 'lease list'], ['alice', 'auth disable'], ['alice', 'watch b'], ['root', 'auth status'],
  ]
  const comparable = ({ code, out, err }: CtlOutcome): CtlOutcome => ({ code, out: out.replace(/[0-9a-f]{14,16}.*/g, 'MEMBER'), err: err.replace(/^\{"level".*\n/gm, '') })
  const run = (program: 'original' | 'ours', user: string, line: string, url: string): Promise<CtlOutcome> => {
    const asked = { args: [...as(user, url), ...line.split(' ')] }
    return program === 'ours' ? runOurs(asked) : runOriginal(originalEtcdctl, asked)
  }
  for (const [user, line] of steps) {
    const [a, b] = await Promise.all(servers.map((url) => run('original', user, line, url)))
    assert.ok(a && b)
    assert.deepEqual(comparable(b), comparable(a), `${user}: etcdctl ${line}`)
    // What changes nothing is asked with our client too.
    if (/ (?:add|grant|enable|put)|^put/.test(line)) continue
    for (const url of servers) assert.deepEqual(comparable(await run('ours', user, line, url)), comparable(a), `${user}: our etcdctl ${line} at ${url}`)
  }
  // The gateway would pass over the name, so it refuses.
  const [theirAnswer, ourAnswer] = await Promise.all(servers.map((url) => new Promise<string>((done, failed) => {
    const [clientCert, clientKey] = clients['alice'] ?? ['', '']
    const agent = new Agent({ ca: readFileSync(ca), cert: readFileSync(clientCert), key: readFileSync(clientKey) })
    const asking = httpsRequest(`${url}/v3/kv/range`, { method: 'POST', agent }, (response) => {
      let text = ''
      response.on('data', (chunk: Buffer) => { text += chunk.toString() })
      response.on('end', () => { agent.destroy(); done(`${response.statusCode} ${text}`) })
    })
    asking.on('error', failed)
    asking.end('{"key":"YQ=="}')
  })))
  assert.equal(ourAnswer, theirAnswer)
  assert.match(ourAnswer ?? '', /^400 CommonName/)
})
