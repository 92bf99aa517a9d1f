// What kube-apiserver asks of an etcd, whichever one it is: embedded in the process, ours over gRPC, or the original over gRPC.
//
// Shapes follow etcdserverpb with camelCase names. Revisions, versions and counts are numbers (they fit 2^53), leases and ids are bigint.
// Keys and values are byte arrays that belong to whoever answered: never write into them. For the embedded store they are views of its
// slabs, valid for as long as the process runs.

export interface EtcdKeyValue {
  readonly key: Uint8Array
  readonly createRevision: number
  readonly modRevision: number
  readonly version: number
  readonly value: Uint8Array
  /** 0n when no lease is attached. */
  readonly lease: bigint
}

export interface EtcdRangeRequest {
  readonly key: Uint8Array
  /** Absent: just `key`. One zero byte: everything from `key` on. */
  readonly rangeEnd?: Uint8Array
  readonly limit?: number
  /** 0 or absent: the newest. */
  readonly revision?: number
  readonly serializable?: boolean
  readonly keysOnly?: boolean
  readonly countOnly?: boolean
}

export interface EtcdRangeResponse {
  /** The store's revision when it answered. */
  readonly revision: number
  readonly kvs: readonly EtcdKeyValue[]
  readonly more: boolean
  /** Keys in the range, whatever the limit. */
  readonly count: number
}

export type EtcdCompare =
  | { readonly key: Uint8Array; readonly target: 'MOD' | 'CREATE' | 'VERSION'; readonly result: 'EQUAL' | 'GREATER' | 'LESS' | 'NOT_EQUAL'; readonly number: number }
  | { readonly key: Uint8Array; readonly target: 'VALUE'; readonly result: 'EQUAL' | 'GREATER' | 'LESS' | 'NOT_EQUAL'; readonly value: Uint8Array }

export type EtcdOperation =
  | { readonly type: 'put'; readonly key: Uint8Array; readonly value: Uint8Array; readonly lease?: bigint }
  | { readonly type: 'deleteRange'; readonly key: Uint8Array; readonly rangeEnd?: Uint8Array }
  | ({ readonly type: 'range' } & EtcdRangeRequest)

export type EtcdOperationResult =
  | { readonly type: 'put' }
  | { readonly type: 'deleteRange'; readonly deleted: number }
  | ({ readonly type: 'range' } & EtcdRangeResponse)

export interface EtcdTxnRequest {
  readonly compare: readonly EtcdCompare[]
  readonly success: readonly EtcdOperation[]
  readonly failure: readonly EtcdOperation[]
}

export interface EtcdTxnResponse {
  readonly revision: number
  readonly succeeded: boolean
  readonly results: readonly EtcdOperationResult[]
}

export interface EtcdEvent {
  readonly type: 'PUT' | 'DELETE'
  /** For DELETE: key and modRevision of the deletion, empty value. */
  readonly kv: EtcdKeyValue
  /** Present when asked for and not compacted away. */
  readonly prevKv?: EtcdKeyValue
}

export interface EtcdWatchRequest {
  readonly key: Uint8Array
  readonly rangeEnd?: Uint8Array
  /** First revision to deliver; 0 or absent: what happens from now on. */
  readonly startRevision?: number
  readonly prevKv?: boolean
  readonly progressNotify?: boolean
}

/** Called in revision order. All events of one revision arrive in one call. */
export interface EtcdWatchObserver {
  /** The watch stands; it will deliver everything after `revision`. */
  created?(revision: number): void
  /** `revision`: everything up to it has been delivered; `events` is empty for a progress notification. */
  events(events: readonly EtcdEvent[], revision: number): void
  /** The end. With `compactRevision` the start was compacted: list again. Without `error` it was cancelled by its owner. */
  closed(end: { readonly compactRevision?: number; readonly error?: Error }): void
}

export interface EtcdWatch extends Disposable {
  /** Asks for a progress notification: an empty `events` call whose revision is at least the newest at this moment. */
  requestProgress(): void
}

/** Reasons are etcd's gRPC codes; `message` is etcd's own text. */
export class EtcdError extends Error {
  override readonly name = 'EtcdError'
  readonly reason: 'OutOfRange' | 'Compacted' | 'InvalidArgument' | 'NotFound' | 'FailedPrecondition' | 'ResourceExhausted' | 'Unavailable' | 'Internal' | 'DeadlineExceeded' | 'PermissionDenied' | 'Unauthenticated'
  constructor(reason: EtcdError['reason'], message: string, options?: ErrorOptions) {
    super(message, options)
    this.reason = reason
  }
}

export interface EtcdClient {
  range(request: EtcdRangeRequest, signal: AbortSignal): Promise<EtcdRangeResponse>
  /** Resolves when the change is durable. */
  txn(request: EtcdTxnRequest, signal: AbortSignal): Promise<EtcdTxnResponse>
  watch(request: EtcdWatchRequest, observer: EtcdWatchObserver): EtcdWatch
  compact(revision: number, signal: AbortSignal): Promise<void>
  leaseGrant(ttlSeconds: number, signal: AbortSignal): Promise<{ readonly id: bigint; readonly ttlSeconds: number }>
  leaseRevoke(id: bigint, signal: AbortSignal): Promise<void>
  leaseKeepAlive(id: bigint, signal: AbortSignal): Promise<{ readonly ttlSeconds: number }>
  status(signal: AbortSignal): Promise<{ readonly version: string; readonly dbSize: number; readonly revision: number }>
}
