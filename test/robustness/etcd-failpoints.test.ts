// D3: at every place where our etcd changes its disk, or sends or receives between members, it crashes (half-way through a write too) and stalls,
// with load on it; the histories are checked. The places are those that the processes come by (failpoints.ts). One member crashes at each place of
// the disk that it comes by; three stall at each of these and of the network's, and one of them crashes at each of the others.
import { after, test, type TestContext } from 'node:test'
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { realClock } from '../../src/lib/async/real-clock.ts'
import { seededRandom } from '../../src/lib/base/random.ts'
import { Campaign, sumOf, type Counts, type Deployment, type Round } from './campaign.ts'
import { networkMissing } from './cluster-network.ts'
import { EtcdCluster } from './etcd-cluster.ts'
import { EtcdProcess, singleEtcd } from './etcd-process.ts'
import type { FailpointAction } from './failpoints.ts'
import { checkerMissing } from './linearizable.ts'
import { describeCounts, ScratchFolder, seed, shuffle, soak, writeLedger } from './soak.ts'

const flags = ['--snapshot-count', '100', '--snapshot-catchup-entries', '20']
/** A leader that stands still for `leaderlessMs` is replaced. */
const electionFlags = ['--heartbeat-interval', '50', '--election-timeout', '500']
const leaderlessMs = 1300
/** K8TS_PLACES=<regular expression>: these places alone. */
const wanted = new RegExp(process.env['K8TS_PLACES'] ?? '')
const hitWithinMs = 8000
/** Enough for a snapshot. */
const answersMeanwhile = 200
const placesPerRound = 10
/** Between two calls of a client: most of the time goes into starting processes. */
const pauseMs = 4
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

  test('D3: one member: a crash at each place of the disk, and a torn write', { timeout: 600_000 * soak }, async (t) => {
    await using cleanup = new AsyncDisposableStack()
    const etcds = await Promise.all([1, 2].map(async (number) => cleanup.use(await singleEtcd({ dataDir: join(folder, `one-${number}`), flags, failpoints: true, smallSizes: true }))))
    await goThrough(t, 40, (coverage) => etcds.map((etcd, at) => new Failpoints(coverage, etcd, [etcd], folder, `one-${at + 1}`, () => etcd.start())))
  })

  test('D3: three members: a stall at each place of the disk and of the network, and a crash where one member does not come by', { timeout: 600_000 * soak, skip: networkMissing() ?? false }, async (t) => {
    await using cleanup = new AsyncDisposableStack()
    const clusters = [1, 2].map((number) => cleanup.use(new EtcdCluster({ size: 3, random, folder: join(folder, `three-${number}`), flags: [...flags, ...electionFlags], process: { failpoints: true, smallSizes: true } })))
    await goThrough(t, 70, (coverage) => clusters.map((etcd, at) => new Failpoints(coverage, etcd, etcd.members.map((member) => etcd.process(member)), folder, `three-${at + 1}`, () => etcd.start())))
  })
}

/** What several deployments do together: each takes places that nobody has tried. */
class Coverage {
  readonly places = new Set<string>()
  readonly tried = new Set<string>()
  readonly missed: string[] = []
  actions = 0

  /** Some of the next places, all of one kind: what leads to one of them leads to the others. */
  take(): readonly string[] {
    const left = shuffle(random, [...this.places].filter((place) => !this.tried.has(place) && wanted.test(place)))
    const [first] = left
    const batch = left.filter((place) => first !== undefined && provocationOf(place) === provocationOf(first)).slice(0, placesPerRound)
    for (const place of batch) this.tried.add(place)
    return batch
  }
}

/** Has all of them, side by side, try every place that their processes tell of. */
async function goThrough(t: TestContext, leastPlaces: number, make: (coverage: Coverage) => readonly Failpoints[]): Promise<void> {
  const began = realClock.monotonic()
  const coverage = new Coverage()
  const all = make(coverage)
  try {
    await Promise.all(all.map((one) => one.begin()))
    for (let repeat = 0; repeat < soak; repeat++) {
      coverage.tried.clear()
      await Promise.all(all.map((one) => one.tryPlaces()))
    }
    await Promise.all(all.map((one) => one.finish()))
  } finally {
    for (const one of all) one[Symbol.dispose]()
  }
  const counts = sumOf(all.map((one) => one.counts))
  t.diagnostic(`seed ${seed}: ${coverage.tried.size} places, ${coverage.actions} times something happened: ${[...coverage.tried].sort().join(' ')}`)
  t.diagnostic(`not come by again: ${coverage.missed.join(' ')}; ${describeCounts(counts)}`)
  assert.deepEqual(all.flatMap((one) => one.violations), [], `seed ${seed}`)
  assert.ok(coverage.tried.size >= leastPlaces || process.env['K8TS_PLACES'] !== undefined, `only ${coverage.tried.size} places`)
  assert.ok(coverage.missed.length <= coverage.tried.size * soak * 0.1, `too many places were not come by: ${coverage.missed.join(' ')}`)
  writeLedger(`${all.map((one) => `${one.size} members`).join(' and ')}, ${coverage.tried.size} failpoints, ${coverage.actions} crashes and stalls`, counts, began)
}

/** What leads to a place that load alone does not lead to. */
type Provocation = 'none' | 'leader lost' | 'leadership handed over' | 'member left behind'

function provocationOf(place: string): Provocation {
  if (place.includes('PreVote')) return 'leader lost'
  if (/Vote|TimeoutNow|TransferLeader/.test(place)) return 'leadership handed over'
  if (/snapshot|Snap|snap.db/.test(place)) return 'member left behind'
  return 'none'
}

class Failpoints implements Disposable {
  readonly #coverage: Coverage
  readonly #cluster: EtcdCluster | undefined
  readonly #processes: readonly EtcdProcess[]
  readonly #hits = new Map<EtcdProcess, Set<string>>()
  readonly #startAll: () => Promise<void>
  readonly #makeCampaign: () => Campaign
  #campaign: Campaign | undefined
  /** For who starts meanwhile. */
  #armed = ''

  constructor(coverage: Coverage, etcd: Deployment, processes: readonly EtcdProcess[], folder: string, name: string, startAll: () => Promise<void>) {
    this.#coverage = coverage
    this.#cluster = etcd instanceof EtcdCluster ? etcd : undefined
    this.#processes = processes
    this.#startAll = startAll
    this.#makeCampaign = () => new Campaign({ etcd, random, folder: join(folder, 'histories'), name, clients: 6, watchers: 3, pauseMs })
    for (const process of processes) {
      const hits = new Set<string>()
      this.#hits.set(process, hits)
      process.onFailpoint = (message) => {
        if (message.type === 'seen') coverage.places.add(message.name)
        if (message.type === 'hit') hits.add(message.name)
      }
    }
  }

  get size(): number { return this.#processes.length }
  get violations(): readonly string[] { return this.#campaign?.violations ?? [] }
  get counts(): Counts { return this.#running.counts }
  get #running(): Campaign { return this.#campaign ??= this.#makeCampaign() }

  /** They come by at as many places as they can be led to. */
  async begin(): Promise<void> {
    await this.#startAll()
    await this.#running.round(300, { name: 'nothing yet', strike: async (round) => { if (this.#cluster) await this.#provokeEverything(this.#cluster, round) } })
  }

  async tryPlaces(): Promise<void> {
    for (let batch = this.#coverage.take(); batch.length > 0 && this.violations.length === 0; batch = this.#coverage.take()) {
      await this.#running.round(30, { name: batch.join(', '), patienceMs: 2000, strike: (round) => this.#strike(batch, round) })
    }
  }

  async finish(): Promise<void> { await this.#running.finish() }
  [Symbol.dispose](): void { this.#campaign?.[Symbol.dispose]() }

  async #strike(batch: readonly string[], round: Round): Promise<void> {
    if (this.#cluster) await this.#stallAll(batch.filter((place) => !place.endsWith(':torn') && !isAtStart(place)), round)
    for (const place of batch) {
      if (this.#cluster && crashedAt.has(place)) continue
      if (!this.#cluster) crashedAt.add(place)
      const action = place.endsWith(':torn') ? 'tear' : 'crash'
      const struck = await (isAtStart(place) ? this.#crashAtStart(place, round) : this.#crash(place, action, round))
      if (struck) this.#coverage.actions++
      else this.#coverage.missed.push(`${place}=${action}`)
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
    const left = (): readonly string[] => places.filter((place) => ![...this.#hits.values()].some((hits) => hits.has(place)))
    for (let tries = 0; tries < 3 && left().length > 0; tries++) {
      for (const provocation of new Set(left().map(provocationOf))) await this.#provoke(provocation, round)
      await this.#until(() => left().length === 0, round, hitWithinMs / 3)
    }
    this.#disarm()
    this.#coverage.missed.push(...left().map((place) => `${place}=stall`))
    this.#coverage.actions += places.length - left().length
  }

  async #crash(place: string, action: FailpointAction, round: Round): Promise<boolean> {
    const [found] = await this.#untilCrashed(place, action, round)
    for (const process of this.#processes) if (!process.isRunning) process.spawn()
    return found !== undefined
  }

  /** What is left over is removed at the start: something is left over by a crash, and the next life begins with this armed. */
  async #crashAtStart(place: string, round: Round): Promise<boolean> {
    const [process] = await this.#untilCrashed(place.replace(/:remove:.*/, ':sync:before'), 'crash', round)
    if (!process) return false
    process.spawn(undefined, `${place}=crash`)
    process.expectEnd()
    await this.#until(() => !process.isRunning, round)
    const struck = process.errors.includes(`failpoint ${place}:`)
    if (process.isRunning) await process.kill()
    process.spawn()
    return struck
  }

  /** Resolves to those that ended there, usually one. */
  async #untilCrashed(place: string, action: FailpointAction, round: Round): Promise<readonly EtcdProcess[]> {
    this.#armed = `${place}=${action}`
    for (const process of this.#processes) {
      process.expectEnd()
      process.tell({ type: 'arm', name: place, action })
    }
    const struck = (): readonly EtcdProcess[] => this.#processes.filter((process) => !process.isRunning && process.errors.includes(`failpoint ${place}:`))
    for (let tries = 0; tries < 3 && struck().length === 0; tries++) {
      await this.#provoke(provocationOf(place), round)
      await this.#until(() => struck().length > 0, round, hitWithinMs / 3)
    }
    this.#disarm()
    // Another may have come by before it was told.
    await delay(20)
    return struck()
  }

  #disarm(): void {
    this.#armed = ''
    for (const process of this.#processes) process.tell({ type: 'disarm' })
  }

  /** Waits until it holds; gives up when the time is over and, on a slow machine, enough has happened meanwhile. */
  async #until(holds: () => boolean, round: Round, limitMs = hitWithinMs): Promise<void> {
    let isEnough = false
    void round.answers(answersMeanwhile).catch(() => {}).then(() => { isEnough = true })
    for (const deadline = realClock.monotonic() + limitMs; !holds() && !(isEnough && realClock.monotonic() > deadline);) await delay(10)
  }

  /** Has them come by at places of elections and of whole states. */
  async #provoke(provocation: Provocation, round: Round): Promise<void> {
    const cluster = this.#cluster
    if (!cluster) return
    if (provocation === 'leader lost') await this.#loseLeader(cluster)
    else if (provocation === 'leadership handed over') await this.#handOver(cluster)
    else if (provocation === 'member left behind') await this.#leaveBehind(cluster, round)
    // Clients may all be at one member by now.
    else await Promise.race([Promise.allSettled(this.#processes.map((process) => process.untilHealthy())), delay(500)])
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
    await delay(leaderlessMs)
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
