// Reads the whole log again: what it says is committed goes to `replay` in order; the entries behind that, which may still be replaced by
// others, come back as the tail.
import { join } from 'node:path'
import { StorageError, type Disk, type DiskFile } from '../disk/disk.ts'
import { yieldToLoop } from '../yield-to-loop.ts'
import { entryTypes, readEntry, readHardState, readIdentity, readSnapshotMark, type Entry, type HardState, type Identity, type SnapshotMark } from './raft-messages.ts'
import { scanSegment, type SegmentEnd } from './segment-scan.ts'
import { listSegments, zeros, type Segment } from './segment-files.ts'
import { continuesChain, isZero, parseRecord, recordTypes, type WalRecord } from './wal-record.ts'

export interface ReadLogOptions {
  readonly disk: Disk
  readonly folder: string
  /** Where the state that has been loaded stands; entries up to it are passed over. */
  readonly snapshot: SnapshotMark
  /** Called for every committed entry behind the snapshot, in order. Its data is valid until the call returns: copy what is kept. */
  readonly replay: (entry: Entry) => void
}

export interface OpenedLog {
  readonly identity: Identity
  readonly segments: Segment[]
  readonly file: DiskFile
  readonly position: number
  readonly zeroedTo: number
  readonly crc: number
  readonly hardState: HardState
  /** Behind what was replayed. */
  readonly tail: readonly Entry[]
  readonly lastIndex: number
  /** Of entries that the loaded state does not hold. */
  readonly bytesBehindSnapshot: number
}

const replayPiece = 500

/** @throws StorageError CorruptLog */
export async function readLog(options: ReadLogOptions, all: readonly Segment[]): Promise<OpenedLog> {
  const { disk, folder, snapshot } = options
  const firstAt = all.findLastIndex((segment) => segment.firstIndex <= snapshot.index + 1)
  if (firstAt < 0) throw new StorageError('CorruptLog', `the log in ${folder} begins behind the snapshot at index ${snapshot.index}`)
  const segments = all.slice(firstAt)
  const reader = new LogReader(options)
  let end: SegmentEnd | undefined
  let size = 0
  for (const [at, segment] of segments.entries()) {
    const previous = segments[at - 1]
    if (previous && previous.sequence + 1 !== segment.sequence) throw new StorageError('CorruptLog', `log segment ${previous.sequence + 1} is missing in ${folder}`)
    const isLast = at === segments.length - 1
    await using file = await disk.open(join(folder, segment.name), 'read')
    const bytes = Buffer.alloc(await file.size())
    size = await file.read(bytes, 0)
    const scan = scanSegment(bytes.subarray(0, size), { name: segment.name, crc: end?.crc, isLast, lastIndex: () => reader.lastIndex })
    let seen = 0
    let step = scan.next()
    for (; !step.done; step = scan.next()) {
      reader.take(step.value, segment.name)
      if (++seen % replayPiece === 0) await yieldToLoop()
    }
    end = step.value
    reader.keepTail()
    if (end.mended.length > 0) await writeLengths(disk, join(folder, segment.name), bytes, end.mended)
    if (isLast && end.torn && end.length > 0) await clearTail(disk, join(folder, segment.name), bytes.subarray(0, size), end.length)
  }
  const { identity, hardState, lastIndex } = reader
  if (!identity || !end) throw new StorageError('CorruptLog', `the log in ${folder} doesn't say whose it is`)
  if (lastIndex < snapshot.index) throw new StorageError('CorruptLog', `the log in ${folder} ends at index ${lastIndex}, before the snapshot at ${snapshot.index}`)
  if (lastIndex < hardState.commit) throw new StorageError('CorruptLog', `the log in ${folder} ends at index ${lastIndex}, but says that ${hardState.commit} is committed`)
  reader.finish()
  const last = segments[segments.length - 1]! // cast: not empty
  const file = await disk.open(join(folder, last.name), 'dsync')
  return { identity, segments: [...segments], file, position: end.length, zeroedTo: size, crc: end.crc, hardState, tail: reader.tail, lastIndex, bytesBehindSnapshot: reader.bytesBehindSnapshot }
}

/**
 * The places that the log knows saved states of, oldest first: only states that it knows count, and only up to what it says is committed.
 * Damage is left to `readLog`.
 */
export async function readSnapshotMarks(disk: Disk, folder: string): Promise<readonly SnapshotMark[]> {
  const marks: SnapshotMark[] = []
  let commit = 0
  // The newest first: what lies wholly before a known mark is kept for other programs only (`--max-wals`).
  for (const { name, firstIndex } of [...await listSegments(disk, folder)].reverse()) {
    await using file = await disk.open(join(folder, name), 'read')
    const bytes = Buffer.alloc(await file.size())
    const size = await file.read(bytes, 0)
    let crc: number | undefined
    for (let record = parseRecord(bytes.subarray(0, size), 0); record !== undefined; record = parseRecord(bytes.subarray(0, size), record.end)) {
      // What an unfinished write left may look like records.
      if (crc !== undefined && !continuesChain(record, crc)) break
      ;({ crc } = record)
      if (record.type === recordTypes.state) commit = Math.max(commit, readHardState(record.data)?.commit ?? 0)
      const mark = record.type === recordTypes.snapshot ? readSnapshotMark(record.data) : undefined
      if (mark) marks.push(mark)
    }
    if (marks.some(({ index }) => index <= commit && index + 1 >= firstIndex)) break
  }
  return marks.filter((mark) => mark.index <= commit)
}

/** Zeros what an unfinished write left, so that nothing of it is ever taken for a record. */
async function clearTail(disk: Disk, path: string, bytes: Buffer, from: number): Promise<void> {
  await using file = await disk.open(path, 'update')
  for (let at = from; at < bytes.length; at += zeros.length) {
    const stop = Math.min(bytes.length, at + zeros.length)
    if (!isZero(bytes, at, stop)) await file.write(zeros.subarray(0, stop - at), at)
  }
  await file.sync()
}

/** Writes the first eight bytes of these records, which the disk has lost. */
async function writeLengths(disk: Disk, path: string, bytes: Buffer, places: readonly number[]): Promise<void> {
  await using file = await disk.open(path, 'update')
  for (const at of places) await file.write(bytes.subarray(at, at + 8), at)
  await file.sync()
}

/** Checks that the records make sense one after the other. */
class LogReader {
  readonly #options: ReadLogOptions
  identity: Identity | undefined
  hardState: HardState = { term: 0, vote: 0n, commit: 0 }
  lastIndex: number
  /** The highest of any entry: no hard state behind it is of an earlier one. */
  #entryTerm = 0
  /** Behind what is known to be committed. */
  tail: Entry[] = []
  bytesBehindSnapshot = 0
  #replayed: number
  #started = false
  /** From here on the tail's data are copies. */
  #kept = 0

  constructor(options: ReadLogOptions) {
    this.#options = options
    this.lastIndex = this.#replayed = options.snapshot.index
  }

  take(record: WalRecord, name: string): void {
    const bad = (what: string): StorageError => new StorageError('CorruptLog', `log segment ${name} is corrupt before byte ${record.end}: ${what}`)
    switch (record.type) {
      case recordTypes.metadata: {
        const identity = readIdentity(record.data)
        if (!identity) throw bad('the identity is not readable')
        if (this.identity && (this.identity.memberId !== identity.memberId || this.identity.clusterId !== identity.clusterId)) throw bad('it belongs to another member')
        this.identity = identity
        return
      }
      case recordTypes.state: {
        const state = readHardState(record.data)
        if (!state || state.term < Math.max(this.hardState.term, this.#entryTerm)) throw bad('the hard state is not readable')
        this.hardState = state
        this.#replayTo(state.commit)
        return
      }
      case recordTypes.snapshot: {
        const mark = readSnapshotMark(record.data)
        if (!mark) throw bad('the snapshot mark is not readable')
        // A state that came from a leader took the place of everything before it.
        if (mark.index > this.lastIndex) {
          if (this.#options.snapshot.index < mark.index) throw bad(`the state at index ${mark.index} that it goes on from is not the one that was loaded`)
          this.lastIndex = mark.index
          this.#started = true
        }
        return
      }
      case recordTypes.entry: {
        const entry = readEntry(record.data)
        if (!entry) throw bad('the entry is not readable')
        this.#takeEntry(entry, bad)
        return
      }
      default:
    }
  }

  #takeEntry(entry: Entry, bad: (what: string) => StorageError): void {
    const { index } = entry
    const { snapshot } = this.#options
    if (this.#started && index > this.lastIndex + 1) throw bad(`entry ${index} follows entry ${this.lastIndex}`)
    if (!this.#started && index > snapshot.index + 1) throw bad(`it begins with entry ${index}, behind the snapshot`)
    if (this.#started && index <= this.lastIndex && index <= this.hardState.commit) throw bad(`entry ${index} comes again although it was committed`)
    this.#started = true
    this.lastIndex = index
    this.#entryTerm = Math.max(this.#entryTerm, entry.term)
    if (index <= snapshot.index) {
      this.tail.length = 0
      return
    }
    const at = index - this.#replayed - 1
    if (at < 0) throw bad(`entry ${index} comes again although it was applied`)
    this.tail.length = Math.min(at, this.tail.length)
    this.#kept = Math.min(this.#kept, this.tail.length)
    this.bytesBehindSnapshot += entry.data.length
    this.tail.push(entry)
  }

  #replayTo(commit: number): void {
    const count = Math.min(commit - this.#replayed, this.tail.length)
    if (count <= 0) return
    for (let i = 0; i < count; i++) this.#options.replay(this.tail[i]!) // cast: bounded by the loop
    this.#replayed += count
    this.tail.splice(0, count)
    this.#kept = Math.max(0, this.#kept - count)
  }

  /** The segment's bytes are about to go. */
  keepTail(): void {
    for (; this.#kept < this.tail.length; this.#kept++) {
      const entry = this.tail[this.#kept]! // cast: bounded by the loop
      this.tail[this.#kept] = { ...entry, data: entry.data.slice() }
    }
  }

  /** The members that a log begins with are committed by decree, whatever the hard state says: it is of the same write. */
  finish(): void {
    if (this.#replayed > 0) return
    let decreed = 0
    while (this.tail[decreed]?.term === 1 && this.tail[decreed]?.type === entryTypes.confChange) decreed++
    this.#replayTo(decreed)
  }
}
