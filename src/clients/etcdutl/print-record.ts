// One record in etcdutl's output formats.

export type OutputFormat = 'simple' | 'json' | 'table' | 'fields'

export interface Column {
  /** Title in a table. */
  readonly header: string
  /** Name in `fields`. */
  readonly field: string
  readonly json: string
  readonly value: number | string
  /** In `simple` and `table`, when it is not the value. */
  readonly shown?: string
}

export function printRecord(format: OutputFormat, columns: readonly Column[]): string {
  const shown = columns.map((column) => column.shown ?? String(column.value))
  switch (format) {
    case 'simple': return `${shown.join(', ')}\n`
    case 'json': return `${JSON.stringify(Object.fromEntries(columns.map(({ json, value }) => [json, value])))}\n`
    case 'fields': return columns.map(({ field, value }) => `"${field}" : ${value}\n`).join('')
    case 'table': return table(columns.map(({ header }) => header.toUpperCase()), shown)
  }
}

/** Titles in the middle, values to the right. */
function table(titles: readonly string[], values: readonly string[]): string {
  const widths = titles.map((title, i) => Math.max(title.length, values[i]?.length ?? 0))
  const line = (left: string, middle: string, right: string): string => `${left}${widths.map((width) => '─'.repeat(width + 2)).join(middle)}${right}\n`
  const center = (text: string, width: number): string => {
    const before = Math.floor((width - text.length) / 2)
    return ' '.repeat(before) + text + ' '.repeat(width - text.length - before)
  }
  const row = (cells: readonly string[]): string => `│ ${cells.join(' │ ')} │\n`
  return line('┌', '┬', '┐') + row(titles.map((title, i) => center(title, widths[i] ?? 0))) + line('├', '┼', '┤') + row(values.map((value, i) => value.padStart(widths[i] ?? 0))) + line('└', '┴', '┘')
}

/** `25 kB`: powers of a thousand, one digit after the point below ten. */
export function formatBytes(bytes: number): string {
  if (bytes < 10) return `${bytes} B`
  const power = Math.min(6, Math.floor(Math.log10(bytes) / 3))
  const value = Math.floor((bytes / 1000 ** power) * 10 + 0.5) / 10
  return `${value < 10 ? value.toFixed(1) : value.toFixed(0)} ${['B', 'kB', 'MB', 'GB', 'TB', 'PB', 'EB'][power] ?? ''}`
}
