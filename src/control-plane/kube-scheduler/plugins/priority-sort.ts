// Pods of higher priority first, then those that have waited longer. Upstream: plugins/queuesort
import type { Plugin } from '../framework/plugin.ts'

export function prioritySort(): Plugin {
  return {
    name: 'PrioritySort',
    less: (a, b) => (a.priority !== b.priority ? a.priority > b.priority : a.timestamp !== b.timestamp ? a.timestamp < b.timestamp : a.sequence < b.sequence),
  }
}
