// The EtcdClient of a store in the same process: no serialisation, no copies of values, no sockets. A read answers with the stored records.
import { etcdError } from '../../lib/etcd-api/etcd-error.ts'
import type { Caller } from './auth/caller.ts'
import type { Clock } from '../../lib/base/clock.ts'
import type { Random } from '../../lib/base/random.ts'
import type {
  EtcdClient, EtcdLeaseStatus, EtcdOperation, EtcdRangeRequest, EtcdRangeResponse, EtcdTxnRequest, EtcdTxnResponse, EtcdWatch, EtcdWatchObserver, EtcdWatchRequest,
} from '../../lib/etcd-client/etcd-client.ts'
import type { ProposalWaiter } from './consensus/proposals.ts'
import type { Member } from './member.ts'
import { isLongRange, readRange, readRangeInPieces } from './mvcc/range.ts'
import { checkRange, checkTxn } from './mvcc/request-checks.ts'
import { isReadOnly, runTransaction } from './mvcc/transaction.ts'
import type { AppliedResult, LoggedRequest } from './state-machine.ts'
import { etcdVersion } from './version.ts'
import { yieldToLoop } from './yield-to-loop.ts'

/** An empty store says one page: etcdctl divides by the size. */
export const smallestSizeBytes = 4096

export interface EmbeddedClientOptions {
  readonly member: Member
  readonly clock: Clock
  readonly random: Random
  readonly maxTxnOps: number
  readonly maxRequestBytes: number
}

export class EmbeddedEtcdClient implements EtcdClient {
  readonly #member: Member
  readonly #random: Random
  readonly #maxTxnOps: number
  readonly #maxRequestBytes: number

  constructor(options: EmbeddedClientOptions) {
    this.#member = options.member
    this.#random = options.random
    this.#maxTxnOps = options.maxTxnOps
    this.#maxRequestBytes = options.maxRequestBytes
  }

  range(request: EtcdRangeRequest, signal: AbortSignal): Promise<EtcdRangeResponse> {
    try {
      this.#member.checkServing(signal)
      checkRange(request)
      const current = request.serializable ? undefined : this.#member.readIndex(signal)
      if (current === undefined) return Promise.resolve(this.#read(request, signal))
      return current.then(() => this.#read(request, signal))
    } catch (error) {
      return Promise.reject(error)
    }
  }

  #read(request: EtcdRangeRequest, signal: AbortSignal): EtcdRangeResponse | Promise<EtcdRangeResponse> {
    const { store } = this.#member.machine
    if (!isLongRange(store, request)) return readRange(store, request)
    return readRangeInPieces(store, request, async () => {
      await yieldToLoop()
      signal.throwIfAborted()
    })
  }

  async txn(request: EtcdTxnRequest & { readonly caller?: Caller }, signal: AbortSignal): Promise<EtcdTxnResponse> {
    checkTxn(request, this.#maxTxnOps)
    if (isReadOnly(request)) {
      this.#member.checkServing(signal)
      const current = isSerializable(request) ? undefined : this.#member.readIndex(signal)
      if (current) await current
      return runTransaction(this.#member.machine.store, request, () => true)
    }
    const result = await this.propose({ type: 'txn', ...request }, signal)
    if (result.type !== 'txn') throw etcdError('canceled')
    return result.response
  }

  watch(request: EtcdWatchRequest, observer: EtcdWatchObserver): EtcdWatch {
    if (this.#member.isServing) return this.#member.hub.watch(request, observer)
    queueMicrotask(() => observer.closed({ error: etcdError('stopped') }))
    return { requestProgress: () => {}, [Symbol.dispose]: () => {} }
  }

  async compact(revision: number, signal: AbortSignal, options: { readonly physical?: boolean } = {}): Promise<void> {
    await this.propose({ type: 'compaction', revision }, signal)
    if (options.physical) await this.#member.scrub()
  }

  async leaseGrant(ttlSeconds: number, signal: AbortSignal, id: bigint = 0n): Promise<{ readonly id: bigint; readonly ttlSeconds: number }> {
    const chosen = id === 0n ? this.#randomLeaseId() : id
    this.#member.machine.leases.checkGrant(chosen, ttlSeconds)
    const result = await this.propose({ type: 'leaseGrant', id: chosen, ttlSeconds }, signal)
    return { id: chosen, ttlSeconds: result.type === 'leaseGrant' ? result.ttlSeconds : ttlSeconds }
  }

  async leaseRevoke(id: bigint, signal: AbortSignal): Promise<void> {
    await this.propose({ type: 'leaseRevoke', id }, signal)
  }

  async leaseKeepAlive(id: bigint, signal: AbortSignal): Promise<{ readonly ttlSeconds: number }> {
    this.#member.checkServing(signal)
    return { ttlSeconds: await this.#member.renewLease(id, signal) }
  }

  async leaseTimeToLive(id: bigint, signal: AbortSignal, options: { readonly keys?: boolean } = {}): Promise<EtcdLeaseStatus> {
    this.#member.checkServing(signal)
    return this.#member.leaseTimes(id, options.keys ?? false, signal)
  }

  async leases(signal: AbortSignal): Promise<readonly bigint[]> {
    this.#member.checkServing(signal)
    return this.#member.machine.leases.ids()
  }

  async status(signal: AbortSignal): Promise<{ readonly version: string; readonly dbSize: number; readonly revision: number }> {
    this.#member.checkServing(signal)
    const { store } = this.#member.machine
    return { version: etcdVersion, dbSize: Math.max(smallestSizeBytes, store.sizeBytes), revision: store.revision }
  }

  /** As `propose`, without a promise. @throws EtcdError what is known before */
  submit(request: LoggedRequest, signal: AbortSignal, waiter: ProposalWaiter): void {
    if (requestBytes(request) > this.#maxRequestBytes) throw etcdError('requestTooLarge')
    this.#member.submit(request, signal, waiter)
  }

  /** A transaction that changes something, without a promise; false when it only reads, and then nothing is asked. @throws EtcdError what is known before */
  submitTxn(request: { readonly type: 'txn' } & EtcdTxnRequest & { readonly caller?: Caller }, signal: AbortSignal, waiter: ProposalWaiter): boolean {
    checkTxn(request, this.#maxTxnOps)
    if (isReadOnly(request)) return false
    this.submit(request, signal, waiter)
    return true
  }

  /** Any request that changes something, for the servers in front of this store. */
  propose(request: LoggedRequest, signal: AbortSignal): Promise<AppliedResult> {
    if (requestBytes(request) > this.#maxRequestBytes) return Promise.reject(etcdError('requestTooLarge'))
    return this.#member.propose(request, signal)
  }

  #randomLeaseId(): bigint {
    for (;;) {
      const b = this.#random.bytes(8)
      const id = new DataView(b.buffer, b.byteOffset, 8).getBigUint64(0) & 0x7fffffffffffffffn
      if (id !== 0n && !this.#member.machine.leases.has(id)) return id
    }
  }
}

/** Every one of its reads may be of an older state. */
function isSerializable(request: EtcdTxnRequest): boolean {
  const all = (operations: EtcdTxnRequest['success']): boolean => operations.every((operation) => (operation.type === 'range' && operation.serializable === true) || (operation.type === 'txn' && isSerializable(operation)))
  return all(request.success) && all(request.failure)
}

/** About as many bytes as the request takes in the log. */
function requestBytes(request: LoggedRequest): number {
  switch (request.type) {
    case 'put': return 32 + request.key.length + request.value.length
    case 'txn': return txnBytes(request)
    default: return 0
  }
}

function txnBytes(request: EtcdTxnRequest): number {
  let bytes = 32
  for (const compare of request.compare) bytes += 32 + compare.key.length + (compare.target === 'VALUE' ? compare.value.length : 0)
  for (const operation of request.success) bytes += operationBytes(operation)
  for (const operation of request.failure) bytes += operationBytes(operation)
  return bytes
}

function operationBytes(operation: EtcdOperation): number {
  switch (operation.type) {
    case 'put': return 32 + operation.key.length + operation.value.length
    case 'txn': return txnBytes(operation)
    case 'range': case 'deleteRange': return 32 + operation.key.length + (operation.rangeEnd?.length ?? 0)
  }
}
