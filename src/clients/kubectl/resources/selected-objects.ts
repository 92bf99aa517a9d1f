// The objects that a changing command (label, annotate, scale, set, rollout) is to work on, fetched: from arguments, files or selectors.
import type { JsonObject } from '../../../lib/base/json.ts'
import { isJsonObject } from '../../../lib/base/json.ts'
import type { FlagSpecs } from '../../../lib/component-base/flags.ts'
import { KubectlError, UsageError } from '../command.ts'
import type { KubectlContext } from '../command.ts'
import type { ServerResource } from '../discovery/resource-mapper.ts'
import { readManifests } from './manifest-files.ts'
import { objectPath } from './object-path.ts'
import { fetchObjects, resolveTargets } from './resource-arguments.ts'

export const selectionFlags = {
  all: { type: 'bool', usage: 'All objects of the type in the namespace.' }, 'all-namespaces': { type: 'bool', short: 'A', usage: 'In all namespaces.' }, 'field-selector': { type: 'string', usage: 'Selector of fields.' },
  filename: { type: 'strings', short: 'f', usage: 'Files that name the objects.' }, recursive: { type: 'bool', short: 'R', usage: 'Look for files in folders below, too.' }, selector: { type: 'string', short: 'l', usage: 'Selector of labels.' },
} as const satisfies FlagSpecs

export interface SelectionFlags {
  readonly all: boolean
  readonly 'all-namespaces': boolean
  readonly 'field-selector': string
  readonly filename: readonly string[]
  readonly recursive: boolean
  readonly selector: string
}

export interface SelectedObject {
  readonly resource: ServerResource
  readonly namespace: string
  readonly name: string
  /** As the server has it, with apiVersion and kind. */
  readonly object: JsonObject
}

/** @throws UsageError when nothing is named, ApiError when a named object isn't there */
export async function selectObjects(context: KubectlContext, args: readonly string[], flags: SelectionFlags, commandPath: string): Promise<readonly SelectedObject[]> {
  const session = context.session()
  if (flags.filename.length > 0) {
    const manifests = await readManifests(flags.filename, { recursive: flags.recursive, stdin: context.stdin })
    return Promise.all(manifests.map(async ({ object, source }) => {
      const resource = await session.mapper.forKind(String(object['apiVersion']), String(object['kind']))
      if (!resource) throw new KubectlError(`no matches for kind ${JSON.stringify(String(object['kind']))} in version ${JSON.stringify(String(object['apiVersion']))} (${source})`)
      const metadata = isJsonObject(object['metadata']) ? object['metadata'] : {}
      const namespace = resource.namespaced ? String(metadata['namespace'] ?? session.namespace) : ''
      const name = String(metadata['name'] ?? '')
      return { resource, namespace, name, object: await session.request('GET', objectPath(resource, namespace, name)) }
    }))
  }
  if (args.length === 0) throw new UsageError('one or more resources must be specified as <resource> <name> or <resource>/<name>', commandPath)
  const targets = await resolveTargets(session, args, { allNamespaces: flags['all-namespaces'] })
  const found: SelectedObject[] = []
  for (const target of targets) {
    if (target.type === 'collection' && !flags.all && !flags.selector && !flags['field-selector'] && !flags['all-namespaces']) throw new KubectlError('resource(s) were provided, but no name was specified')
    for (const object of await fetchObjects(session, target, { labelSelector: flags.selector, fieldSelector: flags['field-selector'] })) {
      const metadata = isJsonObject(object['metadata']) ? object['metadata'] : {}
      found.push({ resource: target.resource, namespace: String(metadata['namespace'] ?? ''), name: String(metadata['name'] ?? ''), object })
    }
  }
  return found
}
