// The API's images of static pods: made when missing or stale, removed when the static pod is gone.
// Upstream: pkg/kubelet/pod/mirror_client.go
import { hasReason } from '../../../lib/client/api-error.ts'
import { pods } from '../../../lib/client/resource-keys.ts'
import { configHashAnnotation, configMirrorAnnotation, podFullName, podNamespace } from '../pod/pod-facts.ts'
import { mirrorOf } from './static-pod.ts'
import type { ApiClient } from '../../../lib/client/api-client.ts'
import type { Logger } from '../../../lib/component-base/log.ts'
import type { Node, Pod } from '../../../lib/api/generated/types/core-v1.ts'

export class MirrorPods {
  readonly #client: ApiClient | undefined
  readonly #logger: Logger
  readonly #node: () => Node | undefined
  readonly #mirrors = new Map<string, Pod>()

  constructor(client: ApiClient | undefined, logger: Logger, node: () => Node | undefined) {
    this.#client = client
    this.#logger = logger
    this.#node = node
  }

  observe(pod: Pod): void { this.#mirrors.set(podFullName(pod), pod) }
  gone(pod: Pod): void { if (this.#mirrors.get(podFullName(pod))?.metadata.uid === pod.metadata.uid) this.#mirrors.delete(podFullName(pod)) }

  /** The mirror of a static pod. */
  of(staticPod: Pod): Pod | undefined { return this.#mirrors.get(podFullName(staticPod)) }
  all(): readonly Pod[] { return [...this.#mirrors.values()] }

  /** Sees to it that the API has the mirror, and the right one. Failures are logged: the pod runs without. */
  async ensure(pod: Pod, signal: AbortSignal): Promise<void> {
    const client = this.#client
    if (!client || this.#node() === undefined) return
    const hash = pod.metadata.annotations?.[configHashAnnotation]
    const known = this.of(pod)
    try {
      if (known) {
        if (known.metadata.deletionTimestamp === undefined && known.metadata.annotations?.[configMirrorAnnotation] === hash) return
        await this.remove(known, signal)
      }
      const node = this.#node()
      const created = await client.resource(pods).create(podNamespace(pod), mirrorOf(pod, node && { name: node.metadata.name, uid: node.metadata.uid }), signal)
      this.observe(created)
    } catch (error) {
      if (signal.aborted) throw error
      if (!hasReason(error, 'AlreadyExists')) this.#logger.warn('Could not create the mirror pod', { pod: podFullName(pod), error: error instanceof Error ? error.message : String(error) })
    }
  }

  async remove(mirror: Pod, signal: AbortSignal): Promise<void> {
    const client = this.#client
    if (!client) return
    try {
      await client.resource(pods).delete(podNamespace(mirror), mirror.metadata.name, { gracePeriodSeconds: 0, preconditions: { uid: mirror.metadata.uid } }, signal)
    } catch (error) {
      if (!hasReason(error, 'NotFound', 'Conflict')) throw error
    }
    this.gone(mirror)
  }
}
