// etcd's write-ahead log: segment files of about 64 MB, zeroed ahead of the writing position and opened O_DSYNC, so that one write makes a
// whole batch durable and changes no metadata of the file.
//
// Every batch ends with a hard state whose commit index is the last entry of the batch before: a later batch thereby proves that an earlier
// one was finished, which is how recovery tells a torn tail from damage. Layout and names are etcd's. Upstream: etcd/server/storage/wal
import { join } from 'node:path'
import { WireWriter } from '../../../lib/base/protobuf/wire-writer.ts'
import { describeError, type Logger } from '../../../lib/component-base/log.ts'
import { StorageError, type Disk, type DiskFile } from '../disk/disk.ts'
import type { EntryLog } from '../member.ts'
import { writes, type LoggedRequest } from '../state-machine.ts'
import { entryTypes, readEntry, readHardState, readIdentity, readSnapshotMark, writeEntry, writeHardState, writeIdentity, writeSnapshotMark, type Entry, type HardState, type Identity, type SnapshotMark } from './raft-messages.ts'
import { writeRequest } from './request-codec.ts'
import { scanSegment, type SegmentEnd } from './segment-scan.ts'
import { isZero, recordTypes, RecordBuffer, type WalRecord } from './wal-record.ts'
import { yieldToLoop } from '../yield-to-loop.ts'

export interface WalOptions {
  readonly disk: Disk
  readonly folder: string
  readonly logger: Logger
  /** Who a new log belongs to; an existing one says so itself. */
  readonly identity: Identity
  /** What a new log's first entry says of its member. */
  readonly memberContext: Uint8Array
  /** Where the state that has been loaded stands; entries up to it are passed over. */
  readonly snapshot: SnapshotMark
  /** Called for every entry behind the snapshot, in order. */
  readonly replay: (entry: Entry) => void
  readonly segmentBytes?: number
  /** How much a new segment has zeroed at first. Four times as much is zeroed whenever half of it is left. */
  readonly zeroedBytes?: number
  /** Called between two writes; may start a snapshot. */
  readonly onIdle?: (log: WriteAheadLog) => void
}

interface Segment { readonly sequence: number; readonly firstIndex: number; readonly name: string }

const defaultSegmentBytes = 64 * 1024 * 1024
const defaultZeroedBytes = 1024 * 1024
const zeros = Buffer.alloc(1024 * 1024)
const replayPiece = 500

export class WriteAheadLog implements EntryLog, AsyncDisposable {
  readonly identity: Identity
  readonly #disk: Disk
  readonly #folder: string
  readonly #logger: Logger
  readonly #segmentBytes: number
  readonly #zeroedBytes: number
  readonly #onIdle: ((log: WriteAheadLog) => void) | undefined
  readonly #records: RecordBuffer
  readonly #requestWriter = new WireWriter(4096)
  readonly #messageWriter = new WireWriter(4096)
  #segments: Segment[]
  #file: DiskFile
  #position: number
  #zeroedTo: number
  #zeroing: Promise<void> | undefined
  #state: HardState
  #lastIndex: number
  #durableIndex: number
  #mark: SnapshotMark | undefined
  #entriesSinceSnapshot: number
  #bytesSinceSnapshot = 0
  #closed = false
  /** The disk has no room for more than what is zeroed already. */
  #full = false
  /** How many reserves the next write must leave: an alarm none, a deletion one, whatever adds something two. */
  #reserves = 0
  /** What to go back to when the next write finds no room. */
  #durable: { readonly crc: number; readonly lastIndex: number; readonly entriesSinceSnapshot: number }
  /** Told when the disk is found full; what is zeroed ahead still takes an alarm and some deletions. */
  onFull: (() => void) | undefined

  private constructor(options: WalOptions, opened: OpenedLog) {
    this.identity = opened.identity
    this.#disk = options.disk
    this.#folder = options.folder
    this.#logger = options.logger
    this.#segmentBytes = options.segmentBytes ?? defaultSegmentBytes
    this.#zeroedBytes = options.zeroedBytes ?? defaultZeroedBytes
    this.#onIdle = options.onIdle
    this.#records = new RecordBuffer(opened.crc)
    this.#segments = opened.segments
    this.#file = opened.file
    this.#position = opened.position
    this.#zeroedTo = opened.zeroedTo
    this.#state = opened.state
    this.#lastIndex = opened.lastIndex
    this.#durableIndex = opened.lastIndex
    this.#entriesSinceSnapshot = opened.lastIndex - options.snapshot.index
    this.#durable = { crc: opened.crc, lastIndex: opened.lastIndex, entriesSinceSnapshot: this.#entriesSinceSnapshot }
  }

  /** Opens or creates the log, hands what it holds to `replay`, and begins a new term. @throws StorageError */
  static async open(options: WalOptions): Promise<WriteAheadLog> {
    const { disk, folder } = options
    await disk.makeFolder(folder)
    for (const name of await disk.list(folder)) if (name.endsWith('.tmp')) await disk.remove(join(folder, name))
    const segments = (await disk.list(folder)).flatMap(parseSegmentName).sort((a, b) => a.sequence - b.sequence)
    const isNew = segments.length === 0
    if (isNew && options.snapshot.index > 0) throw new StorageError('CorruptLog', `there is a snapshot but no log in ${folder}`)
    const log = new WriteAheadLog(options, isNew ? await createLog(options) : await readLog(options, segments))
    try {
      await log.#beginTerm(isNew, options.memberContext)
    } catch (error) {
      await log[Symbol.asyncDispose]()
      throw error
    }
    return log
  }

  get term(): number { return this.#state.term }
  get lastIndex(): number { return this.#lastIndex }
  /** Since the last `markSnapshot`. */
  get entriesSinceSnapshot(): number { return this.#entriesSinceSnapshot }
  get bytesSinceSnapshot(): number { return this.#bytesSinceSnapshot }

  async #beginTerm(isNew: boolean, memberContext: Uint8Array): Promise<void> {
    if (isNew) {
      this.#state = { term: 1, vote: this.identity.memberId, commit: 0 }
      this.#addEntry(entryTypes.confChange, confChange(this.identity.memberId, memberContext))
      await this.flush()
    }
    this.#state = { ...this.#state, term: this.#state.term + 1, vote: this.identity.memberId }
    this.#addEntry(entryTypes.normal, undefined)
    await this.flush()
    this.#planZeroing()
  }

  add(request: LoggedRequest): number {
    const before = this.#records.length
    this.#reserves = Math.max(this.#reserves, reservesLeftBy(request))
    this.#requestWriter.reset()
    writeRequest(this.#requestWriter, this.#lastIndex + 1, request)
    this.#addEntry(entryTypes.normal, this.#requestWriter.finish())
    return this.#records.length - before
  }

  #addEntry(type: number, data: Uint8Array | undefined): void {
    this.#lastIndex++
    this.#entriesSinceSnapshot++
    this.#messageWriter.reset()
    writeEntry(this.#messageWriter, type, this.#state.term, this.#lastIndex, data)
    this.#records.add(recordTypes.entry, this.#messageWriter.finish())
  }

  #addState(): void {
    this.#messageWriter.reset()
    writeHardState(this.#messageWriter, this.#state)
    this.#records.add(recordTypes.state, this.#messageWriter.finish())
  }

  async flush(): Promise<void> {
    const mark = this.#mark
    if (mark) {
      this.#messageWriter.reset()
      writeSnapshotMark(this.#messageWriter, mark)
      this.#records.add(recordTypes.snapshot, this.#messageWriter.finish())
    }
    this.#state = { ...this.#state, commit: this.#durableIndex }
    this.#addState()
    const { bytes, length } = this.#records
    await this.#makeRoom(length)
    try {
      await this.#file.write(bytes, this.#position)
    } catch (error) {
      throw new StorageError('WriteFailed', `writing to the log failed: ${describeError(error)}`, { cause: error })
    }
    this.#records.clear()
    this.#position += length
    this.#bytesSinceSnapshot += length
    this.#durableIndex = this.#lastIndex
    this.#durable = { crc: this.#records.crc, lastIndex: this.#lastIndex, entriesSinceSnapshot: this.#entriesSinceSnapshot }
    this.#reserves = 0
    if (mark) {
      this.#releaseSegments(mark.index)
      if (this.#mark === mark) this.#mark = undefined
    }
  }

  /**
   * Waits until what is zeroed ahead holds the next write and the reserve. A write that has caught up with the zeroing must wait anyway, or
   * the zeros could land on it. @throws StorageError DiskFull, and then the write is forgotten as if it had never been asked for
   */
  async #makeRoom(length: number): Promise<void> {
    const wanted = this.#position + length + this.#reserves * this.#reserveBytes
    if (wanted <= this.#zeroedTo) return
    await this.#zeroing
    if (wanted > this.#zeroedTo) {
      this.#startZeroing(wanted)
      await this.#zeroing
    }
    if (wanted <= this.#zeroedTo || !this.#full) return
    this.#records.clear()
    this.#records.crc = this.#durable.crc
    this.#lastIndex = this.#durable.lastIndex
    this.#entriesSinceSnapshot = this.#durable.entriesSinceSnapshot
    this.#reserves = 0
    throw new StorageError('DiskFull', 'the disk is full')
  }

  /** Kept so that on a full disk something can still be deleted, and that the disk is full can be said. */
  get #reserveBytes(): number { return Math.min(128 * 1024, this.#zeroedBytes / 8) }

  afterApply(): Promise<void> | undefined {
    this.#planZeroing()
    this.#onIdle?.(this)
    return this.#position >= this.#segmentBytes ? this.#cut() : undefined
  }

  /** A snapshot up to `mark` is durable: the next write says so, and what lies wholly before it is removed. */
  markSnapshot(mark: SnapshotMark): void {
    this.#mark = mark
    this.#entriesSinceSnapshot = this.#lastIndex - mark.index
    this.#bytesSinceSnapshot = 0
  }

  /** Goes on in a new segment. Its head is durable before it gets its name. */
  async #cut(): Promise<void> {
    await this.#zeroing
    const segment = segmentOf(this.#segments.length === 0 ? 0 : this.#segments[this.#segments.length - 1]!.sequence + 1, this.#lastIndex + 1) // cast: not empty
    const { crc } = this.#records
    const state = this.#state
    this.#state = { ...this.#state, commit: this.#durableIndex }
    writeHead(this.#records, this.#messageWriter, this.identity)
    this.#addState()
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
      this.#state = state
      await this.#disk.remove(join(this.#folder, `${segment.name}.tmp`))
      this.#foundFull()
      return
    }
    this.#segments.push(segment)
    this.#position = head.length
    this.#zeroedTo = Math.max(this.#zeroedBytes, head.length)
    this.#durable = { ...this.#durable, crc: this.#records.crc }
    this.#planZeroing()
  }

  #foundFull(): void {
    if (!this.#full) this.#logger.warn('the disk is full')
    this.#full = true
    this.onFull?.()
  }

  #releaseSegments(index: number): void {
    let keepFrom = 0
    this.#segments.forEach((segment, at) => { if (segment.firstIndex <= index + 1) keepFrom = at })
    const dead = this.#segments.slice(0, keepFrom)
    this.#segments = this.#segments.slice(keepFrom)
    for (const segment of dead) this.#disk.remove(join(this.#folder, segment.name)).catch((error: unknown) => this.#logger.error('an old log segment was not removed', error, { segment: segment.name }))
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

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true
    await this.#zeroing
    await this.#file[Symbol.asyncDispose]()
  }
}

function reservesLeftBy(request: LoggedRequest): number {
  switch (request.type) {
    case 'alarm': case 'compaction': return 0
    case 'deleteRange': case 'leaseRevoke': return 1
    case 'txn': return writes(request) ? 2 : 1
    default: return 2
  }
}

function isDiskFull(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOSPC' || error.code === 'EDQUOT')
}

interface OpenedLog {
  readonly identity: Identity
  readonly segments: Segment[]
  readonly file: DiskFile
  readonly position: number
  readonly zeroedTo: number
  readonly crc: number
  readonly state: HardState
  readonly lastIndex: number
}

function segmentOf(sequence: number, firstIndex: number): Segment {
  return { sequence, firstIndex, name: `${sequence.toString(16).padStart(16, '0')}-${firstIndex.toString(16).padStart(16, '0')}.wal` }
}

function parseSegmentName(name: string): Segment[] {
  const match = /^([0-9a-f]{16})-([0-9a-f]{16})\.wal$/.exec(name)
  return match ? [{ sequence: Number.parseInt(match[1]!, 16), firstIndex: Number.parseInt(match[2]!, 16), name }] : [] // cast: the pattern has two groups
}

function writeHead(records: RecordBuffer, writer: WireWriter, identity: Identity): void {
  records.add(recordTypes.crc)
  writer.reset()
  writeIdentity(writer, identity)
  records.add(recordTypes.metadata, writer.finish())
}

/** Makes a segment that begins with `head`, followed by zeros, durable under its name; returns it open for durable writes. */
async function createSegment(disk: Disk, folder: string, name: string, head: Buffer, zeroedBytes: number): Promise<DiskFile> {
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

async function createLog(options: WalOptions): Promise<OpenedLog> {
  const records = new RecordBuffer(0)
  const writer = new WireWriter()
  writeHead(records, writer, options.identity)
  writer.reset()
  writeSnapshotMark(writer, { index: 0, term: 0 })
  records.add(recordTypes.snapshot, writer.finish())
  const segment = segmentOf(0, 0)
  const zeroedBytes = options.zeroedBytes ?? defaultZeroedBytes
  const file = await createSegment(options.disk, options.folder, segment.name, records.bytes, zeroedBytes)
  return { identity: options.identity, segments: [segment], file, position: records.length, zeroedTo: zeroedBytes, crc: records.crc, state: { term: 0, vote: 0n, commit: 0 }, lastIndex: 0 }
}

async function readLog(options: WalOptions, all: readonly Segment[]): Promise<OpenedLog> {
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
    if (isLast && end.torn && end.length > 0) await clearTail(disk, join(folder, segment.name), bytes.subarray(0, size), end.length)
  }
  const { identity, state, lastIndex } = reader
  if (!identity || !end) throw new StorageError('CorruptLog', `the log in ${folder} doesn't say whose it is`)
  if (lastIndex < snapshot.index) throw new StorageError('CorruptLog', `the log in ${folder} ends at index ${lastIndex}, before the snapshot at ${snapshot.index}`)
  const last = segments[segments.length - 1]! // cast: not empty
  const file = await disk.open(join(folder, last.name), 'dsync')
  return { identity, segments: [...segments], file, position: end.length, zeroedTo: size, crc: end.crc, state, lastIndex }
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

/** Checks that the records make sense one after the other. */
class LogReader {
  readonly #options: WalOptions
  identity: Identity | undefined
  state: HardState = { term: 0, vote: 0n, commit: 0 }
  lastIndex: number
  #started = false

  constructor(options: WalOptions) {
    this.#options = options
    this.lastIndex = options.snapshot.index
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
        if (!state || state.term < this.state.term) throw bad('the hard state is not readable')
        this.state = state
        return
      }
      case recordTypes.snapshot:
        if (!readSnapshotMark(record.data)) throw bad('the snapshot mark is not readable')
        return
      case recordTypes.entry: {
        const entry = readEntry(record.data)
        if (!entry) throw bad('the entry is not readable')
        if (this.#started && entry.index !== this.lastIndex + 1) throw bad(`entry ${entry.index} follows entry ${this.lastIndex}`)
        if (!this.#started && entry.index > this.#options.snapshot.index + 1) throw bad(`it begins with entry ${entry.index}, behind the snapshot`)
        this.#started = true
        this.lastIndex = entry.index
        if (entry.index > this.#options.snapshot.index) this.#options.replay(entry)
        return
      }
      default:
    }
  }
}

/** The first entry of a cluster: its one member joins. `context` describes it in the original's JSON. */
function confChange(memberId: bigint, context: Uint8Array): Uint8Array {
  const w = new WireWriter()
  w.tag(1, 0); w.varint(0)
  w.tag(2, 0); w.varint(0)
  w.tag(3, 0); w.bigVarint(memberId)
  w.tag(4, 2); w.bytes(context)
  return w.finish()
}
