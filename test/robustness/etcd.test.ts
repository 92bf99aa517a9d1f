// Our etcd as a process, under load from many clients, killed, stalled and out of disk; what the clients saw is checked from outside.
//
// K8TS_SOAK=<factor> runs that many times as many rounds and adds the counts to docs/reliability-ledger.md.
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, statfsSync, truncateSync, writeFileSync } from 'node:fs'
import { arch, cpus, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { realClock } from '../../src/lib/async/real-clock.ts'
import { realRandom } from '../../src/lib/async/real-random.ts'
import { RemoteEtcdClient } from '../../src/lib/etcd-client/remote-etcd-client.ts'
import { randomInteger, seededRandom, type Random } from '../../src/lib/base/random.ts'
import { Campaign, type Counts, type Fault } from './campaign.ts'
import { EtcdProcess, freePort } from './etcd-process.ts'
import { checkerMissing, checkLinearizable } from './linearizable.ts'
import type { Call } from './operation.ts'

const soak = Math.max(1, Number(process.env['K8TS_SOAK'] ?? 1))
const kills = 10 * soak
const stalls = 3 * soak
const operationsPerRound = 3900
const seed = Number(process.env['K8TS_SEED'] ?? randomInteger(realRandom, 2 ** 31))
let folder = ''

const kill: Fault = { name: 'SIGKILL', strike: (etcd) => etcd.kill() }
const stall: Fault = {
  name: 'stall', impatient: true,
  strike: async (etcd) => {
    etcd.signal('SIGSTOP')
    await delay(2000)
    etcd.signal('SIGCONT')
    await delay(500)
  },
}

if (checkerMissing !== undefined) {
  if (process.env['CI']) throw new Error(checkerMissing)
  test('robustness of etcd', { skip: checkerMissing }, () => {})
} else {
  before(() => { folder = mkdtempSync(join(tmpdir(), 'k8ts-robustness-')) })
  // K8TS_KEEP=1 leaves the histories, for `test/robustness/.bin/linearizable <file>`.
  after(() => { if (process.env['K8TS_KEEP']) console.log(folder); else rmSync(folder, { recursive: true, force: true }) })

  test('killed and stalled under load: linearizable, nothing lost, watches keep their promises', { timeout: 300_000 * soak }, async (t) => {
    const began = realClock.monotonic()
    const random = seededRandom(seed)
    await using etcd = new EtcdProcess({ dataDir: join(folder, 'data'), port: await freePort() })
    await etcd.start()
    using campaign = new Campaign({ etcd, random, folder: join(folder, 'histories'), name: 'load' })
    const faults = shuffle(random, [...Array.from({ length: kills }, () => kill), ...Array.from({ length: stalls }, () => stall)])
    for (const fault of faults) {
      await campaign.round(operationsPerRound + randomInteger(random, 400), fault)
      if (campaign.violations.length > 0) break
    }
    await campaign.finish()
    const { counts, violations } = campaign
    t.diagnostic(`seed ${seed}: ${JSON.stringify(counts)}`)
    assert.deepEqual(violations, [], `seed ${seed}`)
    assert.ok(counts.operations >= 50_000 && counts.unknown <= counts.operations * 0.01 && counts.hashes >= 1, JSON.stringify(counts))
    if (soak > 1) writeLedger(counts, (realClock.monotonic() - began) / 1000)
  })

  test('disk full: the alarm is raised, reads and deletions go on, writes come back when there is room, nothing acknowledged is lost', { timeout: 120_000 * soak, skip: process.getuid?.() === 0 ? false : 'mounting a small disk needs root' }, async (t) => {
    for (let turn = 0; turn < soak; turn++) {
      using mounted = mountSmallDisk(join(folder, `disk-${turn}`))
      const filler = join(mounted.path, 'filler')
      await using etcd = new EtcdProcess({ dataDir: join(mounted.path, 'data'), port: await freePort() })
      await etcd.start()
      using client = new RemoteEtcdClient({ endpoints: [etcd.endpoint], clock: realClock })
      let isFull = false
      // What the log has reserved ahead is used up sooner by large values.
      const reshape = (call: Call): Call => (isFull && call.type === 'txn' ? { ...call, success: call.success.map((step) => (step.type === 'put' ? { ...step, value: enlarge(step.value) } : step)) } : call)
      using campaign = new Campaign({ etcd, random: seededRandom(seed), folder: join(folder, 'histories'), name: `full-${turn}`, clients: 8, watchers: 4, reshape })
      const full: Fault = {
        name: 'disk full',
        strike: async () => {
          fill(filler)
          isFull = true
          await until(async () => (await etcd.alarms()).includes('NOSPACE'), 'the alarm NOSPACE is raised')
          isFull = false
          const absent = Buffer.from('absent')
          await client.range({ key: absent }, AbortSignal.timeout(5000))
          await client.txn({ compare: [], success: [{ type: 'deleteRange', key: absent }], failure: [] }, AbortSignal.timeout(5000))
          await delay(200)
          const { revision } = campaign.log
          rmSync(filler)
          await etcd.disarm()
          await until(async () => campaign.log.revision > revision + 50, 'writes come back')
          assert.deepEqual(await etcd.alarms(), [])
          await etcd.kill()
        },
      }
      await campaign.round(1500, full)
      await campaign.round(1500, kill)
      await campaign.finish()
      t.diagnostic(JSON.stringify(campaign.counts))
      assert.deepEqual(campaign.violations, [])
    }
  })

  // Each of these has a fault put in: the suite is worth nothing if it passes.
  for (const [control, expected] of [['early-acknowledgement', /lost/], ['stale-read', /not linearizable/], ['dropped-event', /watch .* is not (resumable|reliable|atomic)|follows revision|has no change/], ['forgotten-lease', /lost: lease|lease .* gone before its time/]] as const) {
    test(`control: ${control} is noticed`, { timeout: 120_000 }, async () => {
      await using etcd = new EtcdProcess({ dataDir: join(folder, control), port: await freePort(), control })
      await etcd.start()
      using campaign = new Campaign({ etcd, random: seededRandom(seed), folder: join(folder, 'histories'), name: control, clients: 8 })
      for (let round = 0; round < 5 && campaign.violations.length === 0; round++) {
        await campaign.round(600, kill)
        await campaign.finish()
      }
      assert.ok(campaign.violations.some((text) => expected.test(text)), `seed ${seed}: noticed ${JSON.stringify(campaign.violations.slice(0, 5))}`)
    })
  }

  test('the checker of linearizability refuses what it has to', async () => {
    const start = { revision: 1, kvs: [], leases: [] }
    const path = join(folder, 'checker.jsonl')
    const write = (value: string, revision: number, calledAt: number, returnedAt: number) =>
      ({ client: 1, calledAt, returnedAt, call: { type: 'txn' as const, guards: [], success: [{ type: 'put' as const, key: 'a', value, lease: '0' }], failure: [] }, output: { revision, succeeded: true, results: [{ type: 'put' as const }] } })
    const read = (value: string, at: number, revision: number, calledAt: number, returnedAt: number) =>
      ({ client: 2, calledAt, returnedAt, call: { type: 'range' as const, key: 'a' }, output: { revision, results: [{ type: 'get' as const, count: 1, kvs: [{ key: 'a', value, modRevision: at, createRevision: 2, version: at - 1, lease: '0' }] }] } })
    const verdict = async (...operations: (ReturnType<typeof write> | ReturnType<typeof read>)[]): Promise<string> => (await checkLinearizable({ ...start, operations }, path)).result
    assert.equal(await verdict(write('x', 2, 0, 10), write('y', 3, 5, 20), read('y', 3, 3, 15, 30), read('x', 2, 2, 5, 16)), 'Ok')
    assert.equal(await verdict(write('x', 2, 0, 10), write('y', 3, 11, 20), read('x', 2, 2, 21, 30)), 'Illegal', 'a stale read')
    assert.equal(await verdict(write('x', 2, 0, 10), read('z', 2, 2, 11, 20)), 'Illegal', 'an invented value')
    assert.equal(await verdict(write('x', 3, 0, 10)), 'Illegal', 'a revision that skips one')
    assert.equal(await verdict(write('x', 3, 0, 10), write('y', 2, 11, 20)), 'Illegal', 'revisions against the order of time')
  })
}

function shuffle<T>(random: Random, list: readonly T[]): readonly T[] {
  const rest = [...list]
  return list.map(() => rest.splice(randomInteger(random, rest.length), 1)[0]!) // cast: as many as there are
}

async function until(holds: () => Promise<boolean>, what: string): Promise<void> {
  for (const deadline = realClock.monotonic() + 30_000; !(await holds()); await delay(50)) assert.ok(realClock.monotonic() < deadline, `${what}: not within 30 s`)
}

function enlarge(value: string): string {
  const padding = 60_000
  return `${value.slice(0, value.indexOf('#'))}#${padding}|${'x'.repeat(padding)}`
}

function run(command: string, ...args: readonly string[]): void {
  const { status, stderr } = spawnSync(command, args, { encoding: 'utf8' })
  assert.equal(status, 0, `${command} ${args.join(' ')}: ${stderr}`)
}

/** A file system of 64 MB in a file. */
function mountSmallDisk(place: string): { readonly path: string } & Disposable {
  const image = `${place}.img`
  writeFileSync(image, '')
  truncateSync(image, 64 * 1024 * 1024)
  run('mkfs.ext4', '-q', '-F', image)
  mkdirSync(place)
  run('mount', '-o', 'loop', image, place)
  return { path: place, [Symbol.dispose]: () => { run('umount', '-l', place); rmSync(image) } }
}

function fill(path: string): void {
  const block = Buffer.alloc(64 * 1024)
  writeFileSync(path, '')
  for (;;) {
    try {
      appendFileSync(path, block)
    } catch {
      break
    }
  }
  const { bavail } = statfsSync(path)
  assert.ok(bavail < 64, `${bavail} blocks are left`)
}

function writeLedger(counts: Counts, seconds: number): void {
  const path = resolve(import.meta.dirname, '../../docs/reliability-ledger.md')
  if (!existsSync(path)) return
  const date = new Date(realClock.now()).toISOString().slice(0, 16).replace('T', ' ')
  appendFileSync(path, `| ${date} | robustness, K8TS_SOAK=${soak}, seed ${seed} | ${cpus().length} × ${cpus()[0]?.model.trim() ?? arch()} | ${kills} kills, ${stalls} stalls; ${counts.operations} operations (${counts.unknown} unknown), ${counts.linearized} checked by porcupine in ${counts.rounds} histories, ${counts.revisions} revisions, ${counts.watches} watches with ${counts.watchEvents} events, ${counts.hashes} hashes compared | ${Math.round(seconds)} s | 0 violations |\n`)
}
