// What kube-apiserver asks of an etcd, whichever one it is: embedded in the process, ours over gRPC, or the original over gRPC.
//
// Requests, answers and errors are plain values (lib/etcd-api). Keys and values belong to whoever answered: never write into them, and read
// `key` and `value` of a key-value once (an embedded store makes the view when asked).
import { EtcdError } from '../etcd-api/etcd-error.ts'
import { GrpcNotSentError } from '../net/grpc/status.ts'
import type { EtcdRangeRequest, EtcdRangeResponse, EtcdTxnRequest, EtcdTxnResponse, EtcdWatchObserver, EtcdWatchRequest } from '../etcd-api/operations.ts'

export type {
  EtcdAlarm, EtcdCompare, EtcdCompareResult, EtcdDeleteRangeRequest, EtcdEvent, EtcdKeyValue, EtcdOperation, EtcdOperationResult, EtcdPutRequest, EtcdRangeRequest, EtcdRangeResponse,
  EtcdSortTarget, EtcdTxnRequest, EtcdTxnResponse, EtcdWatchObserver, EtcdWatchRequest,
} from '../etcd-api/operations.ts'
export { EtcdError } from '../etcd-api/etcd-error.ts'
export type { EtcdErrorReason } from '../etcd-api/etcd-error.ts'

/** Nobody was there to be asked. */
export class NoEndpointError extends EtcdError {
  constructor(message: string, options?: ErrorOptions) { super('Unavailable', message, options) }
}

/** No server has seen the request: nothing has happened, and it may be made again. */
export function wasNotSent(error: EtcdError): boolean { return error instanceof NoEndpointError || error.cause instanceof GrpcNotSentError }

export interface EtcdWatch extends Disposable {
  /** Asks for a progress notification: an empty `events` call whose revision is at least the newest at this moment. */
  requestProgress(): void
}

export interface EtcdLeaseStatus {
  /** -1 when there is no such lease. */
  readonly ttlSeconds: number
  readonly grantedTtlSeconds: number
  /** Attached keys, when asked for. */
  readonly keys: readonly Uint8Array[]
}

export interface EtcdEndpointStatus {
  readonly endpoint: string
  /** Absent when it did not answer. */
  readonly version?: string
  readonly dbSize?: number
}

export interface EtcdClient {
  range(request: EtcdRangeRequest, signal: AbortSignal): Promise<EtcdRangeResponse>
  /** Resolves when the change is durable. */
  txn(request: EtcdTxnRequest, signal: AbortSignal): Promise<EtcdTxnResponse>
  watch(request: EtcdWatchRequest, observer: EtcdWatchObserver): EtcdWatch
  /** With `physical` it waits until the space is free. */
  compact(revision: number, signal: AbortSignal, options?: { readonly physical?: boolean }): Promise<void>
  /** @param id chosen by the server when absent. */
  leaseGrant(ttlSeconds: number, signal: AbortSignal, id?: bigint): Promise<{ readonly id: bigint; readonly ttlSeconds: number }>
  leaseRevoke(id: bigint, signal: AbortSignal): Promise<void>
  /** `ttlSeconds` is 0 when the lease is gone. */
  leaseKeepAlive(id: bigint, signal: AbortSignal): Promise<{ readonly ttlSeconds: number }>
  leaseTimeToLive(id: bigint, signal: AbortSignal, options?: { readonly keys?: boolean }): Promise<EtcdLeaseStatus>
  leases(signal: AbortSignal): Promise<readonly bigint[]>
  status(signal: AbortSignal): Promise<{ readonly version: string; readonly dbSize: number; readonly revision: number }>
  /** The same of every endpoint, where there are several. */
  endpointStatuses?(signal: AbortSignal): Promise<readonly EtcdEndpointStatus[]>
}
