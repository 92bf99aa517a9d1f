import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Node } from '../../../lib/api/generated/types/core-v1.ts'
import { noExecuteTaints, noScheduleTaints } from './node-lifecycle/taints.ts'
import { mayEvict, refillZone, zoneStateOf } from './node-lifecycle/zones.ts'
import { defaultSettings } from './shared/settings.ts'
import { toleratedTimeMs } from './taint-eviction.ts'

const now = Date.UTC(2026, 0, 1)
const node = (conditions: readonly (readonly [string, string])[], taints: readonly string[] = []): Node => ({
  metadata: { name: 'n' }, spec: { taints: taints.map((text) => { const [key = '', effect = ''] = text.split(':'); return { key, effect } }) },
  status: { conditions: conditions.map(([type, status]) => ({ type, status })) },
}) as unknown as Node // cast: as much of a node as is looked at
const show = (taints: readonly { readonly key: string, readonly effect: string }[] | undefined): readonly string[] | undefined => taints?.map((taint) => `${taint.key.replace('node.kubernetes.io/', '')}:${taint.effect}`)

test('a node has the NoSchedule taints of its conditions and keeps those of others', () => {
  assert.deepEqual(show(noScheduleTaints(node([['Ready', 'False'], ['DiskPressure', 'True']], ['mine:NoSchedule']), now)), ['mine:NoSchedule', 'not-ready:NoSchedule', 'disk-pressure:NoSchedule'])
  assert.deepEqual(show(noScheduleTaints(node([['Ready', 'True']], ['node.kubernetes.io/not-ready:NoSchedule', 'mine:NoExecute']), now)), ['mine:NoExecute'])
  assert.equal(noScheduleTaints(node([['Ready', 'True']], ['mine:NoSchedule']), now), undefined)
})

test('of the NoExecute taints for reachability a node has one at most', () => {
  assert.deepEqual(show(noExecuteTaints(node([], ['node.kubernetes.io/not-ready:NoExecute']), 'node.kubernetes.io/unreachable', now)), ['unreachable:NoExecute'])
  assert.equal(noExecuteTaints(node([], ['node.kubernetes.io/unreachable:NoExecute']), 'node.kubernetes.io/unreachable', now), undefined)
  assert.deepEqual(show(noExecuteTaints(node([], ['node.kubernetes.io/unreachable:NoExecute', 'mine:NoExecute']), undefined, now)), ['mine:NoExecute'])
})

test('zones: a tenth of a node per second; none when much is down in a small zone', () => {
  assert.equal(zoneStateOf(0, 1, 0.55), 'FullDisruption')
  assert.equal(zoneStateOf(4, 5, 0.55), 'PartialDisruption')
  assert.equal(zoneStateOf(1, 2, 0.55), 'Normal')
  const zone = refillZone(undefined, 'Normal', 5, defaultSettings, 0)
  assert.ok(mayEvict(zone, 5, defaultSettings))
  const spent = { ...zone, tokens: zone.tokens - 1 }
  assert.ok(!mayEvict(refillZone(spent, 'Normal', 5, defaultSettings, 5_000), 5, defaultSettings))
  assert.ok(mayEvict(refillZone(refillZone(spent, 'Normal', 5, defaultSettings, 5_000), 'Normal', 5, defaultSettings, 10_000), 5, defaultSettings))
  assert.ok(!mayEvict(refillZone(zone, 'PartialDisruption', 50, defaultSettings, 1e9), 50, defaultSettings))
  assert.ok(mayEvict(refillZone(zone, 'PartialDisruption', 51, defaultSettings, 1e9), 51, defaultSettings))
})

test('a pod stays on a tainted node for as long as it tolerates every taint', () => {
  const taints = [{ key: 'a', effect: 'NoExecute' }, { key: 'b', value: 'v', effect: 'NoExecute' }]
  assert.equal(toleratedTimeMs(taints, []), 0)
  assert.equal(toleratedTimeMs(taints, [{ operator: 'Exists' }]), Number.POSITIVE_INFINITY)
  assert.equal(toleratedTimeMs(taints, [{ key: 'a', operator: 'Exists', tolerationSeconds: 300 }, { key: 'b', value: 'v', tolerationSeconds: 60 }]), 60_000)
  assert.equal(toleratedTimeMs(taints, [{ key: 'a', operator: 'Exists' }, { key: 'b', value: 'other' }]), 0)
})
