// Our etcd as a process, under load from many clients, killed, stalled, without power and out of disk; what the clients saw is checked from
// outside. One member; etcd-cluster.test.ts has several. See soak.ts for longer runs.
import { after, describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { realClock } from '../../src/lib/async/real-clock.ts'
import { RemoteEtcdClient } from '../../src/lib/etcd-client/remote-etcd-client.ts'
import { randomInteger, seededRandom } from '../../src/lib/base/random.ts'
import { Campaign, type Fault } from './campaign.ts'
import { singleEtcd, type EtcdProcess } from './etcd-process.ts'
import { checkerMissing, checkLinearizable } from './linearizable.ts'
import { enlarged } from './operation.ts'
import { LoopDisk, loopDisksMissing, powerCutMissing } from './loop-disk.ts'
import { describeCounts, ScratchFolder, seed, shuffle, soak, writeLedger } from './soak.ts'
import { until } from './until.ts'

const kills = 28 * soak
const stalls = 5 * soak
const powerCuts = 17 * soak
const failedSyncs = 5 * soak
const fullDisks = 3 * soak
/** Checked against the nine guarantees. */
let watchEvents = 0
const scratch = new ScratchFolder()
const folder = scratch.path

function kill(etcd: EtcdProcess): Fault { return { name: 'SIGKILL', strike: () => etcd.kill() } }

function stall(etcd: EtcdProcess): Fault {
  return {
    name: 'stall', patienceMs: 1500,
    strike: async () => {
      etcd.signal('SIGSTOP')
      await delay(2000)
      etcd.signal('SIGCONT')
      await delay(300)
    },
  }
}

const missing = checkerMissing ?? (process.env['CI'] ? powerCutMissing() : undefined)

if (missing !== undefined) {
  if (process.env['CI']) throw new Error(missing)
  test('robustness of etcd', { skip: missing }, () => {})
} else {
  after(() => scratch[Symbol.dispose]())

  test('D1, C1, C6, W1: killed and stalled under load: linearizable, nothing lost, watches keep their promises', { timeout: 600_000 * soak }, async (t) => {
    const began = realClock.monotonic()
    const random = seededRandom(seed)
    await using etcd = await singleEtcd({ dataDir: join(folder, 'data') })
    await etcd.start()
    using campaign = new Campaign({ etcd, random, folder: join(folder, 'histories'), name: 'load', clients: 8, watchers: 18 })
    for (const fault of shuffle(random, [...Array.from({ length: kills }, () => kill(etcd)), ...Array.from({ length: stalls }, () => stall(etcd))])) {
      await campaign.round(1000 + randomInteger(random, 250), fault)
      if (campaign.violations.length > 0) break
    }
    await campaign.finish()
    const { counts, violations } = campaign
    t.diagnostic(`seed ${seed}: ${kills} kills, ${stalls} stalls: ${describeCounts(counts)}`)
    assert.deepEqual(violations, [], `seed ${seed}`)
    assert.ok(counts.unknown <= counts.operations * 0.01, `too few answers: ${JSON.stringify(counts)}`)
    assert.ok(counts.hashes >= 1, `too little happened: ${JSON.stringify(counts)}`)
    watchEvents += counts.watchEvents
    writeLedger(`1 member, ${kills} kills, ${stalls} stalls`, counts, began)
  })

  test('D2, D7: the power is cut: the process ends at the first error of the disk, and nothing acknowledged is lost', { timeout: 600_000 * soak, skip: powerCutMissing() ?? false }, async (t) => {
    const began = realClock.monotonic()
    const random = seededRandom(seed)
    using disk = new LoopDisk(join(folder, 'power'), 256)
    await using etcd = await singleEtcd({ dataDir: join(disk.path, 'data') })
    await etcd.start()
    using campaign = new Campaign({ etcd, random, folder: join(folder, 'histories'), name: 'power', clients: 12, watchers: 6 })
    const ends: string[] = []
    const cut: Fault = {
      name: 'power cut',
      strike: async () => {
        etcd.expectEnd()
        disk.cutPower()
        ends.push(await Promise.race([etcd.exit, delay(5000, 'still there after five seconds')]))
        await etcd.kill()
        disk.restorePower()
      },
    }
    for (let i = 0; i < powerCuts && campaign.violations.length === 0; i++) await campaign.round(300 + randomInteger(random, 400), cut)
    await campaign.finish()
    t.diagnostic(`${powerCuts} power cuts: ${describeCounts(campaign.counts)}`)
    assert.deepEqual(campaign.violations, [], `seed ${seed}`)
    assert.deepEqual(ends.filter((end) => end !== 'code 1'), [])
    watchEvents += campaign.counts.watchEvents
    writeLedger(`1 member, ${powerCuts} power cuts`, campaign.counts, began)
  })

  test('D7: a write or sync of the log fails once: nothing is acknowledged after it, and the process ends', { timeout: 600_000 * soak }, async (t) => {
    await using etcd = await singleEtcd({ dataDir: join(folder, 'failing'), failpoints: true })
    await etcd.start()
    using campaign = new Campaign({ etcd, random: seededRandom(seed), folder: join(folder, 'histories'), name: 'failing', clients: 12, watchers: 4 })
    for (let turn = 0; turn < failedSyncs && campaign.violations.length === 0; turn++) {
      await campaign.round(400, {
        name: 'failing write',
        strike: async () => {
          etcd.expectEnd()
          etcd.tell({ type: 'arm', name: turn % 2 === 0 ? 'wal/*.wal:append:before' : 'wal/*.wal:append:after', action: 'error' })
          assert.equal(await Promise.race([etcd.exit, delay(5000, 'still there after five seconds')]), 'code 1')
        },
      })
    }
    await campaign.finish()
    t.diagnostic(`${failedSyncs} failed writes: ${describeCounts(campaign.counts)}`)
    assert.deepEqual(campaign.violations, [], `seed ${seed}`)
    watchEvents += campaign.counts.watchEvents
  })

  test('W1: events of all watches together', (t) => {
    t.diagnostic(`${watchEvents} events`)
    assert.ok(watchEvents >= 100_000 * soak, `${watchEvents} events`)
  })

  test('D8: disk full: the alarm is raised, reads and deletions go on, writes come back when there is room, nothing acknowledged is lost', { timeout: 600_000 * soak, skip: loopDisksMissing() ?? false }, async (t) => {
    for (let turn = 0; turn < fullDisks; turn++) {
      using disk = new LoopDisk(join(folder, `disk-${turn}`), 64)
      const filler = join(disk.path, 'filler')
      await using etcd = await singleEtcd({ dataDir: join(disk.path, 'data') })
      await etcd.start()
      using client = new RemoteEtcdClient({ endpoints: etcd.endpoints, clock: realClock })
      let isFull = false
      // What the log has reserved ahead is used up sooner by large values.
      using campaign = new Campaign({ etcd, random: seededRandom(seed + turn), folder: join(folder, 'histories'), name: `full-${turn}`, clients: 8, watchers: 4, reshape: (call) => (isFull ? enlarged(call) : call) })
      const full: Fault = {
        name: 'disk full',
        strike: async () => {
          disk.fill(filler)
          isFull = true
          await until(async () => (await etcd.admin.alarms()).includes('NOSPACE'), 'the alarm NOSPACE is raised')
          isFull = false
          const absent = Buffer.from('absent')
          await client.range({ key: absent }, AbortSignal.timeout(5000))
          await client.txn({ compare: [], success: [{ type: 'deleteRange', key: absent }], failure: [] }, AbortSignal.timeout(5000))
          await delay(100)
          const { revision } = campaign.log
          rmSync(filler)
          await etcd.admin.disarm()
          await until(() => Promise.resolve(campaign.log.revision > revision + 50), 'writes come back')
          assert.deepEqual(await etcd.admin.alarms(), [])
          await etcd.kill()
        },
      }
      await campaign.round(300, full)
      await campaign.round(200, kill(etcd))
      await campaign.finish()
      t.diagnostic(describeCounts(campaign.counts))
      assert.deepEqual(campaign.violations, [])
    }
  })

  // Each of these has a fault put in: the suite is worth nothing if it passes.
  const controls: readonly (readonly [control: string, expected: RegExp, by: 'kill' | 'power cut'])[] = [
    ['early-acknowledgement', /lost/, 'kill'], ['stale-read', /not linearizable|differs from what happened/, 'kill'], ['forgotten-lease', /lost: lease|lease .* gone before its time/, 'kill'],
    ['dropped-event', /watch .* is not (resumable|reliable|atomic)|follows revision|has no change/, 'kill'], ['no-sync', /lost|can be read|ended/, 'power cut'],
  ]
  describe('controls', { concurrency: 3 }, () => {
    for (const [control, expected, by] of controls) {
      test(`control: ${control} is noticed`, { timeout: 600_000, skip: by === 'power cut' ? powerCutMissing() ?? false : false }, async () => {
        using disk = by === 'power cut' ? new LoopDisk(join(folder, `power-${control}`), 192) : undefined
        await using etcd = await singleEtcd({ dataDir: join(disk?.path ?? folder, control), control })
        await etcd.start()
        using campaign = new Campaign({ etcd, random: seededRandom(seed), folder: join(folder, 'histories'), name: control, clients: 8 })
        const strike = async (): Promise<void> => {
          etcd.expectEnd()
          disk?.cutPower()
          await etcd.kill()
          disk?.restorePower()
        }
        for (let round = 0; round < 5 && campaign.violations.length === 0; round++) {
          await campaign.round(500, { name: by, strike })
          await campaign.finish()
        }
        assert.ok(campaign.violations.some((text) => expected.test(text)), `seed ${seed}: noticed ${JSON.stringify(campaign.violations.slice(0, 5))}`)
      })
    }
  })

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
