// D3: at every place where our etcd changes its disk, or sends or receives between members, it crashes (half-way through a write too) and stalls,
// with load on it; the histories are checked. The places are those that the processes come by (failpoints.ts). One member crashes at each place of
// the disk that it comes by; three stall at each of these and of the network's, and one of them crashes at each of the others.
import { after, test, type TestContext } from 'node:test'
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { realClock } from '../../src/lib/async/real-clock.ts'
import { seededRandom } from '../../src/lib/base/random.ts'
import { Campaign, type Deployment, type Round } from './campaign.ts'
import { networkMissing } from './cluster-network.ts'
import { EtcdCluster } from './etcd-cluster.ts'
import { EtcdProcess, singleEtcd } from './etcd-process.ts'
import type { FailpointAction } from './failpoints.ts'
import { checkerMissing } from './linearizable.ts'
import { describeCounts, ScratchFolder, seed, shuffle, soak, writeLedger } from './soak.ts'

const flags = ['--snapshot-count', '100', '--snapshot-catchup-entries', '20']
/** K8TS_PLACES=<regular expression>: these places alone. */
const wanted = new RegExp(process.env['K8TS_PLACES'] ?? '')
const hitWithinMs = 8000
const placesPerRound = 10
const random = seededRandom(seed)
/** Places of the disk where one member has crashed. */
const crashedAt = new Set<string>()

if (checkerMissing !== undefined) {
  if (process.env['CI']) throw new Error(checkerMissing)
  test('failpoints of etcd', { skip: checkerMissing }, () => {})
} else {
  const scratch = new ScratchFolder()
  const folder = scratch.path
  after(() => scratch[Symbol.dispose]())

  test('D3: one member: a crash at each place of the disk, and a torn write', { timeout: 300_000 * soak }, async (t) => {
    await using etcd = await singleEtcd({ dataDir: join(folder, 'one'), flags, failpoints: true, environment: { K8TS_SMALL_SIZES: '1' } })
    await new Failpoints(etcd, [etcd], folder).goThrough(t, () => etcd.start(), 40)
  })

  test('D3: three members: a stall at each place of the disk and of the network, and a crash where one member does not come by', { timeout: 600_000 * soak, skip: networkMissing() ?? false }, async (t) => {
    await using etcd = new EtcdCluster({ size: 3, random, folder: join(folder, 'three'), flags, process: { failpoints: true, environment: { K8TS_SMALL_SIZES: '1' } } })
    await new Failpoints(etcd, etcd.members.map((member) => etcd.process(member)), folder).goThrough(t, () => etcd.start(), 70)
  })
}

class Failpoints {
  readonly #etcd: Deployment
  readonly #cluster: EtcdCluster | undefined
  readonly #processes: readonly EtcdProcess[]
  readonly #folder: string
  readonly #places = new Set<string>()
  readonly #hits = new Map<EtcdProcess, Set<string>>()
  readonly #missed: string[] = []
  #actions = 0
  /** For who starts meanwhile. */
  #armed = ''

  constructor(etcd: Deployment, processes: readonly EtcdProcess[], folder: string) {
    this.#etcd = etcd
    this.#cluster = etcd instanceof EtcdCluster ? etcd : undefined
    this.#processes = processes
    this.#folder = folder
    for (const process of processes) {
      const hits = new Set<string>()
      this.#hits.set(process, hits)
      process.onFailpoint = (message) => {
        if (message.type === 'seen') this.#places.add(message.name)
        if (message.type === 'hit') hits.add(message.name)
      }
    }
  }

  /** Tries every place that the processes tell of. */
  async goThrough(t: TestContext, start: () => Promise<void>, leastPlaces: number): Promise<void> {
    const began = realClock.monotonic()
    await start()
    const name = this.#cluster ? 'three' : 'one'
    using campaign = new Campaign({ etcd: this.#etcd, random, folder: join(this.#folder, 'histories'), name, clients: 6, watchers: 3 })
    const tried = new Set<string>()
    const next = (): readonly string[] => shuffle(random, [...this.#places].filter((place) => !tried.has(place) && wanted.test(place))).slice(0, placesPerRound)
    for (let repeat = 0; repeat < soak && campaign.violations.length === 0; repeat++) {
      tried.clear()
      await campaign.round(600, { name: 'nothing yet', strike: async (round) => { if (this.#cluster) await this.#provokeEverything(this.#cluster, round) } })
      for (let batch = next(); batch.length > 0 && campaign.violations.length === 0; batch = next()) {
        for (const place of batch) tried.add(place)
        await campaign.round(30, { name: batch.join(', '), patienceMs: 2000, strike: (round) => this.#strike(batch, round) })
      }
    }
    await campaign.finish()
    t.diagnostic(`seed ${seed}: ${tried.size} places, ${this.#actions} times something happened: ${[...tried].sort().join(' ')}`)
    t.diagnostic(`not come by again: ${this.#missed.join(' ')}; ${describeCounts(campaign.counts)}`)
    assert.deepEqual(campaign.violations, [], `seed ${seed}`)
    assert.ok(tried.size >= leastPlaces || process.env['K8TS_PLACES'] !== undefined, `only ${tried.size} places`)
    assert.ok(this.#missed.length <= tried.size * 0.15, `too many places were not come by: ${this.#missed.join(' ')}`)
    writeLedger(`${this.#processes.length} members, ${tried.size} failpoints, ${this.#actions} crashes and stalls`, campaign.counts, began)
  }

  async #strike(batch: readonly string[], round: Round): Promise<void> {
    if (this.#cluster) await this.#stallAll(batch.filter((place) => !place.endsWith(':torn') && !isAtStart(place)), round)
    for (const place of batch) {
      if (this.#cluster && crashedAt.has(place)) continue
      // After a message differs little from before the next: longer runs have it.
      if (soak === 1 && /^peer:.*:after$/.test(place)) continue
      if (!this.#cluster) crashedAt.add(place)
      const action = place.endsWith(':torn') ? 'tear' : 'crash'
      const struck = await (isAtStart(place) ? this.#crashAtStart(place) : this.#crash(place, action, round))
      if (struck) this.#actions++
      else this.#missed.push(`${place}=${action}`)
      await this.#allHealthy()
    }
    await round.answers(20)
  }

  /** Several may have come by before they were told that one is enough. */
  async #allHealthy(): Promise<void> {
    for (let turn = 0; ; turn++) {
      for (const process of this.#processes) if (!process.isRunning) process.spawn()
      try {
        await Promise.all(this.#processes.map((process) => process.untilHealthy()))
        return
      } catch (error) {
        if (turn === 3) throw error
      }
    }
  }

  /** A stall at each of these, at every member, as they come by. */
  async #stallAll(places: readonly string[], round: Round): Promise<void> {
    for (const hits of this.#hits.values()) hits.clear()
    this.#armed = places.map((place) => `${place}=stall`).join()
    for (const process of this.#processes) for (const place of places) process.tell({ type: 'arm', name: place, action: 'stall' })
    for (const place of places) await this.#provoke(place, round)
    const left = (): readonly string[] => places.filter((place) => ![...this.#hits.values()].some((hits) => hits.has(place)))
    await this.#until(() => left().length === 0)
    this.#disarm()
    this.#missed.push(...left().map((place) => `${place}=stall`))
    this.#actions += places.length - left().length
  }

  async #crash(place: string, action: FailpointAction, round: Round): Promise<boolean> {
    this.#armed = `${place}=${action}`
    for (const process of this.#processes) {
      process.expectEnd()
      process.tell({ type: 'arm', name: place, action })
    }
    await this.#provoke(place, round)
    const struck = (): boolean => this.#processes.some((process) => !process.isRunning && process.errors.includes(`failpoint ${place}:`))
    await this.#until(struck)
    const found = struck()
    this.#disarm()
    // Another may have come by before it was told.
    await delay(20)
    for (const process of this.#processes) if (!process.isRunning) process.spawn()
    return found
  }

  #disarm(): void {
    this.#armed = ''
    for (const process of this.#processes) process.tell({ type: 'disarm' })
  }

  /** What is left over is removed at the start: something is left over by a crash, and the next life begins with this armed. */
  async #crashAtStart(place: string): Promise<boolean> {
    const [process] = this.#processes
    if (!process) return false
    process.expectEnd()
    process.tell({ type: 'arm', name: place.replace(/:remove:.*/, ':sync:before'), action: 'crash' })
    await this.#until(() => !process.isRunning)
    if (process.isRunning) return false
    process.spawn(undefined, `${place}=crash`)
    process.expectEnd()
    await this.#until(() => !process.isRunning)
    const struck = process.errors.includes(`failpoint ${place}:`)
    if (process.isRunning) await process.kill()
    process.spawn()
    return struck
  }

  async #until(holds: () => boolean): Promise<void> { for (const deadline = realClock.monotonic() + hitWithinMs; !holds() && realClock.monotonic() < deadline;) await delay(10) }

  /** Has them come by at places of elections and of whole states, which load alone does not lead to. */
  async #provoke(place: string, round: Round): Promise<void> {
    const cluster = this.#cluster
    if (!cluster) return
    if (place.includes('PreVote')) await this.#loseLeader(cluster)
    else if (/Vote|TimeoutNow|TransferLeader/.test(place)) await this.#handOver(cluster)
    else if (/snapshot|Snap|snap.db/.test(place)) await this.#leaveBehind(cluster, round)
  }

  async #provokeEverything(cluster: EtcdCluster, round: Round): Promise<void> {
    await this.#loseLeader(cluster)
    await cluster.untilHealthy()
    await this.#handOver(cluster)
    await this.#leaveBehind(cluster, round)
    await cluster.untilHealthy()
  }

  async #loseLeader(cluster: EtcdCluster): Promise<void> {
    const leader = cluster.process(await cluster.leader())
    leader.signal('SIGSTOP')
    await delay(2500)
    leader.signal('SIGCONT')
  }

  async #handOver(cluster: EtcdCluster): Promise<void> {
    const leader = await cluster.leader()
    const other = [...(await cluster.statuses()).entries()].find(([member]) => member !== leader)
    // Whoever crashes meanwhile can't answer.
    if (other) await cluster.process(leader).admin.moveLeader(other[1].memberId).catch(() => {})
  }

  /** A follower misses more than the leader keeps in memory. */
  async #leaveBehind(cluster: EtcdCluster, { answers }: Round): Promise<void> {
    const [follower = 0] = await cluster.followers()
    const process = cluster.process(follower)
    await process.kill()
    // When another crashes meanwhile there are none.
    await Promise.race([answers(150).catch(() => {}), delay(4000)])
    process.spawn(undefined, this.#armed)
    process.expectEnd()
  }
}

function isAtStart(place: string): boolean { return /tmp.*:remove:/.test(place) }
