// Keeps a pod out of the queue while somebody holds a gate on it. Upstream: plugins/schedulinggates
import { status } from '../framework/status.ts'
import type { Plugin } from '../framework/plugin.ts'

export function schedulingGates(): Plugin {
  return {
    name: 'SchedulingGates',
    preEnqueue(pod) {
      const gates = pod.spec.schedulingGates ?? []
      return gates.length === 0 ? undefined : status('unresolvable', `waiting for scheduling gates: [${gates.map((gate) => gate.name).join(' ')}]`)
    },
    eventsToRegister: () => [{ resource: 'UnscheduledPod', action: 'UpdatePodSchedulingGatesEliminated' }],
  }
}
