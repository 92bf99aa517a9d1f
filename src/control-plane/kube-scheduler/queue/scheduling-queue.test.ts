import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Pod } from '../../../lib/api/generated/types/core-v1.ts'
import { clusterEvent } from '../framework/events.ts'
import type { RegisteredEvent } from '../framework/plugin.ts'
import { schedulingGates } from '../plugins/scheduling-gates.ts'
import { prioritySort } from '../plugins/priority-sort.ts'
import { SchedulingQueue } from './scheduling-queue.ts'
import type { QueuedPod, SchedulingQueueOptions } from './scheduling-queue.ts'

const pod = (name: string, spec: object = {}): Pod => ({ metadata: { name, namespace: 'default', uid: name }, spec, status: {} }) as unknown as Pod // cast: what the queue reads
const events = new Map<string, readonly RegisteredEvent[]>([
  ['Fit', [{ resource: 'Node', action: 'Add', hint: (_pod, { new: node }) => (node === 'large' ? 'queue' : 'skip') }, { resource: 'AssignedPod', action: 'Delete' }]],
  ['Affinity', [{ resource: 'Node', action: 'Update' }]], ['Outside', [{ resource: 'PersistentVolumeClaim', action: '*' }]],
  ['SchedulingGates', [{ resource: 'UnscheduledPod', action: 'UpdatePodSchedulingGatesEliminated' }]],
])

function make(options: Partial<SchedulingQueueOptions> = {}) {
  let now = 0
  const gates = schedulingGates()
  const sort = prioritySort()
  const queue = new SchedulingQueue({
    now: () => now, less: (a, b) => sort.less?.(a, b) ?? false, events, popFromBackoff: false,
    preEnqueue: (p) => { const refusal = gates.preEnqueue?.(p); return refusal && { ...refusal, plugin: 'SchedulingGates' } }, ...options,
  })
  return { queue, advance: (ms: number) => { now += ms; queue.flushBackoff(); queue.flushUnschedulable() } }
}
const refusedBy = (...plugins: string[]) => ({ plugins: new Set(plugins), pendingPlugins: new Set<string>(), error: false })
const pop = (queue: SchedulingQueue): QueuedPod => queue.pop() ?? assert.fail('nothing to pop')

test('pods come out by priority, then by age', () => {
  const { queue, advance } = make()
  queue.add(pod('first'))
  advance(1)
  queue.add(pod('vip', { priority: 10 }))
  queue.add(pod('second'))
  assert.deepEqual([pop(queue).uid, pop(queue).uid, pop(queue).uid, queue.pop()], ['vip', 'first', 'second', undefined])
})

test('a refused pod waits for an event that one of its refusers cares about, then for its pause', () => {
  const { queue, advance } = make()
  queue.add(pod('a'))
  queue.putBack(pop(queue), refusedBy('Fit'))
  assert.equal(queue.whereIs('a'), 'unschedulable')
  assert.equal(queue.moveOn(clusterEvent('Node', 'UpdateNodeLabel')), 0, 'not of interest to Fit')
  assert.equal(queue.moveOn(clusterEvent('Node', 'Add'), { new: 'tiny' }), 0, 'the hint says it cannot help')
  assert.equal(queue.moveOn(clusterEvent('Node', 'Add'), { new: 'large' }), 1)
  assert.equal(queue.whereIs('a'), 'backoff')
  advance(999)
  assert.equal(queue.whereIs('a'), 'backoff')
  advance(1)
  assert.equal(queue.whereIs('a'), 'active')
})

test('the pause doubles from one second to ten', () => {
  const { queue, advance } = make()
  queue.add(pod('a'))
  const pauses: number[] = []
  for (let i = 0; i < 6; i++) {
    queue.putBack(pop(queue), refusedBy('Fit'))
    queue.moveOn(clusterEvent('AssignedPod', 'Delete'))
    let pause = 0
    for (; queue.whereIs('a') === 'backoff'; pause += 500) advance(500)
    pauses.push(pause)
  }
  assert.deepEqual(pauses, [1000, 2000, 4000, 8000, 10_000, 10_000])
})

test('an event while the pod is in flight is not missed', () => {
  const { queue } = make()
  queue.moveOn(clusterEvent('AssignedPod', 'Delete'))
  queue.add(pod('a'))
  queue.add(pod('b'))
  const a = pop(queue)
  queue.moveOn(clusterEvent('AssignedPod', 'Delete'))
  const b = pop(queue)
  queue.putBack(a, refusedBy('Fit'))
  queue.putBack(b, refusedBy('Fit'))
  assert.equal(queue.whereIs('a'), 'backoff')
  assert.equal(queue.whereIs('b'), 'unschedulable', 'the event was before it was popped')
})

test('five minutes bring back what no event has helped', () => {
  const { queue, advance } = make()
  queue.add(pod('a'))
  queue.putBack(pop(queue), refusedBy('Fit'))
  advance(5 * 60_000)
  assert.equal(queue.whereIs('a'), 'unschedulable')
  advance(1)
  assert.equal(queue.whereIs('a'), 'active')
})

test('an error is tried again without an event, and its pause is kept even when the queue is idle', () => {
  const { queue, advance } = make({ popFromBackoff: true })
  queue.add(pod('a'))
  queue.putBack(pop(queue), { ...refusedBy(), error: true })
  assert.equal(queue.whereIs('a'), 'backoff')
  assert.equal(queue.hasReady, false)
  advance(1_000)
  assert.equal(pop(queue).uid, 'a')
})

test('an idle scheduler does not wait for the pause of a refused pod that an event may have helped', () => {
  const { queue } = make({ popFromBackoff: true })
  queue.add(pod('a'))
  queue.putBack(pop(queue), refusedBy('Fit'))
  assert.equal(queue.hasReady, false)
  queue.moveOn(clusterEvent('AssignedPod', 'Delete'))
  assert.equal(queue.whereIs('a'), 'backoff')
  assert.equal(pop(queue).uid, 'a')
})

test('what a plugin waits for from outside skips the pause', () => {
  const { queue } = make()
  queue.add(pod('a'))
  queue.putBack(pop(queue), { plugins: new Set(), pendingPlugins: new Set(['Outside']), error: false })
  queue.moveOn(clusterEvent('PersistentVolumeClaim', 'Update'))
  assert.equal(queue.whereIs('a'), 'active')
})

test('a gated pod stays out until its gates are gone', () => {
  const { queue, advance } = make()
  queue.add(pod('a', { schedulingGates: [{ name: 'x' }] }))
  assert.equal(queue.whereIs('a'), 'gated')
  queue.moveOn(clusterEvent('*', '*'))
  advance(10 * 60_000)
  assert.equal(queue.pop(), undefined)
  queue.update(undefined, pod('a'), [clusterEvent('UnscheduledPod', 'UpdatePodSchedulingGatesEliminated')])
  assert.equal(pop(queue).uid, 'a')
})

test('a deleted pod is nowhere, and its return from flight changes nothing', () => {
  const { queue } = make()
  queue.add(pod('a'))
  const a = pop(queue)
  queue.delete('a')
  queue.putBack(a, refusedBy('Fit'))
  assert.equal(queue.whereIs('a'), undefined)
  assert.deepEqual(queue.sizes, { active: 0, backoff: 0, unschedulable: 0, gated: 0, inFlight: 0 })
})
