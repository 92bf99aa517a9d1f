// v3electionpb.Election: the leader is the oldest key under the election's name; its value is what it proclaims.
// Upstream: etcd/server/etcdserver/api/v3election, etcd/client/v3/concurrency/election.go
import { EtcdError } from '../../../lib/etcd-api/etcd-error.ts'
import type {
  CampaignRequest, CampaignResponse, LeaderKey, LeaderRequest, LeaderResponse, ProclaimRequest, ProclaimResponse, ResignRequest, ResignResponse,
} from '../../../lib/etcd-api/generated/types.ts'
import type { EtcdKeyValue, EtcdOperation, EtcdTxnResponse } from '../../../lib/etcd-api/operations.ts'
import type { EtcdInternals } from '../embedded.ts'
import { compareBytes } from '../mvcc/range.ts'
import type { Peer } from '../v3rpc/access.ts'
import { headerOf, toStatus } from '../v3rpc/response-header.ts'
import { CallerClient, prefixEnd, recipeKeys } from './caller-client.ts'

const noBytes = new Uint8Array(0)
const never = new AbortController().signal

export function electionImplementation(etcd: EtcdInternals): object {
  return {
    campaign: async ({ name = noBytes, lease: given = 0n, value = noBytes }: CampaignRequest, signal: AbortSignal, peer: Peer): Promise<CampaignResponse> => {
      const client = new CallerClient(etcd, peer, signal)
      const lease = await client.session(given)
      const { prefix, key } = recipeKeys(name, lease)
      const { revision, succeeded, results: [mine] } = await client.txn({
        compare: [{ key, target: 'CREATE', result: 'EQUAL', number: 0 }], success: [{ type: 'put', key, value, lease }], failure: [{ type: 'range', key }],
      })
      const existing = !succeeded && mine?.type === 'range' ? mine.kvs[0] : undefined
      const leader = { name, key, rev: existing?.createRevision ?? revision, lease }
      if (existing && compareBytes(existing.value, value) !== 0) await whileLeading(client, leader, { type: 'put', key, value, lease })
      try {
        await client.waitForDeletions(prefix, leader.rev - 1)
      } catch (error) {
        await client.txn(guarded(leader, { type: 'deleteRange', key }), never).catch(() => undefined)
        throw error
      }
      return { header: headerOf(etcd, revision), leader }
    },
    proclaim: async ({ leader, value = noBytes }: ProclaimRequest, signal: AbortSignal, peer: Peer): Promise<ProclaimResponse> => {
      const { key = noBytes, lease = 0n } = requireLeader(leader)
      const { revision } = await whileLeading(new CallerClient(etcd, peer, signal), requireLeader(leader), { type: 'put', key, value, lease })
      return { header: headerOf(etcd, revision) }
    },
    leader: async ({ name = noBytes }: LeaderRequest, signal: AbortSignal, peer: Peer): Promise<LeaderResponse> => {
      const { revision, kv } = await new CallerClient(etcd, peer, signal).oldest(recipeKeys(name, 0n).prefix)
      if (!kv) throw new EtcdError('Unknown', 'election: no leader')
      return { header: headerOf(etcd, revision), kv }
    },
    observe: ({ name = noBytes }: LeaderRequest, signal: AbortSignal, peer: Peer): AsyncGenerator<LeaderResponse> => observe(etcd, new CallerClient(etcd, peer, signal), recipeKeys(name, 0n).prefix),
    resign: async ({ leader }: ResignRequest, signal: AbortSignal, peer: Peer): Promise<ResignResponse> => {
      const { key = noBytes } = requireLeader(leader)
      const { revision } = await new CallerClient(etcd, peer, signal).txn(guarded(requireLeader(leader), { type: 'deleteRange', key }))
      return { header: headerOf(etcd, revision) }
    },
  }
}

function requireLeader(leader: LeaderKey | undefined): LeaderKey {
  if (!leader) throw new EtcdError('Unknown', '"leader" field must be provided')
  return leader
}

/** `operation`, if the leader's key is still the one it made. */
function guarded({ key = noBytes, rev = 0 }: LeaderKey, operation: EtcdOperation): { compare: { key: Uint8Array; target: 'CREATE'; result: 'EQUAL'; number: number }[]; success: EtcdOperation[]; failure: EtcdOperation[] } {
  return { compare: [{ key, target: 'CREATE', result: 'EQUAL', number: rev }], success: [operation], failure: [] }
}

async function whileLeading(client: CallerClient, leader: LeaderKey, operation: EtcdOperation): Promise<EtcdTxnResponse> {
  const response = await client.txn(guarded(leader, operation))
  if (!response.succeeded) throw new EtcdError('Unknown', 'election: not leader')
  return response
}

/** Every leader and everything it proclaims, from the one that leads now on. */
async function* observe(etcd: EtcdInternals, client: CallerClient, prefix: Uint8Array): AsyncGenerator<LeaderResponse> {
  try {
    for (;;) {
      let { revision, kv } = await client.oldest(prefix)
      if (!kv) {
        const made = await client.follow({ key: prefix, rangeEnd: prefixEnd(prefix), startRevision: revision + 1, noDelete: true }, ({ kv: found }, at) => ({ found, at }))
        kv = made.found
        revision = made.at
      }
      yield { header: headerOf(etcd, revision), kv }
      const { key } = kv
      for (let from = revision + 1; ;) {
        const next = await client.follow<{ readonly proclaimed: EtcdKeyValue | undefined; readonly at: number }>({ key, startRevision: from },
          ({ type, kv: found }) => ({ proclaimed: type === 'PUT' ? found : undefined, at: found.modRevision }))
        if (!next.proclaimed) break
        yield { header: headerOf(etcd, next.at), kv: next.proclaimed }
        from = next.at + 1
      }
    }
  } catch (error) {
    throw toStatus(error)
  }
}
