// The priority levels and flow schemas of the original, as data: clients look for them, and their UIDs go into response headers.
// Upstream: apiserver/pkg/apis/flowcontrol/bootstrap/default.go
import type { JsonObject } from '../../../lib/base/json.ts'
import type { BootstrapObject } from './system-objects.ts'

const annotations = { 'apf.kubernetes.io/autoupdate-spec': 'true' }

function limited(name: string, shares: number, queues: number, handSize: number, lendablePercent: number): BootstrapObject {
  const limitResponse: JsonObject = queues === 0 ? { type: 'Reject' } : { type: 'Queue', queuing: { queues, handSize, queueLengthLimit: 50 } }
  return {
    resource: 'flowcontrol.apiserver.k8s.io/prioritylevelconfigurations',
    object: { metadata: { name, annotations }, spec: { type: 'Limited', limited: { nominalConcurrencyShares: shares, lendablePercent, limitResponse } } },
  }
}

const exempt = (name: string): BootstrapObject => ({
  resource: 'flowcontrol.apiserver.k8s.io/prioritylevelconfigurations',
  object: { metadata: { name, annotations }, spec: { type: 'Exempt', exempt: { nominalConcurrencyShares: 0, lendablePercent: 0 } } },
})

const group = (name: string): JsonObject => ({ kind: 'Group', group: { name } })
const user = (name: string): JsonObject => ({ kind: 'User', user: { name } })
const accounts = (namespace: string, name = '*'): JsonObject => ({ kind: 'ServiceAccount', serviceAccount: { namespace, name } })
const anything: JsonObject = { verbs: ['*'], apiGroups: ['*'], resources: ['*'], clusterScope: true, namespaces: ['*'] }
const anyPath: JsonObject = { verbs: ['*'], nonResourceURLs: ['*'] }
const everyResource = { resourceRules: [anything], nonResourceRules: [anyPath] }

function schema(name: string, level: string, precedence: number, distinguisher: string, subjects: readonly JsonObject[], rules: JsonObject): BootstrapObject {
  return {
    resource: 'flowcontrol.apiserver.k8s.io/flowschemas',
    object: {
      metadata: { name, annotations },
      spec: { priorityLevelConfiguration: { name: level }, matchingPrecedence: precedence, ...(distinguisher !== '' && { distinguisherMethod: { type: distinguisher } }), rules: [{ subjects, ...rules }] },
    },
  }
}

const leases: JsonObject = { verbs: ['get', 'create', 'update'], apiGroups: ['coordination.k8s.io'], resources: ['leases'], namespaces: ['*'] }
const nodeLeases: JsonObject = { verbs: ['*'], apiGroups: ['coordination.k8s.io'], resources: ['leases'], namespaces: ['*'] }
const nodes: JsonObject = { verbs: ['*'], apiGroups: [''], resources: ['nodes', 'nodes/status'], clusterScope: true, namespaces: ['*'] }

export const flowControlObjects: readonly BootstrapObject[] = [
  exempt('exempt'),
  limited('catch-all', 5, 0, 0, 0),
  limited('system', 30, 64, 6, 33),
  limited('node-high', 40, 64, 6, 25),
  limited('leader-election', 10, 16, 4, 0),
  limited('workload-high', 40, 128, 6, 50),
  limited('workload-low', 100, 128, 6, 90),
  limited('global-default', 20, 128, 6, 50),
  schema('exempt', 'exempt', 1, '', [group('system:masters')], everyResource),
  schema('probes', 'exempt', 2, '', [group('system:unauthenticated'), group('system:authenticated')], { nonResourceRules: [{ verbs: ['get'], nonResourceURLs: ['/healthz', '/readyz', '/livez'] }] }),
  schema('system-leader-election', 'leader-election', 100, 'ByUser', [user('system:kube-controller-manager'), user('system:kube-scheduler'), accounts('kube-system')], { resourceRules: [leases] }),
  schema('system-node-high', 'node-high', 400, 'ByUser', [group('system:nodes')], { resourceRules: [nodes, nodeLeases] }),
  schema('system-nodes', 'system', 500, 'ByUser', [group('system:nodes')], everyResource),
  schema('kube-controller-manager', 'workload-high', 800, 'ByNamespace', [user('system:kube-controller-manager')], everyResource),
  schema('kube-scheduler', 'workload-high', 800, 'ByNamespace', [user('system:kube-scheduler')], everyResource),
  schema('kube-system-service-accounts', 'workload-high', 900, 'ByNamespace', [accounts('kube-system')], everyResource),
  schema('service-accounts', 'workload-low', 9000, 'ByUser', [group('system:serviceaccounts')], everyResource),
  schema('global-default', 'global-default', 9900, 'ByUser', [group('system:unauthenticated'), group('system:authenticated')], everyResource),
  schema('catch-all', 'catch-all', 10_000, 'ByUser', [group('system:unauthenticated'), group('system:authenticated')], everyResource),
]
