// kubectl describe of Jobs and CronJobs. Upstream: kubectl/pkg/describe (describeJob, describeCronJob)
import { formatHumanDuration } from '../../../lib/apimachinery/duration.ts'
import type { CronJob, Job } from '../../../lib/api/generated/types/batch-v1.ts'
import { DescribeWriter, boolOrUnset, controllerText, formatLongTime, formatSelector } from './describe-writer.ts'
import type { DescribeWorld } from './describer.ts'
import { writeEventsOf } from './describer.ts'
import { writePodTemplate } from './pod-template.ts'

const orUnset = (value: string | number | undefined, unit = ''): string => (value === undefined ? '<unset>' : `${value}${unit}`)

export async function describeJob(world: DescribeWorld, job: Job): Promise<string> {
  const { metadata, spec, status } = job
  const out = new DescribeWriter()
  out.line(0, `Name:\t${metadata.name}`)
  out.line(0, `Namespace:\t${metadata.namespace ?? ''}`)
  out.line(0, `Selector:\t${formatSelector(spec.selector)}`)
  out.labels('Labels', metadata.labels)
  out.annotations('Annotations', metadata.annotations)
  const controller = controllerText(metadata)
  if (controller) out.line(0, `Controlled By:\t${controller}`)
  if (spec.parallelism !== undefined) out.line(0, `Parallelism:\t${spec.parallelism}`)
  out.line(0, `Completions:\t${orUnset(spec.completions)}`)
  if (spec.completionMode) out.line(0, `Completion Mode:\t${spec.completionMode}`)
  if (spec.suspend !== undefined) out.line(0, `Suspend:\t${String(spec.suspend)}`)
  if (spec.backoffLimit !== undefined) out.line(0, `Backoff Limit:\t${spec.backoffLimit}`)
  if (spec.ttlSecondsAfterFinished !== undefined) out.line(0, `TTL Seconds After Finished:\t${spec.ttlSecondsAfterFinished}`)
  if (status.startTime) out.line(0, `Start Time:\t${formatLongTime(status.startTime)}`)
  if (status.completionTime) out.line(0, `Completed At:\t${formatLongTime(status.completionTime)}`)
  if (status.startTime && status.completionTime) out.line(0, `Duration:\t${formatHumanDuration(Date.parse(status.completionTime) - Date.parse(status.startTime))}`)
  if (spec.activeDeadlineSeconds !== undefined) out.line(0, `Active Deadline Seconds:\t${spec.activeDeadlineSeconds}s`)
  const ready = status.ready === undefined ? '' : ` (${status.ready} Ready)`
  out.line(0, `Pods Statuses:\t${status.active ?? 0} Active${ready} / ${status.succeeded ?? 0} Succeeded / ${status.failed ?? 0} Failed`)
  if (spec.completionMode === 'Indexed') out.line(0, `Completed Indexes:\t${shortenIndexes(status.completedIndexes ?? '')}`)
  writePodTemplate(out, spec.template)
  await writeEventsOf(out, world, 'Job', job)
  return out.aligned()
}

/** At most about 50 characters, cut behind a comma. */
function shortenIndexes(indexes: string): string {
  if (indexes === '') return '<none>'
  const at = indexes.indexOf(',', 50)
  return at < 0 ? indexes : `${indexes.slice(0, at + 1)}...`
}

export async function describeCronJob(world: DescribeWorld, cronJob: CronJob): Promise<string> {
  const { metadata, spec, status } = cronJob
  const job = spec.jobTemplate.spec
  const out = new DescribeWriter()
  out.line(0, `Name:\t${metadata.name}`)
  out.line(0, `Namespace:\t${metadata.namespace ?? ''}`)
  out.labels('Labels', metadata.labels)
  out.annotations('Annotations', metadata.annotations)
  out.line(0, `Schedule:\t${spec.schedule}`)
  out.line(0, `Concurrency Policy:\t${spec.concurrencyPolicy ?? ''}`)
  out.line(0, `Suspend:\t${boolOrUnset(spec.suspend)}`)
  out.line(0, `Time Zone:\t${orUnset(spec.timeZone)}`)
  out.line(0, `Successful Job History Limit:\t${orUnset(spec.successfulJobsHistoryLimit)}`)
  out.line(0, `Failed Job History Limit:\t${orUnset(spec.failedJobsHistoryLimit)}`)
  out.line(0, `Starting Deadline Seconds:\t${orUnset(spec.startingDeadlineSeconds, 's')}`)
  out.line(0, `Selector:\t${job?.selector ? formatSelector(job.selector) : '<unset>'}`)
  out.line(0, `Parallelism:\t${orUnset(job?.parallelism)}`)
  out.line(0, `Completions:\t${orUnset(job?.completions)}`)
  if (job?.activeDeadlineSeconds !== undefined) out.line(0, `Active Deadline Seconds:\t${job.activeDeadlineSeconds}s`)
  writePodTemplate(out, job?.template)
  out.line(0, `Last Schedule Time:\t${status.lastScheduleTime ? formatLongTime(status.lastScheduleTime) : '<unset>'}`)
  out.line(0, `Active Jobs:\t${(status.active ?? []).map((j) => j.name ?? '').join(', ') || '<none>'}`)
  await writeEventsOf(out, world, 'CronJob', cronJob)
  return out.aligned()
}
