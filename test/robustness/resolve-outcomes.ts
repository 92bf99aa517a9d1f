// Tells what became of operations whose answers were lost, from the log of everything that happened; and what the log and the answers say
// against each other: an acknowledged change that isn't there, a change that nobody asked for. Pure.
import type { EventLog, LoggedEvent } from './event-log.ts'
import type { LinearCall, Operation, Output, Step } from './operation.ts'

/** An operation that took place, for the linearizability checker. */
export interface ResolvedOperation { readonly client: number; readonly call: LinearCall; readonly calledAt: number; readonly returnedAt: number; readonly output: Output }

export interface ResolveRequest {
  readonly log: EventLog
  /** The part of the log that these operations made. */
  readonly from: number
  readonly to: number
  readonly operations: readonly Operation[]
  /** When a lease may end at the earliest if nobody revokes it. */
  readonly leaseDeadline: (lease: string) => number
  /** No operation returns later. */
  readonly endsAt: number
}

type Txn = Extract<LinearCall, { type: 'txn' }>

export function resolveOutcomes(request: ResolveRequest): { readonly operations: readonly ResolvedOperation[]; readonly violations: readonly string[]; readonly unclaimed: readonly Operation[] } {
  const { log, from, to, endsAt } = request
  const violations: string[] = []
  const claimed = new Map<number, Operation>()
  const resolved: ResolvedOperation[] = []
  const lost: Operation[] = []
  const revokes: Operation[] = []
  for (const operation of request.operations) {
    const { call, outcome } = operation
    if (call.type === 'readAt' || call.type === 'keepAlive' || call.type === 'compact' || outcome.type === 'refused') continue
    if (call.type === 'revoke') { revokes.push(operation); continue }
    if (outcome.type === 'unknown') { lost.push(operation); continue }
    const { output } = outcome
    resolved.push({ ...base(operation), call, output })
    if (call.type !== 'txn' || !changes(call, output)) continue
    const revision = output.revision ?? 0
    const other = claimed.get(revision)
    if (other) violations.push(`two changes say that they are revision ${revision}: ${describe(other)} and ${describe(operation)}`)
    claimed.set(revision, operation)
    if (revision <= from || revision > to) violations.push(`acknowledged, but lost: ${describe(operation)} at revision ${revision}; the store has ${from + 1} to ${to}`)
    else if (!fits(output.succeeded ? call.success : call.failure, log.eventsAt(revision))) violations.push(`acknowledged, but changed: ${describe(operation)} at revision ${revision} is ${JSON.stringify(log.eventsAt(revision))}`)
  }
  // Of those that could have made a change the first one is taken: its interval contains the others'.
  lost.sort((a, b) => a.calledAt - b.calledAt)
  for (let revision = from + 1; revision <= to; revision++) {
    if (claimed.has(revision)) continue
    const events = log.eventsAt(revision)
    const lease = leaseEnded(events)
    const at = lost.findIndex(({ call }) => call.type === 'txn' && branchOf(call, events, log) !== undefined)
    const operation = lost[at]
    if (operation?.call.type === 'txn') {
      lost.splice(at, 1)
      const branch = branchOf(operation.call, events, log)
      resolved.push({ ...base(operation), call: operation.call, returnedAt: endsAt, output: { revision, succeeded: branch === 'success' } })
    } else if (lease !== undefined) {
      const revoke = revokes.findIndex(({ call }) => call.type === 'revoke' && call.lease === lease)
      const asked = revokes[revoke]
      if (asked) {
        revokes.splice(revoke, 1)
        // Without an answer it may have come too late, for a lease that had ended by itself.
        const calledAt = asked.outcome.type === 'done' ? asked.calledAt : Math.min(asked.calledAt, request.leaseDeadline(lease))
        resolved.push({ ...base(asked), calledAt, returnedAt: asked.outcome.type === 'done' ? asked.returnedAt : endsAt, call: { type: 'revoke', lease }, output: { revision } })
      } else if (request.leaseDeadline(lease) > endsAt) violations.push(`lease ${lease} ended before its time, at revision ${revision}`)
      else resolved.push({ client: 0, calledAt: request.leaseDeadline(lease), returnedAt: endsAt, call: { type: 'expire', lease }, output: { revision } })
    } else violations.push(`nobody asked for revision ${revision}: ${JSON.stringify(events)}`)
  }
  // Revocations of leases without keys make no revision.
  for (const operation of revokes) if (operation.outcome.type === 'done' && operation.call.type === 'revoke') resolved.push({ ...base(operation), call: operation.call, output: {} })
  return { operations: resolved, violations, unclaimed: [...lost, ...revokes.filter(({ outcome }) => outcome.type === 'unknown')] }
}

function base({ client, calledAt, returnedAt }: Operation): { readonly client: number; readonly calledAt: number; readonly returnedAt: number } { return { client, calledAt, returnedAt } }

function changes(call: Txn, output: Output): boolean {
  const steps = output.succeeded ? call.success : call.failure
  return steps.some((step, at) => {
    const result = output.results?.[at]
    return step.type === 'put' || (result?.type === 'delete' && result.deleted > 0)
  })
}

/** Are these the changes that the steps make? A deletion may have found nothing. */
function fits(steps: readonly Step[], events: readonly LoggedEvent[]): boolean {
  const left = new Set(events)
  for (const step of steps) {
    if (step.type === 'get') continue
    const event = events.find((candidate) => candidate.key === step.key)
    if (step.type === 'put' && (event?.type !== 'PUT' || event.value !== step.value || event.lease !== step.lease)) return false
    if (step.type === 'delete' && event && event.type !== 'DELETE') return false
    if (event) left.delete(event)
  }
  return left.size === 0 && events.length > 0
}

/** The branch of a transaction without an answer that made these changes. */
function branchOf(call: Txn, events: readonly LoggedEvent[], log: EventLog): 'success' | 'failure' | undefined {
  const first = events[0]
  if (!first) return undefined
  const holds = call.guards.every((guard) => (log.stateOf(guard.key, first.modRevision - 1)?.modRevision ?? 0) === guard.modRevision)
  const branch = holds ? 'success' : 'failure'
  return fits(call[branch], events) ? branch : undefined
}

/** The lease whose end deletes these keys. */
function leaseEnded(events: readonly LoggedEvent[]): string | undefined {
  const lease = events[0]?.previous?.lease
  return lease !== undefined && lease !== '0' && events.every((event) => event.type === 'DELETE' && event.previous?.lease === lease) ? lease : undefined
}

export function describe({ client, call, outcome }: Operation): string { return `client ${client} ${JSON.stringify(call)} → ${JSON.stringify(outcome)}` }

/** Reads of the past say what the log says. */
export function checkPastReads(log: EventLog, operations: readonly Operation[]): readonly string[] {
  return operations.flatMap((operation) => {
    const { call, outcome } = operation
    if (call.type !== 'readAt' || outcome.type !== 'done') return []
    const result = outcome.output.results?.[0]
    const at = call.revision > 0 ? call.revision : outcome.output.revision ?? 0
    if (result?.type !== 'get' || at <= log.firstRevision || at > log.revision) return []
    const expected = log.statesIn(call.key, call.end, at)
    const same = expected.length === result.kvs.length && JSON.stringify(expected.map(fields)) === JSON.stringify(result.kvs.map(fields))
    return same ? [] : [`a read at revision ${at} differs from what happened: ${describe(operation)}, expected ${JSON.stringify(expected)}`]
  })
}

function fields(kv: { readonly key: string; readonly value: string; readonly modRevision: number; readonly createRevision: number; readonly version: number; readonly lease: string }): readonly unknown[] {
  return [kv.key, kv.value, kv.modRevision, kv.createRevision, kv.version, kv.lease]
}
