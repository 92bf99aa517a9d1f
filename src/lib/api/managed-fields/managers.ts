// managedFields as a table: who owns which paths, by which operation, in which version, since when. Upstream: apimachinery/pkg/util/managedfields/internal
import { isJsonObject, type JsonObject, type JsonValue } from '../../base/json.ts'
import { formatTime } from '../../base/clock.ts'
import { parseFieldsV1, type FieldSet } from './field-set.ts'
import type { Pieces } from './pieces.ts'

export interface ManagerEntry {
  readonly manager: string
  readonly operation: 'Apply' | 'Update'
  readonly apiVersion: string
  readonly subresource: string
  readonly set: FieldSet
  readonly time: string | undefined
}

/** By managerKey. */
export type Managers = ReadonlyMap<string, ManagerEntry>

/** Appliers are one whatever version they use; updaters are told apart by it. */
export function managerKey(entry: Pick<ManagerEntry, 'manager' | 'operation' | 'apiVersion' | 'subresource'>): string {
  return JSON.stringify([entry.manager, entry.operation, entry.operation === 'Apply' ? '' : entry.apiVersion, entry.subresource])
}

/** Reads managedFields; undefined when an entry is wrong. */
export function decodeManagers(entries: JsonValue | undefined): Managers | undefined {
  if (entries === undefined || entries === null) return new Map()
  if (!Array.isArray(entries)) return undefined
  const managers = new Map<string, ManagerEntry>()
  for (const item of entries as readonly JsonValue[]) { // cast: checked above
    if (!isJsonObject(item)) return undefined
    const { manager, operation, apiVersion, subresource, fieldsType, time } = item
    if ((operation !== 'Apply' && operation !== 'Update') || typeof apiVersion !== 'string' || apiVersion === '' || fieldsType !== 'FieldsV1') return undefined
    const set = parseFieldsV1(item['fieldsV1'])
    if (set === undefined) return undefined
    const entry: ManagerEntry = { manager: typeof manager === 'string' ? manager : '', operation, apiVersion, subresource: typeof subresource === 'string' ? subresource : '', set, time: typeof time === 'string' ? time : undefined }
    managers.set(managerKey(entry), entry)
  }
  return managers
}

/** The entries as they stand in metadata: appliers first, then by time and name. With `pieces` they are complete when those are done. */
export function encodeManagers(managers: Managers, pieces?: Pieces): readonly JsonObject[] {
  const rank = (entry: ManagerEntry): readonly (string | number)[] => [entry.operation, entry.time === undefined ? 0 : Math.floor(Date.parse(entry.time) / 1000), entry.manager, entry.apiVersion, entry.subresource]
  return [...managers.values()].sort((a, b) => compareRanks(rank(a), rank(b))).map((entry): JsonObject => ({
    ...(entry.manager === '' ? {} : { manager: entry.manager }), operation: entry.operation, apiVersion: entry.apiVersion, ...(entry.time === undefined ? {} : { time: entry.time }), fieldsType: 'FieldsV1',
    fieldsV1: entry.set.toFieldsV1(pieces), ...(entry.subresource === '' ? {} : { subresource: entry.subresource }),
  }))
}

function compareRanks(a: readonly (string | number)[], b: readonly (string | number)[]): number {
  for (let i = 0; i < a.length; i++) {
    const x = a[i] ?? ''
    const y = b[i] ?? ''
    if (x !== y) return x < y ? -1 : 1
  }
  return 0
}

const maxUpdateManagers = 10

/** At most ten updaters: the oldest become one per version, called ancient-changes. */
export function capUpdateManagers(managers: Managers): Managers {
  const updaters = [...managers].filter(([, entry]) => entry.operation === 'Update')
  if (updaters.length <= maxUpdateManagers) return managers
  const seconds = (entry: ManagerEntry): number => (entry.time === undefined ? 0 : Math.floor(Date.parse(entry.time) / 1000))
  updaters.sort(([a, x], [b, y]) => seconds(x) - seconds(y) || (a < b ? -1 : 1))
  const out = new Map(managers)
  const firstOfVersion = new Map<string, readonly [string, ManagerEntry]>()
  let count = updaters.length
  for (const [key, entry] of updaters) {
    if (count <= maxUpdateManagers) break
    const first = firstOfVersion.get(entry.apiVersion)
    if (first === undefined) { firstOfVersion.set(entry.apiVersion, [key, entry]); continue }
    const ancientKey = managerKey({ manager: 'ancient-changes', operation: 'Update', apiVersion: entry.apiVersion, subresource: '' })
    const bucket = out.get(ancientKey) ?? first[1]
    if (!out.has(ancientKey)) out.delete(first[0])
    out.delete(key)
    // The time of the newer one counts.
    out.set(ancientKey, { manager: 'ancient-changes', operation: 'Update', apiVersion: entry.apiVersion, subresource: '', set: bucket.set.union(entry.set), time: entry.time })
    count--
  }
  return out
}

/** How conflicts name a manager: `"kubectl" using apps/v1`. */
export function describeManager(entry: ManagerEntry): string {
  const name = `${JSON.stringify(entry.manager)}${entry.subresource === '' ? '' : ` with subresource ${JSON.stringify(entry.subresource)}`}`
  return entry.operation === 'Update' ? `${name} using ${entry.apiVersion}` : name
}

export const timeOf = (nowMs: number): string => formatTime(nowMs)
