// One probe of one container, over and over: when to run it, and when a row of answers becomes a result. Pure.
// Rules it keeps: a result needs `successThreshold` or `failureThreshold` equal answers in a row; a new container starts anew; after a
// liveness or startup failure nothing is asked until the container was replaced; readiness and liveness wait for startup.
// Upstream: pkg/kubelet/prober/worker.go
import type { ProbeResult } from '../pod/pod-actions.ts'
import type { Probe } from '../../../lib/api/generated/types/core-v1.ts'

export type ProbeType = 'startup' | 'liveness' | 'readiness'

export interface ProbeState {
  readonly containerId: string
  /** The result in force. */
  readonly result: ProbeResult
  readonly lastAnswer: ProbeResult | undefined
  readonly inARow: number
  /** Waits for a new container. */
  readonly onHold: boolean
}

export interface ProbeView {
  readonly nowMs: number
  /** The newest container of that name; undefined when there is none. */
  readonly container: { readonly id: string; readonly running: boolean; readonly startedAtMs: number } | undefined
  readonly isDeleting: boolean
  readonly willRestart: boolean
  /** The startup probe passed, or there is none. */
  readonly started: boolean
}

export const noProbeState: ProbeState = { containerId: '', result: 'unknown', lastAnswer: undefined, inARow: 0, onHold: false }

export function initialResult(type: ProbeType): ProbeResult { return type === 'liveness' ? 'success' : type === 'readiness' ? 'failure' : 'unknown' }

export interface ProbeDecision {
  readonly state: ProbeState
  readonly next: 'ask' | 'wait' | 'stop'
}

/** What to do at a tick. */
export function decideProbe(type: ProbeType, probe: Probe, state: ProbeState, view: ProbeView): ProbeDecision {
  const { container } = view
  if (!container) return { state, next: 'wait' }
  let current = state
  if (current.containerId !== container.id) current = { containerId: container.id, result: initialResult(type), lastAnswer: undefined, inARow: 0, onHold: false }
  if (current.onHold) return { state: current, next: 'wait' }
  if (!container.running) {
    const down: ProbeState = { ...current, result: 'failure' }
    return { state: type === 'readiness' ? down : current, next: view.willRestart ? 'wait' : 'stop' }
  }
  if (view.isDeleting && type !== 'readiness') return { state: { ...current, result: 'success' }, next: 'stop' }
  if (view.nowMs - container.startedAtMs < (probe.initialDelaySeconds ?? 0) * 1000) return { state: current, next: 'wait' }
  if (view.started === (type === 'startup')) return { state: current, next: 'wait' }
  return { state: current, next: 'ask' }
}

/** Takes an answer in. */
export function recordAnswer(type: ProbeType, probe: Probe, state: ProbeState, answer: ProbeResult): ProbeState {
  const inARow = state.lastAnswer === answer ? state.inARow + 1 : 1
  const counted: ProbeState = { ...state, lastAnswer: answer, inARow }
  const needed = answer === 'success' ? probe.successThreshold ?? 1 : probe.failureThreshold ?? 3
  if (inARow < needed) return counted
  const decided: ProbeState = { ...counted, result: answer }
  return type !== 'readiness' && answer === 'failure' ? { ...decided, onHold: true, inARow: 0 } : decided
}
