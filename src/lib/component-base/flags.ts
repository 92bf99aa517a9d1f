// Command lines as pflag reads them: `--name=value`, `--name value`, `-n value`, `-nvalue`, `-n=value`, grouped short switches, `--` ends flags.
// Flags are declared as data; parsing gives typed values or one error in pflag's words.
// Upstream: github.com/spf13/pflag

export type FlagSpec =
  | { readonly type: 'string'; readonly default?: string; readonly short?: string; readonly usage: string; /** Value when the flag stands alone. */ readonly whenAlone?: string }
  | { readonly type: 'bool'; readonly default?: boolean; readonly short?: string; readonly usage: string }
  | { readonly type: 'int'; readonly default?: number; readonly short?: string; readonly usage: string }
  /** Go duration (`1m30s`); the value is in milliseconds. */
  | { readonly type: 'duration'; readonly default?: number; readonly short?: string; readonly usage: string }
  /** Repeated, and split at commas unless `noSplit`. */
  | { readonly type: 'strings'; readonly default?: readonly string[]; readonly short?: string; readonly usage: string; readonly noSplit?: boolean }
  /** `a=b,c=d`, repeated. */
  | { readonly type: 'map'; readonly default?: { readonly [key: string]: string }; readonly short?: string; readonly usage: string }

export type FlagSpecs = { readonly [name: string]: FlagSpec }

type FlagValue<S extends FlagSpec> = S extends { type: 'string' } ? string : S extends { type: 'bool' } ? boolean
  : S extends { type: 'int' | 'duration' } ? number : S extends { type: 'strings' } ? readonly string[] : { readonly [key: string]: string }

export type FlagValues<S extends FlagSpecs> = { readonly [K in keyof S]: FlagValue<S[K]> }

export interface ParsedFlags<S extends FlagSpecs> {
  readonly flags: FlagValues<S>
  /** Names given on the command line. */
  readonly given: ReadonlySet<string>
  readonly args: readonly string[]
  /** Number of positional arguments before `--`; args.length when there was none. */
  readonly argsBeforeDash: number
}

/** The command line is wrong; the message is pflag's. */
export class FlagError extends Error {
  override readonly name = 'FlagError'
}

type Mutable = Record<string, unknown>

/** Parses `args`. @param options.stopAtFirstArgument leaves everything from the first positional argument on in `args`. @throws FlagError */
export function parseFlags<const S extends FlagSpecs>(specs: S, args: readonly string[], options: { readonly stopAtFirstArgument?: boolean } = {}): ParsedFlags<S> {
  const values: Mutable = {}
  const given = new Set<string>()
  const positional: string[] = []
  const shorts = new Map(Object.entries(specs).flatMap(([name, spec]) => (spec.short ? [[spec.short, name] as const] : [])))
  for (const [name, spec] of Object.entries(specs)) values[name] = spec.default ?? zeroOf(spec)
  let argsBeforeDash: number | undefined

  const set = (name: string, text: string, shown: string): void => {
    const spec = specs[name]! // cast: callers looked it up
    const bad = (cause: string): never => { throw new FlagError(`invalid argument ${JSON.stringify(text)} for ${JSON.stringify(shown)} flag: ${cause}`) }
    switch (spec.type) {
      case 'string': values[name] = text; break
      case 'bool': {
        const value = parseBool(text)
        if (value === undefined) bad(`strconv.ParseBool: parsing ${JSON.stringify(text)}: invalid syntax`)
        values[name] = value
        break
      }
      case 'int':
        if (!/^[+-]?(0x[0-9a-fA-F]+|\d+)$/.test(text)) bad(`strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`)
        values[name] = Number(text)
        break
      case 'duration': {
        const value = parseGoDuration(text)
        if (value === undefined) bad(`time: invalid duration ${JSON.stringify(text)}`)
        values[name] = value
        break
      }
      case 'strings': {
        const more = spec.noSplit ? [text] : text === '' ? [] : text.split(',')
        values[name] = given.has(name) ? [...(values[name] as string[]), ...more] : more // cast: strings flags hold arrays
        break
      }
      case 'map': {
        const more = Object.fromEntries(text === '' ? [] : text.split(',').map((pair) => {
          const at = pair.indexOf('=')
          return at < 0 ? bad(`${pair} must be formatted as key=value`) : [pair.slice(0, at), pair.slice(at + 1)]
        }))
        values[name] = given.has(name) ? { ...(values[name] as Mutable), ...more } : more // cast: map flags hold objects
        break
      }
    }
    given.add(name)
  }

  for (let i = 0; i < args.length; i++) {
    const arg = args[i]! // cast: bounded by the loop
    if (arg === '--') {
      argsBeforeDash = positional.length
      positional.push(...args.slice(i + 1))
      break
    }
    if (arg.startsWith('--')) {
      const at = arg.indexOf('=')
      const name = arg.slice(2, at < 0 ? undefined : at)
      const spec = Object.hasOwn(specs, name) ? specs[name] : undefined
      if (!spec) throw new FlagError(`unknown flag: --${name}`)
      const shown = spec.short ? `-${spec.short}, --${name}` : `--${name}`
      if (at >= 0) set(name, arg.slice(at + 1), shown)
      else if (spec.type === 'bool') set(name, 'true', shown)
      else if (spec.type === 'string' && spec.whenAlone !== undefined) set(name, spec.whenAlone, shown)
      else {
        const next = args[++i]
        if (next === undefined) throw new FlagError(`flag needs an argument: --${name}`)
        set(name, next, shown)
      }
    } else if (arg.startsWith('-') && arg.length > 1) {
      for (let j = 1; j < arg.length; j++) {
        const letter = arg[j]! // cast: bounded by the loop
        const name = shorts.get(letter)
        if (name === undefined) throw new FlagError(`unknown shorthand flag: '${letter}' in ${arg}`)
        const spec = specs[name]! // cast: shorts comes from specs
        const shown = `-${letter}, --${name}`
        const rest = arg.slice(j + 1)
        if (rest.startsWith('=')) { set(name, rest.slice(1), shown); break }
        if (spec.type === 'bool') { set(name, 'true', shown); continue }
        if (spec.type === 'string' && spec.whenAlone !== undefined) { set(name, spec.whenAlone, shown); continue }
        if (rest !== '') { set(name, rest, shown); break }
        const next = args[++i]
        if (next === undefined) throw new FlagError(`flag needs an argument: '${letter}' in ${arg}`)
        set(name, next, shown)
      }
    } else {
      if (options.stopAtFirstArgument) { positional.push(...args.slice(i)); break }
      positional.push(arg)
    }
  }
  return { flags: values as FlagValues<S>, given, args: positional, argsBeforeDash: argsBeforeDash ?? positional.length } // cast: filled from the specs above
}

function zeroOf(spec: FlagSpec): unknown {
  switch (spec.type) {
    case 'string': return ''
    case 'bool': return false
    case 'int': case 'duration': return 0
    case 'strings': return []
    case 'map': return {}
  }
}

function parseBool(text: string): boolean | undefined {
  if (['1', 't', 'T', 'true', 'TRUE', 'True'].includes(text)) return true
  if (['0', 'f', 'F', 'false', 'FALSE', 'False'].includes(text)) return false
  return undefined
}

const unitsMs: { readonly [unit: string]: number } = { ns: 1e-6, us: 1e-3, 'µs': 1e-3, ms: 1, s: 1000, m: 60_000, h: 3_600_000 }

/** Milliseconds of a Go duration such as `1h2m3.5s`, or undefined when it is none. */
export function parseGoDuration(text: string): number | undefined {
  if (text === '0') return 0
  const match = /^([+-]?)((?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|ms|s|m|h))+$/.exec(text)
  if (!match) return undefined
  let total = 0
  for (const [, number, unit] of text.matchAll(/(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)/g)) total += Number(number) * unitsMs[unit!]! // cast: the pattern names known units
  return match[1] === '-' ? -total : total
}

/** The flags' part of a `--help` text, as pflag prints it. */
export function formatFlagUsages(specs: FlagSpecs): string {
  const rows = Object.entries(specs).sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, spec]) => {
    const typeName = { string: 'string', bool: '', int: 'int', duration: 'duration', strings: 'strings', map: 'mapStringString' }[spec.type]
    const left = `${spec.short ? `  -${spec.short}, ` : '      '}--${name}${typeName && ` ${typeName}`}`
    const fallback = spec.default
    const shown = fallback === undefined || fallback === '' || fallback === false || fallback === 0 ? ''
      : ` (default ${typeof fallback === 'string' ? JSON.stringify(fallback) : spec.type === 'duration' ? `${Number(fallback) / 1000}s` : Array.isArray(fallback) ? `[${fallback.join(',')}]` : String(fallback)})`
    return [left, `${spec.usage}${shown}`] as const
  })
  const width = Math.max(0, ...rows.map(([left]) => left.length))
  return rows.map(([left, right]) => `${left.padEnd(width)}   ${right}`).join('\n')
}
