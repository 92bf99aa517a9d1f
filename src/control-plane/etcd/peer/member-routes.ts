// Questions of other members besides Raft, answered with `PeerRequests`. Upstream: etcdhttp/peer.go, etcdserver/{server,corrupt}.go, lease/leasehttp/http.go
import type { IncomingMessage, ServerResponse } from 'node:http'
import { encodeProto3, decodeProto3 } from '../../../lib/base/protobuf/proto3.ts'
import type { Clock } from '../../../lib/base/clock.ts'
import { etcdTable } from '../../../lib/etcd-api/generated/table.ts'
import type { LeaseKeepAliveRequest, LeaseKeepAliveResponse, LeaseTimeToLiveRequest, LeaseTimeToLiveResponse } from '../../../lib/etcd-api/generated/types.ts'
import { EtcdError } from '../../../lib/etcd-api/etcd-error.ts'
import { describeError, type Logger } from '../../../lib/component-base/log.ts'
import { encodeMembers } from '../membership/member-json.ts'
import { etcdVersion } from '../version.ts'
import { allowMethod, answer, answerError, answerJsonError, readBody, type BodyBudget } from './http-answers.ts'
import { clusterIdMismatch, formatId, headerText } from './peer-headers.ts'
import { decodeLeaseInternal, encodeLeaseInternal, peerErrorTexts, type PeerRequests } from './peer-requests.ts'

export interface MemberRoutesOptions {
  readonly clusterId: bigint
  readonly clock: Clock
  readonly logger: Logger
  readonly requests: PeerRequests
  readonly budget: BodyBudget
  /** A body that stops coming for this long is given up. */
  readonly readTimeoutMs: number
  /** For one answer: twice an election and the disk's slowness, seven seconds with the usual settings. */
  readonly requestTimeoutMs: number
}

const bodyLimitBytes = 64 << 10
const json = 'application/json'
const protobuf = 'application/protobuf'
const promotePrefix = '/members/promote/'

export class MemberRoutes {
  readonly #options: MemberRoutesOptions

  constructor(options: MemberRoutesOptions) { this.#options = options }

  /** @throws BodyError, or what ended the connection */
  async serve(path: string, request: IncomingMessage, response: ServerResponse, closing: AbortSignal): Promise<void> {
    const gone = new AbortController()
    const leave = (): void => gone.abort()
    response.once('close', leave)
    using timer = this.#options.clock.setTimer(this.#options.requestTimeoutMs, leave, { keepAlive: false })
    void timer
    const signal = AbortSignal.any([gone.signal, closing])
    try {
      if (path === '/members') this.#members(request, response)
      else if (path === '/members/hashkv') await this.#hash(request, response, signal)
      else if (path.startsWith(promotePrefix)) await this.#promote(path.slice(promotePrefix.length), request, response, signal)
      else if (path === '/leases' || path === '/leases/internal') await this.#lease(path, request, response, signal)
      else if (path === '/downgrade/enabled') await this.#downgrade(request, response, signal)
      else if (path === '/version') this.#version(request, response)
      else answer(response, 404, 'text/plain; charset=utf-8', '404 page not found\n', { 'X-Content-Type-Options': 'nosniff' })
    } finally {
      response.off('close', leave)
    }
  }

  #tellCluster(response: ServerResponse): void { response.setHeader('X-Etcd-Cluster-ID', formatId(this.#options.clusterId)) }

  #members(request: IncomingMessage, response: ServerResponse): void {
    if (!allowMethod(request, response, 'GET')) return
    this.#tellCluster(response)
    answer(response, 200, json, `${encodeMembers(this.#options.requests.members())}\n`)
  }

  #version(request: IncomingMessage, response: ServerResponse): void {
    if (!allowMethod(request, response, 'GET')) return
    const { cluster, storage } = this.#options.requests.versions()
    answer(response, 200, json, JSON.stringify({ etcdserver: etcdVersion, etcdcluster: cluster ?? 'not_decided', storage: storage ?? 'unknown' }))
  }

  async #promote(idText: string, request: IncomingMessage, response: ServerResponse, signal: AbortSignal): Promise<void> {
    if (!allowMethod(request, response, 'POST')) return
    this.#tellCluster(response)
    const { requests, logger } = this.#options
    const id = /^\d{1,20}$/.test(idText) ? BigInt(idText) : undefined
    if (id === undefined || id >= 2n ** 64n) { answerError(response, 404, `member ${idText.slice(0, 64)} not found in cluster`); return }
    const token = headerText(request.headers, 'authorization')
    try {
      answer(response, 200, json, `${encodeMembers(await requests.promote(id, token === '' ? undefined : token, signal))}\n`)
    } catch (error) {
      logger.warn('a learner was not promoted', { 'member-id': formatId(id), error: describeError(error) })
      const words = error instanceof EtcdError ? error.message : ''
      if (words === 'etcdserver: member not found') answerError(response, 404, peerErrorTexts.memberNotFound)
      else if (words === 'etcdserver: can only promote a learner member') answerError(response, 412, peerErrorTexts.memberNotLearner)
      else if (words === peerErrorTexts.learnerNotReady) answerError(response, 412, peerErrorTexts.learnerNotReady)
      else answerJsonError(response, 500, 'Internal Server Error')
    }
  }

  async #lease(path: '/leases' | '/leases/internal', request: IncomingMessage, response: ServerResponse, signal: AbortSignal): Promise<void> {
    if (!allowMethod(request, response, 'POST', false)) return
    const { requests, clock, budget, readTimeoutMs } = this.#options
    const body = await readBody(request, clock, budget, bodyLimitBytes, readTimeoutMs)
    const isRenewal = path === '/leases'
    let asked: { readonly id: bigint; readonly withKeys: boolean }
    try {
      asked = isRenewal ? { id: decodeProto3<LeaseKeepAliveRequest>(etcdTable, 'LeaseKeepAliveRequest', body).ID ?? 0n, withKeys: false } : readTimesRequest(body)
    } catch {
      answerError(response, 400, 'error unmarshalling request')
      return
    }
    const { id, withKeys } = asked
    try {
      if (isRenewal) {
        const renewed: LeaseKeepAliveResponse = { ID: id, TTL: await requests.renewLease(id, signal) }
        answer(response, 200, protobuf, encodeProto3(etcdTable, 'LeaseKeepAliveResponse', renewed))
      } else {
        const times = await requests.leaseTimes(id, withKeys, signal)
        const found: LeaseTimeToLiveResponse = { header: {}, ID: id, TTL: times.ttlSeconds, grantedTTL: times.grantedTtlSeconds, keys: times.keys }
        answer(response, 200, protobuf, encodeLeaseInternal('LeaseTimeToLiveResponse', found))
      }
    } catch (error) {
      if (!(error instanceof EtcdError)) answerError(response, signal.aborted ? 408 : 500, signal.aborted ? peerErrorTexts.applyTimeout : describeError(error))
      else if (error.reason === 'NotFound') answerError(response, 404, peerErrorTexts.leaseNotFound)
      else if (error.reason === 'DeadlineExceeded' || error.message.includes('waiting for the applied index') || error.message === 'etcdserver: request timed out') answerError(response, 408, peerErrorTexts.applyTimeout)
      else if (isRenewal) answerError(response, 400, error.message === 'etcdserver: not leader' ? peerErrorTexts.notPrimary : error.message)
      else answerError(response, 500, peerErrorTexts.notPrimary)
    }
  }

  async #hash(request: IncomingMessage, response: ServerResponse, signal: AbortSignal): Promise<void> {
    if (!allowMethod(request, response, 'GET')) return
    const { requests, clock, budget, clusterId, readTimeoutMs } = this.#options
    const asker = headerText(request.headers, 'x-etcd-cluster-id')
    if (asker !== '' && asker !== formatId(clusterId)) { answerError(response, 412, clusterIdMismatch); return }
    const body = await readBody(request, clock, budget, bodyLimitBytes, readTimeoutMs)
    const revision = readRevision(body)
    if (revision === undefined) { answerError(response, 400, 'error unmarshalling request'); return }
    try {
      const found = await requests.hashKeyValues(revision, signal)
      this.#tellCluster(response)
      answer(response, 200, json, JSON.stringify({
        header: { revision: found.currentRevision }, ...(found.hash !== 0 && { hash: found.hash }), ...(found.compactRevision !== 0 && { compact_revision: found.compactRevision }),
        ...(found.revision !== 0 && { hash_revision: found.revision }),
      }))
    } catch (error) {
      // The original's store says it without the prefix that clients see.
      answerError(response, 400, describeError(error).replace(/^etcdserver: /, ''))
    }
  }

  async #downgrade(request: IncomingMessage, response: ServerResponse, signal: AbortSignal): Promise<void> {
    if (!allowMethod(request, response, 'GET')) return
    this.#tellCluster(response)
    try {
      answer(response, 200, 'text/plain', String(await this.#options.requests.isDowngradeEnabled(signal)))
    } catch (error) {
      answerError(response, 500, `failed linearized read: ${describeError(error)}`)
    }
  }
}

function readTimesRequest(body: Uint8Array): { readonly id: bigint; readonly withKeys: boolean } {
  const inner = decodeLeaseInternal<LeaseTimeToLiveRequest>('LeaseTimeToLiveRequest', body)
  return { id: inner?.ID ?? 0n, withKeys: inner?.keys ?? false }
}

/** `{"revision":7}`, as Go writes a HashKVRequest; undefined when it is none. */
function readRevision(body: Buffer): number | undefined {
  try {
    const request: unknown = JSON.parse(body.toString('utf8'))
    if (typeof request !== 'object' || request === null) return undefined
    const revision: unknown = 'revision' in request ? request.revision : 0
    return typeof revision === 'number' && Number.isSafeInteger(revision) ? revision : undefined
  } catch {
    return undefined
  }
}
