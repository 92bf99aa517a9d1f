// Spans: what took how long, as part of whose trace. Whoever calls says so in W3C's `traceparent`; without it a trace begins here.
// Upstream: w3.org/TR/trace-context, opentelemetry.io/docs/specs/otel/trace
import type { Clock } from '../../base/clock.ts'
import type { Random } from '../../base/random.ts'

export interface SpanContext {
  /** 16 bytes. */
  readonly traceId: Uint8Array
  /** 8 bytes. */
  readonly spanId: Uint8Array
  readonly isSampled: boolean
}

export interface FinishedSpan {
  readonly context: SpanContext
  readonly parentSpanId: Uint8Array | undefined
  readonly name: string
  /** Nanoseconds since the epoch. */
  readonly startNs: bigint
  readonly endNs: bigint
  readonly attributes: { readonly [name: string]: string | number }
  /** Undefined: nothing is said about how it went. */
  readonly error: string | undefined
}

export interface TracerOptions {
  readonly clock: Clock
  readonly random: Random
  /** Traces that begin here and are kept, of a million. Others are kept when their caller keeps them. */
  readonly samplesPerMillion: number
  /** Takes what is finished; must not wait. */
  readonly export: (span: FinishedSpan) => void
}

const million = 1_000_000
const halfRange = 2n ** 63n

/** Makes the spans of the calls that this process serves. */
export class Tracer {
  readonly #options: TracerOptions
  /** A trace is kept when the number in the second half of its id is below; so all processes of one rate decide alike. */
  readonly #bound: bigint

  constructor(options: TracerOptions) {
    this.#options = options
    this.#bound = (halfRange * BigInt(options.samplesPerMillion)) / BigInt(million)
  }

  /** Undefined when it is not sampled. @param traceparent of the caller */
  start(name: string, traceparent: unknown, attributes: FinishedSpan['attributes']): Span | undefined {
    const { clock, random } = this.#options
    const parent = typeof traceparent === 'string' ? parseTraceparent(traceparent) : undefined
    if (parent && !parent.isSampled) return undefined
    const traceId = parent?.traceId ?? random.bytes(16)
    if (!parent && !this.#samples(traceId)) return undefined
    return new Span({ name, clock, attributes, parentSpanId: parent?.spanId, context: { traceId, spanId: random.bytes(8), isSampled: true }, finished: this.#options.export })
  }

  #samples(traceId: Uint8Array): boolean {
    let number = 0n
    for (const byte of traceId.subarray(8)) number = (number << 8n) | BigInt(byte)
    return number >> 1n < this.#bound
  }
}

interface SpanStart {
  readonly name: string
  readonly clock: Clock
  readonly context: SpanContext
  readonly parentSpanId: Uint8Array | undefined
  readonly attributes: FinishedSpan['attributes']
  readonly finished: (span: FinishedSpan) => void
}

export class Span {
  readonly #start: SpanStart
  readonly #wallMs: number
  readonly #monotonicMs: number
  #ended = false

  constructor(start: SpanStart) {
    this.#start = start
    this.#wallMs = start.clock.now()
    this.#monotonicMs = start.clock.monotonic()
  }

  get context(): SpanContext { return this.#start.context }

  /** The first call counts. @param error why it failed, when it is this side's failure */
  end(attributes: FinishedSpan['attributes'] = {}, error?: string): void {
    if (this.#ended) return
    this.#ended = true
    const { clock, context, parentSpanId, name, attributes: first, finished } = this.#start
    const startNs = BigInt(Math.round(this.#wallMs * 1000)) * 1000n
    finished({ context, parentSpanId, name, startNs, endNs: startNs + BigInt(Math.round((clock.monotonic() - this.#monotonicMs) * million)), attributes: { ...first, ...attributes }, error })
  }
}

/** Undefined when it is none. Versions to come may have more behind. */
export function parseTraceparent(text: string): SpanContext | undefined {
  const [, version, traceId = '', spanId = '', flags = '', more] = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/.exec(text.trim()) ?? []
  if (version === undefined || version === 'ff' || (version === '00' && more !== undefined) || /^0+$/.test(traceId) || /^0+$/.test(spanId)) return undefined
  return { traceId: fromHex(traceId), spanId: fromHex(spanId), isSampled: (Number.parseInt(flags, 16) & 1) === 1 }
}

function fromHex(text: string): Uint8Array { return Uint8Array.from({ length: text.length / 2 }, (_, i) => Number.parseInt(text.slice(2 * i, 2 * i + 2), 16)) }
