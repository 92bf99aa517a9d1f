// What the scheduler believes about the cluster: nodes, pods on them, and pods it has just placed (assumed) before the API says so. An assumed pod
// is confirmed by the watch, or forgotten when its binding fails. Upstream: kube-scheduler backend/cache
import type { Node, Pod } from '../../../lib/api/generated/types/core-v1.ts'
import type { ClusterObjects, ClusterView } from '../framework/cluster-view.ts'
import { labelOf } from '../framework/labels.ts'
import type { Labels } from '../framework/labels.ts'
import { NodeInfo } from '../framework/node-info.ts'
import { podInfo } from '../framework/pod-info.ts'
import type { PodInfo } from '../framework/pod-info.ts'
import { ChangeLog } from './change-log.ts'
import { NodeTable } from './node-table.ts'
import { PodCounters } from './pod-counters.ts'
import { claimKeysOf } from './claim-keys.ts'

interface KnownPod {
  info: PodInfo
  nodeName: string
  assumed: boolean
}

const noLabels: Labels = {}

export class SchedulerCache implements ClusterView {
  readonly objects: ClusterObjects
  readonly table = new NodeTable()
  readonly log = new ChangeLog()
  readonly counts: PodCounters
  /** Goes up when labels of namespaces change what terms mean. */
  namespacesVersion = 0
  /** Goes up when services or controllers, or what they select, change. */
  ownersVersion = 0
  readonly #nodes = new Map<string, NodeInfo>()
  readonly #pods = new Map<string, KnownPod>()
  /** Pods on nodes that aren't known (yet, or any more). */
  readonly #homeless = new Map<string, Map<string, PodInfo>>()
  readonly #images = new Map<string, number>()
  readonly #claims = new Map<string, number>()
  readonly #nominated = new Map<string, Map<string, PodInfo>>()
  readonly #nominations = new Map<string, string>()
  #ordered: readonly NodeInfo[] | undefined

  constructor(objects: ClusterObjects) {
    this.objects = objects
    this.counts = new PodCounters(this.table, (namespace) => this.namespaceLabels(namespace))
  }

  readonly namespaceLabels = (namespace: string): Labels => this.objects.namespace(namespace)?.metadata.labels ?? noLabels

  /** Nodes, zones in turn, so that looking at the first few means looking at all zones. */
  get nodes(): readonly NodeInfo[] { return this.#ordered ??= interleaveZones([...this.#nodes.values()]) }
  node(name: string): NodeInfo | undefined { return this.#nodes.get(name) }
  imageNodes(image: string): number { return this.#images.get(image) ?? 0 }
  claimUsers(namespace: string, claim: string): number { return this.#claims.get(`${namespace}/${claim}`) ?? 0 }
  get nodeCount(): number { return this.#nodes.size }
  get podCount(): number { return this.#pods.size }

  addNode(node: Node): NodeInfo {
    const known = this.#nodes.get(node.metadata.name)
    if (known) { this.updateNode(node); return known }
    const info = new NodeInfo(node, this.table.allocate())
    this.#nodes.set(info.name, info)
    this.#ordered = undefined
    this.#countImages(info, 1)
    this.table.syncNode(info)
    for (const pod of this.#homeless.get(info.name)?.values() ?? []) this.#place(info, pod, 1)
    this.#homeless.delete(info.name)
    this.log.append(info.index)
    return info
  }

  updateNode(node: Node): void {
    const info = this.#nodes.get(node.metadata.name)
    if (!info) { this.addNode(node); return }
    const zoneBefore = zoneOf(info.node)
    this.#countImages(info, -1)
    info.setNode(node)
    this.#countImages(info, 1)
    if (zoneOf(node) !== zoneBefore) this.#ordered = undefined
    this.table.syncNode(info)
    this.log.append(info.index)
  }

  removeNode(name: string): void {
    const info = this.#nodes.get(name)
    if (!info) return
    const stay = new Map<string, PodInfo>()
    for (const pod of info.pods.values()) { stay.set(pod.uid, pod); this.#place(info, pod, -1) }
    if (stay.size > 0) this.#homeless.set(name, stay)
    this.#countImages(info, -1)
    this.#nodes.delete(name)
    this.#ordered = undefined
    this.table.release(info.index)
    this.log.append(info.index)
  }

  /** A pod that the API says is on a node; confirms an assumed one. */
  addPod(pod: Pod): void {
    const info = podInfo(pod)
    const known = this.#pods.get(info.uid)
    if (known) this.#leave(known)
    this.#enter({ info, nodeName: pod.spec.nodeName ?? '', assumed: false })
  }

  updatePod(pod: Pod): void {
    const known = this.#pods.get(pod.metadata.uid)
    if (!known) { this.addPod(pod); return }
    const info = podInfo(pod)
    const nodeName = pod.spec.nodeName ?? known.nodeName
    // Most updates are the kubelet's reports: nothing that counts has changed, and nothing needs counting.
    if (known.nodeName === nodeName && known.info.template.id === info.template.id && known.info.terminating === info.terminating
      && known.info.priority === info.priority && sameLabels(known.info.labels, info.labels)) {
      known.assumed = false
      known.info = info
      const node = this.#nodes.get(nodeName)
      if (node?.pods.has(info.uid)) node.pods.set(info.uid, info)
      return
    }
    this.#leave(known)
    this.#enter({ info, nodeName, assumed: false })
  }

  removePod(uid: string): void {
    const known = this.#pods.get(uid)
    if (known) this.#leave(known)
  }

  /** Counts the pod on the node from now on, before the API knows. */
  assume(info: PodInfo, nodeName: string): void {
    const known = this.#pods.get(info.uid)
    if (known) this.#leave(known)
    this.#enter({ info, nodeName, assumed: true })
  }

  /** The binding failed. */
  forget(uid: string): void {
    const known = this.#pods.get(uid)
    if (known?.assumed) this.#leave(known)
  }

  isAssumed(uid: string): boolean { return this.#pods.get(uid)?.assumed ?? false }
  pod(uid: string): PodInfo | undefined { return this.#pods.get(uid)?.info }

  /** '' removes the nomination. */
  nominate(info: PodInfo, nodeName: string): void {
    const before = this.#nominations.get(info.uid)
    if (before !== undefined) {
      const pods = this.#nominated.get(before)
      pods?.delete(info.uid)
      if (pods?.size === 0) this.#nominated.delete(before)
      this.#nominations.delete(info.uid)
    }
    if (nodeName === '') return
    this.#nominations.set(info.uid, nodeName)
    let pods = this.#nominated.get(nodeName)
    if (!pods) this.#nominated.set(nodeName, pods = new Map())
    pods.set(info.uid, info)
  }

  nominatedPods(nodeName: string): readonly PodInfo[] {
    const pods = this.#nominated.get(nodeName)
    return pods ? [...pods.values()] : nobody
  }
  /** Number of pods nominated anywhere, `uid` left out. */
  nominatedElsewhere(uid: string): number { return this.#nominations.size - (this.#nominations.has(uid) ? 1 : 0) }
  nominationOf(uid: string): string | undefined { return this.#nominations.get(uid) }

  namespaceChanged(name: string): void {
    if (this.counts.namespaceChanged(name)) this.namespacesVersion++
  }

  #enter(pod: KnownPod): void {
    this.#pods.set(pod.info.uid, pod)
    const node = this.#nodes.get(pod.nodeName)
    if (node) { this.#place(node, pod.info, 1); return }
    let waiting = this.#homeless.get(pod.nodeName)
    if (!waiting) this.#homeless.set(pod.nodeName, waiting = new Map())
    waiting.set(pod.info.uid, pod.info)
  }

  #leave(pod: KnownPod): void {
    this.#pods.delete(pod.info.uid)
    const node = this.#nodes.get(pod.nodeName)
    if (node) { this.#place(node, pod.info, -1); return }
    const waiting = this.#homeless.get(pod.nodeName)
    waiting?.delete(pod.info.uid)
    if (waiting?.size === 0) this.#homeless.delete(pod.nodeName)
  }

  #place(node: NodeInfo, pod: PodInfo, by: 1 | -1): void {
    if (by === 1) {
      if (node.pods.has(pod.uid)) return
      node.addPod(pod)
    } else if (!node.removePod(pod)) return
    this.counts.change(node.index, pod, by)
    this.table.syncPods(node)
    this.log.append(node.index)
    if (pod.template.volumes.length > 0) for (const key of claimKeysOf(pod)) this.#claims.set(key, (this.#claims.get(key) ?? 0) + by)
  }

  #countImages(info: NodeInfo, by: 1 | -1): void {
    for (const image of info.images.keys()) {
      const count = (this.#images.get(image) ?? 0) + by
      if (count > 0) this.#images.set(image, count)
      else this.#images.delete(image)
    }
  }
}

const nobody: readonly PodInfo[] = []

function sameLabels(a: Labels | undefined, b: Labels | undefined): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b)
}

function zoneOf(node: Node): string {
  const labels = node.metadata.labels
  return `${labelOf(labels, 'topology.kubernetes.io/region') ?? ''}/${labelOf(labels, 'topology.kubernetes.io/zone') ?? ''}`
}

function interleaveZones(nodes: readonly NodeInfo[]): readonly NodeInfo[] {
  const zones = new Map<string, NodeInfo[]>()
  for (const node of nodes) {
    const zone = zoneOf(node.node)
    const group = zones.get(zone)
    if (group) group.push(node)
    else zones.set(zone, [node])
  }
  if (zones.size <= 1) return nodes
  const ordered: NodeInfo[] = []
  for (let i = 0; ordered.length < nodes.length; i++) for (const group of zones.values()) { const node = group[i]; if (node) ordered.push(node) }
  return ordered
}
