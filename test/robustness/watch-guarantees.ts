// etcd's nine promises about watches, checked on what one watch delivered against the log of everything that happened. Pure.
// Upstream: etcd/tests/robustness/validate/watch.go (which promises there are)
import { EventLog, isInRange, sameState, type LoggedEvent } from './event-log.ts'

export const watchGuarantees = ['filtered', 'ordered', 'unique', 'atomic', 'bookmarked', 'resumable', 'created', 'reliable', 'previous value'] as const
export type WatchGuarantee = (typeof watchGuarantees)[number]

export type WatchResponse =
  | { readonly type: 'created'; readonly revision: number }
  | { readonly type: 'events'; readonly events: readonly LoggedEvent[] }
  | { readonly type: 'bookmark'; readonly revision: number }

export interface WatchRecord {
  readonly key: string
  readonly end?: string
  /** 0: from when it was created on. */
  readonly startRevision: number
  readonly previousValues: boolean
  readonly noPut?: boolean
  readonly noDelete?: boolean
  readonly responses: readonly WatchResponse[]
  /** The watcher has waited until it had to have heard of everything up to here. */
  readonly completeTo?: number
}

export interface WatchViolation { readonly guarantee: WatchGuarantee; readonly detail: string }

export function checkWatch(log: EventLog, watch: WatchRecord): readonly WatchViolation[] {
  const violations: WatchViolation[] = []
  const broken = (guarantee: WatchGuarantee, detail: string): void => { violations.push({ guarantee, detail }) }
  const wants = (event: LoggedEvent): boolean => isInRange(event.key, watch.key, watch.end) && !(event.type === 'PUT' ? watch.noPut : watch.noDelete)
  const start = startOf(watch)
  const seen = new Set<string>()
  const responseOf = new Map<number, number>()
  let last = 0
  let bookmark = 0
  watch.responses.forEach((response, at) => {
    if (response.type === 'bookmark') {
      if (response.revision < bookmark) broken('bookmarked', `bookmark ${response.revision} follows bookmark ${bookmark}`)
      bookmark = Math.max(bookmark, response.revision)
      if (start !== undefined) for (const missed of missing(log, start, bookmark, wants, seen)) broken('bookmarked', `bookmark ${bookmark} came before ${nameOf(missed)}`)
      return
    }
    if (response.type === 'created') return
    for (const event of response.events) {
      if (!wants(event)) broken('filtered', `${nameOf(event)} was not asked for`)
      if (event.modRevision < last) broken('ordered', `${nameOf(event)} follows revision ${last}`)
      if (event.modRevision <= bookmark) broken('bookmarked', `${nameOf(event)} follows bookmark ${bookmark}`)
      last = Math.max(last, event.modRevision)
      if (seen.has(nameOf(event))) broken('unique', `${nameOf(event)} came twice`)
      seen.add(nameOf(event))
      const before = responseOf.get(event.modRevision)
      if (before !== undefined && before !== at) broken('atomic', `${nameOf(event)} came apart from others of its revision`)
      responseOf.set(event.modRevision, at)
      const real = log.eventsAt(event.modRevision).find((other) => other.key === event.key)
      if (!real || real.type !== event.type || real.value !== event.value || real.lease !== event.lease) { broken('reliable', `${nameOf(event)} with value ${event.value} never happened`); continue }
      if (event.type === 'PUT' && (event.createRevision === event.modRevision) !== (real.previous === undefined)) broken('created', `${nameOf(event)} says that the key was created at ${event.createRevision}`)
      if (event.type === 'PUT' && (event.version !== real.version || event.createRevision !== real.createRevision)) broken('created', `${nameOf(event)} says version ${event.version}, created at ${event.createRevision}`)
      // A compaction may have taken the value before, but never puts another in its place.
      if (watch.previousValues ? event.previous !== undefined && !sameState(event.previous, real.previous) : event.previous !== undefined) broken('previous value', `${nameOf(event)} says that ${event.previous?.value} was before, not ${real.previous?.value}`)
      if (watch.previousValues && event.previous === undefined && real.previous !== undefined && !log.mayLackPrevious(event.modRevision)) broken('previous value', `${nameOf(event)} lacks the value before`)
    }
    // Part of a revision in one call is as bad as in two.
    for (const revision of new Set(response.events.map((event) => event.modRevision))) {
      for (const real of log.eventsAt(revision)) if (wants(real) && !seen.has(nameOf(real)) && (start === undefined || revision >= start)) broken('atomic', `${nameOf(real)} is missing beside others of its revision`)
    }
  })
  checkCompleteness(log, watch, start, last, wants, seen, broken)
  return violations
}

function checkCompleteness(log: EventLog, watch: WatchRecord, start: number | undefined, last: number, wants: (event: LoggedEvent) => boolean, seen: ReadonlySet<string>, broken: (guarantee: WatchGuarantee, detail: string) => void): void {
  if (start === undefined) return
  const first = firstDelivered(watch)
  if (first !== undefined) {
    if (first < start) broken('resumable', `started at ${start}, it delivers revision ${first}`)
    for (const missed of missing(log, start, first - 1, wants, seen)) broken('resumable', `started at ${start}, it begins with revision ${first} and leaves out ${nameOf(missed)}`)
  }
  for (const missed of missing(log, Math.max(start, first ?? start), Math.max(last, watch.completeTo ?? 0), wants, seen)) broken('reliable', `${nameOf(missed)} never came`)
}

function startOf(watch: WatchRecord): number | undefined {
  if (watch.startRevision > 0) return watch.startRevision
  const created = watch.responses.find((response) => response.type === 'created')
  return created?.type === 'created' ? created.revision + 1 : undefined
}

function firstDelivered(watch: WatchRecord): number | undefined {
  for (const response of watch.responses) if (response.type === 'events') for (const event of response.events) return event.modRevision
  return undefined
}

function missing(log: EventLog, from: number, to: number, wants: (event: LoggedEvent) => boolean, seen: ReadonlySet<string>): readonly LoggedEvent[] {
  const missed: LoggedEvent[] = []
  for (let revision = from; revision <= Math.min(to, log.revision); revision++) for (const event of log.eventsAt(revision)) if (wants(event) && !seen.has(nameOf(event))) missed.push(event)
  return missed
}

function nameOf(event: LoggedEvent): string { return `${event.type} ${event.key}@${event.modRevision}` }
