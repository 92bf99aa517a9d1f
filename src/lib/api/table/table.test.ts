import { test } from 'node:test'
import assert from 'node:assert/strict'
import type { JsonObject } from '../../base/json.ts'
import { decodeJson } from '../json-codec.ts'
import { servedResources } from '../generated/resources.ts'
import { tableFor } from './table.ts'

const nowMs = Date.parse('2026-01-02T00:00:00Z')
const created = '2026-01-01T23:55:00Z'
const pod = { group: '', version: 'v1', kind: 'Pod' }
const normal = (type: string, value: JsonObject): JsonObject => { const decoded = decodeJson(type, value); assert.ok(decoded.ok, decoded.ok ? '' : decoded.error); return decoded.object }
const cellsOf = (info: { group: string; version: string; kind: string }, type: string, value: JsonObject): unknown => (tableFor(info, [normal(type, value)], { nowMs })['rows'] as { cells: unknown }[])[0]?.cells
const podCells = (status: JsonObject, metadata: JsonObject = {}, spec: JsonObject = {}) => (cellsOf(pod, 'io.k8s.api.core.v1.Pod', { metadata: { name: 'web', creationTimestamp: created, ...metadata }, spec: { containers: [{ name: 'a' }, { name: 'b' }], ...spec }, status }) as string[]).slice(1, 4)
const container = (name: string, state: JsonObject, more: JsonObject = {}): JsonObject => ({ name, state, restartCount: 0, ready: false, ...more })
const running = { running: { startedAt: created } }

test('pods: READY, STATUS, RESTARTS', () => {
  assert.deepEqual(podCells({ phase: 'Pending' }), ['0/2', 'Pending', '0'])
  assert.deepEqual(podCells({ phase: 'Running', containerStatuses: [container('a', running, { ready: true }), container('b', running, { ready: true })] }), ['2/2', 'Running', '0'])
  assert.deepEqual(podCells({ phase: 'Running', containerStatuses: [container('a', running, { ready: true }), container('b', { waiting: { reason: 'CrashLoopBackOff' } }, { restartCount: 3, lastState: { terminated: { exitCode: 1, finishedAt: '2026-01-01T23:59:00Z' } } })] }), ['1/2', 'CrashLoopBackOff', '3 (60s ago)'])
  assert.deepEqual(podCells({ phase: 'Failed', containerStatuses: [container('a', { terminated: { exitCode: 2 } })] }), ['0/2', 'ExitCode:2', '0'])
  assert.deepEqual(podCells({ phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }], containerStatuses: [container('a', { terminated: { exitCode: 0, reason: 'Completed' } }), container('b', running, { ready: true })] }), ['1/2', 'Running', '0'])
  assert.deepEqual(podCells({ phase: 'Running' }, { deletionTimestamp: created }), ['0/2', 'Terminating', '0'])
  assert.deepEqual(podCells({ phase: 'Succeeded', reason: 'NodeLost' }, { deletionTimestamp: created }), ['0/2', 'Unknown', '0'])
  assert.deepEqual(podCells({ phase: 'Pending', conditions: [{ type: 'PodScheduled', status: 'False', reason: 'SchedulingGated' }] }), ['0/2', 'SchedulingGated', '0'])
})

test('pods: init containers and sidecars', () => {
  const spec = { initContainers: [{ name: 'i' }, { name: 's', restartPolicy: 'Always' }] }
  assert.deepEqual(podCells({ phase: 'Pending', initContainerStatuses: [container('i', running)] }, {}, spec), ['0/3', 'Init:0/2', '0'])
  assert.deepEqual(podCells({ phase: 'Pending', initContainerStatuses: [container('i', { waiting: { reason: 'ImagePullBackOff' } }, { restartCount: 1 })] }, {}, spec), ['0/3', 'Init:ImagePullBackOff', '1'])
  assert.deepEqual(podCells({ phase: 'Pending', initContainerStatuses: [container('i', { terminated: { exitCode: 1, reason: 'Error' } })] }, {}, spec), ['0/3', 'Init:Error', '0'])
  assert.deepEqual(podCells({ phase: 'Running', initContainerStatuses: [container('i', { terminated: { exitCode: 0 } }), container('s', running, { started: true, ready: true })], containerStatuses: [container('a', running, { ready: true }), container('b', running, { ready: true })] }, {}, spec), ['3/3', 'Running', '0'])
})

test('services, deployments, nodes, events', () => {
  const service = (spec: JsonObject, status: JsonObject = {}) => cellsOf({ ...pod, kind: 'Service' }, 'io.k8s.api.core.v1.Service', { metadata: { name: 's', creationTimestamp: created }, spec, status })
  assert.deepEqual(service({ type: 'NodePort', clusterIP: '10.0.0.1', clusterIPs: ['10.0.0.1'], ports: [{ port: 80, nodePort: 30080, protocol: 'TCP' }, { port: 53, protocol: 'UDP' }], selector: { b: '2', a: '1' } }), ['s', 'NodePort', '10.0.0.1', '<none>', '80:30080/TCP,53/UDP', '5m', 'a=1,b=2'])
  assert.deepEqual(service({ type: 'LoadBalancer', clusterIPs: ['10.0.0.1'] }), ['s', 'LoadBalancer', '10.0.0.1', '<pending>', '<none>', '5m', '<none>'])
  assert.deepEqual(
    cellsOf({ group: 'apps', version: 'v1', kind: 'Deployment' }, 'io.k8s.api.apps.v1.Deployment', { metadata: { name: 'd', creationTimestamp: created }, spec: { replicas: 3, selector: { matchLabels: { app: 'd' } }, template: { spec: { containers: [{ name: 'c', image: 'i:1' }] } } }, status: { readyReplicas: 2, updatedReplicas: 3 } }),
    ['d', '2/3', 3, 0, '5m', 'c', 'i:1', 'app=d'])
  assert.deepEqual(
    (cellsOf({ ...pod, kind: 'Node' }, 'io.k8s.api.core.v1.Node', { metadata: { name: 'n', creationTimestamp: created, labels: { 'node-role.kubernetes.io/worker': '' } }, spec: { unschedulable: true }, status: { conditions: [{ type: 'Ready', status: 'True' }], nodeInfo: { kubeletVersion: 'v1.37.0' } } }) as string[]).slice(0, 5),
    ['n', 'Ready,SchedulingDisabled', 'worker', '5m', 'v1.37.0'])
  assert.deepEqual(
    cellsOf({ ...pod, kind: 'Event' }, 'io.k8s.api.core.v1.Event', { metadata: { name: 'e' }, involvedObject: { kind: 'Pod', name: 'web' }, type: 'Normal', reason: 'Started', message: ' hello ', source: { component: 'kubelet', host: 'n' }, firstTimestamp: created, lastTimestamp: '2026-01-01T23:59:50Z', count: 4 }),
    ['10s', 'Normal', 'Started', 'pod/web', '', 'kubelet, n', 'hello', '5m', 4, 'e'])
})

test('what a table carries', () => {
  const object = normal('io.k8s.api.core.v1.Pod', { kind: 'Pod', apiVersion: 'v1', metadata: { name: 'x' }, spec: { containers: [] }, status: { phase: 'Succeeded' } })
  const table = tableFor(pod, [object], { nowMs, listMeta: { resourceVersion: '7' } })
  assert.equal(table['kind'], 'Table')
  assert.deepEqual(table['metadata'], { resourceVersion: '7' })
  const row = (table['rows'] as JsonObject[])[0]
  assert.deepEqual(row?.['object'], { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata: { name: 'x' } })
  assert.deepEqual(row?.['conditions'], [{ type: 'Completed', status: 'True', reason: 'Succeeded', message: 'The pod has completed successfully.' }])
  assert.equal((tableFor(pod, [object], { nowMs, includeObject: 'None', noColumns: true })['columnDefinitions'] as unknown[]).length, 0)
})

test('every served kind prints an empty object, with as many cells as columns', () => {
  for (const info of servedResources) {
    if (!info.verbs.includes('list')) continue
    const table = tableFor(info, [normal(info.type, { metadata: { name: 'x' } })], { nowMs })
    const row = (table['rows'] as { cells: unknown[] }[])[0]
    assert.equal(row?.cells.length, (table['columnDefinitions'] as unknown[]).length, `${info.group}/${info.version} ${info.kind}`)
    assert.ok(row.cells.every((cell) => cell !== undefined), info.kind)
  }
})
