// The requests of etcdserverpb.KV and Watch, read by hand straight into what the store is asked: no message objects between. The table codec
// (lib/base/protobuf/proto3.ts) followed by lib/etcd-api/wire-conversion.ts says the same, and the test beside this file compares them.
//
// Keys and values are views of the bytes they came in; those belong to the request and are never written to.
import { WireReader } from '../../../lib/base/protobuf/wire-reader.ts'
import { etcdError } from '../../../lib/etcd-api/etcd-error.ts'
import type { SortOrder } from '../../../lib/etcd-api/generated/types.ts'
import type { EtcdCompare, EtcdCompareResult, EtcdDeleteRangeRequest, EtcdOperation, EtcdPutRequest, EtcdRangeRequest, EtcdSortTarget, EtcdTxnRequest } from '../../../lib/etcd-api/operations.ts'

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

const noBytes = new Uint8Array(0)
const sortOrders: readonly SortOrder[] = ['NONE', 'ASCEND', 'DESCEND']
const sortTargets: readonly EtcdSortTarget[] = ['KEY', 'VERSION', 'CREATE', 'MOD', 'VALUE']
const compareResults: readonly EtcdCompareResult[] = ['EQUAL', 'GREATER', 'LESS', 'NOT_EQUAL']

/** A number without a name stays a number: a newer client's, which the checks refuse. */
function named<T>(names: readonly T[], number: number): T { return names[number] ?? (number as T) } // cast: see above

// All fields are there from the start, so that all requests of a kind have one shape.

export function readRangeRequest(r: WireReader): { type: 'range' } & EtcdRangeRequest {
  const m: Mutable<{ type: 'range' } & EtcdRangeRequest> = {
    type: 'range', key: noBytes, rangeEnd: undefined, limit: 0, revision: 0, sortOrder: 'NONE', sortTarget: 'KEY', serializable: false, keysOnly: false, countOnly: false,
    minModRevision: 0, maxModRevision: 0, minCreateRevision: 0, maxCreateRevision: 0,
  }
  while (!r.done) {
    const tag = r.tag()
    switch (tag) {
      case 10: m.key = r.bytes(); break
      case 18: m.rangeEnd = r.bytes(); break
      case 24: m.limit = r.signedVarint(); break
      case 32: m.revision = r.signedVarint(); break
      case 40: m.sortOrder = named(sortOrders, r.signedVarint()); break
      case 48: m.sortTarget = named(sortTargets, r.signedVarint()); break
      case 56: m.serializable = r.flag(); break
      case 64: m.keysOnly = r.flag(); break
      case 72: m.countOnly = r.flag(); break
      case 80: m.minModRevision = r.signedVarint(); break
      case 88: m.maxModRevision = r.signedVarint(); break
      case 96: m.minCreateRevision = r.signedVarint(); break
      case 104: m.maxCreateRevision = r.signedVarint(); break
      default: r.skip(tag % 8)
    }
  }
  return m
}

export function readPutRequest(r: WireReader): { type: 'put' } & EtcdPutRequest {
  const m: Mutable<{ type: 'put' } & EtcdPutRequest> = { type: 'put', key: noBytes, value: noBytes, lease: 0n, prevKv: false, ignoreValue: false, ignoreLease: false }
  while (!r.done) {
    const tag = r.tag()
    switch (tag) {
      case 10: m.key = r.bytes(); break
      case 18: m.value = r.bytes(); break
      case 24: m.lease = BigInt.asIntN(64, r.bigVarint()); break
      case 32: m.prevKv = r.flag(); break
      case 40: m.ignoreValue = r.flag(); break
      case 48: m.ignoreLease = r.flag(); break
      default: r.skip(tag % 8)
    }
  }
  return m
}

export function readDeleteRangeRequest(r: WireReader): { type: 'deleteRange' } & EtcdDeleteRangeRequest {
  const m: Mutable<{ type: 'deleteRange' } & EtcdDeleteRangeRequest> = { type: 'deleteRange', key: noBytes, rangeEnd: undefined, prevKv: false }
  while (!r.done) {
    const tag = r.tag()
    switch (tag) {
      case 10: m.key = r.bytes(); break
      case 18: m.rangeEnd = r.bytes(); break
      case 24: m.prevKv = r.flag(); break
      default: r.skip(tag % 8)
    }
  }
  return m
}

/** @throws WireError, and EtcdError when an operation is empty */
export function readTxnRequest(r: WireReader): { type: 'txn' } & EtcdTxnRequest {
  const compare: EtcdCompare[] = []
  const success: EtcdOperation[] = []
  const failure: EtcdOperation[] = []
  while (!r.done) {
    const tag = r.tag()
    switch (tag) {
      case 10: { const end = r.enter(); compare.push(readCompare(r)); r.leave(end); break }
      case 18: { const end = r.enter(); success.push(readOperation(r)); r.leave(end); break }
      case 26: { const end = r.enter(); failure.push(readOperation(r)); r.leave(end); break }
      default: r.skip(tag % 8)
    }
  }
  return { type: 'txn', compare, success, failure }
}

function readOperation(r: WireReader): EtcdOperation {
  // Of several members the last one counts, as in any oneof.
  let operation: EtcdOperation | undefined
  while (!r.done) {
    const tag = r.tag()
    switch (tag) {
      case 10: { const end = r.enter(); operation = readRangeRequest(r); r.leave(end); break }
      case 18: { const end = r.enter(); operation = readPutRequest(r); r.leave(end); break }
      case 26: { const end = r.enter(); operation = readDeleteRangeRequest(r); r.leave(end); break }
      case 34: { const end = r.enter(); operation = readTxnRequest(r); r.leave(end); break }
      default: r.skip(tag % 8)
    }
  }
  if (operation === undefined) throw etcdError('keyNotFound')
  return operation
}

function readCompare(r: WireReader): EtcdCompare {
  let key: Uint8Array = noBytes
  let rangeEnd: Uint8Array | undefined
  let result = 0
  let target = 0
  let [version, createRevision, modRevision] = [0, 0, 0]
  let value: Uint8Array = noBytes
  let lease = 0n
  while (!r.done) {
    const tag = r.tag()
    switch (tag) {
      case 8: result = r.signedVarint(); break
      case 16: target = r.signedVarint(); break
      case 26: key = r.bytes(); break
      case 32: version = r.signedVarint(); break
      case 40: createRevision = r.signedVarint(); break
      case 48: modRevision = r.signedVarint(); break
      case 58: value = r.bytes(); break
      case 64: lease = BigInt.asIntN(64, r.bigVarint()); break
      case 514: rangeEnd = r.bytes(); break
      default: r.skip(tag % 8)
    }
  }
  const wanted = compareResults[result]
  // What a newer client means by numbers without a name, an old server takes as: any result is right, any target is equal.
  if (wanted === undefined || (target > 4 || target < 0)) {
    const always = wanted === undefined || wanted === 'EQUAL'
    return { key, rangeEnd, target: 'VERSION', result: always ? 'GREATER' : 'LESS', number: always ? -1 : 0 }
  }
  switch (target) {
    case 1: return { key, rangeEnd, target: 'CREATE', result: wanted, number: createRevision }
    case 2: return { key, rangeEnd, target: 'MOD', result: wanted, number: modRevision }
    case 3: return { key, rangeEnd, target: 'VALUE', result: wanted, value }
    case 4: return { key, rangeEnd, target: 'LEASE', result: wanted, lease }
    default: return { key, rangeEnd, target: 'VERSION', result: wanted, number: version }
  }
}

export type ReadWatchRequest =
  | { readonly type: 'create'; readonly key: Uint8Array; readonly rangeEnd: Uint8Array | undefined; readonly startRevision: number; readonly progressNotify: boolean; readonly noPut: boolean; readonly noDelete: boolean; readonly prevKv: boolean
    readonly watchId: number; readonly fragment: boolean }
  | { readonly type: 'cancel'; readonly watchId: number }
  | { readonly type: 'progress' }

/** Undefined when nothing is asked. */
export function readWatchRequest(r: WireReader): ReadWatchRequest | undefined {
  let asked: ReadWatchRequest | undefined
  while (!r.done) {
    const tag = r.tag()
    switch (tag) {
      case 10: { const end = r.enter(); asked = readWatchCreate(r); r.leave(end); break }
      case 18: { const end = r.enter(); asked = { type: 'cancel', watchId: readWatchId(r) }; r.leave(end); break }
      case 26: r.skip(2); asked = { type: 'progress' }; break
      default: r.skip(tag % 8)
    }
  }
  return asked
}

function readWatchId(r: WireReader): number {
  let watchId = 0
  while (!r.done) {
    const tag = r.tag()
    if (tag === 8) watchId = r.signedVarint()
    else r.skip(tag % 8)
  }
  return watchId
}

function readWatchCreate(r: WireReader): ReadWatchRequest {
  let key: Uint8Array = noBytes
  let rangeEnd: Uint8Array | undefined
  let [startRevision, watchId] = [0, 0]
  let [progressNotify, noPut, noDelete, prevKv, fragment] = [false, false, false, false, false]
  const filter = (number: number): void => {
    if (number === 0) noPut = true
    else if (number === 1) noDelete = true
  }
  while (!r.done) {
    const tag = r.tag()
    switch (tag) {
      case 10: key = r.bytes(); break
      case 18: rangeEnd = r.bytes(); break
      case 24: startRevision = r.signedVarint(); break
      case 32: progressNotify = r.flag(); break
      case 40: filter(r.signedVarint()); break
      case 42: {
        const end = r.enter()
        while (!r.done) filter(r.signedVarint())
        r.leave(end)
        break
      }
      case 48: prevKv = r.flag(); break
      case 56: watchId = r.signedVarint(); break
      case 64: fragment = r.flag(); break
      default: r.skip(tag % 8)
    }
  }
  return { type: 'create', key, rangeEnd, startRevision, progressNotify, noPut, noDelete, prevKv, watchId, fragment }
}
