// The whole state in one file `<term>-<index>.k8tsnap`, as versions of this project before November 2026 kept it: it is read (promise D10), and
// replaced by the original's files as soon as the state is saved again.
//
// The file: eight bytes of magic, then blocks: length and CRC-32C (four bytes each, little endian) and the payload, whose first byte says
// what it is. The last block says how many versions there were, so a file cut short is noticed.
import { join } from 'node:path'
import { crc32c } from '../../../lib/etcd-api/crc32c.ts'
import { decodeProto3 } from '../../../lib/base/protobuf/proto3.ts'
import { WireReader } from '../../../lib/base/protobuf/wire-reader.ts'
import { etcdTable } from '../../../lib/etcd-api/generated/table.ts'
import type { StoredRole, StoredUser } from '../../../lib/etcd-api/generated/types.ts'
import { StorageError, type Disk, type DiskFile } from '../disk/disk.ts'
import { keyText } from '../mvcc/key-text.ts'
import type { V2NodeImage } from '../v2/v2-store.ts'
import type { StateMachine } from '../state-machine.ts'
import type { Identity, SnapshotMark } from '../wal/raft-messages.ts'

const magic = Buffer.from('K8TSNAP1', 'latin1')
const blocks = { header: 1, leases: 2, alarms: 3, versions: 4, end: 5, auth: 6, v2: 7 } as const

export interface SnapshotInfo extends SnapshotMark { readonly name: string }

/** Snapshots in the folder, newest first. */
export async function listOldSnapshots(disk: Disk, folder: string): Promise<readonly SnapshotInfo[]> {
  return (await disk.list(folder)).flatMap((name) => {
    const match = /^([0-9a-f]{16})-([0-9a-f]{16})\.k8tsnap$/.exec(name)
    return match ? [{ name, term: Number.parseInt(match[1]!, 16), index: Number.parseInt(match[2]!, 16) }] : [] // cast: the pattern has two groups
  }).sort((a, b) => b.index - a.index)
}

/** Fills an empty state machine. @throws StorageError CorruptSnapshot */
export async function readOldSnapshot(disk: Disk, folder: string, info: SnapshotInfo, machine: StateMachine): Promise<SnapshotMark & Identity> {
  await using file = await disk.open(join(folder, info.name), 'read')
  const reader = new BlockReader(file, info.name)
  await reader.start()
  const header = await reader.block(blocks.header)
  const mark = { index: header.varint(), term: header.varint() }
  const revision = header.varint()
  const compactedRevision = header.varint()
  const identity: Identity = { memberId: header.bigVarint(), clusterId: header.bigVarint() }
  const leases = await reader.block(blocks.leases)
  while (!leases.done) machine.leases.grant(leases.bigVarint(), leases.varint(), 0)
  const alarms = await reader.block(blocks.alarms)
  while (!alarms.done) machine.restoreAlarms([{ memberId: alarms.bigVarint(), alarm: alarms.string() === 'CORRUPT' ? 'CORRUPT' : 'NOSPACE' }])
  const restoring = machine.store.beginRestore(compactedRevision)
  let count = 0
  for (;;) {
    const r = await reader.block(blocks.versions, blocks.end, blocks.auth, blocks.v2)
    if (reader.kind === blocks.auth) { readAuth(r, machine); continue }
    if (reader.kind === blocks.v2) { readV2(r, machine); continue }
    if (reader.kind === blocks.end) {
      if (r.varint() !== count) throw reader.corrupt('versions are missing')
      break
    }
    while (!r.done) {
      const key = keyText(r.bytes())
      restoring.add({ key, createRevision: r.varint(), modRevision: r.varint(), subRevision: r.varint(), version: r.varint(), lease: r.bigVarint(), value: r.bytes() })
      count++
    }
  }
  for (const _ of restoring.finish(revision)) void _
  if (mark.index !== info.index) throw reader.corrupt('it is not what its name says')
  return { ...mark, ...identity }
}

function readAuth(r: WireReader, machine: StateMachine): void {
  const enabled = r.varint() === 1
  const revision = r.varint()
  const users = Array.from({ length: r.varint() }, () => decodeProto3<StoredUser>(etcdTable, 'StoredUser', r.bytes()))
  const roles: StoredRole[] = []
  while (!r.done) roles.push(decodeProto3<StoredRole>(etcdTable, 'StoredRole', r.bytes()))
  machine.auth.restore({ enabled, revision, users, roles })
}

function readV2(r: WireReader, machine: StateMachine): void {
  const index = r.varint()
  const images: V2NodeImage[] = []
  while (!r.done) {
    const path = r.string()
    const isFile = r.varint() === 1
    const value = r.string()
    images.push({ path, ...(isFile ? { value } : {}), createdIndex: r.varint(), modifiedIndex: r.varint(), expiresAtMs: r.varint() })
  }
  machine.v2.restore(index, images)
}

class BlockReader {
  readonly #file: DiskFile
  readonly #name: string
  #position = 0
  kind = 0
  constructor(file: DiskFile, name: string) {
    this.#file = file
    this.#name = name
  }

  corrupt(what: string): StorageError { return new StorageError('CorruptSnapshot', `snapshot ${this.#name} is corrupt before byte ${this.#position}: ${what}`) }

  async start(): Promise<void> {
    const head = Buffer.alloc(magic.length)
    if ((await this.#file.read(head, 0)) < head.length || !head.equals(magic)) throw this.corrupt('it does not begin as a snapshot')
    this.#position = head.length
  }

  async block(...kinds: readonly number[]): Promise<WireReader> {
    const head = Buffer.alloc(8)
    if ((await this.#file.read(head, this.#position)) < 8) throw this.corrupt('it ends too early')
    const length = head.readUInt32LE(0)
    if (length > (await this.#file.size()) - this.#position - 8) throw this.corrupt('it ends too early')
    const payload = Buffer.alloc(length)
    await this.#file.read(payload, this.#position + 8)
    this.#position += 8 + length
    if (crc32c(0, payload) !== head.readUInt32LE(4)) throw this.corrupt('the checksum differs')
    const reader = new WireReader(payload)
    this.kind = reader.varint()
    if (!kinds.includes(this.kind)) throw this.corrupt(`block ${this.kind} is out of place`)
    return reader
  }
}
