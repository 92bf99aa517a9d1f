// Remembers what a controller wrote for each key until the local copies show it. A key is not synced before: so a lagging watch makes a controller
// slow, never wrong, and nothing is created twice. One mechanism for every controller, where the original has expectations in some.
//
// It works because resource versions are numbers that grow over all resources: a copy at version N shows every write up to N.
// Upstream: kubernetes/pkg/controller/controller_utils.go (expectations)
import type { ApiObject, ResourceKey } from '../../../lib/client/api-client.ts'
import type { Informer } from '../../../lib/client/informer-contract.ts'
import { compareResourceVersions } from '../../../lib/client/object-references.ts'
import type { Action } from '../controllers/shared/controller.ts'

interface PendingDelete { readonly namespace: string, readonly name: string, readonly uid: string | undefined }

interface Pending {
  readonly sinceMs: number
  /** Newest version written, by resource. */
  readonly versions: Map<string, string>
  readonly deletes: Map<string, PendingDelete[]>
}

/** After this long a write that never shows is given up on: the object went before its watch event could be seen. */
const patienceMs = 300_000

export function resourceId(key: Pick<ResourceKey, 'group' | 'resource'>): string { return `${key.group}/${key.resource}` }

export class WriteTracker {
  readonly #informers: ReadonlyMap<string, Informer<ApiObject>>
  readonly #pending = new Map<string, Pending>()

  /** @param informers by resourceId: writes to other resources are not waited for. */
  constructor(informers: ReadonlyMap<string, Informer<ApiObject>>) { this.#informers = informers }

  /** Notes the answered write. */
  note(key: string, action: Action, result: ApiObject | undefined, nowMs: number): void {
    const resource = resourceId(action.resource)
    if (!this.#informers.has(resource)) return
    let pending = this.#pending.get(key)
    if (!pending) this.#pending.set(key, pending = { sinceMs: nowMs, versions: new Map(), deletes: new Map() })
    if (action.kind === 'delete') {
      const list = pending.deletes.get(resource) ?? []
      pending.deletes.set(resource, [...list, { namespace: action.namespace, name: action.name, uid: action.options.preconditions?.uid }])
      return
    }
    const version = result?.metadata.resourceVersion
    if (version === undefined) return
    const known = pending.versions.get(resource)
    if (known === undefined || compareResourceVersions(known, version) < 0) pending.versions.set(resource, version)
  }

  /** The resource whose copy has yet to show a write for `key`; undefined when all show. */
  lagging(key: string, nowMs: number): string | undefined {
    const pending = this.#pending.get(key)
    if (!pending) return undefined
    if (nowMs - pending.sinceMs < patienceMs) {
      for (const [resource, version] of pending.versions) {
        const informer = this.#informers.get(resource)
        if (informer && compareResourceVersions(informer.resourceVersion, version) < 0) return resource
      }
      for (const [resource, deletes] of pending.deletes) {
        const informer = this.#informers.get(resource)
        if (informer && deletes.some((d) => isThere(informer, d))) return resource
      }
    }
    this.#pending.delete(key)
    return undefined
  }
}

function isThere(informer: Informer<ApiObject>, { namespace, name, uid }: PendingDelete): boolean {
  const object = informer.get(namespace, name)
  return object !== undefined && object.metadata.deletionTimestamp === undefined && (uid === undefined || object.metadata.uid === uid)
}
