// /v2/members: the cluster's members, added, moved and removed with the same checks as in the third API. Upstream: etcd v3.4, etcdserver/api/v2http/client.go
import { isJsonObject, type JsonValue } from '../../../lib/base/json.ts'
import { EtcdError } from '../../../lib/etcd-api/etcd-error.ts'
import type { Member, MemberAddRequest, MemberAddResponse, MemberRemoveRequest, MemberUpdateRequest } from '../../../lib/etcd-api/generated/types.ts'
import type { PlainRequest, PlainResponse } from '../../../lib/net/grpc/grpc-server.ts'
import type { EtcdInternals } from '../embedded.ts'
import { scanValue, skipSpace } from '../gateway/json-scanner.ts'
import { normalizeUrls, UrlError } from '../membership/parse-urls.ts'
import type { Peer } from '../v3rpc/access.ts'
import { clusterImplementation } from '../v3rpc/cluster-service.ts'
import { leaderIdOf, membersOf, type MemberView } from '../v3rpc/cluster-view.ts'
import { hasRootAccess, httpError, noCredentials, notAllowed } from './v2-auth-http.ts'
import { textsOf } from './v2-auth-store.ts'

type Call<Request, Response> = (request: Request, signal: AbortSignal, peer: Peer) => Promise<Response>

interface ClusterService {
  readonly memberAdd: Call<MemberAddRequest, MemberAddResponse>
  readonly memberRemove: Call<MemberRemoveRequest, unknown>
  readonly memberUpdate: Call<MemberUpdateRequest, unknown>
}

interface ShownMember { readonly id: string; readonly name: string; readonly peerURLs: readonly string[]; readonly clientURLs: readonly string[] }

function shown({ id, name, peerUrls, clientUrls }: MemberView): ShownMember { return { id: id.toString(16), name, peerURLs: peerUrls, clientURLs: clientUrls } }

/** @param path below /v2/members, without the first slash */
export async function answerMembers(etcd: EtcdInternals, request: PlainRequest, path: string): Promise<PlainResponse> {
  if (!['GET', 'POST', 'DELETE', 'PUT'].includes(request.method)) return notAllowed('GET', 'POST', 'DELETE', 'PUT')
  if (request.method !== 'GET' && !await hasRootAccess(etcd, request)) return noCredentials
  const headers = { 'X-Etcd-Cluster-Id': etcd.identity.clusterId.toString(16) }
  const answer = (status: number, value: object): PlainResponse => ({ status, headers: { ...headers, 'content-type': 'application/json' }, body: `${JSON.stringify(value)}\n` })
  if (request.method === 'GET') {
    if (path === '') return answer(200, { members: membersOf(etcd).map(shown) })
    if (path !== 'leader') return httpError(404, 'Not found', headers)
    const leader = membersOf(etcd).find(({ id }) => id === leaderIdOf(etcd))
    return leader ? answer(200, shown(leader)) : httpError(503, 'During election', headers)
  }
  // Spelled out: what the methods take is the same whoever implements them.
  const cluster = clusterImplementation(etcd) as ClusterService // cast: the methods of etcdserverpb.Cluster
  const peer: Peer = { headers: request.headers, clientCommonName: request.clientCommonName }
  if (request.method === 'POST') {
    const peerURLs = peerUrlsOf(request)
    if (!Array.isArray(peerURLs)) return { ...peerURLs, headers: { ...headers, ...peerURLs.headers } }
    try {
      const { member = {} } = await cluster.memberAdd({ peerURLs }, request.signal, peer)
      return answer(201, shownFromWire(member))
    } catch (error) {
      return refusal(error, '', headers)
    }
  }
  if (path === '') return { status: 405, headers: { ...headers, 'content-type': 'text/plain; charset=utf-8', 'x-content-type-options': 'nosniff' }, body: 'Method Not Allowed\n' }
  const id = /^[0-9a-f]{1,16}$/i.test(path) ? BigInt(`0x${path}`) : undefined
  if (id === undefined) return httpError(404, `No such member: ${path}`, headers)
  if (request.method === 'DELETE') {
    if (etcd.member.machine.membership.removed.has(id)) return httpError(410, `Member permanently removed: ${id.toString(16)}`, headers)
    return await done(cluster.memberRemove({ ID: id }, request.signal, peer), id, headers)
  }
  const peerURLs = peerUrlsOf(request)
  if (!Array.isArray(peerURLs)) return { ...peerURLs, headers: { ...headers, ...peerURLs.headers } }
  return await done(cluster.memberUpdate({ ID: id, peerURLs }, request.signal, peer), id, headers)
}

function shownFromWire({ ID = 0n, name = '', peerURLs = [], clientURLs = [] }: Member): ShownMember { return { id: ID.toString(16), name, peerURLs, clientURLs } }

async function done(change: Promise<unknown>, id: bigint, headers: { readonly [name: string]: string }): Promise<PlainResponse> {
  try {
    await change
    return { status: 204, headers, body: '' }
  } catch (error) {
    return refusal(error, id.toString(16), headers)
  }
}

function refusal(error: unknown, id: string, headers: { readonly [name: string]: string }): PlainResponse {
  if (!(error instanceof EtcdError)) throw error
  if (error.reason === 'NotFound') return httpError(404, `No such member: ${id}`, headers)
  if (error.message === 'etcdserver: Peer URLs already exists') return httpError(409, 'membership: peerURL exists', headers)
  if (error.message === 'etcdserver: member ID already exist') return httpError(409, 'membership: ID exists', headers)
  return httpError(500, 'Internal Server Error', headers)
}

/** The request's addresses, or what is wrong with it. */
function peerUrlsOf(request: PlainRequest): string[] | PlainResponse {
  const type = String(request.headers['content-type'] ?? '').split(';')[0] ?? ''
  if (type !== 'application/json') return httpError(415, `Bad Content-Type ${type}, accept application/json`)
  try {
    const value = JSON.parse(request.body.toString('utf8')) as JsonValue // cast: JSON.parse gives JSON
    return [...normalizeUrls(textsOf(isJsonObject(value) ? value['peerURLs'] : undefined))]
  } catch (error) {
    return httpError(400, error instanceof UrlError ? error.message : syntaxProblem(request.body))
  }
}

function syntaxProblem(body: Uint8Array): string {
  try {
    scanValue(body, skipSpace(body, 0))
    return 'unexpected end of JSON input'
  } catch (error) {
    return error instanceof Error && error.message !== 'unexpected EOF' ? error.message : 'unexpected end of JSON input'
  }
}
