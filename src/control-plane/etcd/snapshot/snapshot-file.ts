// The whole state in one file, so that the log before it can go. Written in pieces that yield, under a temporary name that becomes the real
// one when everything is durable.
//
// The file: eight bytes of magic, then blocks: length and CRC-32C (four bytes each, little endian) and the payload, whose first byte says
// what it is. The last block says how many versions there were, so a file cut short is noticed.
import { join } from 'node:path'
import { crc32c } from '../../../lib/etcd-api/crc32c.ts'
import { decodeProto3, encodeProto3 } from '../../../lib/base/protobuf/proto3.ts'
import { WireReader } from '../../../lib/base/protobuf/wire-reader.ts'
import { WireWriter } from '../../../lib/base/protobuf/wire-writer.ts'
import { etcdTable } from '../../../lib/etcd-api/generated/table.ts'
import type { StoredRole, StoredUser } from '../../../lib/etcd-api/generated/types.ts'
import { StorageError, type Disk, type DiskFile } from '../disk/disk.ts'
import { yieldToLoop } from '../yield-to-loop.ts'
import { keyBytes, keyText } from '../mvcc/key-text.ts'
import type { V2NodeImage } from '../v2/v2-store.ts'
import type { StateMachine } from '../state-machine.ts'
import type { Identity, SnapshotMark } from '../wal/raft-messages.ts'

const magic = Buffer.from('K8TSNAP1', 'latin1')
const blocks = { header: 1, leases: 2, alarms: 3, versions: 4, end: 5, auth: 6, v2: 7 } as const
const keysPerPiece = 200
const blockBytes = 256 * 1024

export interface SnapshotInfo extends SnapshotMark { readonly name: string }

function nameOf(mark: SnapshotMark): string { return `${mark.term.toString(16).padStart(16, '0')}-${mark.index.toString(16).padStart(16, '0')}.k8tsnap` }

/** Snapshots in the folder, newest first. */
export async function listSnapshots(disk: Disk, folder: string): Promise<readonly SnapshotInfo[]> {
  return (await disk.list(folder)).flatMap((name) => {
    const match = /^([0-9a-f]{16})-([0-9a-f]{16})\.k8tsnap$/.exec(name)
    return match ? [{ name, term: Number.parseInt(match[1]!, 16), index: Number.parseInt(match[2]!, 16) }] : [] // cast: the pattern has two groups
  }).sort((a, b) => b.index - a.index)
}

/** Writes the state as it is at the moment of the call; the state may go on changing meanwhile. */
export async function writeSnapshot(disk: Disk, folder: string, machine: StateMachine, mark: SnapshotMark, identity: Identity): Promise<void> {
  const { store, leases, alarms } = machine
  const { revision, compactedRevision } = store
  const leaseImage = leases.image()
  const authImage = machine.auth.image()
  const v2Index = machine.v2.index
  const v2Image = machine.v2.image()
  using pin = store.pin()
  void pin
  await disk.makeFolder(folder)
  const name = nameOf(mark)
  const temporary = join(folder, `${name}.tmp`)
  try {
    await using file = await disk.open(temporary, 'create')
    const writer = new BlockWriter(file)
    await writer.start()
    await writer.block(blocks.header, (w) => {
      w.varint(mark.index); w.varint(mark.term); w.varint(revision); w.varint(compactedRevision); w.bigVarint(identity.memberId); w.bigVarint(identity.clusterId)
    })
    await writer.block(blocks.leases, (w) => {
      for (const lease of leaseImage) { w.bigVarint(lease.id); w.varint(lease.ttlSeconds) }
    })
    await writer.block(blocks.alarms, (w) => {
      for (const { memberId, alarm } of alarms) { w.bigVarint(memberId); w.string(alarm) }
    })
    await writer.block(blocks.auth, (w) => {
      w.varint(authImage.enabled ? 1 : 0); w.varint(authImage.revision); w.varint(authImage.users.length)
      for (const user of authImage.users) w.bytes(encodeProto3(etcdTable, 'StoredUser', user))
      for (const role of authImage.roles) w.bytes(encodeProto3(etcdTable, 'StoredRole', role))
    })
    if (v2Index > 0) {
      await writer.block(blocks.v2, (w) => {
        w.varint(v2Index)
        for (const { path, value, createdIndex, modifiedIndex, expiresAtMs } of v2Image) {
          w.string(path); w.varint(value === undefined ? 0 : 1); w.string(value ?? '')
          w.varint(createdIndex); w.varint(modifiedIndex); w.varint(expiresAtMs)
        }
      })
    }
    let count = 0
    let after: string | undefined
    for (let more = true; more;) {
      const { versions, next } = store.walk(after, revision, keysPerPiece)
      for (let at = 0; at < versions.length;) {
        await writer.block(blocks.versions, (w) => {
          for (; at < versions.length && w.length < blockBytes; at++) {
            const version = versions[at]! // cast: bounded by the loop
            w.bytes(keyBytes(version.record.text))
            w.varint(version.createRevision); w.varint(version.modRevision); w.varint(version.subRevision); w.varint(version.version)
            w.bigVarint(version.lease)
            w.bytes(version.value)
            count++
          }
        })
      }
      after = next
      more = next !== undefined
      await yieldToLoop()
    }
    await writer.block(blocks.end, (w) => w.varint(count))
    await file.sync()
  } catch (error) {
    // On a full disk the piece that was written would only be in the way.
    await disk.remove(temporary)
    throw error
  }
  await disk.rename(temporary, join(folder, name))
  await disk.syncFolder(folder)
}

/** Removes all snapshots but the one at `index`, and what interrupted writes left. */
export async function removeOtherSnapshots(disk: Disk, folder: string, index: number): Promise<void> {
  for (const { name, index: other } of await listSnapshots(disk, folder)) if (other !== index) await disk.remove(join(folder, name))
  for (const name of await disk.list(folder)) if (name.endsWith('.k8tsnap.tmp')) await disk.remove(join(folder, name))
}

/** Fills an empty state machine. @throws StorageError CorruptSnapshot */
export async function readSnapshot(disk: Disk, folder: string, info: SnapshotInfo, machine: StateMachine): Promise<SnapshotMark & Identity> {
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
  const restoring = machine.store.beginRestore(revision, compactedRevision)
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
  restoring.finish()
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

class BlockWriter {
  readonly #file: DiskFile
  readonly #writer = new WireWriter(blockBytes * 2)
  #position = 0
  constructor(file: DiskFile) { this.#file = file }

  async start(): Promise<void> {
    await this.#file.write(magic, 0)
    this.#position = magic.length
  }

  async block(kind: number, write: (writer: WireWriter) => void): Promise<void> {
    const w = this.#writer
    w.reset()
    w.fixed32(0); w.fixed32(0); w.varint(kind)
    write(w)
    const bytes = w.finish()
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    view.setUint32(0, bytes.length - 8, true)
    view.setUint32(4, crc32c(0, bytes, 8), true)
    await this.#file.write(bytes, this.#position)
    this.#position += bytes.length
  }
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
