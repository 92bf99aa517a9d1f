// The original etcdctl against our etcd: what people type, and what they see.
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { realClock } from '../../src/lib/async/real-clock.ts'
import { realRandom } from '../../src/lib/async/real-random.ts'
import { silentLogger } from '../../src/lib/component-base/log.ts'
import { openEtcd } from '../../src/control-plane/etcd/embedded.ts'
import { serveEtcd } from '../../src/control-plane/etcd/v3rpc/serve-etcd.ts'

const built = resolve(import.meta.dirname, '.bin/etcdctl')
const candidates = [built, '/usr/bin/etcdctl'].filter((path) => existsSync(path))
if (candidates.length === 0 && process.env['CI']) throw new Error('no etcdctl: build test/interop/originals/etcdctl, or install etcd-client')

interface Run { readonly code: number; readonly out: string; readonly err: string }
const resources = new AsyncDisposableStack()
let endpoint = ''

before(async () => {
  const etcd = resources.use(await openEtcd({ disk: 'memory', clock: realClock, random: realRandom, logger: silentLogger }))
  const server = resources.use(await serveEtcd(etcd, { clock: realClock, listen: [{ host: '127.0.0.1', port: 0 }] }))
  const address = server.addresses[0]
  assert.ok(address && 'port' in address)
  endpoint = `127.0.0.1:${address.port}`
})
after(() => resources.disposeAsync())

for (const etcdctl of candidates) {
  const name = etcdctl === built ? 'etcdctl 3.7' : etcdctl
  const prefix = etcdctl === built ? 'new' : 'old'
  const environment = etcdctl === built ? process.env : { ...process.env, ETCDCTL_API: '3' }
  const ctl = (args: readonly string[], input = ''): Promise<Run> => new Promise((done) => {
    const child = execFile(etcdctl, ['--endpoints', endpoint, ...args], { env: environment, timeout: 20_000 }, (error, out, err) => done({ code: error ? Number(error.code ?? 1) : 0, out, err }))
    child.stdin?.end(input)
  })
  const ok = async (args: readonly string[], input?: string): Promise<string> => {
    const run = await ctl(args, input)
    assert.equal(run.code, 0, `etcdctl ${args.join(' ')}: ${run.err}${run.out}`)
    return run.out
  }
  const k = (text: string): string => `${prefix}/${text}`

  test(`${name}: put, get, del`, async () => {
    assert.equal(await ok(['put', k('a'), '1']), 'OK\n')
    assert.equal(await ok(['put', k('b'), '2']), 'OK\n')
    assert.equal(await ok(['put', '--prev-kv', k('a'), '3']), `OK\n${k('a')}\n1\n`)
    assert.equal(await ok(['get', k('a')]), `${k('a')}\n3\n`)
    assert.equal(await ok(['get', '--prefix', k('')]), `${k('a')}\n3\n${k('b')}\n2\n`)
    assert.equal(await ok(['get', '--prefix', '--keys-only', k('')]), `${k('a')}\n\n${k('b')}\n\n`)
    assert.equal(await ok(['get', '--prefix', '--limit=1', '--order=DESCEND', k('')]), `${k('b')}\n2\n`)
    const json = JSON.parse(await ok(['get', k('a'), '-w', 'json'])) as { header: { revision: number }; kvs: { version: number; mod_revision: number; create_revision: number; value: string }[]; count: number }
    const kv = json.kvs[0]
    assert.ok(kv && kv.version === 2 && kv.mod_revision === json.header.revision && kv.create_revision < kv.mod_revision && kv.value === 'Mw==')
    assert.equal(await ok(['get', k('a'), `--rev=${kv.create_revision}`]), `${k('a')}\n1\n`)
    assert.equal(await ok(['del', '--prev-kv', k('a')]), `1\n${k('a')}\n3\n`)
    assert.equal(await ok(['del', k('a')]), '0\n')
    assert.equal(await ok(['del', '--prefix', k('')]), '1\n')
  })

  test(`${name}: txn`, async () => {
    await ok(['put', k('t'), 'x'])
    const request = `mod("${k('t')}") > "0"\nvalue("${k('t')}") = "x"\n\nput ${k('t')} y\nget ${k('t')}\n\nget ${k('none')}\n\n`
    assert.equal(await ok(['txn'], request), `SUCCESS\n\nOK\n\n${k('t')}\ny\n`)
    assert.equal(await ok(['txn'], request), 'FAILURE\n\n')
    const twice = await ctl(['txn'], `\nput ${k('d')} 1\nput ${k('d')} 2\n\n\n`)
    assert.notEqual(twice.code, 0)
    assert.match(twice.err, /duplicate key given in txn request/)
  })

  test(`${name}: watch`, async () => {
    const first = JSON.parse(await ok(['put', k('w1'), 'old', '-w', 'json'])) as { header: { revision: number } }
    const watch = spawn(etcdctl, ['--endpoints', endpoint, 'watch', '--prefix', '--prev-kv', `--rev=${first.header.revision}`, k('w')], { env: environment, stdio: ['ignore', 'pipe', 'inherit'] })
    let seen = ''
    const wanted = `PUT\n${k('w1')}\nold\nPUT\n${k('w1')}\nold\n${k('w1')}\nnew\nDELETE\n${k('w1')}\nnew\n${k('w1')}\n\n`
    const all = new Promise<void>((done) => {
      watch.stdout.on('data', (chunk: Buffer) => { seen += chunk.toString(); if (seen.length >= wanted.length) done() })
      watch.on('exit', () => done())
    })
    await ok(['put', k('w1'), 'new'])
    await ok(['del', k('w1')])
    await all
    watch.kill('SIGINT')
    assert.equal(seen, wanted)
  })

  test(`${name}: lease grant, timetolive, keep-alive, list, revoke`, async () => {
    const granted = await ok(['lease', 'grant', '60'])
    const id = /^lease ([0-9a-f]{16}) granted with TTL\(60s\)\n$/.exec(granted)?.[1]
    assert.ok(id, granted)
    await ok(['put', `--lease=${id}`, k('leased'), 'v'])
    assert.match(await ok(['lease', 'timetolive', '--keys', id]), new RegExp(`^lease ${id} granted with TTL\\(60s\\), remaining\\((59|60)s\\), attached keys\\(\\[${k('leased')}\\]\\)\n$`))
    assert.equal(await ok(['lease', 'keep-alive', '--once', id]), `lease ${id} keepalived with TTL(60)\n`)
    assert.match(await ok(['lease', 'list']), new RegExp(`^found 1 leases\n${id}\n$`))
    assert.equal(await ok(['lease', 'revoke', id]), `lease ${id} revoked\n`)
    assert.equal(await ok(['get', k('leased')]), '')
    assert.equal(await ok(['lease', 'timetolive', id]), `lease ${id} already expired\n`)
    const gone = await ctl(['lease', 'revoke', id])
    assert.notEqual(gone.code, 0)
    assert.match(gone.err, /etcdserver: requested lease not found/)
  })

  test(`${name}: endpoint status, health and hashkv, member list, alarm list, defrag`, async () => {
    const status = JSON.parse(await ok(['endpoint', 'status', '-w', 'json'])) as { Status: { version: string; dbSize: number; leader: number; header: { member_id: number } } }[]
    assert.ok(status[0] && status[0].Status.dbSize > 0 && status[0].Status.leader === status[0].Status.header.member_id)
    assert.match(await ok(['endpoint', 'status', '-w', 'table']), /3\.7\./)
    const health = await ctl(['endpoint', 'health'])
    assert.match(health.out + health.err, /is healthy: successfully committed proposal/)
    assert.match(await ok(['endpoint', 'hashkv']), /^127\.0\.0\.1:\d+, \d+/)
    assert.match(await ok(['member', 'list']), /^[0-9a-f]{16}, started, default, http:\/\/localhost:2380, http:\/\/localhost:2379, false\n$/)
    assert.equal(await ok(['alarm', 'list']), '')
    assert.match(await ok(['defrag']), /Finished defragmenting etcd member/)
  })

  test(`${name}: compaction, and reading what is compacted`, async () => {
    const put = JSON.parse(await ok(['put', k('c'), '1', '-w', 'json'])) as { header: { revision: number } }
    await ok(['put', k('c'), '2'])
    const revision = put.header.revision + 1
    assert.equal(await ok(['compaction', '--physical', String(revision)]), `compacted revision ${revision}\n`)
    const old = await ctl(['get', k('c'), `--rev=${put.header.revision}`])
    assert.match(old.err, /etcdserver: mvcc: required revision has been compacted/)
    const again = await ctl(['compaction', String(revision)])
    assert.match(again.err, /required revision has been compacted/)
    const future = await ctl(['get', k('c'), '--rev=999999'])
    assert.match(future.err, /required revision is a future revision/)
    const watch = await ctl(['watch', `--rev=${put.header.revision - 1}`, k('c')])
    assert.match(watch.err, /required revision has been compacted/)
  })
}

if (candidates.length === 0) test('the original etcdctl', { skip: `not found at ${join('test/interop/.bin', 'etcdctl')} nor in /usr/bin` }, () => {})
