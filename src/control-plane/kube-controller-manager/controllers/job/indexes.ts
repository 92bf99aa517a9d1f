// Completion indexes of Indexed jobs, and their short form in status: `0-3,5,7,8`. Upstream: kubernetes/pkg/controller/job/indexed_job_utils.go
import type { Job } from '../../../../lib/api/generated/types/batch-v1.ts'
import type { Pod } from '../../../../lib/api/generated/types/core-v1.ts'
import { isPodActive, isPodTerminating } from '../shared/pod-state.ts'
import type { JobCount } from './counting.ts'

export const indexAnnotation = 'batch.kubernetes.io/job-completion-index'

/** The index of a pod; undefined when it has none. */
export function completionIndexOf(pod: Pod): number | undefined {
  const text = pod.metadata.annotations?.[indexAnnotation]
  return text !== undefined && /^(0|[1-9]\d*)$/.test(text) ? Number(text) : undefined
}

/** Indexes from their short form; what cannot be read is left out. */
export function parseIndexes(text: string | undefined, completions: number): ReadonlySet<number> {
  const indexes = new Set<number>()
  for (const part of (text ?? '').split(',')) {
    const range = /^(\d+)(?:-(\d+))?$/.exec(part)
    if (!range) continue
    for (let index = Number(range[1]); index <= Math.min(Number(range[2] ?? range[1]), completions - 1); index++) indexes.add(index)
  }
  return indexes
}

/** Runs of three and more become ranges, as the original writes them. */
export function formatIndexes(indexes: ReadonlySet<number>): string {
  const sorted = [...indexes].sort((a, b) => a - b)
  const parts: string[] = []
  for (let i = 0; i < sorted.length;) {
    let end = i
    while (end + 1 < sorted.length && sorted[end + 1] === (sorted[end] ?? 0) + 1) end++
    const [first = 0, last = 0] = [sorted[i], sorted[end]]
    parts.push(last === first ? String(first) : last === first + 1 ? `${first},${last}` : `${first}-${last}`)
    i = end + 1
  }
  return parts.join(',')
}

/** The lowest `wanted` indexes that nobody works on, has done or has given up. */
export function missingIndexes(job: Job, mine: readonly Pod[], wanted: number, count: JobCount): readonly number[] {
  const completions = job.spec.completions ?? 0
  const taken = new Set<number>([...count.completedIndexes, ...count.failedIndexes])
  const keepTerminating = job.spec.podReplacementPolicy === 'Failed'
  for (const pod of mine) {
    const index = completionIndexOf(pod)
    if (index !== undefined && (isPodActive(pod) || (keepTerminating && isPodTerminating(pod)))) taken.add(index)
  }
  const indexes: number[] = []
  for (let index = 0; index < completions && indexes.length < wanted; index++) if (!taken.has(index)) indexes.push(index)
  return indexes
}
