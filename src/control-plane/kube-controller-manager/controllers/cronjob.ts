// cronjob-controller: makes a Job at each time of the schedule. A job's name is the CronJob's and the minute it was due, so that two controllers (or one
// that crashed half way) cannot make two for the same time. Upstream: kubernetes/pkg/controller/cronjob/cronjob_controllerv2.go
import { semanticEqual } from '../../../lib/apimachinery/equality.ts'
import type { CronJob, CronJobStatus, Job } from '../../../lib/api/generated/types/batch-v1.ts'
import type { ObjectReference } from '../../../lib/api/generated/types/core-v1.ts'
import { formatTime } from '../../../lib/base/clock.ts'
import { controllerOf, controllerReference, objectKey, splitObjectKey } from '../../../lib/client/object-references.ts'
import { cronJobs, jobs } from '../../../lib/client/resource-keys.ts'
import { controllerIndex, controllerIndexValues } from './shared/claims.ts'
import { aboutObject, create, remove, updateStatus, watch } from './shared/controller.ts'
import type { Action, Controller, Plan, PlannedEvent } from './shared/controller.ts'
import { isTimeZone, nextTime, parseCron } from './shared/cron-schedule.ts'
import type { CronSchedule } from './shared/cron-schedule.ts'
import { isFinished } from './job/outcome.ts'
import { timeOf } from './shared/pod-state.ts'

export interface ObservedCronJob {
  readonly now: number
  readonly cronJob: CronJob
  /** Those that it owns. */
  readonly jobs: readonly Job[]
}

/** A little late, so that a job is never made before its time on another machine's clock. */
const nextDelayMs = 100
const missedMost = 100

export function syncCronJob({ now, cronJob, jobs: owned }: ObservedCronJob): Plan {
  if (cronJob.metadata.deletionTimestamp !== undefined) return {}
  const about = aboutObject(cronJobs, cronJob)
  const events: PlannedEvent[] = []
  const warn = (reason: string, message: string): void => { events.push({ about, type: 'Warning', reason, message }) }
  const cleanUp = expired(cronJob, owned).map((job) => remove(jobs, job, { propagationPolicy: 'Background' }, {
    succeeded: () => ({ about, type: 'Normal', reason: 'SuccessfulDelete', message: `Deleted job ${job.metadata.name}` }),
  }))
  let status = followJobs(cronJob, owned, events)
  const finish = (actions: readonly Action[], requeueAfterMs?: number): Plan => ({
    events, ...(requeueAfterMs === undefined ? {} : { requeueAfterMs }),
    steps: [...(actions.length > 0 ? [{ actions }] : []), ...(semanticEqual(status, cronJob.status) ? [] : [{ actions: [updateStatus(cronJobs, { ...cronJob, status }, { tolerates: ['NotFound'] })] }]),
      ...(cleanUp.length > 0 ? [{ actions: cleanUp }] : [])],
  })
  const zone = cronJob.spec.timeZone ?? 'UTC'
  if (!isTimeZone(zone)) { warn('UnknownTimeZone', `invalid timeZone: "${zone}": unknown time zone ${zone}`); return finish([]) }
  if (cronJob.spec.suspend) return finish([])
  const schedule = parseCron(cronJob.spec.schedule)
  if (!schedule) { warn('UnparseableSchedule', `unparseable schedule: "${cronJob.spec.schedule}"`); return finish([]) }

  const { dueMs, missed } = latestDue(cronJob, schedule, zone, now)
  if (missed > missedMost) warn('TooManyMissedTimes', `too many missed start times: ${missed}. Set or decrease .spec.startingDeadlineSeconds or check clock skew`)
  const next = nextTime(schedule, now, zone)
  const waitMs = next === undefined ? undefined : next - now + nextDelayMs
  if (dueMs === undefined) return finish([], waitMs)
  const deadline = cronJob.spec.startingDeadlineSeconds
  if (deadline !== undefined && dueMs + deadline * 1000 < now) {
    warn('MissSchedule', `Missed scheduled time to start a job: ${new Date(dueMs).toUTCString()}`)
    return finish([], waitMs)
  }
  const active = owned.filter((job) => !isFinished(job) && status.active?.some((reference) => reference.uid === job.metadata.uid))
  const policy = cronJob.spec.concurrencyPolicy ?? 'Allow'
  if (policy === 'Forbid' && (status.active?.length ?? 0) > 0) {
    events.push({ about, type: 'Normal', reason: 'JobAlreadyActive', message: 'Not starting job because prior execution is running and concurrency policy is Forbid' })
    return finish([], waitMs)
  }
  const actions: Action[] = []
  if (policy === 'Replace') {
    actions.push(...active.map((job) => remove(jobs, job, { propagationPolicy: 'Background' }, { succeeded: () => ({ about, type: 'Normal', reason: 'SuccessfulDelete', message: `Deleted job ${job.metadata.name}` }) })))
    status = { ...status, active: (status.active ?? []).filter((reference) => !active.some((job) => job.metadata.uid === reference.uid)) }
  }
  const name = jobName(cronJob, dueMs)
  // Its uid is known once it is made: the next sync, which its watch event brings, puts it on the list of the active ones.
  actions.push(create(jobs, cronJob.metadata.namespace ?? '', makeJob(cronJob, name, dueMs), {
    tolerates: ['AlreadyExists'],
    succeeded: () => ({ about, type: 'Normal', reason: 'SuccessfulCreate', message: `Created job ${name}` }),
    failed: (failure) => ({ about, type: 'Warning', reason: 'FailedCreate', message: `Error creating job: ${failure.message}` }),
  }))
  status = { ...status, lastScheduleTime: formatTime(dueMs) }
  return finish(actions, waitMs)
}

/** The name that belongs to a due time: minutes since the epoch. */
export function jobName(cronJob: CronJob, dueMs: number): string { return `${cronJob.metadata.name}-${Math.floor(dueMs / 60_000)}` }

/** The latest time that is due and has not been used, and how many are. */
function latestDue(cronJob: CronJob, schedule: CronSchedule, zone: string, now: number): { readonly dueMs: number | undefined, readonly missed: number } {
  let since = timeOf(cronJob.status.lastScheduleTime ?? cronJob.metadata.creationTimestamp)
  const deadline = cronJob.spec.startingDeadlineSeconds
  if (deadline !== undefined) since = Math.max(since, now - deadline * 1000)
  let dueMs: number | undefined
  let missed = 0
  for (let at = nextTime(schedule, since, zone); at !== undefined && at <= now; at = nextTime(schedule, at, zone)) {
    dueMs = at
    missed++
    // After a long time away most of them don't matter: go on a little before now.
    if (missed === missedMost + 1) {
      const near = [3_600_000, 86_400_000, 32 * 86_400_000].map((backMs) => now - backMs).find((start) => start > (dueMs ?? 0) && (nextTime(schedule, start, zone) ?? Number.POSITIVE_INFINITY) <= now)
      if (near !== undefined) at = near
    }
  }
  return { dueMs, missed }
}

function makeJob(cronJob: CronJob, name: string, dueMs: number): { readonly metadata: object, readonly spec: object } {
  const { metadata = {}, spec = {} } = cronJob.spec.jobTemplate
  const timestamp = `${formatTime(dueMs).slice(0, -1)}Z`
  return {
    metadata: {
      name, namespace: cronJob.metadata.namespace ?? '', ...(metadata.labels ? { labels: metadata.labels } : {}),
      annotations: { ...metadata.annotations, 'batch.kubernetes.io/cronjob-scheduled-timestamp': timestamp }, ownerReferences: [controllerReference(cronJob, cronJobs)],
    },
    spec,
  }
}

/** Active jobs as they are; those that have finished are told of. */
function followJobs(cronJob: CronJob, owned: readonly Job[], events: PlannedEvent[]): CronJobStatus {
  const about = aboutObject(cronJobs, cronJob)
  const listed = new Set((cronJob.status.active ?? []).map((reference) => reference.uid))
  let lastSuccess = cronJob.status.lastSuccessfulTime
  const active: ObjectReference[] = []
  for (const job of owned) {
    if (!isFinished(job)) {
      const { name, namespace = '', uid, resourceVersion } = job.metadata
      const known = cronJob.status.active?.find((reference) => reference.uid === uid)
      active.push(known ?? { kind: 'Job', apiVersion: 'batch/v1', name, namespace, uid, resourceVersion })
      continue
    }
    const success = job.status.conditions?.some((condition) => condition.type === 'Complete' && condition.status === 'True')
    if (listed.has(job.metadata.uid)) events.push({ about, type: 'Normal', reason: 'SawCompletedJob', message: `Saw completed job: ${job.metadata.name}, condition: ${success ? 'Complete' : 'Failed'}` })
    const completed = job.status.completionTime
    if (success && completed !== undefined && (lastSuccess === undefined || timeOf(lastSuccess) < timeOf(completed))) lastSuccess = completed
  }
  for (const reference of cronJob.status.active ?? []) {
    if (!owned.some((job) => job.metadata.uid === reference.uid)) events.push({ about, type: 'Normal', reason: 'MissingJob', message: `Active job went missing: ${reference.name}` })
  }
  const { active: _active, lastSuccessfulTime: _last, ...rest } = cronJob.status
  return { ...rest, ...(active.length > 0 ? { active } : {}), ...(lastSuccess === undefined ? {} : { lastSuccessfulTime: lastSuccess }) }
}

/** Finished jobs beyond the history limits, oldest first. */
function expired(cronJob: CronJob, owned: readonly Job[]): readonly Job[] {
  const finished = owned.filter((job) => isFinished(job) && job.metadata.deletionTimestamp === undefined).toSorted((a, b) => (a.status.startTime ?? a.metadata.creationTimestamp) < (b.status.startTime ?? b.metadata.creationTimestamp) ? -1 : 1)
  const failed = finished.filter((job) => job.status.conditions?.some((condition) => condition.type === 'Failed' && condition.status === 'True'))
  const succeeded = finished.filter((job) => !failed.includes(job))
  const beyond = (all: readonly Job[], limit: number | undefined): readonly Job[] => (limit === undefined ? [] : all.slice(0, Math.max(0, all.length - limit)))
  return [...beyond(succeeded, cronJob.spec.successfulJobsHistoryLimit), ...beyond(failed, cronJob.spec.failedJobsHistoryLimit)]
}

export function createCronJobController(): Controller<ObservedCronJob> {
  return {
    name: 'cronjob-controller',
    watches: [
      watch({ resource: cronJobs, keysOf: (cronJob) => [objectKey(cronJob)] }),
      watch({
        resource: jobs, indexes: { [controllerIndex]: controllerIndexValues },
        keysOf: (job) => { const owner = controllerOf(job); return owner?.kind === 'CronJob' ? [`${job.metadata.namespace ?? ''}/${owner.name}`] : [] },
      }),
    ],
    observe(key, view, { now }) {
      const { namespace, name } = splitObjectKey(key)
      const cronJob = view.get(cronJobs, namespace, name)
      return cronJob && { now, cronJob, jobs: view.byIndex(jobs, controllerIndex, cronJob.metadata.uid) }
    },
    sync: syncCronJob,
  }
}
