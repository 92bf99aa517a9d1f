import { test } from 'node:test'
import assert from 'node:assert/strict'
import type { JsonObject } from '../../../lib/base/json.ts'
import { rolloutStatus } from './rollout-status.ts'
import { parseCondition } from './wait.ts'
import { planDrain } from './drain.ts'
import type { Pod } from '../../../lib/api/generated/types/core-v1.ts'

const deployment = (spec: JsonObject, status: JsonObject): JsonObject => ({ kind: 'Deployment', metadata: { name: 'web', generation: 2 }, spec, status: { observedGeneration: 2, ...status } })

test('a deployment: waits for new pods, then for old ones to go, then for availability', () => {
  const look = (status: JsonObject): { readonly message: string; readonly done: boolean } => rolloutStatus('deployments', deployment({ replicas: 3 }, status), 0)
  assert.deepEqual(look({ updatedReplicas: 1, replicas: 3, availableReplicas: 3 }), { message: 'Waiting for deployment "web" rollout to finish: 1 out of 3 new replicas have been updated...\n', done: false })
  assert.deepEqual(look({ updatedReplicas: 3, replicas: 4, availableReplicas: 3 }), { message: 'Waiting for deployment "web" rollout to finish: 1 old replicas are pending termination...\n', done: false })
  assert.deepEqual(look({ updatedReplicas: 3, replicas: 3, availableReplicas: 2 }), { message: 'Waiting for deployment "web" rollout to finish: 2 of 3 updated replicas are available...\n', done: false })
  assert.deepEqual(look({ updatedReplicas: 3, replicas: 3, availableReplicas: 3 }), { message: 'deployment "web" successfully rolled out\n', done: true })
})

test('a deployment whose deadline passed is an error; one not yet observed waits', () => {
  assert.throws(() => rolloutStatus('deployments', deployment({ replicas: 1 }, { conditions: [{ type: 'Progressing', reason: 'ProgressDeadlineExceeded' }] }), 0), /exceeded its progress deadline/)
  assert.equal(rolloutStatus('deployments', { ...deployment({ replicas: 1 }, {}), metadata: { name: 'web', generation: 3 } }, 0).done, false)
})

test('kinds without a status are named', () => {
  assert.throws(() => rolloutStatus('configmaps', { kind: 'ConfigMap' }, 0), /no status viewer has been implemented for ConfigMap/)
})

test('wait: conditions by name and value, whatever their case; not while the status is old', () => {
  const check = (text: string, object: JsonObject): boolean => { const c = parseCondition(text); assert.equal(c.type, 'check'); return c.type === 'check' && c.check(object) }
  const pod: JsonObject = { metadata: { generation: 2 }, status: { observedGeneration: 2, phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] } }
  assert.equal(check('condition=ready', pod), true)
  assert.equal(check('condition=Ready=false', pod), false)
  assert.equal(check('condition=Ready', { ...pod, metadata: { generation: 3 } }), false)
  assert.equal(check("jsonpath='{.status.phase}'=Running".replaceAll("'", ''), pod), true)
  assert.equal(check('jsonpath={.status.conditions[?(@.type=="Ready")].status}=True', pod), true)
  assert.equal(check('jsonpath={.status.nothing}', pod), false)
  assert.throws(() => parseCondition('jsonpath={.a}=b=c'), /wait format must be/)
  assert.throws(() => parseCondition('nonsense'), /unrecognized condition/)
})

test('drain: DaemonSet pods, pods with local data and pods without a controller stop it unless told otherwise; mirror pods stay', () => {
  const pod = (name: string, more: { readonly owner?: string; readonly emptyDir?: boolean; readonly phase?: string; readonly mirror?: boolean }): Pod => ({
    metadata: { name, namespace: 'd', uid: name, ...(more.mirror ? { annotations: { 'kubernetes.io/config.mirror': 'x' } } : {}), ...(more.owner ? { ownerReferences: [{ apiVersion: 'apps/v1', kind: more.owner, name: 'o', uid: 'o', controller: true }] } : {}) },
    spec: { containers: [], ...(more.emptyDir ? { volumes: [{ name: 'v', emptyDir: {} }] } : {}) }, status: { phase: more.phase ?? 'Running' },
  } as unknown as Pod) // cast: the fields that are looked at
  const pods = [pod('ds', { owner: 'DaemonSet' }), pod('rs', { owner: 'ReplicaSet' }), pod('local', { owner: 'ReplicaSet', emptyDir: true }), pod('bare', {}), pod('done', { phase: 'Succeeded' }), pod('mirror', { mirror: true })]
  const strict = planDrain(pods, { force: false, 'ignore-daemonsets': false, 'delete-emptydir-data': false })
  assert.deepEqual([...strict.errors.values()].flat().sort(), ['d/bare', 'd/ds', 'd/local'])
  assert.deepEqual(strict.remove.map((p) => p.metadata.name), ['rs', 'done'])
  const all = planDrain(pods, { force: true, 'ignore-daemonsets': true, 'delete-emptydir-data': true })
  assert.equal(all.errors.size, 0)
  assert.deepEqual(all.remove.map((p) => p.metadata.name), ['rs', 'local', 'bare', 'done'])
})
