// A cluster for controller tests: the fake API server, the controller manager on a simulated clock, and nodes that run every pod given to them at once.
import { formatTime } from '../../src/lib/base/clock.ts'
import { seededRandom } from '../../src/lib/base/random.ts'
import type { Deployment } from '../../src/lib/api/generated/types/apps-v1.ts'
import type { Pod } from '../../src/lib/api/generated/types/core-v1.ts'
import { createApiClient } from '../../src/lib/client/resource-client.ts'
import type { ApiClient } from '../../src/lib/client/api-client.ts'
import { leases, nodes, pods } from '../../src/lib/client/resource-keys.ts'
import type { Logger } from '../../src/lib/component-base/log.ts'
import { silentLogger } from '../../src/lib/component-base/log.ts'
import { FakeApiServer } from '../../src/lib/testing/fake-api-server.ts'
import { deepFreeze } from '../../src/lib/testing/fake-store.ts'
import { SimulatedClock, settle } from '../../src/lib/testing/simulated-clock.ts'
import { startControllerManager } from '../../src/control-plane/kube-controller-manager/controller-manager.ts'
import type { ControllerManager, ControllerManagerOptions } from '../../src/control-plane/kube-controller-manager/controller-manager.ts'
import { isPodTerminal } from '../../src/control-plane/kube-controller-manager/controllers/shared/pod-state.ts'

export interface FakeCluster extends AsyncDisposable {
  readonly clock: SimulatedClock
  readonly server: FakeApiServer
  readonly client: ApiClient
  readonly manager: ControllerManager
  /** Ends the controller manager where it stands, as a crash would, and starts another one. */
  restart(): Promise<void>
  readonly signal: AbortSignal
  /** Errors that controllers logged. */
  readonly errors: string[]
  /** Nodes whose kubelet is silent: no heartbeats, no pods started or stopped. */
  readonly silent: Set<string>
  /** Lets the kubelets act and the controllers react, until nothing moves. */
  settle(): Promise<void>
  /** The same, over `ms` of time, with heartbeats every 10 s. */
  advance(ms: number): Promise<void>
}

export interface FakeClusterOptions extends Partial<Omit<ControllerManagerOptions, 'client' | 'clock' | 'random' | 'logger'>> {
  readonly nodes?: number
  /** Pods with this image never become ready. */
  readonly brokenImage?: string
  /** How a started pod ends at once; undefined: it runs on. */
  readonly outcome?: (pod: Pod) => 'Succeeded' | 'Failed' | undefined
}

export async function startFakeCluster(options: FakeClusterOptions = {}): Promise<FakeCluster> {
  const clock = new SimulatedClock()
  const stop = new AbortController()
  const silent = new Set<string>()
  const errors: string[] = []
  const logger: Logger = {
    ...silentLogger, error: (message, error, values) => { errors.push(`${message}: ${error instanceof Error ? error.stack ?? error.message : String(error)} ${JSON.stringify(values ?? {})}`) }, named: () => logger,
  }
  const names = Array.from({ length: options.nodes ?? 2 }, (_, i) => `node-${i + 1}`)
  const server = new FakeApiServer({ clock })
  const client = createApiClient(server, { userAgent: 'test' })
  const heartbeat = (name: string): void => {
    const renewTime = formatTime(clock.now())
    if (server.get(leases, 'kube-node-lease', name)) server.change(leases, 'kube-node-lease', name, (lease) => ({ ...lease, spec: { ...lease.spec, renewTime } }))
    else server.seed(leases, { metadata: { name, namespace: 'kube-node-lease' }, spec: { holderIdentity: name, renewTime, leaseDurationSeconds: 40 } })
    // A kubelet that is back posts its status.
    const ready = server.get(nodes, '', name)?.status?.conditions?.find((c) => c.type === 'Ready')
    if (ready && ready.status !== 'True') {
      server.change(nodes, '', name, (node) => ({ ...node, status: { ...node.status, conditions: readyConditions(clock.now()) } }))
    }
  }
  for (const name of names) {
    server.seed(nodes, { metadata: { name, labels: { 'kubernetes.io/hostname': name } }, spec: {}, status: { conditions: readyConditions(clock.now()) } })
    // As the node lifecycle controller does for a ready node; not every test runs it.
    server.change(nodes, '', name, (node) => ({ ...node, spec: { ...node.spec, taints: [] } }))
    heartbeat(name)
  }
  let term = new AbortController()
  const startManager = (): ControllerManager => startControllerManager({ client, clock, random: seededRandom(7), logger, onStore: (object) => { deepFreeze(object) }, ...options }, AbortSignal.any([stop.signal, term.signal]))
  let manager = startManager()
  await settle(20)
  await manager.ready
  const restart = async (): Promise<void> => {
    term.abort(new Error('crashed'))
    await manager.done
    term = new AbortController()
    manager = startManager()
    await settle(20)
    await manager.ready
  }

  /** One round of scheduler and kubelets; true when anything was done. */
  const actOnPods = (): boolean => {
    let acted = false
    let counter = server.list(pods).length
    for (const pod of server.list(pods)) {
      const { namespace = '', name } = pod.metadata
      const node = pod.spec.nodeName
      if (!node) {
        const healthy = names.filter((n) => server.get(nodes, '', n)?.spec.taints?.some((t) => t.effect === 'NoSchedule' || t.effect === 'NoExecute') !== true && !server.get(nodes, '', n)?.spec.unschedulable)
        const pinned = pod.spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms?.[0]?.matchFields?.[0]?.values?.[0]
        const target = pinned ?? healthy.toSorted((a, b) => podsOn(server, a) - podsOn(server, b))[0]
        if (target && !pod.metadata.deletionTimestamp) { server.change(pods, namespace, name, (p) => ({ ...p, spec: { ...p.spec, nodeName: target } })); acted = true }
      } else if (silent.has(node) || !names.includes(node)) continue
      else if (pod.metadata.deletionTimestamp !== undefined) {
        if (!pod.metadata.finalizers?.length) server.remove(pods, namespace, name)
        else if (!isPodTerminal(pod)) server.change(pods, namespace, name, (p) => ({ ...p, status: { ...p.status, phase: 'Succeeded' } }))
        else continue
        acted = true
      } else if (pod.status.phase === 'Pending') {
        const broken = options.brokenImage !== undefined && pod.spec.containers?.[0]?.image === options.brokenImage
        if (broken) continue
        const time = formatTime(clock.now())
        const ended = options.outcome?.(pod)
        if (ended) {
          const state = { terminated: { exitCode: ended === 'Failed' ? 1 : 0, reason: ended === 'Failed' ? 'Error' : 'Completed', finishedAt: time, startedAt: time } }
          const containerStatuses = [{ name: 'c', state, lastState: {}, ready: false, restartCount: 0, image: '', imageID: '' }]
          server.change(pods, namespace, name, (p) => ({ ...p, status: { ...p.status, phase: ended, containerStatuses } }) as Pod) // cast: as much of a status as controllers look at
          acted = true
          continue
        }
        server.change(pods, namespace, name, (p) => ({
          ...p, status: {
            ...p.status, phase: 'Running', podIP: `10.0.0.${++counter}`, podIPs: [{ ip: `10.0.0.${counter}` }], startTime: time,
            conditions: [{ type: 'Ready', status: 'True', lastTransitionTime: time }, { type: 'ContainersReady', status: 'True', lastTransitionTime: time }],
          },
        }))
        acted = true
      }
    }
    return acted
  }
  const settleAll = async (): Promise<void> => {
    for (let round = 0; round < 200; round++) {
      await clock.advance(20)
      const before = server.store.revision
      const acted = actOnPods()
      await clock.advance(20)
      if (!acted && server.store.revision === before) return
    }
    throw new Error('the cluster does not come to rest')
  }
  return {
    clock, server, client, get manager() { return manager }, restart, signal: stop.signal, errors, silent, settle: settleAll,
    async advance(ms) {
      const end = clock.monotonic() + ms
      while (clock.monotonic() < end) {
        for (const name of names) if (!silent.has(name)) heartbeat(name)
        await clock.advance(Math.min(10_000, end - clock.monotonic()))
        await settleAll()
      }
    },
    async [Symbol.asyncDispose]() {
      stop.abort(new Error('the test is over'))
      await manager.done
    },
  }
}

function readyConditions(now: number): readonly { readonly type: string, readonly status: string, readonly reason: string, readonly lastHeartbeatTime: string, readonly lastTransitionTime: string }[] {
  const time = formatTime(now)
  return [['MemoryPressure', 'False'], ['DiskPressure', 'False'], ['PIDPressure', 'False'], ['Ready', 'True']].map(([type = '', status = '']) => ({ type, status, reason: 'Kubelet', lastHeartbeatTime: time, lastTransitionTime: time }))
}

function podsOn(server: FakeApiServer, node: string): number { return server.list(pods).filter((pod) => pod.spec.nodeName === node).length }

export function deployment(name: string, replicas: number, image = 'web:1'): Pick<Deployment, 'metadata' | 'spec'> {
  const made = { metadata: { name, namespace: 'default' }, spec: { replicas, selector: { matchLabels: { app: name } }, template: { metadata: { labels: { app: name } }, spec: { containers: [{ name: 'c', image }] } } } }
  return made as unknown as Deployment // cast: a draft; the server fills in the rest
}

export function imagesOf(all: readonly Pod[]): readonly string[] { return all.filter((pod) => !pod.metadata.deletionTimestamp).map((pod) => pod.spec.containers?.[0]?.image ?? '').sort() }
