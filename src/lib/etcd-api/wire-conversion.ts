// Between etcd's protobuf messages and the plain operations of this folder. Decoded messages leave zero values out; operations have them.
import { unreachable } from '../base/assert.ts'
import { etcdError } from './etcd-error.ts'
import type {
  Compare, DeleteRangeRequest, Event, KeyValue, PutRequest, RangeRequest, RangeResponse, RequestOp, ResponseHeader, ResponseOp, TxnRequest, TxnResponse,
} from './generated/types.ts'
import type {
  EtcdCompare, EtcdDeleteRangeRequest, EtcdEvent, EtcdKeyValue, EtcdOperation, EtcdOperationResult, EtcdPutRequest, EtcdRangeRequest, EtcdRangeResponse, EtcdTxnRequest, EtcdTxnResponse,
} from './operations.ts'

const noBytes = new Uint8Array(0)

// ---- requests, from the wire ----

export function rangeFromWire(m: RangeRequest): EtcdRangeRequest {
  const { key = noBytes, ...rest } = m
  return { key, ...rest }
}

export function putFromWire(m: PutRequest): EtcdPutRequest {
  const { key = noBytes, value = noBytes, ...rest } = m
  return { key, value, ...rest }
}

export function deleteRangeFromWire(m: DeleteRangeRequest): EtcdDeleteRangeRequest {
  const { key = noBytes, ...rest } = m
  return { key, ...rest }
}

/** @throws EtcdError when an operation is empty */
export function txnFromWire(m: TxnRequest): EtcdTxnRequest {
  return { compare: (m.compare ?? []).map(compareFromWire), success: (m.success ?? []).map(operationFromWire), failure: (m.failure ?? []).map(operationFromWire) }
}

function compareFromWire(m: Compare): EtcdCompare {
  const base = { key: m.key ?? noBytes, result: m.result ?? 'EQUAL', ...(m.rangeEnd === undefined ? {} : { rangeEnd: m.rangeEnd }) } as const
  switch (m.target ?? 'VERSION') {
    case 'VERSION': return { ...base, target: 'VERSION', number: m.version ?? 0 }
    case 'CREATE': return { ...base, target: 'CREATE', number: m.createRevision ?? 0 }
    case 'MOD': return { ...base, target: 'MOD', number: m.modRevision ?? 0 }
    case 'VALUE': return { ...base, target: 'VALUE', value: m.value ?? noBytes }
    case 'LEASE': return { ...base, target: 'LEASE', lease: m.lease ?? 0n }
    // A number that names no target: a newer client's.
    default: throw etcdError('keyNotFound')
  }
}

function operationFromWire(m: RequestOp): EtcdOperation {
  if (m.requestRange) return { type: 'range', ...rangeFromWire(m.requestRange) }
  if (m.requestPut) return { type: 'put', ...putFromWire(m.requestPut) }
  if (m.requestDeleteRange) return { type: 'deleteRange', ...deleteRangeFromWire(m.requestDeleteRange) }
  if (m.requestTxn) return { type: 'txn', ...txnFromWire(m.requestTxn) }
  throw etcdError('keyNotFound')
}

// ---- requests, to the wire. Operations carry the wire's field names, so most go as they are: encoders look at known fields only. ----

export function txnToWire(request: EtcdTxnRequest): TxnRequest {
  return { compare: request.compare.map(compareToWire), success: request.success.map(operationToWire), failure: request.failure.map(operationToWire) }
}

function compareToWire(compare: EtcdCompare): Compare {
  const base: Compare = { key: compare.key, result: compare.result, target: compare.target, ...(compare.rangeEnd === undefined ? {} : { rangeEnd: compare.rangeEnd }) }
  switch (compare.target) {
    case 'VERSION': return { ...base, version: compare.number }
    case 'CREATE': return { ...base, createRevision: compare.number }
    case 'MOD': return { ...base, modRevision: compare.number }
    case 'VALUE': return { ...base, value: compare.value }
    case 'LEASE': return { ...base, lease: compare.lease }
    default: return unreachable(compare)
  }
}

function operationToWire(operation: EtcdOperation): RequestOp {
  switch (operation.type) {
    case 'range': return { requestRange: operation }
    case 'put': return { requestPut: operation }
    case 'deleteRange': return { requestDeleteRange: operation }
    case 'txn': return { requestTxn: txnToWire(operation) }
    default: return unreachable(operation)
  }
}

// ---- answers, to the wire ----

export function rangeToWire(response: EtcdRangeResponse, header: ResponseHeader): RangeResponse {
  return { header, kvs: response.kvs, more: response.more, count: response.count }
}

export function txnResponseToWire(response: EtcdTxnResponse, header: ResponseHeader): TxnResponse {
  return { header, succeeded: response.succeeded, responses: response.results.map((result) => resultToWire(result, header.revision ?? 0)) }
}

/** Headers inside a transaction carry the revision alone. */
function resultToWire(result: EtcdOperationResult, revision: number): ResponseOp {
  switch (result.type) {
    case 'range': return { responseRange: rangeToWire(result, { revision: result.revision }) }
    case 'put': return { responsePut: { header: { revision }, ...(result.prevKv ? { prevKv: result.prevKv } : {}) } }
    case 'deleteRange': return { responseDeleteRange: { header: { revision }, deleted: result.deleted, ...(result.prevKvs ? { prevKvs: result.prevKvs } : {}) } }
    // A nested transaction's own header is empty.
    case 'txn': return { responseTxn: { ...txnResponseToWire(result, { revision: result.revision }), header: {} } }
    default: return unreachable(result)
  }
}

// ---- answers, from the wire ----

export function keyValueFromWire(m: KeyValue): EtcdKeyValue {
  return { key: m.key ?? noBytes, createRevision: m.createRevision ?? 0, modRevision: m.modRevision ?? 0, version: m.version ?? 0, value: m.value ?? noBytes, lease: m.lease ?? 0n }
}

export function rangeResponseFromWire(m: RangeResponse): EtcdRangeResponse {
  return { revision: m.header?.revision ?? 0, kvs: (m.kvs ?? []).map(keyValueFromWire), more: m.more ?? false, count: m.count ?? 0 }
}

export function txnResponseFromWire(m: TxnResponse): EtcdTxnResponse {
  return { revision: m.header?.revision ?? 0, succeeded: m.succeeded ?? false, results: (m.responses ?? []).map(resultFromWire) }
}

function resultFromWire(m: ResponseOp): EtcdOperationResult {
  if (m.responseRange) return { type: 'range', ...rangeResponseFromWire(m.responseRange) }
  if (m.responsePut) return m.responsePut.prevKv ? { type: 'put', prevKv: keyValueFromWire(m.responsePut.prevKv) } : { type: 'put' }
  if (m.responseDeleteRange) {
    const { deleted = 0, prevKvs } = m.responseDeleteRange
    return { type: 'deleteRange', deleted, ...(prevKvs ? { prevKvs: prevKvs.map(keyValueFromWire) } : {}) }
  }
  return { type: 'txn', ...txnResponseFromWire(m.responseTxn ?? {}) }
}

export function eventFromWire(m: Event): EtcdEvent {
  return { type: m.type ?? 'PUT', kv: keyValueFromWire(m.kv ?? {}), ...(m.prevKv ? { prevKv: keyValueFromWire(m.prevKv) } : {}) }
}
