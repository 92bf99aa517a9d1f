import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Pod } from '../../../lib/api/generated/types/core-v1.ts'
import { milliValue, wholeValue } from './quantities.ts'
import { podRequests } from './resources.ts'

const requests = (spec: object, nonZero = false) => {
  const { milliCpu, memory, scalars } = podRequests({ metadata: { name: 'p' }, spec } as unknown as Pod, nonZero) // cast: what is read of a pod
  return [milliCpu, memory, ...scalars ?? []]
}
const asks = (cpu?: string, memory?: string) => ({ resources: { requests: { ...cpu === undefined ? {} : { cpu }, ...memory === undefined ? {} : { memory } } } })

test('quantities in all their forms, rounded up', () => {
  assert.deepEqual(['1', '0.5', '100m', '1.5', '1e3m', '2e2', '1n', '0.0005'].map(milliValue), [1000, 500, 100, 1500, 0, 200_000, 1, 1])
  assert.deepEqual(['1Ki', '1k', '1.5Gi', '1500m', '2E', '3e3', '128974848', '123Mi'].map(wholeValue), [1024, 1000, 1610612736, 2, 2e18, 3000, 128974848, 128974848])
})

test('containers add up, the init phase counts at its peak, sidecars count in both', () => {
  assert.deepEqual(requests({ containers: [asks('1', '1Ki'), asks('500m', '1Ki')] }), [1500, 2048])
  assert.deepEqual(requests({ containers: [asks('1')], initContainers: [asks('3'), asks('2')] }), [3000, 0])
  assert.deepEqual(requests({ containers: [asks('1')], initContainers: [{ ...asks('200m'), restartPolicy: 'Always' }, asks('2')] }), [2200, 0], 'the sidecar runs beside the later init container')
  assert.deepEqual(requests({ containers: [asks('1')], initContainers: [asks('1100m'), { ...asks('200m'), restartPolicy: 'Always' }] }), [1200, 0])
})

test('overhead is added; pod-level requests replace the sum; scalars are kept by name', () => {
  assert.deepEqual(requests({ containers: [asks('1')], overhead: { cpu: '250m' } }), [1250, 0])
  assert.deepEqual(requests({ containers: [asks('1', '1Ki')], resources: { requests: { cpu: '3' } } }), [3000, 1024])
  assert.deepEqual(requests({ containers: [{ resources: { requests: { 'example.com/gpu': '2' } } }] }), [0, 0, ['example.com/gpu', 2]])
})

test('for scores, a container that asks for nothing counts a little', () => {
  assert.deepEqual(requests({ containers: [asks(), asks('1', '1Gi')] }, true), [1100, 200 * 1024 * 1024 + 2 ** 30])
})
