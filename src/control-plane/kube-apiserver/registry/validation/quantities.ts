// Quantities as texts, the form in which objects hold them. Parsing one costs about a microsecond and the same few texts come again and again, so the last
// thousand are remembered; the memory is bounded and changes no result.
import { compareQuantities, formatQuantity, parseQuantity, zeroQuantity } from '../../../../lib/apimachinery/quantity.ts'
import type { Quantity } from '../../../../lib/apimachinery/quantity.ts'

const nanosPerMilli = 1_000_000n
const nanosPerUnit = 1_000_000_000n
const remembered = new Map<string, Quantity>()
const rememberAtMost = 1024

/** Decoding has refused what is no quantity, so anything else counts as zero here. JSON numbers are quantities too. */
export function quantityOf(text: string | number | undefined): Quantity {
  if (text === undefined || text === '') return zeroQuantity
  const key = String(text)
  const known = remembered.get(key)
  if (known) return known
  const parsed = parseQuantity(key) ?? zeroQuantity
  if (remembered.size >= rememberAtMost) remembered.clear()
  remembered.set(key, parsed)
  return parsed
}

export const compareTexts = (a: string | undefined, b: string | undefined): -1 | 0 | 1 => compareQuantities(quantityOf(a), quantityOf(b))
export const canonicalText = (text: string | undefined): string => formatQuantity(quantityOf(text))
export const signOf = (text: string | undefined): -1 | 0 | 1 => compareQuantities(quantityOf(text), zeroQuantity)
/** Whole units once rounded up to thousandths, as the original asks it. */
export const isWholeNumber = (text: string | undefined): boolean => roundUp(quantityOf(text).nano, nanosPerMilli) % nanosPerUnit === 0n

function roundUp(nano: bigint, step: bigint): bigint {
  const rest = nano % step
  if (rest === 0n) return nano
  return nano > 0n ? nano - rest + step : nano - rest - step
}

/** Only these suffixes and a fraction can be finer than a thousandth. */
const mayBeFine = /[nu.eE]/

type ResourceList = { readonly [name: string]: string }

/** Rounds every amount up to thousandths; the same list when there is nothing to round. */
export function roundResourceList<L extends ResourceList | undefined>(list: L): L {
  if (!list) return list
  let rounded: { [name: string]: string } | undefined
  for (const name in list) {
    const text = list[name]
    if (text === undefined || !mayBeFine.test(text)) continue
    const quantity = quantityOf(text)
    const nano = roundUp(quantity.nano, nanosPerMilli)
    if (nano === quantity.nano) continue
    rounded ??= { ...list }
    rounded[name] = formatQuantity({ nano, format: quantity.format })
  }
  // cast: a copy of the same list
  return rounded ? rounded as L : list
}
