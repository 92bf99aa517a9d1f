// What a describer is, and what several of them ask the server for: lists page by page and the events about an object.
// Upstream: kubectl/pkg/describe (searchEvents, DescribeEvents)
import { isJsonObject } from '../../../lib/base/json.ts'
import { translateTimestampSince } from '../../../lib/apimachinery/duration.ts'
import type { Event } from '../../../lib/api/generated/types/core-v1.ts'
import { ApiError } from '../../../lib/client/api-error.ts'
import { withQuery } from '../resources/object-path.ts'
import type { QueryParameters } from '../resources/object-path.ts'
import type { Session } from '../session.ts'
import type { DescribeWriter } from './describe-writer.ts'

export interface DescribeWorld {
  readonly session: Session
  readonly showEvents: boolean
  readonly chunkSize: number
  readonly nowMs: number
}

/** Gives the whole text about one object, aligned. */
export type Describer<T> = (world: DescribeWorld, object: T) => Promise<string> | string

/** Every item of a collection. @throws ApiError */
export async function listAll<T>(world: DescribeWorld, path: string, query: QueryParameters = {}): Promise<readonly T[]> {
  const items: T[] = []
  let token = ''
  do {
    const list = await world.session.request('GET', withQuery(path, { ...query, limit: world.chunkSize || undefined, continue: token }))
    for (const item of Array.isArray(list['items']) ? list['items'] : []) items.push(item as T) // cast: the collection's own kind
    token = isJsonObject(list['metadata']) && typeof list['metadata']['continue'] === 'string' ? list['metadata']['continue'] : ''
  } while (token !== '')
  return items
}

export interface EventSubject {
  readonly kind: string
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly uid: string }
}

/** Events about an object; none when they can't be read. */
export async function searchEvents(world: DescribeWorld, { kind, metadata: { name, namespace = '', uid } }: EventSubject): Promise<readonly Event[]> {
  const terms = [`involvedObject.name=${name}`, `involvedObject.namespace=${namespace}`, ...(kind ? [`involvedObject.kind=${kind}`] : []), ...(uid ? [`involvedObject.uid=${uid}`] : [])]
  try {
    return await listAll<Event>(world, namespace ? `/api/v1/namespaces/${namespace}/events` : '/api/v1/events', { fieldSelector: terms.join(',') })
  } catch (error) {
    if (error instanceof ApiError) return []
    throw error
  }
}

/** The events at the end of a description. */
export async function writeEventsOf(out: DescribeWriter, world: DescribeWorld, kind: string, object: { readonly metadata: EventSubject['metadata'] }): Promise<void> {
  if (world.showEvents) writeEvents(out, await searchEvents(world, { kind, metadata: object.metadata }), world.nowMs)
}

/** How long ago an event was, and how often it came since when. */
export function formatInterval(event: Event, nowMs: number): string {
  const first = translateTimestampSince(event.eventTime || event.firstTimestamp, nowMs)
  if (event.series) return `${translateTimestampSince(event.series.lastObservedTime, nowMs)} (x${event.series.count ?? 0} over ${first})`
  if ((event.count ?? 0) > 1) return `${translateTimestampSince(event.lastTimestamp, nowMs)} (x${event.count} over ${first})`
  return first
}

export function writeEvents(out: DescribeWriter, events: readonly Event[], nowMs: number): void {
  if (events.length === 0) { out.line(0, 'Events:\t<none>'); return }
  out.flush()
  out.line(0, 'Events:')
  out.line(1, 'Type\tReason\tAge\tFrom\tMessage')
  out.line(1, '----\t------\t----\t----\t-------')
  const timeOf = (event: Event): number => (event.lastTimestamp ? Date.parse(event.lastTimestamp) : 0)
  for (const event of [...events].sort((a, b) => timeOf(a) - timeOf(b))) {
    const field = event.involvedObject.fieldPath
    const message = (event.message ?? '').trim()
    out.line(1, `${event.type ?? ''}\t${event.reason ?? ''}\t${formatInterval(event, nowMs)}\t${event.source?.component || (event.reportingComponent ?? '')}\t${field ? `${field}: ` : ''}${message}`)
  }
}
