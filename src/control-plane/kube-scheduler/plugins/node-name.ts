// A pod that names its node goes there or nowhere. Upstream: plugins/nodename
import { status } from '../framework/status.ts'
import type { Plugin } from '../framework/plugin.ts'

const refusal = status('unresolvable', "node(s) didn't match the requested node name")

export function nodeName(): Plugin {
  return {
    name: 'NodeName',
    filter: (_state, { pod }, node) => (!pod.spec.nodeName || pod.spec.nodeName === node.name ? undefined : refusal),
    eventsToRegister: () => [{ resource: 'Node', action: 'Add' }],
  }
}
