// The built-in plugins by name, and the default profile: which are on, in which order, with which weight. Upstream: plugins/registry.go, apis/config/v1/default_plugins.go
import type { Plugin } from '../framework/plugin.ts'
import { defaultBinder } from './default-binder.ts'
import { defaultPreemption } from './default-preemption.ts'
import { imageLocality } from './image-locality.ts'
import { interPodAffinity } from './inter-pod-affinity.ts'
import { nodeAffinity } from './node-affinity.ts'
import { nodeName } from './node-name.ts'
import { nodePorts } from './node-ports.ts'
import { nodeResourcesBalancedAllocation } from './node-resources-balanced-allocation.ts'
import { nodeResourcesFit } from './node-resources-fit.ts'
import { nodeUnschedulable } from './node-unschedulable.ts'
import { nodeVolumeLimits } from './node-volume-limits.ts'
import { podTopologySpread } from './pod-topology-spread.ts'
import { prioritySort } from './priority-sort.ts'
import { schedulingGates } from './scheduling-gates.ts'
import { taintToleration } from './taint-toleration.ts'
import { volumeBinding } from './volume-binding.ts'
import { volumeRestrictions } from './volume-restrictions.ts'
import { volumeZone } from './volume-zone.ts'

/** Makes a plugin from its arguments (`pluginConfig[].args`), which the configuration has checked. */
export type PluginFactory = (args: object) => Plugin

/** Name → factory; a scheduler of one's own adds to it. */
export type PluginRegistry = ReadonlyMap<string, PluginFactory>

export const builtInPlugins: PluginRegistry = new Map<string, PluginFactory>([
  ['SchedulingGates', () => schedulingGates()], ['PrioritySort', () => prioritySort()], ['NodeUnschedulable', () => nodeUnschedulable()], ['NodeName', () => nodeName()],
  ['TaintToleration', () => taintToleration()], ['NodeAffinity', (args) => nodeAffinity(args)], ['NodePorts', () => nodePorts()], ['NodeResourcesFit', (args) => nodeResourcesFit(args)],
  ['VolumeRestrictions', () => volumeRestrictions()], ['NodeVolumeLimits', () => nodeVolumeLimits()], ['VolumeBinding', () => volumeBinding()], ['VolumeZone', () => volumeZone()],
  ['PodTopologySpread', (args) => podTopologySpread(args)], ['InterPodAffinity', (args) => interPodAffinity(args)], ['DefaultPreemption', (args) => defaultPreemption(args)],
  ['NodeResourcesBalancedAllocation', (args) => nodeResourcesBalancedAllocation(args)], ['ImageLocality', () => imageLocality()], ['DefaultBinder', () => defaultBinder()],
])

/** In the order in which they run; weights of the scores. */
export const defaultPlugins: readonly { readonly name: string; readonly weight: number }[] = [
  { name: 'SchedulingGates', weight: 1 }, { name: 'PrioritySort', weight: 1 }, { name: 'NodeUnschedulable', weight: 1 }, { name: 'NodeName', weight: 1 },
  { name: 'TaintToleration', weight: 3 }, { name: 'NodeAffinity', weight: 2 }, { name: 'NodePorts', weight: 1 }, { name: 'NodeResourcesFit', weight: 1 },
  { name: 'VolumeRestrictions', weight: 1 }, { name: 'NodeVolumeLimits', weight: 1 }, { name: 'VolumeBinding', weight: 1 }, { name: 'VolumeZone', weight: 1 },
  { name: 'PodTopologySpread', weight: 2 }, { name: 'InterPodAffinity', weight: 2 }, { name: 'DefaultPreemption', weight: 1 },
  { name: 'NodeResourcesBalancedAllocation', weight: 1 }, { name: 'ImageLocality', weight: 1 }, { name: 'DefaultBinder', weight: 1 },
]
