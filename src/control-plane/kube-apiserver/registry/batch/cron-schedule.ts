// Checks cron schedules: five fields or a descriptor such as `@daily`. Upstream: github.com/robfig/cron/v3 (ParseStandard)
interface Bounds {
  readonly min: number
  readonly max: number
  readonly names?: { readonly [name: string]: number }
}

const months = { jan: 1, feb: 2, mar: 3, apr: 4, may: 5, jun: 6, jul: 7, aug: 8, sep: 9, oct: 10, nov: 11, dec: 12 }
const days = { sun: 0, mon: 1, tue: 2, wed: 3, thu: 4, fri: 5, sat: 6 }
const fields: readonly Bounds[] = [{ min: 0, max: 59 }, { min: 0, max: 23 }, { min: 1, max: 31 }, { min: 1, max: 12, names: months }, { min: 0, max: 6, names: days }]
const descriptors = new Set(['@yearly', '@annually', '@monthly', '@weekly', '@daily', '@midnight', '@hourly'])
const durationExpression = /^[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|ms|s|m|h)(?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|ms|s|m|h))*$|^[-+]?0$/

/** What is wrong with a schedule, as clients see it; undefined when it is right. */
export function cronScheduleError(text: string): string | undefined {
  if (text === '') return 'empty spec string'
  let schedule = text
  // A time zone in front is understood, and refused by others.
  if (text.startsWith('TZ=') || text.startsWith('CRON_TZ=')) schedule = text.includes(' ') ? text.slice(text.indexOf(' ')).trim() : ''
  if (schedule.startsWith('@')) {
    if (descriptors.has(schedule)) return undefined
    if (!schedule.startsWith('@every ')) return `unrecognized descriptor: ${schedule}`
    const duration = schedule.slice('@every '.length)
    return durationExpression.test(duration) ? undefined : `failed to parse duration ${schedule}: time: invalid duration ${JSON.stringify(duration)}`
  }
  const parts = schedule.trim().split(/\s+/).filter((part) => part !== '')
  if (parts.length !== fields.length) return `expected exactly ${fields.length} fields, found ${parts.length}: [${parts.join(' ')}]`
  for (const [i, bounds] of fields.entries()) {
    for (const expression of (parts[i] ?? '').split(',').filter((part) => part !== '')) {
      const wrong = rangeError(expression, bounds)
      if (wrong !== undefined) return wrong
    }
  }
  return undefined
}

function rangeError(expression: string, bounds: Bounds): string | undefined {
  const steps = expression.split('/')
  const ends = (steps[0] ?? '').split('-')
  let start = bounds.min
  let end = bounds.max
  if (ends[0] !== '*' && ends[0] !== '?') {
    const first = parseNumber(ends[0] ?? '', bounds)
    if (typeof first === 'string') return first
    start = first
    if (ends.length > 2) return `too many hyphens: ${expression}`
    const last = ends.length === 2 ? parseNumber(ends[1] ?? '', bounds) : start
    if (typeof last === 'string') return last
    end = last
  }
  let step = 1
  if (steps.length > 2) return `too many slashes: ${expression}`
  if (steps.length === 2) {
    const parsed = parseNumber(steps[1] ?? '', { min: 0, max: 0 })
    if (typeof parsed === 'string') return parsed
    step = parsed
    if (ends.length === 1) end = bounds.max
  }
  if (start < bounds.min) return `beginning of range (${start}) below minimum (${bounds.min}): ${expression}`
  if (end > bounds.max) return `end of range (${end}) above maximum (${bounds.max}): ${expression}`
  if (start > end) return `beginning of range (${start}) beyond end of range (${end}): ${expression}`
  return step === 0 ? `step of range should be a positive number: ${expression}` : undefined
}

/** The number, or the text of the error. */
function parseNumber(text: string, bounds: Bounds): number | string {
  const named = bounds.names?.[text.toLowerCase()]
  if (named !== undefined) return named
  if (!/^[+-]?\d+$/.test(text)) return `failed to parse int from ${text}: strconv.Atoi: parsing ${JSON.stringify(text)}: invalid syntax`
  const value = Number(text)
  return value < 0 ? `negative number (${value}) not allowed: ${text}` : value
}
