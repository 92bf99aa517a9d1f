// v3lockpb.Lock: a lock is the oldest key under its name; each waiter waits for the one before it. Upstream: etcd/server/etcdserver/api/v3lock, etcd/client/v3/concurrency/mutex.go
import { EtcdError } from '../../../lib/etcd-api/etcd-error.ts'
import type { LockRequest, LockResponse, UnlockRequest, UnlockResponse } from '../../../lib/etcd-api/generated/types.ts'
import type { EtcdInternals } from '../embedded.ts'
import type { Peer } from '../v3rpc/access.ts'
import { headerOf } from '../v3rpc/response-header.ts'
import { CallerClient, firstCreated, recipeKeys } from './caller-client.ts'

const noBytes = new Uint8Array(0)
const never = new AbortController().signal

export function lockImplementation(etcd: EtcdInternals): object {
  return {
    lock: async ({ name = noBytes, lease: given = 0n }: LockRequest, signal: AbortSignal, peer: Peer): Promise<LockResponse> => {
      const client = new CallerClient(etcd, peer, signal)
      const lease = await client.session(given)
      const { prefix, key } = recipeKeys(name, lease)
      const oldest = { type: 'range', ...firstCreated(prefix) } as const
      const { revision, succeeded, results } = await client.txn({
        compare: [{ key, target: 'CREATE', result: 'EQUAL', number: 0 }], success: [{ type: 'put', key, value: noBytes, lease }, oldest], failure: [{ type: 'range', key }, oldest],
      })
      const [mine, owner] = results
      const myRevision = succeeded || mine?.type !== 'range' ? revision : mine.kvs[0]?.createRevision ?? revision
      const first = owner?.type === 'range' ? owner.kvs[0] : undefined
      if (!first || first.createRevision === myRevision) return { header: headerOf(etcd, revision), key }
      try {
        await client.waitForDeletions(prefix, myRevision - 1)
      } catch (error) {
        // Whoever gives up must not stand in the way of those who wait behind.
        await client.txn({ compare: [], success: [{ type: 'deleteRange', key }], failure: [] }, never).catch(() => undefined)
        throw error
      }
      const held = await client.range({ key })
      if (held.kvs.length === 0) throw new EtcdError('Unknown', 'mutex: session is expired')
      return { header: headerOf(etcd, held.revision), key }
    },
    unlock: async ({ key = noBytes }: UnlockRequest, signal: AbortSignal, peer: Peer): Promise<UnlockResponse> => {
      const { revision } = await new CallerClient(etcd, peer, signal).txn({ compare: [], success: [{ type: 'deleteRange', key }], failure: [] })
      return { header: headerOf(etcd, revision) }
    },
  }
}
