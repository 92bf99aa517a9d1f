// A user's permissions as merged key ranges, so that a range is allowed when several grants cover it together.
// Upstream: etcd/server/auth/range_perm_cache.go
import type { StoredPermission, StoredRole } from '../../../lib/etcd-api/generated/types.ts'
import { keyRange, type KeyRange } from '../mvcc/key-text.ts'

export interface MergedPermissions {
  readonly read: readonly KeyRange[]
  readonly write: readonly KeyRange[]
}

const noBytes = new Uint8Array(0)

export function mergePermissions(roles: readonly StoredRole[]): MergedPermissions {
  const read: KeyRange[] = []
  const write: KeyRange[] = []
  for (const role of roles) {
    for (const permission of role.keyPermission ?? []) {
      const range = rangeOf(permission)
      const type = permission.permType ?? 'READ'
      if (type !== 'WRITE') read.push(range)
      if (type !== 'READ') write.push(range)
    }
  }
  return { read: merge(read), write: merge(write) }
}

function rangeOf(permission: StoredPermission): KeyRange { return keyRange(permission.key ?? noBytes, permission.rangeEnd) }

/** Sorted, and joined where they touch. */
function merge(ranges: KeyRange[]): readonly KeyRange[] {
  ranges.sort((a, b) => (a.from < b.from ? -1 : a.from > b.from ? 1 : 0))
  const merged: KeyRange[] = []
  for (const range of ranges) {
    const last = merged[merged.length - 1]
    if (last && (last.end === undefined || range.from <= last.end)) {
      const end = last.end === undefined || range.end === undefined ? undefined : last.end > range.end ? last.end : range.end
      merged[merged.length - 1] = { from: last.from, end, single: false }
    } else merged.push({ from: range.from, end: range.end, single: false })
  }
  return merged
}

/** Whether one of the merged ranges holds all of `range`. */
export function covers(merged: readonly KeyRange[], range: KeyRange): boolean {
  return merged.some(({ from, end }) => from <= range.from && (end === undefined || (range.end !== undefined && range.end <= end)))
}

/** A permission needs a key, and an end that lies behind it (or one zero byte: everything from the key on). */
export function isValidPermission({ key = noBytes, rangeEnd = noBytes }: StoredPermission): boolean {
  if (key.length === 0) return false
  if (rangeEnd.length === 0 || (rangeEnd.length === 1 && rangeEnd[0] === 0)) return true
  const { from, end } = keyRange(key, rangeEnd)
  return end === undefined || from < end
}
