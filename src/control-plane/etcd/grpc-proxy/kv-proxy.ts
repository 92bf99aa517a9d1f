// etcdserverpb.KV of the proxy: reads that need not be the newest are answered from a cache that every answer fills; writes make what they touch old.
// Upstream: etcd/server/proxy/grpcproxy/kv.go, etcd/client/v3/ordering
import { decodeProto3, encodeProto3 } from '../../../lib/base/protobuf/proto3.ts'
import { WireReader } from '../../../lib/base/protobuf/wire-reader.ts'
import { etcdError } from '../../../lib/etcd-api/etcd-error.ts'
import { etcdTable } from '../../../lib/etcd-api/generated/table.ts'
import type { CompactionRequest, DeleteRangeRequest, DeleteRangeResponse, PutRequest, PutResponse, RangeRequest, RangeResponse, RequestOp, TxnRequest, TxnResponse } from '../../../lib/etcd-api/generated/types.ts'
import type { GrpcHandler, GrpcServerCall } from '../../../lib/net/grpc/grpc-server.ts'
import { GrpcError } from '../../../lib/net/grpc/status.ts'
import { toStatus } from '../v3rpc/response-header.ts'
import type { KeyNamespace } from './key-namespace.ts'
import type { ProxyMetrics } from './proxy-metrics.ts'
import { RangeCache, type KeyRange } from './range-cache.ts'
import { metadataOf, type CallContext, type Upstream } from './upstream.ts'

export interface KvProxyOptions {
  readonly upstream: Upstream
  readonly namespace: KeyNamespace
  readonly metrics: ProxyMetrics
  /** No answer is older than one that was given before (`--experimental-serializable-ordering`). */
  readonly ordered: boolean
}

const service = '/etcdserverpb.KV'
const noBytes = new Uint8Array(0)
/** How often an answer that is too old is asked for elsewhere, for each endpoint. */
const triesPerEndpoint = 5

export class KvProxy {
  readonly #options: KvProxyOptions
  readonly #cache = new RangeCache()
  /** The newest that was told, where order matters. */
  #newest = 0

  constructor(options: KvProxyOptions) { this.#options = options }

  handlers(): readonly (readonly [path: string, handler: GrpcHandler])[] {
    return ([
      ['Range', (bytes, call) => this.#range(bytes, call)], ['Put', (bytes, call) => this.#put(bytes, call)], ['DeleteRange', (bytes, call) => this.#deleteRange(bytes, call)],
      ['Txn', (bytes, call) => this.#txn(bytes, call)], ['Compact', (bytes, call) => this.#compact(bytes, call)],
      ['RangeStream', () => Promise.reject(new GrpcError('Unimplemented', 'RangeStream is not supported by the gRPC proxy'))],
    ] satisfies [string, (bytes: Uint8Array, call: GrpcServerCall) => Promise<Uint8Array>][]).map(([method, run]) => [`${service}/${method}`, {
      unary: async (bytes, call) => {
        try {
          return await run(bytes, call)
        } catch (error) {
          throw toStatus(error)
        }
      },
    }])
  }

  /** A range as a client asks for it, without the cache. @throws GrpcError, EtcdError */
  async range(request: RangeRequest, context: CallContext): Promise<RangeResponse> {
    const { namespace } = this.#options
    const asked = namespace.isEmpty ? request : namespace.range(request)
    const answer = decodeProto3<RangeResponse>(etcdTable, 'RangeResponse', await this.#read('Range', encodeProto3(etcdTable, 'RangeRequest', asked), context, true))
    return namespace.isEmpty ? answer : namespace.rangeAnswer(answer)
  }

  async #range(bytes: Uint8Array, call: GrpcServerCall): Promise<Uint8Array> {
    const { namespace, metrics } = this.#options
    const request = decodeProto3<RangeRequest>(etcdTable, 'RangeRequest', bytes)
    const context = contextOf(call)
    // Linearizable answers are good for serializable reads.
    const name = `${context.metadata['token'] ?? ''}\n${Buffer.from(encodeProto3(etcdTable, 'RangeRequest', { ...request, serializable: true })).toString('latin1')}`
    const revision = request.revision ?? 0
    if (request.serializable) {
      const found = this.#cache.find(name, revision)
      if (found !== undefined) metrics.cacheHits.inc()
      if (found === 'compacted') throw etcdError('compacted')
      if (found) return found
      metrics.cacheMisses.inc()
    }
    const fill = this.#cache.begin({ key: request.key ?? noBytes, rangeEnd: request.rangeEnd })
    let answer: Uint8Array | undefined
    try {
      answer = namespace.isEmpty ? await this.#read('Range', bytes, context, true) : encodeProto3(etcdTable, 'RangeResponse', await this.range(request, context))
      return answer
    } finally {
      this.#cache.end(fill, name, revision, answer)
      metrics.cacheKeys.set(this.#cache.size)
    }
  }

  /** What is older than what was told before is asked for at another member. */
  async #read(method: string, bytes: Uint8Array, context: CallContext, isRead: boolean): Promise<Uint8Array> {
    const { upstream, ordered } = this.#options
    for (let tries = 0; ; tries++) {
      const answer = await upstream.unary(`${service}/${method}`, bytes, context, isRead)
      if (!ordered) return answer
      const revision = revisionOf(answer)
      if (revision >= this.#newest) {
        this.#newest = revision
        return answer
      }
      if (tries >= triesPerEndpoint * upstream.endpoints.length) throw new GrpcError('Unknown', 'etcdclient: no cluster members have a revision higher than the previously received revision')
      upstream.switchEndpoint()
    }
  }

  /** Before it is written and when it has been: between the two others may read. */
  async #write<T>(ranges: readonly KeyRange[], write: () => Promise<T>): Promise<T> {
    const { metrics } = this.#options
    const forget = (): void => {
      for (const range of ranges) this.#cache.invalidate(range)
      metrics.cacheKeys.set(this.#cache.size)
    }
    forget()
    try {
      return await write()
    } finally {
      forget()
    }
  }

  async #put(bytes: Uint8Array, call: GrpcServerCall): Promise<Uint8Array> {
    const { namespace, upstream } = this.#options
    const request = decodeProto3<PutRequest>(etcdTable, 'PutRequest', bytes)
    return await this.#write([{ key: request.key ?? noBytes }], async () => {
      if (namespace.isEmpty) return await upstream.unary(call.path, bytes, contextOf(call), false)
      const answer = await upstream.unary(call.path, encodeProto3(etcdTable, 'PutRequest', namespace.put(request)), contextOf(call), false)
      return encodeProto3(etcdTable, 'PutResponse', namespace.putAnswer(decodeProto3<PutResponse>(etcdTable, 'PutResponse', answer)))
    })
  }

  async #deleteRange(bytes: Uint8Array, call: GrpcServerCall): Promise<Uint8Array> {
    const { namespace, upstream } = this.#options
    const request = decodeProto3<DeleteRangeRequest>(etcdTable, 'DeleteRangeRequest', bytes)
    return await this.#write([{ key: request.key ?? noBytes, rangeEnd: request.rangeEnd }], async () => {
      if (namespace.isEmpty) return await upstream.unary(call.path, bytes, contextOf(call), false)
      const answer = await upstream.unary(call.path, encodeProto3(etcdTable, 'DeleteRangeRequest', namespace.deleteRange(request)), contextOf(call), false)
      return encodeProto3(etcdTable, 'DeleteRangeResponse', namespace.deleteRangeAnswer(decodeProto3<DeleteRangeResponse>(etcdTable, 'DeleteRangeResponse', answer)))
    })
  }

  async #txn(bytes: Uint8Array, call: GrpcServerCall): Promise<Uint8Array> {
    const { namespace } = this.#options
    const request = decodeProto3<TxnRequest>(etcdTable, 'TxnRequest', bytes)
    const writes = writtenRanges(request)
    // A transaction that only reads may be asked again, and is one of those that must not go back in time.
    const send = (message: Uint8Array): Promise<Uint8Array> => this.#read('Txn', message, contextOf(call), writes.length === 0)
    // Compared keys too: an outdated answer may be why somebody compares.
    const compared = (request.compare ?? []).map(({ key = noBytes, rangeEnd }) => ({ key, rangeEnd }))
    return await this.#write([...writes, ...compared], async () => {
      if (namespace.isEmpty) return await send(bytes)
      const answer = decodeProto3<TxnResponse>(etcdTable, 'TxnResponse', await send(encodeProto3(etcdTable, 'TxnRequest', namespace.txn(request))))
      return encodeProto3(etcdTable, 'TxnResponse', namespace.txnAnswer(answer))
    })
  }

  async #compact(bytes: Uint8Array, call: GrpcServerCall): Promise<Uint8Array> {
    const answer = await this.#options.upstream.unary(call.path, bytes, contextOf(call), false)
    this.#cache.compact(decodeProto3<CompactionRequest>(etcdTable, 'CompactionRequest', bytes).revision ?? 0)
    return answer
  }
}

function contextOf(call: GrpcServerCall): CallContext { return { signal: call.signal, metadata: metadataOf(call.headers) } }

/** What a transaction may write, whichever way it goes. */
function writtenRanges({ success = [], failure = [] }: TxnRequest): readonly KeyRange[] {
  return [...success, ...failure].flatMap(({ requestPut, requestDeleteRange, requestTxn }: RequestOp): readonly KeyRange[] => {
    if (requestPut) return [{ key: requestPut.key ?? noBytes }]
    if (requestDeleteRange) return [{ key: requestDeleteRange.key ?? noBytes, rangeEnd: requestDeleteRange.rangeEnd }]
    return requestTxn ? writtenRanges(requestTxn) : []
  })
}

/** Of an answer's header, which is its first field: `{ header = 1 { revision = 3 } }`. */
export function revisionOf(answer: Uint8Array): number {
  const reader = new WireReader(answer)
  while (!reader.done) {
    const tag = reader.tag()
    if (tag !== 10) { reader.skip(tag % 8); continue }
    const header = reader.nested()
    while (!header.done) {
      const field = header.tag()
      if (field === 24) return header.signedVarint()
      header.skip(field % 8)
    }
  }
  return 0
}
