// The strategy's rules for CronJobs. Upstream: pkg/registry/batch/cronjob/strategy.go, pkg/apis/batch/{v1/defaults.go,validation/validation.go}
import type { Draft } from '../../../../lib/base/json.ts'
import type { CronJob, CronJobSpec } from '../../../../lib/api/generated/types/batch-v1.ts'
import { fieldInvalid, fieldNotSupported, fieldRequired } from '../../../../lib/apimachinery/field-error.ts'
import type { FieldError } from '../../../../lib/apimachinery/field-error.ts'
import { byteLength } from '../byte-length.ts'
import { defaultPodTemplate } from '../core/pod/default-pod-spec.ts'
import { podWarnings } from '../core/pod/pod-warnings.ts'
import { validateEnumeration } from '../core/pod/validate-pod-spec.ts'
import type { KindRules } from '../generic-strategy.ts'
import { nameIsDnsSubdomain } from '../name-rules.ts'
import { validateNonNegative } from '../validate-object-meta.ts'
import { cronScheduleError } from './cron-schedule.ts'
import { validateJobSpec } from './validate-job-spec.ts'

/** 63 less 11: the name of each job is made of this one. */
const nameLimitBytes = 52

function validateSchedule(spec: Draft<CronJobSpec>, old: Draft<CronJobSpec> | undefined, errors: FieldError[]): void {
  const { schedule = '', timeZone } = spec
  if (schedule === '') { errors.push(fieldRequired('spec.schedule')); return }
  const wrong = cronScheduleError(schedule)
  if (wrong !== undefined) errors.push(fieldInvalid('spec.schedule', schedule, wrong))
  if (!schedule.includes('TZ')) return
  // What was stored with a zone in the schedule may keep it.
  const tolerated = old?.schedule?.includes('TZ') === true
  if (tolerated && timeZone !== undefined) errors.push(fieldInvalid('spec.schedule', schedule, 'cannot use both timeZone field and TZ or CRON_TZ in schedule'))
  else if (!tolerated) errors.push(fieldInvalid('spec.schedule', schedule, 'cannot use TZ or CRON_TZ in schedule, use timeZone field instead'))
}

function validateTimeZone(timeZone: string, errors: FieldError[]): void {
  if (timeZone === '') { errors.push(fieldInvalid('spec.timeZone', timeZone, 'timeZone must be nil or non-empty string')); return }
  if (timeZone.split('/').some((part) => !/^(?!-|\.{1,2}$)[A-Za-z._0-9+-]{1,14}$/.test(part))) { errors.push(fieldInvalid('spec.timeZone', timeZone, `unknown time zone ${timeZone}`)); return }
  if (timeZone.toLowerCase() === 'local') errors.push(fieldInvalid('spec.timeZone', timeZone, 'timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones'))
  if (timeZone !== 'Local' && !isTimeZone(timeZone)) errors.push(fieldInvalid('spec.timeZone', timeZone, `unknown time zone ${timeZone}`))
}

function isTimeZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone !== '' && !/^[+-]/.test(name)
  } catch {
    return false
  }
}

function validateSpec(spec: Draft<CronJobSpec>, old: Draft<CronJobSpec> | undefined, errors: FieldError[]): void {
  validateSchedule(spec, old, errors)
  validateNonNegative(spec.startingDeadlineSeconds, 'spec.startingDeadlineSeconds', errors)
  if (spec.timeZone !== undefined && spec.timeZone !== old?.timeZone) validateTimeZone(spec.timeZone, errors)
  validateEnumeration(spec.concurrencyPolicy, ['Allow', 'Forbid', 'Replace'], 'spec.concurrencyPolicy', errors)
  const job = spec.jobTemplate?.spec ?? {}
  validateJobSpec(job, old?.jobTemplate?.spec, 'spec.jobTemplate.spec', errors)
  if (job.selector) errors.push(fieldInvalid('spec.jobTemplate.spec.selector', job.selector, '`selector` will be auto-generated'))
  if (job.manualSelector) errors.push(fieldNotSupported('spec.jobTemplate.spec.manualSelector', job.manualSelector, ['nil', 'false']))
  validateNonNegative(spec.successfulJobsHistoryLimit, 'spec.successfulJobsHistoryLimit', errors)
  validateNonNegative(spec.failedJobsHistoryLimit, 'spec.failedJobsHistoryLimit', errors)
}

export const cronJobRules: KindRules<CronJob> = {
  nameRule: nameIsDnsSubdomain,
  applyDefaults(cronJob) {
    // cast: a CronJob without a spec is refused by validation, not here
    const given = cronJob.spec ?? {} as CronJobSpec
    const job = given.jobTemplate?.spec
    const template = job && defaultPodTemplate(job.template)
    const complete = given.concurrencyPolicy && given.suspend !== undefined && given.successfulJobsHistoryLimit !== undefined && given.failedJobsHistoryLimit !== undefined
    if (complete && template === job?.template) return cronJob
    return {
      ...cronJob,
      spec: {
        ...given, concurrencyPolicy: given.concurrencyPolicy || 'Allow', suspend: given.suspend ?? false,
        successfulJobsHistoryLimit: given.successfulJobsHistoryLimit ?? 3, failedJobsHistoryLimit: given.failedJobsHistoryLimit ?? 1,
        ...(job && template && { jobTemplate: { ...given.jobTemplate, spec: { ...job, template } } }),
      },
    }
  },
  validate(cronJob, errors) {
    validateSpec(cronJob.spec ?? {}, undefined, errors)
    if (byteLength(cronJob.metadata.name ?? '') > nameLimitBytes) errors.push(fieldInvalid('metadata.name', cronJob.metadata.name, 'must be no more than 52 characters'))
  },
  validateUpdate: (cronJob, old, errors) => validateSpec(cronJob.spec ?? {}, old.spec, errors),
  warnings: (cronJob, old) => {
    const template = cronJob.spec?.jobTemplate?.spec?.template
    return template && !old ? podWarnings(template.spec ?? {}, template.metadata, 'spec.jobTemplate.spec.template') : []
  },
}
