// The plain HTTP side of the client port: version, health, metrics, variables. Upstream: etcd/server/etcdserver/api/etcdhttp
import type { PlainRequest, PlainResponse } from '../../../lib/net/grpc/grpc-server.ts'
import type { EtcdInternals } from '../embedded.ts'
import { etcdVersion } from '../version.ts'
import { storageVersionOf } from './maintenance-service.ts'
import { clusterVersionOf } from './cluster-view.ts'
import { formatDebugVariables } from './debug-variables.ts'
import { answerChecks, answerHealth, checkLists } from './health-checks.ts'
import { formatMetrics } from './metrics.ts'

const json = { 'content-type': 'application/json' } as const
const text = { 'content-type': 'text/plain; charset=utf-8', 'x-content-type-options': 'nosniff' } as const
const metricsType = { 'content-type': 'text/plain; version=0.0.4; charset=utf-8; escaping=underscores' } as const

export const notFound: PlainResponse = { status: 404, headers: text, body: '404 page not found\n' }
const notAllowed: PlainResponse = { status: 405, headers: { ...text, allow: 'GET' }, body: 'Method Not Allowed\n' }

/** Those that are asked for only with GET. */
const readOnlyPaths: ReadonlySet<string> = new Set(['/version', '/health', '/debug/vars', ...Object.entries(checkLists).flatMap(([list, checks]) => [`/${list}`, ...checks.map((check) => `/${list}/${check}`)])])

export async function answerHttp(etcd: EtcdInternals, request: PlainRequest): Promise<PlainResponse> {
  const url = parseTarget(request.path)
  if (!url) return notFound
  const path = url.pathname
  if (readOnlyPaths.has(path) && request.method !== 'GET') return notAllowed
  switch (path) {
    case '/version': return { status: 200, headers: json, body: JSON.stringify({ etcdserver: etcdVersion, etcdcluster: clusterVersionOf(etcd) ?? 'not_decided', storage: storageVersionOf(etcd.member) }) }
    case '/health': return await answerHealth(etcd, url.searchParams, request.signal)
    case '/metrics': return { status: 200, headers: metricsType, body: formatMetrics(etcd) }
    case '/debug/vars': return { status: 200, headers: { 'content-type': 'application/json; charset=utf-8' }, body: formatDebugVariables(etcd) }
    default: {
      const [, list = '', check, ...rest] = path.split('/')
      if (rest.length > 0 || (list !== 'livez' && list !== 'readyz') || !readOnlyPaths.has(path)) return notFound
      return await answerChecks(etcd, list, check, url.searchParams, request.signal)
    }
  }
}

/** Undefined when it can't be read. */
export function parseTarget(target: string): URL | undefined {
  try {
    return new URL(`http://etcd${target.startsWith('/') ? '' : '/'}${target}`)
  } catch {
    return undefined
  }
}
