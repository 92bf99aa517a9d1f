// etcdserverpb.KV: reads and writes of keys. Upstream: etcd/server/etcdserver/api/v3rpc/key.go
import { etcdError } from '../../../lib/etcd-api/etcd-error.ts'
import type {
  CompactionRequest, CompactionResponse, DeleteRangeRequest, DeleteRangeResponse, PutRequest, PutResponse, RangeRequest, RangeResponse, RangeStreamResponse, TxnRequest, TxnResponse,
} from '../../../lib/etcd-api/generated/types.ts'
import type { EtcdOperationResult } from '../../../lib/etcd-api/operations.ts'
import { deleteRangeFromWire, putFromWire, rangeFromWire, rangeToWire, txnFromWire, txnResponseToWire } from '../../../lib/etcd-api/wire-conversion.ts'
import type { EtcdInternals } from '../embedded.ts'
import { checkTxnRequest } from '../auth/check-request.ts'
import { checkDeleteRange, checkPut, checkRange } from '../mvcc/request-checks.ts'
import { isReadOnly } from '../mvcc/transaction.ts'
import { callerOf, loggedCaller, requireAdmin, type Peer } from './access.ts'
import { headerOf, toStatus } from './response-header.ts'

/** Key-values per message of a streamed range. */
const streamedKvs = 500

export function kvImplementation(etcd: EtcdInternals): object {
  const { client } = etcd
  const { auth, leases } = etcd.member.machine
  const range = async (request: RangeRequest, signal: AbortSignal, peer: Peer): Promise<RangeResponse> => {
    const asked = rangeFromWire(request)
    checkRange(asked)
    if (auth.enabled) auth.checkRange(callerOf(etcd, peer), asked.key, asked.rangeEnd)
    const response = await client.range(asked, signal)
    return rangeToWire(response, headerOf(etcd, response.revision))
  }
  const one = async (request: Parameters<typeof client.propose>[0], signal: AbortSignal): Promise<{ readonly revision: number; readonly result: EtcdOperationResult | undefined }> => {
    const applied = await client.propose(request, signal)
    if (applied.type !== 'txn') throw etcdError('canceled')
    return { revision: applied.response.revision, result: applied.response.results[0] }
  }
  return {
    range,
    rangeStream: async function* (request: RangeRequest, signal: AbortSignal, peer: Peer): AsyncGenerator<RangeStreamResponse> {
      const { kvs = [], ...rest } = await range(request, signal, peer).catch((error: unknown) => { throw toStatus(error) })
      for (let at = 0; at === 0 || at < kvs.length; at += streamedKvs) {
        const piece = kvs.slice(at, at + streamedKvs)
        yield { rangeResponse: at + streamedKvs >= kvs.length ? { ...rest, kvs: piece } : { kvs: piece } }
      }
    },
    put: async (request: PutRequest, signal: AbortSignal, peer: Peer): Promise<PutResponse> => {
      const put = putFromWire(request)
      checkPut(put)
      const { revision, result } = await one({ type: 'put', ...put, ...loggedCaller(etcd, peer) }, signal)
      return { header: headerOf(etcd, revision), ...(result?.type === 'put' && result.prevKv ? { prevKv: result.prevKv } : {}) }
    },
    deleteRange: async (request: DeleteRangeRequest, signal: AbortSignal, peer: Peer): Promise<DeleteRangeResponse> => {
      const deletion = deleteRangeFromWire(request)
      checkDeleteRange(deletion)
      const { revision, result } = await one({ type: 'deleteRange', ...deletion, ...loggedCaller(etcd, peer) }, signal)
      if (result?.type !== 'deleteRange') throw etcdError('canceled')
      return { header: headerOf(etcd, revision), deleted: result.deleted, ...(result.prevKvs ? { prevKvs: result.prevKvs } : {}) }
    },
    txn: async (request: TxnRequest, signal: AbortSignal, peer: Peer): Promise<TxnResponse> => {
      const asked = txnFromWire(request)
      // A transaction that only reads is not logged, so it is checked here.
      if (auth.enabled && isReadOnly(asked)) checkTxnRequest(auth, leases, callerOf(etcd, peer), asked)
      const response = await client.txn({ ...asked, ...loggedCaller(etcd, peer) }, signal)
      return txnResponseToWire(response, headerOf(etcd, response.revision))
    },
    compact: async (request: CompactionRequest, signal: AbortSignal, peer: Peer): Promise<CompactionResponse> => {
      requireAdmin(etcd, peer)
      await client.compact(request.revision ?? 0, signal, { physical: request.physical ?? false })
      return { header: headerOf(etcd) }
    },
  }
}
