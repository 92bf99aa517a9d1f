// kubectl label and annotate: add, change and remove (`key-`) labels and annotations. Upstream: kubectl/pkg/cmd/{label,annotate}
import type { JsonObject } from '../../../lib/base/json.ts'
import { isJsonObject } from '../../../lib/base/json.ts'
import { isQualifiedName, isValidLabelValue } from '../../../lib/apimachinery/validation.ts'
import { KubectlError, UsageError, defineCommand } from '../command.ts'
import type { KubectlCommand } from '../command.ts'
import { nameOf, parseOutputFormat } from '../printers/output-format.ts'
import { objectPath } from '../resources/object-path.ts'
import { selectObjects, selectionFlags } from '../resources/selected-objects.ts'
import { dryRunOf, printOutcome } from './create-objects.ts'

interface Change {
  readonly set: ReadonlyMap<string, string>
  readonly remove: readonly string[]
  /** Arguments before the changes: what to change. */
  readonly resources: readonly string[]
}

function parseChanges(args: readonly string[], what: 'label' | 'annotation'): Change {
  const set = new Map<string, string>()
  const remove: string[] = []
  const resources: string[] = []
  for (const arg of args) {
    const isChange = arg.includes('=') || (arg.endsWith('-') && !arg.includes('/') && arg !== '-') || (arg.endsWith('-') && resources.length > 0)
    if (!isChange) {
      if (set.size + remove.length > 0) throw new KubectlError(`all resources must be specified before ${what} changes: ${arg}`)
      resources.push(arg)
    } else if (arg.includes('=')) {
      const at = arg.indexOf('=')
      const [key, value] = [arg.slice(0, at), arg.slice(at + 1)]
      const problems = [...isQualifiedName(key), ...(what === 'label' ? isValidLabelValue(value) : [])]
      if (what === 'label' && key !== '' && isQualifiedName(key).length === 0 && problems.length > 0) throw new KubectlError(`invalid label value: ${JSON.stringify(arg)}: ${problems.join('; ')}`)
      if (key === '' || problems.length > 0) throw new KubectlError(`invalid ${what} ${what === 'label' ? 'spec' : 'format'}: ${arg}${problems.length > 0 ? `; ${problems.join('; ')}` : ''}`)
      set.set(key, value)
    } else remove.push(arg.slice(0, -1))
  }
  for (const key of remove) if (set.has(key)) throw new KubectlError(`can not both modify and remove ${what === 'label' ? 'a label' : 'an annotation'} in the same command`)
  return { set, remove, resources }
}

function changingCommand(name: 'label' | 'annotate', what: 'label' | 'annotation', field: 'labels' | 'annotations', done: string, undone: string): KubectlCommand {
  return defineCommand({
    name, group: 'Settings Commands', short: `Update the ${field} on a resource`, usage: '[--overwrite] (-f FILENAME | TYPE NAME) KEY_1=VAL_1 ... KEY_N=VAL_N [--resource-version=version] [options]',
    flags: { ...selectionFlags, 'dry-run': { type: 'string', default: 'none', whenAlone: 'unchanged', usage: 'none, server or client.' }, 'field-manager': { type: 'string', default: `kubectl-${name}`, usage: 'Name under which the fields are owned.' }, list: { type: 'bool', usage: `Print the ${field}.` }, local: { type: 'bool', usage: 'Work on the files only, without a server.' },
      output: { type: 'string', short: 'o', usage: 'Output format.' }, overwrite: { type: 'bool', usage: `Allow ${field} to be overwritten.` }, 'resource-version': { type: 'string', usage: 'Change only this version of the object.' }, 'show-managed-fields': { type: 'bool', usage: 'Keep managedFields in JSON and YAML.' }, template: { type: 'string', usage: 'Template for go-template and jsonpath.' } },
    async run(context, { flags, args }) {
      const change = parseChanges(args, what)
      if (change.set.size + change.remove.length === 0 && !flags.list) throw new KubectlError(`at least one ${what} update is required`)
      if (change.resources.length === 0 && flags.filename.length === 0) throw new UsageError('one or more resources must be specified as <resource> <name> or <resource>/<name>', name)
      const dryRun = dryRunOf(flags['dry-run'])
      const session = context.session()
      const selected = await selectObjects(context, change.resources, flags, name)
      for (const { resource, namespace, name: objectName, object } of selected) {
        const metadata = isJsonObject(object['metadata']) ? object['metadata'] : {}
        const current = isJsonObject(metadata[field]) ? metadata[field] : {}
        if (flags.list) {
          for (const [key, value] of Object.entries(current).sort(([a], [b]) => (a < b ? -1 : 1))) context.out(`${key}=${String(value)}\n`)
          continue
        }
        if (!flags.overwrite) {
          const taken = [...change.set].filter(([key, value]) => Object.hasOwn(current, key) && current[key] !== value)
          const [first] = taken
          if (first) throw new KubectlError(what === 'label' ? `'${first[0]}' already has a value (${String(current[first[0]])}), and --overwrite is false` : `--overwrite is false but found the following declared annotation(s): ${taken.map(([k]) => `'${k}' already has a value (${String(current[k])})`).join('; ')}`)
        }
        for (const key of change.remove) if (!Object.hasOwn(current, key)) context.out(`${what} ${JSON.stringify(key)} not found.\n`)
        const same = [...change.set].every(([k, v]) => current[k] === v) && change.remove.every((k) => !Object.hasOwn(current, k))
        const operation = same ? (what === 'label' ? 'not labeled' : 'annotated') : change.set.size === 0 ? undone : done
        const patch: JsonObject = { metadata: { [field]: { ...Object.fromEntries(change.set), ...Object.fromEntries(change.remove.map((k) => [k, null])) }, ...(flags['resource-version'] ? { resourceVersion: flags['resource-version'] } : {}) } }
        const local: JsonObject = { ...object, metadata: { ...metadata, [field]: Object.fromEntries(Object.entries({ ...current, ...Object.fromEntries(change.set) }).filter(([key]) => !change.remove.includes(key))) } }
        const answer = dryRun === 'client' || (same && what === 'label') ? local
          : await session.request('PATCH', objectPath(resource, namespace, objectName, '', { fieldManager: flags['field-manager'], dryRun: dryRun === 'server' ? 'All' : undefined }), { body: patch, contentType: 'application/merge-patch+json' })
        const whole: JsonObject = { apiVersion: object['apiVersion'], kind: object['kind'], ...answer }
        if (parseOutputFormat(flags.output, flags.template).type === 'table') context.out(`${nameOf(whole)} ${operation}${dryRun === 'none' ? '' : dryRun === 'server' ? ' (server dry run)' : ' (dry run)'}\n`)
        else printOutcome(context, whole, operation, flags)
      }
      return 0
    },
  })
}

export const labelCommand = changingCommand('label', 'label', 'labels', 'labeled', 'unlabeled')
export const annotateCommand = changingCommand('annotate', 'annotation', 'annotations', 'annotated', 'annotated')
