// kubectl explain: the documentation of a kind and its fields, from the server's OpenAPI v3 documents. Upstream: kubectl/pkg/explain/v2
import type { JsonObject, JsonValue } from '../../../lib/base/json.ts'
import { isJsonObject } from '../../../lib/base/json.ts'
import { ApiError } from '../../../lib/client/api-error.ts'
import { KubectlError, defineCommand } from '../command.ts'
import type { KubectlContext } from '../command.ts'
import { preferred } from '../discovery/resource-mapper.ts'
import type { ServerResource } from '../discovery/resource-mapper.ts'
import { explainSchema } from '../printers/explain-printer.ts'

export const explainCommand = defineCommand({
  name: 'explain', group: 'Basic Commands (Intermediate)', short: 'Get documentation for a resource', usage: 'TYPE [--recursive=FALSE|TRUE] [--api-version=api-version-group] [-o|--output=plaintext|plaintext-openapiv2] [options]',
  examples: '  kubectl explain pods\n  kubectl explain deployments.spec.template\n  kubectl explain pods --recursive',
  flags: { 'api-version': { type: 'string', usage: 'Of this group and version.' }, 'max-depth': { type: 'int', usage: 'How deep to go with --recursive; 0: all the way.' }, output: { type: 'string', short: 'o', default: 'plaintext', usage: 'plaintext or plaintext-openapiv2.' }, recursive: { type: 'bool', short: 'R', usage: 'Print the fields of fields.' } },
  async run(context, { flags, args }) {
    const [word] = args
    if (word === undefined) throw new KubectlError('You must specify the type of resource to explain. Use "kubectl api-resources" for a complete list of supported resources.\n')
    if (args.length > 1) throw new KubectlError('We accept only this format: explain RESOURCE\n')
    if (flags['max-depth'] > 0 && !flags.recursive) throw new KubectlError('--max-depth requires --recursive')
    if (flags['max-depth'] < 0) throw new KubectlError('--max-depth must be non-negative')
    if (flags.output !== 'plaintext') throw new KubectlError(flags.output === 'plaintext-openapiv2' ? 'the format plaintext-openapiv2 is not available in k8ts' : `unrecognized format: ${flags.output}`)
    const { resource, path } = await findExplained(context, word)
    const [group, version] = flags['api-version'] ? parseGroupVersion(flags['api-version']) : [resource.group, resource.version]
    const document = await fetchDocument(context, resource, group, version)
    const found = findSchema(document, group, version, resource.resource)
    if (!found) throw new KubectlError(`GVR (${group}/${version}, Resource=${resource.resource}) not found in OpenAPI schema`)
    // The head is out before a missing field shows.
    context.out(`${found.gvk.group ? `GROUP:      ${found.gvk.group}\n` : ''}KIND:       ${found.gvk.kind}\nVERSION:    ${found.gvk.version}\n\n`)
    const text = explainSchema(found.schema, { document, path, recursive: flags.recursive, maxDepth: flags['max-depth'] })
    if (text === undefined) throw new KubectlError(`field ${JSON.stringify(path.at(-1) ?? '')} does not exist`)
    context.out(`${text}\n`)
    return 0
  },
})

function parseGroupVersion(text: string): readonly [group: string, version: string] {
  const parts = text.split('/')
  if (parts.length > 2) throw new KubectlError(`unexpected GroupVersion string: ${text}`)
  return parts.length === 2 ? [parts[0] ?? '', parts[1] ?? ''] : ['', text]
}

/** `deployments.spec`, or with the group: `deployments.apps.spec`. */
async function findExplained(context: KubectlContext, word: string): Promise<{ readonly resource: ServerResource; readonly path: readonly string[] }> {
  const trimmed = word.replace(/\.$/, '')
  const [name = '', ...path] = trimmed.split('.')
  const { mapper } = context.session()
  const first = await mapper.find(name)
  if (!first) throw new KubectlError(`the server doesn't have a resource type ${JSON.stringify(name)}`, 1, true)
  for (const candidate of preferred(await mapper.all()).filter((r) => r.resource === first.resource)) {
    const whole = candidate.group ? `${candidate.resource}.${candidate.group}` : candidate.resource
    if (candidate.group !== '' && (trimmed === whole || trimmed.startsWith(`${whole}.`))) return { resource: candidate, path: trimmed.slice(whole.length + 1).split('.').filter((p) => p !== '') }
  }
  return { resource: first, path }
}

async function fetchDocument(context: KubectlContext, resource: ServerResource, group: string, version: string): Promise<JsonObject> {
  const session = context.session()
  const index = await session.request('GET', '/openapi/v3')
  const key = group === '' ? `api/${version}` : `apis/${group}/${version}`
  const entry = isJsonObject(index['paths']) ? index['paths'][key] : undefined
  if (!isJsonObject(entry)) throw new KubectlError(`couldn't find resource for "${group}/${version}, Resource=${resource.resource}"`)
  try {
    return await session.request('GET', typeof entry['serverRelativeURL'] === 'string' ? entry['serverRelativeURL'] : `/openapi/v3/${key}`)
  } catch (error) {
    if (error instanceof ApiError) throw new KubectlError(`failed to fetch openapi schema for ${key}: ${error.message}`)
    throw error
  }
}

interface KindName { readonly group: string; readonly version: string; readonly kind: string }

const at = (value: JsonValue | undefined, ...keys: readonly string[]): JsonValue | undefined => keys.reduce<JsonValue | undefined>((v, key) => (isJsonObject(v) ? v[key] : undefined), value)

/** The schema of the kind that the resource's paths speak. */
function findSchema(document: JsonObject, group: string, version: string, resource: string): { readonly schema: JsonObject; readonly gvk: KindName } | undefined {
  const root = group === '' ? `/api/${version}` : `/apis/${group}/${version}`
  const paths = [`${root}/${resource}`, `${root}/${resource}/{name}`, `${root}/namespaces/{namespace}/${resource}`, `${root}/namespaces/{namespace}/${resource}/{name}`]
  const kinds = paths.flatMap((path) => ['get', 'post', 'put', 'patch', 'delete'].map((method) => at(document, 'paths', path, method, 'x-kubernetes-group-version-kind'))).filter(isJsonObject)
  const [gvk] = kinds
  if (!gvk) return undefined
  const name: KindName = { group: String(gvk['group'] ?? ''), version: String(gvk['version'] ?? ''), kind: String(gvk['kind'] ?? '') }
  const schemas = at(document, 'components', 'schemas')
  for (const schema of isJsonObject(schemas) ? Object.values(schemas) : []) {
    const list = at(schema, 'x-kubernetes-group-version-kind')
    if (isJsonObject(schema) && Array.isArray(list) && list.some((k) => isJsonObject(k) && k['group'] === name.group && k['version'] === name.version && k['kind'] === name.kind)) return { schema, gvk: name }
  }
  return undefined
}
