// etcd's write-ahead log: segment files of about 64 MB, zeroed ahead of the writing position and opened O_DSYNC, so that one write makes a
// whole batch durable and changes no metadata of the file.
//
// Every batch ends with a hard state, whose commit index never speaks of the batch itself: a later batch thereby proves that an earlier one
// was finished, which is how recovery tells a torn tail from damage. An entry takes the place of those that the log has from its index on.
// Layout and names are etcd's. Upstream: etcd/server/storage/wal
import { join } from 'node:path'
import { WireWriter } from '../../../lib/base/protobuf/wire-writer.ts'
import { describeError, type Logger } from '../../../lib/component-base/log.ts'
import { StorageError, type Disk, type DiskFile } from '../disk/disk.ts'
import { writeEntryHead, writeHardState, writeSnapshotMark, type Entry, type HardState, type Identity, type SnapshotMark } from './raft-messages.ts'
import { readLog, type OpenedLog } from './read-log.ts'
import { createSegment, listSegments, segmentOf, writeHead, zeros, type Segment } from './segment-files.ts'
import { recordTypes, RecordBuffer } from './wal-record.ts'

export interface WalOptions {
  readonly disk: Disk
  readonly folder: string
  readonly logger: Logger
  readonly segmentBytes?: number
  /** How much a new segment has zeroed at first. Four times as much is zeroed whenever half of it is left. */
  readonly zeroedBytes?: number
  /** Files that stay, with those that a saved state has made superfluous; 0: all. Default: only those that are needed. */
  readonly keptFiles?: number
}

/** What a log begins with: all of it is committed, and durable with the log's creation. */
export interface NewLog {
  readonly identity: Identity
  readonly entries: readonly Entry[]
  readonly hardState: HardState
}

/** What one write makes durable, in this order. */
export interface LogBatch {
  /** A state that came from the leader and is kept already: it takes the place of the whole log. */
  readonly snapshot?: SnapshotMark | undefined
  readonly entries: readonly Entry[]
  readonly hardState: HardState
}

export interface RecoveredLog {
  readonly log: WriteAheadLog
  readonly hardState: HardState
  /** Entries behind those that were replayed: not known to be committed. */
  readonly tail: readonly Entry[]
}

const defaultSegmentBytes = 64 * 1024 * 1024
const defaultZeroedBytes = 1024 * 1024
/** At most this is added to an entry's data, and to a batch. */
const entryOverheadBytes = 64
const batchOverheadBytes = 256

export class WriteAheadLog implements AsyncDisposable {
  readonly identity: Identity
  readonly #disk: Disk
  readonly #folder: string
  readonly #logger: Logger
  readonly #segmentBytes: number
  readonly #zeroedBytes: number
  readonly #records: RecordBuffer
  readonly #writer = new WireWriter(4096)
  readonly #keptFiles: number
  /** What nobody needs any more, oldest first. */
  #superfluous: Segment[] = []
  #segments: Segment[]
  #file: DiskFile
  #position: number
  #zeroedTo: number
  #zeroing: Promise<void> | undefined
  #removing: Promise<void> = Promise.resolve()
  /** As it was written last. */
  #state: HardState
  #lastIndex: number
  /** A mark must not wait for the next write. */
  owesMark = false
  #mark: SnapshotMark | undefined
  #bytesSinceSnapshot: number
  #closed = false
  /** The disk has no room for more than what is zeroed already. */
  #full = false
  /** Told when the disk is found full, and whenever something finds no room; what is zeroed ahead still takes an alarm and some deletions. */
  onFull: (() => void) | undefined

  private constructor(options: WalOptions, opened: OpenedLog) {
    this.identity = opened.identity
    this.#disk = options.disk
    this.#folder = options.folder
    this.#logger = options.logger
    this.#segmentBytes = options.segmentBytes ?? defaultSegmentBytes
    this.#zeroedBytes = options.zeroedBytes ?? defaultZeroedBytes
    this.#keptFiles = options.keptFiles === 0 ? Infinity : options.keptFiles ?? 1
    this.#records = new RecordBuffer(opened.crc)
    this.#segments = opened.segments
    this.#file = opened.file
    this.#position = opened.position
    this.#zeroedTo = opened.zeroedTo
    this.#state = opened.hardState
    this.#lastIndex = opened.lastIndex
    this.#bytesSinceSnapshot = opened.bytesBehindSnapshot
    this.#planZeroing()
  }

  /** Whether there is a log; what an interrupted creation left is removed. */
  static async exists({ disk, folder }: Pick<WalOptions, 'disk' | 'folder'>): Promise<boolean> {
    await disk.makeFolder(folder)
    for (const name of await disk.list(folder)) if (name.endsWith('.tmp')) await disk.remove(join(folder, name))
    return (await listSegments(disk, folder)).length > 0
  }

  static async create(options: WalOptions, { identity, entries, hardState }: NewLog): Promise<WriteAheadLog> {
    const { disk, folder, zeroedBytes = defaultZeroedBytes } = options
    await disk.makeFolder(folder)
    const records = new RecordBuffer(0)
    const writer = new WireWriter(1024)
    writeHead(records, identity)
    writeSnapshotMark(writer, { index: 0, term: 0 })
    records.add(recordTypes.snapshot, writer.finish())
    for (const { type, term, index, data } of entries) {
      writer.reset()
      writeEntryHead(writer, type, term, index, data.length)
      records.add(recordTypes.entry, writer.finish(), data)
    }
    writer.reset()
    writeHardState(writer, hardState)
    if (entries.length > 0) records.add(recordTypes.state, writer.finish())
    const segment = segmentOf(0, 0)
    const file = await createSegment(disk, folder, segment.name, records.bytes, zeroedBytes)
    return new WriteAheadLog(options, {
      identity, segments: [segment], file, position: records.length, zeroedTo: Math.max(zeroedBytes, records.length), crc: records.crc, hardState, tail: [], lastIndex: entries.at(-1)?.index ?? 0,
      bytesBehindSnapshot: 0,
    })
  }

  /** Reads an existing log, gives what is committed behind `snapshot` to `replay`, and goes on with it. @throws StorageError CorruptLog */
  static async open(options: WalOptions & { readonly snapshot: SnapshotMark; readonly replay: (entry: Entry) => void }): Promise<RecoveredLog> {
    const segments = await listSegments(options.disk, options.folder)
    if (segments.length === 0) throw new StorageError('CorruptLog', `there is no log in ${options.folder}`)
    const opened = await readLog(options, segments)
    const log = new WriteAheadLog(options, opened)
    // What was not removed in time before: the original takes no log with a hole.
    log.#superfluous = segments.slice(0, segments.length - opened.segments.length)
    log.#purge(log.#keptFiles)
    return { log, hardState: opened.hardState, tail: opened.tail }
  }

  get lastIndex(): number { return this.#lastIndex }
  /** Since it was opened. */
  writtenBytes = 0
  /** Behind the saved state that it was opened with, and then since the last `markSnapshot`. */
  get bytesSinceSnapshot(): number { return this.#bytesSinceSnapshot }
  /** Nothing more than what is zeroed already can be written. */
  get isFull(): boolean { return this.#full }

  /**
   * Undefined when a batch of these entries finds room and leaves `reserves` reserves behind it (so that on a full disk something can still be
   * deleted, and that it is full can be said); else resolves when it does. Asked between two writes. @throws StorageError DiskFull
   */
  findRoom(entryCount: number, dataBytes: number, reserves: number): Promise<void> | undefined {
    const wanted = this.#position + dataBytes + entryCount * entryOverheadBytes + batchOverheadBytes + reserves * this.#reserveBytes
    return wanted <= this.#zeroedTo ? undefined : this.#makeRoom(wanted)
  }

  /** Writes a batch with one write; resolves when it is on the disk. One at a time. @throws StorageError DiskFull: nothing was written; WriteFailed: nothing is certain any more */
  async append({ snapshot, entries, hardState }: LogBatch): Promise<void> {
    const records = this.#records
    const before = records.crc
    const mark = snapshot ?? this.#mark
    const lastIndex = Math.max(this.#lastIndex, snapshot?.index ?? 0)
    // What this batch replaces is not durable any more.
    const durableIndex = Math.min(lastIndex, (entries[0]?.index ?? Infinity) - 1)
    const state = { ...hardState, commit: Math.max(this.#state.commit, Math.min(hardState.commit, durableIndex)) }
    if (mark) this.#add(recordTypes.snapshot, (w) => writeSnapshotMark(w, mark))
    for (const { type, term, index, data } of entries) {
      this.#writer.reset()
      writeEntryHead(this.#writer, type, term, index, data.length)
      records.add(recordTypes.entry, this.#writer.finish(), data)
    }
    this.#add(recordTypes.state, (w) => writeHardState(w, state))
    const { bytes, length } = records
    if (this.#position + length > this.#zeroedTo) {
      try {
        await this.#makeRoom(this.#position + length)
      } catch (error) {
        records.clear()
        records.crc = before
        throw error
      }
    }
    try {
      await this.#file.write(bytes, this.#position)
    } catch (error) {
      throw new StorageError('WriteFailed', `writing to the log failed: ${describeError(error)}`, { cause: error })
    }
    records.clear()
    this.#position += length
    this.#bytesSinceSnapshot += length
    this.writtenBytes += length
    this.#lastIndex = entries.at(-1)?.index ?? lastIndex
    this.#state = state
    if (!mark) return
    if (snapshot) this.#bytesSinceSnapshot = 0
    this.#releaseSegments(mark.index)
    if (this.#mark !== mark && !snapshot) return
    this.#mark = undefined
    this.owesMark = false
  }

  #add(type: number, write: (writer: WireWriter) => void): void {
    this.#writer.reset()
    write(this.#writer)
    this.#records.add(type, this.#writer.finish())
  }

  /**
   * Waits until what is zeroed ahead reaches `wanted`. A write that has caught up with the zeroing must wait anyway, or the zeros could land
   * on it. On a full disk it goes on with what there is when that is enough.
   */
  async #makeRoom(wanted: number): Promise<void> {
    await this.#zeroing
    if (wanted > this.#zeroedTo) {
      this.#startZeroing(wanted)
      await this.#zeroing
    }
    if (wanted <= this.#zeroedTo) return
    if (this.#full) {
      this.onFull?.()
      throw new StorageError('DiskFull', 'the disk is full')
    }
    throw new StorageError('WriteFailed', 'zeroing the log ahead failed')
  }

  get #reserveBytes(): number { return Math.min(128 * 1024, this.#zeroedBytes / 8) }

  /** Called between two writes: a long segment ends here. The next write waits for it. */
  afterWrite(): Promise<void> | undefined {
    this.#planZeroing()
    return this.#position >= this.#segmentBytes ? this.#cut() : undefined
  }

  /** A state up to `mark` is saved: the next write says so, and what lies wholly before it is removed. */
  markSnapshot(mark: SnapshotMark, { atOnce = false }: { readonly atOnce?: boolean } = {}): void {
    this.#mark = mark
    this.owesMark = atOnce
    this.#bytesSinceSnapshot = 0
  }

  /** Goes on in a new segment. Its head is durable before it gets its name. */
  async #cut(): Promise<void> {
    await this.#zeroing
    const segment = segmentOf(this.#segments.length === 0 ? 0 : this.#segments[this.#segments.length - 1]!.sequence + 1, this.#lastIndex + 1) // cast: not empty
    const { crc } = this.#records
    writeHead(this.#records, this.identity)
    this.#add(recordTypes.state, (w) => writeHardState(w, this.#state))
    const head = Buffer.from(this.#records.bytes)
    this.#records.clear()
    try {
      const file = await createSegment(this.#disk, this.#folder, segment.name, head, this.#zeroedBytes)
      await this.#file[Symbol.asyncDispose]()
      this.#file = file
    } catch (error) {
      if (!isDiskFull(error)) throw new StorageError('WriteFailed', `starting a log segment failed: ${describeError(error)}`, { cause: error })
      // Then this segment becomes longer than the others.
      this.#records.crc = crc
      await this.#disk.remove(join(this.#folder, `${segment.name}.tmp`))
      this.#foundFull()
      return
    }
    this.#segments.push(segment)
    this.#position = head.length
    this.#zeroedTo = Math.max(this.#zeroedBytes, head.length)
    this.#planZeroing()
  }

  #foundFull(): void {
    if (this.#full) return
    this.#full = true
    this.#logger.warn('the disk is full')
    this.#purge(0)
    this.onFull?.()
  }

  #releaseSegments(index: number): void {
    let keepFrom = 0
    this.#segments.forEach((segment, at) => { if (segment.firstIndex <= index + 1) keepFrom = at })
    this.#superfluous.push(...this.#segments.slice(0, keepFrom))
    this.#segments = this.#segments.slice(keepFrom)
    this.#purge(this.#keptFiles)
  }

  /** Removes what is superfluous until so many files are left. */
  #purge(keptFiles: number): void {
    const count = Math.min(this.#superfluous.length, this.#superfluous.length + this.#segments.length - keptFiles)
    if (count > 0) this.#removeInOrder(this.#superfluous.splice(0, count))
  }

  /** Oldest first, one after the other, so that no crash leaves a hole between segments. */
  #removeInOrder(dead: readonly Segment[]): void {
    if (dead.length === 0) return
    this.#removing = this.#removing.then(async () => { for (const { name } of dead) await this.#disk.remove(join(this.#folder, name)) })
      .catch((error: unknown) => this.#logger.error('old log segments were not removed', error, { segments: dead.map(({ name }) => name).join(' ') }))
  }

  /** Keeps some zeroed bytes ahead of the writing position, in the background. */
  #planZeroing(): void {
    // A segment ends a little behind its length, so that a disk that is full then still has room for the alarm.
    if (this.#closed || this.#zeroedTo - this.#position > this.#zeroedBytes / 2 || this.#zeroedTo >= this.#segmentBytes + this.#zeroedBytes) return
    this.#startZeroing(0)
  }

  /** Called between two writes, so nothing is in flight behind what is zeroed; writes that come there wait. */
  #startZeroing(atLeast: number): void {
    if (this.#zeroing) return
    const from = Math.max(this.#zeroedTo, this.#position)
    this.#zeroedTo = from
    const to = Math.max(atLeast, Math.min(from + 4 * this.#zeroedBytes, Math.max(this.#segmentBytes + this.#zeroedBytes, from)))
    const segment = this.#segments[this.#segments.length - 1]! // cast: an open log has a segment
    this.#zeroing = this.#zero(join(this.#folder, segment.name), from, to).catch((error: unknown) => this.#logger.error('zeroing the log ahead failed', error)).finally(() => { this.#zeroing = undefined })
  }

  async #zero(path: string, from: number, to: number): Promise<void> {
    await using file = await this.#disk.open(path, 'update')
    let at = from
    let isFull = false
    try {
      while (at < to && !this.#closed) {
        const size = Math.min(zeros.length, to - at)
        await file.write(zeros.subarray(0, size), at)
        at += size
      }
    } catch (error) {
      if (!isDiskFull(error)) throw error
      isFull = true
    }
    await file.sync()
    this.#zeroedTo = at
    if (isFull) this.#foundFull()
    else this.#full = false
  }

  /** What is known to be committed is said once more, for tools that read the log. */
  async close(hardState: HardState): Promise<void> {
    if (!this.#closed && (this.#mark || Math.min(hardState.commit, this.#lastIndex) > this.#state.commit) && !this.#full) await this.append({ entries: [], hardState })
    await this[Symbol.asyncDispose]()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await this.#zeroing
    await this.#removing
    await this.#file[Symbol.asyncDispose]()
  }
}

function isDiskFull(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOSPC' || error.code === 'EDQUOT')
}
