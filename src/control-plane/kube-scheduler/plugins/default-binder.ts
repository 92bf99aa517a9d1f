// Tells the API server which node: POST to the pod's binding subresource, nothing else. Upstream: plugins/defaultbinder
import type { Plugin } from '../framework/plugin.ts'

export function defaultBinder(): Plugin {
  return {
    name: 'DefaultBinder',
    async bind(_state, { pod }, nodeName, world, signal) {
      await world.bindPod(pod, nodeName, signal)
      return undefined
    },
  }
}
