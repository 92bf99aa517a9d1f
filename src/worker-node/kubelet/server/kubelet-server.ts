// The kubelet's own server (port 10250): pods, logs, exec, attach, port-forward, statistics, metrics, health.
// Rules it keeps: nobody unknown is answered beyond 401; what a user may is asked before anything is looked up; a request ends with its connection.
// Upstream: pkg/kubelet/server/server.go
import { createServer as createHttp } from 'node:http'
import { createServer as createHttps } from 'node:https'
import { once } from 'node:events'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { refuseUpgrade } from '../../../lib/net/streaming/upgrade-request.ts'
import { isTlsSocket } from './tls-socket.ts'
import { accessAttributes, certificateUser } from './request-access.ts'
import { containerMetrics, kubeletMetrics, probeMetrics, resourceMetrics } from './metrics-text.ts'
import { respondContainerLogs } from './container-logs.ts'
import { respondRun, serveStreaming } from './streaming-routes.ts'
import { RequestError } from './kubelet-backend.ts'
import type { KubeletBackend } from './kubelet-backend.ts'
import type { AccessRules, KubeletUser } from './request-access.ts'
import type { KubeletSettings } from '../kubelet-options.ts'

export interface KubeletServerOptions extends AccessRules {
  /** 0 takes any. */
  readonly port: number
  /** Default `0.0.0.0`. */
  readonly address?: string
  /** PEM. Absent: plain HTTP, where nobody can be known, so only for tests. */
  readonly tls?: { readonly cert: string; readonly key: string }
  /** PEM of the authorities whose client certificates are accepted. */
  readonly clientCa?: string
  /** Plain health checks on 127.0.0.1; 0 or absent: none. */
  readonly healthzPort?: number
}

export interface KubeletServer {
  readonly port: number
  close(): Promise<void>
}

export async function startKubeletServer(options: KubeletServerOptions & KubeletBackend, signal: AbortSignal): Promise<KubeletServer> {
  const startedAtMs = options.clock.now()
  const handle = (request: IncomingMessage, response: ServerResponse): void => {
    const gone = new AbortController()
    response.once('close', () => gone.abort(new Error('the client is gone')))
    void answer(options, request, response, startedAtMs, AbortSignal.any([signal, gone.signal])).catch((error: unknown) => {
      if (response.headersSent) { response.destroy(); return }
      const code = error instanceof RequestError ? error.code : 500
      response.writeHead(code, { 'content-type': 'text/plain; charset=utf-8' })
      response.end(error instanceof Error ? error.message : String(error))
    })
  }
  const server: Server = options.tls
    ? createHttps({ cert: options.tls.cert, key: options.tls.key, ca: options.clientCa, requestCert: true, rejectUnauthorized: false, ALPNProtocols: ['http/1.1'] }, handle)
    : createHttp(handle)
  const sockets = new Set<Duplex>()
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', () => {})
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    void upgrade(options, request, socket, head, signal).catch((error: unknown) => {
      if (socket.writable) refuseUpgrade(socket, error instanceof RequestError ? error.code : 500, error instanceof Error ? error.message : String(error))
    })
  })
  server.on('clientError', (_error, socket) => socket.destroy())
  server.on('tlsClientError', () => {})
  server.listen(options.port, options.address ?? '0.0.0.0')
  await once(server, 'listening')
  const healthz = options.healthzPort ? await listenHealthz(options, options.healthzPort) : undefined
  return {
    port: (server.address() as AddressInfo).port, // cast: it listens on TCP
    async close() {
      for (const s of [server, healthz]) { s?.closeAllConnections(); s?.close() }
      for (const socket of sockets) socket.destroy()
      await Promise.resolve()
    },
  }
}

async function listenHealthz(backend: KubeletBackend, port: number): Promise<Server> {
  const server = createHttp((request, response) => {
    if (new URL(request.url ?? '/', 'http://x').pathname !== '/healthz') { response.writeHead(404).end(); return }
    respondHealth(backend, response)
  })
  server.on('error', (error) => backend.logger.warn('The health port could not be served', { port, error: error.message }))
  server.listen(port, '127.0.0.1')
  return server
}

function respondHealth(backend: KubeletBackend, response: ServerResponse): void {
  const problem = backend.health()
  response.writeHead(problem === undefined ? 200 : 500, { 'content-type': 'text/plain; charset=utf-8', 'x-content-type-options': 'nosniff' })
  response.end(problem === undefined ? 'ok' : `[+]ping ok\n[-]syncloop failed: ${problem}\nhealthz check failed\n`)
}

/** Throws RequestError 401 or 403. */
async function checkAccess(rules: AccessRules & KubeletBackend, request: IncomingMessage, path: string, signal: AbortSignal): Promise<KubeletUser> {
  const token = /^Bearer\s+(.+)$/i.exec(request.headers.authorization ?? '')?.[1]
  let user = isTlsSocket(request.socket) ? certificateUser(request.socket) : undefined
  if (!user && token !== undefined && rules.authenticateToken) user = await rules.authenticateToken(token, signal)
  if (!user && token === undefined && rules.allowAnonymous) user = { name: 'system:anonymous', groups: ['system:unauthenticated'] }
  if (!user) throw new RequestError(401, 'Unauthorized')
  if (!rules.authorize) return user
  const attributes = accessAttributes(request.method ?? 'GET', path)
  if (await rules.authorize(user, attributes, signal)) return user
  throw new RequestError(403, `Forbidden (user=${user.name}, verb=${attributes.verb}, resource=nodes, subresource(s)=[${attributes.subresources.join(' ')}])`)
}

async function answer(options: KubeletServerOptions & KubeletBackend, request: IncomingMessage, response: ServerResponse, startedAtMs: number, signal: AbortSignal): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://kubelet')
  const path = url.pathname
  await checkAccess(options, request, path, signal)
  const text = (body: string, type = 'text/plain; version=0.0.4; charset=utf-8'): void => { response.writeHead(200, { 'content-type': type }).end(body) }
  const json = (body: unknown): void => text(JSON.stringify(body), 'application/json')
  const [, first = '', ...rest] = path.split('/').map(decodeURIComponent)
  switch (first) {
    case 'healthz': respondHealth(options, response); return
    case 'pods': json({ kind: 'PodList', apiVersion: 'v1', metadata: {}, items: options.pods() }); return
    case 'runningpods': json({ kind: 'PodList', apiVersion: 'v1', metadata: {}, items: options.pods().filter((p) => p.status?.containerStatuses?.some((s) => s.state.running)) }); return
    case 'stats':
      if (rest[0] !== 'summary') throw new RequestError(404, '404 page not found')
      json(await options.stats.summary(url.searchParams.get('only_cpu_and_memory') === 'true', signal))
      return
    case 'metrics':
      switch (rest[0] ?? '') {
        case '': text(kubeletMetrics(options.nodeName, options.pods(), startedAtMs)); return
        case 'cadvisor': text(containerMetrics(await options.stats.usage(signal))); return
        case 'resource': text(resourceMetrics(await options.stats.usage(signal))); return
        case 'probes': text(probeMetrics(options.probes.counts.values(), options.pods())); return
        default: throw new RequestError(404, '404 page not found')
      }
    case 'configz': json({ kubeletconfig: { kind: 'KubeletConfiguration', apiVersion: 'kubelet.config.k8s.io/v1beta1', ...shownSettings(options.settings) } }); return
    case 'containerLogs': await respondContainerLogs(options, rest, url.searchParams, response, signal); return
    case 'run':
      if (request.method !== 'POST') throw new RequestError(405, 'Method Not Allowed')
      await respondRun(options, rest, url.searchParams, response, signal)
      return
    case 'exec': case 'attach': case 'portForward': throw new RequestError(400, 'Upgrade request required')
    default: throw new RequestError(404, '404 page not found')
  }
}

async function upgrade(options: KubeletServerOptions & KubeletBackend, request: IncomingMessage, socket: Duplex, head: Buffer, signal: AbortSignal): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://kubelet')
  await checkAccess(options, request, url.pathname, signal)
  const [, first = '', ...rest] = url.pathname.split('/').map(decodeURIComponent)
  await serveStreaming(options, first, rest, url.searchParams, { request, socket, head }, signal)
}

/** The settings under the names of KubeletConfiguration, as far as they have one. */
function shownSettings(settings: KubeletSettings): object {
  const seconds = (ms: number): string => `${ms / 1000}s`
  return {
    staticPodPath: settings.staticPodPath, syncFrequency: seconds(settings.syncFrequencyMs), fileCheckFrequency: seconds(settings.fileCheckFrequencyMs), clusterDomain: settings.clusterDomain, clusterDNS: settings.clusterDns,
    nodeStatusUpdateFrequency: seconds(settings.nodeStatusUpdateFrequencyMs), nodeStatusReportFrequency: seconds(settings.nodeStatusReportFrequencyMs), nodeLeaseDurationSeconds: settings.nodeLeaseDurationSeconds,
    imageMinimumGCAge: seconds(settings.imageMinimumGcAgeMs), imageGCHighThresholdPercent: settings.imageGcHighThresholdPercent, imageGCLowThresholdPercent: settings.imageGcLowThresholdPercent, maxPods: settings.maxPods,
    podPidsLimit: settings.podPidsLimit, resolvConf: settings.resolvConf, serializeImagePulls: settings.serializeImagePulls, evictionHard: settings.evictionHard, evictionPressureTransitionPeriod: seconds(settings.evictionPressureTransitionMs),
    containerLogMaxSize: `${settings.containerLogMaxBytes / 2 ** 20}Mi`, containerLogMaxFiles: settings.containerLogMaxFiles, cgroupsPerQOS: settings.cgroupsPerQos, streamingConnectionIdleTimeout: seconds(settings.streamingIdleTimeoutMs),
  }
}
