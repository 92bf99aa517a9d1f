// The window of appends that are on their way to one follower: bounded in messages and in bytes, so that a slow follower doesn't fill the
// leader's memory. An acknowledgement of an index frees everything up to it. Upstream: raft/tracker/inflights.go
import { assert } from '../../../lib/base/assert.ts'

export class Inflights {
  readonly maxMessages: number
  /** 0: messages alone are counted. */
  readonly maxBytes: number
  #window: { readonly lastIndex: number; readonly sizeBytes: number }[] = []
  #sizeBytes = 0

  constructor(maxMessages: number, maxBytes: number) {
    this.maxMessages = maxMessages
    this.maxBytes = maxBytes
  }

  get count(): number { return this.#window.length }
  get isFull(): boolean { return this.#window.length >= this.maxMessages || (this.maxBytes > 0 && this.#sizeBytes >= this.maxBytes) }

  add(lastIndex: number, sizeBytes: number): void {
    assert(!this.isFull, 'nothing is sent into a full window')
    this.#window.push({ lastIndex, sizeBytes })
    this.#sizeBytes += sizeBytes
  }

  freeUpTo(index: number): void {
    let freed = 0
    for (const message of this.#window) {
      if (message.lastIndex > index) break
      this.#sizeBytes -= message.sizeBytes
      freed++
    }
    if (freed > 0) this.#window = this.#window.slice(freed)
  }

  reset(): void {
    this.#window = []
    this.#sizeBytes = 0
  }
}
