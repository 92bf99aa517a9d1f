// The stream on which the proxy's own watches are open at a member: one for each token, and one more for those who want to hear when there is no leader.
// When it breaks it is opened again, elsewhere if need be, and every watch goes on behind what it has told.
// Upstream: etcd/client/v3/watch.go, etcd/server/proxy/grpcproxy/leader.go
import { decodeProto3, encodeProto3 } from '../../../lib/base/protobuf/proto3.ts'
import type { Timer } from '../../../lib/base/clock.ts'
import { etcdError } from '../../../lib/etcd-api/etcd-error.ts'
import { etcdTable } from '../../../lib/etcd-api/generated/table.ts'
import type { Event, ResponseHeader, WatchRequest, WatchResponse } from '../../../lib/etcd-api/generated/types.ts'
import type { GrpcClientCall } from '../../../lib/net/grpc/grpc-channel.ts'
import type { GrpcError } from '../../../lib/net/grpc/status.ts'
import type { KeyNamespace } from './key-namespace.ts'
import { EventBatch, type SharedWatch } from './shared-watch.ts'
import type { Metadata, Upstream } from './upstream.ts'

const firstRetryMs = 50
const lastRetryMs = 2000
/** How often a member is asked whether what was started in the past has caught up. */
const askMs = 200
const wholeStream = -1

interface OpenWatch {
  readonly shared: SharedWatch
  id: number | undefined
  fragments: Event[]
}

export interface UpstreamWatchesOptions {
  readonly upstream: Upstream
  readonly namespace: KeyNamespace
  readonly metadata: Metadata
  /** Nothing is open on it any more. */
  readonly empty: () => void
}

export class UpstreamWatches {
  readonly #options: UpstreamWatchesOptions
  readonly #watches = new Map<SharedWatch, OpenWatch>()
  readonly #byId = new Map<number, OpenWatch>()
  /** Creations that are not answered yet, in the order in which they were asked for. */
  #awaited: OpenWatch[] = []
  #call: GrpcClientCall | undefined
  #abort: AbortController | undefined
  #timer: Timer | undefined
  #askTimer: Timer | undefined
  #retryMs = firstRetryMs
  #progressWaiters: ((header: ResponseHeader) => void)[] = []

  constructor(options: UpstreamWatchesOptions) { this.#options = options }

  add(shared: SharedWatch): void {
    const watch: OpenWatch = { shared, id: undefined, fragments: [] }
    this.#watches.set(shared, watch)
    shared.upstream = this
    if (this.#call) this.#create(watch)
    else if (!this.#abort && !this.#timer) void this.#open()
  }

  remove(shared: SharedWatch): void {
    const watch = this.#watches.get(shared)
    if (!watch) return
    this.#watches.delete(shared)
    if (watch.id !== undefined) {
      this.#byId.delete(watch.id)
      this.#send({ cancelRequest: { watchId: watch.id } })
    }
    if (this.#watches.size === 0) this.close()
  }

  /** Calls back when every watch of the stream has been told everything up to now; never when that does not happen. */
  askProgress(told: (header: ResponseHeader) => void): void {
    this.#progressWaiters.push(told)
    this.#send({ progressRequest: {} })
  }

  #send(request: WatchRequest): void { this.#call?.send(encodeProto3(etcdTable, 'WatchRequest', request)) }

  #create(watch: OpenWatch): void {
    const { shared } = watch
    const { key, rangeEnd } = this.#options.namespace.addToRange({ key: shared.group.key, rangeEnd: shared.group.rangeEnd })
    watch.id = undefined
    watch.fragments = []
    this.#awaited.push(watch)
    this.#send({ createRequest: { key, rangeEnd, startRevision: shared.next, progressNotify: true, prevKv: true, fragment: true } })
  }

  async #open(): Promise<void> {
    this.#timer = undefined
    if (this.#watches.size === 0) return
    const abort = new AbortController()
    this.#abort = abort
    const { upstream, metadata } = this.#options
    try {
      const call = await upstream.open('/etcdserverpb.Watch/Watch', { signal: abort.signal, metadata }, {
        message: (bytes) => { if (this.#abort === abort) this.#answer(decodeProto3<WatchResponse>(etcdTable, 'WatchResponse', bytes)) },
        end: (error) => { if (this.#abort === abort) this.#broken(error) },
      })
      if (this.#abort !== abort) { call.cancel(); return }
      this.#call = call
      this.#awaited = []
      this.#byId.clear()
      for (const watch of this.#watches.values()) this.#create(watch)
    } catch {
      if (this.#abort === abort) this.#openLater()
    }
  }

  #openLater(): void {
    this.#abort = undefined
    this.#call = undefined
    this.#timer = this.#options.upstream.clock.setTimer(this.#retryMs, () => { void this.#open() }, { keepAlive: false })
    this.#retryMs = Math.min(this.#retryMs * 2, lastRetryMs)
  }

  #broken(error: GrpcError | undefined): void {
    this.#progressWaiters = []
    for (const { shared } of this.#watches.values()) shared.isCreated = false
    const watches = [...this.#watches.keys()]
    this.#openLater()
    if (error && error.message === etcdError('noLeader').message) {
      for (const shared of watches) for (const receiver of [...shared.receivers]) receiver.lostLeader()
    } else if (error && ['Unauthenticated', 'PermissionDenied', 'Unimplemented', 'InvalidArgument'].includes(error.code)) {
      for (const shared of watches) this.#canceled(shared, { canceled: true, cancelReason: error.message })
    }
  }

  #answer(response: WatchResponse): void {
    const { header = {}, watchId = 0, events = [] } = response
    if (response.created) { this.#created(header, response); return }
    if (watchId === wholeStream) { this.#progressOfAll(header); return }
    const watch = this.#byId.get(watchId)
    if (!watch) return
    const { shared } = watch
    if (response.canceled) { this.#canceled(shared, response); return }
    if (events.length === 0 && watch.fragments.length === 0) { shared.caughtUpWith(header, true); return }
    const { namespace } = this.#options
    const all = [...watch.fragments, ...(namespace.isEmpty ? events : events.map((event) => namespace.event(event)))]
    watch.fragments = response.fragment ? all : []
    if (!response.fragment) shared.deliver(new EventBatch(header, all))
  }

  #created(header: ResponseHeader, response: WatchResponse): void {
    const watch = this.#awaited.shift()
    if (!watch) return
    this.#retryMs = firstRetryMs
    const { shared } = watch
    const isWanted = this.#watches.get(shared) === watch
    if (response.canceled) {
      if (isWanted) this.#canceled(shared, response)
      return
    }
    const id = response.watchId ?? 0
    if (!isWanted) { this.#send({ cancelRequest: { watchId: id } }); return }
    watch.id = id
    this.#byId.set(id, watch)
    shared.isCreated = true
    // One that begins behind the newest revision has nothing to catch up with.
    if (shared.next > (header.revision ?? 0)) shared.caughtUpWith({ ...header, revision: shared.next - 1 }, false)
    else { shared.isSynced = false; this.#askWhetherCaughtUp() }
  }

  #canceled(shared: SharedWatch, response: WatchResponse): void {
    const watch = this.#watches.get(shared)
    if (!watch) return
    this.#watches.delete(shared)
    if (watch.id !== undefined) this.#byId.delete(watch.id)
    const reason = response.cancelReason ?? ''
    const isDenied = ['permissionDenied', 'invalidAuthToken', 'authOldRevision', 'userEmpty'].some((name) => reason.endsWith(etcdError(name as 'permissionDenied').message)) // cast: all of them are names of errors
    shared.canceled(response, isDenied)
    if (this.#watches.size === 0) this.close()
  }

  #askWhetherCaughtUp(): void {
    if (this.#askTimer) return
    this.#send({ progressRequest: {} })
    this.#askTimer = this.#options.upstream.clock.setTimer(askMs, () => {
      this.#askTimer = undefined
      if (this.#call && [...this.#watches.keys()].some((shared) => !shared.isSynced)) this.#askWhetherCaughtUp()
    }, { keepAlive: false })
  }

  #progressOfAll(header: ResponseHeader): void {
    for (const { shared, id } of [...this.#watches.values()]) if (id !== undefined) shared.caughtUpWith(header, false)
    const waiters = this.#progressWaiters
    this.#progressWaiters = []
    for (const told of waiters) told(header)
  }

  close(): void {
    const { empty } = this.#options
    this.#timer?.[Symbol.dispose]()
    this.#timer = undefined
    this.#askTimer?.[Symbol.dispose]()
    this.#askTimer = undefined
    const call = this.#call
    this.#call = undefined
    this.#abort?.abort(new Error('nobody watches any more'))
    this.#abort = undefined
    call?.cancel()
    empty()
  }
}
