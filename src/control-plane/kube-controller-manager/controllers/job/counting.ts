// What has become of a job's pods. Status holds what is counted for good; uncountedTerminatedPods holds uids on their way into the counts; finished pods
// that still have the finalizer and stand nowhere yet are added to that list. Upstream: kubernetes/pkg/controller/job/tracking_utils.go
import type { Job } from '../../../../lib/api/generated/types/batch-v1.ts'
import type { Pod } from '../../../../lib/api/generated/types/core-v1.ts'
import { completionIndexOf, parseIndexes } from './indexes.ts'
import { isIgnoredFailure } from './failure-policy.ts'

export const jobFinalizer = 'batch.kubernetes.io/job-tracking'

export interface JobCount {
  /** All successes and failures, those not yet in the counts included. */
  readonly succeeded: number
  readonly failed: number
  /** For status: the counts that are final now, and the uids still on their way. */
  readonly finalSucceeded: number
  readonly finalFailed: number
  readonly uncountedSucceeded: readonly string[]
  readonly uncountedFailed: readonly string[]
  /** Pods that stand in the status, so that their finalizers may go. */
  readonly counted: readonly Pod[]
  readonly completedIndexes: ReadonlySet<number>
  readonly failedIndexes: ReadonlySet<number>
  /** Failures by index, for backoffLimitPerIndex. */
  readonly failuresByIndex: ReadonlyMap<number, number>
}

/** A pod that somebody deletes has failed, even if it never comes to say so; unless the job wants to know how it ended. */
function outcomeOf(job: Job, pod: Pod): 'Succeeded' | 'Failed' | undefined {
  if (pod.status.phase === 'Succeeded' || pod.status.phase === 'Failed') return pod.status.phase
  const waits = job.spec.podReplacementPolicy === 'Failed' || job.spec.podFailurePolicy !== undefined
  return pod.metadata.deletionTimestamp !== undefined && !waits ? 'Failed' : undefined
}

export function countJob(job: Job, mine: readonly Pod[]): JobCount {
  const byUid = new Map(mine.map((pod) => [pod.metadata.uid, pod]))
  const withFinalizer = (uid: string): boolean => byUid.get(uid)?.metadata.finalizers?.includes(jobFinalizer) ?? false
  const before = job.status.uncountedTerminatedPods ?? {}
  // Off the list and into the count as soon as the finalizer is gone.
  const stillSucceeded = (before.succeeded ?? []).filter(withFinalizer)
  const stillFailed = (before.failed ?? []).filter(withFinalizer)
  let finalSucceeded = (job.status.succeeded ?? 0) + (before.succeeded ?? []).length - stillSucceeded.length
  const finalFailed = (job.status.failed ?? 0) + (before.failed ?? []).length - stillFailed.length
  const known = new Set([...before.succeeded ?? [], ...before.failed ?? []])
  const counted: Pod[] = [...known].flatMap((uid) => { const pod = byUid.get(uid); return pod ? [pod] : [] })
  const indexed = job.spec.completionMode === 'Indexed'
  const completions = job.spec.completions ?? 0
  const completed = new Set(parseIndexes(job.status.completedIndexes, completions))
  const failures = new Map<number, number>()
  const newSucceeded: string[] = []
  const newFailed: string[] = []
  for (const pod of mine) {
    const outcome = outcomeOf(job, pod)
    const index = completionIndexOf(pod)
    if (outcome === 'Failed' && index !== undefined && !isIgnoredFailure(job, pod)) failures.set(index, (failures.get(index) ?? 0) + 1)
    if (!outcome || known.has(pod.metadata.uid) || !pod.metadata.finalizers?.includes(jobFinalizer)) continue
    counted.push(pod)
    if (outcome === 'Failed') { if (!isIgnoredFailure(job, pod)) newFailed.push(pod.metadata.uid); continue }
    if (!indexed) newSucceeded.push(pod.metadata.uid)
    else if (index !== undefined && index < completions) completed.add(index)
  }
  // Indexes are their own account: an index is done once, whichever pod did it.
  if (indexed) finalSucceeded = completed.size
  const limit = job.spec.backoffLimitPerIndex
  const failedIndexes = new Set(parseIndexes(job.status.failedIndexes, completions))
  if (limit !== undefined) for (const [index, count] of failures) if (count > limit && !completed.has(index)) failedIndexes.add(index)
  const uncountedSucceeded = [...stillSucceeded, ...newSucceeded]
  const uncountedFailed = [...stillFailed, ...newFailed]
  return {
    succeeded: finalSucceeded + (indexed ? 0 : uncountedSucceeded.length), failed: finalFailed + uncountedFailed.length, finalSucceeded, finalFailed,
    uncountedSucceeded: indexed ? [] : uncountedSucceeded, uncountedFailed, counted, completedIndexes: completed, failedIndexes, failuresByIndex: failures,
  }
}
