// A range request against the store: which keys, at which revision, filtered, sorted, cut. Upstream: etcd/server/etcdserver/txn/range.go
import type { EtcdKeyValue, EtcdRangeRequest, EtcdRangeResponse, EtcdSortTarget } from '../../../lib/etcd-api/operations.ts'
import { unreachable } from '../../../lib/base/assert.ts'
import { keyRange } from './key-text.ts'
import { MessageList } from './message-list.ts'
import type { MvccStore } from './mvcc-store.ts'
import { sortInPieces } from './sort-in-pieces.ts'
import { withoutValue, type StoredKeyValue } from './stored-key-value.ts'

const noKvs: readonly EtcdKeyValue[] = []
/** More keys than this are read in pieces. */
const longKeys = 4000
const pieceKeys = 2000

interface Plan {
  readonly filters: boolean
  readonly order: ((a: StoredKeyValue, b: StoredKeyValue) => number) | undefined
  /** 0: none. */
  readonly limit: number
  /** The limit counts only after everything else. */
  readonly whole: boolean
}

function planOf(request: EtcdRangeRequest): Plan {
  const target = request.sortTarget ?? 'KEY'
  const descends = request.sortOrder === 'DESCEND'
  const filters = Boolean(request.minModRevision || request.maxModRevision || request.minCreateRevision || request.maxCreateRevision)
  const order = target === 'KEY' && !descends ? undefined : (a: StoredKeyValue, b: StoredKeyValue): number => (descends ? -compareBy(target, a, b) : compareBy(target, a, b))
  const limit = request.limit !== undefined && request.limit > 0 ? request.limit : 0
  return { filters, order, limit, whole: limit === 0 || order !== undefined || filters }
}

/** @throws EtcdError when the revision can't be read. */
export function readRange(store: MvccStore, request: EtcdRangeRequest): EtcdRangeResponse {
  const revision = request.revision ?? 0
  store.checkRevision(revision)
  const range = keyRange(request.key, request.rangeEnd)
  const now = store.viewRevision
  if (request.countOnly) return { revision: now, kvs: noKvs, more: false, count: store.count(range, revision) }

  if (range.single && !request.keysOnly && isPlain(request)) {
    const one = store.get(range.from, revision)
    return one === undefined ? { revision: now, kvs: noKvs, more: false, count: 0 } : { revision: now, kvs: [one], more: false, count: 1 }
  }
  const { filters, order, limit, whole } = planOf(request)
  let found = store.list(range, revision, whole ? 0 : limit + 1)
  const count = whole || found.length <= limit ? found.length : store.count(range, revision)
  if (filters) found = found.filter((kv) => passes(kv, request))
  if (order) found.sort(order)
  const more = limit > 0 && found.length > limit
  if (more) found.length = limit
  return { revision: now, kvs: request.keysOnly ? found.map(withoutValue) : found, more, count }
}

function isPlain(request: EtcdRangeRequest): boolean { return !request.minModRevision && !request.maxModRevision && !request.minCreateRevision && !request.maxCreateRevision }

/** True when `readRangeInPieces` should read it: it looks at very many keys. */
export function isLongRange(store: MvccStore, request: EtcdRangeRequest): boolean {
  if (request.rangeEnd === undefined || request.rangeEnd.length === 0) return false
  const looksAtFew = !request.revision && (request.countOnly === true || (!planOf(request).whole && (request.limit ?? 0) <= longKeys))
  return !looksAtFew && store.holdsMoreThan(longKeys, keyRange(request.key, request.rangeEnd))
}

/** The same answer as `readRange`, of the revision at which it was asked, with pauses. @throws EtcdError when the revision can't be read. */
export async function readRangeInPieces(store: MvccStore, request: EtcdRangeRequest, pause: () => Promise<void>): Promise<EtcdRangeResponse> {
  store.checkRevision(request.revision ?? 0)
  const now = store.viewRevision
  const range = keyRange(request.key, request.rangeEnd)
  const { filters, order, limit, whole } = planOf(request)
  const wanted = request.countOnly ? 0 : whole ? Infinity : limit + 1
  using pin = store.pin()
  void pin
  let found: StoredKeyValue[] = []
  let count = 0
  const visit = (version: number): void => {
    count++
    if (found.length < wanted) found.push(store.view(version))
  }
  for (let from: string | undefined = range.from; ;) {
    from = store.visitPiece(from, range.end, request.revision || now, pieceKeys, visit)
    if (from === undefined) break
    await pause()
  }
  if (request.countOnly) return { revision: now, kvs: noKvs, more: false, count }
  if (filters) found = found.filter((kv) => passes(kv, request))
  if (order) found = await sortInPieces(found, order, pause)
  const more = limit > 0 && found.length > limit
  if (more) found.length = limit
  if (!request.keysOnly) return { revision: now, kvs: found, more, count }
  const kvs: EtcdKeyValue[] = []
  for (const kv of found) {
    kvs.push(withoutValue(kv))
    if (kvs.length % pieceKeys === 0) await pause()
  }
  return { revision: now, kvs, more, count }
}

/** True when the answer is what is stored, in the order of the keys: `listMessages` gives it without making anything of it. */
export function isOfMessages(request: EtcdRangeRequest): boolean { return !request.keysOnly && !request.countOnly && isPlain(request) && planOf(request).order === undefined }

export interface ListedMessages {
  readonly revision: number
  readonly messages: MessageList
  readonly more: boolean
  readonly count: number
}

/** As `readRangeInPieces`, of a request that `isOfMessages`. @throws EtcdError when the revision can't be read. */
export async function listMessages(store: MvccStore, request: EtcdRangeRequest, pause: () => Promise<void>): Promise<ListedMessages> {
  store.checkRevision(request.revision ?? 0)
  const revision = store.viewRevision
  const range = keyRange(request.key, request.rangeEnd)
  const limit = request.limit !== undefined && request.limit > 0 ? request.limit : Infinity
  using pin = store.pin()
  void pin
  const messages = new MessageList(store)
  let count = 0
  const visit = (version: number): void => {
    count++
    if (messages.length < limit) messages.push(version)
  }
  for (let from: string | undefined = range.from; ;) {
    from = store.visitPiece(from, range.end, request.revision || revision, pieceKeys, visit)
    if (from === undefined) return { revision, messages, more: count > messages.length, count }
    await pause()
  }
}

function passes(kv: StoredKeyValue, request: EtcdRangeRequest): boolean {
  return !(request.maxModRevision && kv.modRevision > request.maxModRevision) && !(request.minModRevision && kv.modRevision < request.minModRevision)
    && !(request.maxCreateRevision && kv.createRevision > request.maxCreateRevision) && !(request.minCreateRevision && kv.createRevision < request.minCreateRevision)
}

function compareBy(target: EtcdSortTarget, a: StoredKeyValue, b: StoredKeyValue): number {
  switch (target) {
    case 'KEY': return a.text < b.text ? -1 : a.text > b.text ? 1 : 0
    case 'VERSION': return a.version - b.version
    case 'CREATE': return a.createRevision - b.createRevision
    case 'MOD': return a.modRevision - b.modRevision
    case 'VALUE': return compareBytes(a.value, b.value)
    default: return unreachable(target)
  }
}

/** Lexicographic order of bytes: negative, zero or positive. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) {
    const difference = a[i]! - b[i]! // cast: bounded by the loop
    if (difference !== 0) return difference
  }
  return a.length - b.length
}
