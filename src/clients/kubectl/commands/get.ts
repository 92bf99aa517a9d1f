// kubectl get: objects as tables that the server makes, or whole, in any output format; and watching them.
// Upstream: kubectl/pkg/cmd/get
import type { JsonObject, JsonValue } from '../../../lib/base/json.ts'
import { isJsonObject } from '../../../lib/base/json.ts'
import { translateTimestampSince } from '../../../lib/apimachinery/duration.ts'
import { parseJsonPath, relaxJsonPath } from '../../../lib/apimachinery/jsonpath.ts'
import { ApiError } from '../../../lib/client/api-error.ts'
import { KubectlError, UsageError, defineCommand } from '../command.ts'
import type { KubectlContext } from '../command.ts'
import { formatApiError } from '../format-api-error.ts'
import { createObjectPrinter, parseOutputFormat } from '../printers/output-format.ts'
import { TablePrinter } from '../printers/table-printer.ts'
import type { TableObject, TableRow } from '../printers/table-printer.ts'
import { readManifests } from '../resources/manifest-files.ts'
import { collectionPath, displayResource, objectPath } from '../resources/object-path.ts'
import { fetchObjects, listErrorsNamed, resolveTargets } from '../resources/resource-arguments.ts'
import type { ResourceTarget } from '../resources/resource-arguments.ts'
import { formatJson } from '../printers/json-printer.ts'
import { textOf } from '../session.ts'
import type { Session } from '../session.ts'

const tableAccept = 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json'

const getFlags = {
  'all-namespaces': { type: 'bool', short: 'A', usage: 'List the objects of all namespaces.' },
  'allow-missing-template-keys': { type: 'bool', default: true, usage: 'Ignore missing fields in templates.' },
  'chunk-size': { type: 'int', default: 500, usage: 'Return large lists in chunks of this size; 0 for all at once.' },
  'field-selector': { type: 'string', usage: "Selector of fields, supports '=', '==' and '!='." },
  filename: { type: 'strings', short: 'f', usage: 'Files, folders or - for standard input that name the objects.' },
  'ignore-not-found': { type: 'bool', usage: 'Treat "object not found" as success.' },
  'label-columns': { type: 'strings', short: 'L', usage: 'Labels to show as columns.' },
  'no-headers': { type: 'bool', usage: "Don't print headers." },
  output: { type: 'string', short: 'o', usage: 'Output format.' },
  'output-watch-events': { type: 'bool', usage: 'Print the events of a watch, not only the objects.' },
  raw: { type: 'string', usage: 'Path to request from the server as it is.' },
  recursive: { type: 'bool', short: 'R', usage: 'Look for files in folders below, too.' },
  selector: { type: 'string', short: 'l', usage: "Selector of labels, supports '=', '==', '!=', 'in', 'notin'." },
  'server-print': { type: 'bool', default: true, usage: 'Let the server make the table.' },
  'show-kind': { type: 'bool', usage: 'Put the kind in front of names.' },
  'show-labels': { type: 'bool', usage: 'Show all labels as the last column.' },
  'show-managed-fields': { type: 'bool', usage: 'Keep managedFields in JSON and YAML.' },
  'sort-by': { type: 'string', usage: 'JSONPath of the field to sort by.' },
  subresource: { type: 'string', usage: 'Subresource to get: status, scale or resize.' },
  template: { type: 'string', usage: 'Template for go-template and jsonpath.' },
  watch: { type: 'bool', short: 'w', usage: 'After listing, watch for changes.' },
  'watch-only': { type: 'bool', usage: 'Watch for changes without listing first.' },
} as const

export const getCommand = defineCommand({
  name: 'get', group: 'Basic Commands (Intermediate)', short: 'Display one or many resources', usage: '[(-o|--output=)FORMAT] (TYPE[.VERSION][.GROUP] [NAME | -l label] | TYPE[.VERSION][.GROUP]/NAME ...) [flags] [options]',
  examples: '  kubectl get pods\n  kubectl get pods -o wide\n  kubectl get deployment,service web -o yaml\n  kubectl get pods -l app=web -w', flags: getFlags,
  async run(context, { flags, args }) {
    const session = context.session()
    if (flags.raw) {
      if (args.length > 0 || flags.filename.length > 0) throw new UsageError('arguments may not be passed when --raw is specified', 'get')
      context.out(textOf(await session.send('GET', flags.raw)))
      return 0
    }
    if (flags['output-watch-events'] && !flags.watch && !flags['watch-only']) throw new KubectlError('--output-watch-events option can only be used with --watch or --watch-only')
    const sorting = flags['sort-by']
    const format = parseOutputFormat(flags.output, flags.template)
    let targets: readonly ResourceTarget[]
    if (flags.filename.length > 0) targets = await targetsOfFiles(context, session, flags.filename, flags.recursive)
    else {
      if (args.length === 0) throw new KubectlError('You must specify the type of resource to get. Use "kubectl api-resources" for a complete list of supported resources.\n\nerror: Required resource not specified.\nUse "kubectl explain <resource>" for a detailed description of that resource (e.g. kubectl explain pods).\nSee \'kubectl get -h\' for help and examples', 1, true)
      if (flags.selector && args.length > 1 && !args.some((a) => a.includes('/'))) throw new KubectlError('selectors and the all flag cannot be used when passing resource/name arguments')
      targets = await resolveTargets(session, args, { allNamespaces: flags['all-namespaces'] })
    }
    if (flags.watch || flags['watch-only']) return watchTargets(context, session, targets, { ...flags, format, listFirst: !flags['watch-only'] })

    const selection = { labelSelector: flags.selector, fieldSelector: flags['field-selector'], chunkSize: flags['chunk-size'] }
    const several = targets.length > 1 && new Set(targets.map((t) => `${t.resource.group}/${t.resource.resource}`)).size > 1
    let failures = 0
    const onError = (error: unknown): void => {
      if (!(error instanceof ApiError)) throw error
      if (error.reason === 'NotFound' && flags['ignore-not-found']) return
      failures++
      context.err(`${formatApiError(error)}\n`)
    }

    if (format.type !== 'table') {
      const objects: JsonObject[] = []
      for (const target of targets) {
        try {
          if (target.type === 'object' && flags.subresource) objects.push(await session.request('GET', objectPath(target.resource, target.namespace, target.name, flags.subresource)))
          else objects.push(...await fetchObjects(session, target, selection))
        } catch (error) { onError(error) }
      }
      const print = createObjectPrinter(format, { write: context.out, noHeaders: flags['no-headers'], showManagedFields: flags['show-managed-fields'], allowMissingKeys: flags['allow-missing-template-keys'] })
      const sorted = sorting ? sortObjects(objects, sorting) : objects
      const single = targets.length === 1 && targets[0]?.type === 'object' ? sorted[0] : undefined
      if (single) print(single)
      else if (format.type === 'name') for (const object of sorted) print(object)
      else if (failures === 0 || sorted.length > 0) print({ apiVersion: 'v1', items: sorted, kind: 'List', metadata: { resourceVersion: '' } })
      return failures > 0 ? 1 : 0
    }

    let printed = 0
    let separator = false
    let group: { readonly key: string; readonly printer: TablePrinter } | undefined
    for (const target of targets) {
      let table: TableObject
      try {
        table = await fetchTable(session, target, { ...selection, subresource: flags.subresource, includeObject: sorting !== '' })
      } catch (error) { onError(error); continue }
      const rows = sorting ? sortRows(table.rows ?? [], sorting) : (table.rows ?? [])
      if (rows.length === 0) continue
      const key = `${target.resource.group}/${target.resource.resource}`
      if (group?.key !== key) {
        if (separator) context.out('\n')
        const withNamespace = flags['all-namespaces'] && target.resource.namespaced
        group = { key, printer: new TablePrinter(context.out, { wide: format.wide, noHeaders: flags['no-headers'], withNamespace, kindPrefix: several || flags['show-kind'] ? displayResource(target.resource) : '', showLabels: flags['show-labels'], labelColumns: flags['label-columns'] }) }
        separator = true
      }
      group.printer.print({ ...table, rows })
      printed += rows.length
    }
    if (printed === 0 && failures === 0 && !flags['ignore-not-found']) context.err(flags['all-namespaces'] || targets.every((t) => !t.resource.namespaced) ? 'No resources found\n' : `No resources found in ${session.namespace} namespace.\n`)
    return failures > 0 ? 1 : 0
  },
})

async function targetsOfFiles(context: KubectlContext, session: Session, files: readonly string[], recursive: boolean): Promise<readonly ResourceTarget[]> {
  const manifests = await readManifests(files, { recursive, stdin: context.stdin })
  return Promise.all(manifests.map(async ({ object, source }): Promise<ResourceTarget> => {
    const resource = await session.mapper.forKind(String(object['apiVersion']), String(object['kind']))
    if (!resource) throw new KubectlError(`resource mapping not found for kind ${JSON.stringify(String(object['kind']))} in ${source}`)
    const metadata = isJsonObject(object['metadata']) ? object['metadata'] : {}
    return { type: 'object', resource, namespace: resource.namespaced ? String(metadata['namespace'] ?? session.namespace) : '', name: String(metadata['name'] ?? '') }
  }))
}

interface TableRequest {
  readonly labelSelector: string
  readonly fieldSelector: string
  readonly chunkSize: number
  readonly subresource: string
  readonly includeObject: boolean
}

/** All pages of a collection, or one object, as one table. */
async function fetchTable(session: Session, target: ResourceTarget, request: TableRequest): Promise<TableObject & { readonly resourceVersion: string }> {
  const includeObject = request.includeObject ? 'Object' : undefined
  if (target.type === 'object') {
    const answer = await session.request('GET', objectPath(target.resource, target.namespace, target.name, request.subresource, { includeObject }), { accept: tableAccept })
    return { ...toTable(answer, session.nowMs()), resourceVersion: '' }
  }
  let token = ''
  let resourceVersion = ''
  let table: TableObject = {}
  do {
    const answer = await listErrorsNamed(target.resource, request, () => session.request('GET', collectionPath(target.resource, target.namespace, { labelSelector: request.labelSelector, fieldSelector: request.fieldSelector, limit: request.chunkSize || undefined, continue: token, includeObject }), { accept: tableAccept }))
    const page = toTable(answer, session.nowMs())
    table = { columnDefinitions: table.columnDefinitions ?? page.columnDefinitions ?? [], rows: [...(table.rows ?? []), ...(page.rows ?? [])] }
    const metadata = isJsonObject(answer['metadata']) ? answer['metadata'] : {}
    resourceVersion ||= String(metadata['resourceVersion'] ?? '')
    token = String(metadata['continue'] ?? '')
  } while (token !== '')
  return { ...table, resourceVersion }
}

/** A server that can't print gives the objects themselves: their names must do. */
function toTable(answer: JsonObject, nowMs: number): TableObject {
  if (answer['kind'] === 'Table') return answer as unknown as TableObject // cast: a Table by its kind
  const items = Array.isArray(answer['items']) ? answer['items'].filter(isJsonObject) : [answer]
  return {
    columnDefinitions: [{ name: 'Name', type: 'string', format: 'name' }, { name: 'Age', type: 'string' }],
    rows: items.map((object) => ({ cells: isJsonObject(object['metadata']) ? [String(object['metadata']['name'] ?? ''), translateTimestampSince(String(object['metadata']['creationTimestamp'] ?? ''), nowMs)] : ['', '<unknown>'], object: object as NonNullable<TableRow['object']> })), // cast: objects have metadata
  }
}

function sortKey(object: JsonValue, path: ReturnType<typeof parseJsonPath>): JsonValue | undefined { return path.find(object, { allowMissing: true })[0] }

function compareValues(a: JsonValue | undefined, b: JsonValue | undefined): number {
  if (a === undefined || b === undefined) return a === b ? 0 : a === undefined ? -1 : 1
  if (typeof a === 'number' && typeof b === 'number') return a - b
  // Natural order: runs of digits compare as numbers.
  return String(a).localeCompare(String(b), 'en', { numeric: true })
}

function sortObjects(objects: readonly JsonObject[], expression: string): readonly JsonObject[] {
  const path = parseJsonPath(relaxJsonPath(expression))
  return [...objects].sort((a, b) => compareValues(sortKey(a, path), sortKey(b, path)))
}

function sortRows(rows: readonly TableRow[], expression: string): readonly TableRow[] {
  const path = parseJsonPath(relaxJsonPath(expression))
  const objectOf = (row: TableRow): JsonValue => (row.object ?? {}) as JsonValue // cast: JSON from the server
  return [...rows].sort((a, b) => compareValues(sortKey(objectOf(a), path), sortKey(objectOf(b), path)))
}

interface WatchFlags {
  readonly selector: string
  readonly 'field-selector': string
  readonly 'chunk-size': number
  readonly 'no-headers': boolean
  readonly 'all-namespaces': boolean
  readonly 'show-labels': boolean
  readonly 'show-kind': boolean
  readonly 'label-columns': readonly string[]
  readonly 'output-watch-events': boolean
  readonly 'show-managed-fields': boolean
  readonly format: ReturnType<typeof parseOutputFormat>
  readonly listFirst: boolean
}

async function watchTargets(context: KubectlContext, session: Session, targets: readonly ResourceTarget[], flags: WatchFlags): Promise<number> {
  const [target] = targets
  if (!target || targets.length > 1) throw new KubectlError('watch is only supported on individual resources and resource collections')
  const { format } = flags
  const wholeCollection: ResourceTarget = { type: 'collection', resource: target.resource, namespace: target.namespace }
  const fieldSelector = target.type === 'object' ? `metadata.name=${target.name}` : flags['field-selector']
  const query = { labelSelector: flags.selector, fieldSelector }
  const withNamespace = flags['all-namespaces'] && target.resource.namespaced
  const tables = new TablePrinter(context.out, { wide: format.type === 'table' && format.wide, noHeaders: flags['no-headers'], withNamespace, kindPrefix: flags['show-kind'] ? displayResource(target.resource) : '', showLabels: flags['show-labels'], labelColumns: flags['label-columns'], eventColumn: flags['output-watch-events'] })
  const printObject = format.type === 'table' ? undefined : createObjectPrinter(format, { write: context.out, noHeaders: flags['no-headers'], showManagedFields: flags['show-managed-fields'] })
  let resourceVersion: string
  if (printObject) {
    const list = await session.request('GET', collectionPath(target.resource, target.namespace, query))
    resourceVersion = isJsonObject(list['metadata']) ? String(list['metadata']['resourceVersion'] ?? '') : ''
    if (flags.listFirst) for (const item of Array.isArray(list['items']) ? list['items'] : []) if (isJsonObject(item)) emit({ apiVersion: list['apiVersion'], kind: String(list['kind'] ?? '').replace(/List$/, ''), ...item }, 'ADDED')
  } else {
    const table = await fetchTable(session, wholeCollection, { labelSelector: flags.selector, fieldSelector, chunkSize: flags['chunk-size'], subresource: '', includeObject: false })
    resourceVersion = table.resourceVersion
    if (target.type === 'object' && (table.rows ?? []).length === 0) await session.request('GET', objectPath(target.resource, target.namespace, target.name))
    if (flags.listFirst) tables.print(table, 'ADDED')
  }
  function emit(object: JsonObject, type: string): void {
    if (flags['output-watch-events'] && format.type !== 'table') context.out(formatJson({ type, object }))
    else printObject?.(object)
  }
  try {
    for await (const events of session.watch(collectionPath(target.resource, target.namespace, { ...query, resourceVersion, watch: true }), { accept: printObject ? 'application/json' : tableAccept })) {
      for (const event of events) {
        if (event.type === 'ERROR') throw new ApiError(event.object as never) // cast: an ERROR event holds a Status
        if (event.type === 'BOOKMARK') continue
        if (printObject) emit(event.object, event.type)
        else tables.print(toTable(event.object, session.nowMs()), event.type)
      }
    }
  } catch (error) {
    if (context.signal.aborted) return 0
    throw error
  }
  return 0
}
