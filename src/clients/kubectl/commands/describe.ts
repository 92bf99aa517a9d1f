// kubectl describe: objects and what belongs to them, for people to read. Upstream: kubectl/pkg/cmd/describe
import type { JsonObject } from '../../../lib/base/json.ts'
import { isJsonObject } from '../../../lib/base/json.ts'
import { ApiError, hasReason } from '../../../lib/client/api-error.ts'
import { KubectlError, defineCommand } from '../command.ts'
import type { KubectlContext } from '../command.ts'
import type { ServerResource } from '../discovery/resource-mapper.ts'
import { formatApiError } from '../format-api-error.ts'
import type { DescribeWorld } from '../describe/describer.ts'
import { readManifests } from '../resources/manifest-files.ts'
import { fetchObjects, resolveTargets } from '../resources/resource-arguments.ts'
import type { ResourceTarget } from '../resources/resource-arguments.ts'

interface Found { readonly resource: ServerResource; readonly object: JsonObject }

export const describeCommand = defineCommand({
  name: 'describe', group: 'Troubleshooting and Debugging Commands', short: 'Show details of a specific resource or group of resources', usage: '(-f FILENAME | TYPE [NAME_PREFIX | -l label] | TYPE/NAME) [options]',
  examples: '  kubectl describe node node-1\n  kubectl describe pods/web-1\n  kubectl describe pods -l app=web',
  flags: {
    'all-namespaces': { type: 'bool', short: 'A', usage: 'Of all namespaces.' }, 'chunk-size': { type: 'int', default: 500, usage: 'Get large lists in chunks of this size; 0 for all at once.' }, filename: { type: 'strings', short: 'f', usage: 'Files that name the objects.' },
    kustomize: { type: 'string', short: 'k', usage: 'Folder with a kustomization.' }, recursive: { type: 'bool', short: 'R', usage: 'Look for files in folders below, too.' }, selector: { type: 'string', short: 'l', usage: 'Selector of labels.' },
    'show-events': { type: 'bool', default: true, usage: 'Show the events about the object. Not by default when there are several.' },
  },
  async run(context, { flags, args, given }) {
    if (args.length === 0 && flags.filename.length === 0) throw new KubectlError('You must specify the type of resource to describe. Use "kubectl api-resources" for a complete list of supported resources.\n')
    const session = context.session()
    const selection = { labelSelector: flags.selector, chunkSize: flags['chunk-size'] }
    const targets = flags.filename.length > 0 ? await targetsOfFiles(context, flags.filename, flags.recursive) : await resolveTargets(session, args, { allNamespaces: flags['all-namespaces'] })
    const found: Found[] = []
    const errors: ApiError[] = []
    for (const target of targets) {
      try {
        for (const object of await fetchObjects(session, target, selection)) found.push({ resource: target.resource, object })
      } catch (error) {
        if (!(error instanceof ApiError)) throw error
        errors.push(error)
      }
    }
    const several = found.length > 1 || errors.length > 0
    const world: DescribeWorld = { session, showEvents: given.has('show-events') ? flags['show-events'] : !several, chunkSize: flags['chunk-size'], nowMs: context.clock.now() }
    // A name that isn't there may be the beginning of some.
    const [missing] = errors
    if (missing && hasReason(missing, 'NotFound') && args.length === 2) return describeMatching(context, world, targets[0], args[1] ?? '', missing)
    const { describeObject } = await import('../describe/index.ts')
    let first = true
    for (const { resource, object } of found) {
      try {
        const text = await describeObject(world, resource.group, resource.kind, object)
        context.out(first ? text : `\n\n${text}`)
        first = false
      } catch (error) {
        if (!(error instanceof ApiError)) throw error
        errors.push(error)
      }
    }
    if (found.length === 0 && errors.length === 0) context.err(flags['all-namespaces'] ? 'No resources found\n' : `No resources found in ${session.namespace} namespace.\n`)
    for (const text of new Set(errors.map(formatApiError))) context.err(`${text}\n`)
    return errors.length > 0 ? 1 : 0
  },
})

async function describeMatching(context: KubectlContext, world: DescribeWorld, target: ResourceTarget | undefined, prefix: string, missing: ApiError): Promise<number> {
  if (!target) throw missing
  const { describeObject } = await import('../describe/index.ts')
  let any = false
  for (const object of await fetchObjects(world.session, { type: 'collection', resource: target.resource, namespace: target.namespace }, { chunkSize: world.chunkSize })) {
    const metadata = isJsonObject(object['metadata']) ? object['metadata'] : {}
    if (!String(metadata['name'] ?? '').startsWith(prefix)) continue
    any = true
    context.out(`${await describeObject(world, target.resource.group, target.resource.kind, object)}\n`)
  }
  if (!any) throw missing
  return 0
}

async function targetsOfFiles(context: KubectlContext, files: readonly string[], recursive: boolean): Promise<readonly ResourceTarget[]> {
  const session = context.session()
  const manifests = await readManifests(files, { recursive, stdin: context.stdin })
  return Promise.all(manifests.map(async ({ object, source }): Promise<ResourceTarget> => {
    const resource = await session.mapper.forKind(String(object['apiVersion']), String(object['kind']))
    const metadata = isJsonObject(object['metadata']) ? object['metadata'] : {}
    if (!resource) throw new KubectlError(`no matches for kind ${JSON.stringify(String(object['kind']))} in version ${JSON.stringify(String(object['apiVersion']))} (${source})`)
    return { type: 'object', resource, namespace: resource.namespaced ? String(metadata['namespace'] ?? session.namespace) : '', name: String(metadata['name'] ?? '') }
  }))
}

