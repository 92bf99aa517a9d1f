// Lines of a description: two spaces a level, columns separated by tabs. `aligned` gives the text with its columns aligned; a `flush` ends the
// blocks before it, so that what follows doesn't widen their columns.
import { formatLabelSelector, selectorOf } from '../../../lib/apimachinery/label-selector.ts'
import type { LabelSelectorObject } from '../../../lib/apimachinery/label-selector.ts'
import { alignTabs } from '../printers/tab-writer.ts'

type Texts = { readonly [key: string]: string } | undefined

export class DescribeWriter {
  #flushed = ''
  #text = ''

  /** One line at a depth of indentation. */
  line(level: number, text: string): void { this.#text += `${'  '.repeat(level)}${text}\n` }

  /** Text without a line break. */
  raw(text: string): void { this.#text += text }

  /** `Title:` and one `key=value` a line, sorted; `<none>` when there are none. */
  labels(title: string, labels: Texts, indent = ''): void {
    this.list(title, Object.keys(labels ?? {}).sort().map((key) => `${key}=${labels?.[key] ?? ''}`), indent)
  }

  /** `Title:` and one text a line, in the second column. */
  list(title: string, texts: readonly string[], indent = ''): void {
    if (texts.length === 0) { this.#text += `${indent}${title}:\t<none>\n`; return }
    texts.forEach((text, i) => { this.#text += `${i === 0 ? `${indent}${title}:` : ''}\t${text}\n` })
  }

  /** Annotations: the one of apply isn't shown, long ones are cut. Lines after the first aren't indented, in templates neither. */
  annotations(title: string, annotations: Texts, indent = ''): void {
    const entries = Object.entries(annotations ?? {}).filter(([key]) => key !== 'kubectl.kubernetes.io/last-applied-configuration').sort(([a], [b]) => (a < b ? -1 : 1))
    if (entries.length === 0) { this.#text += `${indent}${title}:\t<none>\n`; return }
    entries.forEach(([key, value], i) => {
      const head = i === 0 ? `${indent}${title}:\t` : '\t'
      const text = value.replace(/\n$/, '')
      if (Buffer.byteLength(key) + Buffer.byteLength(text) + 2 > longestAnnotation || text.includes('\n')) {
        this.#text += `${head}${key}:\n`
        for (const line of text.split('\n')) this.#text += `\t  ${line.length > longestAnnotation - 2 ? `${line.slice(0, longestAnnotation - 2)}...` : line}\n`
      } else this.#text += `${head}${key}: ${text}\n`
    })
  }

  /** Aligns what is there; later lines start new columns. */
  flush(): void {
    this.#flushed += alignTabs(this.#text)
    this.#text = ''
  }

  /** The text with its tabs. */
  finish(): string { return this.#flushed + this.#text }

  /** The text with its columns aligned. */
  aligned(): string {
    this.flush()
    return this.#flushed
  }
}

const longestAnnotation = 140

/** `Mon, 02 Jan 2006 15:04:05 -0700` in the time zone of the machine; Go's zero time without a timestamp. */
export function formatLongTime(timestamp: string | undefined): string {
  if (!timestamp) return 'Mon, 01 Jan 0001 00:00:00 +0000'
  const date = new Date(timestamp)
  const two = (n: number): string => String(n).padStart(2, '0')
  const day = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'][date.getDay()] ?? ''
  const month = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'][date.getMonth()] ?? ''
  const offset = -date.getTimezoneOffset()
  const zone = `${offset < 0 ? '-' : '+'}${two(Math.floor(Math.abs(offset) / 60))}${two(Math.abs(offset) % 60)}`
  return `${day}, ${two(date.getDate())} ${month} ${date.getFullYear()} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())} ${zone}`
}

/** A LabelSelector as one text: empty for one that selects everything. */
export function formatSelector(selector: LabelSelectorObject | undefined): string {
  const parsed = selectorOf(selector)
  return parsed.ok ? formatLabelSelector(parsed.selector) : `<error: ${parsed.error}>`
}

export const orNone = (text: string): string => (text === '' ? '<none>' : text)
export const printBool = (value: boolean | undefined): string => (value ? 'True' : 'False')
export const boolOrUnset = (value: boolean | undefined): string => (value === undefined ? '<unset>' : printBool(value))

/** `Kind/name` of the controller, or nothing. */
export function controllerText(metadata: { readonly ownerReferences?: readonly { readonly kind: string; readonly name: string; readonly controller?: boolean }[] }): string {
  const owner = metadata.ownerReferences?.find((o) => o.controller)
  return owner ? `${owner.kind}/${owner.name}` : ''
}
