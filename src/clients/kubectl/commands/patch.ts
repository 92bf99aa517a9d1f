// kubectl patch, replace and edit: changes of objects as a whole. Upstream: kubectl/pkg/cmd/{patch,replace,edit}
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { JsonObject, JsonValue } from '../../../lib/base/json.ts'
import { isJsonObject } from '../../../lib/base/json.ts'
import { sleep } from '../../../lib/base/clock.ts'
import { createMergePatch } from '../../../lib/apimachinery/merge-patch.ts'
import { createTwoWayMergePatch } from '../../../lib/api/create-strategic-merge-patch.ts'
import { typeIdOfApiVersion } from '../../../lib/api/type-lookup.ts'
import { ApiError, hasReason } from '../../../lib/client/api-error.ts'
import { YamlError, parseYamlDocuments } from '../../../lib/component-base/yaml.ts'
import { formatYaml } from '../../../lib/component-base/yaml-writer.ts'
import { KubectlError, defineCommand } from '../command.ts'
import type { KubectlContext } from '../command.ts'
import { formatApiError } from '../format-api-error.ts'
import { nameOf, withoutManagedFields } from '../printers/output-format.ts'
import { formatJson } from '../printers/json-printer.ts'
import { readManifests } from '../resources/manifest-files.ts'
import { collectionPath, displayResource, objectPath } from '../resources/object-path.ts'
import { selectObjects, selectionFlags } from '../resources/selected-objects.ts'
import type { SelectedObject } from '../resources/selected-objects.ts'
import { dryRunOf, fieldValidationOf, outputFlags, printOutcome, withLastApplied } from './create-objects.ts'

const contentTypes: { readonly [type: string]: string } = { json: 'application/json-patch+json', merge: 'application/merge-patch+json', strategic: 'application/strategic-merge-patch+json' }

/** Without what changes with every write. */
const comparable = (object: JsonObject): string => JSON.stringify({ ...withoutManagedFields(object), kind: '', apiVersion: '' })

export const patchCommand = defineCommand({
  name: 'patch', group: 'Advanced Commands', short: 'Update fields of a resource', usage: '(-f FILENAME | TYPE NAME) [-p PATCH|--patch-file FILE] [options]', examples: '  kubectl patch node node-1 -p \'{"spec":{"unschedulable":true}}\'\n  kubectl patch pod web-1 --type=json -p=\'[{"op":"replace","path":"/spec/containers/0/image","value":"new image"}]\'',
  flags: { ...selectionFlags, ...outputFlags, 'field-manager': { type: 'string', default: 'kubectl-patch', usage: 'Name under which the fields are owned.' }, local: { type: 'bool', usage: 'Patch the file only.' }, patch: { type: 'string', short: 'p', usage: 'The patch, in JSON or YAML.' }, 'patch-file': { type: 'string', usage: 'File with the patch.' }, subresource: { type: 'string', usage: 'Subresource to patch: status, scale or resize.' }, type: { type: 'string', default: 'strategic', usage: 'json, merge or strategic.' } },
  async run(context, { flags, args }) {
    if (flags.patch && flags['patch-file']) throw new KubectlError('cannot specify --patch and --patch-file together')
    if (!flags.patch && !flags['patch-file']) throw new KubectlError('must specify --patch or --patch-file containing the contents of the patch')
    const type = flags.type.toLowerCase()
    const contentType = contentTypes[type]
    if (!contentType) throw new KubectlError(`--type must be one of [json merge strategic], not ${JSON.stringify(flags.type)}`)
    const patch = parsePatch(flags.patch || readPatchFile(flags['patch-file']), flags.patch)
    const dryRun = dryRunOf(flags['dry-run'])
    const session = context.session()
    for (const { resource, namespace, name, object } of await selectObjects(context, args, flags, 'patch')) {
      const query = { fieldManager: flags['field-manager'], dryRun: dryRun === 'none' ? undefined : 'All' }
      let answer: JsonObject
      try {
        answer = await session.request('PATCH', objectPath(resource, namespace, name, flags.subresource, query), { body: Buffer.from(JSON.stringify(patch)), contentType })
      } catch (error) {
        if (hasReason(error, 'UnsupportedMediaType')) throw new KubectlError(`${contentType} is not supported by ${resource.group}/${resource.version}, Kind=${resource.kind}: ${error.message}`)
        throw error
      }
      const operation = comparable(answer) === comparable(object) ? 'patched (no change)' : 'patched'
      printOutcome(context, { apiVersion: object['apiVersion'], kind: object['kind'], ...answer }, operation, { ...flags, 'dry-run': 'none' }) // the original doesn't say so of a dry run
    }
    return 0
  },
})

function readPatchFile(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    throw new KubectlError(`unable to read patch file: open ${path}: no such file or directory`)
  }
}

function parsePatch(text: string, shown: string): JsonValue {
  try {
    const [document] = parseYamlDocuments(text)
    return document ?? null
  } catch (error) {
    if (error instanceof YamlError) throw new KubectlError(`unable to parse ${JSON.stringify(shown)}: ${error.message}`)
    throw error
  }
}

export const replaceCommand = defineCommand({
  name: 'replace', group: 'Advanced Commands', short: 'Replace a resource by file name or stdin', usage: '-f FILENAME [options]',
  flags: { ...outputFlags, 'field-manager': { type: 'string', default: 'kubectl-replace', usage: 'Name under which the fields are owned.' }, cascade: { type: 'string', default: 'background', whenAlone: 'background', usage: 'With --force: background, orphan or foreground.' }, filename: selectionFlags.filename, force: { type: 'bool', usage: 'Delete the object and make it anew.' }, 'grace-period': { type: 'int', default: -1, usage: 'With --force: seconds to end gracefully.' }, raw: { type: 'string', usage: 'Path to PUT the file to, as it is.' }, recursive: selectionFlags.recursive, subresource: { type: 'string', usage: 'Subresource to replace: status, scale or resize.' }, timeout: { type: 'duration', usage: 'With --force: how long to wait.' }, wait: { type: 'bool', usage: 'With --force: wait until the old object is gone.' } },
  async run(context, { flags, given }) {
    if (given.has('grace-period') && flags['grace-period'] >= 0 && !flags.force) throw new KubectlError('--grace-period must have --force specified')
    if (flags.timeout !== 0 && !flags.force) throw new KubectlError('--timeout must have --force specified')
    const dryRun = dryRunOf(flags['dry-run'])
    if (dryRun !== 'none' && flags.force) throw new KubectlError('--dry-run can not be used when --force is set')
    if (flags.filename.length === 0) throw new KubectlError('must specify one of -f and -k')
    const session = context.session()
    let failures = 0
    for (const { object, source } of await readManifests(flags.filename, { recursive: flags.recursive, stdin: context.stdin })) {
      const resource = await session.mapper.forKind(String(object['apiVersion']), String(object['kind']))
      const metadata = isJsonObject(object['metadata']) ? object['metadata'] : {}
      if (!resource) throw new KubectlError(`resource mapping not found for name: ${JSON.stringify(String(metadata['name'] ?? ''))} namespace: ${JSON.stringify(String(metadata['namespace'] ?? ''))} from ${JSON.stringify(source)}: no matches for kind ${JSON.stringify(String(object['kind']))} in version ${JSON.stringify(String(object['apiVersion']))}\nensure CRDs are installed first`)
      const namespace = resource.namespaced ? String(metadata['namespace'] ?? session.namespace) : ''
      const placed: JsonObject = resource.namespaced ? { ...object, metadata: { ...metadata, namespace } } : object
      const body = flags['save-config'] ? withLastApplied(placed) : placed
      const path = objectPath(resource, namespace, String(metadata['name'] ?? ''), flags.subresource, { fieldManager: flags['field-manager'], fieldValidation: fieldValidationOf(flags.validate), dryRun: dryRun === 'server' ? 'All' : undefined })
      try {
        if (flags.force) await deleteFirst(context, resource, namespace, String(metadata['name'] ?? ''), flags['grace-period'])
        const answer = dryRun === 'client' ? body : flags.force ? await session.request('POST', collectionPath(resource, namespace, { fieldManager: flags['field-manager'], fieldValidation: fieldValidationOf(flags.validate) }), { body }) : await session.request('PUT', path, { body })
        printOutcome(context, { apiVersion: object['apiVersion'], kind: object['kind'], ...answer }, 'replaced', flags)
      } catch (error) {
        if (!(error instanceof ApiError)) throw error
        failures++
        context.err(`${formatReplaceError(error, source)}\n`)
      }
    }
    return failures > 0 ? 1 : 0
  },
})

const formatReplaceError = (error: ApiError, source: string): string => (error.reason === 'Invalid' ? formatApiError(error) : formatApiError(new ApiError({ ...error.status, message: `error when replacing ${JSON.stringify(source)}: ${error.message}` })))

async function deleteFirst(context: KubectlContext, resource: SelectedObject['resource'], namespace: string, name: string, grace: number): Promise<void> {
  const session = context.session()
  const path = objectPath(resource, namespace, name)
  try {
    await session.request('DELETE', path, { body: { kind: 'DeleteOptions', apiVersion: 'v1', propagationPolicy: 'Background', gracePeriodSeconds: Math.max(0, grace) } })
    context.out(`${displayResource(resource)} ${JSON.stringify(name)} deleted${namespace ? ` from ${namespace} namespace` : ''}\n`)
    for (;;) { await session.request('GET', path); await sleep(context.clock, 200, context.signal) }
  } catch (error) {
    if (!hasReason(error, 'NotFound')) throw error
  }
}

const editIntro = '# Please edit the object below. Lines beginning with a \'#\' will be ignored,\n# and an empty file will abort the edit. If an error occurs while saving this file will be\n# reopened with the relevant failures.\n#\n'

export const editCommand = defineCommand({
  name: 'edit', group: 'Basic Commands (Intermediate)', short: 'Edit a resource on the server', usage: '(RESOURCE/NAME | -f FILENAME) [options]',
  flags: { ...selectionFlags, ...outputFlags, 'field-manager': { type: 'string', default: 'kubectl-edit', usage: 'Name under which the fields are owned.' }, output: { type: 'string', short: 'o', default: 'yaml', usage: 'yaml or json.' }, subresource: { type: 'string', usage: 'Subresource to edit.' }, 'output-patch': { type: 'bool', usage: 'Print the patch that is sent.' } },
  async run(context, { flags, args }) {
    const session = context.session()
    const editor = context.environment['KUBE_EDITOR'] || context.environment['EDITOR'] || 'vi'
    const json = flags.output === 'json'
    const folder = mkdtempSync(join(tmpdir(), 'kubectl-edit-'))
    try {
      for (const { resource, namespace, name, object } of await selectObjects(context, args, flags, 'edit')) {
        const original = withoutManagedFields(object)
        const shown = json ? formatJson(original) : formatYaml(original)
        const path = join(folder, `${resource.resource}-${name}.${json ? 'json' : 'yaml'}`)
        let text = json ? shown : editIntro + shown
        for (;;) {
          writeFileSync(path, text, { mode: 0o600 })
          const edited = runEditor(editor, path)
          const [document] = edited.split('\n').every((l) => l.trim() === '' || l.startsWith('#')) ? [] : parseYamlDocuments(edited)
          if (!isJsonObject(document)) { context.err('Edit cancelled, saved file was empty.\n'); break }
          if (JSON.stringify(sortedOf(document)) === JSON.stringify(sortedOf(original))) { context.err('Edit cancelled, no changes made.\n'); break }
          const typeId = typeIdOfApiVersion(String(object['apiVersion']), resource.kind)
          const patch = typeId === undefined ? createMergePatch(original, document) : createTwoWayMergePatch(typeId, original, document)
          if (flags['output-patch']) context.out(`Patch: ${JSON.stringify(patch)}\n`)
          try {
            const answer = await session.request('PATCH', objectPath(resource, namespace, name, flags.subresource, { fieldManager: flags['field-manager'], fieldValidation: fieldValidationOf(flags.validate) }), { body: isJsonObject(patch) ? patch : {}, contentType: typeId === undefined ? contentTypes['merge'] ?? '' : contentTypes['strategic'] ?? '' })
            context.out(`${nameOf({ apiVersion: object['apiVersion'], kind: object['kind'], ...answer })} edited\n`)
            break
          } catch (error) {
            // Once more, with what was wrong on top; unless nobody is there to change it.
            if (!hasReason(error, 'Invalid', 'Conflict') || !context.stdin.isTTY) throw error
            text = `${formatApiError(error).split('\n').map((l) => `# ${l}\n`).join('')}#\n${edited.split('\n').filter((l) => !l.startsWith('#')).join('\n')}`
          }
        }
      }
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
    return 0
  },
})

function runEditor(editor: string, path: string): string {
  const result = spawnSync('sh', ['-c', `${editor} "$1"`, 'sh', path], { stdio: 'inherit' })
  if (result.status !== 0) throw new KubectlError(`there was a problem with the editor ${JSON.stringify(editor)}`)
  return readFileSync(path, 'utf8')
}

function sortedOf(value: JsonValue | undefined): JsonValue {
  if (Array.isArray(value)) return value.map(sortedOf)
  if (isJsonObject(value)) return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)).map(([k, v]) => [k, sortedOf(v)]))
  return value ?? null
}
