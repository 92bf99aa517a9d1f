// spec.podFailurePolicy: what a particular failure means. The first rule that matches decides. Upstream: kubernetes/pkg/controller/job/pod_failure_policy.go
import type { Job } from '../../../../lib/api/generated/types/batch-v1.ts'
import type { Pod } from '../../../../lib/api/generated/types/core-v1.ts'

export type FailureAction = 'FailJob' | 'FailIndex' | 'Ignore' | 'Count'

export interface FailureVerdict { readonly action: FailureAction, readonly message: string }

/** What the policy says of a failed pod; undefined when no rule matches, which counts like any failure. */
export function judgeFailure(job: Job, pod: Pod): FailureVerdict | undefined {
  for (const [index, rule] of (job.spec.podFailurePolicy?.rules ?? []).entries()) {
    const action = rule.action as FailureAction // cast: validation lets only these through
    const codes = rule.onExitCodes
    if (codes) {
      const statuses = [...pod.status.initContainerStatuses ?? [], ...pod.status.containerStatuses ?? []].filter((status) => !codes.containerName || status.name === codes.containerName)
      for (const status of statuses) {
        const exitCode = status.state?.terminated?.exitCode
        if (exitCode === undefined || exitCode === 0) continue
        if ((codes.values ?? []).includes(exitCode) === (codes.operator === 'In')) {
          return { action, message: `Container ${status.name} for pod ${pod.metadata.namespace}/${pod.metadata.name} failed with exit code ${exitCode} matching ${rule.action} rule at index ${index}` }
        }
      }
    } else {
      for (const pattern of rule.onPodConditions ?? []) {
        const found = pod.status.conditions?.find((condition) => condition.type === pattern.type && condition.status === (pattern.status ?? 'True'))
        if (found) return { action, message: `Pod ${pod.metadata.namespace}/${pod.metadata.name} has condition ${found.type} matching ${rule.action} rule at index ${index}` }
      }
    }
  }
  return undefined
}

export function isIgnoredFailure(job: Job, pod: Pod): boolean { return judgeFailure(job, pod)?.action === 'Ignore' }
