// The store on behalf of one caller: what the lock and election services do, they may do only when their caller may.
import { EtcdError, etcdError } from '../../../lib/etcd-api/etcd-error.ts'
import type { EtcdEvent, EtcdKeyValue, EtcdRangeRequest, EtcdRangeResponse, EtcdTxnRequest, EtcdTxnResponse, EtcdWatchRequest } from '../../../lib/etcd-api/operations.ts'
import { callerOf, loggedCaller, type Peer } from '../v3rpc/access.ts'
import type { EtcdInternals } from '../embedded.ts'

/** Lease of callers who bring none: the lock dissolves when it is not renewed. */
const sessionTtlSeconds = 60

export class CallerClient {
  readonly #etcd: EtcdInternals
  readonly #peer: Peer
  readonly signal: AbortSignal

  constructor(etcd: EtcdInternals, peer: Peer, signal: AbortSignal) {
    this.#etcd = etcd
    this.#peer = peer
    this.signal = signal
  }

  async range(request: EtcdRangeRequest): Promise<EtcdRangeResponse> {
    const { auth } = this.#etcd.member.machine
    if (auth.enabled) auth.checkRange(callerOf(this.#etcd, this.#peer), request.key, request.rangeEnd)
    return this.#etcd.client.range(request, this.signal)
  }

  async txn(request: EtcdTxnRequest, signal = this.signal): Promise<EtcdTxnResponse> {
    return this.#etcd.client.txn({ ...request, ...loggedCaller(this.#etcd, this.#peer) }, signal)
  }

  /** The caller's lease, or a new one. */
  async session(lease: bigint): Promise<bigint> {
    return lease > 0n ? lease : (await this.#etcd.client.leaseGrant(sessionTtlSeconds, this.signal)).id
  }

  /** Calls `onEvent` for every event from `request.startRevision` on, until it returns a value or the call ends. */
  async follow<T>(request: EtcdWatchRequest, onEvent: (event: EtcdEvent, revision: number) => T | undefined): Promise<T> {
    const { auth } = this.#etcd.member.machine
    if (auth.enabled) auth.checkRange(callerOf(this.#etcd, this.#peer), request.key, request.rangeEnd)
    this.signal.throwIfAborted()
    const { promise, resolve, reject } = Promise.withResolvers<T>()
    const onAbort = (): void => reject(this.signal.reason)
    this.signal.addEventListener('abort', onAbort, { once: true })
    using watch = this.#etcd.client.watch(request, {
      events: (events, revision) => {
        for (const event of events) {
          const found = onEvent(event, revision)
          if (found !== undefined) { resolve(found); return }
        }
      },
      closed: ({ error }) => reject(error ?? etcdError('watchCanceled')),
    })
    void watch
    try {
      return await promise
    } finally {
      this.signal.removeEventListener('abort', onAbort)
    }
  }

  /** The key under `prefix` that was made first. */
  async oldest(prefix: Uint8Array): Promise<{ readonly revision: number; readonly kv: EtcdKeyValue | undefined }> {
    const { revision, kvs } = await this.range(firstCreated(prefix))
    return { revision, kv: kvs[0] }
  }

  /** Resolves when every key under `prefix` that was made up to `revision` is gone. */
  async waitForDeletions(prefix: Uint8Array, revision: number): Promise<void> {
    for (;;) {
      const { kvs: [last], revision: seen } = await this.range({ key: prefix, rangeEnd: prefixEnd(prefix), sortTarget: 'CREATE', sortOrder: 'DESCEND', maxCreateRevision: revision, limit: 1 })
      if (!last) return
      await this.follow({ key: last.key, startRevision: seen + 1, noPut: true }, (event) => (event.type === 'DELETE' ? true : undefined))
    }
  }
}

export function firstCreated(prefix: Uint8Array): EtcdRangeRequest {
  return { key: prefix, rangeEnd: prefixEnd(prefix), sortTarget: 'CREATE', sortOrder: 'ASCEND', limit: 1 }
}

/** The first key behind all that begin with `prefix`. */
export function prefixEnd(prefix: Uint8Array): Uint8Array {
  for (let at = prefix.length - 1; at >= 0; at--) {
    const byte = prefix[at]! // cast: bounded by the loop
    if (byte === 0xff) continue
    // A copy: a Buffer's own slice would be a view.
    const end = Uint8Array.from(prefix.subarray(0, at + 1))
    end[at] = byte + 1
    return end
  }
  return Uint8Array.of(0)
}

/** Folder of a name, and the caller's key in it. */
export function recipeKeys(name: Uint8Array, lease: bigint): { readonly prefix: Uint8Array; readonly key: Uint8Array } {
  const prefix = Buffer.concat([name, Buffer.from('/')])
  return { prefix, key: Buffer.concat([prefix, Buffer.from(BigInt.asUintN(64, lease).toString(16))]) }
}

/** What went wrong below a lock or an election comes out without its own code: the original's services are clients of the store themselves. */
export function withoutCodes<T extends object>(implementation: T): T {
  return new Proxy(implementation, {
    get: (target, name, receiver) => {
      const found: unknown = Reflect.get(target, name, receiver)
      if (typeof found !== 'function') return found
      return (...args: readonly unknown[]) => {
        const result: unknown = Reflect.apply(found, target, args)
        return result instanceof Promise ? result.catch((error: unknown) => { throw error instanceof EtcdError ? new EtcdError('Unknown', error.message, { cause: error }) : error }) : result
      }
    },
  })
}
