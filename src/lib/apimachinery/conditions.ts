// Conditions of a status: one per type, with the time at which it last changed its value. Upstream: apimachinery/pkg/api/meta/conditions.go

export interface Condition {
  readonly type: string
  readonly status: string
  readonly reason?: string
  readonly message?: string
  readonly lastTransitionTime?: string
}

export function findCondition<T extends Condition>(conditions: readonly T[] | undefined, type: string): T | undefined {
  return conditions?.find((condition) => condition.type === type)
}

export function isConditionTrue(conditions: readonly Condition[] | undefined, type: string): boolean {
  return findCondition(conditions, type)?.status === 'True'
}

/** The list with `condition` in it. Its transition time stays as it was while the status stays; the list itself is returned when nothing changes. */
export function setCondition<T extends Condition>(conditions: readonly T[] | undefined, condition: T): readonly T[] {
  const old = findCondition(conditions, condition.type)
  if (old === undefined) return [...(conditions ?? []), condition]
  const next = old.status === condition.status && old.lastTransitionTime !== undefined ? { ...condition, lastTransitionTime: old.lastTransitionTime } : condition
  const changed = Object.keys({ ...old, ...next }).some((key) => old[key as keyof T] !== next[key as keyof T]) // cast: keys of both
  return changed ? (conditions ?? []).map((c) => (c === old ? next : c)) : conditions ?? []
}

export function removeCondition<T extends Condition>(conditions: readonly T[] | undefined, type: string): readonly T[] {
  return (conditions ?? []).filter((condition) => condition.type !== type)
}
