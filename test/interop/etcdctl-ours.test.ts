// Our etcdctl beside the original: the same script against two fresh servers of the same kind, and every word, line and exit code compared.
//
// Both servers of a pair have the same ids (those come from the peer URL), so only lease ids, times, ports and the lines of the log are made equal.
// The original's log lines hold addresses in its memory; ours say less.
import { after, describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { realClock } from '../../src/lib/async/real-clock.ts'
import { realRandom } from '../../src/lib/async/real-random.ts'
import { sleep } from '../../src/lib/base/clock.ts'
import { silentLogger } from '../../src/lib/component-base/log.ts'
import { openEtcd } from '../../src/control-plane/etcd/embedded.ts'
import { serveEtcd } from '../../src/control-plane/etcd/v3rpc/serve-etcd.ts'
import { originalEtcdctl, runOriginal, runOurs, type CtlOutcome, type CtlRun } from './etcdctl-runs.ts'
import { freePort } from './etcd-pair.ts'

const originalServer = resolve(import.meta.dirname, '.bin/etcd')
const missing = [originalServer, originalEtcdctl].filter((path) => !existsSync(path))
const skip = missing.length > 0 ? `no ${missing.join(', ')}: run test/interop/build-originals.sh` : false
const folder = mkdtempSync(join(tmpdir(), 'etcdctl-ours-'))
const resources = new AsyncDisposableStack()
after(async () => { await resources.disposeAsync(); rmSync(folder, { recursive: true, force: true }) })

type ProgramName = 'original' | 'ours'
type Step = CtlRun & { readonly withoutEndpoints?: boolean }
interface Server { readonly port: number }

/** A step: words of a line, `_` for a space within one, `''` for the empty word. */
function step(line: string, more: Omit<Step, 'args'> = {}): Step {
  return { args: line.split(' ').filter((word) => word !== '').map((word) => (word === "''" ? '' : word.replaceAll('_', ' '))), ...more }
}

async function run(program: ProgramName, server: Server, asked: Step, lease: string): Promise<CtlOutcome> {
  const { args, env = {} } = asked
  const words = args.map((arg) => arg.replaceAll('$LEASE', lease).replaceAll('$FILE', join(folder, `${server.port}`)).replaceAll('$PORT', String(server.port)))
  const endpoints = asked.withoutEndpoints || args[0]?.startsWith('--endpoints') || env['ETCDCTL_ENDPOINTS'] !== undefined ? [] : ['--endpoints', `127.0.0.1:${server.port}`]
  const whole = { ...asked, args: [...endpoints, ...words] }
  return program === 'ours' ? await runOurs(whole) : await runOriginal(originalEtcdctl, whole)
}

function comparable({ code, out, err }: CtlOutcome, server: Server): CtlOutcome {
  const normal = (text: string): string => text
    .replaceAll(`:${server.port}`, ':PORT').replaceAll(join(folder, `${server.port}`), 'FILE')
    .replace(/^\{"level":.*\n/gm, '')
    // The original says its storage's version some seconds after its start.
    .replace(/(3\.7\.3\W+|storageVersion\W+)3\.5\.0/gi, '$13.7.0').replace(/^stty: .*\n/gm, '')
    .replace(/(took = |took |"took":"|"Took" : )[\d.hmµns]+/g, '$1TIME').replace(/ +(?=[\d.]+(?:µs|ms) │)/g, ' ').replace(/[\d.]+(?:µs|ms)(?= │)/g, 'TIME').replace(/─+|(?<=TOOK) +|(?<=│) +(?=TOOK)/g, '─')
    .replace(/[\d.]+ kB, [\d.]+ kB, \d+%/g, 'SIZES').replace(/[\d.]+ kB │ +[\d.]+ kB │ +\d+%/g, 'SIZES').replace(/("dbSize(?:InUse)?":|"DBSize(?:InUse)?" : )\d+/g, '$1SIZE')
    .replace(/0[\x80-\xff]{8}[\x01-\x7f]/g, '0LEASE')
    .replace(/\b(lease |^)?[0-9a-f]{16}( granted| revoked| keepalived| already| expired|$)/gm, '$1LEASE$2').replace(/("lease":|"ID":|"id":|Lease" : |"ID" : )(\d{17,}|[0-9a-f]{16})/g, '$1LEASE')
    .replace(/^(l|e)\/[0-9a-f]{14,16}$/gm, '$1/LEASE').replace(/remaining\(\d+s\)/g, 'remaining').replace(/("ttl":|"TTL" : )\d+/g, '$1TTL')
  return { code, out: normal(out), err: normal(err) }
}

// ---- servers ----

async function ourServer(): Promise<Server> {
  const etcd = resources.use(await openEtcd({ disk: 'memory', clock: realClock, random: realRandom, logger: silentLogger, bcryptCost: 4, peerUrls: ['http://localhost:2380'], clientUrls: ['http://localhost:2379'] }))
  const listener = resources.use(await serveEtcd(etcd, { clock: realClock, listen: [{ host: '127.0.0.1', port: 0 }] }))
  const address = listener.addresses[0]
  assert.ok(address && 'port' in address)
  return { port: address.port }
}

async function theirServer(): Promise<Server> {
  const [port, peerPort] = [await freePort(), await freePort()]
  const peer = `http://127.0.0.1:${peerPort}`
  const child = spawn(originalServer, ['--data-dir', join(folder, `data-${port}`), '--listen-client-urls', `http://127.0.0.1:${port}`, '--advertise-client-urls', 'http://localhost:2379', '--listen-peer-urls', peer, '--unsafe-no-fsync', '--bcrypt-cost', '4'], { stdio: 'ignore' })
  resources.defer(async () => { const ended = once(child, 'exit'); child.kill('SIGKILL'); await ended })
  for (let i = 0; i < 200; i++) {
    if (await fetch(`http://127.0.0.1:${port}/health`).then((answer) => answer.ok, () => false)) return { port }
    await sleep(realClock, 50, new AbortController().signal)
  }
  throw new Error(`${originalServer} did not come up`)
}

/** Plays a script with one program, on a server of its own. */
async function play(program: ProgramName, server: Server, steps: readonly Step[]): Promise<CtlOutcome[]> {
  const out: CtlOutcome[] = []
  let lease = ''
  for (const one of steps) {
    const outcome = await run(program, server, one, lease)
    lease = /lease ([0-9a-f]{16}) granted/.exec(outcome.out)?.[1] ?? lease
    out.push(comparable(outcome, server))
  }
  return out
}

async function compare(start: () => Promise<Server>, steps: readonly Step[]): Promise<void> {
  const [original, ours] = await Promise.all((['original', 'ours'] as const).map(async (program) => play(program, await start(), steps)))
  const differences = steps.flatMap((one, i) => {
    try {
      assert.deepEqual(ours?.[i], original?.[i])
      return []
    } catch {
      return [`etcdctl ${one.args.join(' ')}${one.stdin === undefined ? '' : ` <<< ${JSON.stringify(one.stdin)}`}\n--- original\n${JSON.stringify(original?.[i], undefined, 1)}\n--- ours\n${JSON.stringify(ours?.[i], undefined, 1)}`]
    }
  })
  assert.equal(differences.length, 0, differences.join('\n\n'))
}

// ---- scripts ----

const formats = ['simple', 'json', 'fields', 'table', 'protobuf'] as const

function inFormat(format: (typeof formats)[number]): Step[] {
  const w = `-w ${format}`
  return [
    step(`put a 1 ${w}`), step(`put a 2 --prev-kv ${w}`), step(`put a 3 --prev-kv --hex ${w}`), step(`put b <x>&\u{e9} ${w}`), step('put c 3'), step(`get a ${w}`), step(`get a ${w} --hex`), step(`get --prefix '' ${w}`), step(`get none ${w}`),
    step(`get a --rev 2 ${w}`), step(`get --prefix '' --limit 1 ${w}`), step(`get --prefix '' --count-only ${w}`), step(`get --prefix '' --keys-only ${w}`), step(`get b --from-key --order DESCEND ${w}`),
    step(`get a z --sort-by MODIFY --order DESCEND ${w}`), step(`get a --print-value-only ${w}`), step(`get --prefix '' --min-mod-rev 4 ${w}`), step(`get a --stream ${w}`), step(`get a --rev 100 ${w}`),
    step(`endpoint status ${w}`), step(`endpoint hashkv ${w}`), step(`endpoint hashkv --rev 3 ${w}`), step(`endpoint hashkv --rev 99 ${w}`), step(`del c --prev-kv ${w}`), step(`del none ${w}`), step('put bin', { stdin: '\u0000\u0001\u00ff"\\\n' }), step(`get bin ${w}`),
    step(`txn ${w}`, { stdin: 'ver("a") > "0"\nvalue("a") != "x"\n\nput t "a b"\nget a --prefix\ndel t2 --prev-kv\n\nget b\n\n' }),
    step(`txn ${w}`, { stdin: 'mod("none") > "0"\n\nput t 1\n\nget b\nput t2 2 --prev-kv\n\n' }),
    step('lease grant 300'), step(`lease grant 100 ${w}`), step('put lk v --lease $LEASE'), step(`get lk ${w}`), step(`get lk ${w} --hex`), step(`lease timetolive $LEASE --keys ${w}`), step(`lease timetolive $LEASE ${w}`),
    step(`lease keep-alive --once $LEASE ${w}`), ...(format === 'protobuf' ? [] : [step(`lease revoke $LEASE ${w}`)]), step('lease timetolive 123'), step(`lease keep-alive --once 123 ${w}`), step(`lease keep-alive 123 ${w}`), step('lease revoke 123'),
    step(`member list ${w}`), step(`member list ${w} --hex`), step(`endpoint health ${w}`), step(`alarm list ${w}`), step(`alarm disarm ${w}`), step(`auth status ${w}`), step(`move-leader 1 ${w}`),
    step(`compaction 3 ${w}`), step(`get a --rev 2 ${w}`), step(`compaction 3 ${w}`), step(`defrag ${w}`),
    step(`watch a --rev 3 --prev-kv ${w}`, { endless: true }), step(`watch a --rev 2 ${w}`), step(`watch --prefix '' --rev 6 ${w} -- true`, { endless: true }),
  ]
}

const authentication: readonly Step[] = formats.flatMap((format) => {
  const w = `-w ${format}`
  const [u, r] = [`u${format}`, `r${format}`]
  return [
    step(`role add ${r} ${w}`), step(`role add ${r} ${w}`), step(`role grant-permission ${r} readwrite k --prefix ${w}`), step(`role grant-permission ${r} read a ${w}`), step(`role grant-permission ${r} WRITE a c ${w}`),
    step(`role grant-permission ${r} read x --from-key ${w}`), step(`role get ${r} ${w}`), step(`role list ${w}`), step(`role revoke-permission ${r} a ${w}`), step(`role revoke-permission ${r} x --from-key ${w}`), step(`role revoke-permission ${r} zz ${w}`),
    step(`user add ${u}:pw ${w}`), step(`user add ${u}2 --new-user-password pw ${w}`), step(`user add ${u}3 --no-password ${w}`), step(`user add ${u}4 --interactive=false ${w}`, { stdin: 'pw\n' }), step(`user add ${u}5 ${w}`),
    step(`user grant-role ${u} ${r} ${w}`), step(`user get ${u} ${w}`), step(`user get ${u} --detail ${w}`), step(`user list ${w}`), step(`user passwd ${u} --interactive=false ${w}`, { stdin: 'new\n' }),
    step(`user revoke-role ${u} ${r} ${w}`), step(`user get ${u} ${w}`), step(`user delete ${u} ${w}`), step(`user delete ${u} ${w}`), step(`role delete ${r} ${w}`), step(`role get ${r} ${w}`),
  ]
})

const enabled: readonly Step[] = [
  step('role get root'), step('auth enable'), step('user add root:rootpw'), step('auth enable'), step('get a'), step('--user root:rootpw get a'), step('get a --user root --password rootpw'), step('get a --user root:wrong'),
  step('--user root:rootpw user add joe:pw'), step('--user root:rootpw role add reader'), step('--user root:rootpw role grant-permission reader read a'), step('--user root:rootpw user grant-role joe reader'),
  step('--user joe:pw get a'), step('--user joe:pw get b'), step('--user joe:pw put a 1'), step('endpoint health --user joe:pw'), step('auth status --user root:rootpw'), step('role get root --user root:rootpw'), step('user list', { env: { ETCDCTL_USER: 'root:rootpw' } }),
  step('watch b --user joe:pw', { endless: true }), step('--user root get a'), step('auth disable --user root:rootpw'), step('get a'),
]

const mistakes: readonly Step[] = [
  ...['completion', 'completion foo', 'completion bash zsh', '__complete l', '__complete lease g', '__complete get --pre', '__complete put -', '__complete get a', '__complete completion b', '__complete -w j', '__complete endpoint status --cl', '__complete help le',
    '__completeNoDesc user ', '__complete get --consistency l', '__complete --en', '__complete lease nope x'].map((line) => step(line, { withoutEndpoints: true })),
  ...['', 'foo', 'gett', 'l', '--help', 'help', 'help put', 'help lease grant', 'help nothing', 'options', 'version', 'lease', 'lease foo', 'put --bad', 'put --lease', 'get a --limit x', '-z', 'get a --hex=maybe'].map((line) => step(line)),
  ...['get', 'put', 'del', 'txn', 'compaction', 'watch', 'lease grant', 'lease revoke', 'lease timetolive', 'lease list', 'lease keep-alive', 'lock', 'elect', 'member', 'member add', 'member remove', 'member update', 'member list', 'member promote',
    'endpoint', 'endpoint health', 'endpoint status', 'endpoint hashkv', 'alarm', 'alarm list', 'alarm disarm', 'defrag', 'snapshot', 'snapshot save', 'move-leader', 'auth', 'auth enable', 'user', 'user add', 'user get', 'user passwd', 'user grant-role',
    'role', 'role get', 'role grant-permission', 'role revoke-permission', 'check', 'check perf', 'check datascale', 'make-mirror', 'downgrade', 'downgrade validate', 'version', 'options', 'help'].map((line) => step(`${line} --help`)),
  ...['get', 'put', 'put a b --lease zz', 'put a --ignore-value b', 'put none --ignore-value', 'put a b --ignore-lease', 'put a b --lease 99', 'get a --order UP', 'get a --sort-by SIZE', 'get a --consistency x', 'get a --prefix --from-key', 'get a b --prefix',
    'get a --keys-only --count-only', 'get a --max-mod-rev 1 --min-mod-rev 2', 'get a -w yaml', 'del', 'del a b c', 'del a --prefix --from-key', 'del a b --prefix', 'del a b --range', 'txn extra', 'compaction', 'compaction x', 'compaction 99',
    'lease grant', 'lease grant x', 'lease grant 99999999999', 'lease revoke', 'lease revoke zz', 'lease timetolive', 'lease timetolive zz', 'lease keep-alive', 'lock', 'elect', 'elect a', 'elect -l a b', 'member add', 'member add a', 'member add a http://x --peer-urls http://x',
    'member add a --peer-urls nonsense', 'member remove', 'member remove zz', 'member remove 123', 'member update 123', 'member update 123 --peer-urls http://1.2.3.4:5', 'member promote 123', 'member list --consistency z', 'alarm list x', 'move-leader', 'move-leader zz',
    'snapshot save', 'snapshot save /nonexistent/folder/file', 'snapshot save a --endpoints a,b', 'auth enable x', 'user add', 'user add :pw', 'user get', 'user get none', 'user list x', 'user grant-role a', 'user revoke-role a', 'role add', 'role get none', 'role list x',
    'role grant-permission a', 'role grant-permission a sometimes b', 'role grant-permission a read b c --prefix', 'role grant-permission a read b --prefix --from-key', 'role revoke-permission a', 'downgrade validate', 'downgrade validate x y',
    'downgrade validate 3.6.0', 'downgrade validate 9.9', 'downgrade cancel', 'check perf --load huge', 'make-mirror', 'watch', 'watch a --', 'watch a b --prefix', 'watch a b c --rev 9 -- false'].map((line) => step(line, line.startsWith('watch a b c') ? { endless: true } : {})),
  ...['\n', 'nonsense\n\n\n\n', 'foo("a") > "1"\n\n\n\n', 'mod("a") > "x"\n\n\n\n', 'mod("a" > "1"\n\n\n\n', '\nput\n\n\n', '\nput a --lease zz\n\n\n', '\nfrob a b\n\n\n', '\nput a 1\nput a 2\n\n\n', 'mod("a") > "1"'].map((stdin) => step('txn', { stdin })),
  step('txn -i', { stdin: '\nput a 1\n\n\n' }), step('watch -i', { stdin: 'frob\nwatch\nwatch a --rev 1\n' }), step('watch -i', { stdin: 'watch a --rev 1 --bad\n' }), step('watch', { env: { ETCDCTL_WATCH_RANGE_END: 'x' } }), step('watch a', { env: { ETCDCTL_WATCH_KEY: 'x' } }),
  step('get a', { env: { ETCDCTL_ENDPOINTS: '127.0.0.1:1', ETCDCTL_COMMAND_TIMEOUT: '500ms' } }), step('get a', { env: { ETCDCTL_WRITE_OUT: 'fields', ETCDCTL_CONFUSING: '1' } }), step('get a -w json', { env: { ETCDCTL_WRITE_OUT: 'fields' } }),
  step('--endpoints 127.0.0.1:1 --command-timeout 500ms put a 1'), step('--endpoints 127.0.0.1:1 --command-timeout 500ms endpoint health'), step('--endpoints 127.0.0.1:1 --command-timeout 500ms endpoint status'), step('--endpoints 127.0.0.1:1 --command-timeout 500ms defrag'),
  step('--endpoints 127.0.0.1:1,127.0.0.1:$PORT get a'), step('--endpoints 127.0.0.1:1 --dial-timeout 500ms --user root:x get a'), step('--endpoints= get a'), step('get a --cacert /nonexistent'), step('get a --cert /nonexistent'), step('get a --cert='), step('get a --user root --auth-jwt-token x -w json'),
  step('--endpoints http://127.0.0.1:$PORT get a'), step('g a'), step('ge a'), step('--endpoints 127.0.0.1:1 --command-timeout 500ms lease grant 10'),
]

const settings: readonly Step[] = [
  ...['put a 1', 'get a --dial-timeout 1s', 'get a --keepalive-time 1s --keepalive-timeout 1s', 'get a --insecure-transport=false --command-timeout 1s --dial-timeout 500ms', 'get a --max-recv-bytes 10', 'get a --max-request-bytes 10 --max-recv-bytes 5', 'put a 12345678901234567890 --max-request-bytes 10', 'get a --command-timeout 1ns',
    'get a --command-timeout x', 'get a --user :x', 'get a --user root:', 'get a --password x', 'get a --auth-jwt-token x', 'get a --discovery-srv nonexistent.invalid', 'lock a b --ttl x', 'elect a b c', 'snapshot save a b', 'snapshot status x', 'snapshot restore x', 'compaction 1 2', 'compaction --physical x', 'endpoint health x', 'alarm foo',
    'version x', 'options x', 'member list x', 'lease list x', 'lease grant 1 2', 'lease keep-alive 1 2', 'user passwd none --interactive=false', 'role grant-permission r readwrite', 'auth status x', 'move-leader 1 2', 'downgrade', 'downgrade enable', 'downgrade cancel x', 'check', 'check datascale --load x', 'make-mirror a b',
    'make-mirror --dest-cert x 127.0.0.1:1', 'get a b c d', 'put a b c', 'txn -x', 'get --prefix=maybe a', 'del --prev-kv', 'get a --print-value-only --keys-only', 'get a --count-only', 'get a --count-only -w fields', 'get --from-key a --limit 1 -w json', 'get a --rev -1', 'get a --limit -1', 'put --lease=0 a b', 'put a b --lease=-1', 'get -- a',
    'put -- -a -b', 'get -- -a', 'del -- -a', "get ''", 'help get foo', 'get -h', '--hex get a', 'get a -whex', 'get a -w=json', 'get a --write-out'].map((line) => step(line)),
  ...Object.entries({ DIAL_TIMEOUT: '1s', CACERT: '/nope', USER: 'root:x', INSECURE_TRANSPORT: 'maybe', HEX: 'true', API: '3', COMMAND_TIMEOUT: 'x', MAX_RECV_BYTES: 'x' }).map(([name, value]) => step('get a', { env: { [`ETCDCTL_${name}`]: value, ...(name === 'INSECURE_TRANSPORT' ? { ETCDCTL_COMMAND_TIMEOUT: '500ms' } : {}) } })),
  step('get a', { env: { ETCDCTL_API: '4' } }), step('get a', { env: { ETCDCTL_API: '' } }),
]

const locks: readonly Step[] = [step('lock l true'), step('lock l sh -c exit_3'), step('lock l no-such-program'), step('lock l --ttl 20 -- echo hello', { apart: true }), step('snapshot save $FILE'), step('lock l', { endless: true }), step('elect e me', { endless: true }), step('elect -l e2', { endless: true })]

describe('the same words from both', { concurrency: 4, skip }, () => {
  for (const [name, start] of [['our server', ourServer], ["the original's server", theirServer]] as const) {
    for (const format of formats) test(`${name}: -w ${format}`, () => compare(start, inFormat(format)))
    test(`${name}: users and roles`, () => compare(start, authentication))
    test(`${name}: authentication enabled`, () => compare(start, enabled))
    test(`${name}: help, mistakes, environment`, () => compare(start, mistakes))
    test(`${name}: settings and odd arguments`, () => compare(start, settings))
    test(`${name}: locks, elections, snapshots`, () => compare(start, locks))
  }
})

test('a snapshot is the same file, with its hash', { skip }, async () => {
  const server = await theirServer()
  for (const program of ['original', 'ours'] as const) {
    const outcome = await run(program, server, step(`snapshot save ${join(folder, `snapshot-${program}`)}`), '')
    assert.equal(outcome.code, 0, outcome.err)
  }
  const [a, b] = ['original', 'ours'].map((program) => readFileSync(join(folder, `snapshot-${program}`)))
  assert.ok(a && b)
  assert.equal(b.length, a.length)
  assert.equal(b.length % 512, 32)
})
