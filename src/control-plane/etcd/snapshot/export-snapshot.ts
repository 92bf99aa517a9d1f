// The whole state as the database file of the original, for `etcdctl snapshot save`: made and given away piece by piece, so that it never is
// in memory as a whole.
// Upstream: etcd/server/storage/schema
import { encodeProto3 } from '../../../lib/base/protobuf/proto3.ts'
import { WireWriter } from '../../../lib/base/protobuf/wire-writer.ts'
import { etcdTable } from '../../../lib/etcd-api/generated/table.ts'
import type { EtcdInternals } from '../embedded.ts'
import { writeKeyValue, writeRevision } from '../mvcc/revision-bytes.ts'
import type { StoredKeyValue } from '../mvcc/stored-key-value.ts'
import { etcdClusterVersion, etcdStorageVersion } from '../version.ts'
import { yieldToLoop } from '../yield-to-loop.ts'
import type { AuthImage } from '../auth/auth-store.ts'
import { sortByRevision } from '../mvcc/sort-in-pieces.ts'
import type { AlarmMember } from '../state-machine.ts'
import { BoltFile, boltPageBytes } from './bolt-file.ts'

const keysPerPiece = 500
const versionsPerPiece = 500

/** The file's pieces in order, of the state at the first call. */
export async function* exportSnapshot(etcd: EtcdInternals): AsyncGenerator<{ readonly piece: Buffer; readonly remainingBytes: number }> {
  const { member } = etcd
  const { store, leases } = member.machine
  // What has to be of one moment, before the first pause.
  const { revision, compactedRevision } = store
  const { appliedIndex, term } = member
  const { alarms } = member.machine
  const auth = member.machine.auth.image()
  const leaseImage = [...leases.image()].sort((a, b) => (a.id < b.id ? -1 : 1))
  using pin = store.pin()
  void pin
  const versions: StoredKeyValue[] = []
  for (let after: string | undefined, more = true; more;) {
    const piece = store.walk(after, revision, keysPerPiece)
    versions.push(...piece.versions)
    after = piece.next
    more = after !== undefined
    await yieldToLoop()
  }
  const ordered = await sortByRevision(versions, yieldToLoop)
  const image: Image = { ordered, alarms, auth, leaseImage, compactedRevision, appliedIndex, term }

  const measured = new BoltFile()
  for await (const _ of addBuckets(measured, image)) void _
  const layout = measured.finish()
  const file = new BoltFile(layout)
  let remainingBytes = layout.pages * boltPageBytes
  const taken = function* (): Generator<{ readonly piece: Buffer; readonly remainingBytes: number }> {
    for (const piece of file.take()) {
      remainingBytes -= piece.length
      yield { piece, remainingBytes }
    }
  }
  for await (const _ of addBuckets(file, image)) {
    void _
    yield* taken()
  }
  file.finish()
  yield* taken()
}

interface Image {
  readonly ordered: readonly StoredKeyValue[]
  readonly alarms: readonly AlarmMember[]
  readonly auth: AuthImage
  readonly leaseImage: readonly { readonly id: bigint; readonly ttlSeconds: number }[]
  readonly compactedRevision: number
  readonly appliedIndex: number
  readonly term: number
}

/** Adds everything, in the order that the file has; yields between pieces. */
async function* addBuckets(file: BoltFile, { ordered, alarms, auth, leaseImage, compactedRevision, appliedIndex, term }: Image): AsyncGenerator<undefined> {
  const small = (name: string, entries: readonly (readonly [key: string | Buffer, value: string | Buffer])[]): void => {
    const bucket = file.bucket(name)
    for (const [key, value] of entries) bucket.put(Buffer.from(key), Buffer.from(value))
    bucket.finish()
  }
  // In the order of their names.
  const message = (type: string, value: object): Buffer => Buffer.from(encodeProto3(etcdTable, type, value))
  small('alarm', alarms.map(({ memberId, alarm }) => [message('AlarmMember', { memberID: memberId, alarm }), ''] as const))
  small('auth', [['authEnabled', Buffer.of(auth.enabled ? 1 : 0)], ['authRevision', bigEndian(BigInt(auth.revision))]])
  small('authRoles', auth.roles.map((role) => [Buffer.from(role.name ?? ''), message('StoredRole', role)] as const))
  small('authUsers', auth.users.map((user) => [Buffer.from(user.name ?? ''), message('StoredUser', user)] as const))
  small('cluster', [['clusterVersion', etcdClusterVersion]])
  const keys = file.bucket('key')
  for (const [i, version] of ordered.entries()) {
    keys.put(bytesOf((w) => writeRevision(w, version)), bytesOf((w) => writeKeyValue(w, version)))
    if (i % versionsPerPiece !== versionsPerPiece - 1) continue
    await yieldToLoop()
    yield undefined
  }
  keys.finish()
  small('lease', leaseImage.map(({ id, ttlSeconds }) => [bigEndian(id), Buffer.from(bytesOf((w) => { w.tag(1, 0); w.bigVarint(id); w.tag(2, 0); w.varint(ttlSeconds) }))] as const))
  // Whoever restores names its members anew, and with them the state of the configuration; older tools would keep what stands here.
  small('members', [])
  small('members_removed', [])
  const compaction = Buffer.concat([bigEndian(BigInt(compactedRevision)), Buffer.from('_'), bigEndian(0n)])
  small('meta', [
    ['consistent_index', bigEndian(BigInt(appliedIndex))],
    ...(compactedRevision > 0 ? [['finishedCompactRev', compaction], ['scheduledCompactRev', compaction]] as const : []),
    ['storageVersion', etcdStorageVersion], ['term', bigEndian(BigInt(term))],
  ])
}

function bytesOf(write: (writer: WireWriter) => void): Uint8Array {
  const writer = new WireWriter(64)
  write(writer)
  return writer.finish()
}

function bigEndian(value: bigint): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(BigInt.asUintN(64, value))
  return bytes
}
