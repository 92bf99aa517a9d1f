// What a plugin says about a pod, or about a pod on a node; and the one sentence for people that all refusals of a cycle add up to.
// Upstream: kube-scheduler framework.Status, framework.FitError

/**
 * unschedulable: not now, and removing pods might help. unresolvable: not now, and no removal helps. wait: Permit asks to wait.
 * skip: the plugin has nothing to say about this pod. error: the plugin itself failed.
 */
export type StatusCode = 'unschedulable' | 'unresolvable' | 'wait' | 'skip' | 'pending' | 'error'

export interface Status {
  readonly code: StatusCode
  readonly reasons: readonly string[]
  /** The plugin that said so; filled in by the framework. */
  readonly plugin: string
  /** More for `why`, such as the taint's key and value; not part of messages. */
  readonly detail?: string
}

/** Undefined is success. */
export type MaybeStatus = Status | undefined

export function status(code: StatusCode, reasons: string | readonly string[] = [], detail?: string): Status {
  return { code, reasons: typeof reasons === 'string' ? [reasons] : reasons, plugin: '', ...detail === undefined ? {} : { detail } }
}

export const skip: Status = status('skip')
export const isRejected = (s: MaybeStatus): s is Status => s !== undefined && (s.code === 'unschedulable' || s.code === 'unresolvable' || s.code === 'pending')
export const statusMessage = (s: MaybeStatus): string => s?.reasons.join(', ') ?? ''

/** Why a pod fits nowhere. */
export interface Diagnosis {
  readonly nodeCount: number
  /** Node name → its refusal. Nodes that are absent were not looked at, for the reason in `absent`. */
  readonly nodes: ReadonlyMap<string, Status>
  readonly absent: Status | undefined
  /** Plugins to ask which events could help. */
  readonly plugins: ReadonlySet<string>
  /** Plugins that wait for something outside: retries skip the backoff. */
  readonly pendingPlugins: ReadonlySet<string>
  /** Said before any node was looked at. */
  readonly preFilterMessage: string
  readonly postFilterMessage: string
}

/** `0/3 nodes are available: 1 Insufficient cpu, 2 node(s) were unschedulable. preemption: …` */
export function formatFitError(diagnosis: Diagnosis): string {
  const head = `0/${diagnosis.nodeCount} nodes are available`
  const tail = diagnosis.postFilterMessage === '' ? '' : ` ${diagnosis.postFilterMessage}`
  if (diagnosis.preFilterMessage !== '') return `${head}: ${diagnosis.preFilterMessage}.${tail}`
  const counts = new Map<string, number>()
  for (const { reasons } of diagnosis.nodes.values()) for (const reason of reasons) counts.set(reason, (counts.get(reason) ?? 0) + 1)
  const absent = diagnosis.nodeCount - diagnosis.nodes.size
  if (absent > 0) for (const reason of diagnosis.absent?.reasons ?? []) counts.set(reason, (counts.get(reason) ?? 0) + absent)
  const parts = [...counts].map(([reason, count]) => `${count} ${reason}`).sort((a, b) => (a < b ? -1 : a > b ? 1 : 0))
  return `${head}:${parts.length > 0 ? ` ${parts.join(', ')}.` : ''}${tail}`
}

export const noNodesMessage = 'no nodes available to schedule pods'
