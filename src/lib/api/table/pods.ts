// Pods: what READY, STATUS and RESTARTS say. The status is the phase, or the reason, or what the containers are stuck in, in that order of
// growing weight. Upstream: pkg/printers/internalversion/printers.go (printPod)
import { translateTimestampSince } from '../../apimachinery/duration.ts'
import type { Container, ContainerStatus, Pod } from '../generated/types/core-v1.ts'
import { ageColumn, ageOf, nameColumn, printerFor, text, type Cell, type RowCondition } from './printer.ts'

const columns = [
  nameColumn, text('Ready', 'Containers that are ready, of all.'), text('Status', 'What the pod is doing.'), text('Restarts', 'How often its containers were restarted, and when last.'), ageColumn,
  text('IP', 'Address of the pod.', 1), text('Node', 'Node that the pod is on.', 1), text('Nominated Node', 'Node that preemption makes room on.', 1), text('Readiness Gates', 'Further conditions for readiness that hold, of all.', 1),
]

interface Summary { readonly ready: number; readonly total: number; readonly reason: string; readonly restarts: number; readonly lastRestart: string }

const isSidecar = (container: Container | undefined): boolean => container?.restartPolicy === 'Always'
const later = (a: string, b: string | undefined): string => (b !== undefined && (a === '' || Date.parse(b) > Date.parse(a)) ? b : a)
const isTrue = (pod: Pod, type: string): boolean => pod.status.conditions?.some((condition) => condition.type === type && condition.status === 'True') ?? false

function endOf(status: ContainerStatus, prefix: string): string {
  const terminated = status.state.terminated
  if (terminated?.reason) return `${prefix}${terminated.reason}`
  return terminated?.signal ? `${prefix}Signal:${terminated.signal}` : `${prefix}ExitCode:${terminated?.exitCode ?? 0}`
}

/** What READY, STATUS and RESTARTS are made of. */
export function summarizePod(pod: Pod): Summary {
  const { spec, status } = pod
  const initContainers = new Map((spec.initContainers ?? []).map((container) => [container.name, container]))
  let total = (spec.containers ?? []).length
  for (const container of initContainers.values()) if (isSidecar(container)) total++
  let ready = 0
  let restarts = 0
  let lastRestart = ''
  let sidecarRestarts = 0
  let lastSidecarRestart = ''
  let reason = status.reason || (status.phase ?? '')
  if (status.conditions?.some((condition) => condition.type === 'PodScheduled' && condition.reason === 'SchedulingGated')) reason = 'SchedulingGated'

  let initializing = false
  for (const [i, container] of (status.initContainerStatuses ?? []).entries()) {
    restarts += container.restartCount
    lastRestart = later(lastRestart, container.lastState?.terminated?.finishedAt)
    const sidecar = isSidecar(initContainers.get(container.name))
    if (sidecar) {
      sidecarRestarts += container.restartCount
      lastSidecarRestart = later(lastSidecarRestart, container.lastState?.terminated?.finishedAt)
    }
    const { terminated, waiting } = container.state ?? {}
    if (terminated?.exitCode === 0) continue
    if (sidecar && container.started) { if (container.ready) ready++; continue }
    if (terminated !== undefined) reason = endOf(container, 'Init:')
    else if (waiting?.reason && waiting.reason !== 'PodInitializing') reason = `Init:${waiting.reason}`
    else reason = `Init:${i}/${initContainers.size}`
    initializing = true
    break
  }

  if (!initializing || isTrue(pod, 'Initialized')) {
    restarts = sidecarRestarts
    lastRestart = lastSidecarRestart
    let running = false
    for (const container of (status.containerStatuses ?? []).toReversed()) {
      restarts += container.restartCount
      lastRestart = later(lastRestart, container.lastState?.terminated?.finishedAt)
      const { terminated, waiting, running: runs } = container.state ?? {}
      if (waiting?.reason) reason = waiting.reason
      else if (terminated !== undefined) reason = endOf(container, '')
      else if (container.ready && runs !== undefined) { running = true; ready++ }
    }
    if (reason === 'Completed' && running) reason = isTrue(pod, 'Ready') ? 'Running' : 'NotReady'
  }

  if (pod.metadata.deletionTimestamp !== undefined) {
    if (status.reason === 'NodeLost') reason = 'Unknown'
    else if (status.phase !== 'Succeeded' && status.phase !== 'Failed') reason = 'Terminating'
  }
  return { ready, total, reason, restarts, lastRestart }
}

function cells(pod: Pod, nowMs: number): readonly Cell[] {
  const summary = summarizePod(pod)
  const restarts = summary.restarts !== 0 && summary.lastRestart !== '' ? `${summary.restarts} (${translateTimestampSince(summary.lastRestart, nowMs)} ago)` : String(summary.restarts)
  const gates = pod.spec.readinessGates ?? []
  const open = gates.filter((gate) => isTrue(pod, gate.conditionType)).length
  return [
    pod.metadata.name, `${summary.ready}/${summary.total}`, summary.reason, restarts, ageOf(pod, nowMs), pod.status.podIPs?.[0]?.ip || '<none>', pod.spec.nodeName || '<none>',
    pod.status.nominatedNodeName || '<none>', gates.length === 0 ? '<none>' : `${open}/${gates.length}`,
  ]
}

function conditions(pod: Pod): readonly RowCondition[] | undefined {
  switch (pod.status.phase) {
    case 'Succeeded': return [{ type: 'Completed', status: 'True', reason: 'Succeeded', message: 'The pod has completed successfully.' }]
    case 'Failed': return [{ type: 'Completed', status: 'True', reason: 'Failed', message: 'The pod failed.' }]
    default: return undefined
  }
}

export const podPrinter = printerFor<Pod>(columns, cells, conditions)
