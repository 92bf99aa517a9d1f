// A profile: a scheduler name with its plugins, per extension point and in order. One scheduler runs several; a pod picks by spec.schedulerName.
// Upstream: kube-scheduler framework/runtime, apis/config (KubeSchedulerProfile)
import type { Plugin } from './plugin.ts'

export const extensionPoints = ['preEnqueue', 'queueSort', 'preFilter', 'filter', 'postFilter', 'preScore', 'score', 'reserve', 'permit', 'preBind', 'bind', 'postBind'] as const
export type ExtensionPoint = (typeof extensionPoints)[number]

export interface EnabledPlugin {
  readonly plugin: Plugin
  /** Of scores; 1 where nothing is said. */
  readonly weight: number
}

export interface Profile {
  readonly schedulerName: string
  /** 0: by the size of the cluster. */
  readonly percentageOfNodesToScore: number
  readonly points: { readonly [P in ExtensionPoint]: readonly EnabledPlugin[] }
  /** Arguments by plugin, as the configuration gave them: the class heaps read those of the plugins they know. */
  readonly args: ReadonlyMap<string, object>
}

const methodOf: { readonly [P in ExtensionPoint]: keyof Plugin } = {
  preEnqueue: 'preEnqueue', queueSort: 'less', preFilter: 'preFilter', filter: 'filter', postFilter: 'postFilter', preScore: 'preScore', score: 'score',
  reserve: 'reserve', permit: 'permit', preBind: 'preBind', bind: 'bind', postBind: 'postBind',
}

/** Has the plugin something for the point? */
export function implementsPoint(plugin: Plugin, point: ExtensionPoint): boolean {
  return plugin[methodOf[point]] !== undefined || (point === 'reserve' && plugin.unreserve !== undefined)
}

export const defaultSchedulerName = 'default-scheduler'
