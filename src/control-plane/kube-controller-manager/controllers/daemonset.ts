// daemonset-controller: one pod on every node that it fits; updated node by node, never more of them unavailable than allowed.
// Upstream: kubernetes/pkg/controller/daemon
import { semanticEqual } from '../../../lib/apimachinery/equality.ts'
import { scaledValue } from '../../../lib/apimachinery/int-or-string.ts'
import { matches } from '../../../lib/apimachinery/label-selector.ts'
import type { ControllerRevision, DaemonSet, DaemonSetStatus } from '../../../lib/api/generated/types/apps-v1.ts'
import type { Node, Pod, PodSpec, Toleration } from '../../../lib/api/generated/types/core-v1.ts'
import { controllerOf, objectKey, splitObjectKey } from '../../../lib/client/object-references.ts'
import { controllerRevisions, daemonSets, nodes, pods } from '../../../lib/client/resource-keys.ts'
import { claimDependents, controllerIndex, controllerIndexValues, orphanIndexValue } from './shared/claims.ts'
import { aboutObject, updateStatus, watch } from './shared/controller.ts'
import type { Action, Controller, Plan, PlannedEvent, Step, View } from './shared/controller.ts'
import { fitsNodeAffinity, untoleratedTaints } from './shared/node-fit.ts'
import { isPodAvailable, isPodReady, isPodTerminal, untilNextAvailableMs } from './shared/pod-state.ts'
import { createOwnedPod, deletePod, podFromTemplate } from './shared/replica-sync.ts'
import { computeHistory, expiredRevisions, hashOf, revisionHashLabel } from './shared/revisions.ts'
import { readSelector } from './shared/selectors.ts'

export interface ObservedDaemonSet {
  readonly now: number
  readonly set: DaemonSet
  readonly nodes: readonly Node[]
  /** Its own pods and the orphans of its namespace. */
  readonly pods: readonly Pod[]
  readonly revisions: readonly ControllerRevision[]
  readonly memory: DaemonMemory | undefined
}

/** Failed pods by node, so that one that keeps failing is replaced ever more slowly. */
export interface DaemonMemory { readonly failures: ReadonlyMap<string, { readonly count: number, readonly againMs: number }> }

const burst = 250
const failedBackOffMs = 1_000
const failedBackOffMostMs = 900_000

/** Tolerations that every daemon pod has: it belongs on its node, whatever the state of the node. */
const daemonTolerations: readonly Toleration[] = [
  { key: 'node.kubernetes.io/not-ready', operator: 'Exists', effect: 'NoExecute' }, { key: 'node.kubernetes.io/unreachable', operator: 'Exists', effect: 'NoExecute' },
  ...['disk-pressure', 'memory-pressure', 'pid-pressure', 'unschedulable'].map((name) => ({ key: `node.kubernetes.io/${name}`, operator: 'Exists', effect: 'NoSchedule' })),
]
const hostNetworkToleration: Toleration = { key: 'node.kubernetes.io/network-unavailable', operator: 'Exists', effect: 'NoSchedule' }

/** Should a pod of the set start on this node, and may one that is there stay? */
export function fitOnNode(set: DaemonSet, node: Node): { readonly shouldRun: boolean, readonly mayStay: boolean } {
  const spec = daemonSpec(set)
  if ((spec.nodeName && spec.nodeName !== node.metadata.name) || !fitsNodeAffinity(spec, node)) return { shouldRun: false, mayStay: false }
  if (untoleratedTaints(spec, node, ['NoSchedule', 'NoExecute']).length === 0) return { shouldRun: true, mayStay: true }
  return { shouldRun: false, mayStay: untoleratedTaints(spec, node, ['NoExecute']).length === 0 }
}

function daemonSpec(set: DaemonSet): PodSpec {
  const spec = set.spec.template.spec ?? {}
  const wanted = [...daemonTolerations, ...(spec.hostNetwork ? [hostNetworkToleration] : [])]
  const own = (spec.tolerations ?? []).filter((toleration) => !wanted.some((other) => other.key === toleration.key && other.effect === toleration.effect))
  return { ...spec, tolerations: [...own, ...wanted] }
}

/** Which node a daemon pod is for: where it runs, or where its affinity sends it. */
function targetNode(pod: Pod): string | undefined {
  if (pod.spec.nodeName) return pod.spec.nodeName
  const terms = pod.spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms ?? []
  return terms.flatMap((term) => term.matchFields ?? []).find((field) => field.key === 'metadata.name' && field.operator === 'In')?.values?.[0]
}

export function syncDaemonSet(observed: ObservedDaemonSet): Plan<DaemonMemory> {
  const { set, now, memory } = observed
  const selector = readSelector(set.spec.selector)
  const labels = set.spec.template.metadata?.labels ?? {}
  const claims = claimDependents({ owner: set, ownerKey: daemonSets, dependentKey: pods, selector }, observed.pods)
  const byNode = Map.groupBy(claims.claimed, (pod) => targetNode(pod) ?? '')
  if (set.metadata.deletionTimestamp !== undefined) return {}
  const history = computeHistory({ owner: set, key: daemonSets, template: set.spec.template, collisionCount: set.status.collisionCount, labels }, observed.revisions)
  if (history.collides) return { steps: [{ actions: [updateStatus(daemonSets, { ...set, status: { ...set.status, collisionCount: (set.status.collisionCount ?? 0) + 1 } })] }] }
  const hash = hashOf(history.current)
  const steps: Step[] = [claims.actions, history.actions].filter((actions) => actions.length > 0).map((actions) => ({ actions }))
  const moves = computeMoves(observed, byNode, hash, memory)
  const doomed = new Set(moves.remove)
  if (moves.remove.length > 0) steps.push({ mode: 'together', actions: moves.remove.slice(0, burst).map((pod) => deletePod(set, daemonSets, pod)) })
  if (moves.createOn.length > 0) steps.push({ mode: 'slow-start', actions: moves.createOn.slice(0, burst).map((node) => createDaemonPod(set, node, hash)) })
  if (moves.createOn.length === 0 && moves.remove.length === 0 && (set.spec.updateStrategy.type ?? 'RollingUpdate') === 'RollingUpdate') {
    const outdated = computeUpdate(observed, byNode, hash)
    for (const pod of outdated.remove) doomed.add(pod)
    if (outdated.remove.length > 0) steps.push({ mode: 'together', actions: outdated.remove.map((pod) => deletePod(set, daemonSets, pod)) })
    if (outdated.surgeOn.length > 0) steps.push({ mode: 'slow-start', actions: outdated.surgeOn.map((node) => createDaemonPod(set, node, hash)) })
  }
  const inUse = new Set(claims.claimed.map((pod) => pod.metadata.labels?.[revisionHashLabel] ?? ''))
  const expired = expiredRevisions(history, inUse, set.spec.revisionHistoryLimit ?? 10)
  if (expired.length > 0) steps.push({ actions: expired })
  const waitMs = minimum(untilNextAvailableMs(claims.claimed, set.spec.minReadySeconds ?? 0, now), moves.againMs)
  return {
    steps, events: moves.events, memory: { failures: moves.failures }, ...(waitMs === undefined ? {} : { requeueAfterMs: waitMs }),
    afterwards: () => {
      const status = computeDaemonStatus(observed, byNode, hash)
      return semanticEqual(status, set.status) ? {} : { steps: [{ actions: [updateStatus(daemonSets, { ...set, status }, { tolerates: ['NotFound'] })] }] }
    },
  }
}

function minimum(a: number | undefined, b: number | undefined): number | undefined { return a === undefined ? b : b === undefined ? a : Math.min(a, b) }

interface Moves {
  readonly createOn: readonly string[]
  readonly remove: readonly Pod[]
  readonly events: readonly PlannedEvent[]
  readonly failures: DaemonMemory['failures']
  readonly againMs: number | undefined
}

/** A pod for each node that lacks one; gone with finished ones, with surplus ones, and with those where none belongs. */
function computeMoves({ set, nodes: all, now }: ObservedDaemonSet, byNode: ReadonlyMap<string, readonly Pod[]>, hash: string, memory: DaemonMemory | undefined): Moves {
  const createOn: string[] = []
  const remove: Pod[] = []
  const events: PlannedEvent[] = []
  const failures = new Map<string, { count: number, againMs: number }>()
  let againMs: number | undefined
  const surge = limits(set, all.length).surge > 0
  const names = new Set(all.map((node) => node.metadata.name))
  for (const node of all) {
    const { name } = node.metadata
    const { shouldRun, mayStay } = fitOnNode(set, node)
    const here = byNode.get(name) ?? []
    if (!mayStay) { remove.push(...here.filter((pod) => pod.metadata.deletionTimestamp === undefined)); continue }
    if (shouldRun && here.length === 0) { createOn.push(name); continue }
    const running: Pod[] = []
    for (const pod of here) {
      if (pod.metadata.deletionTimestamp !== undefined) continue
      if (!isPodTerminal(pod)) { running.push(pod); continue }
      const failed = pod.status.phase === 'Failed'
      const known = memory?.failures.get(name)
      if (failed && known && known.againMs > now) {
        failures.set(name, known)
        againMs = minimum(againMs, known.againMs - now)
        continue
      }
      if (failed) {
        const count = (known?.count ?? 0) + 1
        failures.set(name, { count, againMs: now + Math.min(failedBackOffMs * 2 ** (count - 1), failedBackOffMostMs) })
      }
      const message = `Found ${failed ? 'failed' : 'succeeded'} daemon pod ${objectKey(pod)} on node ${name}, will try to ${failed ? 'kill' : 'delete'} it`
      events.push({ about: aboutObject(daemonSets, set), type: failed ? 'Warning' : 'Normal', reason: failed ? 'FailedDaemonPod' : 'SucceededDaemonPod', message })
      remove.push(pod)
    }
    // With a surge an old and a new one may be there together, while the new one is not available yet.
    const kept = surge ? [running.filter((pod) => revisionHash(pod) === hash), running.filter((pod) => revisionHash(pod) !== hash)] : [running]
    for (const group of kept) remove.push(...group.toSorted(oldestFirst).slice(1))
    const [fresh = [], stale = []] = kept
    if (surge && stale.length > 0 && fresh.some((pod) => isPodAvailable(pod, set.spec.minReadySeconds ?? 0, now))) remove.push(...stale.toSorted(oldestFirst).slice(0, 1))
  }
  // Never bound, and the node they were for is gone.
  for (const [name, left] of byNode) if (name !== '' && !names.has(name)) remove.push(...left.filter((pod) => !pod.spec.nodeName && pod.metadata.deletionTimestamp === undefined))
  return { createOn, remove, events, failures, againMs }
}

function oldestFirst(a: Pod, b: Pod): number {
  const placed = Number(Boolean(b.spec.nodeName)) - Number(Boolean(a.spec.nodeName))
  if (placed !== 0) return placed
  return a.metadata.creationTimestamp < b.metadata.creationTimestamp ? -1 : a.metadata.creationTimestamp > b.metadata.creationTimestamp ? 1 : a.metadata.name < b.metadata.name ? -1 : 1
}

function revisionHash(pod: Pod): string { return pod.metadata.labels?.[revisionHashLabel] ?? '' }

function limits(set: DaemonSet, desired: number): { readonly surge: number, readonly unavailable: number } {
  const { maxSurge = 0, maxUnavailable = 1 } = set.spec.updateStrategy.rollingUpdate ?? {}
  const surge = scaledValue(maxSurge, desired, true)
  const unavailable = scaledValue(maxUnavailable, desired, true)
  const surgeCount = surge.ok ? surge.value : 0
  const unavailableCount = unavailable.ok ? unavailable.value : 1
  return { surge: surgeCount, unavailable: surgeCount === 0 && unavailableCount === 0 ? 1 : unavailableCount }
}

/** Old pods to delete now, or nodes to put a second, new pod on, within the limits. */
function computeUpdate({ set, nodes: all, now }: ObservedDaemonSet, byNode: ReadonlyMap<string, readonly Pod[]>, hash: string): { readonly remove: readonly Pod[], readonly surgeOn: readonly string[] } {
  const wanted = all.filter((node) => fitOnNode(set, node).shouldRun)
  const { surge, unavailable } = limits(set, wanted.length)
  const minReadySeconds = set.spec.minReadySeconds ?? 0
  const free: Pod[] = []
  const candidates: { readonly pod: Pod, readonly node: string }[] = []
  let unavailableNow = 0
  let surging = 0
  for (const { metadata: { name } } of wanted) {
    const here = (byNode.get(name) ?? []).filter((pod) => pod.metadata.deletionTimestamp === undefined)
    const fresh = here.find((pod) => revisionHash(pod) === hash)
    const stale = here.find((pod) => revisionHash(pod) !== hash)
    const available = here.some((pod) => isPodAvailable(pod, minReadySeconds, now))
    if (!available) unavailableNow++
    if (fresh && stale) { surging++; continue }
    if (fresh || !stale) continue
    if (!available) free.push(stale)
    else candidates.push({ pod: stale, node: name })
  }
  if (surge > 0) return { remove: [], surgeOn: [...free.map((pod) => targetNode(pod) ?? ''), ...candidates.map(({ node }) => node)].slice(0, Math.max(0, surge - surging)) }
  return { remove: [...free, ...candidates.slice(0, Math.max(0, unavailable - unavailableNow)).map(({ pod }) => pod)], surgeOn: [] }
}

function createDaemonPod(set: DaemonSet, node: string, hash: string): Action {
  const made = podFromTemplate(set, daemonSets, set.spec.template)
  const spec = daemonSpec(set)
  const generation = { 'pod-template-generation': String(set.metadata.generation ?? 1) }
  return createOwnedPod(set, daemonSets, {
    metadata: { ...made.metadata, labels: { ...set.spec.template.metadata?.labels, ...generation, [revisionHashLabel]: hash } },
    spec: {
      ...spec,
      affinity: {
        ...spec.affinity,
        nodeAffinity: {
          ...spec.affinity?.nodeAffinity, requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [{ matchFields: [{ key: 'metadata.name', operator: 'In', values: [node] }] }] },
        },
      },
    },
  })
}

function computeDaemonStatus({ set, nodes: all, now }: ObservedDaemonSet, byNode: ReadonlyMap<string, readonly Pod[]>, hash: string): DaemonSetStatus {
  let desired = 0, current = 0, misscheduled = 0, ready = 0, available = 0, updated = 0
  for (const node of all) {
    const here = (byNode.get(node.metadata.name) ?? []).toSorted(oldestFirst)
    const { shouldRun } = fitOnNode(set, node)
    if (!shouldRun) { if (here.length > 0) misscheduled++; continue }
    desired++
    if (here.length === 0) continue
    current++
    const [pod] = here
    if (!pod) continue
    if (isPodReady(pod)) {
      ready++
      if (isPodAvailable(pod, set.spec.minReadySeconds ?? 0, now)) available++
    }
    if (here.some((other) => revisionHash(other) === hash)) updated++
  }
  return {
    ...set.status, desiredNumberScheduled: desired, currentNumberScheduled: current, numberMisscheduled: misscheduled, numberReady: ready, numberAvailable: available,
    numberUnavailable: desired - available, updatedNumberScheduled: updated, observedGeneration: set.metadata.generation ?? 0,
  }
}

export function createDaemonSetController(): Controller<ObservedDaemonSet, DaemonMemory> {
  return {
    name: 'daemonset-controller',
    watches: [
      watch({ resource: daemonSets, keysOf: (set) => [objectKey(set)] }),
      watch({ resource: pods, indexes: { [controllerIndex]: controllerIndexValues }, keysOf: keysOfPod }),
      watch({ resource: nodes, keysOf: (_node, view) => view.list(daemonSets).map(objectKey) }),
      watch({ resource: controllerRevisions, indexes: { [controllerIndex]: controllerIndexValues } }),
    ],
    observe(key, view, { now, memory }) {
      const { namespace, name } = splitObjectKey(key)
      const set = view.get(daemonSets, namespace, name)
      return set && {
        now, set, memory, nodes: view.list(nodes), revisions: view.byIndex(controllerRevisions, controllerIndex, set.metadata.uid),
        pods: [...view.byIndex(pods, controllerIndex, set.metadata.uid), ...view.byIndex(pods, controllerIndex, orphanIndexValue(namespace))],
      }
    },
    sync: syncDaemonSet,
  }
}

function keysOfPod(pod: Pod, view: View): readonly string[] {
  const namespace = pod.metadata.namespace ?? ''
  const reference = controllerOf(pod)
  if (reference) {
    const owner = reference.kind === 'DaemonSet' ? view.get(daemonSets, namespace, reference.name) : undefined
    return owner?.metadata.uid === reference.uid ? [objectKey(owner)] : []
  }
  return view.list(daemonSets, namespace).filter((set) => matches(readSelector(set.spec.selector), pod.metadata.labels)).map(objectKey)
}
