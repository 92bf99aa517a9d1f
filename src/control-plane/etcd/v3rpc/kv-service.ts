// The call of etcdserverpb.KV that is rare: compaction. The others are in kv-handlers.ts.
// Upstream: etcd/server/etcdserver/api/v3rpc/key.go
import type { CompactionRequest, CompactionResponse } from '../../../lib/etcd-api/generated/types.ts'
import type { EtcdInternals } from '../embedded.ts'
import { requireAdmin, type Peer } from './access.ts'
import { headerOf } from './response-header.ts'

export function kvImplementation(etcd: EtcdInternals): object {
  return {
    compact: async (request: CompactionRequest, signal: AbortSignal, peer: Peer): Promise<CompactionResponse> => {
      requireAdmin(etcd, peer)
      await etcd.client.compact(request.revision ?? 0, signal, { physical: request.physical ?? false })
      return { header: headerOf(etcd) }
    },
  }
}
