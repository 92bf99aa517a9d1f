// Records events (`kubectl describe` shows them): `recorder.event(object, 'Normal', 'Scheduled', 'Successfully assigned …')`.
//
// Rule it keeps: recording never blocks and never fails its caller. Events wait in a queue of at most 1,000 and are written one after the other;
// when the queue is full new ones are dropped, and what the server refuses is logged and dropped.
// Upstream: client-go/tools/record
import { formatTime } from '../base/clock.ts'
import type { Clock } from '../base/clock.ts'
import type { Event, ObjectReference } from '../api/generated/types/core-v1.ts'
import { ApiError, hasReason } from './api-error.ts'
import type { ApiClient, ApiObject, ResourceKey } from './api-client.ts'
import { EventCorrelator } from './event-correlator.ts'
import type { InformerLogger } from './informer.ts'
import { apiVersionOf } from './object-references.ts'
import { events } from './resource-keys.ts'

export type EventType = 'Normal' | 'Warning'

export interface EventRecorder {
  /** `about`: a reference, or what `referenceTo` makes of an object. */
  event(about: ObjectReference, type: EventType, reason: string, message: string): void
  /** Resolves when everything recorded so far is written or dropped. */
  flush(): Promise<void>
}

export interface EventRecorderOptions {
  readonly client: ApiClient
  readonly clock: Clock
  /** `source.component`, such as `deployment-controller`. */
  readonly component: string
  /** `source.host`: the node, for what runs on one. */
  readonly host?: string
  readonly logger: InformerLogger
  readonly signal: AbortSignal
}

const queueMax = 1_000
const messageMax = 1_024

/** A reference to `object`, for events and bindings; `fieldPath` names a part of it, such as `spec.containers{web}`. */
export function referenceTo(object: ApiObject, key: Pick<ResourceKey, 'group' | 'version' | 'kind'>, fieldPath?: string): ObjectReference {
  const { namespace, name, uid, resourceVersion } = object.metadata
  return {
    kind: key.kind, apiVersion: apiVersionOf(key), name, uid, resourceVersion, ...(namespace ? { namespace } : {}), ...(fieldPath === undefined ? {} : { fieldPath }),
  }
}

export function createEventRecorder(options: EventRecorderOptions): EventRecorder {
  const { client, clock, component, host, logger, signal } = options
  const resource = client.resource(events)
  const correlator = new EventCorrelator(clock)
  const queue: Event[] = []
  let writing: Promise<void> | undefined
  let lastNanos = 0n

  /** Names are the object's name and the time in hexadecimal nanoseconds, made unique within this recorder. */
  const uniqueNanos = (): string => {
    const now = BigInt(Math.floor(clock.now())) * 1_000_000n
    lastNanos = now > lastNanos ? now : lastNanos + 1n
    return lastNanos.toString(16)
  }

  const write = async (event: Event): Promise<void> => {
    const decision = correlator.correlate(event)
    if (decision.kind === 'drop') return
    const namespace = decision.event.metadata.namespace ?? 'default'
    if (decision.kind === 'update') {
      const { count = 1, lastTimestamp = '', message = '' } = decision.event
      try {
        await resource.patch(namespace, decision.name, 'application/strategic-merge-patch+json', { count, lastTimestamp, message }, signal)
        return
      } catch (error) {
        if (!hasReason(error, 'NotFound')) throw error
      }
    }
    const fresh: Event = { ...decision.event, metadata: { ...decision.event.metadata, name: event.metadata.name } }
    await resource.create(namespace, fresh, signal)
    if (decision.kind === 'update') correlator.recreated(decision.key, fresh)
  }

  const drain = async (): Promise<void> => {
    for (let event = queue.shift(); event !== undefined && !signal.aborted; event = queue.shift()) {
      try {
        await write(event)
      } catch (error) {
        // The namespace is going away, or the object is: nobody will miss the event.
        const expected = signal.aborted || (error instanceof ApiError && (error.code === 403 || error.code === 404 || error.code === 409))
        if (!expected) logger.error('Event could not be written', error, { reason: event.reason ?? '', object: event.involvedObject.name ?? '' })
      }
    }
    writing = undefined
  }

  return {
    event(about, type, reason, message) {
      if (signal.aborted) return
      if (queue.length >= queueMax) { logger.warn('Event queue is full, event dropped', { reason, object: about.name ?? '' }); return }
      const time = formatTime(clock.now())
      const namespace = about.namespace ? about.namespace : 'default'
      const event = {
        metadata: { name: `${about.name ?? ''}.${uniqueNanos()}`, namespace },
        involvedObject: about,
        reason,
        message: message.length > messageMax ? message.slice(0, messageMax) : message,
        source: { component, ...(host === undefined ? {} : { host }) },
        firstTimestamp: time,
        lastTimestamp: time,
        count: 1,
        type,
        reportingComponent: component,
        reportingInstance: host ?? '',
      }
      queue.push(event as Event) // cast: uid, resourceVersion and creationTimestamp are the server's to set
      writing ??= drain()
    },
    async flush() { await writing },
  }
}
