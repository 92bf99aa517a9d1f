// kubectl set image, env and resources: changes of pod templates by a strategic merge patch. Upstream: kubectl/pkg/cmd/set
import type { JsonObject } from '../../../lib/base/json.ts'
import { isJsonObject } from '../../../lib/base/json.ts'
import { createTwoWayMergePatch } from '../../../lib/api/create-strategic-merge-patch.ts'
import { typeIdOfApiVersion } from '../../../lib/api/type-lookup.ts'
import type { FlagSpecs } from '../../../lib/component-base/flags.ts'
import { KubectlError, UsageError, defineCommand } from '../command.ts'
import type { KubectlContext } from '../command.ts'
import { objectPath } from '../resources/object-path.ts'
import { selectObjects, selectionFlags } from '../resources/selected-objects.ts'
import type { SelectionFlags } from '../resources/selected-objects.ts'
import { dryRunOf, printOutcome } from './create-objects.ts'
import { setSelectorCommand, setServiceAccountCommand } from './set-more.ts'

const outputFlags = {
  'dry-run': { type: 'string', default: 'none', whenAlone: 'unchanged', usage: 'none, server or client.' }, 'field-manager': { type: 'string', default: 'kubectl-set', usage: 'Name under which the fields are owned.' }, output: { type: 'string', short: 'o', usage: 'Output format.' },
  'show-managed-fields': { type: 'bool', usage: 'Keep managedFields in JSON and YAML.' }, template: { type: 'string', usage: 'Template for go-template and jsonpath.' },
} as const satisfies FlagSpecs

interface OutputFlags { readonly 'dry-run': string; readonly 'field-manager': string; readonly output: string; readonly template: string; readonly 'show-managed-fields': boolean }

const podSpecPaths: { readonly [kind: string]: readonly string[] } = {
  Pod: ['spec'], ReplicationController: ['spec', 'template', 'spec'], Deployment: ['spec', 'template', 'spec'], ReplicaSet: ['spec', 'template', 'spec'], DaemonSet: ['spec', 'template', 'spec'], StatefulSet: ['spec', 'template', 'spec'], Job: ['spec', 'template', 'spec'], CronJob: ['spec', 'jobTemplate', 'spec', 'template', 'spec'],
}

function changeAt(object: JsonObject, path: readonly string[], change: (spec: JsonObject) => JsonObject): JsonObject {
  const [first, ...rest] = path
  if (first === undefined) return change(object)
  const inner = object[first]
  return { ...object, [first]: changeAt(isJsonObject(inner) ? inner : {}, rest, change) }
}

/** Changes the pod spec of every selected object and sends the difference. */
async function changePodSpecs(context: KubectlContext, resources: readonly string[], flags: SelectionFlags & OutputFlags, commandPath: string, operation: string, change: (spec: JsonObject, object: JsonObject) => JsonObject): Promise<number> {
  const session = context.session()
  const dryRun = dryRunOf(flags['dry-run'])
  for (const { resource, namespace, name, object } of await selectObjects(context, resources, flags, commandPath)) {
    const path = podSpecPaths[resource.kind]
    if (!path) throw new KubectlError(`${resource.resource}/${name} the object is not a pod or does not have a pod template: ${resource.kind}`)
    const modified = changeAt(object, path, (spec) => change(spec, object))
    const typeId = typeIdOfApiVersion(String(object['apiVersion']), resource.kind)
    const patch = createTwoWayMergePatch(typeId, object, modified)
    if (Object.keys(patch).length === 0) continue
    const answer = dryRun === 'client' ? modified : await session.request('PATCH', objectPath(resource, namespace, name, '', { fieldManager: flags['field-manager'], dryRun: dryRun === 'server' ? 'All' : undefined }), { body: patch, contentType: 'application/strategic-merge-patch+json' })
    printOutcome(context, { apiVersion: object['apiVersion'], kind: resource.kind, ...answer }, operation, flags)
  }
  return 0
}

const containerLists = ['initContainers', 'containers'] as const
const containersOf = (spec: JsonObject, list: string): readonly JsonObject[] => (Array.isArray(spec[list]) ? spec[list].filter(isJsonObject) : [])

function splitPairs(args: readonly string[]): { readonly resources: readonly string[]; readonly pairs: readonly (readonly [string, string])[] } {
  const resources = args.filter((a) => !a.includes('='))
  return { resources, pairs: args.filter((a) => a.includes('=')).map((a) => [a.slice(0, a.indexOf('=')), a.slice(a.indexOf('=') + 1)] as const) }
}

const setImageCommand = defineCommand({
  name: 'image', short: 'Update the image of a pod template', usage: '(-f FILENAME | TYPE NAME) CONTAINER_NAME_1=CONTAINER_IMAGE_1 ... CONTAINER_NAME_N=CONTAINER_IMAGE_N [options]', flags: { ...selectionFlags, ...outputFlags },
  async run(context, { flags, args }) {
    const { resources, pairs } = splitPairs(args)
    if (pairs.length === 0) throw new KubectlError('at least one image update is required')
    if (resources.length === 0 && flags.filename.length === 0) throw new UsageError('one or more resources must be specified as <resource> <name> or <resource>/<name>', 'set image')
    return changePodSpecs(context, resources, flags, 'set image', 'image updated', (spec) => {
      const missing = new Set(pairs.map(([name]) => name).filter((n) => n !== '*'))
      const next: { [key: string]: JsonObject[keyof JsonObject] } = { ...spec }
      for (const list of containerLists) {
        if (!Array.isArray(spec[list])) continue
        next[list] = containersOf(spec, list).map((container) => {
          const pair = pairs.find(([name]) => name === container['name'] || name === '*')
          missing.delete(String(container['name']))
          return pair ? { ...container, image: pair[1] } : container
        })
      }
      const [first] = missing
      if (first !== undefined) throw new KubectlError(`unable to find container named ${JSON.stringify(first)}`)
      return next
    })
  },
})

const setEnvCommand = defineCommand({
  name: 'env', short: 'Update environment variables on a pod template', usage: 'RESOURCE/NAME KEY_1=VAL_1 ... KEY_N=VAL_N', flags: { ...selectionFlags, ...outputFlags, containers: { type: 'string', short: 'c', default: '*', usage: 'Names of containers, * for all.' }, list: { type: 'bool', usage: 'Print the environment.' } },
  async run(context, { flags, args }) {
    const { resources, pairs } = splitPairs(args)
    const removed = resources.filter((a) => a.endsWith('-')).map((a) => a.slice(0, -1))
    const named = resources.filter((a) => !a.endsWith('-'))
    if (flags.list) {
      for (const { resource, name, object } of await selectObjects(context, named, flags, 'set env')) {
        const spec = (podSpecPaths[resource.kind] ?? []).reduce<JsonObject>((o, key) => (isJsonObject(o[key]) ? o[key] : {}), object)
        for (const container of containersOf(spec, 'containers')) {
          context.out(`# ${resource.kind} ${name}, container ${String(container['name'])}\n`)
          for (const entry of Array.isArray(container['env']) ? container['env'].filter(isJsonObject) : []) context.out(entry['valueFrom'] ? `# ${String(entry['name'])} from another source\n` : `${String(entry['name'])}=${String(entry['value'] ?? '')}\n`)
        }
      }
      return 0
    }
    if (pairs.length + removed.length === 0) throw new UsageError('at least one environment variable must be provided', 'set env')
    return changePodSpecs(context, named, flags, 'set env', 'env updated', (spec) => ({
      ...spec, containers: containersOf(spec, 'containers').map((container) => {
        if (flags.containers !== '*' && container['name'] !== flags.containers) return container
        const env = (Array.isArray(container['env']) ? container['env'].filter(isJsonObject) : []).filter((e) => !removed.includes(String(e['name'])))
        const changed = env.map((e) => { const pair = pairs.find(([k]) => k === e['name']); return pair ? { name: pair[0], value: pair[1] } : e })
        const added = pairs.filter(([k]) => !env.some((e) => e['name'] === k)).map(([name, value]) => ({ name, value }))
        return { ...container, env: [...changed, ...added] }
      }),
    }))
  },
})

const setResourcesCommand = defineCommand({
  name: 'resources', short: 'Update resource requests/limits on objects with pod templates', usage: '(-f FILENAME | TYPE NAME) ([--limits=LIMITS & --requests=REQUESTS]', flags: { ...selectionFlags, ...outputFlags, containers: { type: 'string', short: 'c', default: '*', usage: 'Names of containers, * for all.' }, limits: { type: 'map', usage: 'Limits: cpu=100m,memory=64Mi.' }, requests: { type: 'map', usage: 'Requests: cpu=100m,memory=64Mi.' } },
  async run(context, { flags, args }) {
    if (Object.keys(flags.limits).length + Object.keys(flags.requests).length === 0) throw new UsageError('you must specify an update to requests or limits (in the form of --requests/--limits)', 'set resources')
    return changePodSpecs(context, args, flags, 'set resources', 'resource requirements updated', (spec) => ({
      ...spec, containers: containersOf(spec, 'containers').map((container) => {
        if (flags.containers !== '*' && container['name'] !== flags.containers) return container
        const resources = isJsonObject(container['resources']) ? container['resources'] : {}
        const merged = (field: 'limits' | 'requests'): JsonObject => ({ ...(isJsonObject(resources[field]) ? resources[field] : {}), ...flags[field] })
        return { ...container, resources: { ...resources, ...(Object.keys(merged('limits')).length > 0 ? { limits: merged('limits') } : {}), ...(Object.keys(merged('requests')).length > 0 ? { requests: merged('requests') } : {}) } }
      }),
    }))
  },
})

export const setCommand = defineCommand({ name: 'set', group: 'Basic Commands (Beginner)', short: 'Set specific features on objects', usage: 'SUBCOMMAND [options]', flags: {}, subcommands: [setEnvCommand, setImageCommand, setResourcesCommand, setSelectorCommand, setServiceAccountCommand] })
