// The EtcdClient of an etcd somewhere else, ours or the original, of one member or several, over gRPC.
//
// Rules it keeps: a read goes to the next endpoint when its own can't serve; a change is sent again only when it is certain that no server has seen
// it (its outcome is unknown otherwise, and the caller is told so). Each watch has a stream of its own; when that breaks it goes on, on the next
// endpoint, behind the last revision that it delivered. Upstream: etcd/client/v3 (retry_interceptor.go, watch.go), apiserver's storagebackend/factory
import { decodeProto3, encodeProto3 } from '../base/protobuf/proto3.ts'
import { sleep, type Clock } from '../base/clock.ts'
import type { Random } from '../base/random.ts'
import { EtcdError, etcdErrorFromStatus } from '../etcd-api/etcd-error.ts'
import { etcdTable } from '../etcd-api/generated/table.ts'
import type {
  AuthenticateRequest, AuthenticateResponse, CompactionRequest, LeaseGrantRequest, LeaseGrantResponse, LeaseKeepAliveRequest, LeaseKeepAliveResponse, LeaseLeasesResponse, LeaseTimeToLiveRequest, LeaseTimeToLiveResponse, RangeRequest, RangeResponse,
  StatusResponse, TxnResponse,
} from '../etcd-api/generated/types.ts'
import { rangeResponseFromWire, txnResponseFromWire, txnToWire } from '../etcd-api/wire-conversion.ts'
import { GrpcChannel, type ClientTls } from '../net/grpc/grpc-channel.ts'
import { GrpcError, GrpcNotSentError } from '../net/grpc/status.ts'
import { AuthToken, wantsNewToken, type EtcdUser } from './auth-token.ts'
import { EndpointBalancer, type Endpoint } from './endpoint-balancer.ts'
import type { EtcdClient, EtcdEndpointStatus, EtcdLeaseStatus, EtcdRangeRequest, EtcdRangeResponse, EtcdTxnRequest, EtcdTxnResponse, EtcdWatch, EtcdWatchObserver, EtcdWatchRequest } from './etcd-client.ts'
import { RemoteWatch } from './remote-watch.ts'

export interface RemoteEtcdOptions {
  /** Such as `https://10.0.0.1:2379`; the first that is connected is used. */
  readonly endpoints: readonly string[]
  readonly clock: Clock
  readonly tls?: ClientTls
  /** Spreads the attempts to connect. */
  readonly random?: Random
  readonly user?: EtcdUser
  /** How long calls wait for a connection when there is none, and reads for one that serves. Default 5 s. */
  readonly patienceMs?: number
  /** How often the server is asked whether it is there while there are calls (10 s, and no more often), and how long it has to answer (10 s). */
  readonly keepAlive?: { readonly timeMs: number; readonly timeoutMs: number }
}

const kv = '/etcdserverpb.KV'
const lease = '/etcdserverpb.Lease'
const statusPath = '/etcdserverpb.Maintenance/Status'
/** The server takes more than one in 5 s for an attack. */
const keepAliveMs = 10_000
const retryDelayMs = 25
const slowRetryDelayMs = 250
const defaultPatienceMs = 5000
const statusTimeoutMs = 2000
/** Tells the server what this client may be told. */
const clientVersion: { readonly [name: string]: string } = { 'client-api-version': '3.7.0' }

export class RemoteEtcdClient implements EtcdClient, Disposable {
  readonly #balancer: EndpointBalancer<GrpcChannel>
  readonly #clock: Clock
  readonly #patienceMs: number
  readonly #token: AuthToken | undefined
  readonly #watches = new Set<RemoteWatch>()

  constructor(options: RemoteEtcdOptions) {
    if (options.endpoints.length === 0) throw new EtcdError('InvalidArgument', 'etcdclient: no available endpoints')
    const { clock, endpoints, random, tls, user, keepAlive } = options
    const keepAliveOptions = { keepAliveMs: Math.max(keepAliveMs, keepAlive?.timeMs ?? 0), ...(keepAlive && { keepAliveTimeoutMs: keepAlive.timeoutMs }) }
    this.#clock = clock
    this.#patienceMs = options.patienceMs ?? defaultPatienceMs
    this.#balancer = new EndpointBalancer({
      endpoints, clock, patienceMs: this.#patienceMs, ...(random && { random }),
      open: (target, onDisconnect) => new GrpcChannel({ target, clock, ...keepAliveOptions, maxMessageBytes: 2 ** 31 - 1, userAgent: 'grpc-k8ts/1.0', onDisconnect, ...(tls && { tls }) }),
    })
    this.#token = user && new AuthToken(() => this.#authenticate(user))
  }

  async #authenticate({ name, password }: EtcdUser): Promise<string> {
    const request: AuthenticateRequest = { name, password }
    const signal = AbortSignal.timeout(this.#patienceMs)
    try {
      const answer = await this.#attempt('/etcdserverpb.Auth/Authenticate', encodeProto3(etcdTable, 'AuthenticateRequest', request), await this.#balancer.pick(signal), clientVersion, signal)
      return decodeProto3<AuthenticateResponse>(etcdTable, 'AuthenticateResponse', answer).token ?? ''
    } catch (error) {
      // Without authentication everybody may do everything.
      if (error instanceof EtcdError && error.message === 'etcdserver: authentication is not enabled') return ''
      throw error
    }
  }

  /** One try at one endpoint. @throws EtcdError; with a GrpcNotSentError as its cause when no server has seen it */
  async #attempt(path: string, bytes: Uint8Array, endpoint: Endpoint<GrpcChannel>, metadata: { readonly [name: string]: string }, signal: AbortSignal): Promise<Uint8Array> {
    try {
      return await endpoint.channel.unary(path, bytes, { signal, metadata })
    } catch (error) {
      if (!(error instanceof GrpcError)) throw error
      if (signal.aborted) throw signal.reason
      if (error.code === 'Unavailable') this.#balancer.avoid(endpoint)
      throw etcdErrorFromStatus(error.code, error.message, { cause: error })
    }
  }

  async #call<T>(path: string, request: string, message: object, response: string, signal: AbortSignal, isRead: boolean): Promise<T> {
    const bytes = encodeProto3(etcdTable, request, message)
    const count = this.#balancer.endpoints.length
    let startedAt: number | undefined
    let hasRenewed = false
    for (let attempt = 1; ; attempt++) {
      const endpoint = this.#balancer.ready ?? await this.#balancer.pick(signal)
      const token = this.#token && await this.#token.get()
      try {
        return decodeProto3<T>(etcdTable, response, await this.#attempt(path, bytes, endpoint, token ? { ...clientVersion, token } : clientVersion, signal))
      } catch (error) {
        if (!(error instanceof EtcdError)) throw error
        if (this.#token && !hasRenewed && wantsNewToken(error)) {
          hasRenewed = true
          await this.#token.renew(token ?? '')
          continue
        }
        if (error.reason !== 'Unavailable' || !(isRead || error.cause instanceof GrpcNotSentError)) throw error
        startedAt ??= this.#clock.monotonic()
        if (this.#clock.monotonic() - startedAt >= this.#patienceMs) throw error
        // Once around before the first wait; not too often while nobody serves.
        if (attempt % count === 0) await sleep(this.#clock, attempt < 10 * count ? retryDelayMs : slowRetryDelayMs, signal)
      }
    }
  }

  async range(request: EtcdRangeRequest, signal: AbortSignal): Promise<EtcdRangeResponse> {
    return rangeResponseFromWire(await this.#call<RangeResponse>(`${kv}/Range`, 'RangeRequest', request satisfies RangeRequest, 'RangeResponse', signal, true))
  }

  /** `Unavailable` means that the outcome is unknown, unless a GrpcNotSentError is the cause or nothing was connected. */
  async txn(request: EtcdTxnRequest, signal: AbortSignal): Promise<EtcdTxnResponse> {
    return txnResponseFromWire(await this.#call<TxnResponse>(`${kv}/Txn`, 'TxnRequest', txnToWire(request), 'TxnResponse', signal, false))
  }

  watch(request: EtcdWatchRequest, observer: EtcdWatchObserver): EtcdWatch {
    const watch: RemoteWatch = new RemoteWatch({
      request, observer, clock: this.#clock, onEnd: () => this.#watches.delete(watch),
      open: async (signal) => {
        const endpoint = this.#balancer.ready ?? await this.#balancer.pick(signal)
        const token = this.#token && await this.#token.get()
        return {
          channel: endpoint.channel, metadata: { ...clientVersion, hasleader: 'true', ...(token && { token }) },
          failed: () => { this.#balancer.avoid(endpoint) }, refusedToken: () => this.#token?.renew(token ?? ''),
        }
      },
    })
    this.#watches.add(watch)
    return watch
  }

  async compact(revision: number, signal: AbortSignal, options: { readonly physical?: boolean } = {}): Promise<void> {
    const request: CompactionRequest = { revision, physical: options.physical ?? false }
    await this.#call(`${kv}/Compact`, 'CompactionRequest', request, 'CompactionResponse', signal, false)
  }

  async leaseGrant(ttlSeconds: number, signal: AbortSignal, id: bigint = 0n): Promise<{ readonly id: bigint; readonly ttlSeconds: number }> {
    const request: LeaseGrantRequest = { TTL: ttlSeconds, ID: id }
    const granted = await this.#call<LeaseGrantResponse>(`${lease}/LeaseGrant`, 'LeaseGrantRequest', request, 'LeaseGrantResponse', signal, false)
    return { id: granted.ID ?? 0n, ttlSeconds: granted.TTL ?? 0 }
  }

  async leaseRevoke(id: bigint, signal: AbortSignal): Promise<void> {
    await this.#call(`${lease}/LeaseRevoke`, 'LeaseRevokeRequest', { ID: id }, 'LeaseRevokeResponse', signal, false)
  }

  async leaseKeepAlive(id: bigint, signal: AbortSignal): Promise<{ readonly ttlSeconds: number }> {
    const endpoint = this.#balancer.ready ?? await this.#balancer.pick(signal)
    const token = this.#token && await this.#token.get()
    return new Promise((resolve, reject) => {
      const call = endpoint.channel.call(`${lease}/LeaseKeepAlive`, { signal, metadata: { ...clientVersion, ...(token && { token }) } }, {
        message: (bytes) => {
          resolve({ ttlSeconds: decodeProto3<LeaseKeepAliveResponse>(etcdTable, 'LeaseKeepAliveResponse', bytes).TTL ?? 0 })
          call.finish()
        },
        end: (error) => {
          if (error?.code === 'Unavailable') this.#balancer.avoid(endpoint)
          reject(error ? etcdErrorFromStatus(error.code, error.message, { cause: error }) : new EtcdError('Unavailable', 'the stream ended without an answer'))
        },
      })
      const request: LeaseKeepAliveRequest = { ID: id }
      call.send(encodeProto3(etcdTable, 'LeaseKeepAliveRequest', request))
    })
  }

  async leaseTimeToLive(id: bigint, signal: AbortSignal, options: { readonly keys?: boolean } = {}): Promise<EtcdLeaseStatus> {
    const request: LeaseTimeToLiveRequest = { ID: id, keys: options.keys ?? false }
    const found = await this.#call<LeaseTimeToLiveResponse>(`${lease}/LeaseTimeToLive`, 'LeaseTimeToLiveRequest', request, 'LeaseTimeToLiveResponse', signal, true)
    return { ttlSeconds: found.TTL ?? 0, grantedTtlSeconds: found.grantedTTL ?? 0, keys: found.keys ?? [] }
  }

  async leases(signal: AbortSignal): Promise<readonly bigint[]> {
    const found = await this.#call<LeaseLeasesResponse>(`${lease}/LeaseLeases`, 'LeaseLeasesRequest', {}, 'LeaseLeasesResponse', signal, true)
    return (found.leases ?? []).map((one) => one.ID ?? 0n)
  }

  async status(signal: AbortSignal): Promise<{ readonly version: string; readonly dbSize: number; readonly revision: number }> {
    const status = await this.#call<StatusResponse>(statusPath, 'StatusRequest', {}, 'StatusResponse', signal, true)
    return { version: status.version ?? '', dbSize: status.dbSize ?? 0, revision: status.header?.revision ?? 0 }
  }

  /** Every endpoint is asked for itself; one that does not answer in time has no status. */
  endpointStatuses(signal: AbortSignal): Promise<readonly EtcdEndpointStatus[]> {
    const bytes = encodeProto3(etcdTable, 'StatusRequest', {})
    return Promise.all(this.#balancer.endpoints.map(async ({ target, channel }) => {
      try {
        const token = this.#token && await this.#token.get()
        const answer = decodeProto3<StatusResponse>(etcdTable, 'StatusResponse', await channel.unary(statusPath, bytes, { signal, timeoutMs: statusTimeoutMs, metadata: token ? { ...clientVersion, token } : clientVersion }))
        return { endpoint: target, version: answer.version ?? '', dbSize: answer.dbSize ?? 0 }
      } catch {
        return { endpoint: target }
      }
    }))
  }

  [Symbol.dispose](): void {
    for (const watch of this.#watches) watch.close()
    this.#balancer[Symbol.dispose]()
  }
}
