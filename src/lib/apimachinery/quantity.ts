// Quantities: `250m` CPU, `1Gi` memory. Exact: a quantity is a whole number of nano-units (bigint), which is as fine as the API goes.
//
// Rules it keeps, the original's: parts finer than nano are rounded away from zero; binary quantities are capped at 2^63-1; what is printed is
// canonical (no fraction, the largest suffix that keeps the number whole, and the family of suffixes that the client wrote), except for
// a few spellings (`1.234`, `+5`) that the original keeps as they were written. Upstream: apimachinery/pkg/api/resource

export type QuantityFormat = 'BinarySI' | 'DecimalSI' | 'DecimalExponent'

export interface Quantity {
  /** The value times 10^9. */
  readonly nano: bigint
  readonly format: QuantityFormat
  /** As it was written, where the original prints that instead of the canonical form. */
  readonly text?: string
}

const nanoPerUnit = 1_000_000_000n
const maxInt64 = (1n << 63n) - 1n
const decimalSuffixes: { readonly [suffix: string]: number } = { n: -9, u: -6, m: -3, '': 0, k: 3, M: 6, G: 9, T: 12, P: 15, E: 18 }
const binarySuffixes: { readonly [suffix: string]: number } = { Ki: 10, Mi: 20, Gi: 30, Ti: 40, Pi: 50, Ei: 60 }
const decimalByExponent = new Map(Object.entries(decimalSuffixes).map(([suffix, exponent]) => [exponent, suffix]))
const binaryByExponent = new Map(Object.entries(binarySuffixes).map(([suffix, exponent]) => [exponent, suffix]))
const quantityPattern = /^([+-]?)(\d*)(?:\.(\d*))?([numkMGTPE]?|[KMGTPE]i|[eE][+-]?\d+)$/
/** Beyond this the original's numbers overflow anyway, and ours would grow without bound. */
const maxExponent = 300
/** A million digits take seconds to become a number. */
const maxLength = 1000

/** What decoders say of a text that is no quantity. */
export const quantityFormatError = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"

/** Reads a quantity; undefined when the text is none. A text without digits (`.`, `Mi`) is zero, as in the original. */
export function parseQuantity(text: string): Quantity | undefined {
  if (text === '0') return { nano: 0n, format: 'DecimalSI', text }
  if (text === '' || text.length > maxLength) return undefined
  const match = quantityPattern.exec(text)
  if (match === null) return undefined
  const [, sign = '', whole = '', fraction = '', suffix = ''] = match
  const significant = whole.replace(/^0+/, '') || '0'
  const digits = BigInt(significant + fraction)
  const binaryExponent = binarySuffixes[suffix]
  if (binaryExponent !== undefined) {
    if (whole === '' && fraction === '' && binaryExponent >= 50) return undefined // a quirk of the original's
    let nano = roundAwayFromZero((digits << BigInt(binaryExponent)) * nanoPerUnit, 10n ** BigInt(fraction.length))
    if (nano > maxInt64 * nanoPerUnit) nano = maxInt64 * nanoPerUnit
    const format: QuantityFormat = nano > 0n && nano < nanoPerUnit ? 'DecimalSI' : 'BinarySI'
    const precision = 15 - significant.length - Math.trunc((binaryExponent * 3) / 10) - 1
    const keepsText = fraction === '' && precision >= 0 && (digits & 7n) !== 0n
    return { nano: sign === '-' ? -nano : nano, format, ...(keepsText ? { text } : {}) }
  }
  const decimalExponent = decimalSuffixes[suffix]
  const exponent = decimalExponent ?? Number(suffix.slice(1))
  if (Math.abs(exponent) > maxExponent) return undefined
  const scale = exponent - fraction.length
  const shift = scale + 9
  const nano = shift >= 0 ? digits * 10n ** BigInt(shift) : roundAwayFromZero(digits, 10n ** BigInt(-shift))
  const shifted = significant + fraction
  const keepsText = shift >= 0 && shifted.length <= 18 && scale % 3 === 0 && !shifted.endsWith('000') && shifted[0] !== '0'
  return { nano: sign === '-' ? -nano : nano, format: decimalExponent === undefined ? 'DecimalExponent' : 'DecimalSI', ...(keepsText ? { text } : {}) }
}

function roundAwayFromZero(value: bigint, divisor: bigint): bigint {
  const quotient = value / divisor
  if (quotient * divisor === value) return quotient
  return value > 0n ? quotient + 1n : quotient - 1n
}

/** Prints a quantity as the API server does. */
export function formatQuantity(quantity: Quantity): string {
  if (quantity.text !== undefined) return quantity.text
  const { nano } = quantity
  if (nano === 0n) return '0'
  if (quantity.format === 'BinarySI') {
    const small = nano > -1024n * nanoPerUnit && nano < 1024n * nanoPerUnit
    if (!small && nano % nanoPerUnit === 0n) {
      let mantissa = nano / nanoPerUnit
      let exponent = 0
      while (exponent < 60 && mantissa % 1024n === 0n) { mantissa /= 1024n; exponent += 10 }
      return `${mantissa}${binaryByExponent.get(exponent) ?? ''}`
    }
  }
  let mantissa = nano
  let exponent = -9
  const largest = quantity.format === 'DecimalExponent' ? maxExponent + 30 : 18
  while (exponent < largest && mantissa % 1000n === 0n) { mantissa /= 1000n; exponent += 3 }
  if (quantity.format === 'DecimalExponent') return exponent === 0 ? `${mantissa}` : `${mantissa}e${exponent}`
  return `${mantissa}${decimalByExponent.get(exponent) ?? ''}`
}

/** The canonical spelling of a quantity; undefined when the text is none. */
export function canonicalQuantity(text: string): string | undefined {
  const quantity = parseQuantity(text)
  return quantity === undefined ? undefined : formatQuantity(quantity)
}

/** A whole number of units, as BinarySI for memory and DecimalSI for counts. */
export function quantityOf(units: number | bigint, format: QuantityFormat = 'DecimalSI'): Quantity {
  return { nano: BigInt(units) * nanoPerUnit, format }
}

/** Thousandths: `milliQuantity(250)` is `250m`. */
export function milliQuantity(milliUnits: number | bigint, format: QuantityFormat = 'DecimalSI'): Quantity {
  return { nano: BigInt(milliUnits) * 1_000_000n, format }
}

export const zeroQuantity: Quantity = { nano: 0n, format: 'DecimalSI' }

/** Negative, zero or positive: for sorting. */
export function compareQuantities(a: Quantity, b: Quantity): -1 | 0 | 1 { return a.nano < b.nano ? -1 : a.nano > b.nano ? 1 : 0 }

/** The sum, in the format of `a`, or of `b` where `a` is zero. */
export function addQuantities(a: Quantity, b: Quantity): Quantity { return { nano: a.nano + b.nano, format: a.nano === 0n ? b.format : a.format } }

/** The difference, in the format of `a`, or of `b` where `a` is zero. */
export function subtractQuantities(a: Quantity, b: Quantity): Quantity { return { nano: a.nano - b.nano, format: a.nano === 0n ? b.format : a.format } }

export function negateQuantity(quantity: Quantity): Quantity { return { nano: -quantity.nano, format: quantity.format } }

/** Whole units, rounded away from zero, as a bigint. */
export function quantityUnits(quantity: Quantity): bigint { return roundAwayFromZero(quantity.nano, nanoPerUnit) }

/** Whole units, rounded away from zero. Above 2^53 the nearest number. */
export function quantityValue(quantity: Quantity): number { return Number(quantityUnits(quantity)) }

/** Thousandths, rounded away from zero: what schedulers and cgroups count CPU in. */
export function quantityMilliValue(quantity: Quantity): number { return Number(roundAwayFromZero(quantity.nano, 1_000_000n)) }

/** The nearest floating-point number, fractions included. */
export function asNumber(quantity: Quantity): number {
  const whole = quantity.nano / nanoPerUnit
  return Number(whole) + Number(quantity.nano % nanoPerUnit) / 1e9
}

/** Units of a quantity's text, rounded up; 0 for an absent or wrong one. The fast way for plain numbers and binary suffixes. */
export function unitsOfText(text: string | undefined): number {
  if (text === undefined) return 0
  const quantity = parseQuantity(text)
  return quantity === undefined ? 0 : quantityValue(quantity)
}

/** Thousandths of a quantity's text, rounded up; 0 for an absent or wrong one. */
export function milliOfText(text: string | undefined): number {
  if (text === undefined) return 0
  const quantity = parseQuantity(text)
  return quantity === undefined ? 0 : quantityMilliValue(quantity)
}
