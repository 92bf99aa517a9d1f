// The state in a database file of the original's format. Upstream: etcd/server/storage/schema
import { crc32c } from '../../../lib/etcd-api/crc32c.ts'
import { decodeProto3 } from '../../../lib/base/protobuf/proto3.ts'
import { etcdTable } from '../../../lib/etcd-api/generated/table.ts'
import type { AlarmMember, KeyValue, StoredRole, StoredUser } from '../../../lib/etcd-api/generated/types.ts'
import { keyText } from '../mvcc/key-text.ts'
import type { StateMachine } from '../state-machine.ts'
import { BoltError, type BoltReader } from './bolt-reader.ts'

const noBytes = new Uint8Array(0)

export interface SnapshotStatus {
  readonly hash: number
  readonly revision: number
  readonly totalKeys: number
  readonly totalSizeBytes: number
  readonly version: string
}

/** What `etcdutl snapshot status` says: a checksum over everything, and what there is. @throws BoltError */
export async function readStatus(reader: BoltReader): Promise<SnapshotStatus> {
  let hash = 0
  let revision = 0
  let version = ''
  const living = new Set<string>()
  for (const bucket of await reader.buckets()) {
    hash = crc32c(hash, Buffer.from(bucket, 'latin1'))
    for await (const { key, value } of reader.entries(bucket)) {
      hash = crc32c(crc32c(hash, key), value)
      if (bucket === 'meta' && key.toString() === 'storageVersion') version = value.toString()
      if (bucket !== 'key') continue
      revision = readRevision(key).main
      const text = keyText(decodeProto3<KeyValue>(etcdTable, 'KeyValue', value).key ?? noBytes)
      if (isTombstone(key)) living.delete(text)
      else living.add(text)
    }
  }
  return { hash, revision, totalKeys: living.size, totalSizeBytes: reader.size, version }
}

export interface LoadOptions {
  /** Raise the revision by this much, and forget all history: clients that have seen later revisions than the snapshot's must not be misled. */
  readonly bumpRevision?: number
}

/** Fills an empty state machine. @throws BoltError */
export async function loadDatabase(reader: BoltReader, machine: StateMachine, options: LoadOptions = {}): Promise<void> {
  // Before the keys that they are attached to.
  for await (const { value } of reader.entries('lease')) {
    const { ID = 0n, TTL = 0 } = decodeProto3<{ readonly ID?: bigint; readonly TTL?: number }>(leaseTable, 'Lease', value)
    machine.leases.grant(ID, TTL, 0)
  }
  await loadKeys(reader, machine, options.bumpRevision ?? 0)
  for await (const { key } of reader.entries('alarm')) {
    const { memberID = 0n, alarm } = decodeProto3<AlarmMember>(etcdTable, 'AlarmMember', key)
    if (alarm === 'NOSPACE' || alarm === 'CORRUPT') machine.restoreAlarms([{ memberId: memberID, alarm }])
  }
  let enabled = false
  let revision = 0
  for await (const { key, value } of reader.entries('auth')) {
    if (key.toString() === 'authEnabled') enabled = value[0] === 1
    else if (key.toString() === 'authRevision') revision = Number(value.readBigUInt64BE(0))
  }
  const users: StoredUser[] = []
  for await (const { value } of reader.entries('authUsers')) users.push(decodeProto3<StoredUser>(etcdTable, 'StoredUser', Uint8Array.from(value)))
  const roles: StoredRole[] = []
  for await (const { value } of reader.entries('authRoles')) roles.push(decodeProto3<StoredRole>(etcdTable, 'StoredRole', Uint8Array.from(value)))
  machine.auth.restore({ enabled, revision, users, roles })
}

const leaseTable = { Lease: [{ name: 'ID', number: 1, type: 'int64', big: true }, { name: 'TTL', number: 2, type: 'int64' }] } as const

async function loadKeys(reader: BoltReader, machine: StateMachine, bump: number): Promise<void> {
  let compacted = 0
  for await (const { key, value } of reader.entries('meta')) if (/^(finished|scheduled)CompactRev$/.test(key.toString())) compacted = Math.max(compacted, readRevision(value).main)
  let revision = Math.max(1, compacted)
  /** With a bump only the newest version of each key stays. */
  const newest = new Map<string, string>()
  for await (const { key, value } of reader.entries('key')) {
    revision = Math.max(revision, readRevision(key).main)
    if (bump > 0) newest.set(keyText(decodeProto3<KeyValue>(etcdTable, 'KeyValue', value).key ?? noBytes), key.toString('latin1'))
  }
  const restoring = machine.store.beginRestore(revision + bump, bump > 0 ? revision + bump : compacted)
  for await (const { key, value } of reader.entries('key')) {
    const { main, sub } = readRevision(key)
    const kv = decodeProto3<KeyValue>(etcdTable, 'KeyValue', value)
    const text = keyText(kv.key ?? noBytes)
    const dead = isTombstone(key)
    if (bump > 0 && (dead || newest.get(text) !== key.toString('latin1'))) continue
    restoring.add({
      key: text, modRevision: main, subRevision: sub, value: kv.value ?? noBytes,
      ...(dead ? { createRevision: 0, version: 0, lease: 0n } : { createRevision: kv.createRevision ?? 0, version: kv.version ?? 0, lease: kv.lease ?? 0n }),
    })
  }
  restoring.finish()
}

function readRevision(key: Buffer): { readonly main: number; readonly sub: number } {
  if (key.length < 17) throw new BoltError(`cannot parse revision key ${key.toString('hex')}`)
  return { main: Number(key.readBigUInt64BE(0)), sub: Number(key.readBigUInt64BE(9)) }
}

function isTombstone(key: Buffer): boolean { return key.length === 18 && key[17] === 0x74 }
