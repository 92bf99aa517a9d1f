// Which dead containers and sandboxes may go. Pure.
// Rules it keeps: of each container's dead attempts the newest stays (for logs and the last state); sandboxes go when they are stopped, empty and
// not the newest of a pod that lives. Upstream: pkg/kubelet/kuberuntime/kuberuntime_gc.go
import type { RuntimePod } from '../runtime/runtime-status.ts'

export interface GcPlan { readonly containers: readonly string[]; readonly sandboxes: readonly string[] }

export interface GcInput {
  readonly pods: readonly RuntimePod[]
  /** Dead attempts to keep per container. */
  readonly keepPerContainer: number
  readonly isKnown: (uid: string) => boolean
  readonly nowMs: number
  /** Younger ones stay: they may just be starting. */
  readonly minimumAgeMs: number
}

export function planContainerGc(input: GcInput): GcPlan {
  const containers: string[] = []
  const sandboxes: string[] = []
  for (const pod of input.pods) {
    const known = input.isKnown(pod.uid)
    const seen = new Map<string, number>()
    const removed = new Set<string>()
    const latest = new Set<string>()
    for (const c of pod.containers) {
      const isLatest = !latest.has(c.name)
      latest.add(c.name)
      if (c.state === 'running' || input.nowMs - c.createdAtMs < input.minimumAgeMs) continue
      // The newest attempt is what the status is made of; it stays as long as the pod is known.
      const count = seen.get(c.name) ?? 0
      if (known && (isLatest || count < input.keepPerContainer)) { if (!isLatest) seen.set(c.name, count + 1); continue }
      containers.push(c.id)
      removed.add(c.id)
    }
    pod.sandboxes.forEach((sandbox, i) => {
      const occupied = pod.containers.some((c) => c.sandboxId === sandbox.id && !removed.has(c.id))
      if (sandbox.ready || occupied || (known && i === 0) || input.nowMs - sandbox.createdAtMs < input.minimumAgeMs) return
      sandboxes.push(sandbox.id)
    })
  }
  return { containers, sandboxes }
}
