// Profiles in pprof's form, a gzipped protobuf message that `go tool pprof` and everything that grew around it reads.
//
//   const profile = new PprofProfile([{ type: 'cpu', unit: 'nanoseconds' }], { timeMs, durationMs })
//   profile.add([leaf, caller, …], [10_000_000])
//   await profile.finish()
//
// Upstream: github.com/google/pprof/proto/profile.proto
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import { WireWriter } from '../../base/protobuf/wire-writer.ts'

export interface Frame {
  readonly functionName: string
  readonly file: string
  /** From 1; 0: not known. */
  readonly line: number
}

export interface ValueType { readonly type: string; readonly unit: string }

export interface ProfileTimes {
  /** When it began, milliseconds since the epoch. */
  readonly timeMs: number
  readonly durationMs: number
  /** What one event stands for, in units of the last value. */
  readonly period?: number
}

export class PprofProfile {
  readonly #types: readonly ValueType[]
  readonly #times: ProfileTimes
  readonly #strings = new Map<string, number>([['', 0]])
  readonly #locations = new Map<string, number>()
  readonly #writer = new WireWriter(4096)
  readonly #tables = new WireWriter(4096)

  /** @param types what the values of a sample are */
  constructor(types: readonly ValueType[], times: ProfileTimes) {
    this.#types = types
    this.#times = times
  }

  /** @param stack the leaf first @param values as many as there are types */
  add(stack: readonly Frame[], values: readonly number[]): void {
    const locations = stack.map((frame) => this.#locationOf(frame))
    this.#writer.tag(2, 2)
    this.#writer.nested((sample) => {
      packed(sample, 1, locations)
      packed(sample, 2, values)
    })
  }

  /** A place in a function; here each has a number of its own for both. */
  #locationOf({ functionName, file, line }: Frame): number {
    const key = `${functionName}\0${file}\0${line}`
    const known = this.#locations.get(key)
    if (known !== undefined) return known
    const id = this.#locations.size + 1
    this.#locations.set(key, id)
    const [name, path] = [this.#string(functionName), this.#string(file)]
    this.#tables.tag(4, 2)
    this.#tables.nested((location) => {
      number(location, 1, id)
      number(location, 2, 1)
      location.tag(4, 2)
      location.nested((w) => { number(w, 1, id); number(w, 2, line) })
    })
    this.#tables.tag(5, 2)
    this.#tables.nested((w) => { number(w, 1, id); number(w, 2, name); number(w, 3, name); number(w, 4, path) })
    return id
  }

  #string(text: string): number {
    const known = this.#strings.get(text)
    if (known !== undefined) return known
    const index = this.#strings.size
    this.#strings.set(text, index)
    return index
  }

  #valueType(out: WireWriter, field: number, { type, unit }: ValueType): void {
    const [typeAt, unitAt] = [this.#string(type), this.#string(unit)]
    out.tag(field, 2)
    out.nested((w) => { number(w, 1, typeAt); number(w, 2, unitAt) })
  }

  /** The whole profile, gzipped. */
  finish(): Promise<Buffer> {
    const out = new WireWriter(1024)
    for (const type of this.#types) this.#valueType(out, 1, type)
    out.raw(this.#writer.finish())
    // Everything is in one program, whose functions are known.
    out.tag(3, 2)
    out.nested((mapping) => { number(mapping, 1, 1); number(mapping, 7, 1); number(mapping, 8, 1); number(mapping, 9, 1) })
    out.raw(this.#tables.finish())
    const { timeMs, durationMs, period } = this.#times
    number(out, 9, Math.round(timeMs * 1e6))
    number(out, 10, Math.round(durationMs * 1e6))
    const last = this.#types.at(-1)
    if (period !== undefined && last) {
      this.#valueType(out, 11, last)
      number(out, 12, Math.round(period))
    }
    for (const text of this.#strings.keys()) {
      out.tag(6, 2)
      out.string(text)
    }
    return promisify(gzip)(out.finish())
  }
}

function number(w: WireWriter, field: number, value: number): void {
  if (value === 0) return
  w.tag(field, 0)
  w.varint(value)
}

function packed(w: WireWriter, field: number, values: readonly number[]): void {
  w.tag(field, 2)
  w.nested((inner) => { for (const value of values) inner.varint(Math.round(value)) })
}
