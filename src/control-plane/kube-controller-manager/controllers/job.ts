// job-controller: runs pods until enough have succeeded, in parallel as far as asked for, again when they fail, until it is enough of failing.
//
// Rule it keeps: a finished pod is counted exactly once. Its uid goes into status.uncountedTerminatedPods first; then its finalizer is taken off; then it
// moves from the list into the count. A crash between any two of these loses nothing and counts nothing twice.
// Upstream: kubernetes/pkg/controller/job
import { semanticEqual } from '../../../lib/apimachinery/equality.ts'
import { matches } from '../../../lib/apimachinery/label-selector.ts'
import type { Job } from '../../../lib/api/generated/types/batch-v1.ts'
import type { Pod } from '../../../lib/api/generated/types/core-v1.ts'
import { controllerOf, objectKey, splitObjectKey } from '../../../lib/client/object-references.ts'
import { jobs, pods } from '../../../lib/client/resource-keys.ts'
import { claimDependents, controllerIndex, controllerIndexValues, orphanIndexValue } from './shared/claims.ts'
import { aboutObject, patch, updateStatus, watch } from './shared/controller.ts'
import type { Action, Controller, Plan, PlannedEvent, Step, View } from './shared/controller.ts'
import { isPodActive, isPodTerminating, timeOf } from './shared/pod-state.ts'
import { createOwnedPod, deletePod, podFromTemplate } from './shared/replica-sync.ts'
import { readSelector } from './shared/selectors.ts'
import { countJob, jobFinalizer } from './job/counting.ts'
import type { JobCount } from './job/counting.ts'
import { indexAnnotation, missingIndexes } from './job/indexes.ts'
import { computeJobStatus, decideJob, isFinished } from './job/outcome.ts'

export interface ObservedJob {
  readonly now: number
  readonly job: Job
  readonly pods: readonly Pod[]
}

const burst = 500
const firstBackOffMs = 10_000
const longestBackOffMs = 600_000

export function syncJob({ now, job, pods: candidates }: ObservedJob): Plan {
  if (job.spec.managedBy !== undefined && job.spec.managedBy !== 'kubernetes.io/job-controller') return {}
  const claims = claimDependents({ owner: job, ownerKey: jobs, dependentKey: pods, selector: readSelector(job.spec.selector) }, candidates)
  const steps: Step[] = claims.actions.length > 0 ? [{ actions: claims.actions }] : []
  const mine = claims.claimed
  if (isFinished(job) || job.metadata.deletionTimestamp !== undefined) {
    // Nobody counts any more: let the pods go.
    const left = mine.filter((pod) => hasFinalizer(pod) && (!isPodActive(pod) || job.metadata.deletionTimestamp !== undefined || isFinished(job)))
    return { steps: [...steps, ...dropFinalizers(left)] }
  }
  const count = countJob(job, mine)
  const decision = decideJob(job, count, mine, now)
  const active = mine.filter(isPodActive)
  const events: PlannedEvent[] = []
  const moves: Step[] = []
  let waitMs = decision.againMs
  if (decision.kind === 'end') {
    moves.push(...deleteAll(job, active))
  } else if (job.spec.suspend) {
    moves.push(...dropFinalizers(active), ...deleteAll(job, active))
    if (active.length > 0 || job.status.conditions?.find((condition) => condition.type === 'Suspended')?.status !== 'True') events.push({ about: aboutObject(jobs, job), type: 'Normal', reason: 'Suspended', message: 'Job suspended' })
  } else {
    const manage = manageJob(job, mine, active, count, now)
    moves.push(...manage.steps)
    waitMs = minimum(waitMs, manage.againMs)
  }
  const status = computeJobStatus(job, count, mine, decision, now)
  if (decision.kind === 'end' && decision.final) events.push(...decision.events.map((event): PlannedEvent => ({ ...event, about: aboutObject(jobs, job) })))
  if (job.spec.suspend !== true && job.status.conditions?.some((condition) => condition.type === 'Suspended' && condition.status === 'True')) {
    events.push({ about: aboutObject(jobs, job), type: 'Normal', reason: 'Resumed', message: 'Job resumed' })
  }
  const changed = !semanticEqual(status, job.status)
  return {
    events, ...(waitMs === undefined ? {} : { requeueAfterMs: waitMs }),
    // What is to be counted stands in the status before its finalizer goes.
    steps: [...steps, ...(changed ? [{ actions: [updateStatus(jobs, { ...job, status }, { tolerates: ['NotFound'] })] }] : []), ...dropFinalizers(count.counted), ...moves],
  }
}

function minimum(a: number | undefined, b: number | undefined): number | undefined { return a === undefined ? b : b === undefined ? a : Math.min(a, b) }

function hasFinalizer(pod: Pod): boolean { return pod.metadata.finalizers?.includes(jobFinalizer) ?? false }

function dropFinalizers(all: readonly Pod[]): readonly Step[] {
  const actions = all.filter(hasFinalizer).map((pod): Action => patch(pods, pod, 'application/strategic-merge-patch+json', {
    metadata: { uid: pod.metadata.uid, '$deleteFromPrimitiveList/finalizers': [jobFinalizer] },
  }, { tolerates: ['NotFound', 'Conflict'] }))
  return actions.length > 0 ? [{ mode: 'together', actions }] : []
}

function deleteAll(job: Job, active: readonly Pod[]): readonly Step[] {
  return active.length > 0 ? [{ mode: 'together', actions: active.map((pod) => deletePod(job, jobs, pod)) }] : []
}

/** Pods up to the parallelism, as far as successes are still wanted; after a failure not before its back-off is over. */
function manageJob(job: Job, mine: readonly Pod[], active: readonly Pod[], count: JobCount, now: number): { readonly steps: readonly Step[], readonly againMs?: number } {
  const parallelism = job.spec.parallelism ?? 1
  const { completions } = job.spec
  const terminating = mine.filter(isPodTerminating).length
  const occupied = active.length + (job.spec.podReplacementPolicy === 'Failed' ? terminating : 0)
  let wanted = parallelism
  if (completions !== undefined) wanted = Math.min(parallelism, completions - count.succeeded)
  // Without completions the job is done when one has succeeded and the others have ended: none is added after that.
  else if (count.succeeded > 0) wanted = active.length
  wanted = Math.max(wanted, 0)
  if (active.length > wanted) {
    const surplus = active.toSorted((a, b) => Number(Boolean(a.spec.nodeName)) - Number(Boolean(b.spec.nodeName)) || (a.metadata.creationTimestamp < b.metadata.creationTimestamp ? 1 : -1)).slice(0, active.length - wanted)
    // Deleted because it is too many, not because it failed: it must not be counted.
    return { steps: [...dropFinalizers(surplus), ...deleteAll(job, surplus)] }
  }
  const missing = Math.min(wanted - occupied, burst)
  if (missing <= 0) return { steps: [] }
  const againMs = backOffMs(mine, count, now)
  if (againMs > 0) return { steps: [], againMs }
  const indexes = job.spec.completionMode === 'Indexed' ? missingIndexes(job, mine, missing, count) : undefined
  const actions = indexes ? indexes.map((index) => createJobPod(job, index)) : Array.from({ length: missing }, () => createJobPod(job, undefined))
  return { steps: actions.length > 0 ? [{ mode: 'slow-start', actions }] : [] }
}

/** Ten seconds after the last failure, doubled for each before it without a success between. */
function backOffMs(mine: readonly Pod[], count: JobCount, now: number): number {
  const failures = mine.filter((pod) => pod.status.phase === 'Failed').map(finishTime)
  if (failures.length === 0 || count.failed === 0) return 0
  const lastSuccess = Math.max(0, ...mine.filter((pod) => pod.status.phase === 'Succeeded').map(finishTime))
  const since = failures.filter((time) => time > lastSuccess)
  if (since.length === 0) return 0
  return Math.max(0, Math.max(...since) + Math.min(firstBackOffMs * 2 ** Math.min(since.length - 1, 20), longestBackOffMs) - now)
}

function finishTime(pod: Pod): number {
  const ends = (pod.status.containerStatuses ?? []).map((status) => timeOf(status.state?.terminated?.finishedAt)).filter((time) => !Number.isNaN(time))
  if (ends.length > 0) return Math.max(...ends)
  const ready = timeOf(pod.status.conditions?.find((condition) => condition.type === 'Ready')?.lastTransitionTime)
  return Number.isNaN(ready) ? timeOf(pod.metadata.creationTimestamp) : ready
}

function createJobPod(job: Job, index: number | undefined): Action {
  const made = podFromTemplate(job, jobs, job.spec.template)
  const { annotations, labels, finalizers = [] } = job.spec.template.metadata ?? {}
  const indexed = index === undefined ? {} : {
    generateName: `${job.metadata.name}-${index}-`, annotations: { ...annotations, [indexAnnotation]: String(index) }, labels: { ...labels, [indexAnnotation]: String(index) },
  }
  const spec = job.spec.template.spec ?? {}
  const environment = index === undefined ? spec : {
    ...spec, hostname: `${job.metadata.name}-${index}`,
    ...(spec.initContainers ? { initContainers: spec.initContainers.map(withIndex) } : {}), containers: (spec.containers ?? []).map(withIndex),
  }
  return createOwnedPod(job, jobs, { metadata: { ...made.metadata, ...indexed, finalizers: [...finalizers, jobFinalizer] }, spec: environment })
}

function withIndex<C extends { readonly env?: readonly { readonly name: string }[] }>(container: C): C {
  const name = 'JOB_COMPLETION_INDEX'
  if (container.env?.some((variable) => variable.name === name)) return container
  return { ...container, env: [...container.env ?? [], { name, valueFrom: { fieldRef: { fieldPath: `metadata.labels['${indexAnnotation}']` } } }] }
}

export function createJobController(): Controller<ObservedJob> {
  return {
    name: 'job-controller',
    watches: [
      watch({ resource: jobs, keysOf: (job) => [objectKey(job)] }),
      watch({ resource: pods, indexes: { [controllerIndex]: controllerIndexValues }, keysOf: keysOfPod }),
    ],
    observe(key, view, { now }) {
      const { namespace, name } = splitObjectKey(key)
      const job = view.get(jobs, namespace, name)
      return job && { now, job, pods: [...view.byIndex(pods, controllerIndex, job.metadata.uid), ...view.byIndex(pods, controllerIndex, orphanIndexValue(namespace))] }
    },
    sync: syncJob,
  }
}

function keysOfPod(pod: Pod, view: View): readonly string[] {
  const namespace = pod.metadata.namespace ?? ''
  const reference = controllerOf(pod)
  if (reference) {
    const owner = reference.kind === 'Job' ? view.get(jobs, namespace, reference.name) : undefined
    return owner?.metadata.uid === reference.uid ? [objectKey(owner)] : []
  }
  return view.list(jobs, namespace).filter((job) => matches(readSelector(job.spec.selector), pod.metadata.labels)).map(objectKey)
}

/** Pods of jobs that are gone keep their finalizer for ever unless somebody takes it off. */
export function createOrphanedJobPodReleaser(): Controller<Pod> {
  return {
    name: 'job-controller',
    watches: [
      watch({ resource: pods, keysOf: (pod) => (hasFinalizer(pod) && (controllerOf(pod)?.kind ?? 'Job') === 'Job' ? [objectKey(pod)] : []) }),
      watch({ resource: jobs, keysOf: (job, view) => (job.metadata.deletionTimestamp === undefined ? [] : view.list(pods, job.metadata.namespace).filter((pod) => controllerOf(pod)?.uid === job.metadata.uid).map(objectKey)) }),
    ],
    observe(key, view) {
      const { namespace, name } = splitObjectKey(key)
      const pod = view.get(pods, namespace, name)
      if (!pod || !hasFinalizer(pod)) return undefined
      const reference = controllerOf(pod)
      const owner = reference && view.get(jobs, namespace, reference.name)
      return owner && owner.metadata.uid === reference.uid ? undefined : pod
    },
    sync: (pod) => {
      const reference = controllerOf(pod)
      const check: readonly Action[] = reference ? [{ kind: 'verify-absent', resource: jobs, namespace: pod.metadata.namespace ?? '', name: reference.name }] : []
      return { steps: [{ actions: [...check, ...dropFinalizers([pod]).flatMap((step) => step.actions)] }] }
    },
  }
}

