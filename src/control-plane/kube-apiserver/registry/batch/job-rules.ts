// The strategy's rules for Jobs. Upstream: pkg/registry/batch/job/strategy.go, pkg/apis/batch/{v1/defaults.go,validation/validation.go}
import type { Draft } from '../../../../lib/base/json.ts'
import type { Job, JobSpec } from '../../../../lib/api/generated/types/batch-v1.ts'
import { fieldInvalid, fieldRequired } from '../../../../lib/apimachinery/field-error.ts'
import type { FieldError } from '../../../../lib/apimachinery/field-error.ts'
import { isDns1123Label } from '../../../../lib/apimachinery/validation.ts'
import { defaultPodTemplate } from '../core/pod/default-pod-spec.ts'
import { podWarnings } from '../core/pod/pod-warnings.ts'
import type { KindRules } from '../generic-strategy.ts'
import { goMap, goSelector } from '../go-structs.ts'
import { semanticEqual } from '../semantic-equal.ts'
import { fieldIsImmutable, validateImmutable } from '../validate-object-meta.ts'
import { hasInvalidLabelValue, selectorMatches, validateLabelSelector } from '../validation/label-selector.ts'
import { validateJobSpec } from './validate-job-spec.ts'
import { validateJobStatus } from './validate-job-status.ts'

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

/** A job picks its pods by its own uid, so that no two jobs ever share any. Labels that a client set are left, and refused if they are others. */
function generateSelector(job: Job): Job {
  const { spec, metadata: { uid, name } } = job
  if (spec.manualSelector || !uid) return job
  const { metadata } = spec.template
  const labels = { [oldNameLabel]: name, [nameLabel]: name, [oldUidLabel]: uid, [uidLabel]: uid, ...metadata?.labels }
  return {
    ...job,
    spec: {
      ...spec, template: { ...spec.template, metadata: { ...metadata, labels } },
      selector: { ...spec.selector, matchLabels: { [uidLabel]: uid, ...spec.selector?.matchLabels } },
    },
  }
}

function validateGeneratedSelector(job: Draft<Job>, old: Draft<Job> | undefined, errors: FieldError[]): void {
  const { spec = {}, metadata = {} } = job
  if (spec.manualSelector || !spec.selector) return
  if (!metadata.uid) errors.push(fieldRequired('metadata.uid'))
  const labels = spec.template?.metadata?.labels
  const uid = metadata.uid ?? ''
  const name = metadata.name ?? ''
  const expected: { [label: string]: string } = { [oldUidLabel]: uid, [oldNameLabel]: name }
  // Jobs from before these labels need not have them.
  const known = old?.spec?.template?.metadata?.labels
  if (!old || (known?.[nameLabel] !== undefined && known[uidLabel] !== undefined)) Object.assign(expected, { [uidLabel]: uid, [nameLabel]: name })
  for (const [label, value] of Object.entries(expected)) {
    const actual = labels?.[label]
    if (actual === undefined) errors.push(fieldRequired(`spec.template.metadata.labels[${label}]`, `must be '${value}'`))
    else if (actual !== value) errors.push(fieldInvalid(`spec.template.metadata.labels[${label}]`, goMap(labels), `must be '${value}'`))
  }
  if (!selectorMatches(spec.selector, expected)) errors.push(fieldInvalid('spec.selector', goSelector(spec.selector), '`selector` not auto-generated'))
}

function validateWholeSpec(spec: Draft<JobSpec>, old: Draft<JobSpec> | undefined, errors: FieldError[]): void {
  validateJobSpec(spec, old, 'spec', errors)
  const before = errors.length
  if (!spec.selector) errors.push(fieldRequired('spec.selector'))
  else validateLabelSelector(spec.selector, 'spec.selector', errors, hasInvalidLabelValue(old?.selector))
  const labels = spec.template?.metadata?.labels
  const unread = spec.selector && errors.length > before
  if (!unread && (!spec.selector || !selectorMatches(spec.selector, labels))) {
    errors.push(fieldInvalid('spec.template.metadata.labels', goMap(labels), '`selector` does not match template `labels`'))
  }
}

function validateIndexedName(job: Draft<Job>, errors: FieldError[]): void {
  const { completionMode, completions = 0 } = job.spec ?? {}
  if (completionMode !== 'Indexed' || completions <= 0) return
  const last = `${job.metadata?.name ?? ''}-${completions - 1}`
  if (isDns1123Label(last).length > 0) errors.push(fieldInvalid('metadata.name', job.metadata?.name, `will not able to create pod with invalid DNS label: ${last}`))
}

function validateUpdate(job: Job, old: Job, errors: FieldError[]): void {
  const { spec } = job
  validateWholeSpec(spec ?? {}, old.spec, errors)
  validateCompletions(spec ?? {}, old.spec ?? {}, errors)
  validateImmutable(goSelector(spec?.selector), goSelector(old.spec?.selector), 'spec.selector', errors)
  // Before a suspended job starts, the scheduling of its pods may still be changed.
  const waiting = old.spec?.suspend === true && !old.status?.startTime
  const compared = waiting ? withoutScheduling : (template: Draft<JobSpec>['template']): unknown => template
  if (!semanticEqual(compared(spec?.template), compared(old.spec?.template))) errors.push(fieldInvalid('spec.template', spec?.template, fieldIsImmutable))
  for (const field of ['completionMode', 'podFailurePolicy', 'backoffLimitPerIndex', 'managedBy', 'successPolicy'] as const) validateImmutable(spec?.[field], old.spec?.[field], `spec.${field}`, errors)
}

/** Indexed jobs are elastic: completions may change along with parallelism. */
function validateCompletions(spec: Draft<JobSpec>, old: Draft<JobSpec>, errors: FieldError[]): void {
  if (spec.completionMode !== 'Indexed') validateImmutable(spec.completions, old.completions, 'spec.completions', errors)
  else if (spec.completions !== undefined && spec.completions !== old.completions && spec.completions !== spec.parallelism) {
    errors.push(fieldInvalid('spec.completions', spec.completions, 'can only be modified in tandem with spec.parallelism'))
  }
}

function withoutScheduling(template: Draft<JobSpec>['template']): unknown {
  const { podAffinity, podAntiAffinity } = template?.spec?.affinity ?? {}
  return {
    ...template, metadata: { ...template?.metadata, annotations: undefined, labels: undefined },
    spec: { ...template?.spec, nodeSelector: undefined, affinity: podAffinity || podAntiAffinity ? { podAffinity, podAntiAffinity } : undefined, tolerations: undefined, schedulingGates: undefined },
  }
}

export const jobRules: KindRules<Job> = {
  applyDefaults,
  prepareForCreate: generateSelector,
  validate(job, errors, _context, old) {
    validateGeneratedSelector(job, old, errors)
    validateWholeSpec(job.spec ?? {}, old?.spec, errors)
    validateIndexedName(job, errors)
  },
  validateUpdate,
  validateStatus: validateJobStatus,
  warnings(job, old) {
    const warnings: string[] = []
    const wrong = old ? [] : isDns1123Label(job.metadata.name ?? '')
    if (wrong.length > 0) warnings.push(`metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is recommended: [${wrong.join(' ')}]`)
    if (job.spec?.template && !old) warnings.push(...podWarnings(job.spec.template.spec ?? {}, job.spec.template.metadata, 'spec.template'))
    return warnings
  },
  selectableFields: (job) => ({ 'status.successful': String(job.status?.succeeded ?? 0) }),
}
