// Values that are a number or a text: ports by number or name, replicas as a count or a percentage.
// Upstream: apimachinery/pkg/util/intstr

export type IntOrString = number | string

export type ScaledValue = { readonly ok: true; readonly value: number } | { readonly ok: false; readonly error: string }

/** `25%` of `total` or the plain number. Percentages round up or down; texts that are no percentage are errors. */
export function scaledValue(value: IntOrString, total: number, roundUp: boolean): ScaledValue {
  if (typeof value === 'number') return { ok: true, value }
  if (!value.endsWith('%')) return { ok: false, error: 'invalid value for IntOrString: invalid type: string is not a percentage' }
  const digits = value.slice(0, -1)
  if (!/^[+-]?\d+$/.test(digits)) return { ok: false, error: `invalid value for IntOrString: invalid value ${JSON.stringify(value)}: strconv.Atoi: parsing ${JSON.stringify(digits)}: invalid syntax` }
  const exact = (Number(digits) * total) / 100
  return { ok: true, value: roundUp ? Math.ceil(exact) : Math.floor(exact) }
}

/** The number, or the text as one; 0 for other texts. */
export function intValue(value: IntOrString): number {
  if (typeof value === 'number') return value
  return /^[+-]?\d+$/.test(value) ? Number(value) : 0
}

/** The percentage of a text like `25%`; undefined for anything else. */
export function percentOf(value: IntOrString): number | undefined {
  return typeof value === 'string' && /^\d+%$/.test(value) ? Number(value.slice(0, -1)) : undefined
}
