// What a kind's printer is: its columns and how an object fills them. The server answers `kubectl get` with such rows; columns of priority 1 are shown
// by `-o wide` only. Upstream: pkg/printers
import type { JsonObject } from '../../base/json.ts'
import { formatLabelSelector, selectorOf, type LabelSelectorObject } from '../../apimachinery/label-selector.ts'
import { translateTimestampSince } from '../../apimachinery/duration.ts'
import type { ObjectMeta } from '../generated/types/meta-v1.ts'

export interface TableColumn {
  readonly name: string
  readonly type: 'string' | 'integer' | 'boolean' | 'number' | 'date'
  readonly format: '' | 'name'
  readonly description: string
  readonly priority: number
}

export type Cell = string | number | boolean | null

export interface RowCondition { readonly type: 'Completed'; readonly status: 'True'; readonly reason: string; readonly message: string }

export interface Printer {
  readonly columns: readonly TableColumn[]
  cells(object: JsonObject, nowMs: number): readonly Cell[]
  /** Marks rows of pods that are done. */
  conditions?(object: JsonObject): readonly RowCondition[] | undefined
}

export interface Named { readonly metadata: ObjectMeta }

/** A printer for objects of type T. */
export function printerFor<T extends Named>(columns: readonly TableColumn[], cells: (object: T, nowMs: number) => readonly Cell[], conditions?: (object: T) => readonly RowCondition[] | undefined): Printer {
  return {
    columns,
    cells: (object, nowMs) => cells(object as unknown as T, nowMs), // cast: the registry maps each kind to the printer of its type
    ...(conditions === undefined ? {} : { conditions: (object: JsonObject) => conditions(object as unknown as T) }), // cast: as above
  }
}

export function text(name: string, description: string, priority = 0): TableColumn { return { name, type: 'string', format: '', description, priority } }
export function integer(name: string, description: string, priority = 0): TableColumn { return { name, type: 'integer', format: '', description, priority } }
export function boolean(name: string, description: string, priority = 0): TableColumn { return { name, type: 'boolean', format: '', description, priority } }

export const nameColumn: TableColumn = { name: 'Name', type: 'string', format: 'name', description: 'Name of the object, unique within its namespace.', priority: 0 }
export const ageColumn: TableColumn = text('Age', 'Time since the object was created.')
export const containersColumn: TableColumn = text('Containers', 'Names of the containers in the template.', 1)
export const imagesColumn: TableColumn = text('Images', 'Images of the containers in the template.', 1)
export const selectorColumn: TableColumn = text('Selector', 'Which pods belong to it.', 1)

export function ageOf(object: Named, nowMs: number): string { return translateTimestampSince(object.metadata.creationTimestamp, nowMs) }

/** `a=1,b=2`, `<none>` without labels. */
export function formatLabels(labels: { readonly [key: string]: string } | undefined): string {
  const pairs = Object.entries(labels ?? {}).map(([key, value]) => `${key}=${value}`).sort()
  return pairs.length === 0 ? '<none>' : pairs.join(',')
}

/** A LabelSelector as text: `<none>` when empty, `<error>` when invalid. */
export function formatSelector(selector: LabelSelectorObject | undefined): string {
  const parsed = selectorOf(selector)
  if (!parsed.ok) return '<error>'
  const printed = formatLabelSelector(parsed.selector)
  return printed === '' ? '<none>' : printed
}

interface Templated { readonly spec?: { readonly containers?: readonly { readonly name: string; readonly image?: string }[] } }

/** Names and images of a template's containers. */
export function containerCells(template: Templated | undefined): readonly [string, string] {
  const containers = template?.spec?.containers ?? []
  return [containers.map((c) => c.name).join(','), containers.map((c) => c.image ?? '').join(',')]
}

/** The first three of a list, and how many there are besides. */
export function firstOf(list: readonly string[], count = list.length, max = 3): string {
  const shown = list.slice(0, max).join(',')
  return count > max ? `${shown} + ${count - max} more...` : shown
}
