// Columns of text aligned as Go's text/tabwriter aligns them for kubectl: at least 6 wide, three spaces between, the last cell of a line
// unpadded. Widths are remembered between blocks, so that the rows of a watch stay under their header.
// Upstream: cli-runtime/pkg/printers/tabwriter.go (liggitt/tabwriter with RememberWidths)

const minWidth = 6
const padding = 3

export class TabWriter {
  readonly #write: (text: string) => void
  readonly #widths: number[] = []
  #rows: (readonly string[])[] = []

  constructor(write: (text: string) => void) { this.#write = write }

  row(cells: readonly string[]): void { this.#rows.push(cells) }

  /** Writes the rows so far. */
  flush(): void {
    for (const row of this.#rows) row.slice(0, -1).forEach((cell, i) => { this.#widths[i] = Math.max(this.#widths[i] ?? minWidth, displayWidth(cell) + padding) })
    let text = ''
    for (const row of this.#rows) {
      row.forEach((cell, i) => { text += i === row.length - 1 ? cell : cell + ' '.repeat(Math.max(0, (this.#widths[i] ?? 0) - displayWidth(cell))) })
      text += '\n'
    }
    this.#rows = []
    if (text !== '') this.#write(text)
  }
}

function displayWidth(text: string): number { return [...text].length }

/**
 * Aligns tab-separated lines block by block, as a plain tabwriter does for `describe`: a column is as wide as its widest cell among consecutive
 * lines that have it. `minimum` and `gap` are the writer's minimum width and padding (describe: 0 and 2).
 */
export function alignTabs(text: string, minimum = 0, gap = 2): string {
  const lines = text.split('\n').map((line) => line.split('\t'))
  const widths: number[][] = lines.map((cells) => new Array<number>(cells.length).fill(0))
  const deepest = Math.max(0, ...lines.map((cells) => cells.length - 1))
  for (let column = 0; column < deepest; column++) {
    let start = 0
    while (start < lines.length) {
      // A cell counts for a column only when a tab ends it.
      if ((lines[start]?.length ?? 0) - 1 <= column) { start++; continue }
      let end = start
      let width = 0
      while (end < lines.length && (lines[end]?.length ?? 0) - 1 > column) {
        width = Math.max(width, displayWidth(lines[end]?.[column] ?? ''))
        end++
      }
      const full = Math.max(minimum, width + gap)
      for (let i = start; i < end; i++) { const row = widths[i]; if (row) row[column] = full }
      start = end
    }
  }
  return lines.map((cells, i) => cells.map((cell, j) => (j === cells.length - 1 ? cell : cell + ' '.repeat(Math.max(0, (widths[i]?.[j] ?? 0) - displayWidth(cell))))).join('')).join('\n')
}
