// What the proxy answers over plain HTTP: /metrics of a member, /health of the cluster, and both of itself under /proxy.
// Upstream: etcd/server/proxy/grpcproxy/health.go, metrics.go
import type { EtcdClient } from '../../../lib/etcd-client/etcd-client.ts'
import { EtcdError } from '../../../lib/etcd-api/etcd-error.ts'
import type { PlainRequest, PlainResponse } from '../../../lib/net/grpc/grpc-server.ts'
import { parseTarget, notFound } from '../v3rpc/http-endpoints.ts'
import { readProcess } from '../v3rpc/process-metrics.ts'
import type { ProxyMetrics } from './proxy-metrics.ts'

export interface ProxyHttpOptions {
  readonly metrics: ProxyMetrics
  /** Brings the numbers up to date that are read when they are asked for. */
  readonly beforeMetrics: () => void
  /** Of the members. */
  readonly client: EtcdClient
  /** Of this proxy, as its clients reach it; undefined when they are told of no address. */
  readonly ownClient: EtcdClient | undefined
  /** GET /metrics at a member. @throws when it can't be had */
  readonly memberMetrics: (secure: boolean, signal: AbortSignal) => Promise<string>
  readonly isSecure: boolean
  /** For what is not the proxy's own. */
  readonly others?: (request: PlainRequest) => Promise<PlainResponse | undefined>
}

const text = { 'content-type': 'text/plain; charset=utf-8' } as const
const checked = { ...text, 'x-content-type-options': 'nosniff' } as const
const metricsType = { 'content-type': 'text/plain; version=0.0.4' } as const
const readMs = 1000
const watchMs = 3000
const anyKey = Buffer.from('a')

export function answerProxyHttp(options: ProxyHttpOptions): (request: PlainRequest) => Promise<PlainResponse> {
  return async (request) => {
    switch (parseTarget(request.path)?.pathname) {
      case '/metrics': return await memberMetrics(options, request)
      case '/health': return request.method === 'GET' ? answer(await whatAils(options.client)) : notAllowed
      case '/proxy/metrics':
        options.beforeMetrics()
        readProcess(options.metrics.process)
        return { status: 200, headers: { 'content-type': 'text/plain; version=0.0.4; charset=utf-8; escaping=underscores' }, body: options.metrics.registry.text() }
      case '/proxy/health': return request.method === 'GET' ? answer(await whatAilsProxy(options.ownClient)) : notAllowed
      default: return await options.others?.(request) ?? notFound
    }
  }
}

const notAllowed: PlainResponse = { status: 405, headers: { ...checked, allow: 'GET' }, body: 'Method Not Allowed\n' }

async function memberMetrics({ memberMetrics: get, isSecure }: ProxyHttpOptions, request: PlainRequest): Promise<PlainResponse> {
  try {
    return { status: 200, headers: metricsType, body: await get(isSecure, request.signal) }
  } catch {
    return { status: 500, headers: checked, body: 'Internal server error\n' }
  }
}

function answer(reason: string): PlainResponse {
  if (reason === '') return { status: 200, headers: text, body: '{"health":"true","reason":""}' }
  return { status: 503, headers: checked, body: `${JSON.stringify({ health: 'false', reason })}\n` }
}

/** Empty: nothing. Who may not read has been answered. */
async function whatAils(client: EtcdClient): Promise<string> {
  try {
    await client.range({ key: anyKey }, AbortSignal.timeout(readMs))
    return ''
  } catch (error) {
    if (error instanceof EtcdError && error.reason === 'PermissionDenied') return ''
    return `GET ERROR:${error instanceof Error && error.name === 'TimeoutError' ? 'context deadline exceeded' : String(error instanceof Error ? error.message : error)}`
  }
}

async function whatAilsProxy(client: EtcdClient | undefined): Promise<string> {
  if (!client) return 'no connection to proxy'
  const reason = await whatAils(client)
  if (reason !== '') return reason
  const late = AbortSignal.timeout(watchMs)
  return await new Promise((told) => {
    const watch = client.watch({ key: anyKey }, { created: () => end(''), events: () => {}, closed: () => end('') })
    const end = (why: string): void => { late.removeEventListener('abort', onLate); watch[Symbol.dispose](); told(why) }
    const onLate = (): void => end('WATCH TIMEOUT')
    late.addEventListener('abort', onLate, { once: true })
  })
}
