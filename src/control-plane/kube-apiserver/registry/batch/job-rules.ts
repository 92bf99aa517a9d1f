// The strategy's rules for Jobs. Upstream: pkg/registry/batch/job/strategy.go, pkg/apis/batch/{v1/defaults.go,validation/validation.go}
import type { Draft } from '../../../../lib/base/json.ts'
import type { Job, JobSpec, JobStatus } from '../../../../lib/api/generated/types/batch-v1.ts'
import { fieldInvalid, fieldRequired } from '../../../../lib/apimachinery/field-error.ts'
import type { FieldError } from '../../../../lib/apimachinery/field-error.ts'
import { isDns1123Label } from '../../../../lib/apimachinery/validation.ts'
import { defaultPodTemplate } from '../core/pod/default-pod-spec.ts'
import { podWarnings } from '../core/pod/pod-warnings.ts'
import { validateCounts } from '../apps/validate-replica-counts.ts'
import type { KindRules } from '../generic-strategy.ts'
import { semanticEqual } from '../semantic-equal.ts'
import { validateImmutable } from '../validate-object-meta.ts'
import { selectorMatches, validateLabelSelector } from '../validation/label-selector.ts'
import { validateJobSpec } from './validate-job-spec.ts'

const uidLabel = 'batch.kubernetes.io/controller-uid'
const nameLabel = 'batch.kubernetes.io/job-name'
const oldUidLabel = 'controller-uid'
const oldNameLabel = 'job-name'
/** Until an index may fail on its own, this is how often all together may. */
const backoffLimit = 6

function applyDefaults(job: Job): Job {
  // cast: a Job without a spec is refused by validation, not here
  const given = job.spec ?? {} as JobSpec
  const template = defaultPodTemplate(given.template)
  const labels = Object.keys(job.metadata.labels ?? {}).length === 0 ? template.metadata?.labels : undefined
  const hasLabels = labels && Object.keys(labels).length > 0
  const missing = given.parallelism === undefined || given.backoffLimit === undefined || given.completionMode === undefined || given.suspend === undefined
    || given.podReplacementPolicy === undefined || given.manualSelector === undefined
  const patterns = given.podFailurePolicy?.rules?.some((rule) => rule.onPodConditions?.some((pattern) => !pattern.status)) === true
  if (!missing && template === given.template && !hasLabels && !patterns) return job
  const single = given.completions === undefined && given.parallelism === undefined
  return {
    ...job, ...(hasLabels && { metadata: { ...job.metadata, labels } }),
    spec: {
      ...given, template, ...(single && { completions: 1 }), parallelism: given.parallelism ?? 1,
      backoffLimit: given.backoffLimit ?? (given.backoffLimitPerIndex === undefined ? backoffLimit : 2147483647), completionMode: given.completionMode ?? 'NonIndexed',
      suspend: given.suspend ?? false, manualSelector: given.manualSelector ?? false, podReplacementPolicy: given.podReplacementPolicy ?? (given.podFailurePolicy ? 'Failed' : 'TerminatingOrFailed'),
      ...(patterns && {
        podFailurePolicy: {
          rules: given.podFailurePolicy?.rules?.map((rule) => rule.onPodConditions
            ? { ...rule, onPodConditions: rule.onPodConditions.map((pattern) => pattern.status ? pattern : { ...pattern, status: 'True' }) } : rule),
        },
      }),
    },
  }
}

/** A job picks its pods by its own uid, so that no two jobs ever share any. */
function generateSelector(job: Job): Job {
  const { spec, metadata: { uid, name } } = job
  if (spec.manualSelector || !uid) return job
  const { metadata } = spec.template
  const labels = { ...metadata?.labels, [nameLabel]: name, [oldNameLabel]: name, [uidLabel]: uid, [oldUidLabel]: uid }
  return {
    ...job,
    spec: {
      ...spec, template: { ...spec.template, metadata: { ...metadata, labels } },
      selector: { ...spec.selector, matchLabels: { ...spec.selector?.matchLabels, [uidLabel]: uid } },
    },
  }
}

function validateGeneratedSelector(job: Draft<Job>, errors: FieldError[]): void {
  const { spec = {}, metadata = {} } = job
  if (spec.manualSelector || !spec.selector) return
  if (!metadata.uid) errors.push(fieldRequired('metadata.uid'))
  const labels = spec.template?.metadata?.labels
  const expect = (label: string, value: string): void => {
    const path = `spec.template.metadata.labels[${label}]`
    if (labels?.[label] === undefined) errors.push(fieldRequired(path, `must be '${value}'`))
    else if (labels[label] !== value) errors.push(fieldInvalid(path, labels, `must be '${value}'`))
  }
  const uid = metadata.uid ?? ''
  const name = metadata.name ?? ''
  expect(oldUidLabel, uid)
  expect(oldNameLabel, name)
  expect(uidLabel, uid)
  expect(nameLabel, name)
  const expected = { [oldUidLabel]: uid, [oldNameLabel]: name, [uidLabel]: uid, [nameLabel]: name }
  if (!selectorMatches(spec.selector, expected)) errors.push(fieldInvalid('spec.selector', spec.selector, '`selector` not auto-generated'))
}

function validateWholeSpec(spec: Draft<JobSpec>, old: Draft<JobSpec> | undefined, errors: FieldError[]): void {
  validateJobSpec(spec, old, 'spec', errors)
  if (!spec.selector) errors.push(fieldRequired('spec.selector'))
  else validateLabelSelector(spec.selector, 'spec.selector', errors)
  const labels = spec.template?.metadata?.labels
  if (spec.selector && !selectorMatches(spec.selector, labels)) errors.push(fieldInvalid('spec.template.metadata.labels', labels, '`selector` does not match template `labels`'))
}

function validateIndexedName(job: Draft<Job>, errors: FieldError[]): void {
  const { completionMode, completions = 0 } = job.spec ?? {}
  if (completionMode !== 'Indexed' || completions <= 0) return
  const last = `${job.metadata?.name ?? ''}-${completions - 1}`
  for (const text of isDns1123Label(last)) errors.push(fieldInvalid('metadata.name', job.metadata?.name, `will not able to create pod with invalid DNS label ${JSON.stringify(last)}: ${text}`))
}

function validateUpdate(job: Job, old: Job, errors: FieldError[]): void {
  const { spec } = job
  validateWholeSpec(spec ?? {}, old.spec, errors)
  const indexed = spec?.completionMode === 'Indexed'
  // Indexed jobs are elastic: completions may change along with parallelism.
  const elastic = indexed && spec.completions === spec.parallelism && spec.completions !== undefined
  if (!elastic) validateImmutable(spec?.completions, old.spec?.completions, 'spec.completions', errors)
  validateImmutable(spec?.selector, old.spec?.selector, 'spec.selector', errors)
  // Before a suspended job starts, the scheduling of its pods may still be changed.
  const waiting = old.spec?.suspend === true && !old.status?.startTime
  const comparable = (template: Draft<JobSpec>['template']): unknown => waiting ? {
    ...template, metadata: { ...template?.metadata, annotations: undefined, labels: undefined },
    spec: { ...template?.spec, nodeSelector: undefined, affinity: undefined, tolerations: undefined, schedulingGates: undefined },
  } : template
  if (!semanticEqual(comparable(spec?.template), comparable(old.spec?.template))) errors.push(fieldInvalid('spec.template', spec?.template, 'field is immutable'))
  for (const field of ['completionMode', 'podFailurePolicy', 'successPolicy', 'backoffLimitPerIndex', 'managedBy'] as const) validateImmutable(spec?.[field], old.spec?.[field], `spec.${field}`, errors)
}

function validateStatus(status: Draft<JobStatus> | undefined, old: Draft<JobStatus> | undefined, errors: FieldError[]): void {
  validateCounts(status, ['active', 'succeeded', 'failed', 'ready', 'terminating'], errors)
  const isTrue = (part: Draft<JobStatus> | undefined, type: string): boolean => part?.conditions?.some((condition) => condition.type === type && condition.status === 'True') ?? false
  for (const type of ['Complete', 'Failed']) {
    if (isTrue(old, type) && !isTrue(status, type)) errors.push(fieldInvalid('status.conditions', status?.conditions, `cannot disable the terminal ${type}=True condition`))
  }
  if (isTrue(status, 'Complete') && isTrue(status, 'Failed')) errors.push(fieldInvalid('status.conditions', status?.conditions, 'cannot set Complete=True and Failed=True conditions'))
}

export const jobRules: KindRules<Job> = {
  applyDefaults,
  prepareForCreate: generateSelector,
  validate(job, errors) {
    validateGeneratedSelector(job, errors)
    validateWholeSpec(job.spec ?? {}, undefined, errors)
    validateIndexedName(job, errors)
  },
  validateUpdate,
  validateStatus: (job, old, errors) => validateStatus(job.status, old.status, errors),
  warnings(job, old) {
    const warnings: string[] = []
    const wrong = old ? [] : isDns1123Label(job.metadata.name ?? '')
    if (wrong.length > 0) warnings.push(`metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is recommended: [${wrong.join(' ')}]`)
    if (job.spec?.template && !old) warnings.push(...podWarnings(job.spec.template.spec ?? {}, job.spec.template.metadata, 'spec.template'))
    return warnings
  },
  selectableFields: (job) => ({ 'status.successful': String(job.status?.succeeded ?? 0) }),
}
