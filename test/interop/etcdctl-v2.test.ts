// The second API: etcdctl of etcd 3.4 and ours (`ETCDCTL_API=2`), on a server of 3.4 and on ours. The same script with each program on a server of its
// own, and every word compared; then both servers asked the same over HTTP.
import { after, describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { realClock } from '../../src/lib/async/real-clock.ts'
import { realRandom } from '../../src/lib/async/real-random.ts'
import { sleep } from '../../src/lib/base/clock.ts'
import { silentLogger } from '../../src/lib/component-base/log.ts'
import { openEtcd } from '../../src/control-plane/etcd/embedded.ts'
import { serveEtcd } from '../../src/control-plane/etcd/v3rpc/serve-etcd.ts'
import { oldEtcdctl, runOriginal, runOurs, type CtlOutcome, type CtlRun } from './etcdctl-runs.ts'
import { freePort } from './etcd-pair.ts'

const oldServer = '/usr/bin/etcd'
const missing = [oldServer, oldEtcdctl].filter((path) => !existsSync(path))
const skip = missing.length > 0 ? `no ${missing.join(', ')}: install etcd-server and etcd-client` : false
const folder = mkdtempSync(join(tmpdir(), 'etcdctl-v2-'))
const resources = new AsyncDisposableStack()
after(async () => { await resources.disposeAsync(); rmSync(folder, { recursive: true, force: true }) })

const never = new AbortController().signal

async function ourServer(): Promise<string> {
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const etcd = resources.use(await openEtcd({ disk: 'memory', clock: realClock, random: realRandom, logger: silentLogger, clientUrls: [url], bcryptCost: 4 }))
  resources.use(await serveEtcd(etcd, { clock: realClock, listen: [{ host: '127.0.0.1', port }], v2: true }))
  return url
}

async function theirServer(): Promise<string> {
  const [port, peerPort] = [await freePort(), await freePort()]
  const [url, peer] = [`http://127.0.0.1:${port}`, `http://127.0.0.1:${peerPort}`]
  const child = spawn(oldServer, ['--enable-v2', '--data-dir', join(folder, `data-${port}`), '--listen-client-urls', url, '--advertise-client-urls', url, '--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer, '--initial-cluster', `default=${peer}`], { stdio: 'ignore', env: {} })
  resources.defer(async () => { const ended = once(child, 'exit'); child.kill('SIGKILL'); await ended })
  for (let i = 0; i < 200; i++) {
    if (await fetch(`${url}/health`).then((answer) => answer.ok, () => false)) return url
    await sleep(realClock, 50, never)
  }
  throw new Error(`${oldServer} did not come up`)
}

type Step = string | readonly [line: string, more: Omit<CtlRun, 'args'>]

/** Words of a line; `_` for a space within one. */
function runOf(step: Step, url: string): CtlRun {
  const [line, more] = typeof step === 'string' ? [step, {}] : step
  const words = line.split(' ').filter((word) => word !== '').map((word) => word.replaceAll('_', ' '))
  // A second for an answer is what it takes by default: a machine that is busy needs longer, with either program.
  const endpoints = words[0]?.startsWith('--endpoints') || words[0] === 'bare' ? [] : ['--timeout', '20s', '--total-timeout', '60s', '--endpoints', url]
  return { ...more, args: [...endpoints, ...(words[0] === 'bare' ? words.slice(1) : words)], env: { ETCDCTL_API: '2', ...more.env } }
}

function comparable({ code, out, err }: CtlOutcome, url: string): CtlOutcome {
  const normal = (text: string): string => text.replaceAll(url, 'URL').replaceAll(new URL(url).host, 'HOST').replace(/\b[0-9a-f]{13,16}\b/g, 'ID').replace(/127\.0\.0\.1:\d+/g, 'HOST')
    // Indexes differ: the old server's own settings are entries of the same store.
    .replace(/("(?:created|modified)Index":|(?:Created|Modified|)-?Index: |\[)\d+(\])?/g, '$1N$2').replace(/"expiration":"[^"]*"/g, 'EXPIRATION').replace(/3\.(?:4|7)\.\d+/g, 'VERSION').replace(/\/\d{20}\b/g, '/IN-ORDER')
    .replace(/("ttl":|TTL: )[1-9]\d*/g, '$1TTL').replace(/stty: [^\n]*\n/g, '').replace(/(?<=assword: )\n/g, '').replace(/http:\/\/localhost:2380/g, 'http://HOST')
  return { code, out: normal(out), err: normal(err) }
}

async function compare(start: () => Promise<string>, steps: readonly Step[]): Promise<void> {
  const [theirs, ours] = await Promise.all([(run: CtlRun) => runOriginal(oldEtcdctl, run), runOurs].map(async (run) => {
    const url = await start()
    const outcomes: CtlOutcome[] = []
    for (const step of steps) outcomes.push(comparable(await run(runOf(step, url)), url))
    return outcomes
  }))
  const differences = steps.flatMap((step, i) => {
    try {
      assert.deepEqual(ours?.[i], theirs?.[i])
      return []
    } catch {
      return [`etcdctl ${String(typeof step === 'string' ? step : step[0])}\n--- original\n${JSON.stringify(theirs?.[i], undefined, 1)}\n--- ours\n${JSON.stringify(ours?.[i], undefined, 1)}`]
    }
  })
  assert.equal(differences.length, 0, differences.join('\n\n'))
}

const keys: readonly Step[] = [
  'set /a 1', 'set a 2', 'get /a', 'get a', 'get /none', '-o extended get /a', '-o json get /a', '-o extended set /a 3', '-o json set /a 4', ['set /in', { stdin: 'from stdin\n' }], 'get /in', 'mk /a 1', 'mk /b 1 --ttl 60', '-o extended get /b',
  'mkdir /d', 'mkdir /d', 'setdir /d', 'setdir /d2 --ttl 30', 'updatedir /d2', 'updatedir /d3', '-o json mkdir /d4', 'mk --in-order /d x', 'set /d/k v', 'set /d/e/f v', 'ls --sort', 'ls --sort /d', 'ls /a', 'ls -r -p --sort /', 'get /d', 'ls /none',
  'update /a 5', 'update /none 5', 'set /a 6 --swap-with-value 5', 'set /a 7 --swap-with-value 5', 'set /a 8 --swap-with-index 1', 'rmdir /d', 'rm /d', 'rm -r /d', 'rm /none', 'rm /a --with-value x', 'rm /a --with-value 6', 'set /a 1', 'rm /a', '-o json rm /b',
  'rmdir /d4', 'rm --dir /d2', 'set', 'get', 'rm', 'mkdir', 'exec-watch /a', 'get --quorum /in', 'frob', 'set -- /dash -x', 'get /dash', '-o xml get /dash', 'set --ttl x a b', 'set --ttl', '-o', '--timeout x ls', 'ls --frob', '--frob ls', 'get -q=maybe a',
  'set /w 1', ['watch /w --after-index 1', { endless: true }], ['watch -r / --after-index 1', { endless: true }], ['watch -f /w --after-index 1', { endless: true }], ['exec-watch /w --after-index 1 -- sh -c exit', { endless: true }],
]

const help: readonly Step[] = [
  'bare', 'bare --help', 'bare help', 'bare h', 'bare --version', 'bare -v', 'bare help nope', 'bare nope', 'member nope', 'help member', 'help user',
  ...['cluster-health', 'mk', 'mkdir', 'rm', 'rmdir', 'get', 'ls', 'set', 'setdir', 'update', 'updatedir', 'watch', 'exec-watch', 'member list', 'member add', 'user add', 'user grant', 'role grant', 'role revoke', 'auth enable', 'backup'].map((line) => `${line} --help`),
  'member', 'user', 'role', 'auth', 'member --help',
]

const administration: readonly Step[] = [
  'member list', 'member list x', 'member add', 'member remove', 'member remove default', 'member remove 123', 'member update', 'member update 123 http://1.2.3.4:5', 'cluster-health', 'cluster-health x', '--endpoints http://127.0.0.1:1 cluster-health',
  '--endpoints http://127.0.0.1:1 member list', '--endpoints http://127.0.0.1:1 get a', '--debug member list', '--debug set a 1', '--debug --no-sync ls',
  'user list', 'user list x', 'user add', 'user add joe:pw', 'user add joe:pw2', ['user add jim', { stdin: '' }], 'user get joe', 'user get none', 'user grant joe', 'user grant joe --roles r', 'user grant --roles r joe', 'user get joe', 'user revoke --roles zz joe',
  'role list', 'role list x', 'role add', 'role add r', 'role add r', 'role get r', 'role get none', 'role grant r', 'role grant r --path /a --read', 'role grant --path a --read r', 'role grant --path /a --read r', 'role grant --path /a --read --write r',
  'role grant --path /b/* --rw r', 'role grant --path /c --readwrite r', 'role grant --path /x --read none', 'role revoke --path /zz --read r', 'role revoke --path /a --read r', 'role get r', 'user get joe', 'role remove none', 'role remove root', 'role add root',
  'auth enable', 'auth enable x', 'user add root:r', 'auth enable', 'auth enable', 'user list', '--username root:r user list', '-u root:r auth enable', '-u root:bad get x', '-u nobody:x ls', 'set /free 1', 'get /free',
  '-u root:r role revoke --path /* --readwrite guest', 'get /free', 'set /free 2', 'ls', 'watch /free', '-u joe:pw2 set /b/x 1', '-u joe:pw2 get /b/x', '-u joe:pw2 ls /b', '-u joe:pw2 ls -r /b', '-u joe:pw2 ls -r /b/', '-u joe:pw2 set /c 1', '-u joe:pw2 get /a', '-u joe:pw2 rm /c',
  'member list', 'member remove 123', '-u joe:pw2 user list', ['get /b/x', { env: { ETCDCTL_USERNAME: 'joe:pw2' } }], '-u root:r user revoke --roles r joe', '-u joe:pw2 get /b/x', '-u root:r user remove root', '-u root:r auth disable', 'auth disable', 'user remove root', 'user remove none',
  'user remove joe', 'role remove r', 'role remove guest', 'get /free', ['get /free', { env: { ETCDCTL_ENDPOINT: 'http://127.0.0.1:1' } }],
]

describe('the same words from both', { concurrency: 3, skip }, () => {
  for (const [name, start] of [['our server', ourServer], ['the server of 3.4', theirServer]] as const) {
    test(`${name}: keys and directories`, () => compare(start, keys))
    test(`${name}: members, users, roles`, () => compare(start, administration))
  }
  test('help', () => compare(ourServer, help))
})

// ---- HTTP ----

const json = { 'content-type': 'application/json' }
const root = { authorization: `Basic ${Buffer.from('root:r').toString('base64')}` }

interface HttpStep { readonly method: string; readonly path: string; readonly body?: string; readonly headers?: { readonly [name: string]: string } }

const requests: readonly HttpStep[] = [
  { method: 'PUT', path: '/v2/keys/first', body: 'value=1' },
  ...['/v2/keys?sorted=true', '/v2/keys/', '/v2/keys/none', '/v2/keys/a?quorum=x', '/v2/keys?recursive=2', '/v2/keys/a?waitIndex=x&wait=true', '/v2/keys/a%20b', '/v2/', '/v2/none', '/v2/members', '/v2/members/', '/v2/members/leader', '/v2/members/none',
    '/v2/stats/leader', '/v2/stats/none', '/v2/auth/none', '/v2/auth/enable', '/v2/auth/users', '/v2/auth/users/', '/v2/auth/users/a/b', '/v2/auth/roles', '/v2/auth/roles/root', '/v2/auth/roles/none'].map((path) => ({ method: 'GET', path })),
  ...['/v2/keys/none', '/v2/members', '/v2/machines', '/v2/stats/self'].map((path) => ({ method: 'HEAD', path })), ...['/v2/keys/a', '/v2/members', '/v2/machines', '/v2/stats/store', '/v2/auth/users'].map((path) => ({ method: 'PATCH', path })),
  { method: 'PUT', path: '/v2/keys/a', body: 'value=1' }, { method: 'PUT', path: '/v2/keys/a?value=2' }, { method: 'PUT', path: '/v2/keys/a?value=3', body: 'value=4' }, { method: 'PUT', path: '/v2/keys/a', body: 'value=%zz' }, { method: 'PUT', path: '/v2/keys/a', body: 'value=5&prevValue=' },
  { method: 'PUT', path: '/v2/keys/a', body: 'value=5&prevValue=x' }, { method: 'PUT', path: '/v2/keys/a', body: 'value=5&prevIndex=99' }, { method: 'PUT', path: '/v2/keys/a', body: 'value=5&prevValue=x&prevIndex=99' }, { method: 'PUT', path: '/v2/keys/a', body: 'value=5&prevExist=maybe' },
  { method: 'PUT', path: '/v2/keys/a', body: 'value=5&noValueOnSuccess=true' }, { method: 'PUT', path: '/v2/keys/a', body: 'ttl=x' }, { method: 'PUT', path: '/v2/keys/a', body: 'ttl=5&refresh=true' }, { method: 'PUT', path: '/v2/keys/a', body: 'refresh=true' },
  { method: 'PUT', path: '/v2/keys/a', body: 'value=1&ttl=5&refresh=true' }, { method: 'PUT', path: '/v2/keys/none', body: 'ttl=5&refresh=true' }, { method: 'PUT', path: '/v2/keys/a/b', body: 'value=1' }, { method: 'PUT', path: '/v2/keys/', body: 'value=1' }, { method: 'PUT', path: '/v2/keys/', body: 'dir=true' },
  { method: 'PUT', path: '/v2/keys/d', body: 'dir=true' }, { method: 'PUT', path: '/v2/keys/d', body: 'value=1' }, { method: 'PUT', path: '/v2/keys/d', body: 'dir=true&prevExist=true&ttl=9' }, { method: 'POST', path: '/v2/keys/a', body: 'value=1' }, { method: 'POST', path: '/v2/keys/d?wait=true', body: 'value=1' },
  { method: 'PUT', path: '/v2/keys/_hidden', body: 'value=1' }, { method: 'GET', path: '/v2/keys/?sorted=true&recursive=true' }, { method: 'GET', path: '/v2/keys/_hidden' }, { method: 'DELETE', path: '/v2/keys/d' }, { method: 'DELETE', path: '/v2/keys/d?dir=true' }, { method: 'DELETE', path: '/v2/keys/' },
  { method: 'DELETE', path: '/v2/keys/a?prevIndex=1' }, { method: 'DELETE', path: '/v2/keys/a?prevValue=5' }, { method: 'DELETE', path: '/v2/keys/a?prevValue=4' }, { method: 'DELETE', path: '/v2/keys/d?recursive=true&prevValue=x' },
  ...['joe', 'root'].flatMap((user) => [{ method: 'PUT', path: `/v2/auth/users/${user}`, headers: json, body: JSON.stringify({ user, password: 'r' }) }, { method: 'PUT', path: `/v2/auth/users/${user}`, headers: json, body: JSON.stringify({ user }) }, { method: 'GET', path: `/v2/auth/users/${user}` }]),
  { method: 'PUT', path: '/v2/auth/users/x', body: '{' }, { method: 'PUT', path: '/v2/auth/users/x', body: '{"user":"y"}' }, { method: 'PUT', path: '/v2/auth/users/x', body: '{"user":"x"}' }, { method: 'PUT', path: '/v2/auth/roles/r', body: '{"role":"r","permissions":{"kv":{"read":["/s"],"write":[]}}}' },
  { method: 'PUT', path: '/v2/auth/roles/r', body: '{"role":"r","grant":{"kv":{"read":["/a/*"],"write":["/b"]}}}' }, { method: 'PUT', path: '/v2/auth/roles/r', body: '{"role":"r","grant":{"kv":{"read":["/a/*"],"write":null}}}' }, { method: 'GET', path: '/v2/auth/roles' },
  { method: 'PUT', path: '/v2/auth/users/joe', body: '{"user":"joe","grant":["r","none"]}' }, { method: 'GET', path: '/v2/auth/users' }, { method: 'GET', path: '/v2/auth/users/joe' }, { method: 'PUT', path: '/v2/auth/users/joe', body: '{"user":"joe","grant":["r"],"roles":["r"]}' },
  { method: 'PUT', path: '/v2/auth/enable' }, { method: 'GET', path: '/v2/auth/enable' }, { method: 'GET', path: '/v2/auth/users' }, { method: 'GET', path: '/v2/auth/roles/guest', headers: root }, { method: 'PUT', path: '/v2/auth/enable', headers: root }, { method: 'DELETE', path: '/v2/auth/users/root', headers: root },
  { method: 'POST', path: '/v2/members', headers: { ...root, ...json }, body: '{' }, { method: 'POST', path: '/v2/members', headers: { ...root, ...json }, body: '{"peerURLs":["x"]}' }, { method: 'POST', path: '/v2/members', headers: root, body: '{}' }, { method: 'POST', path: '/v2/members', body: '{}' },
  { method: 'DELETE', path: '/v2/members/zz', headers: root }, { method: 'DELETE', path: '/v2/members/77', headers: root }, { method: 'DELETE', path: '/v2/members', headers: root }, { method: 'DELETE', path: '/v2/auth/enable', headers: root }, { method: 'DELETE', path: '/v2/auth/enable', headers: root },
]

test('the same answers over HTTP', { skip }, async () => {
  const [theirs, ours] = [await theirServer(), await ourServer()]
  const differences: string[] = []
  for (const { method, path, body, headers = {} } of requests) {
    const [a, b] = await Promise.all([theirs, ours].map(async (url) => {
      const form = body !== undefined && !body.startsWith('{') ? { 'content-type': 'application/x-www-form-urlencoded' } : {}
      const answer = await fetch(`${url}${path}`, { method, headers: { ...form, ...headers }, redirect: 'manual', ...(body === undefined ? {} : { body }), signal: AbortSignal.timeout(10_000) })
      const text = (await answer.text()).replaceAll(url, 'URL').replace(/http:\/\/(?:127\.0\.0\.1|localhost):\d+/g, 'URL').replace(/"id":"[0-9a-f]+"/g, 'ID').replace(/"leader":"[0-9a-f]+"/g, 'LEADER').replace(/"((?:created|modified)Index|index)":[1-9]\d*/g, '"$1":N').replace(/\d+(?=\/1\])/g, 'N')
        .replace(/\d{20}/g, 'IN-ORDER').replace(/"expiration":"[^"]*"/g, 'EXPIRATION').replace(/(?<=!= )\d+\]/g, 'N]')
      const shown = (name: string): string | null => answer.headers.get(name)
      return { status: answer.status, text, type: shown('content-type'), allow: shown('allow'), cors: shown('access-control-allow-origin'), index: shown('x-etcd-index') === '0' ? '0' : shown('x-etcd-index') !== null, raft: shown('x-raft-term') !== null, cluster: shown('x-etcd-cluster-id') !== null }
    }))
    try {
      assert.deepEqual(b, a)
    } catch {
      differences.push(`${method} ${path} ${body ?? ''}\n--- original\n${JSON.stringify(a)}\n--- ours\n${JSON.stringify(b)}`)
    }
  }
  assert.equal(differences.length, 0, differences.join('\n\n'))
})
