// The state from a database file of the original's format, whoever wrote it. Upstream: etcd/server/storage/schema
import { decodeProto3 } from '../../../lib/base/protobuf/proto3.ts'
import { crc32c } from '../../../lib/etcd-api/crc32c.ts'
import { etcdTable } from '../../../lib/etcd-api/generated/table.ts'
import type { AlarmMember, StoredRole, StoredUser } from '../../../lib/etcd-api/generated/types.ts'
import type { StateMark } from '../consensus/state-store.ts'
import type { MembershipImage } from '../membership/membership-store.ts'
import { emptyConfState, type ConfState } from '../raft/messages.ts'
import type { StateMachine } from '../state-machine.ts'
import type { V2NodeImage } from '../v2/v2-store.ts'
import { yieldToLoop } from '../yield-to-loop.ts'
import { BoltError } from './bolt-format.ts'
import type { BoltReader } from './bolt-reader.ts'
import { readWord, VersionReader } from './version-entry.ts'
import { leaseTable, v2Bucket, v2IndexKey } from './write-database.ts'

export interface SnapshotStatus {
  readonly hash: number
  readonly revision: number
  readonly totalKeys: number
  readonly totalSizeBytes: number
  /** Empty when the database has none (before 3.6). */
  readonly version: string
}

/** What `etcdutl snapshot status` says: a checksum over everything, and what there is. @throws BoltError */
export async function readStatus(reader: BoltReader): Promise<SnapshotStatus> {
  let hash = 0
  let revision = 0
  const living = new Set<string>()
  const one = new VersionReader()
  for (const bucket of reader.buckets) {
    hash = crc32c(hash, Buffer.from(bucket, 'latin1'))
    await reader.visit(bucket, (bytes, keyAt, valueAt, end) => {
      hash = crc32c(hash, bytes, keyAt, end)
      if (bucket !== 'key') return
      one.read(bytes, keyAt, valueAt, end)
      revision = one.modRevision
      if (one.isTombstone) living.delete(one.key)
      else living.add(one.key)
    })
  }
  await reader.checkRest()
  return { hash, revision, totalKeys: living.size, totalSizeBytes: reader.size, version: (await readMeta(reader)).storageVersion ?? '' }
}

export interface DatabaseMeta {
  /** Up to where the log has been applied; 0 when it was never said. The term is 0 before version 3.5. */
  readonly mark: StateMark
  readonly finishedCompaction: number
  readonly scheduledCompaction: number
  readonly storageVersion: string | undefined
}

/** @throws BoltError */
export async function readMeta(reader: BoltReader): Promise<DatabaseMeta> {
  const meta = new Map((await reader.entries('meta')).map(({ key, value }) => [key.toString('latin1'), value]))
  const word = (name: string): number => {
    const value = meta.get(name)
    if (value && value.length < 8) throw new BoltError(`${name} is damaged`)
    return value ? readWord(value, 0) : 0
  }
  const confState = meta.get('confState')
  return {
    mark: { index: word('consistent_index'), term: word('term'), confState: confState ? decodeConfStateJson(confState.toString()) : emptyConfState },
    finishedCompaction: word('finishedCompactRev'), scheduledCompaction: word('scheduledCompactRev'), storageVersion: meta.get('storageVersion')?.toString(),
  }
}

/** How many revisions may be missing in a row. */
const largestGap = 1000

export interface LoadOptions {
  /** Raise the revision by this much, and forget all history: clients that have seen later revisions than the snapshot's must not be misled. */
  readonly bumpRevision?: number
}

/** Fills an empty state machine. @throws BoltError */
export async function loadDatabase(reader: BoltReader, machine: StateMachine, options: LoadOptions = {}): Promise<StateMark> {
  const meta = await readMeta(reader)
  // Before the keys that they are attached to.
  for (const { value } of await reader.entries('lease')) {
    const { ID = 0n, TTL = 0, RemainingTTL = 0 } = decodeProto3<{ readonly ID?: bigint; readonly TTL?: number; readonly RemainingTTL?: number }>(leaseTable, 'Lease', value)
    if (machine.leases.has(ID)) throw new BoltError(`lease ${ID} is there twice`)
    machine.leases.grant(ID, TTL, 0)
    if (RemainingTTL > 0) machine.leases.checkpoint(ID, RemainingTTL)
  }
  await loadKeys(reader, machine, meta, options.bumpRevision ?? 0)
  for (const { key } of await reader.entries('alarm')) {
    const { memberID = 0n, alarm } = decodeProto3<AlarmMember>(etcdTable, 'AlarmMember', key)
    if (alarm === 'NOSPACE' || alarm === 'CORRUPT') machine.restoreAlarms([{ memberId: memberID, alarm }])
  }
  const auth = new Map((await reader.entries('auth')).map(({ key, value }) => [key.toString('latin1'), value]))
  const authRevision = auth.get('authRevision')
  machine.auth.restore({
    enabled: auth.get('authEnabled')?.[0] === 1, revision: authRevision && authRevision.length >= 8 ? readWord(authRevision, 0) : 0,
    users: (await reader.entries('authUsers')).map(({ value }) => decodeProto3<StoredUser>(etcdTable, 'StoredUser', Uint8Array.from(value))),
    roles: (await reader.entries('authRoles')).map(({ value }) => decodeProto3<StoredRole>(etcdTable, 'StoredRole', Uint8Array.from(value))),
  })
  machine.membership.restore(await readMembership(reader))
  await loadV2(reader, machine)
  await reader.checkRest()
  const { mark } = meta
  return mark.confState.voters.length > 0 ? mark : { ...mark, confState: confStateOf(machine) }
}

/** @throws BoltError */
export async function readMembership(reader: BoltReader): Promise<MembershipImage> {
  const texts = async (bucket: string): Promise<readonly (readonly [string, string])[]> => (await reader.entries(bucket)).map(({ key, value }) => [key.toString(), value.toString()] as const)
  return { members: await texts('members'), members_removed: await texts('members_removed'), cluster: await texts('cluster') }
}

/** The membership as Raft has it, when no change is half-way. */
export function confStateOf(machine: StateMachine): ConfState {
  const members = machine.membership.list()
  return { ...emptyConfState, voters: members.filter(({ isLearner }) => !isLearner).map(({ id }) => id), learners: members.filter(({ isLearner }) => isLearner).map(({ id }) => id) }
}

async function loadKeys(reader: BoltReader, machine: StateMachine, { finishedCompaction, scheduledCompaction }: DatabaseMeta, bump: number): Promise<void> {
  const compacted = Math.max(finishedCompaction, scheduledCompaction)
  let revision = Math.max(1, compacted)
  const one = new VersionReader()
  /** With a bump only the newest version of each key stays. */
  const newest = new Map<string, number>()
  if (bump > 0) {
    await reader.visit('key', (bytes, keyAt, valueAt, end) => {
      one.read(bytes, keyAt, valueAt, end)
      revision = Math.max(revision, one.modRevision)
      newest.set(one.key, one.modRevision)
    })
  }
  const restoring = machine.store.beginRestore(bump > 0 ? revision + bump : compacted)
  await reader.visit('key', (bytes, keyAt, valueAt, end) => {
    // The original marks a raised revision with an entry that has no key-value.
    if (valueAt === end) { revision = Math.max(revision, readWord(bytes, keyAt)); return }
    one.read(bytes, keyAt, valueAt, end)
    const { modRevision, subRevision, isTombstone } = one
    // Each revision changed something. (A number that is nonsense would make a history of that length.)
    if (bump === 0 && modRevision > revision + largestGap && modRevision > compacted) throw new BoltError(`revision ${modRevision} follows revision ${revision}`)
    revision = Math.max(revision, modRevision)
    if (bump > 0 && (isTombstone || newest.get(one.key) !== modRevision)) return
    if (!isTombstone && one.version === 0) throw new BoltError(`the key-value of revision ${modRevision} has no version`)
    if (one.isCanonical) restoring.addMessage(bytes, valueAt, end, one.keyAt, one.keyEnd, modRevision, subRevision, isTombstone, one.lease)
    else {
      restoring.add({
        key: one.key, modRevision, subRevision, value: bytes.subarray(one.valueAt, one.valueEnd), createRevision: isTombstone ? 0 : one.createRevision, version: isTombstone ? 0 : one.version, lease: one.lease,
      })
    }
  })
  for (const _ of restoring.finish(revision + bump)) await yieldToLoop()
}

async function loadV2(reader: BoltReader, machine: StateMachine): Promise<void> {
  let index = 0
  const nodes: V2NodeImage[] = []
  for (const { key, value } of await reader.entries(v2Bucket)) {
    if (key.toString('latin1') === v2IndexKey) index = readWord(value, 0)
    else nodes.push(JSON.parse(value.toString()) as V2NodeImage) // cast: what write-database.ts wrote
  }
  if (index > 0) machine.v2.restore(index, nodes)
}

/** Ids are beyond what JSON's numbers hold. */
function decodeConfStateJson(text: string): ConfState {
  const list = (name: string): readonly bigint[] => (new RegExp(`"${name}":\\[([\\d,\\s]*)\\]`).exec(text)?.[1]?.match(/\d+/g) ?? []).map(BigInt)
  return { voters: list('voters'), learners: list('learners'), votersOutgoing: list('voters_outgoing'), learnersNext: list('learners_next'), autoLeave: /"auto_leave":\s*true/.test(text) }
}
