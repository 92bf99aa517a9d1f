// A node with the pods on it and the sums over them. The sums are kept as pods come and go, never added up anew.
// Upstream: kube-scheduler framework.NodeInfo
import type { Node } from '../../../lib/api/generated/types/core-v1.ts'
import { wholeValue } from './quantities.ts'
import { addAmounts, copyAmounts, noAmounts, readAmounts } from './resources.ts'
import type { Amounts } from './resources.ts'
import type { HostPort, PodInfo } from './pod-info.ts'

export class NodeInfo {
  readonly name: string
  /** Row of the node in the scheduler's columns; -1 for a copy that belongs to no table. */
  readonly index: number
  node: Node
  allocatable: Amounts = noAmounts()
  allowedPods = 0
  /** uid → pod */
  readonly pods = new Map<string, PodInfo>()
  requested: Amounts = noAmounts()
  nonZeroMilliCpu = 0
  nonZeroMemory = 0
  /** `protocol/port` → ip → number of pods that hold it; undefined while no pod here has a host port. */
  #ports: Map<string, Map<string, number>> | undefined
  /** Image with tag → bytes. */
  images: ReadonlyMap<string, number> = new Map()

  constructor(node: Node, index: number, same?: NodeInfo) {
    this.name = node.metadata.name
    this.index = index
    this.node = node
    if (!same) { this.setNode(node); return }
    this.allocatable = same.allocatable
    this.allowedPods = same.allowedPods
    this.images = same.images
  }

  setNode(node: Node): void {
    this.node = node
    const allocatable = node.status?.allocatable ?? {}
    this.allocatable = readAmounts(allocatable)
    this.allowedPods = allocatable['pods'] === undefined ? 0 : wholeValue(allocatable['pods'])
    const images = new Map<string, number>()
    for (const image of node.status?.images ?? []) for (const name of image.names ?? []) images.set(name, Number(image.sizeBytes ?? 0))
    this.images = images
  }

  addPod(pod: PodInfo): void {
    if (this.pods.has(pod.uid)) return
    this.pods.set(pod.uid, pod)
    this.#count(pod, 1)
  }

  /** @returns false when the pod was not here. */
  removePod(pod: PodInfo): boolean {
    const held = this.pods.get(pod.uid)
    if (!held) return false
    this.pods.delete(pod.uid)
    this.#count(held, -1)
    return true
  }

  #count(pod: PodInfo, sign: 1 | -1): void {
    const { template } = pod
    addAmounts(this.requested, template.requests, sign)
    this.nonZeroMilliCpu += sign * template.nonZeroMilliCpu
    this.nonZeroMemory += sign * template.nonZeroMemory
    for (const port of template.hostPorts) this.#countPort(port, sign)
  }

  #countPort(port: HostPort, sign: 1 | -1): void {
    const key = `${port.protocol}/${port.port}`
    const ports = this.#ports ??= new Map()
    let holders = ports.get(key)
    if (!holders) ports.set(key, holders = new Map())
    const count = (holders.get(port.ip) ?? 0) + sign
    if (count > 0) holders.set(port.ip, count)
    else holders.delete(port.ip)
    if (holders.size === 0) ports.delete(key)
  }

  /** True when a wanted port is held here: the same address, or either is all addresses. */
  portsConflict(wanted: readonly HostPort[]): boolean {
    if (!this.#ports) return false
    for (const port of wanted) {
      const holders = this.#ports.get(`${port.protocol}/${port.port}`)
      if (holders && (port.ip === '0.0.0.0' || holders.has('0.0.0.0') || holders.has(port.ip))) return true
    }
    return false
  }

  /** A copy to try changes on. */
  copy(): NodeInfo {
    const copy = new NodeInfo(this.node, this.index, this)
    for (const [uid, pod] of this.pods) copy.pods.set(uid, pod)
    copy.requested = copyAmounts(this.requested)
    copy.nonZeroMilliCpu = this.nonZeroMilliCpu
    copy.nonZeroMemory = this.nonZeroMemory
    if (this.#ports) copy.#ports = new Map([...this.#ports].map(([key, holders]) => [key, new Map(holders)]))
    return copy
  }
}
