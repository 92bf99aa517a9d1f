// What the real API server would fill in on create, for the kinds that components look at: defaults, admission's additions, initial status.
import type { JsonObject, JsonValue } from '../base/json.ts'
import { isJsonObject } from '../base/json.ts'

const noExecute = (key: string): JsonObject => ({ key, operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 300 })

function object(value: JsonValue | undefined): JsonObject { return isJsonObject(value) ? value : {} }
function array(value: JsonValue | undefined): readonly JsonValue[] { return Array.isArray(value) ? value : [] }

/** Fills in `created`. `ordinal` makes addresses. */
export function withDefaults(resource: string, created: JsonObject, ordinal: number): JsonObject {
  const spec = object(created['spec'])
  const metadata = object(created['metadata'])
  switch (resource) {
    case 'pods': return {
      ...created,
      spec: {
        restartPolicy: 'Always', dnsPolicy: 'ClusterFirst', terminationGracePeriodSeconds: 30, schedulerName: 'default-scheduler', enableServiceLinks: true,
        serviceAccountName: 'default', securityContext: {}, priority: 0, preemptionPolicy: 'PreemptLowerPriority',
        ...spec,
        tolerations: [...array(spec['tolerations']), ...['node.kubernetes.io/not-ready', 'node.kubernetes.io/unreachable']
          .filter((key) => !array(spec['tolerations']).some((t) => isJsonObject(t) && (t['key'] === key || t['key'] === undefined) && (t['effect'] === undefined || t['effect'] === 'NoExecute')))
          .map(noExecute)],
      },
      status: { phase: 'Pending', ...object(created['status']) },
    }
    case 'namespaces': return {
      ...created, metadata: { ...metadata, labels: { ...object(metadata['labels']), 'kubernetes.io/metadata.name': metadata['name'] } },
      spec: { ...spec, finalizers: ['kubernetes'] }, status: { phase: 'Active' },
    }
    case 'nodes': return {
      ...created, spec: { ...spec, taints: [...array(spec['taints']), { key: 'node.kubernetes.io/not-ready', effect: 'NoSchedule' }] }, status: object(created['status']),
    }
    case 'services': {
      const ports = array(spec['ports']).map((p) => ({ protocol: 'TCP', targetPort: object(p)['port'], ...object(p) }))
      const clusterIP = spec['type'] === 'ExternalName' ? undefined : spec['clusterIP'] ?? `10.96.0.${10 + ordinal % 240}`
      return {
        ...created,
        spec: { type: 'ClusterIP', sessionAffinity: 'None', internalTrafficPolicy: 'Cluster', ipFamilies: ['IPv4'], ipFamilyPolicy: 'SingleStack', ...spec, ports, ...(clusterIP === undefined ? {} : { clusterIP, clusterIPs: [clusterIP] }) },
        status: { loadBalancer: {} },
      }
    }
    case 'replicasets': return { ...created, spec: { replicas: 1, minReadySeconds: 0, ...spec }, status: { replicas: 0, ...object(created['status']) } }
    case 'replicationcontrollers': {
      const labels = object(object(object(spec['template'])['metadata'])['labels'])
      return { ...created, metadata: { labels, ...metadata }, spec: { replicas: 1, minReadySeconds: 0, selector: labels, ...spec }, status: { replicas: 0 } }
    }
    case 'deployments': {
      const strategy = { type: 'RollingUpdate', ...object(spec['strategy']) }
      const rolling = strategy.type === 'RollingUpdate' ? { rollingUpdate: { maxSurge: '25%', maxUnavailable: '25%', ...object(object(spec['strategy'])['rollingUpdate']) } } : {}
      return { ...created, spec: { replicas: 1, revisionHistoryLimit: 10, progressDeadlineSeconds: 600, ...spec, strategy: { ...strategy, ...rolling } }, status: object(created['status']) }
    }
    case 'daemonsets': return {
      ...created, spec: { revisionHistoryLimit: 10, updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 1, maxSurge: 0 } }, ...spec },
      status: { currentNumberScheduled: 0, numberMisscheduled: 0, desiredNumberScheduled: 0, numberReady: 0 },
    }
    case 'statefulsets': return {
      ...created,
      spec: { replicas: 1, podManagementPolicy: 'OrderedReady', revisionHistoryLimit: 10, updateStrategy: { type: 'RollingUpdate', rollingUpdate: { partition: 0 } }, persistentVolumeClaimRetentionPolicy: { whenDeleted: 'Retain', whenScaled: 'Retain' }, ...spec },
      status: { replicas: 0, availableReplicas: 0 },
    }
    case 'jobs': {
      const uid = String(metadata['uid'] ?? '')
      const labels = { 'controller-uid': uid, 'job-name': metadata['name'], 'batch.kubernetes.io/controller-uid': uid, 'batch.kubernetes.io/job-name': metadata['name'] }
      const template = object(spec['template'])
      const templateMeta = object(template['metadata'])
      return {
        ...created,
        spec: {
          parallelism: 1, ...(spec['parallelism'] === undefined ? { completions: 1 } : {}), backoffLimit: 6, completionMode: 'NonIndexed', suspend: false, podReplacementPolicy: 'TerminatingOrFailed',
          selector: { matchLabels: { 'batch.kubernetes.io/controller-uid': uid } }, ...spec,
          template: { ...template, metadata: { ...templateMeta, labels: { ...object(templateMeta['labels']), ...labels } } },
        },
        status: object(created['status']),
      }
    }
    case 'poddisruptionbudgets': return { ...created, status: { disruptionsAllowed: 0, currentHealthy: 0, desiredHealthy: 0, expectedPods: 0, ...object(created['status']) } }
    case 'cronjobs': return { ...created, spec: { concurrencyPolicy: 'Allow', suspend: false, successfulJobsHistoryLimit: 3, failedJobsHistoryLimit: 1, ...spec }, status: {} }
    case 'persistentvolumeclaims': case 'persistentvolumes': return { ...created, spec: { volumeMode: 'Filesystem', ...spec }, status: { phase: 'Pending', ...object(created['status']) } }
    default: return created
  }
}
