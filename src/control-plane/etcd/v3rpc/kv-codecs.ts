// The messages of reads, writes and watches, encoded and decoded by hand: the table codec (lib/base/protobuf/proto3.ts) says the same, and
// the test beside this file compares them. Sizes are counted first, so that a message is written once, into a buffer of its exact size.
import { WireReader } from '../../../lib/base/protobuf/wire-reader.ts'
import type { Compare, CompareResult, CompareTarget, KeyValue, PutRequest, PutResponse, RangeRequest, RangeResponse, RequestOp, ResponseHeader, ResponseOp, SortOrder, SortTarget, TxnRequest, TxnResponse } from '../../../lib/etcd-api/generated/types.ts'
import type { EtcdEvent } from '../../../lib/etcd-api/operations.ts'
import { decodeProto3 } from '../../../lib/base/protobuf/proto3.ts'
import { etcdTable } from '../../../lib/etcd-api/generated/table.ts'
import type { MessageCodec } from '../../../lib/net/grpc/service.ts'

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

const sortOrders: readonly SortOrder[] = ['NONE', 'ASCEND', 'DESCEND']
const sortTargets: readonly SortTarget[] = ['KEY', 'VERSION', 'CREATE', 'MOD', 'VALUE']
const compareResults: readonly CompareResult[] = ['EQUAL', 'GREATER', 'LESS', 'NOT_EQUAL']
const compareTargets: readonly CompareTarget[] = ['VERSION', 'CREATE', 'MOD', 'VALUE', 'LEASE']

// ---- requests ----

/** A number without a name stays a number, as the table codec has it. */
function named<T>(names: readonly T[], number: number): T { return names[number] ?? (number as T) } // cast: a newer client's

export function readRange(r: WireReader): RangeRequest {
  const m: Mutable<RangeRequest> = {}
  while (!r.done) {
    const tag = r.tag()
    switch (tag) {
      case 10: m.key = r.bytes(); break
      case 18: m.rangeEnd = r.bytes(); break
      case 24: m.limit = r.signedVarint(); break
      case 32: m.revision = r.signedVarint(); break
      case 40: m.sortOrder = named(sortOrders, r.signedVarint()); break
      case 48: m.sortTarget = named(sortTargets, r.signedVarint()); break
      case 56: m.serializable = r.bigVarint() !== 0n; break
      case 64: m.keysOnly = r.bigVarint() !== 0n; break
      case 72: m.countOnly = r.bigVarint() !== 0n; break
      case 80: m.minModRevision = r.signedVarint(); break
      case 88: m.maxModRevision = r.signedVarint(); break
      case 96: m.minCreateRevision = r.signedVarint(); break
      case 104: m.maxCreateRevision = r.signedVarint(); break
      default: r.skip(tag % 8)
    }
  }
  return m
}

export function readPut(r: WireReader): PutRequest {
  const m: Mutable<PutRequest> = {}
  while (!r.done) {
    const tag = r.tag()
    switch (tag) {
      case 10: m.key = r.bytes(); break
      case 18: m.value = r.bytes(); break
      case 24: m.lease = BigInt.asIntN(64, r.bigVarint()); break
      case 32: m.prevKv = r.bigVarint() !== 0n; break
      case 40: m.ignoreValue = r.bigVarint() !== 0n; break
      case 48: m.ignoreLease = r.bigVarint() !== 0n; break
      default: r.skip(tag % 8)
    }
  }
  return m
}

export function readTxn(r: WireReader): TxnRequest {
  const compare: Compare[] = []
  const success: RequestOp[] = []
  const failure: RequestOp[] = []
  while (!r.done) {
    const tag = r.tag()
    switch (tag) {
      case 10: compare.push(readCompare(r.nested())); break
      case 18: success.push(readOperation(r.nested())); break
      case 26: failure.push(readOperation(r.nested())); break
      default: r.skip(tag % 8)
    }
  }
  return { ...(compare.length > 0 ? { compare } : {}), ...(success.length > 0 ? { success } : {}), ...(failure.length > 0 ? { failure } : {}) }
}

function readCompare(r: WireReader): Compare {
  const m: Mutable<Compare> = {}
  while (!r.done) {
    const tag = r.tag()
    switch (tag) {
      case 8: m.result = named(compareResults, r.signedVarint()); break
      case 16: m.target = named(compareTargets, r.signedVarint()); break
      case 26: m.key = r.bytes(); break
      case 32: m.version = r.signedVarint(); break
      case 40: m.createRevision = r.signedVarint(); break
      case 48: m.modRevision = r.signedVarint(); break
      case 58: m.value = r.bytes(); break
      case 64: m.lease = BigInt.asIntN(64, r.bigVarint()); break
      case 514: m.rangeEnd = r.bytes(); break
      default: r.skip(tag % 8)
    }
  }
  return m
}

function readOperation(r: WireReader): RequestOp {
  const m: Mutable<RequestOp> = {}
  while (!r.done) {
    const tag = r.tag()
    switch (tag) {
      case 10: m.requestRange = readRange(r.nested()); break
      case 18: m.requestPut = readPut(r.nested()); break
      // The one that is rare, by table.
      case 26: m.requestDeleteRange = decodeProto3(etcdTable, 'DeleteRangeRequest', r.bytes()); break
      case 34: m.requestTxn = readTxn(r.nested()); break
      default: r.skip(tag % 8)
    }
  }
  return m
}

// ---- sizes: of the content of a message, without its own tag and length ----

function varintSize(value: number): number {
  if (value < 0) return 10
  let size = 1
  for (let v = value; v > 0x7f; v = Math.floor(v / 128)) size++
  return size
}

function bigSize(value: bigint): number {
  let size = 1
  for (let v = BigInt.asUintN(64, value); v > 0x7fn; v >>= 7n) size++
  return size
}

function numberSize(value: number | undefined): number { return value ? 1 + varintSize(value) : 0 }
function bytesSize(length: number): number { return length === 0 ? 0 : 1 + varintSize(length) + length }
function nestedSize(size: number): number { return 1 + varintSize(size) + size }

function keyValueSize(kv: KeyValue, key: Uint8Array, value: Uint8Array): number {
  return bytesSize(key.length) + numberSize(kv.createRevision) + numberSize(kv.modRevision) + numberSize(kv.version) + bytesSize(value.length) + (kv.lease ? 1 + bigSize(kv.lease) : 0)
}

// ---- writing ----

const noBytes = new Uint8Array(0)

/** Writes into a buffer that is known to be large enough. */
class Out {
  readonly bytes: Uint8Array
  at = 0
  constructor(size: number) { this.bytes = Buffer.allocUnsafe(size) }

  varint(value: number): void {
    if (value < 0) { this.big(BigInt(value)); return }
    const { bytes } = this
    let v = value
    while (v > 0x7f) {
      bytes[this.at++] = (v % 128) | 0x80
      v = Math.floor(v / 128)
    }
    bytes[this.at++] = v
  }

  big(value: bigint): void {
    let v = BigInt.asUintN(64, value)
    while (v > 0x7fn) {
      this.bytes[this.at++] = Number(v & 0x7fn) | 0x80
      v >>= 7n
    }
    this.bytes[this.at++] = Number(v)
  }

  number(tag: number, value: number | undefined): void { if (value) { this.bytes[this.at++] = tag; this.varint(value) } }
  bigNumber(tag: number, value: bigint | undefined): void { if (value) { this.bytes[this.at++] = tag; this.big(value) } }

  blob(tag: number, value: Uint8Array): void {
    if (value.length === 0) return
    this.nested(tag, value.length)
    this.raw(value)
  }

  nested(tag: number, size: number): void { this.bytes[this.at++] = tag; this.varint(size) }
  raw(value: Uint8Array): void { this.bytes.set(value, this.at); this.at += value.length }

  keyValue(tag: number, kv: KeyValue, key: Uint8Array, value: Uint8Array, size: number): void {
    this.nested(tag, size)
    this.blob(10, key)
    this.number(16, kv.createRevision)
    this.number(24, kv.modRevision)
    this.number(32, kv.version)
    this.blob(42, value)
    this.bigNumber(48, kv.lease)
  }
}

/** Cluster and member of a header never change: their bytes are kept by the ids. */
let headIds: { readonly clusterId: bigint | undefined; readonly memberId: bigint | undefined; readonly bytes: Uint8Array } = { clusterId: undefined, memberId: undefined, bytes: noBytes }

function headBytes(header: ResponseHeader): Uint8Array {
  if (headIds.clusterId !== header.clusterId || headIds.memberId !== header.memberId) {
    const out = new Out(22)
    out.bigNumber(8, header.clusterId)
    out.bigNumber(16, header.memberId)
    headIds = { clusterId: header.clusterId, memberId: header.memberId, bytes: out.bytes.slice(0, out.at) }
  }
  return headIds.bytes
}

function headerSize(header: ResponseHeader): number { return headBytes(header).length + numberSize(header.revision) + numberSize(header.raftTerm) }

function writeHeader(out: Out, header: ResponseHeader, size: number): void {
  out.nested(10, size)
  out.raw(headBytes(header))
  out.number(24, header.revision)
  out.number(32, header.raftTerm)
}

/** A message whose size is known and whose content can be written: sizes of nested ones are counted once. */
interface Sized { readonly size: number; write(out: Out): void }

function sizedKeyValue(tag: number, kv: KeyValue): Sized {
  // Reading a stored record makes its key and value: once.
  const { key = noBytes, value = noBytes } = kv
  const size = keyValueSize(kv, key, value)
  return { size: nestedSize(size), write: (out) => out.keyValue(tag, kv, key, value, size) }
}

function sizedRange(m: RangeResponse): Sized {
  const header = m.header ? headerSize(m.header) : 0
  const kvs = (m.kvs ?? []).map((kv) => sizedKeyValue(18, kv))
  let size = (m.header ? nestedSize(header) : 0) + (m.more ? 2 : 0) + numberSize(m.count)
  for (const kv of kvs) size += kv.size
  return {
    size,
    write: (out) => {
      if (m.header) writeHeader(out, m.header, header)
      for (const kv of kvs) kv.write(out)
      out.number(24, m.more ? 1 : 0)
      out.number(32, m.count)
    },
  }
}

function sizedPut(m: PutResponse): Sized {
  const header = m.header ? headerSize(m.header) : 0
  const previous = m.prevKv ? sizedKeyValue(18, m.prevKv) : undefined
  return {
    size: (m.header ? nestedSize(header) : 0) + (previous?.size ?? 0),
    write: (out) => {
      if (m.header) writeHeader(out, m.header, header)
      previous?.write(out)
    },
  }
}

function sizedTxn(m: TxnResponse): Sized {
  const header = m.header ? headerSize(m.header) : 0
  const responses = (m.responses ?? []).map(sizedOperation)
  let size = (m.header ? nestedSize(header) : 0) + (m.succeeded ? 2 : 0)
  for (const response of responses) size += nestedSize(response.size)
  return {
    size,
    write: (out) => {
      if (m.header) writeHeader(out, m.header, header)
      out.number(16, m.succeeded ? 1 : 0)
      for (const response of responses) { out.nested(26, response.size); response.write(out) }
    },
  }
}

function sizedOperation(m: ResponseOp): Sized {
  if (m.responseRange) return sizedMember(10, sizedRange(m.responseRange))
  if (m.responsePut) return sizedMember(18, sizedPut(m.responsePut))
  if (m.responseTxn) return sizedMember(34, sizedTxn(m.responseTxn))
  if (!m.responseDeleteRange) return { size: 0, write: () => {} }
  const { header, deleted, prevKvs = [] } = m.responseDeleteRange
  const head = header ? headerSize(header) : 0
  const kvs = prevKvs.map((kv) => sizedKeyValue(26, kv))
  let size = (header ? nestedSize(head) : 0) + numberSize(deleted)
  for (const kv of kvs) size += kv.size
  return sizedMember(26, {
    size,
    write: (out) => {
      if (header) writeHeader(out, header, head)
      out.number(16, deleted)
      for (const kv of kvs) kv.write(out)
    },
  })
}

function sizedMember(tag: number, message: Sized): Sized {
  return { size: nestedSize(message.size), write: (out) => { out.nested(tag, message.size); message.write(out) } }
}

function encode(message: Sized): Uint8Array {
  const out = new Out(message.size)
  message.write(out)
  return out.bytes
}

export function encodeRangeResponse(m: RangeResponse): Uint8Array { return encode(sizedRange(m)) }
export function encodePutResponse(m: PutResponse): Uint8Array { return encode(sizedPut(m)) }
export function encodeTxnResponse(m: TxnResponse): Uint8Array { return encode(sizedTxn(m)) }

// ---- watches: the events of a response, which all watches of one range share, and the few bytes in front of them ----

export function encodeWatchHead(header: ResponseHeader, watchId: number, fragment: boolean): Uint8Array {
  const size = headerSize(header)
  const out = new Out(nestedSize(size) + numberSize(watchId) + (fragment ? 2 : 0))
  writeHeader(out, header, size)
  out.number(16, watchId)
  out.number(56, fragment ? 1 : 0)
  return out.bytes
}

export function encodeEvents(events: readonly EtcdEvent[]): Uint8Array {
  const parts = events.map((event) => {
    const kv = sizedKeyValue(18, event.kv)
    const previous = event.prevKv ? sizedKeyValue(26, event.prevKv) : undefined
    return { isDelete: event.type === 'DELETE', kv, previous, size: (event.type === 'DELETE' ? 2 : 0) + kv.size + (previous?.size ?? 0) }
  })
  let size = 0
  for (const part of parts) size += nestedSize(part.size)
  const out = new Out(size)
  for (const part of parts) {
    out.nested(90, part.size)
    out.number(8, part.isDelete ? 1 : 0)
    part.kv.write(out)
    part.previous?.write(out)
  }
  return out.bytes
}

/** The codecs that the KV service uses instead of its table. */
export const kvCodecs: { readonly [message: string]: MessageCodec } = {
  RangeRequest: { decode: (bytes) => readRange(new WireReader(bytes)) },
  PutRequest: { decode: (bytes) => readPut(new WireReader(bytes)) },
  TxnRequest: { decode: (bytes) => readTxn(new WireReader(bytes)) },
  RangeResponse: { encode: encodeRangeResponse },
  PutResponse: { encode: encodePutResponse },
  TxnResponse: { encode: encodeTxnResponse },
}
