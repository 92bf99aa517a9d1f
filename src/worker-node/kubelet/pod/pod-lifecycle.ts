// The life of a pod on this node, as a state machine: it is synced until something ends it, then terminated, then cleaned up.
// Rules it keeps: it never goes back; once terminating, the grace only gets shorter; what is no longer wanted is cleaned up whatever happened.
// Upstream: pkg/kubelet/pod_workers.go
import { isTerminalPhase, terminationGraceSeconds } from './pod-facts.ts'
import type { Pod, PodCondition } from '../../../lib/api/generated/types/core-v1.ts'

export type LifecycleStage = 'syncing' | 'terminating' | 'terminated' | 'finished'

/** Why the node itself ended a pod. */
export interface PodFailure { readonly reason: string; readonly message: string; readonly condition?: PodCondition }

export interface PodLife {
  readonly stage: LifecycleStage
  readonly pod: Pod
  /** Set when something shortened the grace; undefined leaves it to the object. */
  readonly graceOverrideSeconds: number | undefined
  readonly failure: PodFailure | undefined
  /** Gone from where it came from (API or manifest folder). */
  readonly removed: boolean
}

export type LifeEvent =
  | { readonly type: 'update'; readonly pod: Pod }
  /** The runtime shows nothing running that could go on, and nothing will be restarted. */
  | { readonly type: 'completed' }
  | { readonly type: 'kill'; readonly graceSeconds: number | undefined; readonly failure?: PodFailure }
  | { readonly type: 'removed' }
  | { readonly type: 'stopped' }
  | { readonly type: 'cleaned' }

export function beginLife(pod: Pod): PodLife {
  return observeObject({ stage: 'syncing', pod, graceOverrideSeconds: undefined, failure: undefined, removed: false })
}

export function applyLifeEvent(life: PodLife, event: LifeEvent): PodLife {
  switch (event.type) {
    case 'update': return observeObject({ ...life, pod: event.pod })
    case 'completed': return endLife(life)
    case 'kill': return endLife({ ...life, graceOverrideSeconds: shorter(life.graceOverrideSeconds, event.graceSeconds), failure: life.failure ?? event.failure })
    case 'removed': return endLife({ ...life, removed: true })
    case 'stopped': return life.stage === 'terminating' ? { ...life, stage: 'terminated' } : life
    case 'cleaned': return life.stage === 'terminated' ? { ...life, stage: 'finished' } : life
  }
}

function endLife(life: PodLife): PodLife { return life.stage === 'syncing' ? { ...life, stage: 'terminating' } : life }

function observeObject(life: PodLife): PodLife {
  if (life.pod.metadata.deletionTimestamp === undefined && !isTerminalPhase(life.pod.status?.phase)) return life
  const ending = endLife(life)
  // A second delete with a shorter grace cuts the first one's.
  return life.pod.metadata.deletionTimestamp !== undefined && ending.graceOverrideSeconds !== undefined
    ? { ...ending, graceOverrideSeconds: shorter(ending.graceOverrideSeconds, terminationGraceSeconds(life.pod)) } : ending
}

function shorter(a: number | undefined, b: number | undefined): number | undefined { return a === undefined ? b : b === undefined ? a : Math.min(a, b) }
