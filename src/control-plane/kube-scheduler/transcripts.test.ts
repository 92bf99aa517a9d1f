// The transcripts in testdata: nodes and pods in a compact form, and what the plugins say about each node. Read them to learn the plugins.
// `UPDATE_TESTDATA=1` writes the answers anew; look at the difference before keeping it.
import assert from 'node:assert/strict'
import { readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import type { Node, Pod } from '../../lib/api/generated/types/core-v1.ts'
import { SchedulerCache } from './cache/scheduler-cache.ts'
import { explainPlacement, formatExplanation } from './explanation.ts'
import type { ClusterObjects } from './framework/cluster-view.ts'
import { Framework } from './framework/framework.ts'
import { podInfo } from './framework/pod-info.ts'
import { schedulePodPlain } from './framework/schedule-pod.ts'
import { formatFitError, statusMessage } from './framework/status.ts'
import { buildProfiles } from './scheduler-configuration.ts'

type Fields = ReadonlyMap<string, readonly string[]>
const folder = new URL('testdata/', import.meta.url)

for (const file of readdirSync(folder).filter((name) => name.endsWith('.txt'))) {
  test(`transcript ${file}`, () => {
    const path = new URL(file, folder)
    const text = readFileSync(path, 'utf8')
    const answered = answer(text)
    if (process.env['UPDATE_TESTDATA']) writeFileSync(path, answered)
    else assert.equal(answered, text)
  })
}

/** The transcript with the answers (lines that begin with two spaces) as they are now. */
function answer(text: string): string {
  const services: unknown[] = []
  const cache = new SchedulerCache({
    namespace: () => undefined, services: () => services, replicaSet: () => undefined, statefulSet: () => undefined, replicationController: () => undefined, claim: () => undefined, volume: () => undefined,
    volumes: () => [], storageClass: () => undefined, csiNode: () => undefined, disruptionBudgets: () => [],
  } as unknown as ClusterObjects) // cast: services are filled in below
  const [profile] = buildProfiles()
  assert.ok(profile)
  const framework = new Framework(profile, cache, () => 0)
  const out: string[] = []
  for (const line of text.split('\n')) {
    if (line.startsWith('  ')) continue
    out.push(line)
    const [word = '', name = '', ...rest] = line.trim().split(/\s+/)
    const fields = new Map<string, string[]>()
    for (const part of rest) { const at = part.indexOf('='); const key = part.slice(0, at); fields.set(key, [...fields.get(key) ?? [], part.slice(at + 1)]) }
    switch (word) {
      case 'node': cache.addNode(readNode(name, fields)); break
      case 'pod': cache.addPod(readPod(name, fields)); break
      case 'service': services.push({ spec: { selector: pairs(fields.get('selector')) } }); break
      case 'schedule': {
        const pod = podInfo(readPod(name, fields))
        const lines = formatExplanation(explainPlacement(framework, pod, cache, '')).split('\n').slice(1)
        const placement = schedulePodPlain(framework, pod, cache, { startIndex: 0 })
        if (placement.kind === 'placed') lines.push(`→ ${placement.nodeName}`)
        else {
          const result = framework.postFilter(placement.state, pod, placement.diagnosis)
          lines.push(`→ ${formatFitError({ ...placement.diagnosis, postFilterMessage: statusMessage(result.status) })}`)
          if (result.victims) lines.push(`→ preempts ${result.victims.map((v) => v.pod.metadata.name).join(', ')} on ${result.nominatedNode}`)
        }
        out.push(...lines.map((l) => `  ${l}`))
        break
      }
      default: break
    }
  }
  return out.join('\n')
}

const pairs = (list: readonly string[] = []): Record<string, string> => Object.fromEntries(list.map((pair) => { const [key = '', value = ''] = pair.split(':'); return [key, value] }))
const first = (fields: Fields, key: string): string | undefined => fields.get(key)?.[0]

function readNode(name: string, fields: Fields): Node {
  const zone = first(fields, 'zone')
  return {
    metadata: { name, labels: { 'kubernetes.io/hostname': name, ...zone === undefined ? {} : { 'topology.kubernetes.io/zone': zone }, ...pairs(fields.get('label')) } },
    spec: { ...fields.has('cordoned') ? { unschedulable: true } : {}, taints: (fields.get('taint') ?? []).map((t) => { const [key = '', value = '', effect = 'NoSchedule'] = t.split(':'); return { key, value, effect } }) },
    status: {
      allocatable: { cpu: first(fields, 'cpu') ?? '4', memory: first(fields, 'memory') ?? '8Gi', pods: first(fields, 'pods') ?? '110', ...pairs(fields.get('resource')) },
      images: (fields.get('image') ?? []).map((i) => { const [image = '', tag = '', mib = '0'] = i.split(':'); return { names: [`${image}:${tag}`], sizeBytes: Number(mib) * 1024 * 1024 } }),
    },
  } as unknown as Node // cast: what the scheduler reads of a node
}

/** near=zone:app:web:required, far=host:app:web:50, spread=zone:1:hard:app:web, prefer=20:disk:ssd, tolerate=key:value:effect, port=80 */
function readPod(name: string, fields: Fields): Pod {
  const keys: Record<string, string> = { host: 'kubernetes.io/hostname', zone: 'topology.kubernetes.io/zone' }
  const requests = Object.fromEntries([...['cpu', 'memory'].flatMap((key) => { const value = first(fields, key); return value === undefined ? [] : [[key, value]] }), ...Object.entries(pairs(fields.get('resource')))])
  const terms = (list: readonly string[] = []) => {
    const read = list.map((text) => {
      const [key = '', label = '', value = '', how = 'required'] = text.split(':')
      return { how, term: { topologyKey: keys[key] ?? key, labelSelector: { matchLabels: { [label]: value } } } }
    })
    return {
      requiredDuringSchedulingIgnoredDuringExecution: read.filter((r) => r.how === 'required').map((r) => r.term),
      preferredDuringSchedulingIgnoredDuringExecution: read.filter((r) => r.how !== 'required').map((r) => ({ weight: Number(r.how), podAffinityTerm: r.term })),
    }
  }
  const prefer = (fields.get('prefer') ?? []).map((text) => { const [weight, key = '', value = ''] = text.split(':'); return { weight: Number(weight), preference: { matchExpressions: [{ key, operator: 'In', values: [value] }] } } })
  return {
    metadata: { name, namespace: 'default', uid: name, labels: pairs(fields.get('label')) },
    spec: {
      nodeName: first(fields, 'on'), priority: Number(first(fields, 'priority') ?? 0), nodeSelector: fields.has('selector') ? pairs(fields.get('selector')) : undefined,
      containers: [{ name: 'c', image: first(fields, 'image') ?? 'none:1', resources: { requests }, ports: (fields.get('port') ?? []).map((p) => ({ hostPort: Number(p), containerPort: Number(p) })) }],
      tolerations: (fields.get('tolerate') ?? []).map((t) => { const [key = '', value = '', effect] = t.split(':'); return { key, operator: value === '' ? 'Exists' : 'Equal', value, effect } }),
      affinity: { podAffinity: terms(fields.get('near')), podAntiAffinity: terms(fields.get('far')), nodeAffinity: { preferredDuringSchedulingIgnoredDuringExecution: prefer } },
      topologySpreadConstraints: fields.has('spread') ? (fields.get('spread') ?? []).map((s) => { const [key = '', skew, how, label = '', value = ''] = s.split(':'); return { topologyKey: keys[key] ?? key, maxSkew: Number(skew), whenUnsatisfiable: how === 'hard' ? 'DoNotSchedule' : 'ScheduleAnyway', labelSelector: { matchLabels: { [label]: value } } } }) : undefined,
    },
    status: { startTime: first(fields, 'started') },
  } as unknown as Pod // cast: what the scheduler reads of a pod
}
