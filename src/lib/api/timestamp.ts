// metav1.Time and metav1.MicroTime: RFC 3339 in, UTC with whole seconds or exactly six digits out.
// Upstream: apimachinery/pkg/apis/meta/v1/time.go, micro_time.go

const canonicalSeconds = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/
const rfc3339 = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:[.,](\d+))?(Z|[+-]\d\d:\d\d)$/
const zeroTime = '0001-01-01T00:00:00Z'

export interface Instant {
  /** Seconds since the epoch. */
  readonly seconds: number
  readonly microseconds: number
}

/** Reads RFC 3339; undefined when the text is none. */
export function parseInstant(text: string): Instant | undefined {
  const match = rfc3339.exec(text)
  if (match === null) return undefined
  const [, date = '', fraction = '', zone = ''] = match
  const ms = Date.parse(`${date}${zone}`)
  // Date.parse rolls nothing over: 2024-02-30 is refused by the check that the date prints back.
  if (Number.isNaN(ms) || new Date(Date.parse(`${date}Z`)).toISOString().slice(0, 19) !== date) return undefined
  return { seconds: Math.floor(ms / 1000), microseconds: Number(fraction.slice(0, 6).padEnd(6, '0')) }
}

function printSeconds(seconds: number): string { return new Date(seconds * 1000).toISOString().slice(0, 19) }

/** The canonical text of a Time; null for the zero time; undefined when the text is no time. */
export function normalizeTime(text: string): string | null | undefined {
  if (text === zeroTime) return null
  const instant = parseInstant(text)
  if (instant === undefined) return undefined
  return canonicalSeconds.test(text) ? text : `${printSeconds(instant.seconds)}Z`
}

/** The canonical text of a MicroTime; null for the zero time; undefined when the text is no time. */
export function normalizeMicroTime(text: string): string | null | undefined {
  if (text === zeroTime) return null
  const instant = parseInstant(text)
  return instant === undefined ? undefined : formatMicroInstant(instant)
}

export function formatInstant(instant: Instant): string { return `${printSeconds(instant.seconds)}Z` }

export function formatMicroInstant(instant: Instant): string { return `${printSeconds(instant.seconds)}.${String(instant.microseconds).padStart(6, '0')}Z` }

/** What Go says of a text that is no time. */
export function timeError(text: string, layout = '2006-01-02T15:04:05Z07:00'): string {
  return `parsing time ${JSON.stringify(text)} as ${JSON.stringify(layout)}: cannot parse ${JSON.stringify(text)} as "2006"`
}
