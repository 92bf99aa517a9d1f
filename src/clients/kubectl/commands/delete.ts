// kubectl delete: asks the server to delete and waits until the objects are gone. Upstream: kubectl/pkg/cmd/delete
import type { JsonObject } from '../../../lib/base/json.ts'
import { isJsonObject } from '../../../lib/base/json.ts'
import { sleep } from '../../../lib/base/clock.ts'
import { ApiError, hasReason } from '../../../lib/client/api-error.ts'
import { parseGoDuration } from '../../../lib/component-base/flags.ts'
import { KubectlError, defineCommand } from '../command.ts'
import type { KubectlContext } from '../command.ts'
import type { ServerResource } from '../discovery/resource-mapper.ts'
import { formatApiError } from '../format-api-error.ts'
import { readManifests } from '../resources/manifest-files.ts'
import { collectionPath, displayResource, objectPath } from '../resources/object-path.ts'
import { fetchObjects, resolveTargets } from '../resources/resource-arguments.ts'
import type { Session } from '../session.ts'

interface Doomed {
  readonly resource: ServerResource
  readonly namespace: string
  readonly name: string
}

export const deleteCommand = defineCommand({
  name: 'delete', group: 'Basic Commands (Intermediate)', short: 'Delete resources by file names, stdin, resources and names, or by resources and label selector', usage: '([-f FILENAME] | TYPE [(NAME | -l label | --all)]) [options]',
  examples: '  kubectl delete -f ./web.yaml\n  kubectl delete pod web-1 --grace-period=0 --force\n  kubectl delete pods,services -l app=web',
  flags: {
    all: { type: 'bool', usage: 'Delete all objects of the type in the namespace.' }, 'all-namespaces': { type: 'bool', short: 'A', usage: 'In all namespaces.' }, cascade: { type: 'string', default: 'background', whenAlone: 'background', usage: 'background, orphan or foreground.' },
    'dry-run': { type: 'string', default: 'none', whenAlone: 'unchanged', usage: 'none, server or client.' }, 'field-selector': { type: 'string', usage: 'Selector of fields.' }, filename: { type: 'strings', short: 'f', usage: 'Files that name the objects.' },
    force: { type: 'bool', usage: 'Delete at once, without waiting for the confirmation that it stopped.' }, 'grace-period': { type: 'int', default: -1, usage: 'Seconds to end gracefully; negative: as the object says.' },
    'ignore-not-found': { type: 'bool', usage: 'Treat "object not found" as success.' }, now: { type: 'bool', usage: 'The same as --grace-period=1.' }, output: { type: 'string', short: 'o', usage: "'name' for short output." },
    recursive: { type: 'bool', short: 'R', usage: 'Look for files in folders below, too.' }, selector: { type: 'string', short: 'l', usage: 'Selector of labels.' }, timeout: { type: 'string', default: '0s', usage: 'How long to wait for the end; 0 means as long as the object needs.' },
    wait: { type: 'bool', default: true, usage: 'Wait until the objects are gone.' }, raw: { type: 'string', usage: 'Path to send a DELETE to, as it is.' },
  },
  async run(context, { flags, args }) {
    const session = context.session()
    if (flags.raw) { context.out(`${JSON.stringify(await session.request('DELETE', flags.raw))}\n`); return 0 }
    if (!['background', 'orphan', 'foreground', 'true', 'false'].includes(flags.cascade)) throw new KubectlError(`invalid cascade value (${flags.cascade}). Must be "background", "foreground", or "orphan"`)
    let grace = flags['grace-period']
    if (flags.now) {
      if (grace !== -1) throw new KubectlError('--now and --grace-period cannot be specified together')
      grace = 1
    }
    let force = flags.force
    if (grace === 0 && !force) { grace = 1; force = false }
    if (force && grace < 0) grace = 0
    if (force && grace === 0) context.err('Warning: Immediate deletion does not wait for confirmation that the running resource has been terminated. The resource may continue to run on the cluster indefinitely.\n')
    const ignoreNotFound = flags['ignore-not-found'] || flags.all || flags.selector !== ''
    const doomed = await findDoomed(context, session, args, flags)
    if (doomed.length === 0) { context.out('No resources found\n'); return 0 }
    const propagationPolicy = flags.cascade === 'orphan' || flags.cascade === 'false' ? 'Orphan' : flags.cascade === 'foreground' ? 'Foreground' : 'Background'
    const dryRun = flags['dry-run'] === 'server'
    const body: JsonObject = { kind: 'DeleteOptions', apiVersion: 'v1', propagationPolicy, ...(grace >= 0 ? { gracePeriodSeconds: grace } : {}), ...(dryRun ? { dryRun: ['All'] } : {}) }
    const waiting: (Doomed & { readonly uid: string })[] = []
    let failures = 0
    for (const one of doomed) {
      const shown = flags.output === 'name' ? `${displayResource(one.resource)}/${one.name}` : `${displayResource(one.resource)} ${JSON.stringify(one.name)}`
      try {
        const answer = flags['dry-run'] === 'client' ? {} : await session.request('DELETE', objectPath(one.resource, one.namespace, one.name), { body })
        const suffix = dryRun ? ' (server dry run)' : flags['dry-run'] === 'client' ? ' (dry run)' : ''
        const how = force && grace === 0 ? 'force deleted' : 'deleted'
        const where = one.namespace ? ` from ${one.namespace} namespace` : ''
        context.out(flags.output === 'name' ? `${shown}\n` : `${shown} ${how}${where}${suffix}\n`)
        if (!dryRun && flags['dry-run'] !== 'client') waiting.push({ ...one, uid: uidOf(answer) })
      } catch (error) {
        if (!(error instanceof ApiError)) throw error
        if (error.reason === 'NotFound' && ignoreNotFound) continue
        failures++
        context.err(`${formatApiError(error)}\n`)
      }
    }
    if (flags.wait && !(force && grace === 0)) {
      const timeoutMs = parseGoDuration(flags.timeout) ?? 0
      for (const one of waiting) await waitUntilGone(context, session, one, timeoutMs)
    }
    return failures > 0 ? 1 : 0
  },
})

interface Selection {
  readonly all: boolean
  readonly 'all-namespaces': boolean
  readonly selector: string
  readonly 'field-selector': string
  readonly filename: readonly string[]
  readonly recursive: boolean
}

async function findDoomed(context: KubectlContext, session: Session, args: readonly string[], flags: Selection): Promise<readonly Doomed[]> {
  if (flags.filename.length > 0) {
    const manifests = await readManifests(flags.filename, { recursive: flags.recursive, stdin: context.stdin })
    return Promise.all(manifests.map(async ({ object, source }) => {
      const resource = await session.mapper.forKind(String(object['apiVersion']), String(object['kind']))
      if (!resource) throw new KubectlError(`resource mapping not found for name: ${JSON.stringify(nameIn(object))} from ${JSON.stringify(source)}: no matches for kind ${JSON.stringify(String(object['kind']))} in version ${JSON.stringify(String(object['apiVersion']))}`)
      const metadata = isJsonObject(object['metadata']) ? object['metadata'] : {}
      return { resource, namespace: resource.namespaced ? String(metadata['namespace'] ?? session.namespace) : '', name: nameIn(object) }
    }))
  }
  if (args.length === 0) throw new KubectlError("You must provide one or more resources by argument or filename.\nExample resource specifications include:\n   '-f rsrc.yaml'\n   '--filename=rsrc.json'\n   '<resource> <name>'\n   '<resource>'")
  const targets = await resolveTargets(session, args, { allNamespaces: flags['all-namespaces'] })
  if (targets.some((t) => t.type === 'collection') && !flags.all && !flags.selector && !flags['field-selector']) throw new KubectlError('resource(s) were provided, but no name was specified')
  const found: Doomed[] = []
  for (const target of targets) {
    if (target.type === 'object') { found.push(target); continue }
    for (const object of await fetchObjects(session, target, { labelSelector: flags.selector, fieldSelector: flags['field-selector'] })) {
      const metadata = isJsonObject(object['metadata']) ? object['metadata'] : {}
      found.push({ resource: target.resource, namespace: String(metadata['namespace'] ?? ''), name: nameIn(object) })
    }
  }
  return found
}

function nameIn(object: JsonObject): string { return isJsonObject(object['metadata']) ? String(object['metadata']['name'] ?? '') : '' }

/** The object itself while it ends, or a Status whose details have it. */
function uidOf(answer: JsonObject): string {
  const holder = answer['kind'] === 'Status' ? answer['details'] : answer['metadata']
  return isJsonObject(holder) ? String(holder['uid'] ?? '') : ''
}

/** Watches one name until it is gone or belongs to another object. */
async function waitUntilGone(context: KubectlContext, session: Session, one: Doomed & { readonly uid: string }, timeoutMs: number): Promise<void> {
  const end = timeoutMs > 0 ? context.clock.monotonic() + timeoutMs : Number.POSITIVE_INFINITY
  const give = new AbortController()
  using _timer = timeoutMs > 0 ? context.clock.setTimer(timeoutMs, () => give.abort()) : { [Symbol.dispose]: () => {} }
  const signal = AbortSignal.any([context.signal, give.signal])
  for (;;) {
    const list = await session.request('GET', collectionPath(one.resource, one.namespace, { fieldSelector: `metadata.name=${one.name}` }))
    const items = Array.isArray(list['items']) ? list['items'].filter(isJsonObject) : []
    if (!items.some((item) => one.uid === '' || (isJsonObject(item['metadata']) && item['metadata']['uid'] === one.uid))) return
    if (context.clock.monotonic() >= end) throw new KubectlError(`timed out waiting for the condition on ${one.resource.resource}/${one.name}`)
    const resourceVersion = isJsonObject(list['metadata']) ? String(list['metadata']['resourceVersion'] ?? '') : ''
    try {
      for await (const events of session.watch(collectionPath(one.resource, one.namespace, { fieldSelector: `metadata.name=${one.name}`, resourceVersion, watch: true }), { signal })) {
        if (events.some((e) => e.type === 'DELETED')) return
        if (events.some((e) => e.type === 'ERROR')) break
      }
    } catch (error) {
      if (context.signal.aborted) throw error
      if (!hasReason(error, 'Forbidden', 'MethodNotAllowed') && !give.signal.aborted) throw error
      if (!give.signal.aborted) await sleep(context.clock, 1000, context.signal)
    }
  }
}
