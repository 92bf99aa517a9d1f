// `--namespace`: clients see the keys below a prefix as if there were no others. Requests get the prefix, answers lose it.
// Upstream: etcd/client/v3/namespace
import { etcdError } from '../../../lib/etcd-api/etcd-error.ts'
import type {
  Compare, DeleteRangeRequest, DeleteRangeResponse, Event, KeyValue, LeaseTimeToLiveResponse, PutRequest, PutResponse, RangeRequest, RangeResponse, RequestOp, ResponseOp, TxnRequest, TxnResponse,
} from '../../../lib/etcd-api/generated/types.ts'
import { prefixEnd } from '../recipes/caller-client.ts'
import type { KeyRange } from './range-cache.ts'

const noBytes = new Uint8Array(0)

export class KeyNamespace {
  readonly #prefix: Uint8Array

  constructor(prefix: string) { this.#prefix = Buffer.from(prefix) }

  get isEmpty(): boolean { return this.#prefix.length === 0 }

  add(key: Uint8Array): Uint8Array { return this.isEmpty ? key : Buffer.concat([this.#prefix, key]) }

  /** Everything from a key on ends where the namespace does. */
  addToRange({ key, rangeEnd = noBytes }: KeyRange): Required<KeyRange> {
    if (this.isEmpty || rangeEnd.length === 0) return { key: this.add(key), rangeEnd }
    return { key: this.add(key), rangeEnd: rangeEnd.length === 1 && rangeEnd[0] === 0 ? prefixEnd(this.#prefix) : this.add(rangeEnd) }
  }

  strip(key: Uint8Array): Uint8Array { return key.subarray(this.#prefix.length) }

  #has(key: Uint8Array): boolean { return this.#prefix.every((byte, at) => key[at] === byte) }

  // ---- requests. @throws EtcdError without a key: in a namespace that would not be the server's word to say ----

  range(request: RangeRequest): RangeRequest { return { ...request, ...this.#named(request) } }
  put(request: PutRequest): PutRequest { return { ...request, key: this.#named(request).key } }
  deleteRange(request: DeleteRangeRequest): DeleteRangeRequest { return { ...request, ...this.#named(request) } }

  txn({ compare = [], success = [], failure = [] }: TxnRequest): TxnRequest {
    return { compare: compare.map((one) => this.#compare(one)), success: success.map((one) => this.#operation(one)), failure: failure.map((one) => this.#operation(one)) }
  }

  #named({ key = noBytes, rangeEnd }: { readonly key?: Uint8Array; readonly rangeEnd?: Uint8Array }): Required<KeyRange> {
    if (key.length === 0) throw etcdError('emptyKey')
    return this.addToRange({ key, rangeEnd })
  }

  #compare(compare: Compare): Compare { return { ...compare, ...this.addToRange({ key: compare.key ?? noBytes, rangeEnd: compare.rangeEnd }) } }

  #operation({ requestRange, requestPut, requestDeleteRange, requestTxn }: RequestOp): RequestOp {
    if (requestRange) return { requestRange: { ...requestRange, ...this.addToRange({ key: requestRange.key ?? noBytes, rangeEnd: requestRange.rangeEnd }) } }
    if (requestPut) return { requestPut: { ...requestPut, key: this.add(requestPut.key ?? noBytes) } }
    if (requestDeleteRange) return { requestDeleteRange: { ...requestDeleteRange, ...this.addToRange({ key: requestDeleteRange.key ?? noBytes, rangeEnd: requestDeleteRange.rangeEnd }) } }
    return requestTxn ? { requestTxn: this.txn(requestTxn) } : {}
  }

  // ---- answers ----

  rangeAnswer(answer: RangeResponse): RangeResponse { return { ...answer, kvs: (answer.kvs ?? []).map((kv) => this.#keyValue(kv)) } }
  putAnswer(answer: PutResponse): PutResponse { return answer.prevKv ? { ...answer, prevKv: this.#keyValue(answer.prevKv) } : answer }
  deleteRangeAnswer(answer: DeleteRangeResponse): DeleteRangeResponse { return { ...answer, prevKvs: (answer.prevKvs ?? []).map((kv) => this.#keyValue(kv)) } }
  txnAnswer(answer: TxnResponse): TxnResponse { return { ...answer, responses: (answer.responses ?? []).map((one) => this.#result(one)) } }
  event(event: Event): Event { return { ...event, ...(event.kv ? { kv: this.#keyValue(event.kv) } : {}), ...(event.prevKv ? { prevKv: this.#keyValue(event.prevKv) } : {}) } }

  /** Keys of other namespaces are nobody's business. */
  leaseAnswer(answer: LeaseTimeToLiveResponse): LeaseTimeToLiveResponse { return { ...answer, keys: (answer.keys ?? []).filter((key) => this.#has(key)).map((key) => this.strip(key)) } }

  #keyValue(kv: KeyValue): KeyValue { return { ...kv, key: this.strip(kv.key ?? noBytes) } }

  #result({ responseRange, responsePut, responseDeleteRange, responseTxn }: ResponseOp): ResponseOp {
    if (responseRange) return { responseRange: this.rangeAnswer(responseRange) }
    if (responsePut) return { responsePut: this.putAnswer(responsePut) }
    if (responseDeleteRange) return { responseDeleteRange: this.deleteRangeAnswer(responseDeleteRange) }
    return responseTxn ? { responseTxn: this.txnAnswer(responseTxn) } : {}
  }
}
