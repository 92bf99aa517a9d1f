// The four answers that are tables, as rows; and the table form: box-drawing lines, centred upper-case headings, cells to the right.
// Upstream: etcdctl/ctlv3/command/printer.go, github.com/olekukonko/tablewriter
import type { MemberListResponse } from '../../../lib/etcd-api/generated/types.ts'
import { humanBytes } from '../go-format.ts'
import { UnsupportedFormat, type EndpointHash, type EndpointHealth, type EndpointStatus, type Printer } from './printable.ts'

export interface Table { readonly headings: readonly string[]; readonly rows: readonly (readonly string[])[] }

export function memberTable(response: MemberListResponse): Table {
  return {
    headings: ['ID', 'Status', 'Name', 'Peer Addrs', 'Client Addrs', 'Is Learner'],
    rows: (response.members ?? []).map((member) => [
      (member.ID ?? 0n).toString(16), member.name ? 'started' : 'unstarted', member.name ?? '', (member.peerURLs ?? []).join(','), (member.clientURLs ?? []).join(','), String(member.isLearner ?? false),
    ]),
  }
}

export function healthTable(endpoints: readonly EndpointHealth[]): Table {
  return { headings: ['endpoint', 'health', 'took', 'error'], rows: endpoints.map((e) => [e.endpoint, String(e.health), e.took, e.error ?? '']) }
}

export function statusTable(endpoints: readonly EndpointStatus[]): Table {
  return {
    headings: ['endpoint', 'ID', 'version', 'storage version', 'db size', 'in use', 'percentage not in use', 'quota', 'is leader', 'is learner', 'raft term', 'raft index', 'raft applied index', 'errors',
      'downgrade target version', 'downgrade enabled'],
    rows: endpoints.map(({ endpoint, status }) => {
      const { dbSize = 0, dbSizeInUse = 0 } = status
      const member = status.header?.memberId ?? 0n
      return [
        endpoint, member.toString(16), status.version ?? '', status.storageVersion ?? '', humanBytes(dbSize), humanBytes(dbSizeInUse), `${dbSize > 0 ? 100 - Math.floor((dbSizeInUse * 100) / dbSize) : 0}%`,
        humanBytes(status.dbSizeQuota ?? 0), String((status.leader ?? 0n) === member), String(status.isLearner ?? false), String(status.raftTerm ?? 0), String(status.raftIndex ?? 0),
        String(status.raftAppliedIndex ?? 0), (status.errors ?? []).join(', '), status.downgradeInfo?.targetVersion ?? '', String(status.downgradeInfo?.enabled ?? false),
      ]
    }),
  }
}

export function hashTable(endpoints: readonly EndpointHash[]): Table {
  return { headings: ['endpoint', 'hash', 'hash_revision'], rows: endpoints.map(({ endpoint, hash }) => [endpoint, String(hash.hash ?? 0), String(hash.hashRevision ?? 0)]) }
}

export function drawTable({ headings, rows }: Table): string {
  const titles = headings.map((heading) => heading.replaceAll('_', ' ').toUpperCase())
  const widths = titles.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]?.length ?? 0)))
  const rule = (left: string, middle: string, right: string): string => `${left}${widths.map((width) => '─'.repeat(width + 2)).join(middle)}${right}\n`
  const line = (cells: readonly string[]): string => `│${cells.map((cell) => ` ${cell} `).join('│')}│\n`
  const centred = titles.map((title, i) => {
    const gap = (widths[i] ?? 0) - title.length
    return `${' '.repeat(Math.floor(gap / 2))}${title}${' '.repeat(Math.ceil(gap / 2))}`
  })
  const body = rows.map((row) => line(row.map((cell, i) => cell.padStart(widths[i] ?? 0)))).join('')
  return `${rule('┌', '┬', '┐')}${line(centred)}${rows.length > 0 ? rule('├', '┼', '┤') : ''}${body}${rule('└', '┴', '┘')}`
}

export const printTable: Printer = (printable) => {
  switch (printable.kind) {
    case 'memberList': return { out: [drawTable(memberTable(printable.response))] }
    case 'endpointHealth': return { out: [drawTable(healthTable(printable.endpoints))] }
    case 'endpointStatus': return { out: [drawTable(statusTable(printable.endpoints))] }
    case 'endpointHashKv': return { out: [drawTable(hashTable(printable.endpoints))] }
    default: throw new UnsupportedFormat('table not supported as output format')
  }
}
