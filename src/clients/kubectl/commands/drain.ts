// kubectl cordon, uncordon and drain: nodes taken out of service and back. Upstream: kubectl/pkg/cmd/drain, kubectl/pkg/drain
import type { JsonObject } from '../../../lib/base/json.ts'
import { isJsonObject } from '../../../lib/base/json.ts'
import { sleep } from '../../../lib/base/clock.ts'
import type { Pod } from '../../../lib/api/generated/types/core-v1.ts'
import { hasReason } from '../../../lib/client/api-error.ts'
import { KubectlError, UsageError, defineCommand } from '../command.ts'
import type { KubectlCommand, KubectlContext } from '../command.ts'
import { objectPath } from '../resources/object-path.ts'
import { selectObjects, selectionFlags } from '../resources/selected-objects.ts'
import type { SelectedObject } from '../resources/selected-objects.ts'
import { dryRunOf } from './create-objects.ts'

type DryRun = ReturnType<typeof dryRunOf>
const mirrorAnnotation = 'kubernetes.io/config.mirror'
const retryMs = 5000

const dryRunSuffix = (dryRun: DryRun): string => (dryRun === 'none' ? '' : dryRun === 'server' ? ' (server dry run)' : ' (dry run)')

async function selectNodes(context: KubectlContext, args: readonly string[], selector: string, command: string): Promise<readonly SelectedObject[]> {
  if (args.length === 0 && selector === '') throw new UsageError(`USAGE: ${command} [flags]`, command.split(' ')[0] ?? '')
  if (args.length > 0 && selector !== '') throw new UsageError('error: cannot specify both a node name and a --selector option', command.split(' ')[0] ?? '')
  const nodes: SelectedObject[] = []
  const flags = { all: false, 'all-namespaces': false, 'field-selector': '', filename: [], recursive: false, selector }
  for (const word of args.length > 0 ? args : ['']) nodes.push(...await selectObjects(context, word === '' ? ['nodes'] : word.includes('/') ? [word] : ['nodes', word], flags, command))
  return nodes
}

async function setUnschedulable(context: KubectlContext, node: SelectedObject, desired: boolean, dryRun: DryRun): Promise<void> {
  const spec = isJsonObject(node.object['spec']) ? node.object['spec'] : {}
  const word = desired ? 'cordoned' : 'uncordoned'
  if ((spec['unschedulable'] === true) === desired) { context.out(`node/${node.name} already ${word}${dryRunSuffix(dryRun)}\n`); return }
  if (dryRun !== 'client') await context.session().request('PATCH', objectPath(node.resource, '', node.name, '', { dryRun: dryRun === 'server' ? 'All' : undefined }), { body: { spec: { unschedulable: desired ? true : null } }, contentType: 'application/strategic-merge-patch+json' })
  context.out(`node/${node.name} ${word}${dryRunSuffix(dryRun)}\n`)
}

function cordoning(name: 'cordon' | 'uncordon', desired: boolean): KubectlCommand {
  return defineCommand({
    name, group: 'Cluster Management Commands', short: `Mark node as ${desired ? 'unschedulable' : 'schedulable'}`, usage: 'NODE [options]', flags: { 'dry-run': { type: 'string', default: 'none', whenAlone: 'unchanged', usage: 'none, server or client.' }, selector: selectionFlags.selector },
    async run(context, { flags, args }) {
      const dryRun = dryRunOf(flags['dry-run'])
      for (const node of await selectNodes(context, args, flags.selector, `${name} NODE`)) await setUnschedulable(context, node, desired, dryRun)
      return 0
    },
  })
}

export const cordonCommand = cordoning('cordon', true)
export const uncordonCommand = cordoning('uncordon', false)

interface DrainFlags {
  readonly force: boolean
  readonly 'ignore-daemonsets': boolean
  readonly 'delete-emptydir-data': boolean
  readonly 'disable-eviction': boolean
  readonly 'grace-period': number
  readonly timeout: number
  readonly 'pod-selector': string
  readonly 'skip-wait-for-delete-timeout': number
}

const unmanaged = 'Pods that declare no controller (use --force to override)'
const daemonSetManaged = 'DaemonSet-managed Pods (use --ignore-daemonsets to ignore)'
const withLocalStorage = 'Pods with local storage (use --delete-emptydir-data to override)'

interface DrainPlan {
  readonly remove: readonly Pod[]
  /** Names by reason: these stop the drain. */
  readonly errors: ReadonlyMap<string, readonly string[]>
  readonly warnings: ReadonlyMap<string, readonly string[]>
}

/** What becomes of each pod of a node; `daemonSets` says whether a pod's DaemonSet is still there. */
export function planDrain(pods: readonly Pod[], flags: Pick<DrainFlags, 'force' | 'ignore-daemonsets' | 'delete-emptydir-data'>): DrainPlan {
  const remove: Pod[] = []
  const errors = new Map<string, string[]>()
  const warnings = new Map<string, string[]>()
  const note = (to: Map<string, string[]>, why: string, pod: Pod): void => { to.set(why, [...(to.get(why) ?? []), `${pod.metadata.namespace ?? ''}/${pod.metadata.name}`]) }
  for (const pod of pods) {
    if (pod.metadata.annotations?.[mirrorAnnotation] !== undefined) continue
    const ended = pod.status.phase === 'Succeeded' || pod.status.phase === 'Failed'
    const controller = pod.metadata.ownerReferences?.find((o) => o.controller)
    if (controller?.kind === 'DaemonSet' && !ended) {
      if (flags['ignore-daemonsets']) note(warnings, 'ignoring DaemonSet-managed Pods', pod)
      else note(errors, daemonSetManaged, pod)
      continue
    }
    if ((pod.spec.volumes ?? []).some((v) => v.emptyDir) && !ended && !flags['delete-emptydir-data']) { note(errors, withLocalStorage, pod); continue }
    if (!controller && !ended) {
      if (!flags.force) { note(errors, unmanaged, pod); continue }
      note(warnings, 'deleting Pods that declare no controller', pod)
    }
    remove.push(pod)
  }
  return { remove, errors, warnings }
}

export const drainCommand = defineCommand({
  name: 'drain', group: 'Cluster Management Commands', short: 'Drain node in preparation for maintenance', usage: 'NODE [options]', examples: '  kubectl drain node-1 --ignore-daemonsets\n  kubectl drain node-1 --force --grace-period=900',
  flags: {
    'chunk-size': { type: 'int', default: 500, usage: 'Get lists in chunks of this size.' }, 'delete-emptydir-data': { type: 'bool', usage: 'Go on when pods use emptyDir; their data is lost.' }, 'disable-eviction': { type: 'bool', usage: 'Delete, past the disruption budgets.' }, 'dry-run': { type: 'string', default: 'none', whenAlone: 'unchanged', usage: 'none, server or client.' }, force: { type: 'bool', usage: 'Go on when pods have no controller.' },
    'grace-period': { type: 'int', default: -1, usage: 'Seconds to end gracefully; negative: as the pod says.' }, 'ignore-daemonsets': { type: 'bool', usage: 'Leave the pods of DaemonSets.' }, 'pod-selector': { type: 'string', usage: 'Only pods with these labels.' }, selector: selectionFlags.selector, 'skip-wait-for-delete-timeout': { type: 'int', usage: 'Do not wait for pods deleted longer ago than these seconds.' }, timeout: { type: 'duration', usage: 'How long to wait; 0: without end.' },
  },
  async run(context, { flags, args }) {
    const dryRun = dryRunOf(flags['dry-run'])
    const nodes = await selectNodes(context, args, flags.selector, 'drain NODE')
    for (const node of nodes) await setUnschedulable(context, node, true, dryRun)
    for (const node of nodes) await drainNode(context, node.name, flags, dryRun)
    return 0
  },
})

async function drainNode(context: KubectlContext, node: string, flags: DrainFlags, dryRun: DryRun): Promise<void> {
  const session = context.session()
  const list = await session.request('GET', `/api/v1/pods?fieldSelector=${encodeURIComponent(`spec.nodeName=${node}`)}${flags['pod-selector'] ? `&labelSelector=${encodeURIComponent(flags['pod-selector'])}` : ''}`)
  const plan = planDrain((Array.isArray(list['items']) ? list['items'] : []) as unknown as readonly Pod[], flags) // cast: pods by their path
  if (plan.errors.size > 0) {
    context.err(`error: unable to drain node ${JSON.stringify(node)} due to error: ${aggregate([...plan.errors].sort(([a], [b]) => (a < b ? -1 : 1)).map(([why, pods]) => `cannot delete ${why}: ${pods.join(', ')}`))}, continuing command...\n`)
    context.err(`There are pending nodes to be drained:\n ${node}\n`)
    throw new KubectlError(aggregate([...plan.errors].sort(([a], [b]) => (a < b ? -1 : 1)).map(([why, pods]) => `cannot delete ${why}: ${pods.join(', ')}`)), 1, true)
  }
  if (plan.warnings.size > 0) context.err(`Warning: ${[...plan.warnings].map(([why, pods]) => `${why}: ${pods.join(', ')}`).join('; ')}\n`)
  const endMs = flags.timeout > 0 ? context.clock.monotonic() + flags.timeout : Number.POSITIVE_INFINITY
  await Promise.all(plan.remove.map((pod) => removePod(context, pod, flags, dryRun, endMs)))
  context.out(`node/${node} drained${dryRunSuffix(dryRun)}\n`)
}

const aggregate = (messages: readonly string[]): string => (messages.length === 1 ? (messages[0] ?? '') : `[${messages.join(', ')}]`)

async function removePod(context: KubectlContext, pod: Pod, flags: DrainFlags, dryRun: DryRun, endMs: number): Promise<void> {
  const session = context.session()
  const { name, namespace = '', uid } = pod.metadata
  const path = `/api/v1/namespaces/${namespace}/pods/${name}`
  context.out(`evicting pod ${namespace}/${name}${dryRunSuffix(dryRun)}\n`)
  if (dryRun === 'client') return
  const options: JsonObject = { ...(flags['grace-period'] >= 0 ? { gracePeriodSeconds: flags['grace-period'] } : {}), ...(dryRun === 'server' ? { dryRun: ['All'] } : {}) }
  for (;;) {
    try {
      if (flags['disable-eviction']) await session.request('DELETE', path, { body: { apiVersion: 'v1', kind: 'DeleteOptions', ...options } })
      else await session.request('POST', `${path}/eviction`, { body: { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name, namespace }, deleteOptions: options } })
      break
    } catch (error) {
      if (hasReason(error, 'NotFound')) return
      if (!hasReason(error, 'TooManyRequests')) throw error
      // A disruption budget says: not yet.
      context.err(`error when evicting pods/${JSON.stringify(name)} -n ${JSON.stringify(namespace)} (will retry after 5s): ${error.message}\n`)
      if (context.clock.monotonic() + retryMs > endMs) throw new KubectlError(`error when evicting pods/${JSON.stringify(name)} -n ${JSON.stringify(namespace)}: global timeout reached`)
      await sleep(context.clock, retryMs, context.signal)
    }
  }
  if (dryRun === 'server') return
  for (;;) {
    try {
      const now = await session.request('GET', path)
      const metadata = isJsonObject(now['metadata']) ? now['metadata'] : {}
      const skip = flags['skip-wait-for-delete-timeout']
      const goneFor = typeof metadata['deletionTimestamp'] === 'string' ? context.clock.now() - Date.parse(metadata['deletionTimestamp']) : 0
      if (metadata['uid'] !== uid || (skip > 0 && goneFor > skip * 1000)) break
    } catch (error) {
      if (hasReason(error, 'NotFound')) break
      throw error
    }
    if (context.clock.monotonic() > endMs) throw new KubectlError(`error when waiting for pod ${JSON.stringify(name)} in namespace ${JSON.stringify(namespace)} to terminate: global timeout reached`)
    await sleep(context.clock, 1000, context.signal)
  }
  context.out(`pod/${name} evicted\n`)
}
