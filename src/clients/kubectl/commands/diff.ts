// kubectl diff: what apply would change, shown by the machine's diff program. Exit code 1 means: there are differences. Upstream: kubectl/pkg/cmd/diff
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { JsonObject } from '../../../lib/base/json.ts'
import { isJsonObject } from '../../../lib/base/json.ts'
import { createThreeWayStrategicMergePatch } from '../../../lib/api/create-strategic-merge-patch.ts'
import { typeIdOfApiVersion } from '../../../lib/api/type-lookup.ts'
import { createThreeWayMergePatch } from '../../../lib/apimachinery/merge-patch.ts'
import { hasReason } from '../../../lib/client/api-error.ts'
import { formatYaml } from '../../../lib/component-base/yaml-writer.ts'
import { KubectlError, UsageError, defineCommand } from '../command.ts'
import { withoutManagedFields } from '../printers/output-format.ts'
import { readManifests } from '../resources/manifest-files.ts'
import { collectionPath, objectPath } from '../resources/object-path.ts'
import { lastAppliedAnnotation, withLastApplied } from './create-objects.ts'

export const diffCommand = defineCommand({
  name: 'diff', group: 'Advanced Commands', short: 'Diff the live version against a would-be applied version', usage: '-f FILENAME [options]',
  flags: { concurrency: { type: 'int', default: 1, usage: 'Objects at a time.' }, 'field-manager': { type: 'string', default: 'kubectl-client-side-apply', usage: 'Name under which the fields are owned.' }, filename: { type: 'strings', short: 'f', usage: 'Files, folders or - for standard input.' }, 'force-conflicts': { type: 'bool', usage: 'With --server-side: take fields over that others own.' }, recursive: { type: 'bool', short: 'R', usage: 'Look for files in folders below, too.' }, selector: { type: 'string', short: 'l', usage: 'Selector of labels.' }, 'server-side': { type: 'bool', usage: 'Let the server do the merge.' }, 'show-managed-fields': { type: 'bool', usage: 'Keep managedFields.' } },
  async run(context, { flags, args }) {
    if (args.length > 0) throw new UsageError(`Unexpected args: [${args.join(' ')}]`, 'diff')
    if (flags.filename.length === 0) throw new KubectlError('must specify one of -f and -k', 2)
    const session = context.session()
    const [live, merged] = [mkdtempSync(join(tmpdir(), 'LIVE-')), mkdtempSync(join(tmpdir(), 'MERGED-'))]
    try {
      for (const { object, source } of await readManifests(flags.filename, { recursive: flags.recursive, stdin: context.stdin })) {
        const resource = await session.mapper.forKind(String(object['apiVersion']), String(object['kind']))
        if (!resource) throw new KubectlError(`resource mapping not found for kind ${JSON.stringify(String(object['kind']))} in ${source}`)
        const metadata = isJsonObject(object['metadata']) ? object['metadata'] : {}
        const name = String(metadata['name'] ?? '')
        const namespace = resource.namespaced ? String(metadata['namespace'] ?? session.namespace) : ''
        const placed: JsonObject = resource.namespaced ? { ...object, metadata: { ...metadata, namespace } } : object
        let current: JsonObject | undefined
        try {
          current = await session.request('GET', objectPath(resource, namespace, name))
        } catch (error) {
          if (!hasReason(error, 'NotFound')) throw error
        }
        const query = { dryRun: 'All', fieldManager: flags['server-side'] ? 'kubectl' : flags['field-manager'] }
        let wanted: JsonObject
        if (flags['server-side']) wanted = await session.request('PATCH', objectPath(resource, namespace, name, '', { ...query, force: flags['force-conflicts'] }), { body: placed, contentType: 'application/apply-patch+yaml' })
        else if (!current) wanted = await session.request('POST', collectionPath(resource, namespace, query), { body: withLastApplied(placed) })
        else {
          const annotations = isJsonObject(current['metadata']) && isJsonObject(current['metadata']['annotations']) ? current['metadata']['annotations'] : {}
          const last = annotations[lastAppliedAnnotation]
          const parsed: unknown = typeof last === 'string' ? JSON.parse(last) : {}
          const original = isJsonObject(parsed) ? parsed : {}
          const typeId = typeIdOfApiVersion(String(object['apiVersion']), String(object['kind']))
          const patch = typeId === undefined ? createThreeWayMergePatch(original, withLastApplied(placed), current) : createThreeWayStrategicMergePatch(typeId, original, withLastApplied(placed), current, true)
          wanted = await session.request('PATCH', objectPath(resource, namespace, name, '', query), { body: patch, contentType: typeId === undefined ? 'application/merge-patch+json' : 'application/strategic-merge-patch+json' })
        }
        const file = `${resource.group ? `${resource.group}.` : ''}${resource.version}.${resource.kind}.${namespace}.${name}`
        const shown = (value: JsonObject | undefined): string => (value ? formatYaml(withoutApplied(flags['show-managed-fields'] ? value : withoutManagedFields(value))) : '')
        writeFileSync(join(live, file), shown(current))
        writeFileSync(join(merged, file), shown(wanted))
      }
      const [program = 'diff', ...options] = (context.environment['KUBECTL_EXTERNAL_DIFF'] || 'diff -u -N').split(' ')
      const result = spawnSync(program, [...options, live, merged], { encoding: 'utf8', maxBuffer: 1 << 28 })
      if (result.error) throw new KubectlError(`failed to run ${JSON.stringify(program)}: ${result.error.message}`, 2)
      context.out(result.stdout)
      context.err(result.stderr)
      return result.status ?? 2
    } finally {
      for (const folder of [live, merged]) rmSync(folder, { recursive: true, force: true })
    }
  },
})

/** The annotation of apply is no difference by itself. */
function withoutApplied(object: JsonObject): JsonObject {
  const metadata = isJsonObject(object['metadata']) ? object['metadata'] : {}
  if (!isJsonObject(metadata['annotations'])) return object
  const { [lastAppliedAnnotation]: _, ...annotations } = metadata['annotations']
  return { ...object, metadata: { ...metadata, annotations } }
}
