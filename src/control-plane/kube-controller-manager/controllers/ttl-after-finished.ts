// ttl-after-finished-controller: deletes a finished Job spec.ttlSecondsAfterFinished after its end. Upstream: kubernetes/pkg/controller/ttlafterfinished
import type { Job } from '../../../lib/api/generated/types/batch-v1.ts'
import { objectKey, splitObjectKey } from '../../../lib/client/object-references.ts'
import { jobs } from '../../../lib/client/resource-keys.ts'
import { inOrder, remove, verify, watch } from './shared/controller.ts'
import type { Controller, Plan } from './shared/controller.ts'
import { timeOf } from './shared/pod-state.ts'

export function syncTtl({ job, now }: { readonly job: Job, readonly now: number }): Plan {
  const ttlSeconds = job.spec.ttlSecondsAfterFinished
  const end = job.status.conditions?.find((condition) => (condition.type === 'Complete' || condition.type === 'Failed') && condition.status === 'True')
  if (ttlSeconds === undefined || !end || job.metadata.deletionTimestamp !== undefined) return {}
  const leftMs = timeOf(end.lastTransitionTime) + ttlSeconds * 1000 - now
  if (leftMs > 0) return { requeueAfterMs: leftMs }
  const { uid, resourceVersion } = job.metadata
  // The version guards against a job that was given more time since.
  return { steps: inOrder(verify(jobs, job), remove(jobs, job, { propagationPolicy: 'Foreground', preconditions: { uid, resourceVersion } })) }
}

export function createTtlAfterFinishedController(): Controller<{ readonly job: Job, readonly now: number }> {
  return {
    name: 'ttl-after-finished-controller',
    watches: [watch({ resource: jobs, keysOf: (job) => (job.spec.ttlSecondsAfterFinished === undefined ? [] : [objectKey(job)]) })],
    observe(key, view, { now }) {
      const { namespace, name } = splitObjectKey(key)
      const job = view.get(jobs, namespace, name)
      return job && { job, now }
    },
    sync: syncTtl,
  }
}
