// Reads one segment of the log: gives its records in order, and says how it ends.
import { StorageError } from '../disk/disk.ts'
import { continuesChain, isZero, judgeDamage, parseRecord, recordTypes, type WalRecord } from './wal-record.ts'
import { readHardState } from './raft-messages.ts'

export interface SegmentEnd {
  /** Bytes of valid records. */
  readonly length: number
  /** Something that never became a record follows; it has to be cleared before anything is written there. */
  readonly torn: boolean
  /** Records whose lost length was put back in `bytes`; on the disk it is still missing. */
  readonly mended: readonly number[]
  readonly crc: number
}

export interface ScanOptions {
  readonly name: string
  /** Checksum that the chain has reached, undefined before the first segment that is read. */
  readonly crc: number | undefined
  /** Only the last segment may end in an unfinished write. */
  readonly isLast: boolean
  /** Index of the last entry read so far. */
  readonly lastIndex: () => number
}

/** Yields the records (checksum records too). @throws StorageError CorruptLog */
export function* scanSegment(bytes: Buffer, options: ScanOptions): Generator<WalRecord, SegmentEnd> {
  let at = 0
  let { crc } = options
  const mended: number[] = []
  // Every write ends with a hard state. One that something follows is of a finished write; so is what its commit index speaks of.
  const isEvidence = (record: WalRecord, before: WalRecord): boolean => before.type === recordTypes.state || (record.type === recordTypes.state && (readHardState(record.data)?.commit ?? 0) > options.lastIndex())
  for (;;) {
    const record = parseRecord(bytes, at)
    if (record && at === 0 && record.type !== recordTypes.crc) throw corrupt(options.name, at, 'it does not begin with a checksum record')
    const valid = record !== undefined && (crc === undefined ? record.type === recordTypes.crc : continuesChain(record, crc))
    if (valid) {
      ;({ crc } = record)
      yield record
      at = record.end
      continue
    }
    if (isZero(bytes, at, bytes.length)) return { length: at, torn: false, mended, crc: crc ?? 0 }
    const judgement = options.isLast ? judgeDamage(bytes, at, crc ?? 0, isEvidence) : 'corrupt'
    if (judgement === 'corrupt') throw corrupt(options.name, at, 'a record is damaged')
    if (judgement === 'torn') return { length: at, torn: true, mended, crc: crc ?? 0 }
    bytes.writeUInt32LE(judgement, at)
    mended.push(at)
  }
}

function corrupt(name: string, at: number, what: string): StorageError {
  return new StorageError('CorruptLog', `log segment ${name} is corrupt at byte ${at}: ${what}`)
}
