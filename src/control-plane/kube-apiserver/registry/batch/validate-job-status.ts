// The status of jobs. Who runs a job may be a stranger (`managedBy`), so every change must make sense; what was wrong before may stay while other things change.
// Upstream: pkg/apis/batch/validation/validation.go (validateJobStatus), pkg/registry/batch/job/strategy.go (getStatusValidationOptions)
import type { Draft } from '../../../../lib/base/json.ts'
import type { Job, JobStatus } from '../../../../lib/api/generated/types/batch-v1.ts'
import { fieldDuplicate, fieldInvalid, fieldRequired } from '../../../../lib/apimachinery/field-error.ts'
import type { FieldError } from '../../../../lib/apimachinery/field-error.ts'
import { validateCounts } from '../apps/validate-replica-counts.ts'
import { fieldInvalidUnshown } from '../go-structs.ts'
import { semanticEqual } from '../semantic-equal.ts'
import { countIndexes, overlapAt } from './completion-indexes.ts'

type Status = Draft<JobStatus>

const has = (status: Status, type: string): boolean => status.conditions?.some((condition) => condition.type === type && condition.status === 'True') ?? false
const isFinished = (status: Status): boolean => has(status, 'Complete') || has(status, 'Failed')

function validateUncounted(status: Status, errors: FieldError[]): void {
  const seen = new Set<string>()
  for (const list of ['succeeded', 'failed'] as const) {
    status.uncountedTerminatedPods?.[list]?.forEach((uid = '', i) => {
      const at = `status.uncountedTerminatedPods.${list}[${i}]`
      if (uid === '') errors.push(fieldInvalid(at, uid, 'must not be empty'))
      else if (seen.has(uid)) errors.push(fieldDuplicate(at, uid))
      seen.add(uid)
    })
  }
}

export function validateJobStatus(job: Draft<Job>, old: Draft<Job>, errors: FieldError[]): void {
  const { status = {}, spec = {} } = job
  const before = old.status ?? {}
  const conditions = (detail: string): void => { errors.push(fieldInvalidUnshown('status.conditions', detail)) }
  const turned = (type: string): boolean => has(status, type) !== has(before, type)
  const finished = isFinished(status)
  const finishChanged = finished !== isFinished(before)
  const complete = has(status, 'Complete')
  const failed = has(status, 'Failed')
  const criteriaMet = has(status, 'SuccessCriteriaMet')
  const indexed = spec.completionMode === 'Indexed'
  const startChanged = status.startTime !== before.startTime
  const completionChanged = status.completionTime !== before.completionTime
  const completionMatters = turned('Complete') || completionChanged
  const completedChanged = (status.completedIndexes ?? '') !== (before.completedIndexes ?? '')
  const failedChanged = status.failedIndexes !== before.failedIndexes

  validateCounts(status, ['active', 'succeeded', 'failed', 'ready', 'terminating'], errors)
  validateUncounted(status, errors)
  if ((turned('Complete') || turned('Failed')) && complete && failed) conditions('cannot set Complete=True and Failed=true conditions')
  if ((turned('Complete') || turned('FailureTarget')) && complete && has(status, 'FailureTarget')) conditions('cannot set Complete=True and FailureTarget=true conditions')
  if (completionMatters && status.completionTime && !complete) {
    errors.push(fieldInvalid('status.completionTime', status.completionTime, 'cannot set completionTime when there is no Complete=True condition'))
  }
  if (completionMatters && !status.completionTime && complete) errors.push(fieldRequired('status.completionTime', 'completionTime is required for Complete jobs'))
  if ((startChanged || completionChanged) && status.startTime && status.completionTime && Date.parse(status.completionTime) < Date.parse(status.startTime)) {
    errors.push(fieldInvalid('status.completionTime', status.completionTime, 'completionTime cannot be set before startTime'))
  }
  if (turned('Failed') && failed && !has(status, 'FailureTarget')) conditions('cannot set Failed=True condition without the FailureTarget=true condition')
  if (turned('Complete') && complete && !criteriaMet) conditions('cannot set Complete=True condition without the SuccessCriteriaMet=true condition')
  if ((finishChanged || status.active !== before.active) && (status.active ?? 0) > 0 && finished) {
    errors.push(fieldInvalid('status.active', status.active, 'active>0 is invalid for finished job'))
  }
  if ((finishChanged || startChanged) && !status.startTime && finished) errors.push(fieldRequired('status.startTime', 'startTime is required for finished job'))
  const uncounted = status.uncountedTerminatedPods
  if ((finishChanged || !semanticEqual(uncounted, before.uncountedTerminatedPods)) && finished && (uncounted?.failed?.length ?? 0) + (uncounted?.succeeded?.length ?? 0) > 0) {
    errors.push(fieldInvalid('status.uncountedTerminatedPods', uncounted, 'uncountedTerminatedPods needs to be empty for finished job'))
  }
  validateIndexes(job, completedChanged, failedChanged, indexed, errors)
  if ((finishChanged || status.terminating !== before.terminating) && (status.terminating ?? 0) > 0 && finished) {
    errors.push(fieldInvalid('status.terminating', status.terminating, 'terminating>0 is invalid for finished job'))
  }
  if ((status.ready !== before.ready || status.active !== before.active) && status.ready !== undefined && status.ready > (status.active ?? 0)) {
    errors.push(fieldInvalid('status.ready', status.ready, 'cannot set more ready pods than active'))
  }
  if (criteriaMet && failed) conditions('cannot set SuccessCriteriaMet=True and Failed=true conditions')
  if (criteriaMet && has(status, 'FailureTarget')) conditions('cannot set SuccessCriteriaMet=True and FailureTarget=true conditions')
  if (spec.successPolicy && !criteriaMet && complete) conditions('cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True')

  for (const type of ['Failed', 'Complete', 'FailureTarget']) if (has(before, type) && !has(status, type)) conditions(`cannot disable the terminal ${type}=True condition`)
  if ((status.failed ?? 0) < (before.failed ?? 0)) errors.push(fieldInvalid('status.failed', status.failed ?? 0, 'cannot decrease the failed counter'))
  // Elastic jobs may be scaled down below what has succeeded.
  if ((!indexed || spec.completions !== spec.parallelism) && (status.succeeded ?? 0) < (before.succeeded ?? 0)) {
    errors.push(fieldInvalid('status.succeeded', status.succeeded ?? 0, 'cannot decrease the succeeded counter'))
  }
  if (status.completionTime && before.completionTime && completionChanged) errors.push(fieldInvalid('status.completionTime', status.completionTime, 'completionTime cannot be mutated'))
  if (startChanged && before.startTime && spec.suspend !== true) errors.push(fieldRequired('status.startTime', 'startTime cannot be removed for unsuspended job'))
  if (has(before, 'SuccessCriteriaMet') && !criteriaMet) conditions('cannot disable the SuccessCriteriaMet=True condition')
  if (has(before, 'Complete') && !has(before, 'SuccessCriteriaMet') && criteriaMet) conditions('cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions')
}

function validateIndexes(job: Draft<Job>, completedChanged: boolean, failedChanged: boolean, indexed: boolean, errors: FieldError[]): void {
  const { completions, backoffLimitPerIndex } = job.spec ?? {}
  const { completedIndexes = '', failedIndexes } = job.status ?? {}
  if (completedChanged && completions !== undefined) {
    const count = countIndexes(completedIndexes, completions)
    if (typeof count === 'string') errors.push(fieldInvalid('status.completedIndexes', completedIndexes, `error parsing completedIndexes: ${count}`))
  }
  if (failedChanged && completions !== undefined && backoffLimitPerIndex !== undefined && failedIndexes !== undefined) {
    const count = countIndexes(failedIndexes, completions)
    if (typeof count === 'string') errors.push(fieldInvalid('status.failedIndexes', failedIndexes, `error parsing failedIndexes: ${count}`))
  }
  if (completedChanged && completedIndexes !== '' && !indexed) {
    errors.push(fieldInvalid('status.completedIndexes', completedIndexes, 'cannot set non-empty completedIndexes when non-indexed completion mode'))
  }
  if (failedIndexes === undefined) return
  if (failedChanged && backoffLimitPerIndex === undefined) {
    errors.push(fieldInvalid('status.failedIndexes', failedIndexes, 'cannot set non-null failedIndexes when backoffLimitPerIndex is null'))
  }
  if ((failedChanged || completedChanged) && completions !== undefined) {
    const index = overlapAt(completedIndexes, failedIndexes, completions)
    if (index !== undefined) errors.push(fieldInvalid('status.failedIndexes', failedIndexes, `failedIndexes and completedIndexes overlap at index: ${index}`))
  }
}
