// D3: at every place where our etcd changes its disk, or sends or receives between members, it crashes (half-way through a write too) and stalls,
// with load on it; the histories are checked. The places are those that the processes come by (failpoints.ts). Where one member has crashed
// already, three only stall.
import { after, test, type TestContext } from 'node:test'
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { realClock } from '../../src/lib/async/real-clock.ts'
import { seededRandom } from '../../src/lib/base/random.ts'
import { Campaign, type Deployment } from './campaign.ts'
import { networkMissing } from './cluster-network.ts'
import { EtcdCluster } from './etcd-cluster.ts'
import { EtcdProcess, singleEtcd } from './etcd-process.ts'
import type { FailpointAction } from './failpoints.ts'
import { checkerMissing } from './linearizable.ts'
import { describeCounts, ScratchFolder, seed, shuffle, soak, writeLedger } from './soak.ts'

/** Small enough that segments, snapshots and the removal of both come by all the time. */
const flags = ['--snapshot-count', '100']
const smallSizes = { K8TS_SMALL_SIZES: '1' }
const hitWithinMs = 8000
const placesPerRound = 8
/** Where a crash has been tried. */
const crashedAt = new Set<string>()
const random = seededRandom(seed)

if (checkerMissing !== undefined) {
  if (process.env['CI']) throw new Error(checkerMissing)
  test('failpoints of etcd', { skip: checkerMissing }, () => {})
} else {
  const scratch = new ScratchFolder()
  const folder = scratch.path
  after(() => scratch[Symbol.dispose]())

  test('D3: one member: a crash at each place of the disk, and a torn write', { timeout: 300_000 * soak }, async (t) => {
    await using etcd = await singleEtcd({ dataDir: join(folder, 'one'), flags, failpoints: true, environment: smallSizes })
    await goThrough(t, etcd, [etcd], () => etcd.start(), 15, folder)
  })

  test('D3: three members: a stall at each place of the disk and of the network, and a crash at those that one member does not have', { timeout: 600_000 * soak, skip: networkMissing() ?? false }, async (t) => {
    await using etcd = new EtcdCluster({ size: 3, random, folder: join(folder, 'three'), flags, process: { failpoints: true, environment: smallSizes } })
    await goThrough(t, etcd, etcd.members.map((member) => etcd.process(member)), () => etcd.start(), 40, folder)
  })
}

/** Tries every place that the processes tell of, with everything that can happen there. */
async function goThrough(t: TestContext, etcd: Deployment, processes: readonly EtcdProcess[], start: () => Promise<void>, leastPlaces: number, folder: string): Promise<void> {
  const began = realClock.monotonic()
  const places = new Set<string>()
  const hits = new Map<EtcdProcess, Set<string>>()
  for (const process of processes) {
    hits.set(process, new Set())
    process.onFailpoint = (message) => {
      if (message.type === 'seen') places.add(message.name)
      if (message.type === 'hit') hits.get(process)?.add(message.name)
    }
  }
  await start()
  const single = processes.length === 1
  using campaign = new Campaign({ etcd, random, folder: join(folder, 'histories'), name: single ? 'one' : 'three', clients: 6, watchers: 3 })
  const tried = new Set<string>()
  const missed: string[] = []
  let turn = 0

  /** Something happens at a place of one process; whether it came by there. */
  const strike = async (name: string, action: FailpointAction): Promise<boolean> => {
    // Who comes by: the leader sends what followers receive, so all are asked, and the first it happens to is it.
    const order = shuffle(random, processes)
    for (const process of order) hits.get(process)?.clear()
    const fatal = action === 'crash' || action === 'tear'
    const victim = order[turn++ % order.length]
    for (const process of single || name.startsWith('peer:') ? order : victim ? [victim] : []) {
      if (fatal) process.expectEnd()
      process.tell({ type: 'arm', name, action })
    }
    const struck = (): readonly EtcdProcess[] => order.filter((process) => (fatal ? !process.isRunning : hits.get(process)?.has(name)))
    for (const deadline = realClock.monotonic() + hitWithinMs; struck().length === 0 && realClock.monotonic() < deadline;) await delay(10)
    for (const process of order) process.tell({ type: 'disarm' })
    await delay(20)
    const found = struck()
    for (const process of found) if (!process.isRunning) process.spawn()
    return found.length > 0
  }

  /** What is left over is removed at the start: something is left over by a crash, and the next life begins with this armed. */
  const strikeAtStart = async (name: string, action: FailpointAction): Promise<boolean> => {
    const process = processes[turn++ % processes.length]
    if (!process) return false
    process.expectEnd()
    process.tell({ type: 'arm', name: name.replace(/:remove:.*/, ':sync:before'), action: 'crash' })
    if (await Promise.race([process.exit, delay(hitWithinMs, 'not there')]) !== 'SIGKILL') return false
    hits.get(process)?.clear()
    process.spawn(undefined, `${name}=${action}`)
    if (action === 'crash') {
      process.expectEnd()
      const end = await Promise.race([process.exit, delay(hitWithinMs, 'not there')])
      if (process.isRunning) await process.kill()
      process.spawn()
      return end === 'SIGKILL'
    }
    await process.untilHealthy()
    return hits.get(process)?.has(name) ?? false
  }

  const actionsAt = (name: string): readonly FailpointAction[] => {
    if (single) return [name.endsWith(':torn') ? 'tear' : 'crash']
    return [...(crashedAt.has(name) ? [] : [name.endsWith(':torn') ? 'tear' as const : 'crash' as const]), ...(name.endsWith(':torn') ? [] : ['stall' as const])]
  }
  const next = (): readonly string[] => [...places].filter((name) => !tried.has(name)).slice(0, placesPerRound)
  for (let repeat = 0; repeat < soak && campaign.violations.length === 0; repeat++) {
    tried.clear()
    await campaign.round(600, { name: 'nothing yet', strike: () => Promise.resolve() })
    for (let batch = next(); batch.length > 0 && campaign.violations.length === 0; batch = next()) {
      await campaign.round(50, {
        name: batch.join(', '), patienceMs: 2000,
        strike: async ({ answers }) => {
          for (const name of batch) {
            tried.add(name)
            const actions = actionsAt(name)
            if (single) crashedAt.add(name)
            for (const action of actions) {
              if (!(await (/tmp.*:remove:/.test(name) ? strikeAtStart : strike)(name, action))) missed.push(`${name}=${action}`)
              // All of them serve before the next thing happens.
              await Promise.all(processes.map((process) => process.untilHealthy()))
              await answers(20)
            }
          }
        },
      })
    }
  }
  await campaign.finish()
  t.diagnostic(`seed ${seed}: ${tried.size} places: ${[...tried].sort().join(' ')}`)
  t.diagnostic(`not come by again: ${missed.join(' ')}; ${describeCounts(campaign.counts)}`)
  assert.deepEqual(campaign.violations, [], `seed ${seed}`)
  assert.ok(tried.size >= leastPlaces, `only ${tried.size} places`)
  assert.ok(missed.length <= tried.size * 0.1, `too many places were not come by: ${missed.join(' ')}`)
  writeLedger(`${processes.length} members, ${tried.size} failpoints`, campaign.counts, began)
}
