// node-lifecycle-controller: looks at every node each 5 s. One that has been silent for 40 s gets the condition Ready=Unknown, its pods are marked not
// ready, and it is tainted unreachable: NoSchedule at once, NoExecute under the zone's rate limit. What the pods then do is taint-eviction's.
// Upstream: kubernetes/pkg/controller/nodelifecycle
import type { Lease } from '../../../lib/api/generated/types/coordination-v1.ts'
import type { Node, Pod } from '../../../lib/api/generated/types/core-v1.ts'
import { formatTime } from '../../../lib/base/clock.ts'
import { leases, nodes, pods } from '../../../lib/client/resource-keys.ts'
import { hasNoExecuteTaint, noExecuteTaints, noScheduleTaints, notReadyTaint, unreachableTaint } from './node-lifecycle/taints.ts'
import { observeHealth, readyConditionOf, readyStatusOf, silentConditions } from './node-lifecycle/health.ts'
import type { NodeHealth, ReadyStatus } from './node-lifecycle/health.ts'
import { mayEvict, refillZone, zoneOf, zoneStateOf } from './node-lifecycle/zones.ts'
import type { Zone } from './node-lifecycle/zones.ts'
import { aboutObject, inOrder, patch, updateStatus, watch } from './shared/controller.ts'
import type { Action, Controller, Plan, PlannedEvent } from './shared/controller.ts'
import { podReadyCondition } from './shared/pod-state.ts'
import type { ControllerSettings } from './shared/settings.ts'

export interface NodeMemory {
  readonly health: ReadonlyMap<string, NodeHealth>
  readonly zones: ReadonlyMap<string, Zone>
  /** Nodes that wait to be tainted NoExecute, longest waiting first. */
  readonly queue: readonly string[]
  readonly allDisrupted: boolean
}

export interface ObservedNodes {
  readonly now: number
  readonly nodes: readonly Node[]
  readonly leaseOf: (node: Node) => Lease | undefined
  readonly podsOn: (node: Node) => readonly Pod[]
  readonly memory: NodeMemory | undefined
  readonly settings: ControllerSettings
}

const nothingYet: NodeMemory = { health: new Map(), zones: new Map(), queue: [], allDisrupted: false }

/** One look at all nodes. */
export function monitorNodes(observed: ObservedNodes): Plan<NodeMemory> {
  const { now, settings, memory = nothingYet } = observed
  const events: PlannedEvent[] = []
  const actions: Action[] = []
  let health = new Map<string, NodeHealth>()
  const rewritten = new Set<string>()
  const statusOf = new Map<string, ReadyStatus>()

  for (const node of observed.nodes) {
    const { name } = node.metadata
    const heard = observeHealth(memory.health.get(name), node, observed.leaseOf(node), now)
    health.set(name, heard)
    const graceMs = readyConditionOf(node) ? settings.nodeMonitorGracePeriodMs : settings.nodeStartupGracePeriodMs
    const conditions = now >= heard.heardMs + graceMs ? silentConditions(node, now) : undefined
    if (conditions) {
      actions.push(updateStatus(nodes, { ...node, status: { ...node.status, conditions } }, { tolerates: ['NotFound'] }))
      rewritten.add(name)
    }
    const before = readyStatusOf(node)
    const status: ReadyStatus = conditions ? 'Unknown' : before
    statusOf.set(name, status)
    if (conditions && before === 'True') events.push({ about: aboutObject(nodes, node), type: 'Normal', reason: 'NodeNotReady', message: `Node ${name} status is now: NodeNotReady` })
    if (status !== 'True') actions.push(...observed.podsOn(node).flatMap((pod) => markNotReady(pod, now)))
  }

  const zones = new Map<string, Zone>()
  const sizes = new Map<string, { ready: number, notReady: number }>()
  for (const node of observed.nodes) {
    const size = sizes.get(zoneOf(node)) ?? { ready: 0, notReady: 0 }
    sizes.set(zoneOf(node), statusOf.get(node.metadata.name) === 'True' ? { ...size, ready: size.ready + 1 } : { ...size, notReady: size.notReady + 1 })
  }
  for (const [zone, { ready, notReady }] of sizes) zones.set(zone, refillZone(memory.zones.get(zone), zoneStateOf(ready, notReady, settings.unhealthyZoneThreshold), ready + notReady, settings, now))
  const allDisrupted = zones.size > 0 && [...zones.values()].every((zone) => zone.state === 'FullDisruption')
  // Back from being cut off: every node gets its full time to be heard again.
  if (memory.allDisrupted && !allDisrupted) health = new Map([...health].map(([name, known]) => [name, { ...known, heardMs: now }]))

  const byName = new Map(observed.nodes.map((node) => [node.metadata.name, node]))
  const waiting = new Set(memory.queue.filter((name) => byName.has(name)))
  let deferred = false
  const taint = (node: Node, key: typeof notReadyTaint | typeof unreachableTaint | undefined): void => {
    const taints = noExecuteTaints(node, key, now)
    if (!taints) return
    if (rewritten.has(node.metadata.name)) { deferred = true; return }
    actions.push(patchTaints(node, taints))
  }
  for (const node of observed.nodes) {
    const { name } = node.metadata
    const status = statusOf.get(name) ?? 'Unknown'
    if (status === 'True' || allDisrupted) {
      waiting.delete(name)
      taint(node, undefined)
    } else if (hasNoExecuteTaint(node)) {
      waiting.delete(name)
      taint(node, status === 'False' ? notReadyTaint : unreachableTaint)
    } else waiting.add(name)
  }
  for (const name of waiting) {
    const node = byName.get(name)
    const zone = node && zones.get(zoneOf(node))
    if (!node || !zone) continue
    const size = sizes.get(zoneOf(node))
    if (!mayEvict(zone, (size?.ready ?? 0) + (size?.notReady ?? 0), settings)) continue
    if (rewritten.has(name)) { deferred = true; continue }
    zones.set(zoneOf(node), { ...zone, tokens: zone.tokens - 1 })
    taint(node, statusOf.get(name) === 'False' ? notReadyTaint : unreachableTaint)
  }
  return {
    events, steps: actions.length > 0 ? [{ mode: 'together', actions }] : [], requeueAfterMs: deferred ? 50 : settings.nodeMonitorPeriodMs,
    memory: { health, zones, queue: [...waiting], allDisrupted },
  }
}

function patchTaints(node: Node, taints: readonly { readonly key: string, readonly effect: string, readonly value?: string, readonly timeAdded?: string }[]): Action {
  return patch(nodes, node, 'application/merge-patch+json', { metadata: { resourceVersion: node.metadata.resourceVersion }, spec: { taints: taints.map((taint) => ({ ...taint })) } }, { tolerates: ['NotFound'] })
}

function markNotReady(pod: Pod, now: number): readonly Action[] {
  const ready = podReadyCondition(pod)
  if (ready?.status !== 'True') return []
  return [patch(pods, pod, 'application/strategic-merge-patch+json', {
    metadata: { uid: pod.metadata.uid }, status: { conditions: [{ type: 'Ready', status: 'False', lastTransitionTime: formatTime(now) }] },
  }, {
    subresource: 'status', tolerates: ['NotFound', 'Conflict'], succeeded: () => ({ about: aboutObject(pods, pod), type: 'Warning', reason: 'NodeNotReady', message: 'Node is not ready' }),
  })]
}

export function createNodeMonitor(settings: ControllerSettings): Controller<ObservedNodes, NodeMemory> {
  return {
    name: 'node-lifecycle-controller',
    component: 'node-controller',
    concurrency: 1,
    initialKeys: ['monitor'],
    watches: [
      watch({ resource: nodes }),
      watch({ resource: leases, options: { namespace: 'kube-node-lease' } }),
      watch({ resource: pods, indexes: { node: (pod) => [pod.spec.nodeName ?? ''] } }),
    ],
    observe: (_key, view, { now, memory }) => ({
      now, memory, settings, nodes: view.list(nodes), leaseOf: (node) => view.get(leases, 'kube-node-lease', node.metadata.name), podsOn: (node) => view.byIndex(pods, 'node', node.metadata.name),
    }),
    sync: monitorNodes,
  }
}

/** The NoSchedule taints, node by node, as soon as its conditions change. */
export function createNodeTainter(): Controller<{ readonly node: Node, readonly now: number }> {
  return {
    name: 'node-lifecycle-controller',
    component: 'node-controller',
    watches: [watch({ resource: nodes, keysOf: (node) => [node.metadata.name] })],
    observe(key, view, { now }) {
      const node = view.get(nodes, '', key)
      return node && { node, now }
    },
    sync({ node, now }) {
      const taints = noScheduleTaints(node, now)
      return taints ? { steps: inOrder(patchTaints(node, taints)) } : {}
    },
  }
}
