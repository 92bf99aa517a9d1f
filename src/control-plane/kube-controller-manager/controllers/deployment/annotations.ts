// What a Deployment writes on its ReplicaSets: the revision (and those it had before), the wanted and the largest number of replicas.
// Upstream: kubernetes/pkg/controller/deployment/util/deployment_util.go
import type { Deployment, ReplicaSet } from '../../../../lib/api/generated/types/apps-v1.ts'
import { maxSurge } from './limits.ts'

export const revisionAnnotation = 'deployment.kubernetes.io/revision'
export const revisionHistoryAnnotation = 'deployment.kubernetes.io/revision-history'
export const desiredReplicasAnnotation = 'deployment.kubernetes.io/desired-replicas'
export const maxReplicasAnnotation = 'deployment.kubernetes.io/max-replicas'

const historyMaxLength = 2000
/** Annotations of a Deployment that its ReplicaSets don't get. */
const notCopied: ReadonlySet<string> = new Set([
  'kubectl.kubernetes.io/last-applied-configuration', revisionAnnotation, revisionHistoryAnnotation, desiredReplicasAnnotation, maxReplicasAnnotation, 'deprecated.deployment.rollback.to',
])

export type Annotations = { readonly [key: string]: string }

export function revisionOf(set: ReplicaSet): number {
  const text = set.metadata.annotations?.[revisionAnnotation]
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : 0
}

export function maxRevision(sets: readonly ReplicaSet[]): number { return Math.max(0, ...sets.map(revisionOf)) }

function numberOf(annotations: Annotations | undefined, key: string): number | undefined {
  const text = annotations?.[key]
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined
}

export function desiredReplicasOf(set: ReplicaSet): number | undefined { return numberOf(set.metadata.annotations, desiredReplicasAnnotation) }
export function maxReplicasOf(set: ReplicaSet): number | undefined { return numberOf(set.metadata.annotations, maxReplicasAnnotation) }

export function withReplicasAnnotations(annotations: Annotations | undefined, deployment: Deployment): Annotations {
  const replicas = deployment.spec.replicas ?? 1
  return { ...annotations, [desiredReplicasAnnotation]: String(replicas), [maxReplicasAnnotation]: String(replicas + maxSurge(deployment)) }
}

/** Annotations of the new ReplicaSet: the Deployment's own, and the revision; a revision it had before goes to its history. */
export function annotationsForNewSet(deployment: Deployment, annotations: Annotations | undefined, revision: number, exists: boolean): Annotations {
  const next: Record<string, string> = { ...annotations }
  for (const [key, value] of Object.entries(deployment.metadata.annotations ?? {})) if (!notCopied.has(key)) next[key] = value
  const old = next[revisionAnnotation]
  const oldRevision = old !== undefined && /^\d+$/.test(old) ? Number(old) : 0
  if (oldRevision < revision) {
    next[revisionAnnotation] = String(revision)
    if (oldRevision > 0) {
      const history = (next[revisionHistoryAnnotation] ?? '').split(',').filter((entry) => entry !== '')
      history.push(String(oldRevision))
      while (history.join(',').length > historyMaxLength) history.shift()
      next[revisionHistoryAnnotation] = history.join(',')
    }
  }
  return exists ? next : withReplicasAnnotations(next, deployment)
}
