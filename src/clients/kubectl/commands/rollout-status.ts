// What `kubectl rollout status` says of a workload, from its spec and status. Pure. Upstream: kubectl/pkg/polymorphichelpers/rollout_status.go
import type { JsonObject } from '../../../lib/base/json.ts'
import { isJsonObject } from '../../../lib/base/json.ts'
import { KubectlError } from '../command.ts'

export interface RolloutStatus {
  readonly message: string
  readonly done: boolean
}

/** @throws KubectlError when the rollout failed, or has no status of this kind */
export function rolloutStatus(resource: string, object: JsonObject, revision: number): RolloutStatus {
  const part = (name: string): JsonObject => (isJsonObject(object[name]) ? object[name] as JsonObject : {}) // cast: checked in the same line
  const [metadata, spec, status] = [part('metadata'), part('spec'), part('status')]
  const name = String(metadata['name'] ?? '')
  const count = (field: string): number => Number(status[field] ?? 0)
  const observed = Number(metadata['generation'] ?? 0) <= count('observedGeneration')
  switch (resource) {
    case 'deployments': {
      if (revision > 0) {
        const annotations = isJsonObject(metadata['annotations']) ? metadata['annotations'] : {}
        const current = Number(annotations['deployment.kubernetes.io/revision'] ?? 0)
        if (current !== revision) throw new KubectlError(`desired revision (${revision}) is different from the running revision (${current})`)
      }
      if (!observed) return { message: 'Waiting for deployment spec update to be observed...\n', done: false }
      const conditions = Array.isArray(status['conditions']) ? status['conditions'].filter(isJsonObject) : []
      if (conditions.some((c) => c['type'] === 'Progressing' && c['reason'] === 'ProgressDeadlineExceeded')) throw new KubectlError(`deployment ${JSON.stringify(name)} exceeded its progress deadline`)
      const replicas = Number(spec['replicas'] ?? 1)
      if (spec['replicas'] !== undefined && count('updatedReplicas') < replicas) return { message: `Waiting for deployment ${JSON.stringify(name)} rollout to finish: ${count('updatedReplicas')} out of ${replicas} new replicas have been updated...\n`, done: false }
      if (count('replicas') > count('updatedReplicas')) return { message: `Waiting for deployment ${JSON.stringify(name)} rollout to finish: ${count('replicas') - count('updatedReplicas')} old replicas are pending termination...\n`, done: false }
      if (count('availableReplicas') < count('updatedReplicas')) return { message: `Waiting for deployment ${JSON.stringify(name)} rollout to finish: ${count('availableReplicas')} of ${count('updatedReplicas')} updated replicas are available...\n`, done: false }
      return { message: `deployment ${JSON.stringify(name)} successfully rolled out\n`, done: true }
    }
    case 'daemonsets': {
      const strategy = isJsonObject(spec['updateStrategy']) ? spec['updateStrategy'] : {}
      if (strategy['type'] !== 'RollingUpdate') throw new KubectlError('rollout status is only available for RollingUpdate strategy type')
      if (!observed) return { message: 'Waiting for daemon set spec update to be observed...\n', done: false }
      if (count('updatedNumberScheduled') < count('desiredNumberScheduled')) return { message: `Waiting for daemon set ${JSON.stringify(name)} rollout to finish: ${count('updatedNumberScheduled')} out of ${count('desiredNumberScheduled')} new pods have been updated...\n`, done: false }
      if (count('numberAvailable') < count('desiredNumberScheduled')) return { message: `Waiting for daemon set ${JSON.stringify(name)} rollout to finish: ${count('numberAvailable')} of ${count('desiredNumberScheduled')} updated pods are available...\n`, done: false }
      return { message: `daemon set ${JSON.stringify(name)} successfully rolled out\n`, done: true }
    }
    case 'statefulsets': {
      const strategy = isJsonObject(spec['updateStrategy']) ? spec['updateStrategy'] : {}
      if (strategy['type'] !== 'RollingUpdate') throw new KubectlError('rollout status is only available for RollingUpdate strategy type')
      if (count('observedGeneration') === 0 || !observed) return { message: 'Waiting for statefulset spec update to be observed...\n', done: false }
      const replicas = Number(spec['replicas'] ?? 1)
      if (count('readyReplicas') < replicas) return { message: `Waiting for ${replicas - count('readyReplicas')} pods to be ready...\n`, done: false }
      const rolling = isJsonObject(strategy['rollingUpdate']) ? strategy['rollingUpdate'] : {}
      const partition = Number(rolling['partition'] ?? 0)
      if (partition > 0) {
        if (count('updatedReplicas') < replicas - partition) return { message: `Waiting for partitioned roll out to finish: ${count('updatedReplicas')} out of ${replicas - partition} new pods have been updated...\n`, done: false }
        return { message: `partitioned roll out complete: ${count('updatedReplicas')} new pods have been updated...\n`, done: true }
      }
      if (status['updateRevision'] !== status['currentRevision']) return { message: `waiting for statefulset rolling update to complete ${count('updatedReplicas')} pods at revision ${String(status['updateRevision'])}...\n`, done: false }
      return { message: `statefulset rolling update complete ${count('currentReplicas')} pods at revision ${String(status['currentRevision'])}...\n`, done: true }
    }
    default: throw new KubectlError(`no status viewer has been implemented for ${String(object['kind'] ?? resource)}`)
  }
}
