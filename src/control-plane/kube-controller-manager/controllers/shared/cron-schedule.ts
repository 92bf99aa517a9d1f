// Cron schedules: five fields (minute, hour, day of month, month, day of week), names, ranges, steps, lists, and the `@daily` kind of shorthand. When both
// days are restricted either suffices. Times are those of the wall clock in a time zone; an hour that a clock skips has no times, one that it repeats has
// them once. Upstream: github.com/robfig/cron/v3
export interface CronSchedule {
  readonly minutes: ReadonlySet<number>
  readonly hours: ReadonlySet<number>
  readonly daysOfMonth: ReadonlySet<number>
  readonly months: ReadonlySet<number>
  readonly daysOfWeek: ReadonlySet<number>
  readonly anyDayOfMonth: boolean
  readonly anyDayOfWeek: boolean
  /** `@every 90m`: milliseconds between times; the fields don't count. */
  readonly everyMs?: number
}

const monthNames = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec']
const dayNames = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat']
const shorthands: { readonly [name: string]: string } = {
  '@yearly': '0 0 1 1 *', '@annually': '0 0 1 1 *', '@monthly': '0 0 1 * *', '@weekly': '0 0 * * 0', '@daily': '0 0 * * *', '@midnight': '0 0 * * *', '@hourly': '0 * * * *',
}
const unitsMs: { readonly [unit: string]: number } = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }

/** The schedule, or undefined when the text is none. */
export function parseCron(text: string): CronSchedule | undefined {
  const trimmed = text.trim()
  const every = /^@every\s+((?:\d+(?:\.\d+)?(?:ms|h|m|s))+)$/.exec(trimmed)
  if (every) {
    const ms = [...(every[1] ?? '').matchAll(/(\d+(?:\.\d+)?)(ms|h|m|s)/g)].reduce((sum, [, number, unit]) => sum + Number(number) * (unitsMs[unit ?? ''] ?? 0), 0)
    const all = new Set<number>()
    // No finer than a second, as upstream rounds it.
    return { minutes: all, hours: all, daysOfMonth: all, months: all, daysOfWeek: all, anyDayOfMonth: true, anyDayOfWeek: true, everyMs: Math.max(1000, Math.floor(ms / 1000) * 1000) }
  }
  const fields = (shorthands[trimmed] ?? trimmed).split(/\s+/)
  if (fields.length !== 5) return undefined
  const [minute = '', hour = '', dayOfMonth = '', month = '', dayOfWeek = ''] = fields
  const minutes = parseField(minute, 0, 59)
  const hours = parseField(hour, 0, 23)
  const daysOfMonth = parseField(dayOfMonth, 1, 31)
  const months = parseField(month, 1, 12, monthNames, 1)
  const daysOfWeek = parseField(dayOfWeek, 0, 6, dayNames, 0)
  if (!minutes || !hours || !daysOfMonth || !months || !daysOfWeek) return undefined
  return { minutes, hours, daysOfMonth, months, daysOfWeek, anyDayOfMonth: /^[*?]/.test(dayOfMonth), anyDayOfWeek: /^[*?]/.test(dayOfWeek) }
}

function parseField(text: string, low: number, high: number, names: readonly string[] = [], firstName = 0): ReadonlySet<number> | undefined {
  const values = new Set<number>()
  const numberOf = (word: string): number | undefined => {
    const named = names.indexOf(word.toLowerCase())
    if (named >= 0) return named + firstName
    return /^\d+$/.test(word) ? Number(word) : undefined
  }
  for (const part of text.split(',')) {
    const match = /^(?:([*?])|(\w+)(?:-(\w+))?)(?:\/(\d+))?$/.exec(part)
    if (!match) return undefined
    const [, star, fromText, toText, stepText] = match
    const from = star ? low : numberOf(fromText ?? '')
    const to = star ? high : toText !== undefined ? numberOf(toText) : stepText === undefined ? from : high
    const step = stepText === undefined ? 1 : Number(stepText)
    if (from === undefined || to === undefined || from < low || to > high || from > to || step < 1) return undefined
    for (let value = from; value <= to; value += step) values.add(value)
  }
  return values
}

interface WallTime { readonly year: number, readonly month: number, readonly day: number, readonly hour: number, readonly minute: number, readonly weekday: number }

const minuteMs = 60_000
const hourMs = 60 * minuteMs
const dayMs = 24 * hourMs
/** Beyond this there is no next time (29 February in a range of years without one). */
const searchMs = 5 * 366 * dayMs

const formats = new Map<string, Intl.DateTimeFormat>()

/** True when the platform knows the time zone. */
export function isTimeZone(name: string): boolean { return formatOf(name) !== undefined }

function formatOf(zone: string): Intl.DateTimeFormat | undefined {
  let format = formats.get(zone)
  if (!format) {
    try {
      format = new Intl.DateTimeFormat('en-US', { timeZone: zone, hourCycle: 'h23', year: 'numeric', month: 'numeric', day: 'numeric', hour: 'numeric', minute: 'numeric' })
    } catch {
      return undefined
    }
    formats.set(zone, format)
  }
  return format
}

function wallTime(atMs: number, zone: string): WallTime {
  const date = new Date(atMs)
  const format = zone === 'UTC' ? undefined : formatOf(zone)
  if (!format) return { year: date.getUTCFullYear(), month: date.getUTCMonth() + 1, day: date.getUTCDate(), hour: date.getUTCHours(), minute: date.getUTCMinutes(), weekday: date.getUTCDay() }
  const parts = Object.fromEntries(format.formatToParts(date).map((part) => [part.type, Number(part.value)]))
  const { year = 0, month = 1, day = 1, hour = 0, minute = 0 } = parts
  return { year, month, day, hour, minute, weekday: new Date(Date.UTC(year, month - 1, day)).getUTCDay() }
}

/** The first time after `afterMs`, milliseconds since the epoch; undefined when there is none. */
export function nextTime(schedule: CronSchedule, afterMs: number, zone: string): number | undefined {
  if (schedule.everyMs !== undefined) return Math.floor(afterMs / 1000) * 1000 + schedule.everyMs
  let at = Math.floor(afterMs / minuteMs) * minuteMs + minuteMs
  const end = at + searchMs
  while (at <= end) {
    const wall = wallTime(at, zone)
    if (!schedule.months.has(wall.month) || !dayMatches(schedule, wall)) {
      // On to the next local midnight: an hour at a time near it, so that a change of the clock is not jumped over.
      const leftMs = dayMs - wall.hour * hourMs - wall.minute * minuteMs
      at += leftMs > 3 * hourMs ? leftMs - 2 * hourMs : Math.min(leftMs, hourMs - wall.minute * minuteMs)
      continue
    }
    if (!schedule.hours.has(wall.hour)) { at += hourMs - wall.minute * minuteMs; continue }
    if (!schedule.minutes.has(wall.minute)) { at += minuteMs; continue }
    // An hour that the clock repeats: only its first run counts.
    const before = wallTime(at - hourMs, zone)
    if (before.hour === wall.hour && before.day === wall.day && before.minute === wall.minute) { at += minuteMs; continue }
    return at
  }
  return undefined
}

function dayMatches(schedule: CronSchedule, wall: WallTime): boolean {
  const byMonth = schedule.daysOfMonth.has(wall.day)
  const byWeek = schedule.daysOfWeek.has(wall.weekday)
  return schedule.anyDayOfMonth || schedule.anyDayOfWeek ? byMonth && byWeek : byMonth || byWeek
}
