// Tables: lists and objects as `kubectl get` shows them, made by the server. Kinds without columns of their own show name and time of creation.
// Upstream: pkg/printers/storage, apiserver/pkg/registry/rest/table.go, apiserver/pkg/endpoints/handlers/response.go
import { isJsonObject, type JsonObject, type JsonValue } from '../../base/json.ts'
import type { ListMeta } from '../generated/types/meta-v1.ts'
import { administrationPrinters } from './administration.ts'
import { corePrinters } from './core.ts'
import { networkingPrinters } from './networking.ts'
import { podPrinter } from './pods.ts'
import { nameColumn, printerFor, type Named, type Printer } from './printer.ts'
import { storagePrinters } from './storage.ts'
import { workloadPrinters } from './workloads.ts'

export type IncludeObject = 'Metadata' | 'Object' | 'None'

export interface TableOptions {
  /** Wall time that ages are counted from, milliseconds since the epoch. */
  readonly nowMs: number
  /** What each row carries besides its cells; Metadata unless told. */
  readonly includeObject?: IncludeObject
  /** resourceVersion, continue and remainingItemCount of the answer. For a single object it is the object's own resourceVersion. */
  readonly listMeta?: ListMeta
  /** Later events of a watch leave the columns out. */
  readonly noColumns?: boolean
  /** Version of meta.k8s.io that was asked for; v1 unless told. */
  readonly version?: 'v1' | 'v1beta1'
}

/** What a printer is found by: a ResourceInfo, or a subresource's kind. */
export interface TableKind { readonly group: string; readonly version: string; readonly kind: string }

const defaultPrinter = printerFor<Named>([nameColumn, { name: 'Created At', type: 'date', format: '', description: 'When the object was created.', priority: 0 }], (object) => [object.metadata.name, object.metadata.creationTimestamp ?? ''])

const printers: { readonly [key: string]: Printer } = { '/Pod': podPrinter, ...workloadPrinters, ...corePrinters, ...networkingPrinters, ...storagePrinters, ...administrationPrinters }

function printerOf({ group, version, kind }: TableKind): Printer {
  const versioned = `${group}/${version}/${kind}`
  const plain = `${group}/${kind}`
  return (Object.hasOwn(printers, versioned) ? printers[versioned] : Object.hasOwn(printers, plain) ? printers[plain] : undefined) ?? defaultPrinter
}

/** A Table of these objects. */
export function tableFor(info: TableKind, objects: readonly JsonObject[], options: TableOptions): JsonObject {
  const printer = printerOf(info)
  const metaVersion = `meta.k8s.io/${options.version ?? 'v1'}`
  const include = options.includeObject ?? 'Metadata'
  const rows = objects.map((object): JsonObject => {
    const conditions = printer.conditions?.(object)
    return {
      cells: printer.cells(object, options.nowMs),
      ...(conditions === undefined ? {} : { conditions: conditions.map((condition) => ({ ...condition })) }),
      object: rowObject(info, object, include, metaVersion),
    }
  })
  return { kind: 'Table', apiVersion: metaVersion, metadata: { ...options.listMeta } as JsonObject, columnDefinitions: options.noColumns ? [] : printer.columns.map((column) => ({ ...column })), rows } // cast: ListMeta is plain JSON
}

function rowObject(info: TableKind, object: JsonObject, include: IncludeObject, metaVersion: string): JsonValue {
  switch (include) {
    case 'None': return null
    case 'Metadata': return partialMetadata(object, metaVersion)
    case 'Object': return { kind: info.kind, apiVersion: info.group === '' ? info.version : `${info.group}/${info.version}`, ...object }
  }
}

/** The object with nothing but its metadata, as PartialObjectMetadata. */
export function partialMetadata(object: JsonObject, metaVersion = 'meta.k8s.io/v1'): JsonObject {
  const { metadata } = object
  return { kind: 'PartialObjectMetadata', apiVersion: metaVersion, metadata: isJsonObject(metadata) ? metadata : {} }
}
