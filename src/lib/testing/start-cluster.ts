// A true cluster inside a test: `await using cluster = await startCluster()`. etcd, the API server, every controller, the scheduler and kubelets
// are the real ones; the disk is memory, pods run on a simulated runtime, and time is a clock that the test moves.
//
//   await using cluster = await startCluster({ nodes: 2 })
//   await cluster.admin.resource(deployments).create('default', {...}, cluster.signal)
//   await cluster.until(async () => ..., 'three pods run')
//   await cluster.clock.advance(5 * 60_000)
import type { ApiClient, ApiObject } from '../client/api-client.ts'
import type { Logger } from '../component-base/log.ts'
import { silentLogger } from '../component-base/log.ts'
import { seededRandom } from '../base/random.ts'
import { realClock } from '../async/real-clock.ts'
import { startControlPlane } from '../../cmd/cluster/control-plane.ts'
import type { ControlPlane } from '../../cmd/cluster/control-plane.ts'
import { startSimulatedNode } from '../../cmd/cluster/simulated-node.ts'
import type { SimulatedNode } from '../../cmd/cluster/simulated-node.ts'
import { generateKeyPair } from '../net/pki/certificates.ts'
import { SimulatedClock, settle } from './simulated-clock.ts'

export interface TestClusterOptions {
  /** Number of nodes, 1 by default; 0 for a control plane alone. */
  readonly nodes?: number
  /** The same seed gives the same names, addresses and choices. */
  readonly seed?: number
  /** As --controllers of kube-controller-manager. */
  readonly controllers?: readonly string[]
  readonly logger?: Logger
  /** Freeze every object that enters a cache, so that a component that writes into one fails. On by default. */
  readonly freeze?: boolean
}

export interface TestCluster extends AsyncDisposable {
  readonly clock: SimulatedClock
  /** All rights. */
  readonly admin: ApiClient
  readonly controlPlane: ControlPlane
  /** Live nodes by name: `node-1`, `node-2`, … */
  readonly nodes: ReadonlyMap<string, SimulatedNode>
  /** Ends with the cluster. */
  readonly signal: AbortSignal
  addNode(options?: { readonly name?: string; readonly labels?: { readonly [key: string]: string } }): Promise<SimulatedNode>
  /** The node falls silent, as if its machine had lost power: its kubelet reports nothing any more. */
  killNode(name: string): Promise<void>
  /** Moves time on in small steps until `condition` holds; fails with `what` after `withinMs` of simulated time. */
  until(condition: () => Promise<boolean> | boolean, what: string, withinMs?: number): Promise<void>
}

const stepMs = 100

export async function startCluster(options: TestClusterOptions = {}): Promise<TestCluster> {
  const clock = new SimulatedClock()
  const random = seededRandom(options.seed ?? 1)
  const logger = options.logger ?? silentLogger
  const stop = new AbortController()
  const { signal } = stop
  const onStore = (options.freeze ?? true) ? (object: ApiObject) => { deepFreeze(object) } : undefined
  await using resources = new AsyncDisposableStack()
  const keys = generateKeyPair()
  const starting = startControlPlane({
    clock, random, logger, disk: 'memory', listen: [], apiServer: { serviceClusterIpRange: '10.96.0.0/16', freezeObjects: options.freeze ?? true, serviceAccounts: { issuers: ['https://kubernetes.default.svc.cluster.local'], signingKey: keys.keyPem } },
    controllers: { controllers: options.controllers ?? ['*'], settings: { clusterCidrs: ['10.244.0.0/16'], allocateNodeCidrs: true, rootCa: 'test' }, ...(onStore ? { onStore } : {}) },
  }, signal)
  const controlPlane = resources.use(await pump(clock, starting))
  const nodes = new Map<string, SimulatedNode>()
  const killers = new Map<string, AbortController>()
  const admin = controlPlane.admin
  const addNode: TestCluster['addNode'] = async (node = {}) => {
    const index = killers.size
    const name = node.name ?? `node-${index + 1}`
    const kill = new AbortController()
    killers.set(name, kill)
    const started = await pump(clock, startSimulatedNode({
      name, index, client: controlPlane.clientOf(`system:node:${name}`, ['system:nodes'], 'kubelet'), clock, random, logger: logger.named(name), ...(node.labels ? { labels: node.labels } : {}), ...(onStore ? { onStore } : {}),
    }, AbortSignal.any([signal, kill.signal])))
    nodes.set(name, started)
    return started
  }
  for (let i = 0; i < (options.nodes ?? 1); i++) await addNode()
  const kept = resources.move()
  return {
    clock, admin, controlPlane, nodes, signal, addNode,
    async killNode(name) {
      killers.get(name)?.abort(new Error(`${name} lost power`))
      nodes.delete(name)
      await settle()
    },
    async until(condition, what, withinMs = 60_000) {
      const end = clock.monotonic() + withinMs
      for (;;) {
        await settle()
        if (await condition()) return
        if (clock.monotonic() >= end) throw new Error(`not within ${withinMs / 1000} simulated seconds: ${what}`)
        await clock.advance(stepMs)
      }
    },
    async [Symbol.asyncDispose]() {
      stop.abort(new Error('the test is over'))
      await pump(clock, kept.disposeAsync())
    },
  }
}

/** Waits for something that itself waits for the simulated clock: moves it on, bit by bit, until it is done. */
async function pump<T>(clock: SimulatedClock, promise: Promise<T>): Promise<T> {
  let done = false
  const finished = promise.finally(() => { done = true })
  finished.catch(() => {}) // awaited below
  await settle()
  const giveUpMs = realClock.monotonic() + 30_000
  while (!done) {
    if (realClock.monotonic() > giveUpMs) throw new Error('the cluster did not start: something waits that no clock moves')
    await clock.advance(10)
  }
  return finished
}

function deepFreeze(value: unknown): void {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return
  Object.freeze(value)
  for (const item of Object.values(value)) deepFreeze(item)
}
