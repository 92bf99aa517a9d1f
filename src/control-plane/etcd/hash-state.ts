// The hash that the Hash call gives: of everything that the log makes, not only of the keys. The original's is over the bytes of its database file,
// which differ even between its own members; this one is the same on all members that have applied the same entries.
// Upstream: etcd/server/storage/backend/backend.go (Hash)
import { crc32c } from '../../lib/etcd-api/crc32c.ts'
import { hashKeyValues } from './mvcc/hash-kv.ts'
import type { StateMachine } from './state-machine.ts'

/** @param pause called between pieces of the work */
export async function hashState(machine: StateMachine, pause: () => Promise<void>): Promise<number> {
  const { hash, revision, compactRevision } = await hashKeyValues(machine.store, 0, pause)
  const parts = [
    [hash, revision, compactRevision], machine.leases.image().map(({ id, ttlSeconds }) => `${id} ${ttlSeconds}`).sort(), machine.alarms.map(({ memberId, alarm }) => `${memberId} ${alarm}`).sort(), machine.auth.image(), machine.membership.image(),
    machine.v2.index, machine.v2.image(),
  ]
  const text = JSON.stringify(parts, (_, value: unknown) => (typeof value === 'bigint' ? `${value}` : value instanceof Uint8Array ? Buffer.from(value).toString('base64') : value))
  return crc32c(0, Buffer.from(text))
}
