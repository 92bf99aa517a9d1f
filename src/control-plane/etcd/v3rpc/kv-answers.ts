// The answers of etcdserverpb.KV and the events of watches, written by hand from what the store answered, straight to where they leave from:
// no message objects between. lib/etcd-api/wire-conversion.ts followed by the table codec says the same; the test beside this file compares.
//
// Sizes come first, so that everything is written once. The sizes of nested messages are counted in `size` and used in `write`, in the same
// order, from one list that all answers share: an encoder is used at once, from its `size` to its `write`, or not at all.
import { bigSize, bytesSize, encodeWith, ExactWriter, nestedSize, numberSize, type MessageEncoder } from '../../../lib/base/protobuf/exact-writer.ts'
import type { ResponseHeader } from '../../../lib/etcd-api/generated/types.ts'
import type { EtcdEvent, EtcdKeyValue, EtcdOperationResult, EtcdRangeResponse, EtcdTxnResponse } from '../../../lib/etcd-api/operations.ts'
import { unreachable } from '../../../lib/base/assert.ts'
import type { MessageList } from '../mvcc/message-list.ts'
import type { ListedMessages } from '../mvcc/range.ts'
import { StoredKeyValue } from '../mvcc/stored-key-value.ts'

/** An answer with its header. */
export interface Answer<T> extends ResponseHeader { readonly body: T }
export interface PutAnswer { readonly prevKv?: EtcdKeyValue | undefined }
export interface DeleteRangeAnswer { readonly deleted: number; readonly prevKvs?: readonly EtcdKeyValue[] | undefined }

const noBytes = new Uint8Array(0)

// ---- sizes that were counted and wait to be written ----

const sizes: number[] = []
let counted = 0
let written = 0
/** A list of a million keys should not keep a list of a million sizes for ever. */
const keptSizes = 10_000

function startCounting(): void {
  if (sizes.length > keptSizes) sizes.length = 0
  counted = 0
  written = 0
}

/** Room for a size that is known later: nested messages are written in the order in which their counting began. */
function hold(): number {
  const at = counted++
  sizes[at] = 0
  return at
}

function nextSize(): number { return sizes[written++]! } // cast: as many as were counted

// ---- headers ----

/** Cluster and member of a header never change: their bytes are kept by the ids. */
let headIds: { readonly clusterId: bigint | undefined; readonly memberId: bigint | undefined; readonly bytes: Uint8Array } = { clusterId: undefined, memberId: undefined, bytes: noBytes }

function headBytes(header: ResponseHeader): Uint8Array {
  // Headers inside transactions have neither.
  if (header.clusterId === undefined && header.memberId === undefined) return noBytes
  if (headIds.clusterId !== header.clusterId || headIds.memberId !== header.memberId) {
    const out = new ExactWriter(new Uint8Array(22))
    out.bigNumber(8, header.clusterId)
    out.bigNumber(16, header.memberId)
    headIds = { clusterId: header.clusterId, memberId: header.memberId, bytes: out.bytes.slice(0, out.at) }
  }
  return headIds.bytes
}

/** Of the field that holds it. */
function headerSize(header: ResponseHeader): number {
  const at = hold()
  const size = headBytes(header).length + numberSize(header.revision) + numberSize(header.raftTerm)
  sizes[at] = size
  return nestedSize(size)
}

function writeHeader(header: ResponseHeader, out: ExactWriter): void {
  out.nested(10, nextSize())
  out.raw(headBytes(header))
  out.number(24, header.revision)
  out.number(32, header.raftTerm)
}

// A header inside a transaction: the revision alone.
function revisionSize(revision: number): number {
  const size = numberSize(revision)
  sizes[hold()] = size
  return nestedSize(size)
}

function writeRevision(revision: number, out: ExactWriter): void {
  out.nested(10, nextSize())
  out.number(24, revision)
}

// ---- key-values ----

function keyValueSize(kv: EtcdKeyValue): number {
  const at = hold()
  const size = isMessage(kv)
    ? kv.end - kv.start
    : bytesSize(kv.key.length) + numberSize(kv.createRevision) + numberSize(kv.modRevision) + numberSize(kv.version) + bytesSize(kv.value.length) + (kv.lease ? 1 + bigSize(kv.lease) : 0)
  sizes[at] = size
  return nestedSize(size)
}

/** What is stored is the message itself; but tombstones, of which only the key is. */
function isMessage(kv: EtcdKeyValue): kv is StoredKeyValue { return kv instanceof StoredKeyValue && !kv.isTombstone }

function writeKeyValue(tag: number, kv: EtcdKeyValue, out: ExactWriter): void {
  out.nested(tag, nextSize())
  if (isMessage(kv)) { out.part(kv.bytes, kv.start, kv.end); return }
  out.blob(10, kv.key)
  out.number(16, kv.createRevision)
  out.number(24, kv.modRevision)
  out.number(32, kv.version)
  out.blob(42, kv.value)
  out.bigNumber(48, kv.lease)
}

function keyValuesSize(kvs: readonly EtcdKeyValue[]): number {
  let size = 0
  for (const kv of kvs) size += keyValueSize(kv)
  return size
}

// ---- answers ----

function rangeSize(m: EtcdRangeResponse): number { return keyValuesSize(m.kvs) + (m.more ? 2 : 0) + numberSize(m.count) }

function writeRange(m: EtcdRangeResponse, out: ExactWriter): void {
  for (const kv of m.kvs) writeKeyValue(18, kv, out)
  out.number(24, m.more ? 1 : 0)
  out.number(32, m.count)
}

function resultSize(result: EtcdOperationResult, revision: number): number {
  const at = hold()
  const inner = hold()
  let size: number
  switch (result.type) {
    case 'range': size = revisionSize(result.revision) + rangeSize(result); break
    case 'put': size = revisionSize(revision) + (result.prevKv ? keyValueSize(result.prevKv) : 0); break
    case 'deleteRange': size = revisionSize(revision) + numberSize(result.deleted) + keyValuesSize(result.prevKvs ?? []); break
    // A nested transaction's own header is empty.
    case 'txn': size = nestedSize(0) + txnSize(result, result.revision); break
    default: return unreachable(result)
  }
  sizes[inner] = size
  sizes[at] = nestedSize(size)
  return nestedSize(nestedSize(size))
}

function writeResult(result: EtcdOperationResult, revision: number, out: ExactWriter): void {
  out.nested(26, nextSize())
  switch (result.type) {
    case 'range':
      out.nested(10, nextSize())
      writeRevision(result.revision, out)
      writeRange(result, out)
      return
    case 'put':
      out.nested(18, nextSize())
      writeRevision(revision, out)
      if (result.prevKv) writeKeyValue(18, result.prevKv, out)
      return
    case 'deleteRange':
      out.nested(26, nextSize())
      writeRevision(revision, out)
      out.number(16, result.deleted)
      for (const kv of result.prevKvs ?? []) writeKeyValue(26, kv, out)
      return
    case 'txn':
      out.nested(34, nextSize())
      out.nested(10, 0)
      writeTxn(result, result.revision, out)
      return
    default: unreachable(result)
  }
}

function txnSize(m: EtcdTxnResponse, revision: number): number {
  let size = m.succeeded ? 2 : 0
  for (const result of m.results) size += resultSize(result, revision)
  return size
}

function writeTxn(m: EtcdTxnResponse, revision: number, out: ExactWriter): void {
  out.number(16, m.succeeded ? 1 : 0)
  for (const result of m.results) writeResult(result, revision, out)
}

export const rangeAnswer: MessageEncoder<Answer<EtcdRangeResponse>> = {
  size: (m) => { startCounting(); return headerSize(m) + rangeSize(m.body) },
  write: (m, out) => { writeHeader(m, out); writeRange(m.body, out) },
}

// A list of very many keys, in pieces: nobody else waits for it, and it is never in memory as a whole.

const pieceBytes = 64 * 1024
const sizedKvs = 5000

/** Of what `rangePieces` gives. @param pause called between pieces */
export async function rangeSizeInPieces(m: Answer<EtcdRangeResponse>, pause: () => Promise<void>): Promise<number> {
  const { kvs } = m.body
  let size = rangeAnswer.size({ ...m, body: { ...m.body, kvs: [] } })
  for (let at = 0; at < kvs.length; at += sizedKvs) {
    startCounting()
    const end = Math.min(at + sizedKvs, kvs.length)
    for (let i = at; i < end; i++) size += keyValueSize(kvs[i]!) // cast: bounded by the loop
    if (end < kvs.length) await pause()
  }
  return size
}

/** The answer as `rangeAnswer` writes it. A piece is valid until the next one is asked for. */
export function rangePieces(m: Answer<EtcdRangeResponse>): Generator<Uint8Array, undefined> {
  const { kvs } = m.body
  const sizeAt = (i: number): number => { startCounting(); return keyValueSize(kvs[i]!) } // cast: bounded by the caller, as below
  return piecesOf(m, kvs.length, sizeAt, (i, out) => writeKeyValue(18, kvs[i]!, out)) // cast: as above
}

/** Of what `listedPieces` gives. */
export function listedSize(m: Answer<ListedMessages>): number { return rangeAnswer.size({ ...m, body: { ...m.body, kvs: [] } }) + m.body.messages.fieldBytes }

/** The same of messages that are stored as they are answered. */
export function listedPieces(m: Answer<ListedMessages>): Generator<Uint8Array, undefined> {
  const { messages } = m.body
  return piecesOf(m, messages.length, (i) => nestedSize(messages.sizeAt(i)), (i, out) => messages.write(i, 18, out))
}

function* piecesOf(m: Answer<{ readonly more: boolean; readonly count: number }>, length: number, sizeAt: (index: number) => number, write: (index: number, out: ExactWriter) => void): Generator<Uint8Array, undefined> {
  const whole = allocate(2 * pieceBytes)
  const out = new ExactWriter(whole)
  startCounting()
  headerSize(m)
  writeHeader(m, out)
  for (let i = 0; i < length; i++) {
    const size = sizeAt(i)
    if (out.at > 0 && out.at + size > whole.length) { yield whole.subarray(0, out.at); out.at = 0 }
    if (size > whole.length) {
      const one = new ExactWriter(allocate(size))
      write(i, one)
      yield one.bytes
      continue
    }
    write(i, out)
    if (out.at >= pieceBytes) { yield whole.subarray(0, out.at); out.at = 0 }
  }
  // The numbers behind take a few bytes.
  if (out.at + 16 > whole.length) { yield whole.subarray(0, out.at); out.at = 0 }
  out.number(24, m.body.more ? 1 : 0)
  out.number(32, m.body.count)
  if (out.at > 0) yield whole.subarray(0, out.at)
  return undefined
}

interface StreamedRange { readonly last: Answer<EtcdRangeResponse> | undefined; readonly kvs: readonly EtcdKeyValue[] }

/** RangeStreamResponse: some key-values, and in the last one what a RangeResponse has beside them. */
export const rangeStreamAnswer: MessageEncoder<StreamedRange> = {
  size: ({ last, kvs }) => {
    startCounting()
    const at = hold()
    const size = (last ? headerSize(last) + (last.body.more ? 2 : 0) + numberSize(last.body.count) : 0) + keyValuesSize(kvs)
    sizes[at] = size
    return nestedSize(size)
  },
  write: ({ last, kvs }, out) => {
    out.nested(10, nextSize())
    if (last) writeHeader(last, out)
    for (const kv of kvs) writeKeyValue(18, kv, out)
    out.number(24, last?.body.more ? 1 : 0)
    out.number(32, last?.body.count)
  },
}

interface StreamedMessages { readonly last: Answer<ListedMessages> | undefined; readonly messages: MessageList; readonly from: number; readonly to: number }

/** The same of messages [from, to) that are stored as they are answered. */
export const listedStreamAnswer: MessageEncoder<StreamedMessages> = {
  size: ({ last, messages, from, to }) => {
    startCounting()
    const at = hold()
    let size = last ? headerSize(last) + (last.body.more ? 2 : 0) + numberSize(last.body.count) : 0
    for (let i = from; i < to; i++) size += nestedSize(messages.sizeAt(i))
    sizes[at] = size
    return nestedSize(size)
  },
  write: ({ last, messages, from, to }, out) => {
    out.nested(10, nextSize())
    if (last) writeHeader(last, out)
    for (let i = from; i < to; i++) messages.write(i, 18, out)
    out.number(24, last?.body.more ? 1 : 0)
    out.number(32, last?.body.count)
  },
}

export const putAnswer: MessageEncoder<Answer<PutAnswer>> = {
  size: (m) => { startCounting(); return headerSize(m) + (m.body.prevKv ? keyValueSize(m.body.prevKv) : 0) },
  write: (m, out) => {
    writeHeader(m, out)
    if (m.body.prevKv) writeKeyValue(18, m.body.prevKv, out)
  },
}

export const deleteRangeAnswer: MessageEncoder<Answer<DeleteRangeAnswer>> = {
  size: (m) => { startCounting(); return headerSize(m) + numberSize(m.body.deleted) + keyValuesSize(m.body.prevKvs ?? []) },
  write: (m, out) => {
    writeHeader(m, out)
    out.number(16, m.body.deleted)
    for (const kv of m.body.prevKvs ?? []) writeKeyValue(26, kv, out)
  },
}

/** Headers inside carry the revision of the header alone. */
export const txnAnswer: MessageEncoder<Answer<EtcdTxnResponse>> = {
  size: (m) => { startCounting(); return headerSize(m) + txnSize(m.body, m.revision ?? 0) },
  write: (m, out) => { writeHeader(m, out); writeTxn(m.body, m.revision ?? 0, out) },
}

// ---- watches: the events of a response, which all watches of one range share, and the few bytes in front of them ----

/** Writes what stands before a message's events. From one watch to the next only the id changes: the header is written once. */
export class WatchHead {
  readonly #out = new ExactWriter(new Uint8Array(128))
  #revision: number | undefined
  #term: number | undefined
  #headerBytes = 0
  /** A view is kept, since most ids are of one length. */
  #view: Uint8Array = noBytes

  isOf(revision: number, term: number): boolean { return revision === this.#revision && term === this.#term }

  begin(header: ResponseHeader): void {
    this.#revision = header.revision
    this.#term = header.raftTerm
    startCounting()
    headerSize(header)
    this.#out.at = 0
    writeHeader(header, this.#out)
    this.#headerBytes = this.#out.at
  }

  /** Valid until the next call. */
  finish(watchId: number, fragment: boolean): Uint8Array {
    const out = this.#out
    out.at = this.#headerBytes
    out.number(16, watchId)
    out.number(56, fragment ? 1 : 0)
    if (this.#view.length !== out.at) this.#view = out.bytes.subarray(0, out.at)
    return this.#view
  }
}

const watchEvents: MessageEncoder<readonly EtcdEvent[]> = {
  size: (events) => {
    startCounting()
    let total = 0
    for (const event of events) {
      const at = hold()
      const size = (event.type === 'DELETE' ? 2 : 0) + keyValueSize(event.kv) + (event.prevKv ? keyValueSize(event.prevKv) : 0)
      sizes[at] = size
      total += nestedSize(size)
    }
    return total
  },
  write: (events, out) => {
    for (const event of events) {
      out.nested(90, nextSize())
      out.number(8, event.type === 'DELETE' ? 1 : 0)
      writeKeyValue(18, event.kv, out)
      if (event.prevKv) writeKeyValue(26, event.prevKv, out)
    }
  },
}

export const allocate = (size: number): Uint8Array => Buffer.allocUnsafe(size)

export function encodeEvents(events: readonly EtcdEvent[]): Uint8Array { return encodeWith(watchEvents, events, allocate) }
