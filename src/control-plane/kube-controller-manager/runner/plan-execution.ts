// Does what a plan says: steps in order, actions of a step one by one, all together or in growing batches. Reports what was written, so that the
// runner can wait until the local copies show it.
import type { ApiClient, ApiObject, ResourceKey } from '../../../lib/client/api-client.ts'
import { ApiError, hasReason } from '../../../lib/client/api-error.ts'
import type { EventRecorder } from '../../../lib/client/event-recorder.ts'
import type { JsonObject } from '../../../lib/base/json.ts'
import type { Action, Failure, Outcome, Plan, PlannedEvent, Step } from '../controllers/shared/controller.ts'

export interface PlanWorld {
  readonly client: ApiClient
  readonly recorder: EventRecorder
  readonly signal: AbortSignal
  readonly fieldManager: string
  /** Told of every write that was answered: a new version of an object, or its deletion (`result` undefined). */
  written(action: Action, result: ApiObject | undefined): void
}

/** The object is not what the plan was made for: gone, replaced or being deleted. */
export class VerificationError extends Error {
  override readonly name = 'VerificationError'
}

export interface Execution {
  readonly requeueAfterMs: number | undefined
  /** Whether any action was carried out. */
  readonly acted: boolean
  /** What to report and to retry for; undefined when all went well. */
  readonly error: unknown
}

/** Carries the plan out, `afterwards` included. Never throws. */
export async function executePlan(plan: Plan, world: PlanWorld): Promise<Execution> {
  for (const event of plan.events ?? []) record(world, event)
  let succeeded = 0
  let failed: { readonly failure: Failure, readonly error: unknown } | undefined
  for (const step of plan.steps ?? []) {
    const result = await executeStep(step, world)
    succeeded += result.succeeded
    failed = result.failed
    if (failed) break
  }
  const outcome: Outcome = { succeeded, ...(failed ? { failure: failed.failure } : {}) }
  const next = world.signal.aborted ? undefined : plan.afterwards?.(outcome)
  const after = next ? await executePlan(next, world) : undefined
  return {
    error: failed?.error ?? after?.error, acted: succeeded > 0 || (after?.acted ?? false),
    requeueAfterMs: shorter(plan.requeueAfterMs, after?.requeueAfterMs),
  }
}

export function shorter(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined ? b : b === undefined ? a : Math.min(a, b)
}

type ActionResult = { readonly failure: Failure, readonly error: unknown } | undefined

async function executeStep(step: Step, world: PlanWorld): Promise<{ readonly succeeded: number, readonly failed: ActionResult }> {
  let succeeded = 0
  let failed: ActionResult
  const batchSize = step.mode === 'together' ? step.actions.length : 1
  for (let from = 0, size = batchSize; from < step.actions.length && !failed && !world.signal.aborted; from += size, size = step.mode === 'slow-start' ? size * 2 : size) {
    const results = await Promise.all(step.actions.slice(from, from + size).map((action) => executeAction(action, world)))
    for (const result of results) if (result) failed ??= result; else succeeded++
  }
  return { succeeded, failed }
}

async function executeAction(action: Action, world: PlanWorld): Promise<ActionResult> {
  try {
    const result = await perform(action, world)
    if (action.kind !== 'verify' && action.kind !== 'verify-absent') world.written(action, result)
    record(world, action.succeeded?.(result))
    return undefined
  } catch (error) {
    if (hasReason(error, ...action.tolerates ?? [])) {
      if (action.kind === 'delete') world.written(action, undefined)
      return undefined
    }
    const failure: Failure = error instanceof ApiError
      ? { action, reason: error.reason, message: error.message, causes: error.status.details?.causes?.map((cause) => cause.reason ?? '') ?? [] }
      : { action, reason: '', message: error instanceof Error ? error.message : String(error), causes: [] }
    // Nothing can be made in a namespace that is going away: not worth an event, a condition or a retry.
    if (action.kind === 'create' && failure.causes.includes('NamespaceTerminating')) return undefined
    record(world, action.failed?.(failure))
    return { failure, error }
  }
}

async function perform(action: Action, { client, signal, fieldManager }: PlanWorld): Promise<ApiObject | undefined> {
  const resource = client.resource(action.resource as ResourceKey)
  const { namespace, name } = action
  switch (action.kind) {
    case 'create': return resource.create(namespace, action.object, signal, { fieldManager, ...(action.subresource === undefined ? {} : { subresource: action.subresource }) })
    case 'update': return resource.update(action.object, signal, { fieldManager, ...(action.subresource === undefined ? {} : { subresource: action.subresource }) })
    case 'patch': return resource.patch(namespace, name, action.patchType, action.patch, signal, { fieldManager, ...(action.subresource === undefined ? {} : { subresource: action.subresource }) })
    case 'delete': await resource.delete(namespace, name, action.options, signal); return undefined
    case 'post': await resource.createSubresource(namespace, name, action.subresource, action.body as JsonObject, signal); return undefined
    case 'verify-absent':
      try { await resource.get(namespace, name, signal) } catch (error) { if (hasReason(error, 'NotFound')) return undefined; throw error }
      throw new VerificationError(`${action.resource.kind} ${name} is there`)
    case 'verify': {
      const live = await resource.get(namespace, name, signal)
      if (live.metadata.uid !== action.uid) throw new VerificationError(`original ${action.resource.kind} ${namespace}/${name} is gone: got uid ${live.metadata.uid}, wanted ${action.uid}`)
      if (live.metadata.deletionTimestamp !== undefined) throw new VerificationError(`${namespace}/${name} has just been deleted at ${live.metadata.deletionTimestamp}`)
      return undefined
    }
  }
}

function record(world: PlanWorld, event: PlannedEvent | undefined): void {
  if (event) world.recorder.event(event.about, event.type, event.reason, event.message)
}
