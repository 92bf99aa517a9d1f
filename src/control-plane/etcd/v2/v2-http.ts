// etcd's second API over HTTP, for `--enable-v2`: /v2/keys, /v2/members, /v2/machines, /v2/stats.
// Upstream: etcd v3.5, server/etcdserver/api/v2http
import type { PlainRequest, PlainResponse, PlainSink } from '../../../lib/net/grpc/grpc-server.ts'
import type { EtcdInternals } from '../embedded.ts'
import { parseV2Request, type V2Wait } from './parse-v2-request.ts'
import { describeFailure } from './v2-errors.ts'
import type { V2Event, V2Failure } from './v2-request.ts'

const longestWaitMs = 5 * 60_000
const json = { 'content-type': 'application/json' } as const

/** Answers undefined for paths that are not the second API's. */
export function answerV2(etcd: EtcdInternals, request: PlainRequest): Promise<PlainResponse> | undefined {
  const url = new URL(request.path, 'http://etcd')
  if (url.pathname === '/v2/keys' || url.pathname.startsWith('/v2/keys/')) return answerKeys(etcd, request, url)
  if (url.pathname.startsWith('/v2/')) return Promise.resolve(answerOther(etcd, request, url.pathname))
  return undefined
}

function headersOf(etcd: EtcdInternals, index: number): { readonly [name: string]: string } {
  return {
    ...json, 'X-Etcd-Cluster-Id': etcd.identity.clusterId.toString(16), 'X-Etcd-Index': String(index), 'X-Raft-Index': String(etcd.member.appliedIndex), 'X-Raft-Term': String(etcd.member.term),
  }
}

function refuse(etcd: EtcdInternals, failure: V2Failure): PlainResponse {
  const { status, body } = describeFailure(failure)
  return { status, headers: headersOf(etcd, failure.index), body }
}

async function answerKeys(etcd: EtcdInternals, request: PlainRequest, url: URL): Promise<PlainResponse> {
  if (!['GET', 'HEAD', 'PUT', 'POST', 'DELETE'].includes(request.method)) {
    return { status: 405, headers: { 'content-type': 'text/plain; charset=utf-8', allow: 'HEAD,GET,PUT,POST,DELETE' }, body: 'Method Not Allowed\n' }
  }
  const { machine } = etcd.member
  const form = new URLSearchParams(url.search)
  // What the body says stands before what the query says.
  const isForm = /^application\/x-www-form-urlencoded/i.test(String(request.headers['content-type'] ?? ''))
  const merged = new URLSearchParams([...(isForm ? new URLSearchParams(request.body.toString('utf8')) : []), ...form])
  const nowMs = etcd.clock.now()
  const asked = parseV2Request(request.method, decodeURIComponent(url.pathname.slice('/v2/keys'.length)), merged, nowMs)
  switch (asked.kind) {
    case 'bad': return refuse(etcd, { errorCode: asked.errorCode, cause: asked.cause, index: machine.v2.index })
    case 'wait': return wait(etcd, request, asked)
    case 'get': {
      etcd.member.checkServing(request.signal)
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

function answerOther(etcd: EtcdInternals, request: PlainRequest, path: string): PlainResponse {
  const { identity, member } = etcd
  const self = { id: identity.memberId.toString(16), name: etcd.name, peerURLs: etcd.peerUrls, clientURLs: etcd.clientUrls }
  const headers = { ...json, 'X-Etcd-Cluster-Id': identity.clusterId.toString(16) }
  const answer = (value: object): PlainResponse => ({ status: 200, headers, body: `${JSON.stringify(value)}\n` })
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    const known = path === `/v2/members/${self.id}` || path === '/v2/members'
    return { status: known ? 409 : 404, headers, body: `${JSON.stringify({ message: known ? 'this etcd runs as a single member' : 'No such member' })}\n` }
  }
  switch (path.replace(/\/$/, '')) {
    case '/v2/members': return answer({ members: [self] })
    case '/v2/members/leader': return answer(self)
    case '/v2/machines': return { status: 200, headers: { 'content-type': 'text/plain; charset=utf-8' }, body: etcd.clientUrls.join(', ') }
    case '/v2/stats/self': return answer({ name: etcd.name, id: self.id, state: 'StateLeader', leaderInfo: { leader: self.id }, recvAppendRequestCnt: 0, sendAppendRequestCnt: 0 })
    case '/v2/stats/leader': return answer({ leader: self.id, followers: {} })
    case '/v2/stats/store': return answer({ ...member.machine.v2.stats, watchers: member.machine.v2.watchers.count })
    default: return { status: 404, headers: { 'content-type': 'text/plain; charset=utf-8' }, body: '404 page not found\n' }
  }
}
