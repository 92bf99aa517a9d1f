// A connection of one kubectl call: kubeconfig and flags resolved, transport, mapper, and requests as commands need them.
import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import type { JsonObject } from '../../lib/base/json.ts'
import { isJsonObject } from '../../lib/base/json.ts'
import type { Status } from '../../lib/api/generated/types/meta-v1.ts'
import { ApiError } from '../../lib/client/api-error.ts'
import { createHttpTransport } from '../../lib/client/http-transport.ts'
import { KubeconfigError, kubeconfigPaths, loadKubeconfigs, resolveKubeconfig } from '../../lib/client/kubeconfig.ts'
import type { Kubeconfig } from '../../lib/client/kubeconfig.ts'
import type { HttpTransport, HttpTransportOptions } from '../../lib/client/http-transport.ts'
import type { ApiRequest, ApiResponse } from '../../lib/client/transport.ts'
import type { WatchEvent } from '../../lib/client/watch-event.ts'
import type { FlagValues } from '../../lib/component-base/flags.ts'
import { parseGoDuration } from '../../lib/component-base/flags.ts'
import { KubectlError } from './command.ts'
import type { KubectlContext } from './command.ts'
import { createResourceMapper } from './discovery/resource-mapper.ts'
import type { ResourceMapper } from './discovery/resource-mapper.ts'
import type { globalFlags } from './global-flags.ts'

export interface RequestOptions {
  readonly body?: JsonObject | Uint8Array
  readonly contentType?: string
  readonly accept?: string
}

export interface Session {
  readonly mapper: ResourceMapper
  /** Namespace of the request: `-n`, the context's, or `default`. */
  readonly namespace: string
  /** `-n` was given. */
  readonly namespaceGiven: boolean
  readonly kubeconfig: Kubeconfig
  readonly transportOptions: HttpTransportOptions
  /** A JSON answer. @throws ApiError, TransportError */
  request(method: ApiRequest['method'], path: string, options?: RequestOptions): Promise<JsonObject>
  /** The whole answer, of any kind. @throws ApiError, TransportError */
  send(method: ApiRequest['method'], path: string, options?: RequestOptions): Promise<ApiResponse>
  watch(path: string, options?: { readonly accept?: string; readonly signal?: AbortSignal }): AsyncIterable<readonly WatchEvent[]>
  /** Time of day, for ages. */
  nowMs(): number
  close(): void
}

/** Kubeconfig of the cluster that `k8ts cluster` runs here: used when the user has none. */
export const localClusterKubeconfigs: readonly string[] = ['/var/lib/k8ts/k8ts/kubeconfig', join(homedir(), '.local', 'share', 'k8ts', 'k8ts', 'kubeconfig')]

export function loadSessionKubeconfig(flags: Pick<FlagValues<typeof globalFlags>, 'kubeconfig'>, environment: KubectlContext['environment']): { readonly config: Kubeconfig; readonly paths: readonly string[] } {
  let paths = kubeconfigPaths(flags.kubeconfig || undefined, environment)
  if (!flags.kubeconfig && !environment['KUBECONFIG'] && !paths.some((p) => existsSync(p))) {
    const local = localClusterKubeconfigs.find((p) => existsSync(p))
    if (local) paths = [local]
  }
  return { config: loadKubeconfigs(paths, { mustExist: flags.kubeconfig !== '' }), paths }
}

export function openSession(flags: FlagValues<typeof globalFlags>, context: Omit<KubectlContext, 'session'>): Session {
  let resolved: ReturnType<typeof resolveKubeconfig>
  let kubeconfig: Kubeconfig
  try {
    kubeconfig = loadSessionKubeconfig(flags, context.environment).config
    resolved = resolveKubeconfig(kubeconfig, {
      ...(flags.context ? { context: flags.context } : {}), ...(flags.cluster ? { cluster: flags.cluster } : {}), ...(flags.user ? { user: flags.user } : {}), ...(flags.namespace ? { namespace: flags.namespace } : {}),
      ...(flags.server ? { server: flags.server } : {}), ...(flags.token ? { token: flags.token } : {}), ...(flags.as ? { as: flags.as } : {}), ...(flags['as-group'].length > 0 ? { asGroups: flags['as-group'] } : {}),
      ...(flags['certificate-authority'] ? { certificateAuthority: flags['certificate-authority'] } : {}), ...(flags['client-certificate'] ? { clientCertificate: flags['client-certificate'] } : {}),
      ...(flags['client-key'] ? { clientKey: flags['client-key'] } : {}), ...(flags['insecure-skip-tls-verify'] ? { insecureSkipTlsVerify: true } : {}), ...(flags['tls-server-name'] ? { tlsServerName: flags['tls-server-name'] } : {}),
    })
  } catch (error) {
    if (error instanceof KubeconfigError) throw flags.context && error.message.startsWith('context ') ? new KubectlError(`Error in configuration: context was not found for specified context: ${flags.context}`, 1, true) : new KubectlError(flags.cluster && error.message.startsWith('cluster ') ? `no server found for cluster ${JSON.stringify(flags.cluster)}` : error.message)
    throw error
  }
  const timeoutMs = /^\d+$/.test(flags['request-timeout']) ? Number(flags['request-timeout']) * 1000 : parseGoDuration(flags['request-timeout'])
  if (timeoutMs === undefined) throw new KubectlError(`Invalid timeout value. Timeout must be a single integer in seconds, or an integer followed by a corresponding time unit (e.g. 1s | 2m | 3h)`)
  const server = /^https?:\/\//.test(resolved.transport.server) ? resolved.transport.server : `${resolved.transport.server.endsWith(':443') || resolved.transport.certificateAuthority ? 'https' : 'http'}://${resolved.transport.server}`
  const transportOptions: HttpTransportOptions = { ...resolved.transport, server, clock: context.clock, userAgent: `kubectl/v1.37.0 (linux/amd64) kubernetes/k8ts` }
  let transport: HttpTransport | undefined
  const seenWarnings = new Set<string>()

  const send: Session['send'] = async (method, path, options = {}) => {
    transport ??= createHttpTransport(transportOptions)
    const headers: Record<string, string> = { accept: options.accept ?? 'application/json' }
    if (options.body !== undefined) headers['content-type'] = options.contentType ?? 'application/json'
    using timeout = timeoutSignal(context, timeoutMs)
    const response = await transport.request({ method, path, headers, signal: timeout.signal, ...(options.body === undefined ? {} : { body: options.body }) })
    for (const warning of parseWarnings(response.headers['warning'])) {
      if (seenWarnings.has(warning)) continue
      seenWarnings.add(warning)
      context.err(`Warning: ${warning}\n`)
    }
    if (response.status >= 400) throw new ApiError(statusOf(response))
    return response
  }
  const session: Session = {
    namespace: resolved.namespace, namespaceGiven: flags.namespace !== '', kubeconfig, transportOptions, send,
    mapper: createResourceMapper({ fetch: (path, accept) => send('GET', path, { accept }), server, clock: context.clock, cacheFolder: flags['cache-dir'] || join(context.environment['KUBECACHEDIR'] ?? join(context.environment['HOME'] ?? homedir(), '.kube', 'cache')) }),
    request: async (method, path, options) => objectOf(await send(method, path, options)),
    async *watch(path, options = {}) {
      transport ??= createHttpTransport(transportOptions)
      const response = await transport.request({ method: 'GET', path, headers: { accept: options.accept ?? 'application/json' }, signal: options.signal ?? context.signal })
      if (response.status >= 400) throw new ApiError(statusOf(response))
      if (response.body.kind === 'events') yield* response.body.events
    },
    nowMs: () => context.clock.now(),
    close: () => transport?.[Symbol.dispose](),
  }
  return session
}

function timeoutSignal(context: Pick<KubectlContext, 'clock' | 'signal'>, timeoutMs: number): Disposable & { readonly signal: AbortSignal } {
  if (timeoutMs === 0) return { signal: context.signal, [Symbol.dispose]: () => {} }
  const controller = new AbortController()
  const timer = context.clock.setTimer(timeoutMs, () => controller.abort(new KubectlError('the request timed out')))
  return { signal: AbortSignal.any([context.signal, controller.signal]), [Symbol.dispose]: () => timer[Symbol.dispose]() }
}

/** Texts of Warning headers: `299 - "text"`, several joined by commas. */
function parseWarnings(header: string | undefined): readonly string[] {
  if (!header) return []
  return [...header.matchAll(/299 \S+ "((?:[^"\\]|\\.)*)"/g)].map((m) => (m[1] ?? '').replace(/\\(.)/g, '$1'))
}

/** The body as JSON. */
export function objectOf(response: ApiResponse): JsonObject {
  if (response.body.kind === 'object') return response.body.object
  if (response.body.kind !== 'bytes') throw new KubectlError('the server sent a stream where an object was expected')
  const parsed: unknown = JSON.parse(Buffer.from(response.body.bytes).toString('utf8'))
  if (!isJsonObject(parsed)) throw new KubectlError('the server sent something that is no object')
  return parsed
}

export function textOf(response: ApiResponse): string {
  return response.body.kind === 'bytes' ? Buffer.from(response.body.bytes).toString('utf8') : response.body.kind === 'object' ? JSON.stringify(response.body.object) : ''
}

function statusOf(response: ApiResponse): Status {
  const text = textOf(response)
  try {
    const parsed: unknown = JSON.parse(text)
    if (isJsonObject(parsed) && parsed['kind'] === 'Status') return { code: response.status, ...parsed } as unknown as Status // cast: a Status by its kind
  } catch {
    // Not JSON: a proxy's or a plain 404 page; its text is the message.
  }
  const reason = response.status === 404 ? 'NotFound' : response.status === 401 ? 'Unauthorized' : response.status === 403 ? 'Forbidden' : response.status === 503 ? 'ServiceUnavailable' : ''
  const message = response.status === 404 ? 'the server could not find the requested resource' : text.trim() || `the server answered ${response.status}`
  return { metadata: {}, status: 'Failure', message, reason, code: response.status } as unknown as Status // cast: the fields that errors need
}
