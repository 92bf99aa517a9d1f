// Sends finished spans to a collector by OTLP over gRPC, many at once. What waits is bounded: beyond it spans are dropped, and counted; a
// collector that is away costs its spans and nothing else. Upstream: go.opentelemetry.io/otel/sdk/trace (batch_span_processor.go)
import { sleep, type Clock } from '../../base/clock.ts'
import { GrpcChannel } from '../../net/grpc/grpc-channel.ts'
import { describeError, type Logger } from '../log.ts'
import { encodeSpans, exportPath } from './otlp.ts'
import type { FinishedSpan } from './span.ts'

export interface SpanExporterOptions {
  /** `host:port` of the collector. */
  readonly address: string
  readonly resource: { readonly [name: string]: string }
  readonly scope: { readonly name: string; readonly version: string }
  readonly clock: Clock
  readonly logger: Logger
}

const queueLimit = 2048
const batchSpans = 512
const intervalMs = 5000
const exportTimeoutMs = 10_000

export class SpanExporter implements AsyncDisposable {
  readonly #options: SpanExporterOptions
  readonly #channel: GrpcChannel
  readonly #ended = new AbortController()
  readonly #running: Promise<void>
  #queue: FinishedSpan[] = []
  #wake: AbortController | undefined
  #hasFailed = false
  /** Spans that found no room or could not be sent. */
  dropped = 0

  constructor(options: SpanExporterOptions) {
    this.#options = options
    this.#channel = new GrpcChannel({ target: options.address, clock: options.clock })
    this.#running = this.#run()
  }

  add(span: FinishedSpan): void {
    if (this.#ended.signal.aborted || this.#queue.length >= queueLimit) { this.dropped++; return }
    this.#queue.push(span)
    if (this.#queue.length >= batchSpans) this.#wake?.abort()
  }

  async #run(): Promise<void> {
    const { clock } = this.#options
    while (!this.#ended.signal.aborted) {
      this.#wake = new AbortController()
      await sleep(clock, intervalMs, AbortSignal.any([this.#wake.signal, this.#ended.signal])).catch(() => {})
      await this.flush()
    }
  }

  /** Sends what waits. Never rejects. */
  async flush(): Promise<void> {
    const { resource, scope, logger } = this.#options
    while (this.#queue.length > 0) {
      const batch = this.#queue.slice(0, batchSpans)
      this.#queue = this.#queue.slice(batch.length)
      try {
        await this.#channel.unary(exportPath, encodeSpans(batch, resource, scope), { signal: AbortSignal.timeout(exportTimeoutMs), timeoutMs: exportTimeoutMs })
        this.#hasFailed = false
      } catch (error) {
        this.dropped += batch.length
        if (!this.#hasFailed) logger.warn('spans could not be sent to the collector', { address: this.#options.address, error: describeError(error) })
        this.#hasFailed = true
        // What is left waits for the next time; at the end there is none.
        if (this.#ended.signal.aborted) this.dropped += this.#queue.splice(0).length
        return
      }
    }
  }

  /** Sends what is left first. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended.abort(new Error('tracing ends'))
    await this.#running
    this.#channel[Symbol.dispose]()
  }
}
