// etcd's operations as plain values: what a client asks and what it gets, the same for the embedded store and for a remote one.
//
// Shapes follow etcdserverpb with camelCase names. Revisions, versions and counts are numbers (they fit 2^53), leases and ids are bigint.
// Keys and values are byte arrays that belong to whoever answered: never write into them. In an embedded store a key-value is the stored
// record itself: `key` and `value` are made when they are read, so read them once.

export interface EtcdKeyValue {
  readonly key: Uint8Array
  readonly createRevision: number
  readonly modRevision: number
  readonly version: number
  readonly value: Uint8Array
  /** 0n when no lease is attached. */
  readonly lease: bigint
}

export type EtcdSortTarget = 'KEY' | 'VERSION' | 'CREATE' | 'MOD' | 'VALUE'

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
  readonly sortOrder?: 'NONE' | 'ASCEND' | 'DESCEND'
  readonly sortTarget?: EtcdSortTarget
  readonly minModRevision?: number
  readonly maxModRevision?: number
  readonly minCreateRevision?: number
  readonly maxCreateRevision?: number
}

export interface EtcdRangeResponse {
  /** The store's revision when it answered. */
  readonly revision: number
  readonly kvs: readonly EtcdKeyValue[]
  readonly more: boolean
  /** Keys in the range, whatever the limit. */
  readonly count: number
}

export type EtcdCompareResult = 'EQUAL' | 'GREATER' | 'LESS' | 'NOT_EQUAL'

/** With `rangeEnd` every key of the range must satisfy it. */
export type EtcdCompare =
  | { readonly key: Uint8Array; readonly rangeEnd?: Uint8Array; readonly target: 'MOD' | 'CREATE' | 'VERSION'; readonly result: EtcdCompareResult; readonly number: number }
  | { readonly key: Uint8Array; readonly rangeEnd?: Uint8Array; readonly target: 'VALUE'; readonly result: EtcdCompareResult; readonly value: Uint8Array }
  | { readonly key: Uint8Array; readonly rangeEnd?: Uint8Array; readonly target: 'LEASE'; readonly result: EtcdCompareResult; readonly lease: bigint }

export interface EtcdPutRequest {
  readonly key: Uint8Array
  readonly value: Uint8Array
  readonly lease?: bigint
  readonly prevKv?: boolean
  /** Keep the value that is there (and only change the lease). */
  readonly ignoreValue?: boolean
  /** Keep the lease that is there. */
  readonly ignoreLease?: boolean
}

export interface EtcdDeleteRangeRequest {
  readonly key: Uint8Array
  readonly rangeEnd?: Uint8Array
  readonly prevKv?: boolean
}

export interface EtcdTxnRequest {
  readonly compare: readonly EtcdCompare[]
  readonly success: readonly EtcdOperation[]
  readonly failure: readonly EtcdOperation[]
}

export type EtcdOperation =
  | ({ readonly type: 'put' } & EtcdPutRequest)
  | ({ readonly type: 'deleteRange' } & EtcdDeleteRangeRequest)
  | ({ readonly type: 'range' } & EtcdRangeRequest)
  | ({ readonly type: 'txn' } & EtcdTxnRequest)

export type EtcdOperationResult =
  | { readonly type: 'put'; readonly prevKv?: EtcdKeyValue }
  | { readonly type: 'deleteRange'; readonly deleted: number; readonly prevKvs?: readonly EtcdKeyValue[] }
  | ({ readonly type: 'range' } & EtcdRangeResponse)
  | ({ readonly type: 'txn' } & EtcdTxnResponse)

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
  /** Ask for an empty delivery from time to time (10 minutes unless the store says otherwise) when nothing else was delivered. */
  readonly progressNotify?: boolean
  readonly noPut?: boolean
  readonly noDelete?: boolean
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

export type EtcdAlarm = 'NOSPACE' | 'CORRUPT'
