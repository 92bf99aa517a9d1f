// Lengths of time as texts: Go's (`1h2m3.5s`, in metav1.Duration and flags) and people's (`5d3h`, in the AGE column).
// Upstream: Go's time package, apimachinery/pkg/util/duration

const nanosecondsPer: { readonly [unit: string]: bigint } = { ns: 1n, us: 1000n, 'µs': 1000n, 'μs': 1000n, ms: 1_000_000n, s: 1_000_000_000n, m: 60_000_000_000n, h: 3_600_000_000_000n }

/** Nanoseconds of a Go duration; undefined when the text is none. */
export function parseDurationNanoseconds(text: string): bigint | undefined {
  const negative = text.startsWith('-')
  const body = text.replace(/^[+-]/, '')
  if (body === '0') return 0n
  if (body === '') return undefined
  let total = 0n
  let at = 0
  const part = /(\d*)(?:\.(\d*))?(ns|us|µs|μs|ms|s|m|h)/y
  while (at < body.length) {
    part.lastIndex = at
    const match = part.exec(body)
    if (match === null) return undefined
    const [all, whole = '', fraction = '', unit = ''] = match
    if (whole === '' && fraction === '') return undefined
    const scale = nanosecondsPer[unit] ?? 1n
    total += BigInt(whole || '0') * scale + (fraction === '' ? 0n : (BigInt(fraction) * scale) / 10n ** BigInt(fraction.length))
    at += all.length
  }
  if (total > (negative ? 1n << 63n : (1n << 63n) - 1n)) return undefined
  return negative ? -total : total
}

/** Milliseconds (with fractions) of a Go duration; undefined when the text is none. */
export function parseDurationMs(text: string): number | undefined {
  const nanoseconds = parseDurationNanoseconds(text)
  return nanoseconds === undefined ? undefined : Number(nanoseconds) / 1e6
}

/** Prints nanoseconds as Go does: `1h2m3.5s`, `300ms`, `0s`. */
export function formatDurationNanoseconds(nanoseconds: bigint): string {
  if (nanoseconds === 0n) return '0s'
  const sign = nanoseconds < 0n ? '-' : ''
  const value = nanoseconds < 0n ? -nanoseconds : nanoseconds
  const decimal = (amount: bigint, unit: bigint): string => {
    const fraction = String(amount % unit).padStart(String(unit).length - 1, '0').replace(/0+$/, '')
    return `${amount / unit}${fraction === '' ? '' : `.${fraction}`}`
  }
  if (value < 1000n) return `${sign}${value}ns`
  if (value < 1_000_000n) return `${sign}${decimal(value, 1000n)}µs`
  if (value < 1_000_000_000n) return `${sign}${decimal(value, 1_000_000n)}ms`
  const minutes = value / 60_000_000_000n
  const seconds = `${decimal(value % 60_000_000_000n, 1_000_000_000n)}s`
  if (minutes === 0n) return `${sign}${seconds}`
  if (minutes < 60n) return `${sign}${minutes}m${seconds}`
  return `${sign}${minutes / 60n}h${minutes % 60n}m${seconds}`
}

export function formatDurationMs(milliseconds: number): string { return formatDurationNanoseconds(BigInt(Math.round(milliseconds * 1e6))) }

/** Two or three significant figures, as the AGE column shows: `42s`, `5m30s`, `3h12m`, `5d3h`, `2y40d`. */
export function formatHumanDuration(milliseconds: number): string {
  const seconds = Math.trunc(milliseconds / 1000)
  if (seconds < -1) return '<invalid>'
  if (seconds < 0) return '0s'
  if (seconds < 120) return `${seconds}s`
  const minutes = Math.trunc(seconds / 60)
  if (minutes < 10) return seconds % 60 === 0 ? `${minutes}m` : `${minutes}m${seconds % 60}s`
  if (minutes < 180) return `${minutes}m`
  const hours = Math.trunc(minutes / 60)
  if (hours < 8) return minutes % 60 === 0 ? `${hours}h` : `${hours}h${minutes % 60}m`
  if (hours < 48) return `${hours}h`
  const days = Math.trunc(hours / 24)
  if (hours < 24 * 8) return hours % 24 === 0 ? `${days}d` : `${days}d${hours % 24}h`
  if (hours < 24 * 365 * 2) return `${days}d`
  const years = Math.trunc(days / 365)
  if (hours < 24 * 365 * 8) return days % 365 === 0 ? `${years}y` : `${years}y${days % 365}d`
  return `${years}y`
}

/** One figure: `42s`, `5m`, `3h`, `5d`, `2y`. */
export function formatShortHumanDuration(milliseconds: number): string {
  const seconds = Math.trunc(milliseconds / 1000)
  if (seconds < -1) return '<invalid>'
  if (seconds < 0) return '0s'
  if (seconds < 60) return `${seconds}s`
  if (seconds < 3600) return `${Math.trunc(seconds / 60)}m`
  const hours = Math.trunc(seconds / 3600)
  if (hours < 24) return `${hours}h`
  return hours < 24 * 365 ? `${Math.trunc(hours / 24)}d` : `${Math.trunc(hours / 24 / 365)}y`
}

/** The AGE column: how long ago a timestamp was; `<unknown>` when absent. */
export function translateTimestampSince(timestamp: string | undefined | null, nowMs: number): string {
  const at = timestamp === undefined || timestamp === null || timestamp === '' ? Number.NaN : Date.parse(timestamp)
  return Number.isNaN(at) ? '<unknown>' : formatHumanDuration(nowMs - at)
}

/** How long until a timestamp; `<unknown>` when absent. */
export function translateTimestampUntil(timestamp: string | undefined | null, nowMs: number): string {
  const at = timestamp === undefined || timestamp === null || timestamp === '' ? Number.NaN : Date.parse(timestamp)
  return Number.isNaN(at) ? '<unknown>' : formatHumanDuration(at - nowMs)
}
