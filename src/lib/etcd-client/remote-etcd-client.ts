// The EtcdClient of an etcd somewhere else, ours or the original, over gRPC.
//
// Reads go to the next endpoint when one can't be reached; changes are never sent twice. Each watch has a stream of its own; when that breaks
// it goes on, on the next endpoint, behind the last revision that it delivered.
import { decodeProto3, encodeProto3 } from '../base/protobuf/proto3.ts'
import { sleep, type Clock } from '../base/clock.ts'
import { EtcdError, etcdErrorFromStatus } from '../etcd-api/etcd-error.ts'
import { etcdTable } from '../etcd-api/generated/table.ts'
import type {
  CompactionRequest, LeaseGrantRequest, LeaseGrantResponse, LeaseKeepAliveRequest, LeaseKeepAliveResponse, LeaseLeasesResponse, LeaseTimeToLiveRequest, LeaseTimeToLiveResponse, RangeRequest, RangeResponse,
  StatusResponse, TxnResponse,
} from '../etcd-api/generated/types.ts'
import { rangeResponseFromWire, txnResponseFromWire, txnToWire } from '../etcd-api/wire-conversion.ts'
import { GrpcChannel, type ClientTls } from '../net/grpc/grpc-channel.ts'
import { GrpcError } from '../net/grpc/status.ts'
import type { EtcdClient, EtcdLeaseStatus, EtcdRangeRequest, EtcdRangeResponse, EtcdTxnRequest, EtcdTxnResponse, EtcdWatch, EtcdWatchObserver, EtcdWatchRequest } from './etcd-client.ts'
import { RemoteWatch } from './remote-watch.ts'

export interface RemoteEtcdOptions {
  /** Such as `https://10.0.0.1:2379`; the first that answers is used. */
  readonly endpoints: readonly string[]
  readonly clock: Clock
  readonly tls?: ClientTls
}

const kv = '/etcdserverpb.KV'
const lease = '/etcdserverpb.Lease'
const keepAliveMs = 30_000
const retryDelayMs = 100
/** Rounds over all endpoints before a read gives up. */
const readRounds = 3

export class RemoteEtcdClient implements EtcdClient, Disposable {
  readonly #channels: readonly GrpcChannel[]
  readonly #clock: Clock
  readonly #watches = new Set<RemoteWatch>()
  #current = 0

  constructor(options: RemoteEtcdOptions) {
    if (options.endpoints.length === 0) throw new EtcdError('InvalidArgument', 'etcdclient: no available endpoints')
    this.#clock = options.clock
    this.#channels = options.endpoints.map((target) => new GrpcChannel({ target, clock: options.clock, keepAliveMs, ...(options.tls ? { tls: options.tls } : {}) }))
  }

  async #call<T>(path: string, request: string, message: object, response: string, signal: AbortSignal, isRead: boolean): Promise<T> {
    const bytes = encodeProto3(etcdTable, request, message)
    for (let attempt = 1; ; attempt++) {
      const at = this.#current
      try {
        return decodeProto3<T>(etcdTable, response, await this.#channelAt(at).unary(path, bytes, { signal }))
      } catch (error) {
        if (!(error instanceof GrpcError)) throw error
        if (signal.aborted) throw signal.reason
        if (error.code === 'Unavailable') this.#advance(at)
        if (error.code !== 'Unavailable' || !isRead || attempt >= this.#channels.length * readRounds) throw etcdErrorFromStatus(error.code, error.message, { cause: error })
        if (attempt % this.#channels.length === 0) await sleep(this.#clock, retryDelayMs, signal)
      }
    }
  }

  #channelAt(at: number): GrpcChannel { return this.#channels[at % this.#channels.length]! } // cast: there is at least one

  /** Leaves an endpoint that failed, unless somebody else did so already. */
  #advance(from: number): void { if (this.#current === from) this.#current++ }

  async range(request: EtcdRangeRequest, signal: AbortSignal): Promise<EtcdRangeResponse> {
    return rangeResponseFromWire(await this.#call<RangeResponse>(`${kv}/Range`, 'RangeRequest', request satisfies RangeRequest, 'RangeResponse', signal, true))
  }

  async txn(request: EtcdTxnRequest, signal: AbortSignal): Promise<EtcdTxnResponse> {
    return txnResponseFromWire(await this.#call<TxnResponse>(`${kv}/Txn`, 'TxnRequest', txnToWire(request), 'TxnResponse', signal, false))
  }

  watch(request: EtcdWatchRequest, observer: EtcdWatchObserver): EtcdWatch {
    const watch: RemoteWatch = new RemoteWatch({
      request, observer, clock: this.#clock, onEnd: () => this.#watches.delete(watch),
      channel: () => {
        const at = this.#current
        return { channel: this.#channelAt(at), failed: () => this.#advance(at) }
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

  leaseKeepAlive(id: bigint, signal: AbortSignal): Promise<{ readonly ttlSeconds: number }> {
    return new Promise((resolve, reject) => {
      const at = this.#current
      const call = this.#channelAt(at).call(`${lease}/LeaseKeepAlive`, { signal }, {
        message: (bytes) => {
          resolve({ ttlSeconds: decodeProto3<LeaseKeepAliveResponse>(etcdTable, 'LeaseKeepAliveResponse', bytes).TTL ?? 0 })
          call.finish()
        },
        end: (error) => {
          if (error?.code === 'Unavailable') this.#advance(at)
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
    const status = await this.#call<StatusResponse>('/etcdserverpb.Maintenance/Status', 'StatusRequest', {}, 'StatusResponse', signal, true)
    return { version: status.version ?? '', dbSize: status.dbSize ?? 0, revision: status.header?.revision ?? 0 }
  }

  [Symbol.dispose](): void {
    for (const watch of this.#watches) watch.close()
    for (const channel of this.#channels) channel[Symbol.dispose]()
  }
}
