// A watch over gRPC that survives its connection: it opens again behind what it delivered, until it is cancelled, compacted or refused.
//
// Rules it keeps: what was delivered is never delivered again, whatever a server repeats; a member that has lost its leader says so (`hasleader`)
// and is left for another. Upstream: etcd/client/v3/watch.go
import { decodeProto3, encodeProto3 } from '../base/protobuf/proto3.ts'
import type { Clock, Timer } from '../base/clock.ts'
import { EtcdError, etcdErrorFromStatus } from '../etcd-api/etcd-error.ts'
import { etcdTable } from '../etcd-api/generated/table.ts'
import type { FilterType, WatchRequest, WatchResponse } from '../etcd-api/generated/types.ts'
import { eventFromWire } from '../etcd-api/wire-conversion.ts'
import { isTokenProblem } from './auth-token.ts'
import type { GrpcChannel, GrpcClientCall } from '../net/grpc/grpc-channel.ts'
import type { GrpcError } from '../net/grpc/status.ts'
import type { EtcdEvent, EtcdWatch, EtcdWatchObserver, EtcdWatchRequest } from './etcd-client.ts'

export interface RemoteWatchOptions {
  readonly request: EtcdWatchRequest
  readonly observer: EtcdWatchObserver
  readonly clock: Clock
  readonly onEnd: () => void
  /** Where to open it. Rejects when there is no server for the time being. */
  readonly open: (signal: AbortSignal) => Promise<WatchOpening>
}

export interface WatchOpening {
  readonly channel: GrpcChannel
  readonly metadata: { readonly [name: string]: string }
  /** The server does not serve. */
  failed(): void
  /** The server does not take the token that it was opened with. */
  refusedToken(): Promise<void> | undefined
}

const firstRetryMs = 50
const lastRetryMs = 3000

export class RemoteWatch implements EtcdWatch {
  readonly #options: RemoteWatchOptions
  readonly #abort = new AbortController()
  #call: GrpcClientCall | undefined
  #opening: WatchOpening | undefined
  #hasRenewed = false
  #timer: Timer | undefined
  #retryMs = firstRetryMs
  #created = false
  #wantsProgress = false
  /** First revision that was not delivered; 0 while the start is not known. */
  #next: number
  #fragments: EtcdEvent[] = []
  #ended = false

  constructor(options: RemoteWatchOptions) {
    this.#options = options
    this.#next = options.request.startRevision ?? 0
    queueMicrotask(() => { void this.#open() })
  }

  async #open(): Promise<void> {
    if (this.#ended) return
    let opening: WatchOpening
    try {
      opening = await this.#options.open(this.#abort.signal)
    } catch (error) {
      if (error instanceof EtcdError && error.reason !== 'Unavailable' && error.reason !== 'DeadlineExceeded') this.#end({ error })
      else this.#openLater()
      return
    }
    // cast: it may have ended while this waited
    if (this.#ended as boolean) return
    const { request } = this.#options
    const filters: FilterType[] = [...(request.noPut ? ['NOPUT' as const] : []), ...(request.noDelete ? ['NODELETE' as const] : [])]
    this.#fragments = []
    this.#opening = opening
    this.#call = opening.channel.call('/etcdserverpb.Watch/Watch', { signal: this.#abort.signal, metadata: opening.metadata }, {
      message: (bytes) => this.#answer(decodeProto3<WatchResponse>(etcdTable, 'WatchResponse', bytes)),
      end: (error) => this.#broken(error),
    })
    this.#send({
      createRequest: {
        key: request.key, ...(request.rangeEnd ? { rangeEnd: request.rangeEnd } : {}), startRevision: this.#next, prevKv: request.prevKv ?? false, progressNotify: request.progressNotify ?? false, filters, fragment: true,
      },
    })
  }

  #openLater(): void {
    if (this.#ended) return
    this.#timer = this.#options.clock.setTimer(this.#retryMs, () => { void this.#open() }, { keepAlive: false })
    this.#retryMs = Math.min(this.#retryMs * 2, lastRetryMs)
  }

  #send(request: WatchRequest): void { this.#call?.send(encodeProto3(etcdTable, 'WatchRequest', request)) }

  #answer(response: WatchResponse): void {
    if (this.#ended) return
    const revision = response.header?.revision ?? 0
    if (response.canceled) {
      const { compactRevision = 0, cancelReason = '' } = response
      if (isTokenProblem(cancelReason) && !this.#hasRenewed) { void this.#renewToken(); return }
      if (compactRevision > 0) this.#end({ compactRevision })
      else this.#end({ error: etcdErrorFromStatus(cancelReason.includes('permission denied') ? 'PermissionDenied' : 'Canceled', cancelReason || 'etcdserver: watch canceled') })
      return
    }
    if (response.created) {
      this.#retryMs = firstRetryMs
      this.#hasRenewed = false
      if (this.#next === 0) this.#next = revision + 1
      if (!this.#created) {
        this.#created = true
        this.#tell(() => this.#options.observer.created?.(revision))
      }
      if (this.#wantsProgress) this.#send({ progressRequest: {} })
      return
    }
    // What a server repeats after a break has been delivered.
    const events = [...this.#fragments, ...(response.events ?? []).map(eventFromWire).filter((event) => event.kv.modRevision >= this.#next)]
    if (response.fragment) { this.#fragments = events; return }
    this.#fragments = []
    const last = events.at(-1)
    if (!last) {
      if ((response.events ?? []).length > 0) return
      this.#wantsProgress = false
      this.#next = Math.max(this.#next, revision + 1)
      this.#tell(() => this.#options.observer.events([], revision))
      return
    }
    // What the header says may be beyond what a watch that is catching up has got.
    const delivered = last.kv.modRevision
    this.#next = delivered + 1
    this.#tell(() => this.#options.observer.events(events, delivered))
  }

  #broken(error: GrpcError | undefined): void {
    const opening = this.#opening
    this.#call = undefined
    this.#opening = undefined
    if (this.#ended || !opening) return
    const retries = error === undefined || error.code === 'Unavailable' || error.code === 'Internal' || error.code === 'Canceled' || error.code === 'Unknown'
    if (!retries) { this.#end({ error: etcdErrorFromStatus(error.code, error.message, { cause: error }) }); return }
    opening.failed()
    this.#openLater()
  }

  /** Leaves the stream, and opens another with a new token. */
  async #renewToken(): Promise<void> {
    const call = this.#call
    const opening = this.#opening
    this.#hasRenewed = true
    this.#call = undefined
    this.#opening = undefined
    call?.cancel()
    await opening?.refusedToken()
    this.#openLater()
  }

  /** An observer that throws loses its watch. */
  #tell(call: () => void): void {
    try {
      call()
    } catch (error) {
      this.#end({ error: error instanceof Error ? error : new Error(String(error)) })
    }
  }

  #end(end: Parameters<EtcdWatchObserver['closed']>[0]): void {
    if (this.#ended) return
    this.#ended = true
    this.#options.onEnd()
    this.#timer?.[Symbol.dispose]()
    this.#abort.abort()
    this.#options.observer.closed(end)
  }

  requestProgress(): void {
    this.#wantsProgress = true
    if (this.#created) this.#send({ progressRequest: {} })
  }

  /** Ends because the client does. */
  close(): void { this.#end({ error: new EtcdError('Canceled', 'etcdclient: the client is closed') }) }

  [Symbol.dispose](): void { this.#end({}) }
}
