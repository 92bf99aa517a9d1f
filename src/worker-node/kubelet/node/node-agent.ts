// Keeps the Node object and its Lease: registers, renews the lease every ten seconds, writes the status when it changed and every five minutes.
// Upstream: pkg/kubelet/kubelet_node_status.go, component-helpers/apimachinery/lease/controller.go
import { formatMicroTime, sleep } from '../../../lib/base/clock.ts'
import { hasReason } from '../../../lib/client/api-error.ts'
import { leases, nodes } from '../../../lib/client/resource-keys.ts'
import { sameJson } from '../status/status-manager.ts'
import { initialNode, nodeLabels, nodeStatus } from './node-status.ts'
import type { NodeFacts } from './node-status.ts'
import type { JsonObject, JsonValue } from '../../../lib/base/json.ts'
import type { Clock } from '../../../lib/base/clock.ts'
import type { Random } from '../../../lib/base/random.ts'
import type { ApiClient } from '../../../lib/client/api-client.ts'
import type { EventRecorder } from '../../../lib/client/event-recorder.ts'
import type { Logger } from '../../../lib/component-base/log.ts'
import type { Lease } from '../../../lib/api/generated/types/coordination-v1.ts'
import type { Node, NodeStatus } from '../../../lib/api/generated/types/core-v1.ts'

export interface NodeAgentOptions {
  readonly nodeName: string
  readonly client: ApiClient
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly events: EventRecorder
  readonly registerNode: boolean
  readonly updateFrequencyMs: number
  readonly reportFrequencyMs: number
  readonly leaseDurationSeconds: number
  readonly facts: () => Promise<NodeFacts>
  readonly onNode: (node: Node) => void
}

const leaseNamespace = 'kube-node-lease'

export class NodeAgent {
  readonly #options: NodeAgentOptions
  #node: Node | undefined
  #lease: Lease | undefined
  #reportedAtMs = -Infinity
  #wake: (() => void) | undefined
  readonly #told = new Map<string, string>()

  constructor(options: NodeAgentOptions) { this.#options = options }

  get node(): Node | undefined { return this.#node }

  /** The object as it came from a watch. */
  observe(node: Node): void {
    this.#node = node
    this.#options.onNode(node)
  }

  /** Writes the status soon: something that people wait for has changed. */
  poke(): void { this.#wake?.() }

  /** Registers, retrying until it works. */
  async register(signal: AbortSignal): Promise<void> {
    const { client, clock, logger, nodeName, registerNode } = this.#options
    for (let delayMs = 100; ; delayMs = Math.min(delayMs * 2, 7000)) {
      try {
        if (registerNode) await this.#registerOnce(signal)
        else this.observe(await client.resource(nodes).get('', nodeName, signal))
        return
      } catch (error) {
        if (signal.aborted) throw error
        logger.warn('Could not register the node', { node: nodeName, error: error instanceof Error ? error.message : String(error) })
        await sleep(clock, delayMs, signal)
      }
    }
  }

  async #registerOnce(signal: AbortSignal): Promise<void> {
    const { client, clock, logger, nodeName } = this.#options
    const resource = client.resource(nodes)
    const facts = await this.#options.facts()
    try {
      const created = await resource.create('', initialNode(facts), signal)
      this.#reportedAtMs = clock.monotonic()
      logger.info('Successfully registered node', { node: nodeName })
      this.#tellReady(created.status)
      this.observe(created)
      await this.#updateStatus(signal, false)
      return
    } catch (error) {
      if (!hasReason(error, 'AlreadyExists')) throw error
    }
    const existing = await resource.get('', nodeName, signal)
    const labels = nodeLabels(facts)
    const missing = Object.entries(labels).filter(([key, value]) => existing.metadata.labels?.[key] !== value)
    const annotation = 'volumes.kubernetes.io/controller-managed-attach-detach'
    const patch: Record<string, JsonValue> = {
      ...(missing.length > 0 ? { labels: Object.fromEntries(missing) } : {}), ...(existing.metadata.annotations?.[annotation] === undefined ? { annotations: { [annotation]: 'true' } } : {}),
    }
    const node = Object.keys(patch).length === 0 ? existing : await resource.patch('', nodeName, 'application/strategic-merge-patch+json', { metadata: patch }, signal)
    logger.info('Node was previously registered', { node: nodeName })
    this.observe(node)
    await this.#updateStatus(signal, true)
  }

  async runStatus(signal: AbortSignal): Promise<void> {
    const { logger, updateFrequencyMs } = this.#options
    for (;;) {
      await this.#pause(updateFrequencyMs, signal)
      try {
        await this.#updateStatus(signal, false)
      } catch (error) {
        if (signal.aborted) return
        if (hasReason(error, 'NotFound') && this.#options.registerNode) await this.register(signal)
        else logger.warn('Error updating node status, will retry', { error: error instanceof Error ? error.message : String(error) })
      }
    }
  }

  /** Sleeps until the time is over or `poke` is called. */
  async #pause(delayMs: number, signal: AbortSignal): Promise<void> {
    const woken = new AbortController()
    this.#wake = () => woken.abort()
    try {
      await sleep(this.#options.clock, delayMs, AbortSignal.any([signal, woken.signal]))
    } catch (error) {
      if (signal.aborted) throw error
    } finally {
      this.#wake = undefined
    }
  }

  async #updateStatus(signal: AbortSignal, force: boolean): Promise<void> {
    const { client, clock, nodeName, reportFrequencyMs } = this.#options
    const resource = client.resource(nodes)
    this.#node ??= await resource.get('', nodeName, signal)
    const before = this.#node
    const status = nodeStatus(await this.#options.facts(), before.status)
    const due = clock.monotonic() - this.#reportedAtMs >= reportFrequencyMs
    const changed = !sameJson(withoutHeartbeats(before.status), withoutHeartbeats(status))
    if (!force && !due && !changed) return
    const patch = nodeStatusPatch(before.status, status)
    const node = await resource.patch('', nodeName, 'application/strategic-merge-patch+json', { status: patch }, signal, { subresource: 'status' })
    this.#reportedAtMs = clock.monotonic()
    this.#tellReady(node.status)
    this.observe(node)
  }

  /** Events of the conditions that changed. */
  #tellReady(status: NodeStatus | undefined): void {
    for (const { type, status: value, reason } of status?.conditions ?? []) {
      if (this.#told.get(type) === value) continue
      this.#told.set(type, value)
      const name = type === 'Ready' ? (value === 'True' ? 'NodeReady' : 'NodeNotReady') : (reason ?? '').replace(/^Kubelet/, 'Node')
      if (['Ready', 'MemoryPressure', 'DiskPressure', 'PIDPressure'].includes(type)) {
        this.#options.events.event({ kind: 'Node', name: this.#options.nodeName, uid: this.#options.nodeName, apiVersion: 'v1' }, 'Normal', name, `Node ${this.#options.nodeName} status is now: ${name}`)
      }
    }
  }

  async runLease(signal: AbortSignal): Promise<void> {
    const { clock, logger, leaseDurationSeconds } = this.#options
    const renewMs = leaseDurationSeconds * 250
    for (;;) {
      let delayMs = renewMs
      try {
        await this.#renew(signal)
      } catch (error) {
        if (signal.aborted) return
        delayMs = Math.min(renewMs, 1000)
        logger.warn('Could not renew the node lease', { error: error instanceof Error ? error.message : String(error) })
      }
      await sleep(clock, delayMs, signal)
    }
  }

  async #renew(signal: AbortSignal): Promise<void> {
    const { client, clock, nodeName, leaseDurationSeconds } = this.#options
    const resource = client.resource(leases)
    const renewTime = formatMicroTime(clock.now())
    if (this.#lease) {
      try {
        this.#lease = await resource.update({ ...this.#lease, spec: { ...this.#lease.spec, renewTime, leaseDurationSeconds, holderIdentity: nodeName } }, signal)
        return
      } catch (error) {
        this.#lease = undefined
        if (!hasReason(error, 'NotFound', 'Conflict')) throw error
      }
    }
    const uid = this.#node?.metadata.uid
    const ownerReferences = uid === undefined ? [] : [{ apiVersion: 'v1', kind: 'Node', name: nodeName, uid }]
    try {
      this.#lease = await resource.create(leaseNamespace, {
        apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { name: nodeName, namespace: leaseNamespace, ownerReferences },
        spec: { holderIdentity: nodeName, leaseDurationSeconds, renewTime },
      }, signal)
    } catch (error) {
      if (!hasReason(error, 'AlreadyExists')) throw error
      const existing = await resource.get(leaseNamespace, nodeName, signal)
      this.#lease = await resource.update({
        ...existing, metadata: { ...existing.metadata, ...(ownerReferences.length > 0 ? { ownerReferences } : {}) }, spec: { ...existing.spec, holderIdentity: nodeName, leaseDurationSeconds, renewTime },
      }, signal)
    }
  }
}

function withoutHeartbeats(status: NodeStatus | undefined): unknown {
  return { ...status, conditions: (status?.conditions ?? []).map(({ lastHeartbeatTime: _, ...rest }) => rest).toSorted((a, b) => (a.type < b.type ? -1 : 1)) }
}

/** Only what changed; conditions whole, as heartbeats count. */
export function nodeStatusPatch(from: NodeStatus | undefined, to: NodeStatus): JsonObject {
  const a = (from ?? {}) as JsonObject // cast: JSON-shaped
  const b = to as unknown as JsonObject // cast: as above
  const patch: Record<string, JsonValue> = {}
  for (const key of Object.keys(b)) {
    const value = b[key]
    if (value === undefined || key === 'volumesAttached' || (key !== 'conditions' && sameJson(a[key], value))) continue
    if (key !== 'addresses') { patch[key] = value; continue }
    // Addresses merge by their type: where a type comes twice or goes away, only replacing the whole list is right.
    const addresses = (to.addresses ?? []).map((address) => ({ ...address }))
    const types = addresses.map((address) => address.type)
    const mergeable = new Set(types).size === types.length && (from?.addresses ?? []).every((old) => types.includes(old.type))
    patch[key] = mergeable ? addresses : [{ $patch: 'replace' }, ...addresses]
  }
  return patch
}
