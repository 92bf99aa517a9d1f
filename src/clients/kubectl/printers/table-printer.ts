// Prints the Table objects that the API server makes: kubectl's default and `-o wide` output.
// Upstream: cli-runtime/pkg/printers/tableprinter.go
import type { JsonValue } from '../../../lib/base/json.ts'
import { TabWriter } from './tab-writer.ts'

export interface TableColumn {
  readonly name: string
  readonly type: string
  readonly format?: string
  readonly priority?: number
}

export interface TableRow {
  readonly cells: readonly JsonValue[]
  readonly object?: { readonly metadata?: { readonly name?: string; readonly namespace?: string; readonly labels?: { readonly [key: string]: string } } }
}

export interface TableObject {
  readonly columnDefinitions?: readonly TableColumn[]
  readonly rows?: readonly TableRow[]
}

export interface TablePrinterOptions {
  readonly wide: boolean
  readonly noHeaders: boolean
  readonly withNamespace: boolean
  /** Prefix of names, such as `pod` or `deployment.apps`: with several kinds in one output. */
  readonly kindPrefix: string
  readonly showLabels: boolean
  readonly labelColumns: readonly string[]
  /** A watch with --output-watch-events puts the event's type first. */
  readonly eventColumn?: boolean
}

export class TablePrinter {
  readonly #options: TablePrinterOptions
  readonly #writer: TabWriter
  #columns: readonly TableColumn[] | undefined
  #headerPrinted = false

  constructor(write: (text: string) => void, options: TablePrinterOptions) {
    this.#options = options
    this.#writer = new TabWriter(write)
  }

  /** Prints the rows; the header goes before the first ones. A table without column definitions (a watch's later events) uses the last ones. */
  print(table: TableObject, eventType = ''): void {
    if (table.columnDefinitions && table.columnDefinitions.length > 0) this.#columns = table.columnDefinitions
    const { wide, noHeaders, withNamespace, kindPrefix, showLabels, labelColumns, eventColumn } = this.#options
    const shown = (this.#columns ?? []).map((column, index) => ({ column, index })).filter(({ column }) => wide || (column.priority ?? 0) === 0)
    if (!noHeaders && !this.#headerPrinted) {
      const header = shown.map(({ column }) => column.name.toUpperCase())
      if (withNamespace) header.unshift('NAMESPACE')
      if (eventColumn) header.unshift('EVENT')
      for (const label of labelColumns) header.push((label.split('/').at(-1) ?? label).toUpperCase())
      if (showLabels) header.push('LABELS')
      this.#writer.row(header)
      this.#headerPrinted = true
    }
    for (const row of table.rows ?? []) {
      const cells = shown.map(({ column, index }) => {
        const text = formatCell(row.cells[index])
        return column.format === 'name' && kindPrefix ? `${kindPrefix}/${text}` : text
      })
      const labels = row.object?.metadata?.labels ?? {}
      if (withNamespace) cells.unshift(row.object?.metadata?.namespace ?? '')
      if (eventColumn) cells.unshift(eventType)
      for (const label of labelColumns) cells.push(labels[label] ?? '')
      if (showLabels) cells.push(formatLabels(labels))
      this.#writer.row(cells)
    }
    this.#writer.flush()
  }
}

/** A line break would break the table: only the first line is shown. */
function formatCell(value: JsonValue | undefined): string {
  if (value === null || value === undefined) return '<none>'
  if (typeof value === 'object') return JSON.stringify(value)
  const text = String(value)
  const end = text.search(/[\n\r\f]/)
  return end < 0 ? text : `${text.slice(0, end)}...`
}

export function formatLabels(labels: { readonly [key: string]: string } | undefined): string {
  const pairs = Object.entries(labels ?? {}).sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, value]) => `${key}=${value}`)
  return pairs.length > 0 ? pairs.join(',') : '<none>'
}
