// Linearizability where every answer names its revision: revisions are the order in which operations took place, so it only has to be looked
// whether that order fits the clocks (who was answered before another asked stands before it) and whether every answer is what the store's
// state at its revision says. Exact, and quick enough for every seed. Pure.
import type { EventLog } from '../robustness/event-log.ts'
import { describe, type ResolvedOperation } from '../robustness/resolve-outcomes.ts'
import { isInRange, sameState } from '../robustness/event-log.ts'
import type { KeyState, Step, StepResult } from '../robustness/operation.ts'

/** @param operations those that took place; the unanswered among them with the revision that was found in the log */
export function checkByRevisions(log: EventLog, operations: readonly ResolvedOperation[]): readonly string[] {
  return [...checkOrder(log, operations), ...operations.flatMap((operation) => checkAnswer(log, operation))]
}

/** Whether the operation made a revision of its own. */
function madeRevision(log: EventLog, { call, output }: ResolvedOperation): boolean {
  if (call.type !== 'txn') return false
  const revision = output.revision ?? 0
  const steps = output.succeeded ? call.success : call.failure
  return log.eventsAt(revision).length > 0 && steps.some((step, at) => {
    const result = output.results?.[at]
    return step.type === 'put' || (step.type === 'delete' && (result === undefined || (result.type === 'delete' && result.deleted > 0)))
  })
}

function checkOrder(log: EventLog, all: readonly ResolvedOperation[]): readonly string[] {
  // When a lease ended is only known when somebody asked for it, and not even then.
  const operations = all.filter(({ call, output }) => output.revision !== undefined && call.type !== 'revoke' && call.type !== 'expire')
  const violations: string[] = []
  const byCall = [...operations].sort((a, b) => a.calledAt - b.calledAt)
  const byReturn = [...operations].sort((a, b) => a.returnedAt - b.returnedAt)
  let newest: ResolvedOperation | undefined
  let at = 0
  for (const operation of byCall) {
    for (let earlier = byReturn[at]; earlier !== undefined && earlier.returnedAt < operation.calledAt; earlier = byReturn[++at]) {
      if (newest === undefined || (earlier.output.revision ?? 0) > (newest.output.revision ?? 0)) newest = earlier
    }
    if (newest === undefined) continue
    const revision = operation.output.revision ?? 0
    const known = newest.output.revision ?? 0
    const least = madeRevision(log, operation) ? known + 1 : known
    if (revision < least) violations.push(`stale: ${describe({ ...operation, outcome: { type: 'done', output: operation.output } })} was asked after ${describe({ ...newest, outcome: { type: 'done', output: newest.output } })} had been answered`)
  }
  return violations
}

function checkAnswer(log: EventLog, operation: ResolvedOperation): readonly string[] {
  const { call, output } = operation
  const revision = output.revision ?? 0
  if (output.results === undefined || revision < log.firstRevision || revision > log.revision) return []
  const wrong = (what: string): readonly string[] => [`${what}: ${describe({ ...operation, outcome: { type: 'done', output } })}`]
  if (call.type === 'range') {
    const [result] = output.results
    return result?.type === 'get' && sameResult(result, log.statesIn(call.key, call.end, revision), call.limit) ? [] : wrong(`a read differs from the state at ${revision}`)
  }
  if (call.type !== 'txn') return []
  const made = madeRevision(log, operation)
  const before = made ? revision - 1 : revision
  const holds = call.guards.every((guard) => (log.stateOf(guard.key, before)?.modRevision ?? 0) === guard.modRevision)
  if (holds !== output.succeeded) return wrong(`a transaction took the other branch than the state at ${before} asks for`)
  return checkSteps(log, holds ? call.success : call.failure, output.results, before, revision) ? [] : wrong(`a transaction's answer differs from the state at ${before}`)
}

/** Steps see what the steps before them did. */
function checkSteps(log: EventLog, steps: readonly Step[], results: readonly StepResult[], before: number, revision: number): boolean {
  const done = new Map<string, KeyState | undefined>()
  const stateOf = (key: string): KeyState | undefined => (done.has(key) ? done.get(key) : log.stateOf(key, before))
  return steps.every((step, at) => {
    const result = results[at]
    switch (step.type) {
      case 'put': done.set(step.key, log.stateOf(step.key, revision)); return result?.type === 'put'
      case 'delete': {
        const existed = stateOf(step.key) !== undefined
        done.set(step.key, undefined)
        return result?.type === 'delete' && result.deleted === (existed ? 1 : 0)
      }
      case 'get': {
        const states = log.statesIn(step.key, step.end, before).filter(({ key }) => !done.has(key))
        for (const [key, state] of done) if (state && isInRange(key, step.key, step.end)) states.push(state)
        return result?.type === 'get' && sameResult(result, states.sort((a, b) => (a.key < b.key ? -1 : 1)), step.limit)
      }
    }
  })
}

function sameResult(result: Extract<StepResult, { type: 'get' }>, expected: readonly KeyState[], limit = 0): boolean {
  const shown = limit > 0 ? expected.slice(0, limit) : expected
  return result.count === expected.length && result.kvs.length === shown.length && shown.every((state, i) => sameState(state, result.kvs[i]))
}
