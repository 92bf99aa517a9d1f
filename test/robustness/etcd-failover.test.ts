// What a cluster of three etcds promises beside the safety of its histories: that it is there again soon, that a minority lost is not noticed,
// that wall clocks may jump, that a damaged log is refused by name and harms nobody else, and that what is restored from a snapshot is the same.
// K8TS_ETCD as in etcd-cluster.test.ts.
import { after, describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { realClock } from '../../src/lib/async/real-clock.ts'
import { realRandom } from '../../src/lib/async/real-random.ts'
import { randomInteger, seededRandom } from '../../src/lib/base/random.ts'
import { RemoteEtcdClient } from '../../src/lib/etcd-client/remote-etcd-client.ts'
import { Campaign } from './campaign.ts'
import { clockShiftMissing, ShiftedClock } from './clock-shift.ts'
import { networkMissing } from './cluster-network.ts'
import { EtcdCluster } from './etcd-cluster.ts'
import { singleEtcd, type EtcdProgram } from './etcd-process.ts'
import { checkerMissing } from './linearizable.ts'
import { Probe } from './probe.ts'
import { describeCounts, ScratchFolder, seed, soak } from './soak.ts'

const program = (process.env['K8TS_ETCD'] ?? 'ours').split(',') as EtcdProgram[] // cast: whoever sets it knows the names
const isOurs = program.every((one) => one === 'ours')
const missing = checkerMissing ?? networkMissing()
const random = seededRandom(seed)
const signal = (): AbortSignal => AbortSignal.timeout(5000)

if (missing !== undefined) {
  if (process.env['CI']) throw new Error(missing)
  test('failover of clusters of etcds', { skip: missing }, () => {})
} else {
  const scratch = new ScratchFolder()
  const folder = scratch.path
  after(() => scratch[Symbol.dispose]())
  const three = (name: string, options: Partial<ConstructorParameters<typeof EtcdCluster>[0]> = {}): EtcdCluster => new EtcdCluster({ size: 3, random, folder: join(folder, name), program: program.length === 1 ? program[0] ?? 'ours' : program, ...options })

  test('C4, C5: leader failover, planned transfer, a minority and a majority lost', { timeout: 600_000 * soak }, async (t) => {
    await using etcd = three('failover')
    await etcd.start()
    const failovers: number[] = []
    for (let turn = 0; turn < 10 * soak; turn++) {
      const leader = await etcd.leader()
      using probe = new Probe(etcd.members.filter((member) => member !== leader).map((member) => etcd.process(member).endpoint))
      await probe.nextAnswer()
      const from = realClock.monotonic()
      await etcd.process(leader).kill()
      failovers.push(await probe.nextAnswer(from) - from)
      await etcd.process(leader).start()
    }
    const transfers: number[] = []
    for (let turn = 0; turn < 10 * soak; turn++) {
      const leader = await etcd.leader()
      const [target = 0] = etcd.choose(1, etcd.members.filter((member) => member !== leader))
      const { memberId } = await etcd.process(target).admin.status()
      using probe = new Probe([etcd.process(target).endpoint])
      await probe.nextAnswer()
      const from = realClock.monotonic()
      await etcd.process(leader).admin.moveLeader(memberId)
      transfers.push(await probe.nextAnswer() - from)
      assert.equal(await etcd.leader(), target)
    }
    t.diagnostic(`C4: failover p50 ${percentile(failovers, 0.5)} ms, p99 ${percentile(failovers, 0.99)} ms of ${failovers.length}; planned transfer p50 ${percentile(transfers, 0.5)} ms, p99 ${percentile(transfers, 0.99)} ms of ${transfers.length}`)

    for (let turn = 0; turn < 3 * soak; turn++) {
      const leader = await etcd.leader()
      const [lost = 0] = etcd.choose(1, etcd.members.filter((member) => member !== leader))
      using probe = new Probe([etcd.process(leader).endpoint, ...etcd.members.filter((member) => member !== leader && member !== lost).map((member) => etcd.process(member).endpoint)])
      await probe.nextAnswer()
      await etcd.process(lost).kill()
      await delay(700)
      assert.deepEqual(probe.failures, [], 'a minority was lost: no write fails')
      assert.ok(probe.answers > 20, `${probe.answers} answers without a minority`)
      await etcd.process(lost).start()
      assert.deepEqual(probe.failures, [])
    }
    const back: number[] = []
    for (let turn = 0; turn < 3 * soak; turn++) {
      const lost = etcd.choose(2)
      const left = etcd.members.filter((member) => !lost.includes(member))
      await Promise.all(lost.map((member) => etcd.process(member).kill()))
      using probe = new Probe(left.map((member) => etcd.process(member).endpoint))
      await delay(1200)
      assert.equal(probe.answers, 0, 'a majority was lost: nothing is acknowledged')
      const from = realClock.monotonic()
      for (const member of lost) etcd.process(member).spawn()
      back.push(await probe.nextAnswer(from) - from)
      await etcd.untilHealthy()
    }
    t.diagnostic(`C5: back after a majority returned: ${back.map((ms) => `${Math.round(ms)} ms`).join(', ')}`)
    assert.ok(Math.max(...back) <= 5000, 'back in five seconds')
  })

  // Much of their time is spent waiting.
  describe('beside each other', { concurrency: 2 }, () => {
    test('C7: wall clocks jump by a day: no election, leases end when they should', { timeout: 600_000 * soak, skip: clockShiftMissing ?? (isOurs ? false : 'the original asks the kernel without the C library') }, async (t) => {
      if (clockShiftMissing !== undefined && process.env['CI']) throw new Error(clockShiftMissing)
      const clock = new ShiftedClock(join(folder, 'clock.shift'))
      await using etcd = three('clock', { process: { environment: clock.environment } })
      await etcd.start()
      using client = new RemoteEtcdClient({ endpoints: etcd.endpoints, clock: realClock })
      const termOf = async (): Promise<number> => Math.max(...[...(await etcd.statuses()).values()].map(({ term }) => term))
      const before = await termOf()
      const ttlSeconds = 3
      /** One lease lives through this jump and those that come meanwhile. Resolves to how much too late it ended. */
      const jump = async (aheadMs: number, turn: number): Promise<number> => {
        const { id } = await client.leaseGrant(ttlSeconds, signal())
        const granted = realClock.monotonic()
        const leased = Buffer.from(`/registry/leased-${turn}`)
        await client.txn({ compare: [], success: [{ type: 'put', key: leased, value: leased, lease: id }], failure: [] }, signal())
        clock.jumpTo(aheadMs)
        const left = await client.leaseTimeToLive(id, signal())
        const passed = (realClock.monotonic() - granted) / 1000
        assert.ok(Math.abs(left.ttlSeconds + passed - ttlSeconds) <= 1, `a lease of ${ttlSeconds} s has ${left.ttlSeconds} s left ${passed} s after the jump`)
        while ((await client.range({ key: leased }, signal())).count > 0) await delay(20)
        return (realClock.monotonic() - granted) / 1000 - ttlSeconds
      }
      const day = 24 * 3600 * 1000
      const ends: Promise<number>[] = []
      for (let turn = 0; turn < 5 * soak; turn++) {
        ends.push(jump([day, -day, 0, 2 * day, 3600_000][turn % 5] ?? 0, turn))
        await delay(500)
      }
      const errors = await Promise.all(ends)
      t.diagnostic(`C7: ${errors.length} jumps, leases ended ${errors.map((error) => error.toFixed(2)).join(', ')} s late`)
      assert.ok(errors.every((error) => Math.abs(error) <= 1), `leases ended ${errors.join(', ')} s late`)
      assert.equal(await termOf(), before, 'no election')
    })

    test('D6: a flipped bit in the log of one member: it names the damage and does not start, the others go on; with a good log it is back', { timeout: 600_000 * soak, skip: isOurs ? false : 'names of our errors' }, async (t) => {
      await using etcd = three('corrupt', { flags: ['--snapshot-count', '100000'] })
      await etcd.start()
      using campaign = new Campaign({ etcd, random, folder: join(folder, 'histories'), name: 'corrupt', clients: 8, watchers: 4 })
      const said = new Map<string, number>()
      for (let turn = 0; turn < 10 * soak && campaign.violations.length === 0; turn++) {
        await campaign.round(200, {
          name: 'a flipped bit', patienceMs: 2000,
          strike: async ({ answers }) => {
            const [victim = 0] = turn % 2 === 0 ? [await etcd.leader()] : etcd.choose(1, await etcd.followers())
            const process = etcd.process(victim)
            await process.kill()
            const good = join(folder, 'good')
            cpSync(process.dataDir, good, { recursive: true })
            flipBit(join(process.dataDir, 'member/wal'))
            process.spawn()
            process.expectEnd()
            await answers(100)
            const end = await Promise.race([process.exit, delay(10_000, 'it still runs')])
            assert.match(end, /^code [1-9]/, 'a member with a damaged log does not run')
            const named = /corrupt|damaged|checksum|crc/i.exec(process.errors)?.[0]
            assert.ok(named, `it names the damage: ${process.errors}`)
            said.set(named, (said.get(named) ?? 0) + 1)
            rmSync(process.dataDir, { recursive: true })
            cpSync(good, process.dataDir, { recursive: true })
            rmSync(good, { recursive: true })
          },
        })
      }
      await campaign.finish()
      t.diagnostic(`D6: ${10 * soak} flipped bits refused: ${JSON.stringify([...said])}; ${describeCounts(campaign.counts)}`)
      assert.deepEqual(campaign.violations, [], `seed ${seed}`)
    })

    test('D9: a snapshot taken under load, restored as a new cluster: the hash is the same', { timeout: 600_000 * soak, skip: isOurs ? false : 'our etcdutl' }, async (t) => {
      await using etcd = await singleEtcd({ dataDir: join(folder, 'saved') })
      await etcd.start()
      using campaign = new Campaign({ etcd, random, folder: join(folder, 'histories'), name: 'saved', clients: 8, watchers: 4, compacts: false })
      const hashes: string[] = []
      for (let turn = 0; turn < 3 * soak && campaign.violations.length === 0; turn++) {
        await campaign.round(400, {
          name: 'snapshot',
          strike: async ({ answers }) => {
            const file = join(folder, `snapshot-${turn}.db`)
            const [bytes] = await Promise.all([etcd.admin.snapshot(), answers(100)])
            writeFileSync(file, bytes)
            const dataDir = join(folder, `restored-${turn}`)
            const restored = spawnSync(globalThis.process.execPath, ['--disable-proto=delete', '--disable-warning=ExperimentalWarning', '-e', etcdutl, 'snapshot', 'restore', file, '--data-dir', dataDir], { encoding: 'utf8' })
            assert.equal(restored.status, 0, restored.stderr)
            await using again = await singleEtcd({ dataDir })
            await again.start()
            const { revision } = await again.admin.status()
            const [theirs, ours] = await Promise.all([again.hashKV(revision), etcd.hashKV(revision)])
            assert.deepEqual({ hash: theirs.hash, revision: theirs.hashRevision }, { hash: ours.hash, revision: ours.hashRevision }, `at revision ${revision}`)
            hashes.push(`${theirs.hash} at ${revision}`)
          },
        })
      }
      await campaign.finish()
      t.diagnostic(`D9: ${hashes.join(', ')}`)
      assert.deepEqual(campaign.violations, [], `seed ${seed}`)
    })
  })
}

const etcdutl = `import(${JSON.stringify(resolve(import.meta.dirname, '../../src/cmd/etcdutl.ts'))}).then(({ run }) => run(process.argv.slice(1))).then((code) => { process.exitCode = code })`

/** One bit of what is written in a log, not of its last record: that could not be told from an unfinished write. */
function flipBit(walFolder: string): void {
  const names = readdirSync(walFolder).filter((name) => name.endsWith('.wal')).sort()
  const path = join(walFolder, names.at(-1) ?? '')
  const bytes = readFileSync(path)
  let length = bytes.length
  while (length > 0 && bytes[length - 1] === 0) length--
  const at = randomInteger(realRandom, Math.max(1, length - 20_000))
  bytes[at] = (bytes[at] ?? 0) ^ (1 << randomInteger(realRandom, 8))
  writeFileSync(path, bytes)
}

function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0)
}
