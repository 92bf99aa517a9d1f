// Controllers of pods: deployments, sets, jobs, and what scales and protects them. Upstream: pkg/printers/internalversion/printers.go
import { formatHumanDuration, translateTimestampSince } from '../../apimachinery/duration.ts'
import { formatLabelSelector, selectorOf } from '../../apimachinery/label-selector.ts'
import { controllerOf, splitApiVersion } from '../../apimachinery/owner-reference.ts'
import type { ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet } from '../generated/types/apps-v1.ts'
import type { HorizontalPodAutoscaler as HorizontalPodAutoscalerV1 } from '../generated/types/autoscaling-v1.ts'
import type { HorizontalPodAutoscaler, MetricSpec, MetricStatus, MetricTarget, MetricValueStatus } from '../generated/types/autoscaling-v2.ts'
import type { CronJob, Job } from '../generated/types/batch-v1.ts'
import type { PodTemplate, ReplicationController } from '../generated/types/core-v1.ts'
import type { PodDisruptionBudget } from '../generated/types/policy-v1.ts'
import { ageColumn, ageOf, boolean, containerCells, containersColumn, formatLabels, formatSelector, imagesColumn, integer, nameColumn, printerFor, selectorColumn, text, type Printer } from './printer.ts'

const templateColumns = [containersColumn, imagesColumn, selectorColumn]
const replicaColumns = [nameColumn, integer('Desired', 'Pods that are wanted.'), integer('Current', 'Pods that there are.'), integer('Ready', 'Pods that are ready.'), ageColumn, ...templateColumns]

const deployment = printerFor<Deployment>(
  [nameColumn, text('Ready', 'Pods that are ready, of those wanted.'), text('Up-to-date', 'Pods made from the current template.'), text('Available', 'Pods that have been ready for long enough.'), ageColumn, ...templateColumns],
  (o, now) => {
    const selector = selectorOf(o.spec.selector)
    return [
      o.metadata.name, `${o.status.readyReplicas ?? 0}/${o.spec.replicas ?? 1}`, o.status.updatedReplicas ?? 0, o.status.availableReplicas ?? 0, ageOf(o, now),
      ...containerCells(o.spec.template), selector.ok ? formatLabelSelector(selector.selector) : '<invalid>',
    ]
  })

const replicaSet = printerFor<ReplicaSet>(replicaColumns, (o, now) => [o.metadata.name, o.spec.replicas ?? 1, o.status.replicas, o.status.readyReplicas ?? 0, ageOf(o, now), ...containerCells(o.spec.template), formatSelector(o.spec.selector)])

const replicationController = printerFor<ReplicationController>(replicaColumns, (o, now) => [o.metadata.name, o.spec.replicas ?? 1, o.status.replicas, o.status.readyReplicas ?? 0, ageOf(o, now), ...containerCells(o.spec.template), formatLabels(o.spec.selector)])

const statefulSet = printerFor<StatefulSet>([nameColumn, text('Ready', 'Pods that are ready, of those wanted.'), ageColumn, containersColumn, imagesColumn], (o, now) => [o.metadata.name, `${o.status.readyReplicas ?? 0}/${o.spec.replicas ?? 1}`, ageOf(o, now), ...containerCells(o.spec.template)])

const daemonSet = printerFor<DaemonSet>(
  [
    nameColumn, integer('Desired', 'Nodes that should run a pod.'), integer('Current', 'Nodes that run one.'), integer('Ready', 'Nodes whose pod is ready.'), integer('Up-to-date', 'Nodes whose pod is made from the current template.'),
    integer('Available', 'Nodes whose pod has been ready for long enough.'), text('Node Selector', 'Which nodes are meant.'), ageColumn, ...templateColumns,
  ],
  (o, now) => [
    o.metadata.name, o.status.desiredNumberScheduled, o.status.currentNumberScheduled, o.status.numberReady, o.status.updatedNumberScheduled ?? 0, o.status.numberAvailable ?? 0,
    formatLabels(o.spec.template.spec?.nodeSelector), ageOf(o, now), ...containerCells(o.spec.template), formatSelector(o.spec.selector),
  ])

function jobStatus(job: Job): string {
  const holds = (type: string): boolean => job.status.conditions?.find((condition) => condition.type === type)?.status === 'True'
  if (holds('Complete')) return 'Complete'
  if (holds('Failed')) return 'Failed'
  if (job.metadata.deletionTimestamp !== undefined) return 'Terminating'
  if (holds('Suspended')) return 'Suspended'
  return holds('FailureTarget') ? 'FailureTarget' : 'Running'
}

function jobCompletions({ spec, status }: Job): string {
  const succeeded = status.succeeded ?? 0
  if (spec.completions !== undefined) return `${succeeded}/${spec.completions}`
  const parallelism = spec.parallelism ?? 0
  return parallelism > 1 ? `${succeeded}/1 of ${parallelism}` : `${succeeded}/1`
}

function jobDuration({ status }: Job, nowMs: number): string {
  if (status.startTime === undefined) return ''
  return formatHumanDuration((status.completionTime === undefined ? nowMs : Date.parse(status.completionTime)) - Date.parse(status.startTime))
}

const job = printerFor<Job>(
  [nameColumn, text('Status', 'What the job is doing.'), text('Completions', 'Pods that succeeded, of those wanted.'), text('Duration', 'How long it took or has been running.'), ageColumn, ...templateColumns],
  (o, now) => [o.metadata.name, jobStatus(o), jobCompletions(o), jobDuration(o, now), ageOf(o, now), ...containerCells(o.spec.template), formatSelector(o.spec.selector)])

const cronJob = printerFor<CronJob>(
  [nameColumn, text('Schedule', 'When it runs, in cron’s form.'), text('Timezone', 'Time zone of the schedule.'), boolean('Suspend', 'Whether it starts no further jobs.'), integer('Active', 'Jobs that are running.'), text('Last Schedule', 'Time since it last started a job.'), ageColumn, ...templateColumns],
  (o, now) => [
    o.metadata.name, o.spec.schedule, o.spec.timeZone ?? '<none>', o.spec.suspend === undefined ? '<unset>' : o.spec.suspend ? 'True' : 'False', o.status.active?.length ?? 0,
    o.status.lastScheduleTime === undefined ? '<none>' : translateTimestampSince(o.status.lastScheduleTime, now), ageOf(o, now), ...containerCells(o.spec.jobTemplate.spec?.template), formatSelector(o.spec.jobTemplate.spec?.selector),
  ])

const controllerRevision = printerFor<ControllerRevision>([nameColumn, text('Controller', 'What it is a revision of.'), text('Revision', 'Its number.'), ageColumn], (o, now) => {
  const owner = controllerOf(o)
  const group = owner === undefined ? '' : splitApiVersion(owner.apiVersion).group
  return [o.metadata.name, owner === undefined ? '<none>' : `${`${owner.kind}${group === '' ? '' : `.${group}`}`.toLowerCase()}/${owner.name}`, o.revision, ageOf(o, now)]
})

const podTemplate = printerFor<PodTemplate>([nameColumn, { ...containersColumn, priority: 0 }, { ...imagesColumn, priority: 0 }, text('Pod Labels', 'Labels that pods get.')], (o) => [o.metadata.name, ...containerCells(o.template), formatLabels(o.template.metadata?.labels)])

const podDisruptionBudget = printerFor<PodDisruptionBudget>(
  [nameColumn, text('Min Available', 'Pods that must stay available.'), text('Max Unavailable', 'Pods that may be unavailable.'), integer('Allowed Disruptions', 'Pods that may be evicted now.'), ageColumn],
  (o, now) => [o.metadata.name, String(o.spec.minAvailable ?? 'N/A'), String(o.spec.maxUnavailable ?? 'N/A'), o.status.disruptionsAllowed, ageOf(o, now)])

interface Metric { readonly target: MetricTarget; readonly current: MetricValueStatus | undefined; readonly prefix: string }

function metricOf(spec: MetricSpec, status: MetricStatus | undefined): Metric | undefined {
  switch (spec.type) {
    case 'External': return spec.external && { target: spec.external.target, current: status?.external?.current, prefix: '' }
    case 'Pods': return spec.pods && { target: spec.pods.target, current: status?.pods?.current, prefix: '' }
    case 'Object': return spec.object && { target: spec.object.target, current: status?.object?.current, prefix: '' }
    case 'Resource': return spec.resource && { target: spec.resource.target, current: status?.resource?.current, prefix: `${spec.resource.name}: ` }
    case 'ContainerResource': return spec.containerResource && { target: spec.containerResource.target, current: status?.containerResource?.current, prefix: `${spec.containerResource.name}: ` }
    default: return undefined
  }
}

function formatMetric(spec: MetricSpec, status: MetricStatus | undefined): string {
  const metric = metricOf(spec, status)
  if (metric === undefined) return '<unknown type>'
  const { target, current, prefix } = metric
  const percent = (value: number | undefined, otherwise: string): string => (value === undefined ? otherwise : `${value}%`)
  if (target.averageValue !== undefined) return `${prefix}${current?.averageValue ?? '<unknown>'}/${target.averageValue}${spec.type === 'External' || spec.type === 'Object' ? ' (avg)' : ''}`
  if (spec.type === 'Resource' || spec.type === 'ContainerResource') return `${prefix}${percent(current?.averageUtilization, '<unknown>')}/${percent(target.averageUtilization, '<auto>')}`
  return `${prefix}${current?.value ?? '<unknown>'}/${target.value ?? '<unknown>'}`
}

function formatMetrics(specs: readonly MetricSpec[], statuses: readonly MetricStatus[]): string {
  if (specs.length === 0) return '<none>'
  const shown = specs.slice(0, 2).map((spec, i) => formatMetric(spec, statuses[i])).join(', ')
  return specs.length > 2 ? `${shown} + ${specs.length - 2} more...` : shown
}

const autoscalerColumns = [
  nameColumn, text('Reference', 'What is scaled.'), text('Targets', 'Metrics as they are and as they should be.'), text('MinPods', 'Fewest pods.'), text('MaxPods', 'Most pods.'), text('Replicas', 'Pods that there are.'), ageColumn,
]

const horizontalPodAutoscaler = printerFor<HorizontalPodAutoscaler>(autoscalerColumns, (o, now) => [
  o.metadata.name, `${o.spec.scaleTargetRef.kind}/${o.spec.scaleTargetRef.name}`, formatMetrics(o.spec.metrics ?? [], o.status.currentMetrics ?? []), o.spec.minReplicas === undefined ? '<unset>' : String(o.spec.minReplicas),
  o.spec.maxReplicas, o.status.currentReplicas ?? 0, ageOf(o, now),
])

const horizontalPodAutoscalerV1 = printerFor<HorizontalPodAutoscalerV1>(autoscalerColumns, (o, now) => {
  const target = o.spec.targetCPUUtilizationPercentage
  const current = o.status.currentCPUUtilizationPercentage
  return [
    o.metadata.name, `${o.spec.scaleTargetRef.kind}/${o.spec.scaleTargetRef.name}`, target === undefined ? '<none>' : `cpu: ${current === undefined ? '<unknown>' : `${current}%`}/${target}%`,
    o.spec.minReplicas === undefined ? '<unset>' : String(o.spec.minReplicas), o.spec.maxReplicas, o.status.currentReplicas, ageOf(o, now),
  ]
})

/** By `group/Kind`, or `group/version/Kind` where versions differ. */
export const workloadPrinters: { readonly [key: string]: Printer } = {
  'apps/Deployment': deployment, 'apps/ReplicaSet': replicaSet, 'apps/StatefulSet': statefulSet, 'apps/DaemonSet': daemonSet, 'apps/ControllerRevision': controllerRevision,
  '/ReplicationController': replicationController, '/PodTemplate': podTemplate, 'batch/Job': job, 'batch/CronJob': cronJob, 'policy/PodDisruptionBudget': podDisruptionBudget,
  'autoscaling/HorizontalPodAutoscaler': horizontalPodAutoscaler, 'autoscaling/v1/HorizontalPodAutoscaler': horizontalPodAutoscalerV1,
}
