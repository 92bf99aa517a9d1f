// etcd's second API over HTTP, for `--enable-v2`: /v2/keys, /v2/members, /v2/machines, /v2/stats.
// Upstream: etcd v3.5, server/etcdserver/api/v2http
import type { PlainRequest, PlainResponse, PlainSink } from '../../../lib/net/grpc/grpc-server.ts'
import type { EtcdInternals } from '../embedded.ts'
import { leaderIdOf, membersOf, raftOf } from '../v3rpc/cluster-view.ts'
import { notFound, parseTarget } from '../v3rpc/http-endpoints.ts'
import { parseV2Request, type V2Wait } from './parse-v2-request.ts'
import { answerAuth, httpError, mayAccessKeys, notAllowed } from './v2-auth-http.ts'
import { authFolder } from './v2-auth-store.ts'
import { describeFailure } from './v2-errors.ts'
import { answerMembers } from './v2-members.ts'
import type { V2Event, V2Failure } from './v2-request.ts'

const longestWaitMs = 5 * 60_000
const json = { 'content-type': 'application/json' } as const

/** Answers undefined for paths that are not the second API's. */
export function answerV2(etcd: EtcdInternals, request: PlainRequest): Promise<PlainResponse> | undefined {
  const url = parseTarget(request.path)
  if (!url || !/^\/v2(?:\/|$)/.test(url.pathname)) return undefined
  if (url.pathname === '/v2/keys' || url.pathname.startsWith('/v2/keys/')) return answerKeys(etcd, request, url)
  return answerOther(etcd, request, url.pathname)
}

function clusterHeader(etcd: EtcdInternals): { readonly [name: string]: string } { return { ...json, 'X-Etcd-Cluster-Id': etcd.identity.clusterId.toString(16) } }

function headersOf(etcd: EtcdInternals, index: number): { readonly [name: string]: string } {
  return { ...clusterHeader(etcd), 'X-Etcd-Index': String(index), 'X-Raft-Index': String(etcd.member.appliedIndex), 'X-Raft-Term': String(etcd.member.term) }
}

function refuse(etcd: EtcdInternals, failure: V2Failure): PlainResponse {
  const { status, body } = describeFailure(failure)
  return { status, headers: { ...clusterHeader(etcd), 'X-Etcd-Index': String(failure.index) }, body }
}

function decodePath(path: string): string | undefined {
  try {
    return decodeURIComponent(path)
  } catch {
    return undefined
  }
}

function isForm({ method, headers }: PlainRequest): boolean { return /^application\/x-www-form-urlencoded/i.test(String(headers['content-type'] ?? '')) && ['PUT', 'POST', 'PATCH'].includes(method) }

async function answerKeys(etcd: EtcdInternals, request: PlainRequest, url: URL): Promise<PlainResponse> {
  if (!['GET', 'HEAD', 'PUT', 'POST', 'DELETE'].includes(request.method)) return notAllowed('HEAD', 'GET', 'PUT', 'POST', 'DELETE')
  const { machine } = etcd.member
  const path = decodePath(url.pathname.slice('/v2/keys'.length))
  if (path === undefined) return { status: 400, headers: { 'content-type': 'text/plain; charset=utf-8' }, body: '400 Bad Request' }
  const body = isForm(request) ? request.body.toString('utf8') : ''
  const wrong = /%(?![0-9a-f]{2})[^&;]{0,2}/i.exec(`${body}&${url.search}`)?.[0]
  if (wrong !== undefined) return refuse(etcd, { errorCode: 210, cause: `invalid URL escape ${JSON.stringify(wrong)}`, index: 0 })
  // What the body says stands before what the query says.
  const merged = new URLSearchParams([...new URLSearchParams(body), ...new URLSearchParams(url.search)])
  const nowMs = etcd.clock.now()
  const asked = parseV2Request(request.method, path, merged, nowMs)
  if (asked.kind === 'bad') return refuse(etcd, { errorCode: asked.errorCode, cause: asked.cause, index: 0 })
  const { path: key, recursive = false } = asked.kind === 'change' ? asked.request : asked
  // A final slash tells a folder from a key where roles are asked.
  const named = key !== undefined && key !== '/' && path.endsWith('/') ? `${key}/` : key ?? '/'
  if (!await mayAccessKeys(etcd, request, named, recursive)) return refuse(etcd, { errorCode: 110, cause: 'Insufficient credentials', index: 0 })
  if (key === `/${authFolder}` || key?.startsWith(`/${authFolder}/`)) return refuse(etcd, { errorCode: 100, cause: key, index: machine.v2.index })
  switch (asked.kind) {
    case 'wait': return wait(etcd, request, asked)
    case 'get': {
      etcd.member.checkServing(request.signal)
      // A quorum read sees everything that was acknowledged anywhere before.
      if (asked.quorum) await etcd.client.range({ key: Uint8Array.of(0), limit: 1, keysOnly: true }, request.signal)
      const result = machine.v2.get(asked.path, asked.recursive, asked.sorted, nowMs)
      return 'failure' in result ? refuse(etcd, result.failure) : { status: 200, headers: headersOf(etcd, machine.v2.index), body: line(result.event) }
    }
    case 'change': {
      const applied = await etcd.client.propose({ type: 'v2', request: asked.request }, request.signal)
      if (applied.type !== 'v2') throw new TypeError('a v2 request gave another result')
      if ('failure' in applied.result) return refuse(etcd, applied.result.failure)
      const { event, index } = applied.result
      const isCreated = event.action === 'create' || (event.action === 'set' && !event.prevNode)
      const body = asked.noValueOnSuccess && ['set', 'update', 'create', 'compareAndSwap'].includes(event.action) ? `${JSON.stringify({ action: event.action })}\n` : line(event)
      return { status: isCreated ? 201 : 200, headers: headersOf(etcd, index), body }
    }
  }
}

function line(event: V2Event): string { return `${JSON.stringify(event)}\n` }

/** Long polling: the head goes out at once, the event when it comes; nothing after five minutes. */
function wait(etcd: EtcdInternals, request: PlainRequest, { path, recursive, sinceIndex, stream }: V2Wait): PlainResponse {
  const { v2 } = etcd.member.machine
  const { watchers, index } = v2
  const from = sinceIndex || index + 1
  const past = watchers.scan(path, recursive, from, index)
  if (past && 'errorCode' in past) return refuse(etcd, past)
  const headers = headersOf(etcd, index)
  if (past && !stream) return { status: 200, headers, body: line(past.event) }
  return {
    status: 200, headers, body: past ? line(past.event) : '',
    stream: (sink: PlainSink) => new Promise((resolve) => {
      const end = (): void => {
        waiting[Symbol.dispose]()
        timer[Symbol.dispose]()
        resolve()
      }
      const waiting = watchers.wait({
        path, recursive, sinceIndex: past ? past.index + 1 : from,
        onEvent: ({ event }) => {
          sink.write(line(event))
          if (!stream) end()
        },
      })
      const timer = etcd.clock.setTimer(longestWaitMs, end, { keepAlive: false })
      for (const signal of [request.signal, etcd.member.broken]) {
        if (signal.aborted) end()
        else signal.addEventListener('abort', end, { once: true })
      }
    }),
  }
}

async function answerOther(etcd: EtcdInternals, request: PlainRequest, path: string): Promise<PlainResponse> {
  const { member } = etcd
  const members = /^\/v2\/members(?:\/(.*))?$/.exec(path)
  if (members) return await answerMembers(etcd, request, members[1] ?? '')
  if (path.startsWith('/v2/auth/')) return await answerAuth(etcd, request, path.slice('/v2/auth'.length)) ?? notFound
  const answer = (value: object): PlainResponse => ({ status: 200, headers: json, body: `${JSON.stringify(value)}` })
  if (path === '/v2/machines') {
    if (request.method !== 'GET' && request.method !== 'HEAD') return notAllowed('GET', 'HEAD')
    return { status: 200, headers: { 'content-type': 'text/plain; charset=utf-8' }, body: membersOf(etcd).flatMap(({ clientUrls }) => clientUrls).join(', ') }
  }
  const statistics = /^\/v2\/stats\/(self|leader|store)$/.exec(path)?.[1]
  if (statistics === undefined) return notFound
  if (request.method !== 'GET') return notAllowed('GET')
  if (statistics === 'store') return answer({ ...member.machine.v2.stats, watchers: member.machine.v2.watchers.count })
  return statistics === 'self' ? answer(selfStatistics(etcd)) : leaderStatistics(etcd) ?? httpError(403, 'not current leader')
}

function selfStatistics(etcd: EtcdInternals): object {
  const { isLeader } = raftOf(etcd)
  const startedMs = etcd.clock.now() - process.uptime() * 1000
  const startTime = new Date(startedMs).toISOString()
  return {
    name: etcd.name, id: etcd.identity.memberId.toString(16), state: isLeader ? 'StateLeader' : 'StateFollower', startTime,
    leaderInfo: { leader: leaderIdOf(etcd).toString(16), uptime: `${process.uptime()}s`, startTime }, recvAppendRequestCnt: 0, sendAppendRequestCnt: 0,
  }
}

function leaderStatistics(etcd: EtcdInternals): PlainResponse | undefined {
  if (!raftOf(etcd).isLeader) return undefined
  const self = etcd.identity.memberId
  const figures = new Map(Array.from(etcd.member.transport?.figures ?? [], (peer) => [peer.id, peer] as const))
  const followers = Object.fromEntries(membersOf(etcd).filter(({ id }) => id !== self).map(({ id }) => {
    const peer = figures.get(id)
    // Of the times only the mean is kept.
    const ms = (peer?.roundTrip.mean ?? 0) * 1000
    return [id.toString(16), { latency: { current: ms, average: ms, standardDeviation: 0, minimum: ms, maximum: ms }, counts: { fail: peer?.sendFailures ?? 0, success: peer?.roundTrip.count ?? 0 } }]
  }))
  return { status: 200, headers: json, body: JSON.stringify({ leader: self.toString(16), followers }) }
}
