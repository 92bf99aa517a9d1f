// A stream of writes to a cluster, one every few milliseconds to each of some members, none waiting for another: when one is answered the cluster
// is there.
import { realClock } from '../../src/lib/async/real-clock.ts'
import type { Timer } from '../../src/lib/base/clock.ts'
import { setTimeout as delay } from 'node:timers/promises'
import { RemoteEtcdClient } from '../../src/lib/etcd-client/remote-etcd-client.ts'

const everyMs = 20
const patienceMs = 4000
const waitsMs = 30_000
/** That wait for an answer at most. */
const mostWaiting = 200

export class Probe implements Disposable {
  /** What writes got that failed. */
  readonly failures: string[] = []
  answers = 0
  readonly #clients: readonly RemoteEtcdClient[]
  readonly #end = new AbortController()
  /** Of answered writes: when they were asked, and when answered. */
  #latest: { readonly askedMs: number; readonly answeredMs: number }[] = []
  #waiting = 0
  #timer: Timer
  #count = 0

  constructor(endpoints: readonly string[]) {
    this.#clients = endpoints.map((endpoint) => new RemoteEtcdClient({ endpoints: [endpoint], clock: realClock }))
    this.#timer = realClock.setTimer(0, () => this.#ask())
  }

  #ask(): void {
    for (const client of this.#clients) if (this.#waiting < mostWaiting) void this.#write(client)
    this.#timer = realClock.setTimer(everyMs, () => this.#ask())
  }

  async #write(client: RemoteEtcdClient): Promise<void> {
    const askedMs = realClock.monotonic()
    this.#waiting++
    try {
      await client.txn({ compare: [], success: [{ type: 'put', key: Buffer.from(`/probe/${this.#count++ % 10}`), value: Buffer.from('probe') }], failure: [] }, AbortSignal.any([this.#end.signal, AbortSignal.timeout(patienceMs)]))
      this.answers++
      this.#latest.push({ askedMs, answeredMs: realClock.monotonic() })
    } catch (error) {
      if (!this.#end.signal.aborted) this.failures.push(String(error))
    } finally {
      this.#waiting--
    }
  }

  /** Resolves to the time of the first answer to a write that was asked after `fromMs` (default: now). */
  async nextAnswer(fromMs: number = realClock.monotonic()): Promise<number> {
    for (const deadline = realClock.monotonic() + waitsMs; ; await delay(1)) {
      const found = this.#latest.find(({ askedMs }) => askedMs >= fromMs)
      this.#latest = []
      if (found) return found.answeredMs
      if (realClock.monotonic() > deadline) throw new Error(`no write is answered in ${waitsMs} ms: ${this.failures.slice(-3).join('; ')}`)
    }
  }

  [Symbol.dispose](): void {
    this.#end.abort()
    this.#timer[Symbol.dispose]()
    for (const client of this.#clients) client[Symbol.dispose]()
  }
}
