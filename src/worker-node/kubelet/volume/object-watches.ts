// Watches the ConfigMaps and Secrets that volumes of this node's pods show, one watch per object, so that a change is in the files at once
// instead of at the pod's next regular sync (up to 90 seconds later).
// Rule it keeps: a watch only tells that something is new and keeps the cache current; without it everything works, later.
// Upstream: pkg/kubelet/util/manager/watch_based_manager.go
import { sleep } from '../../../lib/base/clock.ts'
import { configMaps, secrets } from '../../../lib/client/resource-keys.ts'
import { allContainers, podNamespace } from '../pod/pod-facts.ts'
import type { ObjectCache } from './object-cache.ts'
import type { Clock } from '../../../lib/base/clock.ts'
import type { ApiClient, ApiObject, ResourceKey } from '../../../lib/client/api-client.ts'
import type { ConfigMap, Pod, Secret } from '../../../lib/api/generated/types/core-v1.ts'

export interface ObjectWatchesOptions {
  readonly client: ApiClient
  readonly clock: Clock
  readonly configMaps: ObjectCache<ConfigMap>
  readonly secrets: ObjectCache<Secret>
  /** An object that this pod shows has changed. */
  readonly onChange: (podUid: string) => void
  readonly signal: AbortSignal
}

interface Watched { readonly pods: Set<string>; readonly stop: AbortController }
type Change = { readonly type: string; readonly object: ConfigMap | Secret }

const firstDelayMs = 1000
const longestDelayMs = 60_000

/** `configmap/namespace/name` and `secret/namespace/name` of everything that volumes of the pod's containers show. */
export function shownObjects(pod: Pod): readonly string[] {
  const used = new Set(allContainers(pod).flatMap((c) => (c.container.volumeMounts ?? []).map((m) => m.name)))
  const found = new Set<string>()
  const add = (kind: 'configmap' | 'secret', name: string | undefined): void => { if (name) found.add(`${kind}/${podNamespace(pod)}/${name}`) }
  for (const volume of pod.spec?.volumes ?? []) {
    if (!used.has(volume.name)) continue
    add('configmap', volume.configMap?.name)
    add('secret', volume.secret?.secretName)
    for (const source of volume.projected?.sources ?? []) {
      add('configmap', source.configMap?.name)
      add('secret', source.secret?.name)
    }
  }
  return [...found]
}

export class ObjectWatches {
  readonly #options: ObjectWatchesOptions
  readonly #watched = new Map<string, Watched>()
  readonly #podsSeen = new Set<string>()

  constructor(options: ObjectWatchesOptions) { this.#options = options }

  /** Begins to follow what the pod shows. A pod's volumes never change. */
  add(pod: Pod): void {
    const { uid } = pod.metadata
    if (this.#podsSeen.has(uid)) return
    this.#podsSeen.add(uid)
    for (const id of shownObjects(pod)) {
      const known = this.#watched.get(id)
      if (known) { known.pods.add(uid); continue }
      const watched: Watched = { pods: new Set([uid]), stop: new AbortController() }
      this.#watched.set(id, watched)
      this.#follow(id, watched).catch(() => {}) // ends only with its signal
    }
  }

  remove(uid: string): void {
    if (!this.#podsSeen.delete(uid)) return
    for (const [id, watched] of this.#watched) {
      if (!watched.pods.delete(uid) || watched.pods.size > 0) continue
      this.#watched.delete(id)
      watched.stop.abort(new Error('no pod shows it any more'))
    }
  }

  async #follow(id: string, watched: Watched): Promise<void> {
    const [kind = '', namespace = '', name = ''] = id.split('/')
    const signal = AbortSignal.any([this.#options.signal, watched.stop.signal])
    if (kind === 'configmap') await this.#followOne(configMaps, this.#options.configMaps, namespace, name, watched, signal)
    else await this.#followOne(secrets, this.#options.secrets, namespace, name, watched, signal)
  }

  async #followOne<T extends ApiObject & Change['object']>(key: ResourceKey<T>, cache: ObjectCache<T>, namespace: string, name: string, watched: Watched, signal: AbortSignal): Promise<void> {
    const { client, clock, onChange } = this.#options
    for (let delayMs = firstDelayMs; !signal.aborted; delayMs = Math.min(delayMs * 2, longestDelayMs)) {
      try {
        // Without a resourceVersion the watch begins with the object as it is.
        for await (const events of client.resource(key).watch(namespace, { fieldSelector: `metadata.name=${name}` }, signal)) {
          delayMs = firstDelayMs
          for (const { type, object } of events) {
            if (type === 'ERROR' || type === 'BOOKMARK') continue
            if (!cache.put(namespace, name, type === 'DELETED' ? undefined : object)) continue
            for (const uid of watched.pods) onChange(uid)
          }
        }
      } catch (error) {
        if (signal.aborted) throw error
        // The server is away, or the watch was too old: it is begun anew.
      }
      await sleep(clock, delayMs, signal)
    }
  }
}
