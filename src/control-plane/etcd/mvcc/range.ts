// A range request against the store: which keys, at which revision, filtered, sorted, cut. Upstream: etcd/server/etcdserver/txn/range.go
import type { EtcdKeyValue, EtcdRangeRequest, EtcdRangeResponse, EtcdSortTarget } from '../../../lib/etcd-api/operations.ts'
import { unreachable } from '../../../lib/base/assert.ts'
import { keyRange } from './key-text.ts'
import type { MvccStore } from './mvcc-store.ts'
import { withoutValue, type StoredKeyValue } from './stored-key-value.ts'

const noKvs: readonly EtcdKeyValue[] = []

/** @throws EtcdError when the revision can't be read. */
export function readRange(store: MvccStore, request: EtcdRangeRequest): EtcdRangeResponse {
  const revision = request.revision ?? 0
  store.checkRevision(revision)
  const range = keyRange(request.key, request.rangeEnd)
  const now = store.viewRevision
  if (request.countOnly) return { revision: now, kvs: noKvs, more: false, count: store.count(range, revision) }

  const target = request.sortTarget ?? 'KEY'
  const order = request.sortOrder === undefined || request.sortOrder === 'NONE' ? 'ASCEND' : request.sortOrder
  const sorts = target !== 'KEY' || order === 'DESCEND'
  const filters = Boolean(request.minModRevision || request.maxModRevision || request.minCreateRevision || request.maxCreateRevision)
  const limit = request.limit !== undefined && request.limit > 0 ? request.limit : 0
  const whole = limit === 0 || sorts || filters
  let found = store.list(range, revision, whole ? 0 : limit + 1)
  const count = whole || found.length <= limit ? found.length : store.count(range, revision)
  if (filters) found = found.filter((kv) => passes(kv, request))
  if (sorts) found.sort((a, b) => (order === 'DESCEND' ? -compareBy(target, a, b) : compareBy(target, a, b)))
  const more = limit > 0 && found.length > limit
  if (more) found.length = limit
  return { revision: now, kvs: request.keysOnly ? found.map(withoutValue) : found, more, count }
}

function passes(kv: StoredKeyValue, request: EtcdRangeRequest): boolean {
  return !(request.maxModRevision && kv.modRevision > request.maxModRevision) && !(request.minModRevision && kv.modRevision < request.minModRevision)
    && !(request.maxCreateRevision && kv.createRevision > request.maxCreateRevision) && !(request.minCreateRevision && kv.createRevision < request.minCreateRevision)
}

function compareBy(target: EtcdSortTarget, a: StoredKeyValue, b: StoredKeyValue): number {
  switch (target) {
    case 'KEY': return a.record.text < b.record.text ? -1 : a.record.text > b.record.text ? 1 : 0
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
