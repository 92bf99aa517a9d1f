// Writes pods' statuses to the API server: only what changed, one request per pod at a time, the latest state always; and finally deletes the
// object of a pod that is wholly gone.
// Upstream: pkg/kubelet/status/status_manager.go
import { sleep } from '../../../lib/base/clock.ts'
import { hasReason } from '../../../lib/client/api-error.ts'
import { compareResourceVersions } from '../../../lib/client/object-references.ts'
import { pods } from '../../../lib/client/resource-keys.ts'
import { describePod, podNamespace } from '../pod/pod-facts.ts'
import { ownedConditions } from './pod-status.ts'
import type { JsonObject, JsonValue } from '../../../lib/base/json.ts'
import type { Clock } from '../../../lib/base/clock.ts'
import type { ApiClient } from '../../../lib/client/api-client.ts'
import type { Logger } from '../../../lib/component-base/log.ts'
import type { Pod, PodStatus } from '../../../lib/api/generated/types/core-v1.ts'

export interface StatusManagerOptions {
  readonly client: ApiClient | undefined
  readonly clock: Clock
  readonly logger: Logger
  /** The API's object for a pod of this node: the pod itself, or the mirror of a static one. */
  readonly apiPod: (pod: Pod) => Pod | undefined
  readonly signal: AbortSignal
}

interface Entry { pod: Pod; status: PodStatus; version: number; written: number; finished: boolean; deleted: boolean; busy: boolean; lastAnswer: Pod | undefined }

const retryMs = 2000

export class StatusManager {
  readonly #options: StatusManagerOptions
  readonly #entries = new Map<string, Entry>()

  constructor(options: StatusManagerOptions) { this.#options = options }

  /** What was last told of the pod. */
  get(uid: string): PodStatus | undefined { return this.#entries.get(uid)?.status }

  /** Sets the status; true when it differs from the one before. */
  set(pod: Pod, status: PodStatus): boolean {
    const entry = this.#entries.get(pod.metadata.uid)
    if (!entry) {
      this.#entries.set(pod.metadata.uid, { pod, status, version: 1, written: 0, finished: false, deleted: false, busy: false, lastAnswer: undefined })
      this.#kick(pod.metadata.uid)
      return true
    }
    entry.pod = pod
    if (sameJson(entry.status, status)) {
      if (entry.written < entry.version || (pod.metadata.deletionTimestamp !== undefined && entry.finished)) this.#kick(pod.metadata.uid)
      return false
    }
    entry.status = status
    entry.version++
    this.#kick(pod.metadata.uid)
    return true
  }

  /** Nothing of the pod is left on this node: its object may go once it is marked for deletion. */
  finish(pod: Pod): void {
    const entry = this.#entries.get(pod.metadata.uid)
    if (!entry) return
    entry.pod = pod
    entry.finished = true
    this.#kick(pod.metadata.uid)
  }

  /** The object changed: perhaps it waits to be deleted, or somebody wrote over the status. */
  observe(pod: Pod): void {
    const entry = this.#entries.get(pod.metadata.uid)
    if (!entry) return
    entry.pod = pod
    if (entry.finished && pod.metadata.deletionTimestamp !== undefined) this.#kick(pod.metadata.uid)
  }

  /** Writes again what somebody changed in the API; called now and then for all pods. */
  reconcile(uid: string): void {
    const entry = this.#entries.get(uid)
    if (!entry || entry.busy) return
    const api = this.#options.apiPod(entry.pod)
    if (api && statusPatch(api.status ?? {}, entry.status) !== undefined) { entry.version++; this.#kick(uid) }
  }

  forget(uid: string): void { this.#entries.delete(uid) }

  #kick(uid: string): void {
    const entry = this.#entries.get(uid)
    if (!entry || entry.busy || !this.#options.client || this.#options.signal.aborted) return
    entry.busy = true
    void this.#write(uid, entry).finally(() => { entry.busy = false })
  }

  async #write(uid: string, entry: Entry): Promise<void> {
    const { client, clock, logger, signal, apiPod } = this.#options
    while (client && !signal.aborted && this.#entries.get(uid) === entry) {
      const due = entry.written < entry.version
      const current = apiPod(entry.pod)
      const mayDelete = entry.finished && !entry.deleted && current?.metadata.deletionTimestamp !== undefined
      if (!due && !mayDelete) return
      if (!current) return
      try {
        if (due) {
          const version = entry.version
          const known = entry.lastAnswer && entry.lastAnswer.metadata.uid === current.metadata.uid && compareResourceVersions(entry.lastAnswer.metadata.resourceVersion, current.metadata.resourceVersion) > 0 ? entry.lastAnswer : current
          const patch = statusPatch(known.status ?? {}, entry.status)
          if (patch) {
            entry.lastAnswer = await client.resource(pods).patch(podNamespace(current), current.metadata.name, 'application/strategic-merge-patch+json', { metadata: { uid: current.metadata.uid }, status: patch }, signal, { subresource: 'status' })
          }
          entry.written = Math.max(entry.written, version)
          continue
        }
        await client.resource(pods).delete(podNamespace(current), current.metadata.name, { gracePeriodSeconds: 0, preconditions: { uid: current.metadata.uid } }, signal)
        entry.deleted = true
        return
      } catch (error) {
        if (signal.aborted) return
        if (hasReason(error, 'NotFound') || (hasReason(error, 'Conflict') && !due)) {
          entry.written = entry.version
          entry.deleted = true
          return
        }
        logger.warn('Could not write the status of a pod', { pod: describePod(entry.pod), error: error instanceof Error ? error.message : String(error) })
        await sleep(clock, retryMs, signal).catch(() => {})
      }
    }
  }
}

/** The strategic merge patch from one status to another; undefined when nothing changed. Lists of conditions and addresses merge by key. */
export function statusPatch(from: PodStatus, to: PodStatus): JsonObject | undefined {
  const patch: Record<string, JsonValue> = {}
  const a = from as unknown as JsonObject // cast: both are JSON-shaped
  const b = to as unknown as JsonObject // cast: as above
  for (const key of new Set([...Object.keys(a), ...Object.keys(b)])) {
    if (key === 'conditions' || key === 'resize' || key === 'resourceClaimStatuses' || key === 'nominatedNodeName' || key === 'extendedResourceClaimStatus') continue
    const before = a[key]
    const after = b[key]
    if (sameJson(before, after)) continue
    if (after === undefined) patch[key] = null
    else if ((key === 'podIPs' || key === 'hostIPs') && Array.isArray(before) && Array.isArray(after)) {
      const kept = after as readonly { readonly ip: string }[] // cast: lists of addresses
      const gone = (before as readonly { readonly ip: string }[]).filter((x) => !kept.some((y) => y.ip === x.ip)) // cast: as above
      patch[key] = [...kept, ...gone.map(({ ip }) => ({ $patch: 'delete', ip }))]
    } else patch[key] = after
  }
  const changed = (to.conditions ?? []).filter((c) => !sameJson((from.conditions ?? []).find((o) => o.type === c.type), c))
  const gone = (from.conditions ?? []).filter((c) => ownedConditions.includes(c.type) && !(to.conditions ?? []).some((n) => n.type === c.type))
  if (changed.length > 0 || gone.length > 0) patch['conditions'] = [...changed.map((c) => ({ ...c })), ...gone.map((c) => ({ $patch: 'delete', type: c.type }))]
  return Object.keys(patch).length === 0 ? undefined : patch
}

/** Equal as JSON, whatever the order of keys; an absent key equals undefined. */
export function sameJson(a: unknown, b: unknown): boolean {
  if (a === b) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  if (Array.isArray(a) || Array.isArray(b)) return Array.isArray(a) && Array.isArray(b) && a.length === b.length && a.every((x, i) => sameJson(x, b[i]))
  const left = a as { readonly [key: string]: unknown } // cast: an object, as tested above
  const right = b as { readonly [key: string]: unknown } // cast: as above
  return [...new Set([...Object.keys(left), ...Object.keys(right)])].every((key) => sameJson(left[key], right[key]))
}
