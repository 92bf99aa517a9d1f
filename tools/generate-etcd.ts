// Generates src/lib/etcd-api/generated from shared/reference/wire/etcd.json: etcd's messages as types and as a proto3 table, and its services.
// Ids and leases are bigint, revisions and indexes numbers. Names of other packages than etcdserverpb and mvccpb get a prefix, because raftpb,
// walpb and snappb share names. Outputs are committed.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

type WireField = { n: number; type: string; repeated?: boolean; map?: string; oneof?: string }
type Method = { request: string; response: string; requestStream?: boolean; responseStream?: boolean }
type Entry = { fields?: Record<string, WireField>; enum?: Record<string, number>; service?: Record<string, Method> }

const root = resolve(import.meta.dirname, '..')
const wire = JSON.parse(readFileSync(resolve(root, '../shared/reference/wire/etcd.json'), 'utf8')) as Record<string, Record<string, Entry>>
const prefixes: Record<string, string> = { authpb: 'Stored', leasepb: 'Leasepb', membershippb: 'Membership', raftpb: 'Raft', snappb: 'Snap', walpb: 'Wal' }

const camel = (name: string): string => name.replace(/_([a-zA-Z0-9])/g, (_, c: string) => c.toUpperCase())
const capital = (name: string): string => name.charAt(0).toUpperCase() + name.slice(1)
const scalars: Record<string, string> = { string: 'string', bytes: 'Uint8Array', bool: 'boolean', int32: 'number', int64: 'number', uint32: 'number', uint64: 'number', double: 'number', float: 'number' }
const bigNames = new Set(['ID', 'id', 'lease', 'cluster_id', 'member_id', 'memberID', 'targetID', 'leader', 'member_ID', 'node_id', 'vote', 'to', 'from', 'voters', 'learners', 'voters_outgoing', 'learners_next'])

/** Every message and enum by its full name, such as `etcdserverpb.Compare.CompareTarget`. */
const all = new Map<string, { readonly typeName: string; readonly entry: Entry }>()
for (const [scope, entries] of Object.entries(wire)) {
  const pkg = scope.split('.')[0]!
  for (const [name, entry] of Object.entries(entries)) if (!entry.service) all.set(`${scope}.${name}`, { typeName: `${prefixes[pkg] ?? ''}${capital(name)}`, entry })
}
const named = new Map<string, string>()
for (const [full, { typeName }] of all) {
  const other = named.get(typeName)
  if (other) throw new Error(`${full} and ${other} are both called ${typeName}`)
  named.set(typeName, full)
}

/** The entry that `type` means inside message `scope.name`: nested there, in the package, or fully qualified. */
function find(scope: string, name: string, type: string): { readonly typeName: string; readonly entry: Entry } {
  const pkg = scope.split('.')[0]!
  for (const candidate of [`${scope}.${name}.${type}`, `${scope}.${type}`, `${pkg}.${type}`, type]) {
    const found = all.get(candidate)
    if (found) return found
  }
  const nested = [...all].filter(([full]) => full.startsWith(`${pkg}.`) && full.endsWith(`.${type}`))
  if (nested.length === 1) return nested[0]![1]
  throw new Error(`${scope}.${name} uses an unknown type ${type}`)
}

const types = new Map<string, string>()
const table = new Map<string, string>()
const services: string[] = []
for (const [scope, entries] of Object.entries(wire)) {
  for (const [name, entry] of Object.entries(entries)) {
    if (entry.enum) types.set(all.get(`${scope}.${name}`)!.typeName, Object.keys(entry.enum).map((k) => `'${k}'`).join(' | '))
    if (entry.fields) {
      const { typeName } = all.get(`${scope}.${name}`)!
      const rows: string[] = []
      const cells: string[] = []
      for (const [protoName, f] of Object.entries(entry.fields)) {
        const target = scalars[f.type] ? undefined : find(scope, name, f.type)
        const big = /^u?int64$/.test(f.type) && bigNames.has(protoName)
        let ts = big ? 'bigint' : target ? target.typeName : scalars[f.type]!
        if (f.repeated) ts = `readonly ${ts}[]`
        if (f.map) ts = `{ readonly [key: string]: ${ts} }`
        rows.push(`  readonly ${camel(protoName)}?: ${ts}`)
        const cell: Record<string, unknown> = { name: camel(protoName), number: f.n, type: !target ? f.type : target.entry.enum ? 'enum' : target.typeName }
        if (f.repeated) cell['list'] = true
        if (f.map) cell['mapKey'] = f.map
        if (big) cell['big'] = true
        if (f.oneof) cell['oneof'] = f.oneof
        if (target?.entry.enum) cell['enumValues'] = target.entry.enum
        cells.push(JSON.stringify(cell))
      }
      types.set(typeName, `{\n${rows.join('\n')}\n}`)
      table.set(typeName, `[${cells.join(', ')}]`)
    }
    if (entry.service) {
      const rows = Object.entries(entry.service).map(([method, m]) => `  ${method}: ${JSON.stringify({ ...m, request: find(scope, '', m.request).typeName, response: find(scope, '', m.response).typeName })},`)
      services.push(`export const ${name === 'KV' ? 'kv' : name.charAt(0).toLowerCase() + name.slice(1)}Service = { name: '${scope}.${name}', table: etcdTable, methods: {\n${rows.join('\n')}\n} } as const\n`)
    }
  }
}

const sorted = (map: Map<string, string>): [string, string][] => [...map].sort(([a], [b]) => (a < b ? -1 : 1))
const out = process.argv[2] ?? join(root, 'src/lib/etcd-api/generated')
mkdirSync(out, { recursive: true })
const banner = '// Generated by tools/generate-etcd.ts from the facts in shared/reference/wire; do not edit.\n'
const typeText = sorted(types).map(([name, body]) => (body.startsWith('{') ? `export interface ${name} ${body}\n` : `export type ${name} = ${body}\n`)).join('\n')
writeFileSync(join(out, 'types.ts'), `${banner}// An absent field is its zero value, as proto3 says.\n\n${typeText}`)
writeFileSync(join(out, 'table.ts'), `${banner}import type { Proto3Table } from '../../base/protobuf/proto3.ts'\n\nexport const etcdTable: Proto3Table = {\n${sorted(table).map(([name, cells]) => `  ${name}: ${cells},`).join('\n')}\n}\n`)
writeFileSync(join(out, 'services.ts'), `${banner}import { etcdTable } from './table.ts'\n\n${services.sort().join('\n')}`)
