// Sets of completion indexes as text: `1,3-5,7`. Upstream: pkg/apis/batch/validation/validation.go
interface Interval {
  readonly first: number
  readonly last: number
}

const quoted = (text: string): string => JSON.stringify(text)

/** The interval, or what is wrong with it. */
function parseInterval(text: string, completions: number): Interval | string {
  const limits = text.split('-')
  if (limits.length > 2) return `the fragment ${quoted(text)} violates the requirement that an index interval can have at most two parts separated by '-'`
  const numbers: number[] = []
  for (const limit of limits) {
    if (!/^\+?\d+$/.test(limit)) return `cannot convert string to integer for index: ${quoted(limit)}`
    if (Number(limit) >= completions) return `too large index: ${quoted(limit)}`
    numbers.push(Number(limit))
  }
  const [first = 0, last = first] = numbers
  return limits.length > 1 && first >= last ? `non-increasing order, previous: ${first}, current: ${last}` : { first, last }
}

/** How many indexes there are, or what is wrong with the text. */
export function countIndexes(text: string, completions: number): number | string {
  let total = 0
  let previous = -1
  for (const part of text === '' ? [] : text.split(',')) {
    const interval = parseInterval(part, completions)
    if (typeof interval === 'string') return interval
    if (previous >= interval.first) return `non-increasing order, previous: ${previous}, current: ${interval.first}`
    total += interval.last - interval.first + 1
    previous = interval.last
  }
  return total
}

/** The first index that is in both, in the order of the text. Intervals that can't be read are passed over. */
export function overlapAt(completed: string, failed: string, completions: number): number | undefined {
  const read = (text: string): Interval[] => text === '' ? [] : text.split(',').flatMap((part) => {
    const interval = parseInterval(part, completions)
    return typeof interval === 'string' ? [] : [interval]
  })
  const left = read(completed)
  const right = read(failed)
  let i = 0
  let j = 0
  for (;;) {
    const a = left[i]
    const b = right[j]
    if (!a || !b) return undefined
    if (a.first <= b.last && b.first <= a.last) return Math.max(a.first, b.first)
    if (a.first <= b.first) i++
    else j++
  }
}
