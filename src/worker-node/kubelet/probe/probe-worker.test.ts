import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decideProbe, initialResult, noProbeState, recordAnswer } from './probe-worker.ts'
import type { ProbeType } from './probe-worker.ts'

// answers: `.` success, `x` failure; after each the result in force: s, f or u
const table: readonly (readonly [type: ProbeType, success: number, failure: number, answers: string, results: string])[] = [
  ['readiness', 1, 3, '.xx.xxx.', 'ssssssfs'],
  ['readiness', 2, 1, '..x..', 'fsffs'],
  ['liveness', 1, 2, '.x.xx', 'ssssf'],
  ['startup', 1, 3, 'xx.', 'uus'],
  ['startup', 1, 2, 'xx', 'uf'],
]
for (const [type, successThreshold, failureThreshold, answers, results] of table) {
  test(`${type} ${successThreshold}/${failureThreshold}: ${answers}`, () => {
    let state = { ...noProbeState, containerId: 'c', result: initialResult(type) }
    let seen = ''
    for (const answer of answers) {
      state = recordAnswer(type, { successThreshold, failureThreshold }, state, answer === '.' ? 'success' : 'failure')
      seen += state.result[0]
    }
    assert.equal(seen, results)
  })
}

test('when a probe is asked', () => {
  const running = { id: 'c', running: true, startedAtMs: 10_000 }
  const view = { nowMs: 20_000, container: running, isDeleting: false, willRestart: true, started: true }
  const next = (type: ProbeType, change: object, probe = {}): string => decideProbe(type, probe, noProbeState, { ...view, ...change }).next
  assert.equal(next('readiness', {}), 'ask')
  assert.equal(next('readiness', {}, { initialDelaySeconds: 11 }), 'wait')
  assert.equal(next('readiness', { started: false }), 'wait')
  assert.equal(next('startup', { started: false }), 'ask')
  assert.equal(next('startup', {}), 'wait')
  assert.equal(next('liveness', { isDeleting: true }), 'stop')
  assert.equal(next('readiness', { isDeleting: true }), 'ask')
  assert.equal(next('liveness', { container: undefined }), 'wait')
  assert.equal(next('liveness', { container: { ...running, running: false } }), 'wait')
  assert.equal(next('liveness', { container: { ...running, running: false }, willRestart: false }), 'stop')
  const failed = recordAnswer('liveness', { failureThreshold: 1 }, { ...noProbeState, containerId: 'c' }, 'failure')
  assert.equal(decideProbe('liveness', {}, failed, view).next, 'wait', 'nothing is asked until the container was replaced')
  assert.equal(decideProbe('liveness', {}, failed, { ...view, container: { ...running, id: 'd' } }).next, 'ask')
})
