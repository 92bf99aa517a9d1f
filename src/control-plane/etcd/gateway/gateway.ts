// etcd's JSON gateway: POST /v3/<method> with a message as JSON, answered as JSON; streamed answers are one {"result": …} a line.
// Every request goes through the same handler as a gRPC call. Upstream: etcd/server/embed/serve.go, grpc-gateway
import { decodeProto3, encodeProto3 } from '../../../lib/base/protobuf/proto3.ts'
import { etcdTable } from '../../../lib/etcd-api/generated/table.ts'
import {
  authService, clusterService, electionService, kvService, leaseService, lockService, maintenanceService, watchService,
} from '../../../lib/etcd-api/generated/services.ts'
import type { GrpcHandler, GrpcServerCall, GrpcStreamSink, PlainRequest, PlainResponse } from '../../../lib/net/grpc/grpc-server.ts'
import type { GrpcMethod, GrpcService } from '../../../lib/net/grpc/service.ts'
import { statusOfError, type GrpcCode } from '../../../lib/net/grpc/status.ts'
import { errorBody, GatewayCall } from './gateway-call.ts'
import { readDocuments, type JsonDocument } from './json-node.ts'
import { toProtoJson } from './proto-json.ts'
import { readProtoJson } from './read-proto-json.ts'

const json = { 'content-type': 'application/json' } as const
const emptyDocument: JsonDocument = { text: '{}', root: { kind: 'object', at: 0, raw: '{', members: [] } }

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

export interface Gateway {
  /** Answers undefined for paths that are not the gateway's. */
  answer(request: PlainRequest): Promise<PlainResponse> | undefined
  /** The method of a path, for those who carry messages some other way; undefined when there is none. */
  open(path: string): GatewayMethod | undefined
}

export interface GatewayMethod {
  readonly path: string
  readonly method: GrpcMethod
  readonly handler: GrpcHandler
  /** Told how a call ended. */
  ended(code: GrpcCode): void
  encodeRequest(document: JsonDocument): Uint8Array
}

/** @param onCallEnd told how each call ended */
export function createGateway(handlers: ReadonlyMap<string, GrpcHandler>, onCallEnd: (path: string, code: string) => void = () => {}): Gateway {
  const open = (path: string): GatewayMethod | undefined => {
    const route = Object.hasOwn(routes, path) ? routes[path] : undefined
    if (!route) return undefined
    const [service, name] = route
    const full = `/${service.name}/${name}`
    const method = service.methods[name]
    const handler = handlers.get(full)
    if (!method || !handler) return undefined
    return { path: full, method, handler, ended: (code) => onCallEnd(full, code), encodeRequest: (document) => encodeProto3(etcdTable, method.request, readProtoJson(etcdTable, method.request, document)) }
  }
  return {
    open: (target) => open(pathBelow(target) ?? ''),
    answer: (request) => {
      const path = pathBelow(request.path)
      if (path === undefined) return undefined
      const method = open(path)
      if (!method) return Promise.resolve(errorResponse({ code: 'NotFound', message: 'Not Found' }))
      if (request.method !== 'POST') return Promise.resolve(errorResponse({ code: 'Unimplemented', message: 'Method Not Allowed' }))
      return answer(method, request)
    },
  }
}

/** What follows /v3/ in a target; the path of the beta is served as the original still does. */
function pathBelow(target: string): string | undefined { return /^\/v3(?:beta)?\/([^?]*)/.exec(target)?.[1] }

async function answer(gatewayMethod: GatewayMethod, request: PlainRequest): Promise<PlainResponse> {
  const { handler, method, path } = gatewayMethod
  let status: GrpcCode = 'OK'
  try {
    const documents = readDocuments(request.body)
    const first = documents.next()
    // No body means an empty message.
    const message = gatewayMethod.encodeRequest(first.done ? emptyDocument : first.value)
    if ('unary' in handler) {
      const reply = await handler.unary(message, new GatewayCall(path, request))
      return { status: 200, headers: json, body: encodeJson(method, reply) }
    }
    return await stream(gatewayMethod, handler.stream, request, message, documents)
  } catch (error) {
    const failure = statusOfError(error)
    status = failure.code
    return errorResponse(failure)
  } finally {
    if ('unary' in handler) gatewayMethod.ended(status)
  }
}

/** The status is known when the first message, or the end, has come: until then nothing is sent. */
async function stream(
  { method, path, ended, encodeRequest }: GatewayMethod, open: (call: GrpcServerCall) => GrpcStreamSink, request: PlainRequest, first: Uint8Array, documents: Iterable<JsonDocument>,
): Promise<PlainResponse> {
  const call = new GatewayCall(path, request, (bytes) => `{"result":${encodeJson(method, bytes)}}\n`, ended)
  const sink = open(call)
  sink.message(first)
  // A stream that takes one message gets one; Watch and LeaseKeepAlive get all of the body.
  if (method.requestStream) {
    try {
      for (const document of documents) sink.message(encodeRequest(document))
    } catch {
      // What can't be read ends the messages, not the stream.
    }
  }
  // The keep-alives of a body end with it; a watch goes on.
  if (!method.requestStream || path.endsWith('/LeaseKeepAlive')) sink.end()
  await call.started
  if (call.failure && !call.hasOutput) return errorResponse(statusOfError(call.failure))
  return { status: 200, headers: json, body: '', stream: (out) => call.pipe(out) }
}

export function encodeJson(method: GrpcMethod, bytes: Uint8Array): string { return JSON.stringify(toProtoJson(etcdTable, method.response, decodeProto3<object>(etcdTable, method.response, bytes))) }

function errorResponse(status: { readonly code: GrpcCode; readonly message: string }): PlainResponse {
  return { status: httpStatuses[status.code], headers: json, body: errorBody(status) }
}
