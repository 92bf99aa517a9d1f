// How a job ends, and what its status says. The end comes in two steps: first SuccessCriteriaMet or FailureTarget while its pods are stopped, then Complete
// or Failed when all of them are. Upstream: kubernetes/pkg/controller/job/job_controller.go
import type { Job, JobCondition, JobStatus } from '../../../../lib/api/generated/types/batch-v1.ts'
import type { Pod } from '../../../../lib/api/generated/types/core-v1.ts'
import { formatTime } from '../../../../lib/base/clock.ts'
import { isPodActive, isPodReady, isPodTerminating, timeOf } from '../shared/pod-state.ts'
import type { JobCount } from './counting.ts'
import { judgeFailure } from './failure-policy.ts'
import { formatIndexes, parseIndexes } from './indexes.ts'

export type JobDecision =
  | { readonly kind: 'go', readonly againMs: number | undefined }
  | {
    readonly kind: 'end', readonly againMs: undefined, readonly type: 'Complete' | 'Failed', readonly reason: string, readonly message: string
    /** All pods have stopped and are counted. */
    readonly final: boolean
    readonly events: readonly { readonly type: 'Normal' | 'Warning', readonly reason: string, readonly message: string }[]
  }

export function isFinished(job: Job): boolean {
  return job.status.conditions?.some((condition) => (condition.type === 'Complete' || condition.type === 'Failed') && condition.status === 'True') ?? false
}

interface Verdict { readonly type: 'Complete' | 'Failed', readonly reason: string, readonly message: string }

function conditionOf(job: Job, type: string): JobCondition | undefined { return job.status.conditions?.find((condition) => condition.type === type && condition.status === 'True') }

export function decideJob(job: Job, count: JobCount, mine: readonly Pod[], now: number): JobDecision {
  const verdict = earlierVerdict(job) ?? newVerdict(job, count, mine, now)
  if (!verdict) return { kind: 'go', againMs: untilDeadlineMs(job, now) }
  const running = mine.some((pod) => isPodActive(pod) || isPodTerminating(pod))
  const final = !running && count.uncountedSucceeded.length === 0 && count.uncountedFailed.length === 0
  const event = verdict.type === 'Complete' ? { type: 'Normal', reason: 'Completed', message: 'Job completed' } as const : { type: 'Warning', reason: verdict.reason, message: verdict.message } as const
  return { kind: 'end', againMs: undefined, ...verdict, final, events: [event] }
}

/** Once met, the criteria stay met. */
function earlierVerdict(job: Job): Verdict | undefined {
  const failure = conditionOf(job, 'FailureTarget')
  if (failure) return { type: 'Failed', reason: failure.reason ?? '', message: failure.message ?? '' }
  const success = conditionOf(job, 'SuccessCriteriaMet')
  return success && { type: 'Complete', reason: success.reason ?? '', message: success.message ?? '' }
}

function newVerdict(job: Job, count: JobCount, mine: readonly Pod[], now: number): Verdict | undefined {
  for (const pod of mine) {
    if (pod.status.phase !== 'Failed') continue
    const judged = judgeFailure(job, pod)
    if (judged?.action === 'FailJob') return { type: 'Failed', reason: 'PodFailurePolicy', message: judged.message }
  }
  const limit = job.spec.backoffLimit ?? 6
  if (count.failed > limit || restartsOver(job, mine, limit)) return { type: 'Failed', reason: 'BackoffLimitExceeded', message: 'Job has reached the specified backoff limit' }
  const deadlineMs = untilDeadlineMs(job, now)
  if (deadlineMs !== undefined && deadlineMs <= 0) return { type: 'Failed', reason: 'DeadlineExceeded', message: 'Job was active longer than specified deadline' }
  const { completions, maxFailedIndexes } = job.spec
  if (maxFailedIndexes !== undefined && count.failedIndexes.size > maxFailedIndexes) return { type: 'Failed', reason: 'MaxFailedIndexesExceeded', message: 'Job has exceeded the specified maximal number of failed indexes' }
  if (completions !== undefined && job.spec.completionMode === 'Indexed' && count.failedIndexes.size > 0 && count.failedIndexes.size + count.completedIndexes.size >= completions) {
    return { type: 'Failed', reason: 'FailedIndexes', message: 'Job has failed indexes' }
  }
  const policy = successPolicyMet(job, count)
  if (policy) return policy
  const active = mine.filter(isPodActive).length
  const done = completions === undefined ? count.succeeded > 0 && active === 0 : count.succeeded >= completions
  return done && !job.spec.suspend ? { type: 'Complete', reason: 'CompletionsReached', message: 'Reached expected number of succeeded pods' } : undefined
}

function successPolicyMet(job: Job, count: JobCount): Verdict | undefined {
  const completions = job.spec.completions ?? 0
  for (const [index, rule] of (job.spec.successPolicy?.rules ?? []).entries()) {
    const wanted = rule.succeededIndexes === undefined ? undefined : parseIndexes(rule.succeededIndexes, completions)
    const done = wanted ? [...wanted].filter((i) => count.completedIndexes.has(i)).length : count.completedIndexes.size
    if (rule.succeededCount !== undefined ? done >= rule.succeededCount : wanted !== undefined && done === wanted.size) {
      return { type: 'Complete', reason: 'SuccessPolicy', message: `Matched rules at index ${index}` }
    }
  }
  return undefined
}

/** With restartPolicy OnFailure the pods don't fail; their restarts count. */
function restartsOver(job: Job, mine: readonly Pod[], limit: number): boolean {
  if (job.spec.template.spec?.restartPolicy !== 'OnFailure') return false
  const restarts = mine.filter((pod) => pod.status.phase === 'Running' || pod.status.phase === 'Pending')
    .reduce((sum, pod) => sum + [...pod.status.initContainerStatuses ?? [], ...pod.status.containerStatuses ?? []].reduce((all, status) => all + status.restartCount, 0), 0)
  return limit === 0 ? restarts > 0 : restarts >= limit
}

function untilDeadlineMs(job: Job, now: number): number | undefined {
  const { activeDeadlineSeconds, suspend } = job.spec
  if (activeDeadlineSeconds === undefined || suspend || job.status.startTime === undefined) return undefined
  return timeOf(job.status.startTime) + activeDeadlineSeconds * 1000 - now
}

export function computeJobStatus(job: Job, count: JobCount, mine: readonly Pod[], decision: JobDecision, now: number): JobStatus {
  const time = formatTime(now)
  const { startTime, completionTime: _completion, uncountedTerminatedPods: _uncounted, ...rest } = job.status
  let conditions: readonly JobCondition[] = job.status.conditions ?? []
  const set = (type: string, status: string, reason: string, message: string): void => {
    const old = conditions.find((condition) => condition.type === type)
    if (old?.status === status && old.reason === reason && old.message === message) return
    const made: JobCondition = { type, status, reason, message, lastProbeTime: time, lastTransitionTime: old?.status === status ? old.lastTransitionTime ?? time : time }
    conditions = [...conditions.filter((condition) => condition !== old), made]
  }
  let started = startTime
  let completed: string | undefined
  if (decision.kind === 'end') {
    if (decision.type === 'Complete') set('SuccessCriteriaMet', 'True', decision.reason, decision.message)
    else set('FailureTarget', 'True', decision.reason, decision.message)
    if (decision.final) {
      set(decision.type, 'True', decision.reason, decision.message)
      if (decision.type === 'Complete') completed = time
    }
  } else if (job.spec.suspend) {
    set('Suspended', 'True', 'JobSuspended', 'Job suspended')
    started = undefined
  } else {
    if (conditions.some((condition) => condition.type === 'Suspended' && condition.status === 'True')) {
      set('Suspended', 'False', 'JobResumed', 'Job resumed')
      started = time
    }
    started ??= time
  }
  const indexed = job.spec.completionMode === 'Indexed'
  const stopped = decision.kind === 'end' && decision.final
  const uncounted = {
    ...(count.uncountedSucceeded.length > 0 ? { succeeded: count.uncountedSucceeded } : {}), ...(count.uncountedFailed.length > 0 ? { failed: count.uncountedFailed } : {}),
  }
  return {
    ...rest, ...(started === undefined ? {} : { startTime: started }), ...(completed === undefined ? {} : { completionTime: completed }),
    ...(conditions.length > 0 ? { conditions } : {}),
    active: stopped ? 0 : mine.filter(isPodActive).length, ready: stopped ? 0 : mine.filter((pod) => isPodActive(pod) && isPodReady(pod)).length, terminating: stopped ? 0 : mine.filter(isPodTerminating).length,
    succeeded: count.finalSucceeded, failed: count.finalFailed, uncountedTerminatedPods: uncounted,
    ...(indexed ? { completedIndexes: formatIndexes(count.completedIndexes) } : {}),
    ...(job.spec.backoffLimitPerIndex === undefined ? {} : { failedIndexes: formatIndexes(count.failedIndexes) }),
  }
}
