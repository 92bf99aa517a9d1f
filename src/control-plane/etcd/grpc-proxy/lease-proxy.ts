// etcdserverpb.Lease of the proxy. Renewals are put together: however many clients keep a lease alive, the members hear of it at most twice a second,
// and one stream carries all leases.
//
// Rule it keeps: an answer is never older than half a second, nor than a tenth of the lease's time. Upstream: etcd/server/proxy/grpcproxy/lease.go
import { decodeProto3, encodeProto3 } from '../../../lib/base/protobuf/proto3.ts'
import { sleep } from '../../../lib/base/clock.ts'
import { etcdTable } from '../../../lib/etcd-api/generated/table.ts'
import type { LeaseKeepAliveRequest, LeaseKeepAliveResponse, LeaseTimeToLiveResponse } from '../../../lib/etcd-api/generated/types.ts'
import type { GrpcClientCall } from '../../../lib/net/grpc/grpc-channel.ts'
import type { GrpcHandler } from '../../../lib/net/grpc/grpc-server.ts'
import { GrpcError } from '../../../lib/net/grpc/status.ts'
import type { KeyNamespace } from './key-namespace.ts'
import { metadataOf, passUnary, type Metadata, type Upstream } from './upstream.ts'

const service = '/etcdserverpb.Lease'
const longestReuseMs = 500
const patienceMs = 5000
const retryDelayMs = 50

export class LeaseProxy {
  readonly #upstream: Upstream
  readonly #namespace: KeyNamespace
  /** By the token of those who ask. */
  readonly #renewals = new Map<string, Renewals>()

  constructor(upstream: Upstream, namespace: KeyNamespace) {
    this.#upstream = upstream
    this.#namespace = namespace
  }

  handlers(): readonly (readonly [path: string, handler: GrpcHandler])[] {
    const upstream = this.#upstream
    return [
      [`${service}/LeaseGrant`, passUnary(upstream, false)], [`${service}/LeaseRevoke`, passUnary(upstream, false)], [`${service}/LeaseLeases`, passUnary(upstream, true)],
      [`${service}/LeaseTimeToLive`, this.#namespace.isEmpty ? passUnary(upstream, true) : this.#timeToLive()], [`${service}/LeaseKeepAlive`, this.#keepAlive()],
    ]
  }

  #timeToLive(): GrpcHandler {
    return {
      unary: async (bytes, call) => {
        const answer = await this.#upstream.unary(call.path, bytes, { signal: call.signal, metadata: metadataOf(call.headers) }, true)
        return encodeProto3(etcdTable, 'LeaseTimeToLiveResponse', this.#namespace.leaseAnswer(decodeProto3<LeaseTimeToLiveResponse>(etcdTable, 'LeaseTimeToLiveResponse', answer)))
      },
    }
  }

  #keepAlive(): GrpcHandler {
    return {
      stream: (call) => {
        const metadata = metadataOf(call.headers)
        const renewals = this.#renewalsFor(metadata)
        renewals.users++
        let isOver = false
        const leave = (): void => {
          if (isOver) return
          isOver = true
          if (--renewals.users === 0) { renewals.close(); this.#renewals.delete(metadata['token'] ?? '') }
        }
        call.signal.addEventListener('abort', leave, { once: true })
        // Answers keep the order of the questions.
        let tail: Promise<void> = Promise.resolve()
        return {
          message: (bytes) => {
            const answer = renewals.renew(decodeProto3<LeaseKeepAliveRequest>(etcdTable, 'LeaseKeepAliveRequest', bytes).ID ?? 0n, call.signal)
            answer.catch(() => { /* told below */ })
            tail = tail.then(async () => call.send(await answer)).catch((error: unknown) => { leave(); call.fail(error) })
          },
          end: () => { void tail.then(() => { leave(); call.end() }) },
        }
      },
    }
  }

  #renewalsFor(metadata: Metadata): Renewals {
    const token = metadata['token'] ?? ''
    let found = this.#renewals.get(token)
    if (!found) this.#renewals.set(token, (found = new Renewals(this.#upstream, metadata)))
    return found
  }
}

interface Renewal {
  readonly answer: Promise<Uint8Array>
  /** Until when the answer does for others too. */
  untilMs: number
}

interface Waiter { readonly resolve: (answer: Uint8Array) => void; readonly reject: (error: unknown) => void }

class Renewals {
  users = 0
  readonly #upstream: Upstream
  readonly #metadata: Metadata
  readonly #renewals = new Map<bigint, Renewal>()
  readonly #waiters = new Map<bigint, Waiter>()
  readonly #ended = new AbortController()
  #call: Promise<GrpcClientCall> | undefined

  constructor(upstream: Upstream, metadata: Metadata) {
    this.#upstream = upstream
    // For all who have this token: a leader that one of them wants to have is no condition for the others.
    this.#metadata = metadata['token'] === undefined ? {} : { token: metadata['token'] }
  }

  /** Rejects also when only the caller's own call is over. */
  async renew(id: bigint, signal: AbortSignal): Promise<Uint8Array> {
    signal.throwIfAborted()
    const { clock } = this.#upstream
    const known = this.#renewals.get(id)
    if (known && clock.monotonic() <= known.untilMs) return await known.answer
    const renewal: Renewal = { answer: this.#ask(id), untilMs: Infinity }
    this.#renewals.set(id, renewal)
    try {
      const answer = await renewal.answer
      const { TTL = 0 } = decodeProto3<LeaseKeepAliveResponse>(etcdTable, 'LeaseKeepAliveResponse', answer)
      renewal.untilMs = clock.monotonic() + Math.min(longestReuseMs, TTL * 100)
      clock.setTimer(longestReuseMs, () => this.#forget(id, renewal), { keepAlive: false })
      return answer
    } catch (error) {
      this.#forget(id, renewal)
      throw error
    }
  }

  #forget(id: bigint, renewal: Renewal): void { if (this.#renewals.get(id) === renewal) this.#renewals.delete(id) }

  /** A renewal may be asked for again: it changes nothing but the time. */
  async #ask(id: bigint): Promise<Uint8Array> {
    const { clock } = this.#upstream
    const startedMs = clock.monotonic()
    for (;;) {
      try {
        const call = await (this.#call ??= this.#open())
        return await new Promise<Uint8Array>((resolve, reject) => {
          this.#waiters.set(id, { resolve, reject })
          call.send(encodeProto3(etcdTable, 'LeaseKeepAliveRequest', { ID: id } satisfies LeaseKeepAliveRequest))
        })
      } catch (error) {
        this.#waiters.delete(id)
        if (!(error instanceof GrpcError) || error.code !== 'Unavailable' || clock.monotonic() - startedMs >= patienceMs) throw error
        await sleep(clock, retryDelayMs, this.#ended.signal)
      }
    }
  }

  #open(): Promise<GrpcClientCall> {
    const opened: Promise<GrpcClientCall> = this.#upstream.open(`${service}/LeaseKeepAlive`, { signal: this.#ended.signal, metadata: this.#metadata }, {
      message: (bytes) => {
        const id = decodeProto3<LeaseKeepAliveResponse>(etcdTable, 'LeaseKeepAliveResponse', bytes).ID ?? 0n
        const waiter = this.#waiters.get(id)
        this.#waiters.delete(id)
        waiter?.resolve(bytes)
      },
      end: (error) => {
        if (this.#call === opened) this.#call = undefined
        const why = error ?? new GrpcError('Unavailable', 'the stream ended without an answer')
        const waiters = [...this.#waiters.values()]
        this.#waiters.clear()
        for (const { reject } of waiters) reject(why)
      },
    })
    opened.catch(() => { if (this.#call === opened) this.#call = undefined })
    return opened
  }

  close(): void {
    this.#ended.abort(new GrpcError('Canceled', 'context canceled'))
    void this.#call?.then((call) => call.cancel(), () => {})
  }
}
