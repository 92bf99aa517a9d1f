// What members tell each other beside the message: who asks, of which cluster, which version. Both sides refuse what can't work together.
// Upstream: rafthttp/{http,util}.go
import type { IncomingHttpHeaders } from 'node:http'
import { etcdVersion } from '../version.ts'
import { placeOfPeerUrl } from './peer-place.ts'

/** The oldest cluster that this version works in. */
const minClusterVersion = '3.0.0'

export const incompatibleVersion = 'incompatible version'
export const clusterIdMismatch = 'cluster ID mismatch'

export interface LocalPeer {
  readonly id: bigint
  readonly clusterId: bigint
  /** Where others reach this member: they learn it from its requests before the log tells them. */
  readonly advertiseUrls: readonly string[]
}

/** Ids are written in hexadecimal, without zeros in front. */
export function formatId(id: bigint): string { return id.toString(16) }

export function parseId(text: string): bigint | undefined {
  return /^[0-9a-fA-F]{1,16}$/.test(text) ? BigInt(`0x${text}`) : undefined
}

export function peerHeaders(local: LocalPeer, to?: bigint): { [name: string]: string } {
  const headers: { [name: string]: string } = {
    'X-Server-From': formatId(local.id), 'X-Server-Version': etcdVersion, 'X-Min-Cluster-Version': minClusterVersion, 'X-Etcd-Cluster-ID': formatId(local.clusterId),
    'X-PeerURLs': local.advertiseUrls.join(','),
  }
  if (to !== undefined) headers['X-Raft-To'] = formatId(to)
  return headers
}

export function headerText(headers: IncomingHttpHeaders, name: string): string {
  const value = headers[name]
  return typeof value === 'string' ? value : ''
}

/** Major and minor as one number; undefined when it is no version. Members before 2.1 say nothing. */
function parseVersion(text: string): number | undefined {
  const match = /^(\d{1,6})\.(\d{1,6})\.\d{1,6}(?:[-+].{0,100})?$/.exec(text === '' ? '2.0.0' : text)
  return match ? Number(match[1]) * 1e7 + Number(match[2]) : undefined
}

/** Why a request of another member is refused with 412; undefined when it fits. */
export function checkCompatibility(headers: IncomingHttpHeaders, clusterId: bigint): typeof incompatibleVersion | typeof clusterIdMismatch | undefined {
  const server = parseVersion(headerText(headers, 'x-server-version'))
  const minimum = parseVersion(headerText(headers, 'x-min-cluster-version'))
  const ours = parseVersion(etcdVersion) ?? 0
  if (server === undefined || minimum === undefined || server < (parseVersion(minClusterVersion) ?? 0) || minimum > ours) return incompatibleVersion
  return headerText(headers, 'x-etcd-cluster-id') === formatId(clusterId) ? undefined : clusterIdMismatch
}

/** False when the answering side is older than streams. */
export function speaksStreams(headers: IncomingHttpHeaders): boolean { return (parseVersion(headerText(headers, 'x-server-version')) ?? 0) >= (parseVersion('2.1.0') ?? 0) }

/** Peer URLs as members have them; undefined when one is none. */
export function parsePeerUrls(text: string): readonly string[] | undefined {
  const urls = text.split(',')
  return urls.length <= 16 && urls.every(isPeerUrl) ? urls : undefined
}

export function isPeerUrl(text: string): boolean { return placeOfPeerUrl(text) !== undefined }
