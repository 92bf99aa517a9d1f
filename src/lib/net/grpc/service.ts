// A gRPC service described as data: its full name, its methods, and the table that encodes its messages. Generated code has the last two
// (`runtimeServiceMethods` and `criTable` of lib/cri-api, for instance).
import type { Proto3Table } from '../../base/protobuf/proto3.ts'

export interface GrpcMethod {
  readonly request: string
  readonly response: string
  readonly requestStream?: boolean
  readonly responseStream?: boolean
}

export interface GrpcService {
  /** Such as `runtime.v1.RuntimeService`. */
  readonly name: string
  readonly methods: { readonly [method: string]: GrpcMethod }
  readonly table: Proto3Table
}

/** The name that a method has in TypeScript: `ListPodSandbox` is `listPodSandbox`. */
export function methodProperty(method: string): string { return `${method.charAt(0).toLowerCase()}${method.slice(1)}` }

/** A queue between somebody who pushes messages and somebody who iterates over them. `onLow` is called when it has become short again. */
export class MessageQueue<T> implements AsyncIterable<T> {
  readonly #items: T[] = []
  readonly #onLow: (() => void) | undefined
  #end: { readonly error?: unknown } | undefined
  #wake: (() => void) | undefined

  constructor(onLow?: () => void) { this.#onLow = onLow }

  get length(): number { return this.#items.length }

  push(item: T): void {
    if (this.#end) return
    this.#items.push(item)
    this.#wake?.()
  }

  /** No more items; what is queued is still given out. */
  finish(): void {
    this.#end ??= {}
    this.#wake?.()
  }

  fail(error: unknown): void {
    this.#end ??= { error }
    this.#wake?.()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    for (;;) {
      if (this.#items.length > 0) {
        const item = this.#items.shift()! // cast: not empty
        if (this.#items.length === lowMark) this.#onLow?.()
        yield item
      } else if (this.#end) {
        if ('error' in this.#end) throw this.#end.error
        return
      } else {
        await new Promise<void>((resolve) => { this.#wake = resolve })
        this.#wake = undefined
      }
    }
  }
}

/** Messages at which a sender is stopped, and at which it goes on. */
export const highMark = 64
const lowMark = 16
