// etcdctl as people meet it: its version and list of commands in both APIs, completion in bash, members and downgrades, mirrors. The original's and ours,
// on the original's server and on ours.
import { after, describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { realClock } from '../../src/lib/async/real-clock.ts'
import { realRandom } from '../../src/lib/async/real-random.ts'
import { sleep } from '../../src/lib/base/clock.ts'
import { silentLogger } from '../../src/lib/component-base/log.ts'
import { connectMembers } from '../../src/control-plane/etcd/connect-members.ts'
import { openEtcd } from '../../src/control-plane/etcd/embedded.ts'
import { serveEtcd } from '../../src/control-plane/etcd/v3rpc/serve-etcd.ts'
import { oldEtcdctl, originalEtcdctl, runOriginal, runOurs, type CtlOutcome, type CtlRun } from './etcdctl-runs.ts'
import { freePort, hasOriginals, startOriginal } from './etcd-pair.ts'

const skip = hasOriginals ? false : 'the originals are not built: run test/interop/build-originals.sh'
const folder = mkdtempSync(join(tmpdir(), 'etcdctl-cluster-'))
after(() => rmSync(folder, { recursive: true, force: true }))
const programs = { original: (run: CtlRun) => runOriginal(originalEtcdctl, run), ours: runOurs }
type ProgramName = keyof typeof programs

// ---- row E4 of the system's description ----

test('--version tells both versions, bare etcdctl lists the commands, ETCDCTL_API chooses', { skip }, async () => {
  const ours = (args: readonly string[], api?: string): Promise<CtlOutcome> => runOurs({ args, ...(api === undefined ? {} : { env: { ETCDCTL_API: api } }) })
  const three = await programs.original({ args: ['version'] })
  assert.deepEqual(await ours(['version']), three)
  assert.equal((await ours(['--version'], '3')).out, three.out)
  assert.equal((await ours(['--version'], '2')).out, three.out.replace(/API version: .*/, 'API version: 2'))
  assert.deepEqual(await ours([]), await programs.original({ args: [] }))
  assert.deepEqual(await ours([], '3'), await programs.original({ args: [], env: { ETCDCTL_API: '3' } }))
  if (!existsSync(oldEtcdctl)) return
  // The old program knows both APIs, as ours does.
  const old = (args: readonly string[], api: string): Promise<CtlOutcome> => runOriginal(oldEtcdctl, { args, env: { ETCDCTL_API: api } })
  const alike = ({ code, out, err }: CtlOutcome): CtlOutcome => ({ code, out: out.replace(/3\.(?:4|7)(?:\.\d+)?/g, 'VERSION'), err })
  assert.deepEqual(alike(await ours(['--version'], '2')), alike(await old(['--version'], '2')))
  assert.deepEqual(alike(await ours(['version'], '3')), alike(await old(['version'], '3')))
  assert.deepEqual(alike(await ours([], '2')), alike(await old([], '2')))
  // One word, two meanings: a command of the other API is none of this one.
  for (const [line, api] of [['ls', '3'], ['put a b', '2'], ['set a b', '3'], ['lease list', '2']] as const) {
    const [a, b] = [await ours(line.split(' '), api), await old(line.split(' '), api)]
    assert.equal(a.code, b.code, `ETCDCTL_API=${api} etcdctl ${line}`)
    assert.notEqual(a.code, 0)
  }
})

// ---- completion ----

test('completion works in bash', async () => {
  const script = await runOurs({ args: ['completion', 'bash'] })
  assert.equal(script.code, 0)
  const node = resolve(import.meta.dirname, '../../src/cmd/main.ts')
  const bin = join(folder, 'etcdctl')
  writeFileSync(bin, `#!/bin/sh\nexec ${process.execPath} --disable-proto=delete --disable-warning=ExperimentalWarning ${node} etcdctl "$@"\n`)
  chmodSync(bin, 0o755)
  writeFileSync(join(folder, 'completion.bash'), script.out)
  const lines = ['', 'le', 'lease ', 'lease g', 'get --pre', 'get a --order ', '-w j', 'completion f', 'put a b --le', 'nope ']
  const asks = lines.map((line) => `COMP_WORDS=(etcdctl ${line.trimEnd()}${line === '' || line.endsWith(' ') ? " ''" : ''}); COMP_CWORD=$((\${#COMP_WORDS[@]} - 1)); _etcdctl; echo "\${COMPREPLY[*]}"`)
  const out = await new Promise<string>((done, failed) => {
    execFile('bash', ['--norc', '-c', `source ${folder}/completion.bash\ncd /proc/self/fdinfo\n${asks.join('\n')}`], { env: { ...process.env, PATH: `${folder}:${process.env['PATH'] ?? ''}` }, timeout: 120_000 }, (error, text, err) => { if (error) failed(new Error(err, { cause: error })); else done(text) })
  })
  const answers = out.trimEnd().split('\n')
  assert.match(answers[0] ?? '', /^alarm auth check compaction completion defrag .* watch$/)
  assert.deepEqual(answers.slice(1, 9), ['lease', 'grant keep-alive list revoke timetolive', 'grant', '--prefix', 'ASCEND DESCEND', 'json', 'fish', '--lease'])
  for (const shell of ['zsh', 'fish', 'powershell']) assert.match((await runOurs({ args: ['completion', shell] })).out, /__complete/)
})

// ---- members, downgrades ----

interface Server extends AsyncDisposable { readonly url: string }

async function ourServer(): Promise<Server> {
  await using stack = new AsyncDisposableStack()
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const dataDir = join(folder, `data-${port}`)
  const peerUrls = [`http://127.0.0.1:${await freePort()}`]
  const etcd = stack.use(await openEtcd({ disk: { dataDir }, clock: realClock, random: realRandom, logger: silentLogger, clientUrls: [url], peerUrls, transport: connectMembers({ listenUrls: peerUrls, advertiseUrls: peerUrls, clock: realClock, logger: silentLogger }) }))
  await etcd.whenReady()
  stack.use(await serveEtcd(etcd, { clock: realClock, listen: [{ host: '127.0.0.1', port }] }))
  const owned = stack.move()
  return { url, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

const theirServer = (): Promise<Server> => startOriginal(['--unsafe-no-fsync'])
const servers = { original: theirServer, ours: ourServer }

const formats = ['simple', 'json', 'table', 'fields', 'protobuf']

const memberSteps: readonly string[] = [
  ...formats.map((format) => `member list -w ${format}`), 'member add two --learner --peer-urls http://127.0.0.1:1234', 'member list', 'member list --hex -w json', 'member list --consistency s', 'member promote $NEW', 'move-leader $NEW', 'member add three --learner --peer-urls http://127.0.0.1:1235',
  'member add four --peer-urls http://127.0.0.1:1234,http://127.0.0.1:1239', 'member update $NEW --peer-urls http://127.0.0.1:1236', 'member list', 'member update $NEW --peer-urls http://127.0.0.1:1236,http://127.0.0.1:1237', 'member list', 'member remove $NEW', 'member remove $NEW', 'member promote $NEW', 'member list',
  ...formats.map((format) => `member add n --learner --peer-urls http://127.0.0.1:1240 -w ${format}`).slice(0, 1), 'member remove $NEW', 'member add n --learner --peer-urls http://127.0.0.1:1241 -w json', 'member list -w fields', 'endpoint health --cluster', 'endpoint status --cluster', 'endpoint hashkv --cluster', 'defrag --cluster',
  'member promote $SELF', 'member remove $SELF', 'move-leader $SELF', 'move-leader 77', 'downgrade validate 3.6', 'downgrade validate 3.6.0', 'downgrade validate 3.5.0', 'downgrade validate 3.7.0', 'downgrade validate x', 'downgrade cancel', 'downgrade enable 3.5.0', 'downgrade enable 3.6.0', 'downgrade enable 3.6.0',
  'downgrade validate 3.6.0', 'endpoint status', 'downgrade cancel', 'downgrade cancel', 'alarm list', 'alarm disarm',
]

async function play(program: ProgramName, start: () => Promise<Server>): Promise<readonly CtlOutcome[]> {
  await using server = await start()
  const out: CtlOutcome[] = []
  const at = ['--endpoints', server.url]
  const self = /^([0-9a-f]+),/.exec((await programs[program]({ args: [...at, 'member', 'list'] })).out)?.[1] ?? ''
  let added = '77'
  for (const line of memberSteps) {
    const outcome = await programs[program]({ args: [...at, ...line.replaceAll('$NEW', added).replaceAll('$SELF', self).split(' ')] })
    added = /^Member ([0-9a-f]+) added/.exec(outcome.out)?.[1] ?? added
    out.push(outcome)
  }
  return out
}

/** Ids come from addresses and times; sizes and the number of entries are each server's own. */
function comparable({ code, out, err }: CtlOutcome): CtlOutcome {
  const normal = (text: string): string => text.replace(/^\{"level".*\n/gm, '').replace(/(3\.7\.3\W+|storageVersion\W+)3\.5\.0/gi, '$13.7.0').replace(/ +(?=[0-9a-f]{12,16}\b)/g, ' ').replace(/http:\/\/127\.0\.0\.1:(?!12[34]\d\b)\d+/g, 'URL').replace(/\b[0-9a-f]{12,16}\b/g, 'ID').replace(/\b\d{17,20}\b/g, 'ID').replace(/, [\d.]+ [kM]?B, [\d.]+ [kM]?B, \d+%,/g, ', SIZES,')
    .replace(/, \d+, \d+, \d+(?=, , )/g, ', INDEXES').replace(/took (?:= )?[\d.]+(?:µs|ms|s)/g, 'took').replace(/("raft_term":|"RaftTerm" : )\d+/g, '$1N').replace(/[─ ]{2,}/g, '').replace(/, \d+, (?=\d+$)/gm, ', HASH, ')
    // A message of protobuf holds ids and addresses in all lengths.
    .replace(/^\n?.*[\0-\x08].*$/gms, 'PROTOBUF').replace(/ID +(?=added|removed|updated)/g, 'ID ')
  // Members come in the order of their ids.
  return { code, out: normal(out).split(/[\n,{}[\]"]/).sort().join('\n'), err: normal(err) }
}

test('members and downgrades: both clients say the same of both servers', { skip }, async () => {
  const runs = await Promise.all((['original', 'ours'] as const).flatMap((program) => (['original', 'ours'] as const).map((server) => play(program, servers[server]).then((outcomes) => ({ name: `${program} at ${server}`, outcomes })))))
  const [reference, ...others] = runs
  assert.ok(reference)
  const differences = memberSteps.flatMap((line, i) => others.flatMap(({ name, outcomes }) => {
    const [a, b] = [reference.outcomes[i], outcomes[i]]
    assert.ok(a && b)
    try {
      assert.deepEqual(comparable(b), comparable(a))
      return []
    } catch {
      return [`etcdctl ${line}\n--- original\n${JSON.stringify(comparable(a))}\n--- ${name}\n${JSON.stringify(comparable(b))}`]
    }
  }))
  assert.equal(differences.length, 0, differences.join('\n\n'))
})

// ---- make-mirror ----

describe('make-mirror', { skip, concurrency: 2 }, () => {
  const cases: readonly { readonly flags: string; readonly wanted: readonly string[] }[] = [
    { flags: '', wanted: ['a/1', 'a/2', 'a/new', 'b', 'c/1'] }, { flags: '--prefix a/', wanted: ['a/1', 'a/2', 'a/new'] }, { flags: '--prefix a/ --dest-prefix z/', wanted: ['z/1', 'z/2', 'z/new'] }, { flags: '--prefix a/ --no-dest-prefix', wanted: ['1', '2', 'new'] },
    { flags: '--rev 4 --prefix a/ --dest-prefix r/', wanted: ['r/2', 'r/new'] }, { flags: '--max-txn-ops 1', wanted: ['a/1', 'a/2', 'a/new', 'b', 'c/1'] },
  ]
  for (const program of ['original', 'ours'] as const) {
    test(`${program}: prefixes, revisions, changes that come later`, async () => {
      await using source = await (program === 'original' ? ourServer() : theirServer())
      const put = (line: string): Promise<CtlOutcome> => programs.original({ args: ['--endpoints', source.url, ...line.split(' ')] })
      for (const line of ['put a/1 1', 'put b 1', 'put a/2 1', 'put c/1 1', 'put gone 1']) await put(line)
      await using stack = new AsyncDisposableStack()
      const destinations = await Promise.all(cases.map(async () => stack.use(await ourServer())))
      const stop = new AbortController()
      const mirrors = cases.map(async ({ flags }, i) => {
        const args = ['--endpoints', source.url, 'make-mirror', ...flags.split(' ').filter((word) => word !== ''), destinations[i]?.url ?? '']
        if (program === 'ours') return await runOurs({ args, stop: stop.signal })
        const child = spawn(originalEtcdctl, args, { stdio: 'ignore' })
        stop.signal.addEventListener('abort', () => child.kill('SIGKILL'), { once: true })
        return await once(child, 'exit')
      })
      const keys = async (i: number): Promise<string> => (await programs.original({ args: ['--endpoints', destinations[i]?.url ?? '', 'get', '', '--prefix', '--keys-only'] })).out.replace(/\n+/g, ' ').trim()
      for (const line of ['del gone', 'put a/new 1']) await put(line)
      for (const [i, { flags, wanted }] of cases.entries()) {
        let found = ''
        for (let round = 0; round < 100; round++) {
          found = await keys(i)
          if (found === [...wanted].sort().join(' ')) break
          await sleep(realClock, 50, new AbortController().signal)
        }
        assert.equal(found, [...wanted].sort().join(' '), `make-mirror ${flags}`)
      }
      stop.abort(new Error('seen enough'))
      await Promise.all(mirrors)
    })
  }
})
