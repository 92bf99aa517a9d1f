// The plain HTTP side of the client port: version, health, metrics. Upstream: etcd/server/etcdserver/api/etcdhttp
import type { PlainRequest, PlainResponse } from '../../../lib/net/grpc/grpc-server.ts'
import type { EtcdInternals } from '../embedded.ts'
import { etcdClusterVersion, etcdStorageVersion, etcdVersion } from '../version.ts'
import { formatMetrics, type RpcCounts } from './metrics.ts'

const json = { 'content-type': 'application/json' } as const
const text = { 'content-type': 'text/plain; charset=utf-8' } as const

type Check = (etcd: EtcdInternals) => string | undefined

/** Each gives what is wrong. */
const serving: Check = (etcd) => (etcd.member.broken.aborted ? 'etcdserver: server stopped' : undefined)
const noCorruption: Check = (etcd) => (etcd.member.machine.hasAlarm('CORRUPT') ? 'alarm activated: CORRUPT' : undefined)
const livez: { readonly [name: string]: Check } = { serializable_read: serving }
const readyz: { readonly [name: string]: Check } = { data_corruption: noCorruption, serializable_read: serving, linearizable_read: serving, non_learner: () => undefined }

export function answerHttp(etcd: EtcdInternals, counts: RpcCounts, request: PlainRequest): PlainResponse {
  const url = new URL(request.path, 'http://etcd')
  const path = url.pathname
  if (request.method !== 'GET' && request.method !== 'HEAD') return ['/version', '/health', '/metrics'].includes(path) ? notAllowed : notFound
  switch (path) {
    case '/version': return { status: 200, headers: json, body: JSON.stringify({ etcdserver: etcdVersion, etcdcluster: etcdClusterVersion, storage: etcdStorageVersion }) }
    case '/health': return health(etcd, counts, new Set(url.searchParams.getAll('exclude')))
    case '/metrics': return { status: 200, headers: { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' }, body: formatMetrics(etcd, counts) }
    default:
  }
  for (const [root, checks] of [['/livez', livez], ['/readyz', readyz]] as const) {
    if (path === root) return runChecks(etcd, checks, new Set(url.searchParams.getAll('exclude')), url.searchParams.has('verbose'))
    const name = path.startsWith(`${root}/`) ? path.slice(root.length + 1) : ''
    const check = checks[name]
    if (check) return runChecks(etcd, { [name]: check }, new Set(), url.searchParams.has('verbose'))
  }
  return notFound
}

const notFound: PlainResponse = { status: 404, headers: text, body: '404 page not found\n' }
const notAllowed: PlainResponse = { status: 405, headers: { ...text, allow: 'GET' }, body: 'Method Not Allowed\n' }

function health(etcd: EtcdInternals, counts: RpcCounts, excluded: ReadonlySet<string>): PlainResponse {
  const alarm = etcd.member.machine.alarms.find((raised) => !excluded.has(raised.alarm))
  const failed = serving(etcd)
  const reason = alarm ? `ALARM ${alarm.alarm}` : failed ? `RANGE ERROR:${failed}` : ''
  if (reason === '') counts.healthSuccess++
  else counts.healthFailures++
  if (reason === '') return { status: 200, headers: json, body: '{"health":"true","reason":""}' }
  return { status: 503, headers: text, body: `${JSON.stringify({ health: 'false', reason })}\n` }
}

function runChecks(etcd: EtcdInternals, checks: { readonly [name: string]: Check }, excluded: ReadonlySet<string>, verbose: boolean): PlainResponse {
  let failed = false
  const lines: string[] = []
  for (const [name, check] of Object.entries(checks).sort(([a], [b]) => (a < b ? -1 : 1))) {
    if (excluded.has(name)) continue
    const wrong = check(etcd)
    failed ||= wrong !== undefined
    lines.push(wrong === undefined ? `[+]${name} ok\n` : `[-]${name} failed: ${wrong}\n`)
  }
  if (failed) return { status: 503, headers: text, body: lines.join('') }
  return { status: 200, headers: text, body: verbose ? `${lines.join('')}ok\n` : 'ok\n' }
}
