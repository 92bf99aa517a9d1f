// The log's files: their names say their place in the sequence and the entry that they begin with; each begins with the checksum that the one
// before it reached and with whose log it is. A segment gets its name when its head is durable.
import { join } from 'node:path'
import { WireWriter } from '../../../lib/base/protobuf/wire-writer.ts'
import type { Disk, DiskFile } from '../disk/disk.ts'
import { writeIdentity, type Identity } from './raft-messages.ts'
import { recordTypes, type RecordBuffer } from './wal-record.ts'

export interface Segment { readonly sequence: number; readonly firstIndex: number; readonly name: string }

export const zeros = Buffer.alloc(1024 * 1024)

export function segmentOf(sequence: number, firstIndex: number): Segment {
  return { sequence, firstIndex, name: `${sequence.toString(16).padStart(16, '0')}-${firstIndex.toString(16).padStart(16, '0')}.wal` }
}

/** The segments in a folder, in order. */
export async function listSegments(disk: Disk, folder: string): Promise<readonly Segment[]> {
  return (await disk.list(folder)).flatMap(parseSegmentName).sort((a, b) => a.sequence - b.sequence)
}

function parseSegmentName(name: string): Segment[] {
  const match = /^([0-9a-f]{16})-([0-9a-f]{16})\.wal$/.exec(name)
  return match ? [{ sequence: Number.parseInt(match[1]!, 16), firstIndex: Number.parseInt(match[2]!, 16), name }] : [] // cast: the pattern has two groups
}

export function writeHead(records: RecordBuffer, identity: Identity): void {
  const writer = new WireWriter(32)
  records.add(recordTypes.crc)
  writeIdentity(writer, identity)
  records.add(recordTypes.metadata, writer.finish())
}

/** Makes a segment that begins with `head`, followed by zeros, durable under its name; returns it open for durable writes. */
export async function createSegment(disk: Disk, folder: string, name: string, head: Buffer, zeroedBytes: number): Promise<DiskFile> {
  const temporary = join(folder, `${name}.tmp`)
  {
    await using file = await disk.open(temporary, 'create')
    for (let at = 0; at < zeroedBytes; at += zeros.length) await file.write(zeros.subarray(0, Math.min(zeros.length, zeroedBytes - at)), at)
    await file.write(head, 0)
    await file.sync()
  }
  await disk.rename(temporary, join(folder, name))
  await disk.syncFolder(folder)
  return disk.open(join(folder, name), 'dsync')
}
