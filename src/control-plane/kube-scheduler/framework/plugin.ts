// The extension points: a plugin implements those it wants. Nobody else decides where a pod goes, so a scheduler of one's own is a list of plugins.
// Upstream: kube-scheduler framework/interface.go
import type { Pod } from '../../../lib/api/generated/types/core-v1.ts'
import type { ClusterView } from './cluster-view.ts'
import type { CycleState } from './cycle-state.ts'
import type { EventAction, EventObjects, EventResource } from './events.ts'
import type { NodeInfo } from './node-info.ts'
import type { PodInfo } from './pod-info.ts'
import type { Diagnosis, MaybeStatus, Status } from './status.ts'

/** Every plugin's scores end up between 0 and this. */
export const maxNodeScore = 100

export interface NodeScore {
  readonly node: NodeInfo
  score: number
}

/** An event that could lift the plugin's refusal of a pod. Without a hint it always might. */
export interface RegisteredEvent {
  readonly resource: EventResource
  readonly action: EventAction
  hint?(pod: Pod, objects: EventObjects): 'queue' | 'skip'
}

export interface PreFilterResult {
  readonly status?: Status
  /** Only these nodes need a look. */
  readonly nodeNames?: ReadonlySet<string>
}

export interface PostFilterResult {
  readonly status: MaybeStatus
  /** '' clears the pod's nominated node; undefined leaves it. */
  readonly nominatedNode?: string
  /** Pods to delete so that the pod fits on the nominated node. */
  readonly victims?: readonly PodInfo[]
}

/** Runs the Filter plugins on a (trial) node; what preemption needs of the framework. */
export interface FilterRunner {
  filterWithNominated(state: CycleState, pod: PodInfo, node: NodeInfo): MaybeStatus
  addPod(state: CycleState, pod: PodInfo, added: PodInfo, node: NodeInfo): void
  removePod(state: CycleState, pod: PodInfo, removed: PodInfo, node: NodeInfo): void
  /** An integer in [0, bound). */
  random(bound: number): number
}

export interface PermitResult {
  readonly status: MaybeStatus
  /** With status `wait`: how long at most. */
  readonly timeoutMs?: number
}

/** What the binding steps may do to the world; the shell implements it. */
export interface BindingWorld {
  /** POST pods/binding. */
  bindPod(pod: Pod, nodeName: string, signal: AbortSignal): Promise<void>
  /** Binds claims to volumes or marks them for provisioning on the node, and waits until that has happened. */
  bindVolumes(pod: Pod, plan: VolumePlan, nodeName: string, signal: AbortSignal): Promise<void>
}

/** What VolumeBinding found for one node. */
export interface VolumePlan {
  readonly bindings: readonly { readonly claim: string; readonly volume: string }[]
  /** Claims (names) to be provisioned for the chosen node. */
  readonly provision: readonly string[]
}

export interface Plugin {
  readonly name: string

  /** Sorts the active queue: true when `a` goes first. */
  less?(a: QueueOrder, b: QueueOrder): boolean
  /** A refusal keeps the pod out of the active queue. */
  preEnqueue?(pod: Pod): MaybeStatus
  preFilter?(state: CycleState, pod: PodInfo, cluster: ClusterView): PreFilterResult | undefined
  /** Keep what preFilter wrote true to a trial: `added` joins or leaves `node`. */
  addPod?(state: CycleState, pod: PodInfo, added: PodInfo, node: NodeInfo, cluster: ClusterView): void
  removePod?(state: CycleState, pod: PodInfo, removed: PodInfo, node: NodeInfo, cluster: ClusterView): void
  filter?(state: CycleState, pod: PodInfo, node: NodeInfo, cluster: ClusterView): MaybeStatus
  postFilter?(state: CycleState, pod: PodInfo, diagnosis: Diagnosis, cluster: ClusterView, runner: FilterRunner): PostFilterResult
  preScore?(state: CycleState, pod: PodInfo, nodes: readonly NodeInfo[], cluster: ClusterView): MaybeStatus
  /** Any number; normalizeScore brings it to 0..maxNodeScore. */
  score?(state: CycleState, pod: PodInfo, node: NodeInfo, cluster: ClusterView): number
  normalizeScore?(state: CycleState, pod: PodInfo, scores: NodeScore[], cluster: ClusterView): void
  reserve?(state: CycleState, pod: PodInfo, nodeName: string): MaybeStatus
  unreserve?(state: CycleState, pod: PodInfo, nodeName: string): void
  permit?(state: CycleState, pod: PodInfo, nodeName: string): PermitResult
  preBind?(state: CycleState, pod: PodInfo, nodeName: string, world: BindingWorld, signal: AbortSignal): Promise<MaybeStatus>
  /** `skip` passes the pod to the next binder. */
  bind?(state: CycleState, pod: PodInfo, nodeName: string, world: BindingWorld, signal: AbortSignal): Promise<MaybeStatus>
  postBind?(state: CycleState, pod: PodInfo, nodeName: string): void
  eventsToRegister?(): readonly RegisteredEvent[]
}

export interface QueueOrder {
  readonly priority: number
  /** When the pod entered the queue: milliseconds of the scheduler's monotonic clock. */
  readonly timestamp: number
  readonly sequence: number
}

/** The usual way to bring scores to 0..100: by the largest. `reverse`: the smallest is best. */
export function normalizeByMaximum(scores: NodeScore[], reverse: boolean): void {
  let largest = 0
  for (const { score } of scores) if (score > largest) largest = score
  for (const entry of scores) entry.score = normalizedByMaximum(entry.score, largest, reverse)
}

/** One score of the above; the class heaps use it too. */
export function normalizedByMaximum(score: number, largest: number, reverse: boolean): number {
  if (largest === 0) return reverse ? maxNodeScore : score
  const scaled = Math.floor((maxNodeScore * score) / largest)
  return reverse ? maxNodeScore - scaled : scaled
}
