// etcd's JSON gateway: POST /v3/<method> with a message as JSON, answered as JSON; streamed answers are one {"result": …} a line.
// Every request goes through the same handler as a gRPC call. Upstream: etcd/server/embed/serve.go, grpc-gateway
import type { JsonValue } from '../../../lib/base/json.ts'
import { decodeProto3, encodeProto3 } from '../../../lib/base/protobuf/proto3.ts'
import { etcdTable } from '../../../lib/etcd-api/generated/table.ts'
import {
  authService, clusterService, electionService, kvService, leaseService, lockService, maintenanceService, watchService,
} from '../../../lib/etcd-api/generated/services.ts'
import type { GrpcHandler, GrpcServerCall, PlainRequest, PlainResponse, PlainSink } from '../../../lib/net/grpc/grpc-server.ts'
import type { GrpcMethod, GrpcService } from '../../../lib/net/grpc/service.ts'
import { codeNumber, statusOfError, type GrpcCode } from '../../../lib/net/grpc/status.ts'
import { parseJsonStream } from './json-stream.ts'
import { fromProtoJson, toProtoJson } from './proto-json.ts'

const json = { 'content-type': 'application/json' } as const

type Route = readonly [service: GrpcService, method: string]

const routes: { readonly [path: string]: Route } = {
  'kv/range': [kvService, 'Range'], 'kv/put': [kvService, 'Put'], 'kv/deleterange': [kvService, 'DeleteRange'], 'kv/txn': [kvService, 'Txn'], 'kv/compaction': [kvService, 'Compact'],
  watch: [watchService, 'Watch'],
  'lease/grant': [leaseService, 'LeaseGrant'], 'lease/revoke': [leaseService, 'LeaseRevoke'], 'kv/lease/revoke': [leaseService, 'LeaseRevoke'], 'lease/keepalive': [leaseService, 'LeaseKeepAlive'],
  'lease/timetolive': [leaseService, 'LeaseTimeToLive'], 'kv/lease/timetolive': [leaseService, 'LeaseTimeToLive'], 'lease/leases': [leaseService, 'LeaseLeases'], 'kv/lease/leases': [leaseService, 'LeaseLeases'],
  'cluster/member/add': [clusterService, 'MemberAdd'], 'cluster/member/remove': [clusterService, 'MemberRemove'], 'cluster/member/update': [clusterService, 'MemberUpdate'],
  'cluster/member/list': [clusterService, 'MemberList'], 'cluster/member/promote': [clusterService, 'MemberPromote'],
  'maintenance/alarm': [maintenanceService, 'Alarm'], 'maintenance/status': [maintenanceService, 'Status'], 'maintenance/defragment': [maintenanceService, 'Defragment'], 'maintenance/hash': [maintenanceService, 'Hash'],
  'maintenance/hashkv': [maintenanceService, 'HashKV'], 'maintenance/snapshot': [maintenanceService, 'Snapshot'], 'maintenance/transfer-leadership': [maintenanceService, 'MoveLeader'],
  'maintenance/downgrade': [maintenanceService, 'Downgrade'],
  'auth/enable': [authService, 'AuthEnable'], 'auth/disable': [authService, 'AuthDisable'], 'auth/status': [authService, 'AuthStatus'], 'auth/authenticate': [authService, 'Authenticate'],
  'auth/user/add': [authService, 'UserAdd'], 'auth/user/get': [authService, 'UserGet'], 'auth/user/list': [authService, 'UserList'], 'auth/user/delete': [authService, 'UserDelete'],
  'auth/user/changepw': [authService, 'UserChangePassword'], 'auth/user/grant': [authService, 'UserGrantRole'], 'auth/user/revoke': [authService, 'UserRevokeRole'],
  'auth/role/add': [authService, 'RoleAdd'], 'auth/role/get': [authService, 'RoleGet'], 'auth/role/list': [authService, 'RoleList'], 'auth/role/delete': [authService, 'RoleDelete'],
  'auth/role/grant': [authService, 'RoleGrantPermission'], 'auth/role/revoke': [authService, 'RoleRevokePermission'],
  'election/campaign': [electionService, 'Campaign'], 'election/proclaim': [electionService, 'Proclaim'], 'election/leader': [electionService, 'Leader'], 'election/observe': [electionService, 'Observe'],
  'election/resign': [electionService, 'Resign'], 'lock/lock': [lockService, 'Lock'], 'lock/unlock': [lockService, 'Unlock'],
}

const httpStatuses: { readonly [code in GrpcCode]: number } = {
  OK: 200, Canceled: 499, Unknown: 500, InvalidArgument: 400, DeadlineExceeded: 504, NotFound: 404, AlreadyExists: 409, PermissionDenied: 403, ResourceExhausted: 429, FailedPrecondition: 400,
  Aborted: 409, OutOfRange: 400, Unimplemented: 501, Internal: 500, Unavailable: 503, DataLoss: 500, Unauthenticated: 401,
}

export type Gateway = (request: PlainRequest) => Promise<PlainResponse> | undefined

/** Answers undefined for paths that are not the gateway's. */
export function createGateway(handlers: ReadonlyMap<string, GrpcHandler>): Gateway {
  return (request) => {
    // The path of the beta is served as the original still does.
    const match = /^\/v3(?:beta)?\/([^?]*)/.exec(request.path)
    if (!match) return undefined
    const path = match[1] ?? ''
    const route = Object.hasOwn(routes, path) ? routes[path] : undefined
    if (!route) return Promise.resolve(errorResponse({ code: 'NotFound', message: 'Not Found' }))
    if (request.method !== 'POST') return Promise.resolve(errorResponse({ code: 'Unimplemented', message: 'Method Not Allowed' }))
    const [service, name] = route
    const method = service.methods[name]
    const handler = handlers.get(`/${service.name}/${name}`)
    if (!method || !handler) return Promise.resolve(errorResponse({ code: 'Unimplemented', message: `method ${name} not implemented` }))
    return answer(handler, method, `/${service.name}/${name}`, request)
  }
}

async function answer(handler: GrpcHandler, method: GrpcMethod, path: string, request: PlainRequest): Promise<PlainResponse> {
  try {
    const values = parseJsonStream(request.body.toString('utf8'))
    const messages = values.map((value: JsonValue) => encodeProto3(etcdTable, method.request, fromProtoJson(etcdTable, method.request, value)))
    if ('unary' in handler) {
      const reply = await handler.unary(messages[0] ?? new Uint8Array(0), new GatewayCall(path, request))
      return { status: 200, headers: json, body: encodeJson(method, reply) }
    }
    // A stream that takes one message gets one; Watch and LeaseKeepAlive get all of the body, and stay open.
    return await stream(handler.stream, method, path, request, method.requestStream ? messages : [messages[0] ?? new Uint8Array(0)])
  } catch (error) {
    return errorResponse(statusOfError(error))
  }
}

/** The status is known when the first message, or the end, has come: until then nothing is sent. */
async function stream(open: (call: GrpcServerCall) => { message(bytes: Uint8Array): void; end(): void }, method: GrpcMethod, path: string, request: PlainRequest, messages: readonly Uint8Array[]): Promise<PlainResponse> {
  const call = new GatewayCall(path, request, (bytes) => `{"result":${encodeJson(method, bytes)}}\n`)
  const sink = open(call)
  for (const message of messages) sink.message(message)
  // The keep-alives of a body end with it; a watch goes on.
  if (!method.requestStream || path.endsWith('/LeaseKeepAlive')) sink.end()
  await call.started
  if (call.failure && !call.hasOutput) return errorResponse(statusOfError(call.failure))
  return { status: 200, headers: json, body: '', stream: (out) => call.pipe(out) }
}

function encodeJson(method: GrpcMethod, bytes: Uint8Array): string { return JSON.stringify(toProtoJson(etcdTable, method.response, decodeProto3<object>(etcdTable, method.response, bytes))) }

function errorBody({ code, message }: { readonly code: GrpcCode; readonly message: string }): string { return JSON.stringify({ code: codeNumber(code), message }) }

function errorResponse(status: { readonly code: GrpcCode; readonly message: string }): PlainResponse {
  return { status: httpStatuses[status.code], headers: json, body: errorBody(status) }
}

/** A gRPC call whose other end is an HTTP request. */
class GatewayCall implements GrpcServerCall {
  readonly path: string
  readonly headers: GrpcServerCall['headers']
  readonly signal: AbortSignal
  // The gateway calls with its own certificate in the original, so a name in one counts for nothing here.
  readonly clientCommonName = undefined
  readonly started: Promise<void>
  onDrain: (() => void) | undefined
  failure: unknown
  hasOutput = false
  readonly #format: (message: Uint8Array) => string
  readonly #start: () => void
  readonly #done: Promise<void>
  readonly #finish: () => void
  #waiting: string[] = []
  #waitingBytes = 0
  #out: PlainSink | undefined
  #ended = false

  constructor(path: string, request: PlainRequest, format: (message: Uint8Array) => string = () => '') {
    this.path = path
    this.headers = request.headers as GrpcServerCall['headers'] // cast: the same headers, typed more loosely
    this.signal = request.signal
    this.#format = format
    const started = Promise.withResolvers<void>()
    const done = Promise.withResolvers<void>()
    this.started = started.promise
    this.#start = started.resolve
    this.#done = done.promise
    this.#finish = done.resolve
    request.signal.addEventListener('abort', () => this.#close(), { once: true })
  }

  get queuedBytes(): number { return this.#waitingBytes + (this.#out?.queuedBytes ?? 0) }

  send(message: Uint8Array): void {
    if (this.#ended) return
    this.hasOutput = true
    const text = this.#format(message)
    if (this.#out) this.#out.write(text)
    else { this.#waiting.push(text); this.#waitingBytes += text.length }
    this.#start()
  }

  #drain(): string {
    const text = this.#waiting.join('')
    this.#waiting = []
    this.#waitingBytes = 0
    return text
  }

  end(): void { this.#close() }

  fail(error: unknown): void {
    if (this.#ended) return
    this.failure = error
    if (this.hasOutput) {
      const text = `{"error":${errorBody(statusOfError(error))}}\n`
      if (this.#out) this.#out.write(text)
      else this.#waiting.push(text)
    }
    this.#close()
  }

  #close(): void {
    this.#ended = true
    this.#start()
    this.#finish()
  }

  async pipe(out: PlainSink): Promise<void> {
    this.#out = out
    out.onDrain = () => this.onDrain?.()
    out.write(this.#drain())
    await this.#done
  }

  pause(): void {}
  resume(): void {}
}
