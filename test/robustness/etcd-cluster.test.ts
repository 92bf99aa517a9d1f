// Clusters of etcds as processes, each in a network namespace of its own, under load and under faults; what the clients saw is checked from outside.
//
// K8TS_ETCD=original runs it on the original etcd, which proves the harness; K8TS_ETCD=ours,ours,original on a mixed cluster. See soak.ts for
// longer runs, which have five members too.
import { after, describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { realClock } from '../../src/lib/async/real-clock.ts'
import { seededRandom } from '../../src/lib/base/random.ts'
import { Campaign, type Fault } from './campaign.ts'
import * as faults from './cluster-faults.ts'
import { networkMissing } from './cluster-network.ts'
import { EtcdCluster, type EtcdClusterOptions } from './etcd-cluster.ts'
import type { EtcdProgram } from './etcd-process.ts'
import { changeMembership, replaceMember } from './membership-faults.ts'
import { checkerMissing } from './linearizable.ts'
import { enlarged } from './operation.ts'
import { LoopDisk, powerCutMissing } from './loop-disk.ts'
import { describeCounts, ScratchFolder, seed, shuffle, soak, writeLedger } from './soak.ts'
import { until } from './until.ts'

const program = (process.env['K8TS_ETCD'] ?? 'ours').split(',') as EtcdProgram[] // cast: whoever sets it knows the names
const isOurs = program.every((one) => one === 'ours')
const missing = checkerMissing ?? networkMissing()
const powerCuts = 8 * soak
/** Of clients between two calls: what happens while members are away is of little interest, and leaves them the processor. */
const pauseMs = 3

function cluster(options: Omit<EtcdClusterOptions, 'random' | 'program'>): EtcdCluster {
  return new EtcdCluster({ random: seededRandom(seed), program: program.length === 1 ? program[0] ?? 'ours' : program, ...options, flags: [...faults.electionFlags, ...options.flags ?? []] })
}

const times = (count: number, fault: Fault): readonly Fault[] => Array.from({ length: count * soak }, () => fault)

if (missing !== undefined || (process.env['CI'] && powerCutMissing())) {
  if (process.env['CI']) throw new Error(missing ?? powerCutMissing())
  test('robustness of clusters of etcds', { skip: missing ?? false }, () => {})
} else {
  const scratch = new ScratchFolder()
  const folder = scratch.path
  after(() => scratch[Symbol.dispose]())

  const total = { rounds: 0, operations: 0, unknown: 0 }

  /** Round after round, all of them without a violation. */
  const campaign = async (name: string, etcd: EtcdCluster, list: readonly Fault[], operations: number, say: (text: string) => void): Promise<void> => {
    const began = realClock.monotonic()
    using running = new Campaign({ etcd, random: seededRandom(seed), folder: join(folder, 'histories'), name, clients: 8, watchers: 8, pauseMs })
    const took: string[] = []
    for (const fault of shuffle(seededRandom(seed), list)) {
      const from = realClock.monotonic()
      await running.round(operations, fault)
      took.push(`${fault.name} ${((realClock.monotonic() - from) / 1000).toFixed(1)} s`)
      if (running.violations.length > 0) break
    }
    await running.finish()
    const { counts, violations } = running
    say(`seed ${seed}, ${etcd.members.length} members: ${took.join(', ')}: ${describeCounts(counts)}`)
    assert.deepEqual(violations, [], `seed ${seed}`)
    for (const count of ['rounds', 'operations', 'unknown'] as const) total[count] += counts[count]
    writeLedger(`${etcd.members.length} members, ${summary(list)}`, counts, began)
  }

  // Much of the time is spent waiting for elections: two clusters share the machine.
  for (const size of soak > 1 ? [3, 5] : [3]) {
    describe(`${size} members`, { concurrency: 2 }, () => {
      test(`C1, C2, C6: ${size} members: stalled, and their network cut, one-sided, flapping, lossy and slow`, { timeout: 600_000 * soak }, async (t) => {
        await using etcd = cluster({ size, folder: join(folder, `cut-${size}`) })
        await etcd.start()
        await campaign(`cut-${size}`, etcd, [
          ...times(4, faults.stallLeader(etcd)), ...times(1, faults.stallFollower(etcd)), ...times(2, faults.isolateLeader(etcd)), ...times(1, faults.isolateMinority(etcd)), ...times(1, faults.deafLeader(etcd)),
          ...times(1, faults.muteLeader(etcd)), ...times(2, faults.brokenLink(etcd)), ...times(2, faults.flapping(etcd)), ...times(2, faults.lossyNetwork(etcd)), ...times(1, faults.slowNetwork(etcd)),
        ], 600, (text) => t.diagnostic(text))
      })

      test(`D1, C1, C2: ${size} members: one, the leader, a majority and all killed, and each ended`, { timeout: 600_000 * soak }, async (t) => {
        await using etcd = cluster({ size, folder: join(folder, `killed-${size}`) })
        await etcd.start()
        await campaign(`killed-${size}`, etcd, [...times(3, faults.killOne(etcd)), ...times(3, faults.killLeader(etcd)), ...times(3, faults.killMajority(etcd)), ...times(3, faults.killAll(etcd)), ...times(1, faults.endEach(etcd))], 600, (text) => t.diagnostic(text))
      })

      test(`C1, C2: ${size} members: learners and voters added, promoted and removed, and one replaced whose data is gone`, { timeout: 600_000 * soak }, async (t) => {
        await using etcd = cluster({ size, folder: join(folder, `members-${size}`) })
        await etcd.start()
        await campaign(`members-${size}`, etcd, [...times(2, changeMembership(etcd)), ...times(1, replaceMember(etcd))], 600, (text) => t.diagnostic(text))
      })

      test(`D2, D7: ${size} members: the power of one, of a majority and of all is cut`, { timeout: 600_000 * soak, skip: powerCutMissing() ?? false }, async (t) => {
        const random = seededRandom(seed)
        await using cleanup = new AsyncDisposableStack()
        const disks = Array.from({ length: size }, (_, member) => cleanup.use(new LoopDisk(join(folder, `power-${size}-${member}`), 256)))
        const etcd = cleanup.use(cluster({ size, folder: join(folder, `power-${size}`), dataDirOf: (member) => join(disks[member]?.path ?? folder, 'data') }))
        await etcd.start()
        const cut = (name: string, choose: () => readonly number[]): Fault => ({
          name, patienceMs: 2000,
          strike: async ({ answers }) => {
            const members = choose()
            for (const member of members) etcd.process(member).expectEnd()
            for (const member of members) disks[member]?.cutPower()
            if (members.length * 2 < size) await answers(100)
            for (const member of members) await etcd.process(member).kill()
            for (const member of members) disks[member]?.restorePower()
          },
        })
        const list = Array.from({ length: powerCuts }, (_, i) => i % 5 < 2 ? cut('power cut of all', () => etcd.members) : i % 5 < 4 ? cut('power cut of a majority', () => etcd.choose(Math.floor(size / 2) + 1)) : cut('power cut of one', () => etcd.choose(1)))
        await campaign(`power-${size}`, etcd, shuffle(random, list), 600, (text) => t.diagnostic(text))
      })

      test(`D8: ${size} members: the disk of one that follows is full: the others go on, the alarm is everybody's, and it is back when there is room`, { timeout: 600_000 * soak, skip: powerCutMissing() ?? (isOurs ? false : 'the original ends') }, async (t) => {
        await using cleanup = new AsyncDisposableStack()
        const disks = Array.from({ length: size }, (_, member) => cleanup.use(new LoopDisk(join(folder, `full-${size}-${member}`), 64)))
        const etcd = cleanup.use(cluster({ size, folder: join(folder, `full-${size}`), dataDirOf: (member) => join(disks[member]?.path ?? folder, 'data') }))
        await etcd.start()
        let isFull = false
        using running = new Campaign({ etcd, random: seededRandom(seed), folder: join(folder, 'histories'), name: `full-${size}`, clients: 8, watchers: 4, pauseMs, reshape: (call) => (isFull ? enlarged(call) : call) })
        await running.round(200, {
          name: 'disk of a follower full', patienceMs: 2000,
          strike: async ({ answers }) => {
            const [full = 0] = etcd.choose(1, await etcd.followers())
            const disk = disks[full]
            const filler = join(disk?.path ?? '', 'filler')
            disk?.fill(filler)
            isFull = true
            await answers(20)
            await until(async () => (await Promise.all(etcd.members.filter((member) => member !== full).map((member) => etcd.process(member).admin.alarms()))).every((alarms) => alarms.includes('NOSPACE')), 'the alarm NOSPACE is raised everywhere')
            isFull = false
            const { revision } = running.log
            rmSync(filler)
            await until(async () => (await etcd.process(full).admin.alarms()).includes('NOSPACE'), 'it hears of its alarm')
            await etcd.process(await etcd.leader()).admin.disarm()
            await until(() => running.log.revision > revision + 50, 'writes come back')
            await answers(100)
          },
        })
        await running.round(200, faults.killLeader(etcd))
        await running.finish()
        t.diagnostic(describeCounts(running.counts))
        assert.deepEqual(running.violations, [], `seed ${seed}`)
      })
    })
  }

  test('C1: all histories together', () => {
    assert.ok(total.rounds >= 40 * soak && total.operations >= 20_000 * soak && total.unknown <= total.operations * 0.01, JSON.stringify(total))
  })

  // Each of these has a fault put in: the suite is worth nothing if it passes.
  const controls: readonly (readonly [control: string, expected: RegExp, fault: (etcd: EtcdCluster) => Fault])[] = [
    ['read-without-quorum', /not linearizable/, faults.isolateLeader], ['commit-without-quorum', /lost|differ|not linearizable|two changes|ended|reads nothing/, faults.isolateLeader],
    ['early-acknowledgement', /lost|differ|not linearizable|ended/, faults.killAll],
  ]
  describe('controls', { concurrency: 3 }, () => {
    for (const [control, expected, fault] of isOurs ? controls : []) {
      test(`control: ${control} is noticed with three members`, { timeout: 600_000 }, async () => {
        await using etcd = cluster({ size: 3, folder: join(folder, control), process: { control, readyWithinMs: 7000 } })
        await etcd.start()
        using running = new Campaign({ etcd, random: seededRandom(seed), folder: join(folder, 'histories'), name: control, clients: 12, pauseMs })
        for (let round = 0; round < 5 && running.violations.length === 0; round++) {
          await running.round(300, fault(etcd))
          await running.finish()
        }
        assert.ok(running.violations.some((text) => expected.test(text)), `seed ${seed}: noticed ${JSON.stringify(running.violations.slice(0, 5))}`)
      })
    }
  })
}

function summary(list: readonly Fault[]): string {
  const counts = new Map<string, number>()
  for (const { name } of list) counts.set(name, (counts.get(name) ?? 0) + 1)
  return [...counts].map(([name, count]) => `${count} × ${name}`).join(', ')
}
