// What the API server fetches from kubelets: logs, and the streams of exec, attach and port-forward; and the proxies to nodes, pods and services.
// Upstream: pkg/registry/core/pod/rest/{log,subresources}.go, pkg/registry/core/pod/strategy.go, pkg/kubelet/client
import { request as requestHttp } from 'node:http'
import type { IncomingMessage } from 'node:http'
import { request as requestHttps } from 'node:https'
import { fieldInvalid } from '../../../../lib/apimachinery/field-error.ts'
import type { FieldError } from '../../../../lib/apimachinery/field-error.ts'
import type { EndpointSlice } from '../../../../lib/api/generated/types/discovery-v1.ts'
import type { Node, Pod, Service } from '../../../../lib/api/generated/types/core-v1.ts'
import { endpointSlices } from '../../../../lib/client/resource-keys.ts'
import type { KubeletClientOptions } from '../../server-options.ts'
import { objectKey } from '../../storage/storage-keys.ts'
import type { Answer, ApiCall, TunnelTarget } from '../api-call.ts'
import { badRequest, internalError, invalid, notFound, serviceUnavailable } from '../api-errors.ts'
import type { CustomHandler } from '../dispatch.ts'
import type { ServedResource } from '../served-resource.ts'
import { cachedKind } from '../server-context.ts'
import type { ServerContext } from '../server-context.ts'
import { parseBoolean, parseInteger } from '../write-options.ts'

const preferredTypes = ['Hostname', 'InternalDNS', 'InternalIP', 'ExternalDNS', 'ExternalIP']
const defaultKubeletPort = 10_250

export function kubeletHandlers(options: KubeletClientOptions): readonly (readonly [string, CustomHandler])[] {
  const stream = (kind: 'exec' | 'attach' | 'portForward'): CustomHandler => async (server, resource, call) => {
    const pod = await podOf(resource, call)
    const node = nodeOf(server, pod)
    const { name, namespace = '' } = pod.metadata
    const query = new URLSearchParams()
    let path = `/portForward/${namespace}/${name}`
    if (kind === 'portForward') for (const port of call.query.getAll('ports')) query.append('port', port)
    else {
      path = `/${kind}/${namespace}/${name}/${containerOf(pod, call.query.get('container') ?? '')}`
      for (const [from, to] of [['stdin', 'input'], ['stdout', 'output'], ['stderr', 'error'], ['tty', 'tty']] as const) if (parseBoolean(call.query, from)) query.append(to, '1')
      if (kind === 'exec') for (const command of call.query.getAll('command')) query.append('command', command)
    }
    const text = query.toString()
    return { type: 'tunnel', target: { ...kubeletTarget(node, options), path: text === '' ? path : `${path}?${text}` } }
  }
  return [
    ['/pods/exec', stream('exec')],
    ['/pods/attach', stream('attach')],
    ['/pods/portforward', stream('portForward')],
    ['/pods/log', (server, resource, call) => readLog(server, resource, call, options)],
    ['/nodes/proxy', (server, resource, call) => proxyNode(server, resource, call, options)],
    ['/pods/proxy', (_server, resource, call) => proxyPod(resource, call)],
    ['/services/proxy', (server, resource, call) => proxyService(server, resource, call)],
  ]
}

async function podOf(resource: ServedResource | undefined, call: ApiCall): Promise<Pod> {
  const name = call.info.parts[1] ?? ''
  const found = await resource?.store.get(objectKey(call.info.namespace, name), call.signal)
  if (!found) throw notFound({ group: '', resource: 'pods' }, name)
  return found.object as Pod // cast: the pods' store
}

function nodeOf(server: ServerContext, pod: Pod): Node {
  const nodeName = pod.spec.nodeName ?? ''
  if (nodeName === '') throw badRequest(`pod ${pod.metadata.name} does not have a host assigned`)
  const node = server.stored.get('/nodes')?.store.cache.get(nodeName)
  if (!node) throw notFound({ group: '', resource: 'nodes' }, nodeName)
  return node.object as Node // cast: the nodes' cache
}

/** The container that is meant; with only one it needn't be named. @throws ApiError 400 */
export function containerOf(pod: Pod, asked: string): string {
  const { containers = [], initContainers = [], ephemeralContainers = [] } = pod.spec
  const { name } = pod.metadata
  if (asked !== '') {
    if (![...containers, ...initContainers, ...ephemeralContainers].some((c) => c.name === asked)) throw badRequest(`container ${asked} is not valid for pod ${name}`)
    return asked
  }
  if (containers.length === 1) return containers[0]?.name ?? ''
  const inits = initContainers.length > 0 ? ` or one of the init containers: [${initContainers.map((c) => c.name).join(' ')}]` : ''
  throw badRequest(`a container name must be specified for pod ${name}, choose one of: [${containers.map((c) => c.name).join(' ')}]${inits}`)
}

function kubeletTarget(node: Node, options: KubeletClientOptions): Omit<TunnelTarget, 'path'> {
  const addresses = node.status?.addresses ?? []
  let host: string | undefined
  for (const type of options.preferredAddressTypes ?? preferredTypes) host ??= addresses.find((a) => a.type === type)?.address
  // A host name that only the node itself knows is of no use here; kubelets on the same machine are reached by address.
  const internal = addresses.find((a) => a.type === 'InternalIP')?.address
  const chosen = options.preferredAddressTypes === undefined ? internal ?? host : host
  if (chosen === undefined) throw internalError(`no preferred addresses found; known addresses: ${JSON.stringify(addresses)}`)
  return {
    host: chosen, port: node.status?.daemonEndpoints?.kubeletEndpoint?.Port || defaultKubeletPort, tls: true,
    tlsOptions: {
      rejectUnauthorized: options.certificateAuthority !== undefined, ...(options.certificate !== undefined && { cert: options.certificate }), ...(options.key !== undefined && { key: options.key }),
      ...(options.certificateAuthority !== undefined && { ca: options.certificateAuthority }),
    },
  }
}

async function readLog(server: ServerContext, resource: ServedResource | undefined, call: ApiCall, options: KubeletClientOptions): Promise<Answer> {
  const pod = await podOf(resource, call)
  const query = logQuery(call)
  const container = containerOf(pod, call.query.get('container') ?? '')
  if ((pod.spec.nodeName ?? '') === '') return { type: 'bytes', status: 204, contentType: '', bytes: new Uint8Array() }
  const target = kubeletTarget(nodeOf(server, pod), options)
  const path = `/containerLogs/${pod.metadata.namespace ?? ''}/${pod.metadata.name}/${container}`
  const text = query.toString()
  const answer = await fetchFrom({ ...target, path: text === '' ? path : `${path}?${text}` }, 'GET', {}, undefined, call.signal)
  if ((answer.statusCode ?? 500) >= 400) throw await kubeletRefusal(answer, pod.metadata.name)
  return { type: 'stream', status: 200, headers: { 'content-type': 'text/plain' }, stream: answer }
}

/** @throws ApiError 422 */
function logQuery(call: ApiCall): URLSearchParams {
  const errors: FieldError[] = []
  const out = new URLSearchParams()
  const { query } = call
  const name = call.info.parts[1] ?? ''
  for (const flag of ['follow', 'previous', 'timestamps']) if (parseBoolean(query, flag)) out.set(flag, 'true')
  for (const [option, least] of [['tailLines', 0], ['limitBytes', 1], ['sinceSeconds', 1]] as const) {
    const value = parseInteger(query, option)
    if (value === undefined) continue
    if (value < least) errors.push(fieldInvalid(option, value, least === 0 ? 'must be greater than or equal to 0' : 'must be greater than 0'))
    out.set(option, String(value))
  }
  const sinceTime = query.get('sinceTime')
  if (sinceTime) {
    if (out.has('sinceSeconds')) errors.push({ type: 'Forbidden', field: '', body: 'Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified' })
    out.set('sinceTime', sinceTime)
  }
  if (query.has('stream') && query.get('stream') !== 'All') errors.push({ type: 'Forbidden', field: 'stream', body: 'Forbidden: may not be specified' })
  if (errors.length > 0) throw invalid('', 'PodLogOptions', name, errors)
  return out
}

/** A kubelet's refusal, in its own words. */
async function kubeletRefusal(answer: IncomingMessage, name: string): Promise<Error> {
  let text = ''
  for await (const piece of answer) { text += String(piece); if (text.length > 4096) break }
  const message = text.trim()
  if (answer.statusCode === 404) return notFound({ group: '', resource: 'pods' }, name)
  return (answer.statusCode ?? 500) < 500 ? badRequest(message) : internalError(message)
}

type Target = TunnelTarget

function fetchFrom(target: Target, method: string, headers: { readonly [name: string]: string }, body: Uint8Array | undefined, signal: AbortSignal): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const { host, port, path, tlsOptions } = target
    const options = { host, port, path, method, headers: { ...headers, ...(body && { 'content-length': String(body.length) }) }, signal, agent: false as const }
    const request = target.tls ? requestHttps({ ...options, ...tlsOptions }, resolve) : requestHttp(options, resolve)
    request.on('error', (error) => { reject(signal.aborted ? error : internalError(`${method.charAt(0)}${method.slice(1).toLowerCase()} "${target.tls ? 'https' : 'http'}://${host}:${port}${path}": ${error.message}`)) })
    request.end(body)
  })
}

/** The rest of the path after `/proxy`, with the query. */
function proxiedPath(call: ApiCall): string {
  const rest = call.info.parts.slice(3).map(encodeURIComponent).join('/')
  const query = call.query.toString()
  return `/${rest}${call.info.path.endsWith('/') && rest !== '' ? '/' : ''}${query === '' ? '' : `?${query}`}`
}

async function proxyTo(target: Omit<TunnelTarget, 'path'>, call: ApiCall): Promise<Answer> {
  const path = proxiedPath(call)
  if ((call.headers['upgrade'] ?? '') !== '') return { type: 'tunnel', target: { ...target, path } }
  const body = await call.readBody()
  const headers: { [name: string]: string } = { 'x-forwarded-uri': call.info.path }
  for (const [name, value] of Object.entries(call.headers)) if (!hopByHop.has(name)) headers[name] = value
  const answer = await fetchFrom({ ...target, path }, call.method, headers, body.kind === 'bytes' ? body.bytes : undefined, call.signal)
  const prefix = call.info.path.slice(0, call.info.path.indexOf('/proxy') + '/proxy'.length)
  const out: { [name: string]: string } = {}
  for (const [name, value] of Object.entries(answer.headers)) if (value !== undefined && !hopByHop.has(name)) out[name] = Array.isArray(value) ? value.join(', ') : value
  if (out['location']?.startsWith('/')) out['location'] = `${prefix}${out['location']}`
  return { type: 'stream', status: answer.statusCode ?? 502, headers: out, stream: answer }
}

const hopByHop: ReadonlySet<string> = new Set(['connection', 'keep-alive', 'proxy-authenticate', 'proxy-authorization', 'te', 'trailer', 'transfer-encoding', 'upgrade', 'host', 'authorization', 'content-length'])

async function proxyNode(server: ServerContext, _resource: ServedResource | undefined, call: ApiCall, options: KubeletClientOptions): Promise<Answer> {
  const [, name = '', port] = /^(?:https?:)?([^:]+)(?::(\d+))?:?$/.exec(call.info.parts[1] ?? '') ?? []
  const node = server.stored.get('/nodes')?.store.cache.get(name)
  if (!node) throw notFound({ group: '', resource: 'nodes' }, name)
  const target = kubeletTarget(node.object as Node, options) // cast: the nodes' cache
  return proxyTo(port === undefined ? target : { ...target, port: Number(port) }, call)
}

/** `[scheme:]name[:port]` */
function splitTarget(text: string): { readonly scheme: string; readonly name: string; readonly port: string } {
  const parts = text.split(':')
  if (parts.length >= 3 || parts[0] === 'http' || parts[0] === 'https') return { scheme: parts[0] ?? '', name: parts[1] ?? '', port: parts[2] ?? '' }
  return { scheme: '', name: parts[0] ?? '', port: parts[1] ?? '' }
}

async function proxyPod(resource: ServedResource | undefined, call: ApiCall): Promise<Answer> {
  const { scheme, name, port } = splitTarget(call.info.parts[1] ?? '')
  const found = await resource?.store.get(objectKey(call.info.namespace, name), call.signal)
  if (!found) throw notFound({ group: '', resource: 'pods' }, name)
  const pod = found.object as Pod // cast: the pods' store
  const ports = (pod.spec.containers ?? []).flatMap((c) => c.ports ?? [])
  const number = /^\d+$/.test(port) ? Number(port) : (ports.find((p) => port === '' || p.name === port)?.containerPort ?? 80)
  const host = pod.status?.podIP ?? ''
  if (host === '') throw badRequest('address not allowed')
  return proxyTo({ host, port: number, tls: scheme === 'https', ...(scheme === 'https' && { tlsOptions: { rejectUnauthorized: false } }) }, call)
}

async function proxyService(server: ServerContext, resource: ServedResource | undefined, call: ApiCall): Promise<Answer> {
  const { scheme, name, port } = splitTarget(call.info.parts[1] ?? '')
  const { namespace } = call.info
  const found = await resource?.store.get(objectKey(namespace, name), call.signal)
  if (!found) throw notFound({ group: '', resource: 'services' }, name)
  const service = found.object as Service // cast: the services' store
  const wanted = (service.spec.ports ?? []).find((p) => port === '' || p.name === port || String(p.port) === port)
  if (!wanted) throw serviceUnavailable(`no service port ${JSON.stringify(port)} found for service ${JSON.stringify(name)}`)
  const slices: readonly EndpointSlice[] = cachedKind(server.stored, endpointSlices).list(namespace).filter((s) => s.metadata.labels?.['kubernetes.io/service-name'] === name)
  for (const slice of slices) {
    const target = slice.ports?.find((p) => (p.name ?? '') === (wanted.name ?? ''))?.port
    const endpoint = slice.endpoints?.find((e) => e.conditions?.ready !== false)
    const host = endpoint?.addresses?.[0]
    if (target !== undefined && host !== undefined) return proxyTo({ host, port: target, tls: scheme === 'https', ...(scheme === 'https' && { tlsOptions: { rejectUnauthorized: false } }) }, call)
  }
  throw serviceUnavailable(`no endpoints available for service ${JSON.stringify(name)}`)
}
