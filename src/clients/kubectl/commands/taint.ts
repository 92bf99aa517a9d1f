// kubectl taint: puts taints on nodes and takes them away. Upstream: kubectl/pkg/cmd/taint
import type { JsonObject } from '../../../lib/base/json.ts'
import { isJsonObject } from '../../../lib/base/json.ts'
import { isQualifiedName, isValidLabelValue } from '../../../lib/apimachinery/validation.ts'
import { KubectlError, UsageError, defineCommand } from '../command.ts'
import { objectPath } from '../resources/object-path.ts'
import { selectObjects, selectionFlags } from '../resources/selected-objects.ts'
import { dryRunOf, outputFlags, printOutcome } from './create-objects.ts'

interface Taint { readonly key: string; readonly value: string; readonly effect: string }

const effects = new Set(['NoSchedule', 'PreferNoSchedule', 'NoExecute'])
const textOf = (t: Taint): string => (t.effect === '' ? t.key : t.value === '' ? `${t.key}:${t.effect}` : `${t.key}=${t.value}:${t.effect}`)

/** `key=value:effect`, `key:effect`, `key`. */
function parseTaint(spec: string): Taint {
  const parts = spec.split(':')
  if (parts.length > 2) throw new KubectlError(`invalid taint spec: ${spec}`)
  const [pair = '', effect = ''] = parts
  if (parts.length === 2 && !effects.has(effect)) throw new KubectlError(`invalid taint effect: ${effect}, unsupported taint effect`)
  const values = pair.split('=')
  if (values.length > 2) throw new KubectlError(`invalid taint spec: ${spec}`)
  const [key = '', value = ''] = values
  const wrongValue = values.length === 2 ? isValidLabelValue(value) : []
  if (wrongValue.length > 0) throw new KubectlError(`invalid taint spec: ${spec}, ${wrongValue.join('; ')}`)
  const wrongKey = isQualifiedName(key)
  if (wrongKey.length > 0) throw new KubectlError(`invalid taint spec: ${spec}, ${wrongKey.join('; ')}`)
  return { key, value, effect }
}

function parseChanges(specs: readonly string[]): { readonly add: readonly Taint[]; readonly remove: readonly Taint[] } {
  const add: Taint[] = []
  const remove: Taint[] = []
  for (const spec of specs) {
    if (spec.endsWith('-')) { const taint = parseTaint(spec.slice(0, -1)); remove.push({ ...taint, value: '' }); continue }
    const taint = parseTaint(spec)
    if (taint.effect === '') throw new KubectlError(`invalid taint spec: ${spec}`)
    if (add.some((t) => t.key === taint.key && t.effect === taint.effect)) throw new KubectlError(`duplicated taints with the same key and effect: {${taint.key} ${taint.value} ${taint.effect} <nil>}`)
    add.push(taint)
  }
  return { add, remove }
}

export const taintCommand = defineCommand({
  name: 'taint', group: 'Cluster Management Commands', short: 'Update the taints on one or more nodes', usage: 'NODE NAME KEY_1=VAL_1:TAINT_EFFECT_1 ... KEY_N=VAL_N:TAINT_EFFECT_N [options]',
  flags: { ...outputFlags, all: selectionFlags.all, selector: selectionFlags.selector, overwrite: { type: 'bool', usage: 'Allow taints to be overwritten.' }, 'field-manager': { type: 'string', default: 'kubectl-taint', usage: 'Name under which the fields are owned.' } },
  async run(context, { flags, args }) {
    const dryRun = dryRunOf(flags['dry-run'])
    const resources: string[] = []
    const specs: string[] = []
    for (const arg of args) {
      const isChange = arg.includes('=') || arg.includes(':') || arg.endsWith('-')
      if (isChange) specs.push(arg)
      else if (specs.length > 0) throw new KubectlError(`all resources must be specified before taint changes: ${arg}`)
      else resources.push(arg)
    }
    if (resources.length === 0) throw new KubectlError('one or more resources must be specified as <resource> <name>')
    if (specs.length === 0) throw new KubectlError('at least one taint update is required')
    let changes: ReturnType<typeof parseChanges>
    try {
      changes = parseChanges(specs)
    } catch (error) {
      if (error instanceof KubectlError) throw new UsageError(error.message, 'taint')
      throw error
    }
    if (flags.all && flags.selector) throw new KubectlError("setting 'all' parameter with a non empty selector is prohibited")
    if (!flags.all && !flags.selector && resources.length < 2) throw new KubectlError("at least one resource name must be specified since 'all' parameter is not set")
    const conflicts = changes.add.filter((a) => changes.remove.some((r) => r.key === a.key && (r.effect === '' || r.effect === a.effect)))
    if (!['node', 'nodes', 'no'].includes((resources[0] ?? '').toLowerCase())) throw new KubectlError(`invalid resource type ${resources[0] ?? ''}, only node types are supported`)
    if (conflicts.length > 0) throw new KubectlError(`can not both modify and remove the following taint(s) in the same command: ${conflicts.map(textOf).join(', ')}`)
    const session = context.session()
    for (const { resource, name, object } of await selectObjects(context, resources, { all: flags.all, selector: flags.selector, 'all-namespaces': false, 'field-selector': '', filename: [], recursive: false }, 'taint')) {
      const spec = isJsonObject(object['spec']) ? object['spec'] : {}
      const current = (Array.isArray(spec['taints']) ? spec['taints'] : []).filter(isJsonObject)
      const same = (t: JsonObject, other: Taint): boolean => t['key'] === other.key && (other.effect === '' || t['effect'] === other.effect)
      const taken = changes.add.filter((a) => current.some((t) => same(t, a)))
      if (taken.length > 0 && !flags.overwrite) throw new KubectlError(`node ${name} already has ${taken.map((t) => t.key).join(',')} taint(s) with same effect(s) and --overwrite is false`)
      const missing = changes.remove.filter((r) => !current.some((t) => same(t, r)))
      if (missing.length > 0) throw new KubectlError(missing.map((t) => `taint ${JSON.stringify(textOf(t))} not found`).join('\n'))
      const kept = current.filter((t) => !changes.add.some((a) => same(t, a)) && !changes.remove.some((r) => same(t, r)))
      const added = changes.add.map((t): JsonObject => ({ effect: t.effect, key: t.key, ...(t.value ? { value: t.value } : {}) }))
      const operation = changes.add.length === 0 ? 'untainted' : changes.remove.length === 0 ? (taken.length > 0 ? 'modified' : 'tainted') : 'modified'
      const taints = [...added, ...kept]
      const modified: JsonObject = { ...object, spec: { ...spec, taints } }
      const answer = dryRun === 'client' ? modified : await session.request('PATCH', objectPath(resource, '', name, '', { fieldManager: flags['field-manager'], dryRun: dryRun === 'server' ? 'All' : undefined }), { body: { spec: { taints: taints.length > 0 ? taints : null } }, contentType: 'application/strategic-merge-patch+json' })
      printOutcome(context, { apiVersion: 'v1', kind: 'Node', ...answer }, operation, flags)
    }
    return 0
  },
})
