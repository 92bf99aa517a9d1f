// kubectl autoscale: a HorizontalPodAutoscaler for a workload. Upstream: kubectl/pkg/cmd/autoscale
import type { JsonObject } from '../../../lib/base/json.ts'
import { parseQuantity } from '../../../lib/apimachinery/quantity.ts'
import { KubectlError, defineCommand } from '../command.ts'
import { collectionPath } from '../resources/object-path.ts'
import { selectObjects, selectionFlags } from '../resources/selected-objects.ts'
import { dryRunOf, outputFlags, printOutcome, withLastApplied } from './create-objects.ts'

/** A percentage of the request, or an amount. */
function metricOf(name: 'cpu' | 'memory', text: string): JsonObject {
  const percent = text.endsWith('%') || (name === 'cpu' && /^\d+$/.test(text))
  if (percent) {
    const value = Number(text.replace(/%$/, ''))
    if (!Number.isInteger(value)) throw new KubectlError(`invalid percentage value: ${text.replace(/%$/, '')}`)
    return { resource: { name, target: { averageUtilization: value, type: 'Utilization' } }, type: 'Resource' }
  }
  if (!parseQuantity(text)) throw new KubectlError(`invalid resource ${name} value: ${text}`)
  return { resource: { name, target: { averageValue: text, type: 'AverageValue' } }, type: 'Resource' }
}

export const autoscaleCommand = defineCommand({
  name: 'autoscale', group: 'Deploy Commands', short: 'Auto-scale a deployment, replica set, stateful set, or replication controller', usage: '(-f FILENAME | TYPE NAME | TYPE/NAME) [--min=MINPODS] --max=MAXPODS [--cpu=CPU] [--memory=MEMORY] [options]',
  flags: { ...outputFlags, 'field-manager': { type: 'string', default: 'kubectl-autoscale', usage: 'Name under which the fields are owned.' }, filename: selectionFlags.filename, recursive: selectionFlags.recursive, cpu: { type: 'string', usage: 'Target of the processors: 80%, 500m.' }, 'cpu-percent': { type: 'int', default: -1, usage: 'Target of the processors in percent of the request.' }, max: { type: 'int', default: -1, usage: 'Most pods.' }, memory: { type: 'string', usage: 'Target of the memory: 60%, 200Mi.' }, min: { type: 'int', default: -1, usage: 'Fewest pods.' }, name: { type: 'string', usage: 'Name of the autoscaler.' } },
  async run(context, { flags, args, given }) {
    if (!given.has('max')) throw new KubectlError('required flag(s) "max" not set')
    const dryRun = dryRunOf(flags['dry-run'])
    if (flags.max < 1) throw new KubectlError(`--max=MAXPODS is required and must be at least 1, max: ${flags.max}`)
    if (flags.max < flags.min) throw new KubectlError(`--max=MAXPODS must be larger or equal to --min=MINPODS, max: ${flags.max}, min: ${flags.min}`)
    if (given.has('cpu') && given.has('cpu-percent')) throw new KubectlError('--cpu-percent and --cpu are mutually exclusive')
    if (given.has('cpu-percent')) context.err('Flag --cpu-percent has been deprecated, Use --cpu with percentage or resource quantity format (e.g., \'70%\' for utilization or \'500m\' for milliCPU).\n')
    const cpu = flags.cpu || (flags['cpu-percent'] >= 0 ? `${flags['cpu-percent']}%` : '')
    const metrics = [...(cpu ? [metricOf('cpu', cpu)] : []), ...(flags.memory ? [metricOf('memory', flags.memory)] : [])]
    const session = context.session()
    for (const { resource, namespace, name, object } of await selectObjects(context, args, { ...flags, selector: '', all: false, 'all-namespaces': false, 'field-selector': '' }, 'autoscale')) {
      if (!['ReplicationController', 'Deployment', 'ReplicaSet', 'StatefulSet'].includes(resource.kind)) throw new KubectlError(`cannot autoscale a ${resource.kind}: could not find scale subresource for ${resource.group}/${resource.version}, Resource=${resource.resource} in discovery information`)
      const made: JsonObject = {
        apiVersion: 'autoscaling/v2', kind: 'HorizontalPodAutoscaler', metadata: { name: flags.name || name, ...(dryRun === 'client' && session.namespaceGiven ? { namespace } : {}) },
        spec: { maxReplicas: flags.max, ...(metrics.length > 0 ? { metrics } : {}), ...(flags.min > 0 ? { minReplicas: flags.min } : {}), scaleTargetRef: { apiVersion: String(object['apiVersion'] ?? ''), kind: resource.kind, name } }, status: { currentMetrics: null, desiredReplicas: 0 },
      }
      const body = flags['save-config'] ? withLastApplied(made) : made
      const answer = dryRun === 'client' ? body : await session.request('POST', collectionPath({ group: 'autoscaling', version: 'v2', resource: 'horizontalpodautoscalers', namespaced: true }, namespace, { fieldManager: flags['field-manager'], dryRun: dryRun === 'server' ? 'All' : undefined }), { body })
      printOutcome(context, { apiVersion: 'autoscaling/v2', kind: 'HorizontalPodAutoscaler', ...answer }, 'autoscaled', flags, true)
    }
    return 0
  },
})
