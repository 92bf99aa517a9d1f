// Two pods can't have one port of a host. Upstream: plugins/nodeports
import { podInfo } from '../framework/pod-info.ts'
import type { Pod } from '../../../lib/api/generated/types/core-v1.ts'
import { skip, status } from '../framework/status.ts'
import type { Plugin } from '../framework/plugin.ts'

const refusal = status('unschedulable', "node(s) didn't have free ports for the requested pod ports")

export function nodePorts(): Plugin {
  return {
    name: 'NodePorts',
    preFilter: (_state, { template }) => (template.hostPorts.length === 0 ? { status: skip } : undefined),
    filter: (_state, { template }, node) => (node.portsConflict(template.hostPorts) ? refusal : undefined),
    eventsToRegister: () => [
      { resource: 'AssignedPod', action: 'Delete',
        hint: (pod, { old }) => (podInfo(old as Pod).template.hostPorts.some((held) => podInfo(pod).template.hostPorts.some((wanted) => wanted.port === held.port)) ? 'queue' : 'skip') }, // cast: events of pods carry pods
      { resource: 'Node', action: 'Add' },
    ],
  }
}
