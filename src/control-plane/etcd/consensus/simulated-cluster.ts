// Several members in one process, on simulated disks, a simulated network and one simulated clock: for tests.
import type { Logger } from '../../../lib/component-base/log.ts'
import { silentLogger } from '../../../lib/component-base/log.ts'
import { seededRandom, type Random } from '../../../lib/base/random.ts'
import { SimulatedClock } from '../../../lib/testing/simulated-clock.ts'
import { SimulatedDisk } from '../../../lib/testing/simulated-disk.ts'
import { openEtcd, type EmbeddedEtcd, type EtcdOptions } from '../embedded.ts'
import { clusterIdOf, memberIdOf } from '../member-identity.ts'
import type { ClusterMember } from '../membership/cluster-member.ts'
import type { BootstrapPlan } from '../membership/plan-bootstrap.ts'
import { SimulatedPeerNetwork } from './simulated-peer-network.ts'

export interface SimulatedClusterOptions {
  readonly size: number
  readonly seed?: number
  readonly logger?: Logger
  readonly clock?: SimulatedClock
  readonly settings?: Partial<EtcdOptions>
}

export interface SimulatedNode {
  readonly id: bigint
  readonly name: string
  disk: SimulatedDisk
  /** Undefined while it is down. */
  etcd: EmbeddedEtcd | undefined
}

const token = 'simulation'
const peerUrlsOf = (name: string): readonly string[] => [`http://${name}:2380`]

export class SimulatedCluster implements AsyncDisposable {
  readonly clock: SimulatedClock
  readonly random: Random
  readonly network: SimulatedPeerNetwork
  readonly nodes: SimulatedNode[] = []
  readonly #options: SimulatedClusterOptions
  readonly #first: readonly ClusterMember[]

  constructor(options: SimulatedClusterOptions) {
    this.#options = options
    this.clock = options.clock ?? new SimulatedClock()
    this.random = seededRandom(options.seed ?? 1)
    this.network = new SimulatedPeerNetwork({ clock: this.clock, random: this.random })
    this.#first = Array.from({ length: options.size }, (_, i) => memberOf(`m${i + 1}`))
    for (const { id, name } of this.#first) this.nodes.push({ id, name, disk: new SimulatedDisk(this.random), etcd: undefined })
  }

  /** Starts all members, and waits until they serve. */
  static async start(options: SimulatedClusterOptions): Promise<SimulatedCluster> {
    const cluster = new SimulatedCluster(options)
    await Promise.all(cluster.nodes.map((node) => cluster.startNode(node)))
    await cluster.until(() => Promise.all(cluster.nodes.map((node) => node.etcd?.whenReady())))
    return cluster
  }

  /** The cluster as a new member is told: those that it began with, or those that are there when it joins. */
  planFor(node: SimulatedNode): BootstrapPlan {
    const clusterId = clusterIdOf(this.#first.map(({ id }) => id))
    const isNewCluster = this.#first.some(({ id }) => id === node.id)
    const now = this.leader()?.etcd.internals.member.machine.membership.list() ?? this.#first
    const members = isNewCluster ? this.#first : [...now.filter(({ id }) => id !== node.id), { ...memberOf(node.name), id: node.id }]
    return { memberId: node.id, clusterId, members: [...members].sort((a, b) => (a.id < b.id ? -1 : 1)), isNewCluster }
  }

  async startNode(node: SimulatedNode, settings: Partial<EtcdOptions> = {}): Promise<EmbeddedEtcd> {
    node.etcd = await openEtcd({
      disk: { dataDir: '/data', disk: node.disk }, clock: this.clock, random: this.random, logger: this.#options.logger?.named(node.name) ?? silentLogger, name: node.name, peerUrls: peerUrlsOf(node.name),
      clientUrls: [`http://${node.name}:2379`], initialCluster: this.planFor(node), transport: this.network.join(node.id), zeroedBytes: 8192, ...this.#options.settings, ...settings,
    })
    return node.etcd
  }

  /** A place for a member that was added while the cluster runs. */
  addNode(id: bigint, name: string): SimulatedNode {
    const node: SimulatedNode = { id, name, disk: new SimulatedDisk(this.random), etcd: undefined }
    this.nodes.push(node)
    return node
  }

  /** The power goes: what wasn't durable may be lost. */
  async crash(node: SimulatedNode): Promise<void> {
    const { etcd } = node
    node.etcd = undefined
    node.disk.failFrom(1)
    this.network.unplug(node.id)
    node.disk = node.disk.reboot()
    await this.until(async () => etcd?.[Symbol.asyncDispose]())
  }

  async stop(node: SimulatedNode): Promise<void> {
    const { etcd } = node
    node.etcd = undefined
    await this.until(async () => etcd?.[Symbol.asyncDispose]())
  }

  get running(): readonly (SimulatedNode & { readonly etcd: EmbeddedEtcd })[] { return this.nodes.filter((node): node is SimulatedNode & { readonly etcd: EmbeddedEtcd } => node.etcd !== undefined) }

  leader(): (SimulatedNode & { readonly etcd: EmbeddedEtcd }) | undefined {
    // One that was cut off may not know yet that it leads no more.
    return [...this.running].filter(({ etcd }) => etcd.internals.member.isLeader).sort((a, b) => b.etcd.internals.member.term - a.etcd.internals.member.term)[0]
  }

  /** Lets time pass until `work` is done. @throws when it takes longer than `limitMs` of the cluster's time */
  async until<T>(work: () => Promise<T>, limitMs = 60_000): Promise<T> {
    const over: { outcome?: { readonly value: T } | { readonly error: unknown } } = {}
    void work().then((value) => { over.outcome = { value } }, (error: unknown) => { over.outcome = { error } })
    for (let passed = 0; over.outcome === undefined; passed += 10) {
      if (passed > limitMs) throw new Error(`not done after ${limitMs} ms`)
      await this.clock.advance(10)
    }
    if ('error' in over.outcome) throw over.outcome.error
    return over.outcome.value
  }

  /** Lets time pass until it holds. */
  async untilTrue(holds: () => boolean, limitMs = 60_000): Promise<void> {
    for (let passed = 0; !holds(); passed += 10) {
      if (passed > limitMs) throw new Error(`not so after ${limitMs} ms`)
      await this.clock.advance(10)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> { for (const node of this.nodes) await this.stop(node) }
}

function memberOf(name: string): ClusterMember { return { id: memberIdOf(peerUrlsOf(name), token), name, peerUrls: peerUrlsOf(name), clientUrls: [], isLearner: false } }
