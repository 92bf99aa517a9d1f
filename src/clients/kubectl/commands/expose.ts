// kubectl expose: a Service for a workload, pod or other Service. Upstream: kubectl/pkg/cmd/expose
import type { JsonObject, JsonValue } from '../../../lib/base/json.ts'
import { isJsonObject } from '../../../lib/base/json.ts'
import { KubectlError, defineCommand } from '../command.ts'
import { collectionPath } from '../resources/object-path.ts'
import { selectObjects, selectionFlags } from '../resources/selected-objects.ts'
import type { SelectedObject } from '../resources/selected-objects.ts'
import { dryRunOf, outputFlags, printOutcome, withLastApplied } from './create-objects.ts'

const exposable = new Set(['ReplicationController', 'Service', 'Pod', 'Deployment', 'ReplicaSet'])
const objectIn = (object: JsonObject, key: string): JsonObject => { const value = object[key]; return isJsonObject(value) ? value : {} }
const listIn = (object: JsonObject, key: string): readonly JsonObject[] => { const value = object[key]; return Array.isArray(value) ? value.filter(isJsonObject) : [] }

const labelMap = (text: string): JsonObject => Object.fromEntries(text.split(',').map((pair) => {
  const [key = '', value, ...more] = pair.split('=')
  if (value === undefined || more.length > 0) throw new KubectlError(`unexpected label spec: ${pair}`)
  if (key === '') throw new KubectlError('unexpected empty label key')
  return [key, value]
}))

interface Port { readonly port: number; readonly protocol: string }

function selectorOf({ resource, object }: SelectedObject): JsonObject {
  const spec = objectIn(object, 'spec')
  const fail = (why: string): never => { throw new KubectlError(`couldn't retrieve selectors via --selector flag or introspection: ${why}`) }
  if (resource.kind === 'Pod') {
    const labels = objectIn(objectIn(object, 'metadata'), 'labels')
    return Object.keys(labels).length > 0 ? labels : fail('the pod has no labels and cannot be exposed')
  }
  if (resource.kind === 'Service' || resource.kind === 'ReplicationController') {
    const selector = objectIn(spec, 'selector')
    return Object.keys(selector).length > 0 || resource.kind === 'ReplicationController' ? selector : fail('the service has no pod selector set')
  }
  const selector = objectIn(spec, 'selector')
  if (listIn(selector, 'matchExpressions').length > 0) return fail(`couldn't convert expressions - "${JSON.stringify(selector['matchExpressions'])}" to map-based selector format`)
  return objectIn(selector, 'matchLabels')
}

function portsOf({ resource, object }: SelectedObject): readonly Port[] {
  const spec = objectIn(object, 'spec')
  if (resource.kind === 'Service') return listIn(spec, 'ports').map((p) => ({ port: Number(p['port']), protocol: String(p['protocol'] ?? 'TCP') }))
  const podSpec = resource.kind === 'Pod' ? spec : objectIn(objectIn(spec, 'template'), 'spec')
  return listIn(podSpec, 'containers').flatMap((c) => listIn(c, 'ports')).map((p) => ({ port: Number(p['containerPort']), protocol: String(p['protocol'] ?? 'TCP') }))
}

const intOrText = (text: string): number | string => (/^\d+$/.test(text) ? Number(text) : text)

export const exposeCommand = defineCommand({
  name: 'expose', group: 'Basic Commands (Beginner)', short: 'Take a replication controller, service, deployment or pod and expose it as a new Kubernetes service', usage: '(-f FILENAME | TYPE NAME) [--port=port] [--protocol=TCP|UDP|SCTP] [--target-port=number-or-name] [--name=name] [--external-ip=external-ip-of-service] [--type=type] [options]',
  flags: {
    ...outputFlags, 'field-manager': { type: 'string', default: 'kubectl-expose', usage: 'Name under which the fields are owned.' }, filename: selectionFlags.filename, recursive: selectionFlags.recursive, 'cluster-ip': { type: 'string', usage: "The cluster IP, or 'None'." }, 'external-ip': { type: 'string', usage: 'Another IP that goes to the service.' }, labels: { type: 'string', short: 'l', usage: 'Labels of the service.' },
    'load-balancer-ip': { type: 'string', usage: 'IP of the load balancer.' }, name: { type: 'string', usage: 'Name of the service.' }, overrides: { type: 'string', usage: 'JSON over the service.' }, port: { type: 'string', usage: 'Port of the service.' }, protocol: { type: 'string', usage: 'TCP, UDP or SCTP.' }, selector: { type: 'string', usage: 'Labels of the pods.' },
    'session-affinity': { type: 'string', usage: 'None or ClientIP.' }, 'target-port': { type: 'string', usage: 'Port of the pods.' }, type: { type: 'string', usage: 'ClusterIP, NodePort, LoadBalancer or ExternalName.' },
  },
  async run(context, { flags, args }) {
    const session = context.session()
    const dryRun = dryRunOf(flags['dry-run'])
    for (const selected of await selectObjects(context, args, { ...flags, selector: '', all: false, 'all-namespaces': false, 'field-selector': '' }, 'expose')) {
      const { resource, object, namespace } = selected
      if (!exposable.has(resource.kind)) throw new KubectlError(`cannot expose a ${displayKind(selected)}`)
      const selector = flags.selector ? labelMap(flags.selector) : selectorOf(selected)
      const found = portsOf(selected)
      const headless = flags['cluster-ip'] === 'None'
      const wanted = flags.port ? flags.port.split(',') : found.map((p) => String(p.port))
      if (wanted.length === 0 && !headless) throw new KubectlError("couldn't find port via --port flag or introspection")
      const ports = wanted.map((text, i): JsonObject => {
        const port = Number(text)
        const protocol = flags.protocol || (found.find((p) => p.port === port)?.protocol ?? 'TCP')
        return { ...(wanted.length > 1 ? { name: `port-${i + 1}` } : {}), port, protocol, targetPort: flags['target-port'] ? intOrText(flags['target-port']) : port }
      })
      if (flags['session-affinity'] && !['None', 'ClientIP'].includes(flags['session-affinity'])) throw new KubectlError(`unknown session affinity: ${flags['session-affinity']}`)
      const own = objectIn(objectIn(object, 'metadata'), 'labels')
      const labels = flags.labels ? labelMap(flags.labels) : own
      const name = flags.name || selected.name.slice(0, 63)
      const service: JsonObject = {
        apiVersion: 'v1', kind: 'Service', metadata: { ...(Object.keys(labels).length > 0 ? { labels } : {}), name, ...(session.namespaceGiven && dryRun === 'client' ? { namespace } : {}) },
        spec: { ...(flags['cluster-ip'] ? { clusterIP: flags['cluster-ip'] } : {}), ...(flags['external-ip'] ? { externalIPs: [flags['external-ip']] } : {}), ...(flags['load-balancer-ip'] && flags.type === 'LoadBalancer' ? { loadBalancerIP: flags['load-balancer-ip'] } : {}), ...(ports.length > 0 ? { ports } : {}), selector, ...(flags['session-affinity'] ? { sessionAffinity: flags['session-affinity'] } : {}), ...(flags.type ? { type: flags.type } : {}) },
        status: { loadBalancer: {} },
      }
      const whole = withOverrides(service, flags.overrides)
      const body = flags['save-config'] ? withLastApplied(whole) : whole
      const answer = dryRun === 'client' ? body : await session.request('POST', collectionPath({ group: '', version: 'v1', resource: 'services', namespaced: true }, namespace, { fieldManager: flags['field-manager'], dryRun: dryRun === 'server' ? 'All' : undefined }), { body })
      printOutcome(context, { apiVersion: 'v1', kind: 'Service', ...answer }, 'exposed', flags, true)
    }
    return 0
  },
})

function displayKind({ resource }: SelectedObject): string { return resource.group ? `${resource.kind}.${resource.group}` : resource.kind }

/** `--overrides`: a merge patch over the object made. @throws KubectlError */
export function withOverrides(object: JsonObject, overrides: string): JsonObject {
  if (overrides === '') return object
  let patch: unknown
  try {
    patch = JSON.parse(overrides)
  } catch {
    throw new KubectlError('Invalid JSON Patch')
  }
  return isJsonObject(patch) ? merge(object, patch) : object
}

function merge(target: JsonObject, patch: JsonObject): JsonObject {
  const out: { [key: string]: JsonValue } = {}
  for (const [key, value] of Object.entries(target)) if (value !== undefined) out[key] = value
  for (const [key, value] of Object.entries(patch)) {
    const now = out[key]
    if (value === null || value === undefined) delete out[key]
    else out[key] = isJsonObject(value) && isJsonObject(now) ? merge(now, value) : value
  }
  return out
}
