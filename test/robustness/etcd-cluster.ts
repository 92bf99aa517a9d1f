// Several etcds as processes, each in a network namespace of its own: the cluster under test, and the faults that strike it.
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { realClock } from '../../src/lib/async/real-clock.ts'
import { randomInteger, type Random } from '../../src/lib/base/random.ts'
import type { Deployment } from './campaign.ts'
import { ClusterNetwork } from './cluster-network.ts'
import type { MemberStatus, RevisionHash } from './etcd-admin.ts'
import { defaultReadyWithinMs, EtcdProcess, type EtcdProcessOptions, type EtcdProgram } from './etcd-process.ts'

export interface EtcdClusterOptions {
  readonly size: number
  readonly random: Random
  /** For data and logs. */
  readonly folder: string
  /** One for all, or one per member: mixed clusters. */
  readonly program?: EtcdProgram | readonly EtcdProgram[]
  readonly flags?: readonly string[]
  readonly process?: Pick<EtcdProcessOptions, 'control' | 'failpoints' | 'smallSizes' | 'environment' | 'readyWithinMs'>
  /** A data folder elsewhere than in `folder`. */
  readonly dataDirOf?: (member: number) => string
}

const electedWithinMs = 20_000

export class EtcdCluster implements Deployment {
  readonly network: ClusterNetwork
  readonly #options: EtcdClusterOptions
  readonly #processes = new Map<number, EtcdProcess>()
  #members: number[]
  #next: number

  constructor(options: EtcdClusterOptions) {
    this.#options = options
    this.network = new ClusterNetwork()
    this.#members = Array.from({ length: options.size }, (_, member) => member)
    this.#next = options.size
    for (const member of this.#members) this.#make(member, member)
  }

  /** Their numbers; a member that was removed is none. */
  get members(): readonly number[] { return this.#members }
  get endpoints(): readonly string[] { return this.#members.map((member) => this.process(member).endpoint) }
  get unexpectedEnds(): readonly string[] { return [...this.#processes.values()].flatMap((process) => process.unexpectedEnds) }
  get running(): readonly number[] { return this.#members.filter((member) => this.process(member).isRunning) }
  /** Resolves when no member is left. */
  get exit(): Promise<unknown> { return Promise.all(this.#members.map((member) => this.process(member).exit)) }

  process(member: number): EtcdProcess {
    const found = this.#processes.get(member)
    if (!found) throw new Error(`there is no member ${member}`)
    return found
  }

  nameOf(member: number): string { return `m${member}` }
  peerUrl(member: number): string { return `http://${this.network.addressOf(member)}:2380` }
  #initialCluster(members: readonly number[]): string { return members.map((member) => `${this.nameOf(member)}=${this.peerUrl(member)}`).join(',') }

  #make(member: number, folder: number | string): void {
    const { program = 'ours', flags = [], dataDirOf } = this.#options
    this.network.addMember(member)
    this.#processes.set(member, new EtcdProcess({
      ...this.#options.process, program: typeof program === 'string' ? program : program[member] ?? 'ours', namespace: this.network.namespaceOf(member), endpoint: `http://${this.network.addressOf(member)}:2379`,
      dataDir: dataDirOf?.(member) ?? join(this.#options.folder, `m${folder}`),
      flags: ['--name', this.nameOf(member), '--listen-peer-urls', this.peerUrl(member), '--initial-advertise-peer-urls', this.peerUrl(member), ...flags],
    }))
  }

  /** All at once, as a new cluster. */
  async start(): Promise<void> {
    for (const member of this.#members) await this.process(member).prepare()
    for (const member of this.#members) this.process(member).spawn(['--initial-cluster', this.#initialCluster(this.#members), '--initial-cluster-state', 'new'])
    await this.untilHealthy(defaultReadyWithinMs)
  }

  async untilHealthy(withinMs?: number): Promise<void> { await Promise.all(this.#members.map((member) => this.process(member).untilHealthy(withinMs))) }

  /** Heals the network, and brings back who is stopped or gone. */
  async recover(): Promise<void> {
    this.network.heal()
    for (const member of this.#members) {
      const process = this.process(member)
      if (process.isRunning) process.signal('SIGCONT')
      else process.spawn()
    }
    await this.untilHealthy()
  }

  async statuses(members: readonly number[] = this.running): Promise<ReadonlyMap<number, MemberStatus>> {
    const found = await Promise.all(members.map(async (member) => [member, await this.process(member).admin.status(500).catch(() => undefined)] as const))
    return new Map(found.flatMap(([member, status]) => (status ? [[member, status] as const] : [])))
  }

  /** The member that leads, as those say who are asked; waits for one. */
  async leader(members: readonly number[] = this.running): Promise<number> {
    for (const deadline = realClock.monotonic() + electedWithinMs; realClock.monotonic() < deadline; await delay(20)) {
      const statuses = [...await this.statuses(members)]
      const newest = Math.max(...statuses.map(([, { term }]) => term))
      const leader = statuses.find(([, { leaderId, memberId, term }]) => leaderId === memberId && term === newest)
      if (leader) return leader[0]
    }
    throw new Error(`no leader among ${members.join()} in ${electedWithinMs} ms`)
  }

  async followers(): Promise<readonly number[]> {
    const leader = await this.leader()
    return this.running.filter((member) => member !== leader)
  }

  /** `count` members, by chance. */
  choose(count: number, among: readonly number[] = this.#members): readonly number[] {
    const left = [...among]
    return Array.from({ length: Math.min(count, left.length) }, () => left.splice(randomInteger(this.#options.random, left.length), 1)[0] ?? 0)
  }

  /** Makes a member and starts it: the cluster is asked to take it in, as a learner or as a voter. Resolves to its number. */
  async add(isLearner: boolean): Promise<number> {
    const member = this.#next++
    this.#make(member, member)
    const others = this.#members
    // An answer may be lost although it was done.
    await this.#retry(others, async (admin) => {
      if (!(await admin.members()).some(({ peerUrls }) => peerUrls.includes(this.peerUrl(member)))) await admin.addMember(this.peerUrl(member), isLearner)
    })
    this.#members = [...others, member]
    this.process(member).spawn(['--initial-cluster', this.#initialCluster(this.#members), '--initial-cluster-state', 'existing'])
    await this.process(member).untilServing()
    return member
  }

  /** Promotes a learner as soon as it has caught up. */
  async promote(member: number): Promise<void> {
    const { memberId } = await this.process(member).admin.status()
    await this.#retry(this.#members.filter((other) => other !== member), async (admin) => {
      if ((await admin.members()).some(({ id, isLearner }) => id === memberId && isLearner)) await admin.promoteMember(memberId)
    })
  }

  /** Removes a member from the cluster, running or not, and ends its process. */
  async remove(member: number): Promise<void> {
    const others = this.#members.filter((other) => other !== member)
    this.process(member).expectEnd()
    await this.#retry(others, async (admin) => {
      const listed = (await admin.members()).find(({ peerUrls }) => peerUrls.includes(this.peerUrl(member)))
      if (listed) await admin.removeMember(listed.id)
    })
    this.#members = others
    await this.process(member).kill()
  }

  /** Asks one after the other until one does it: elections and members that catch up are no failure. */
  async #retry<T>(members: readonly number[], ask: (admin: EtcdProcess['admin']) => Promise<T>): Promise<T> {
    let last: unknown
    for (const deadline = realClock.monotonic() + electedWithinMs; realClock.monotonic() < deadline; await delay(50)) {
      for (const member of members) {
        try {
          return await ask(this.process(member).admin)
        } catch (error) {
          last = error
        }
      }
    }
    throw new Error(`the cluster refuses: ${String(last)}`, { cause: last })
  }

  hashKV(revision: number, member = 0): Promise<RevisionHash> { return this.process(this.#members[member % this.#members.length] ?? 0).admin.hashKV(revision) }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#processes.values()].map((process) => process[Symbol.asyncDispose]()))
    this.network[Symbol.dispose]()
  }
}
