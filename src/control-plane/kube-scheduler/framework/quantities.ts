// Quantities as plain numbers, for sums and comparisons in the scheduler's hot path: cpu in thousandths, all else in whole units, rounded up.
// The texts of a cluster repeat, so each is read once. Upstream: apimachinery/pkg/api/resource (MilliValue, Value)

const suffixes: ReadonlyMap<string, number> = new Map([
  ['', 1], ['n', 1e-9], ['u', 1e-6], ['m', 1e-3], ['k', 1e3], ['M', 1e6], ['G', 1e9], ['T', 1e12], ['P', 1e15], ['E', 1e18],
  ['Ki', 2 ** 10], ['Mi', 2 ** 20], ['Gi', 2 ** 30], ['Ti', 2 ** 40], ['Pi', 2 ** 50], ['Ei', 2 ** 60],
])
const bound = 20_000
const milliValues = new Map<string, number>()
const wholeValues = new Map<string, number>()

/** The quantity times `scale`, rounded up; 0 for what is no quantity (validation kept it out). */
function read(text: string, scale: number): number {
  const match = /^([+-]?(?:\d+\.?\d*|\.\d+))(?:[eE]([+-]?\d+)|([numkMGTPE]|[KMGTPE]i)?)$/.exec(text)
  if (!match) return 0
  const factor = match[2] !== undefined ? 10 ** Number(match[2]) : suffixes.get(match[3] ?? '') ?? 1
  // Small factors divide, because 0.001 has no exact double and 1000 has.
  const value = factor < 1 ? (Number(match[1]) * scale) / Math.round(1 / factor) : Number(match[1]) * factor * scale
  const rounded = Math.round(value)
  return Math.abs(value - rounded) < 1e-6 ? rounded : Math.ceil(value)
}

function memoised(cache: Map<string, number>, text: string, scale: number): number {
  let value = cache.get(text)
  if (value === undefined) {
    if (cache.size >= bound) cache.clear()
    value = read(String(text), scale)
    cache.set(text, value)
  }
  return value
}

/** `500m` → 500, `2` → 2000. */
export function milliValue(text: string): number { return memoised(milliValues, text, 1000) }

/** `1Ki` → 1024, `1500m` → 2. */
export function wholeValue(text: string): number { return memoised(wholeValues, text, 1) }
