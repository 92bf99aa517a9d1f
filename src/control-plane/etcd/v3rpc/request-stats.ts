// The lines "request stats" and, for reads, "apply request took too long": what a request asked and how long it took, when that was longer than
// `--warning-unary-request-duration` and `--warning-apply-duration` say (with --log-level=debug: of every request).
// Upstream: etcdserver/api/v3rpc/interceptor.go (logUnaryRequestStats), etcdserver/txn/util.go
import { WireReader } from '../../../lib/base/protobuf/wire-reader.ts'
import type { Clock } from '../../../lib/base/clock.ts'
import type { Logger } from '../../../lib/component-base/log.ts'
import type { EtcdOperation, EtcdRangeResponse, EtcdTxnResponse } from '../../../lib/etcd-api/operations.ts'
import { decodeProto3 } from '../../../lib/base/protobuf/proto3.ts'
import { etcdTable } from '../../../lib/etcd-api/generated/table.ts'
import type { DeleteRangeResponse, RangeResponse, TxnResponse } from '../../../lib/etcd-api/generated/types.ts'
import { rangeResponseFromWire, txnResponseFromWire } from '../../../lib/etcd-api/wire-conversion.ts'
import { describeOperation, describeRead, formatGoDuration } from '../describe-request.ts'
import { isReadOnly } from '../mvcc/transaction.ts'
import { rangeAnswer, txnAnswer, type Answer, type DeleteRangeAnswer } from './kv-answers.ts'
import { readDeleteRangeRequest, readPutRequest, readRangeRequest, readTxnRequest } from './kv-requests.ts'

export interface RequestStatsOptions {
  readonly clock: Clock
  readonly logger: Logger
  /** `--warning-unary-request-duration`. */
  readonly warningMs: number
  /** `--warning-apply-duration`. */
  readonly warningApplyMs: number
  /** Every request is told. */
  readonly tellsAll?: boolean
  /** A read took too long. */
  readonly onSlowRead?: () => void
}

export interface FinishedRequest {
  readonly path: string
  /** Where the client is. */
  readonly remote: string
  readonly tookMs: number
  readonly request: Uint8Array
  /** Undefined: it failed. */
  readonly answer: { readonly sizeBytes: number; readonly message?: unknown; readonly bytes?: Uint8Array } | undefined
}

const readers: { readonly [path: string]: (request: WireReader) => EtcdOperation } = {
  '/etcdserverpb.KV/Range': readRangeRequest, '/etcdserverpb.KV/Put': readPutRequest, '/etcdserverpb.KV/DeleteRange': readDeleteRangeRequest, '/etcdserverpb.KV/Txn': readTxnRequest,
}

export class RequestStats {
  readonly #options: RequestStatsOptions
  /** What takes less is nobody's business. */
  readonly fromMs: number

  constructor(options: RequestStatsOptions) {
    this.#options = options
    this.fromMs = options.tellsAll ? 0 : Math.min(options.warningMs, options.warningApplyMs)
  }

  /** To be called for requests that took longer than `fromMs`. */
  finished(done: FinishedRequest): void {
    const operation = operationOf(done)
    const { warningApplyMs, warningMs, tellsAll = false } = this.#options
    if (operation && done.tookMs > warningApplyMs) this.#tellRead(operation, done)
    if (tellsAll || done.tookMs > warningMs) this.#tellStats(operation, done)
  }

  #tellStats(operation: EtcdOperation | undefined, { path, remote, tookMs, request, answer }: FinishedRequest): void {
    const { clock, logger, tellsAll = false } = this.#options
    const counts = operation ? countsOf(operation, request, answer) : { requestCount: -1, requestSize: -1, responseCount: -1, responseSize: -1 }
    const values = {
      'start time': new Date(clock.now() - tookMs).toISOString().replace('Z', '000Z'), 'time spent': formatGoDuration(tookMs), remote, 'response type': path, 'request count': counts.requestCount, 'request size': counts.requestSize,
      'response count': counts.responseCount, 'response size': counts.responseSize, 'request content': operation ? describeOperation(operation) : '',
    }
    if (tellsAll) logger.info('request stats', values, 4)
    else logger.warn('request stats', values)
  }

  /** Reads are not applied through the log: they are told of here. */
  #tellRead(operation: EtcdOperation, { tookMs, answer }: FinishedRequest): void {
    if (operation.type !== 'range' && !(operation.type === 'txn' && isReadOnly(operation))) return
    const { logger, warningApplyMs, onSlowRead } = this.#options
    logger.warn('apply request took too long', {
      took: formatGoDuration(tookMs), 'expected-duration': formatGoDuration(warningApplyMs), prefix: operation.type === 'range' ? 'read-only range ' : 'read-only txn ', request: describeOperation(operation), response: responseOf(operation.type, answer),
    })
    onSlowRead?.()
  }
}

function operationOf({ path, request }: FinishedRequest): EtcdOperation | undefined {
  try {
    return readers[path]?.(new WireReader(request))
  } catch {
    return undefined
  }
}

interface Counts { readonly requestCount: number; readonly requestSize: number; readonly responseCount: number; readonly responseSize: number }

/** As the original counts: operations of a transaction, keys that a range found or a deletion removed. */
function countsOf(operation: EtcdOperation, request: Uint8Array, answer: FinishedRequest['answer']): Counts {
  const body = bodyOf(operation.type, answer)
  const responseSize = answer?.sizeBytes ?? 0
  switch (operation.type) {
    case 'range': return { requestCount: 0, requestSize: request.length, responseCount: (body as EtcdRangeResponse | undefined)?.count ?? 0, responseSize } // cast: what this method answers with
    case 'put': return { requestCount: 1, requestSize: request.length, responseCount: 0, responseSize }
    case 'deleteRange': return { requestCount: 0, requestSize: request.length, responseCount: (body as DeleteRangeAnswer | undefined)?.deleted ?? 0, responseSize } // cast: as above
    case 'txn': {
      if (!answer) return { requestCount: 0, requestSize: 0, responseCount: 0, responseSize }
      const { succeeded = false } = (body ?? {}) as Partial<EtcdTxnResponse> // cast: as above
      const taken = succeeded ? operation.success : operation.failure
      return { requestCount: taken.length, requestSize: operationsSize(request, succeeded ? successField : failureField), responseCount: 0, responseSize }
    }
  }
}

const successField = 2
const failureField = 3

/** Bytes of a transaction's operations of one branch. */
function operationsSize(request: Uint8Array, field: number): number {
  const r = new WireReader(request)
  let size = 0
  while (!r.done) {
    const tag = r.tag()
    if (tag === field * 8 + 2) size += r.bytes().length
    else r.skip(tag % 8)
  }
  return size
}

/** What was answered, as the store gave it; of a call that came through the gateway it is read from its bytes. */
function bodyOf(type: EtcdOperation['type'], answer: FinishedRequest['answer']): unknown {
  const message = answer?.message
  if (typeof message === 'object' && message !== null && 'body' in message) return message.body
  if (!answer?.bytes) return undefined
  switch (type) {
    case 'range': return rangeResponseFromWire(decodeProto3<RangeResponse>(etcdTable, 'RangeResponse', answer.bytes))
    case 'txn': return txnResponseFromWire(decodeProto3<TxnResponse>(etcdTable, 'TxnResponse', answer.bytes))
    case 'deleteRange': return { deleted: decodeProto3<DeleteRangeResponse>(etcdTable, 'DeleteRangeResponse', answer.bytes).deleted ?? 0 } satisfies DeleteRangeAnswer
    case 'put': return undefined
  }
}

function responseOf(type: EtcdOperation['type'], answer: FinishedRequest['answer']): string {
  const body = bodyOf(type, answer) as Partial<EtcdRangeResponse & EtcdTxnResponse> | undefined // cast: of a range or a transaction
  if (!answer || !body) return ''
  const { revision = 0 } = body
  if (body.kvs) {
    const message: Answer<EtcdRangeResponse> = { revision, body: body as EtcdRangeResponse } // cast: it has keys
    return `range_response_count:${body.kvs.length} size:${rangeAnswer.size(message)}`
  }
  const message: Answer<EtcdTxnResponse> = { revision, body: body as EtcdTxnResponse } // cast: the other one
  return describeRead(body.results ?? [], txnAnswer.size(message))
}
