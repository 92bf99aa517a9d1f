// Runs the transcripts in testdata: what is observed above the line, what the plan does below it.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Deployment, ReplicaSet } from '../../../lib/api/generated/types/apps-v1.ts'
import type { Pod } from '../../../lib/api/generated/types/core-v1.ts'
import { formatTime } from '../../../lib/base/clock.ts'
import { deepFreeze } from '../../../lib/testing/fake-store.ts'
import { syncDeployment } from './deployment.ts'
import { syncReplicaSet } from './replicaset.ts'
import type { Action, Plan } from './shared/controller.ts'
import { readSelector } from './shared/selectors.ts'

const now = Date.UTC(2026, 0, 2)
const minuteMs = 60_000

interface Stanza { readonly title: string, readonly input: readonly string[], readonly expected: readonly string[] }

function stanzas(file: string): readonly Stanza[] {
  const text = readFileSync(join(import.meta.dirname, 'testdata', file), 'utf8')
  return text.split(/\n\n(?=#|\w)/).flatMap((block): readonly Stanza[] => {
    const lines = block.split('\n').filter((line) => line !== '')
    const title = lines.filter((line) => line.startsWith('#')).join(' ')
    const rest = lines.filter((line) => !line.startsWith('#'))
    const at = rest.indexOf('----')
    return at < 0 ? [] : [{ title: title || rest.slice(0, at).join('; '), input: rest.slice(0, at), expected: rest.slice(at + 1) }]
  })
}

/** Word options such as `age=10`, and bare words. */
function words(line: string): { readonly bare: readonly string[], readonly options: { readonly [name: string]: string } } {
  const all = line.split(/\s+/)
  return { bare: all.filter((word) => !/^[a-z]+=/.test(word)), options: Object.fromEntries(all.filter((word) => /^[a-z]+=/.test(word)).map((word) => word.split('=') as [string, string])) } // cast: the filter saw the sign
}

const setUid = 'uid-set'
const ownerReference = (uid: string, kind: string, name: string) => ({ apiVersion: 'apps/v1', kind, name, uid, controller: true, blockOwnerDeletion: true })

function makePod(line: string): Pod {
  const { bare: [, name = '', phase = '', ...flags], options } = words(line)
  const created = formatTime(now - Number(options['age'] ?? 5) * minuteMs)
  const pod = {
    metadata: {
      name, namespace: 'default', uid: `uid-${name}`, resourceVersion: '1', creationTimestamp: created, labels: { app: options['labels'] ?? 'web' },
      ...(options['cost'] === undefined ? {} : { annotations: { 'controller.kubernetes.io/pod-deletion-cost': options['cost'] } }),
      ...(flags.includes('orphan') ? {} : { ownerReferences: [ownerReference(setUid, 'ReplicaSet', 'set')] }), ...(flags.includes('deleting') ? { deletionTimestamp: formatTime(now) } : {}),
    },
    spec: { ...(options['node'] === undefined ? {} : { nodeName: options['node'] }) },
    status: {
      phase, conditions: flags.includes('ready') ? [{ type: 'Ready', status: 'True', lastTransitionTime: created }] : [],
      containerStatuses: [{ name: 'c', restartCount: Number(options['restarts'] ?? 0) }],
    },
  }
  return pod as unknown as Pod // cast: as much of a pod as the controller looks at
}

function describeReplicaPlan(plan: Plan): readonly string[] {
  const actions = (plan.steps ?? []).flatMap((step) => step.actions)
  const after = plan.afterwards?.({ succeeded: actions.length })
  const status = after?.steps?.[0]?.actions[0]
  const named = (kind: Action['kind'], has: (action: Action) => boolean): readonly string[] => actions.filter((action) => action.kind === kind && has(action)).map((action) => action.name)
  const isRelease = (action: Action): boolean => JSON.stringify(action).includes('$patch')
  const lines: string[] = []
  const adopted = named('patch', (action) => !isRelease(action))
  const released = named('patch', isRelease)
  if (adopted.length > 0) { assert.equal(actions[0]?.kind, 'verify'); lines.push(`adopt ${adopted.join(' ')}`) }
  if (released.length > 0) lines.push(`release ${released.join(' ')}`)
  const created = named('create', () => true).length
  if (created > 0) lines.push(`create ${created}`)
  const deleted = named('delete', () => true)
  if (deleted.length > 0) lines.push(`delete ${deleted.join(' ')}`)
  if (status?.kind === 'update') {
    const { replicas, readyReplicas, terminatingReplicas = 0 } = (status.object as ReplicaSet).status // cast: the status of the set
    lines.push(`status replicas=${replicas} ready=${readyReplicas}${terminatingReplicas > 0 ? ` terminating=${terminatingReplicas}` : ''}`)
  }
  return lines
}

for (const { title, input, expected } of stanzas('replicaset.txt')) {
  test(`replicaset: ${title}`, () => {
    const pods = input.filter((line) => line.startsWith('pod ')).map(makePod)
    const replicas = Number(/^want (\d+)/m.exec(input.join('\n'))?.[1])
    const labels = { app: 'web' }
    const owner = {
      metadata: { name: 'set', namespace: 'default', uid: setUid, resourceVersion: '1', generation: 1, creationTimestamp: formatTime(now), ...(input.includes('leaving') ? { deletionTimestamp: formatTime(now) } : {}) },
      spec: { replicas, selector: { matchLabels: labels }, template: { metadata: { labels }, spec: {} } }, status: { replicas: -1 },
    } as unknown as ReplicaSet // cast: as much of a set as the controller looks at
    const related = new Map<string, number>()
    for (const pod of pods) related.set(pod.spec.nodeName ?? '', (related.get(pod.spec.nodeName ?? '') ?? 0) + 1)
    const plan = syncReplicaSet(deepFreeze({ now, owner, selector: readSelector(owner.spec.selector), pods, relatedByNode: related }))
    assert.deepEqual(describeReplicaPlan(plan), expected)
  })
}

function makeSet(line: string, total: number): ReplicaSet {
  const { bare: [, name = '', template = '', size = ''], options } = words(line)
  const [replicas = 0, available = 0] = size.split('/').map(Number)
  const order = name.charCodeAt(0)
  const annotations = {
    'deployment.kubernetes.io/revision': options['rev'] ?? '', 'deployment.kubernetes.io/desired-replicas': options['desired'] ?? String(total),
    'deployment.kubernetes.io/max-replicas': options['max'] ?? '',
  }
  const labels = { app: 'web', 'pod-template-hash': name }
  const set = {
    metadata: {
      name, namespace: 'default', uid: `uid-${name}`, resourceVersion: '1', generation: 1, creationTimestamp: formatTime(now - (200 - order) * minuteMs), labels, annotations,
      ownerReferences: [ownerReference('uid-web', 'Deployment', 'web')],
    },
    spec: { replicas, minReadySeconds: 0, selector: { matchLabels: labels }, template: { metadata: { labels }, spec: { containers: [{ name: 'c', image: template }] } } },
    status: { replicas, readyReplicas: available, availableReplicas: available, observedGeneration: 1 },
  }
  return set as unknown as ReplicaSet // cast: as much of a set as the controller looks at
}

function describeDeploymentPlan(plan: Plan, before: readonly ReplicaSet[]): readonly string[] {
  const lines = (plan.steps ?? []).flatMap((step) => step.actions).map((action): string => {
    switch (action.kind) {
      case 'create': {
        const made = action.object as unknown as ReplicaSet // cast: a deployment creates sets
        return `create ${made.spec.template.spec?.containers?.[0]?.image} ${made.spec.replicas}`
      }
      case 'update': {
        const set = action.object as ReplicaSet // cast: a deployment updates sets
        const old = before.find((other) => other.metadata.name === set.metadata.name)
        if (old?.spec.replicas !== set.spec.replicas) return `scale ${set.metadata.name} ${old?.spec.replicas} ${set.spec.replicas}`
        return `annotate ${set.metadata.name} rev=${set.metadata.annotations?.['deployment.kubernetes.io/revision']}`
      }
      case 'delete': return `remove ${action.name}`
      default: return action.kind
    }
  })
  const status = plan.afterwards?.({ succeeded: 1 }).steps?.[0]?.actions[0]
  if (status?.kind === 'update') {
    const { updatedReplicas, availableReplicas } = (status.object as Deployment).status // cast: the status of the deployment
    lines.push(`status updated=${updatedReplicas} available=${availableReplicas}`)
  }
  return lines
}

for (const { title, input, expected } of stanzas('deployment.txt')) {
  test(`deployment: ${title}`, () => {
    const { bare: [, replicasText = '', template = '', surge = '', unavailable = '', ...flags] } = words(input[0] ?? '')
    const replicas = Number(replicasText)
    const sets = input.slice(1).map((line) => makeSet(line, replicas))
    // Annotations as the controller itself left them at the last size.
    const settled = sets.map((set) => (set.metadata.annotations?.['deployment.kubernetes.io/max-replicas'] !== '' ? set
      : { ...set, metadata: { ...set.metadata, annotations: { ...set.metadata.annotations, 'deployment.kubernetes.io/max-replicas': String(replicas + Number(surge)) } } }))
    const done = { observedGeneration: 1, replicas, updatedReplicas: replicas, readyReplicas: replicas, availableReplicas: replicas, unavailableReplicas: 0 }
    const deployment = {
      metadata: { name: 'web', namespace: 'default', uid: 'uid-web', resourceVersion: '1', generation: 1, creationTimestamp: formatTime(now), annotations: { 'deployment.kubernetes.io/revision': '4' } },
      spec: {
        replicas, selector: { matchLabels: { app: 'web' } }, revisionHistoryLimit: 2, template: { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'c', image: template }] } },
        strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: Number(surge), maxUnavailable: Number(unavailable) } }, ...(flags.includes('paused') ? { paused: true } : {}),
      },
      status: flags.includes('complete') ? { ...done, conditions: [{ type: 'Available', status: 'True', reason: 'MinimumReplicasAvailable' }] } : {},
    } as unknown as Deployment // cast: as much of a deployment as the controller looks at
    const plan = syncDeployment(deepFreeze({ now, deployment, sets: settled, podsBySet: new Map() }))
    assert.deepEqual(describeDeploymentPlan(plan, settled), expected)
  })
}
