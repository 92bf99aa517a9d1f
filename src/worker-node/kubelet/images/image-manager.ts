// Sees to it that a container's image is on the node: by pull policy, with back-off after failures, with the pod's credentials.
// Upstream: pkg/kubelet/images/image_manager.go
import { BackOff, formatGoDuration } from '../pod/back-off.ts'
import { containerReference } from '../pod/pod-facts.ts'
import { matchCredentials } from './pull-credentials.ts'
import type { RegistryCredential } from './pull-credentials.ts'
import type { Clock } from '../../../lib/base/clock.ts'
import type { EventRecorder } from '../../../lib/client/event-recorder.ts'
import type { ImageService } from '../../../lib/cri-api/cri-services.ts'
import type { Image, PodSandboxConfig } from '../../../lib/cri-api/generated/types.ts'
import type { Container, EphemeralContainer, Pod } from '../../../lib/api/generated/types/core-v1.ts'

export type ImageResult =
  | { readonly ok: true; readonly imageRef: string; readonly image: Image }
  | { readonly ok: false; readonly reason: 'ErrImagePull' | 'ImagePullBackOff' | 'ErrImageNeverPull' | 'InvalidImageName' | 'ImageInspectError' | 'RegistryUnavailable'; readonly message: string; readonly retryAfterMs: number }

export interface ImageManagerOptions {
  readonly images: ImageService
  readonly clock: Clock
  readonly events: EventRecorder
  readonly serializePulls: boolean
  readonly initialBackOffMs: number
  readonly maximumBackOffMs: number
}

const imageName = /^(?:(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])(?:\.(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9]))*(?::\d+)?\/)?[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*(?::\w[\w.-]{0,127})?(?:@[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,})?$/

/** With `:latest` where no tag and no digest is given; undefined when it is no name of an image. */
export function applyDefaultTag(image: string): string | undefined {
  if (/^[0-9a-f]{64}$/.test(image) || /^sha256:[0-9a-f]{64}$/.test(image)) return image
  if (!imageName.test(image)) return undefined
  const last = image.slice(image.lastIndexOf('/') + 1)
  return last.includes(':') || last.includes('@') ? image : `${image}:latest`
}

/** The policy of a container that doesn't name one. */
export function defaultPullPolicy(image: string): 'Always' | 'IfNotPresent' { return applyDefaultTag(image)?.endsWith(':latest') ? 'Always' : 'IfNotPresent' }

export class ImageManager {
  readonly #options: ImageManagerOptions
  readonly #backOff: BackOff
  /** The last pull's error by back-off key, for the message while waiting. */
  readonly #lastError = new Map<string, string>()
  #pulls: Promise<unknown> = Promise.resolve()

  constructor(options: ImageManagerOptions) {
    this.#options = options
    this.#backOff = new BackOff(options.initialBackOffMs, options.maximumBackOffMs)
  }

  collect(): void {
    this.#backOff.collect(this.#options.clock.now())
    for (const key of this.#lastError.keys()) if (this.#backOff.get(key) === 0) this.#lastError.delete(key)
  }

  async ensureImage(pod: Pod, container: Container | EphemeralContainer, credentials: readonly RegistryCredential[], sandboxConfig: PodSandboxConfig, signal: AbortSignal): Promise<ImageResult> {
    const { images, clock, events } = this.#options
    const named = container.image ?? ''
    const about = containerReference(pod, container.name)
    const image = applyDefaultTag(named)
    if (image === undefined) {
      const message = `Failed to apply default image tag "${named}": couldn't parse image name "${named}": invalid reference format`
      events.event(about, 'Warning', 'InspectFailed', message)
      return { ok: false, reason: 'InvalidImageName', message, retryAfterMs: 60_000 }
    }
    const policy = container.imagePullPolicy || defaultPullPolicy(named)
    let present: Image | undefined
    try {
      present = (await images.imageStatus({ image: { image } }, signal)).image
    } catch (error) {
      const message = `Failed to inspect image "${image}": ${describe(error)}`
      events.event(about, 'Warning', 'InspectFailed', message)
      return { ok: false, reason: 'ImageInspectError', message, retryAfterMs: 10_000 }
    }
    if (present?.id && policy !== 'Always') {
      events.event(about, 'Normal', 'Pulled', `Container image "${named}" already present on machine and can be accessed by the pod`)
      return { ok: true, imageRef: present.id, image: present }
    }
    if (policy === 'Never') {
      const message = `Container image "${named}" is not present with pull policy of Never`
      events.event(about, 'Warning', 'ErrImageNeverPull', message)
      return { ok: false, reason: 'ErrImageNeverPull', message, retryAfterMs: 10_000 }
    }
    const key = `${pod.metadata.uid}_${image}`
    const waitMs = this.#backOff.remainingSinceUpdate(key, clock.now())
    if (waitMs > 0) {
      const before = this.#lastError.get(key)
      events.event(about, 'Normal', 'BackOff', `Back-off pulling image "${named}"`)
      return { ok: false, reason: 'ImagePullBackOff', message: `Back-off pulling image "${named}"${before === undefined ? '' : `: ErrImagePull: ${before}`}`, retryAfterMs: waitMs }
    }
    const askedAtMs = clock.monotonic()
    const pull = async (): Promise<ImageResult> => {
      events.event(about, 'Normal', 'Pulling', `Pulling image "${named}"`)
      const startedAtMs = clock.monotonic()
      try {
        const imageRef = await this.#pullWithAny(image, container, matchCredentials(image, credentials), sandboxConfig, signal)
        const status = (await images.imageStatus({ image: { image: imageRef } }, signal)).image ?? (await images.imageStatus({ image: { image } }, signal)).image
        const took = formatGoDuration(Math.round(clock.monotonic() - startedAtMs))
        const including = formatGoDuration(Math.round(clock.monotonic() - askedAtMs))
        events.event(about, 'Normal', 'Pulled', `Successfully pulled image "${named}" in ${took} (${including} including waiting). Image size: ${status?.size ?? 0} bytes.`)
        this.#backOff.reset(key)
        this.#lastError.delete(key)
        return { ok: true, imageRef: status?.id || imageRef, image: status ?? { id: imageRef } }
      } catch (error) {
        if (signal.aborted) throw error
        const message = describe(error)
        events.event(about, 'Warning', 'Failed', `Failed to pull image "${named}": ${message}`)
        this.#backOff.next(key, clock.now(), clock.now())
        this.#lastError.set(key, message)
        // The next look, soon, finds the back-off and says so; the pull itself waits for its end.
        return { ok: false, reason: 'ErrImagePull', message, retryAfterMs: 1000 }
      }
    }
    if (!this.#options.serializePulls) return pull()
    const queued = this.#pulls.then(pull, pull)
    this.#pulls = queued.catch(() => {})
    return queued
  }

  async #pullWithAny(image: string, container: Container | EphemeralContainer, credentials: readonly (object | undefined)[], sandboxConfig: PodSandboxConfig, signal: AbortSignal): Promise<string> {
    const { images } = this.#options
    const attempts = credentials.length === 0 ? [undefined] : credentials
    const failures: unknown[] = []
    for (const auth of attempts) {
      try {
        const answer = await images.pullImage({ image: { image, userSpecifiedImage: container.image ?? '' }, ...(auth ? { auth } : {}), sandboxConfig }, signal)
        return answer.imageRef ?? image
      } catch (error) {
        if (signal.aborted) throw error
        failures.push(error)
      }
    }
    if (failures.length === 1) throw failures[0]
    throw new AggregateError(failures, failures.map(describe).join(', '))
  }
}

function describe(error: unknown): string { return error instanceof Error ? error.message : String(error) }
