// The whole state as the database file of the original: what `member/snap/db` is, what a peer gets that has fallen behind, and what
// `etcdctl snapshot save` stores. Made piece by piece while the state goes on changing. Upstream: etcd/server/storage/schema
import { encodeProto3 } from '../../../lib/base/protobuf/proto3.ts'
import { etcdTable } from '../../../lib/etcd-api/generated/table.ts'
import type { AuthImage } from '../auth/auth-store.ts'
import type { StateMark } from '../consensus/state-store.ts'
import { StorageError } from '../disk/disk.ts'
import type { MembershipImage } from '../membership/membership-store.ts'
import type { ConfState } from '../raft/messages.ts'
import type { AlarmMember, StateMachine } from '../state-machine.ts'
import type { V2NodeImage } from '../v2/v2-store.ts'
import { etcdStorageVersion } from '../version.ts'
import { yieldToLoop } from '../yield-to-loop.ts'
import { BoltFile, type BoltLayout, type PlainEntry } from './bolt-file.ts'
import { versionEntries } from './version-entry.ts'

const noBytes = new Uint8Array(0)

/** Of keys of the second API, which the original does not keep in its database; it passes over buckets that it does not know. */
export const v2Bucket = 'k8tsV2'
export const v2IndexKey = 'index'

interface LeaseImage { readonly id: bigint; readonly ttlSeconds: number; readonly remainingTtlSeconds?: number }

export interface DatabaseOptions {
  /** Instead of the one that follows from the cluster's version; undefined: none, as before 3.6. */
  readonly storageVersion?: string | undefined
}

/** Everything of one moment. The versions of keys stay in the store, which is pinned until this is disposed. */
export class StateImage implements Disposable {
  readonly mark: StateMark
  readonly #machine: StateMachine
  readonly #pin: Disposable
  #isLost = false
  readonly #revision: number
  readonly #compacted: number
  readonly #alarms: readonly AlarmMember[]
  readonly #auth: AuthImage
  readonly #leases: readonly LeaseImage[]
  readonly #membership: MembershipImage
  readonly #storageVersion: string | undefined
  readonly #v2: { readonly index: number; readonly nodes: readonly V2NodeImage[] }

  constructor(machine: StateMachine, mark: StateMark, options: DatabaseOptions = {}) {
    const { store } = machine
    this.mark = mark
    this.#machine = machine
    this.#revision = store.revision
    this.#compacted = store.compactedRevision
    this.#alarms = machine.alarms
    this.#auth = machine.auth.image()
    this.#leases = [...machine.leases.image()].sort((a, b) => (BigInt.asUintN(64, a.id) < BigInt.asUintN(64, b.id) ? -1 : 1))
    this.#membership = machine.membership.image()
    this.#storageVersion = 'storageVersion' in options ? options.storageVersion : versionFollowing(machine.membership.clusterVersion)
    this.#v2 = { index: machine.v2.index, nodes: machine.v2.image() }
    this.#pin = store.pin(() => { this.#isLost = true })
  }

  [Symbol.dispose](): void { this.#pin[Symbol.dispose]() }

  async measure(): Promise<BoltLayout> {
    const file = new BoltFile(this.mark.index + 1)
    for await (const _ of this.#addBuckets(file)) void _
    return file.finish()
  }

  /** The file's bytes in order. @param layout from `measure` @param areRead each piece is not read any more when the next one is asked for */
  async *pieces(layout: BoltLayout, areRead = false): AsyncGenerator<Buffer, void> {
    const file = new BoltFile(this.mark.index + 1, layout)
    for await (const _ of this.#addBuckets(file)) {
      void _
      for (const piece of file.take()) {
        yield piece
        if (areRead) file.giveBack(piece)
      }
    }
    file.finish()
    yield* file.take()
  }

  /** Adds everything in the order that the file has; yields between pieces. */
  async *#addBuckets(file: BoltFile): AsyncGenerator<undefined, void> {
    const message = (type: string, value: object): Uint8Array => encodeProto3(etcdTable, type, value)
    file.smallBucket('alarm', this.#alarms.map(({ memberId, alarm }) => ({ key: message('AlarmMember', { memberID: memberId, alarm }), value: noBytes })).sort(byKey))
    const { enabled, revision, roles, users } = this.#auth
    file.smallBucket('auth', [entry('authEnabled', Buffer.of(enabled ? 1 : 0)), entry('authRevision', word(revision))])
    file.smallBucket('authRoles', roles.map((role) => ({ key: role.name ?? noBytes, value: message('StoredRole', role) })).sort(byKey))
    file.smallBucket('authUsers', users.map((user) => ({ key: user.name ?? noBytes, value: message('StoredUser', user) })).sort(byKey))
    file.smallBucket('cluster', this.#membership.cluster.map(textEntry))
    const { index, nodes } = this.#v2
    if (index > 0) file.smallBucket(v2Bucket, [...nodes.map((node, i) => ({ key: word(i), value: Buffer.from(JSON.stringify(node)) })), entry(v2IndexKey, word(index))])
    const { store } = this.#machine
    const keys = file.bucket('key', versionEntries(store))
    for (const versions of store.versionsInOrder(this.#revision, this.#compacted)) {
      for (const version of versions) keys.add(version)
      await yieldToLoop()
      this.#checkHeld()
      yield undefined
      this.#checkHeld()
    }
    keys.finish()
    file.smallBucket('lease', this.#leases.map((lease) => ({ key: word(lease.id), value: encodeLease(lease) })))
    file.smallBucket('members', this.#membership.members.map(textEntry))
    file.smallBucket('members_removed', this.#membership.members_removed.map(textEntry))
    file.smallBucket('meta', this.#metaEntries())
  }

  /** Whoever takes the pieces may be slow, and a leader's state doesn't wait for them. */
  #checkHeld(): void { if (this.#isLost) throw new StorageError('WriteFailed', 'the state was replaced by one that the leader sent') }

  #metaEntries(): readonly PlainEntry[] {
    const { index, term, confState } = this.mark
    const compaction = Buffer.concat([word(this.#compacted), Buffer.from('_'), word(0)])
    const storage = this.#storageVersion
    return [
      entry('confState', Buffer.from(encodeConfStateJson(confState))), entry('consistent_index', word(index)),
      ...(this.#compacted > 0 ? [entry('finishedCompactRev', compaction), entry('scheduledCompactRev', compaction)] : []),
      ...(storage === undefined ? [] : [entry('storageVersion', Buffer.from(storage))]), entry('term', word(term)),
    ]
  }
}

/** It follows the cluster's version, so that after a downgrade older members read the file; before 3.6 there was none. */
function versionFollowing(clusterVersion: string | undefined): string | undefined {
  const match = /^3\.(\d+)\./.exec(clusterVersion ?? etcdStorageVersion)
  const minor = Number(match?.[1] ?? 0)
  return minor < 6 ? undefined : `3.${Math.min(minor, Number(etcdStorageVersion.split('.')[1]))}.0`
}

export function encodeConfStateJson({ voters, learners, votersOutgoing, learnersNext, autoLeave }: ConfState): string {
  const list = (name: string, ids: readonly bigint[]): readonly string[] => (ids.length === 0 ? [] : [`"${name}":[${ids.join(',')}]`])
  return `{${[...list('voters', voters), ...list('learners', learners), ...list('voters_outgoing', votersOutgoing), ...list('learners_next', learnersNext), `"auto_leave":${autoLeave}`].join(',')}}`
}

function encodeLease({ id, ttlSeconds, remainingTtlSeconds = 0 }: LeaseImage): Uint8Array {
  return encodeProto3(leaseTable, 'Lease', { ID: id, TTL: ttlSeconds, RemainingTTL: remainingTtlSeconds })
}

/** leasepb.Lease */
export const leaseTable = { Lease: [{ name: 'ID', number: 1, type: 'int64', big: true }, { name: 'TTL', number: 2, type: 'int64' }, { name: 'RemainingTTL', number: 3, type: 'int64' }] } as const

function entry(key: string, value: Uint8Array): PlainEntry { return { key: Buffer.from(key), value } }
function textEntry([key, value]: readonly [key: string, value: string]): PlainEntry { return entry(key, Buffer.from(value)) }
function byKey(a: PlainEntry, b: PlainEntry): number { return Buffer.compare(a.key, b.key) }

function word(value: number | bigint): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(BigInt.asUintN(64, BigInt(value)))
  return bytes
}
