// Any number of watches on one stream. When the stream breaks it is opened again and every watch goes on behind what it has delivered.
//
//   const watcher = new Watcher(connection, signal)
//   for await (const response of watcher.watch({ key, startRevision: 5 })) …   // ends after a canceled response
//
// Upstream: client/v3/watch.go
import { sleep } from '../../../lib/base/clock.ts'
import { watchService } from '../../../lib/etcd-api/generated/services.ts'
import type { WatchCreateRequest, WatchRequest, WatchResponse } from '../../../lib/etcd-api/generated/types.ts'
import { MessageQueue } from '../../../lib/net/grpc/service.ts'
import { GrpcError } from '../../../lib/net/grpc/status.ts'
import { isBrokenStream, type EtcdConnection } from './etcd-connection.ts'

const reconnectDelayMs = 100

interface Substream {
  readonly request: WatchCreateRequest
  readonly answers: MessageQueue<WatchResponse>
  id: number | undefined
  nextRevision: number
}

export interface WatcherOptions {
  /** The server ends the stream when it has no leader. */
  readonly requireLeader?: boolean
}

export class Watcher {
  readonly #connection: EtcdConnection
  readonly #signal: AbortSignal
  readonly #metadata: { readonly [name: string]: string }
  readonly #substreams = new Set<Substream>()
  /** Creations that the server has not answered yet, in the order in which they were sent. */
  #awaited: Substream[] = []
  #requests: MessageQueue<WatchRequest> | undefined

  constructor(connection: EtcdConnection, signal: AbortSignal, options: WatcherOptions = {}) {
    this.#connection = connection
    this.#signal = signal
    this.#metadata = options.requireLeader ? { hasleader: 'true' } : {}
  }

  /** Answers with events, progress, and at last the cancellation. */
  watch(request: WatchCreateRequest): AsyncIterable<WatchResponse> {
    const substream: Substream = { request, answers: new MessageQueue<WatchResponse>(), id: undefined, nextRevision: request.startRevision ?? 0 }
    this.#substreams.add(substream)
    if (this.#requests) this.#create(substream, this.#requests)
    else this.#open()
    return substream.answers
  }

  requestProgress(): void {
    if (!this.#requests) this.#open()
    this.#requests?.push({ progressRequest: {} })
  }

  #open(): void {
    const requests = new MessageQueue<WatchRequest>()
    this.#requests = requests
    this.#awaited = []
    for (const substream of this.#substreams) this.#create(substream, requests)
    void this.#run(requests)
  }

  #create(substream: Substream, requests: MessageQueue<WatchRequest>): void {
    this.#awaited.push(substream)
    const { nextRevision } = substream
    requests.push({ createRequest: { ...substream.request, ...(nextRevision > 0 ? { startRevision: nextRevision } : {}) } })
  }

  async #run(requests: MessageQueue<WatchRequest>): Promise<void> {
    let failure: unknown
    try {
      for await (const response of this.#connection.bidiStream<WatchResponse>(watchService, 'Watch', requests, this.#signal, this.#metadata)) this.#deliver(response)
    } catch (error) {
      failure = error
    }
    requests.finish()
    this.#requests = undefined
    if (this.#signal.aborted) {
      for (const substream of this.#substreams) substream.answers.finish()
      return
    }
    if (failure instanceof GrpcError && isFinal(failure)) {
      const reason = failure.message
      for (const substream of this.#substreams) {
        substream.answers.push({ canceled: true, cancelReason: reason })
        substream.answers.finish()
      }
      this.#substreams.clear()
      return
    }
    try {
      await sleep(this.#connection.clock, reconnectDelayMs, this.#signal)
    } catch {
      for (const substream of this.#substreams) substream.answers.finish()
      return
    }
    // A new watch may have opened it meanwhile.
    if (!this.#requests && this.#substreams.size > 0) this.#open()
  }

  #deliver(response: WatchResponse): void {
    const id = response.watchId ?? 0
    if (response.created) {
      const substream = this.#awaited.shift()
      if (!substream) return
      if (response.canceled) { this.#end(substream, response); return }
      substream.id = id
      // A watch from now on goes on from here when the stream breaks before its first event.
      if (substream.nextRevision === 0) substream.nextRevision = (response.header?.revision ?? 0) + 1
      return
    }
    // Progress of the whole stream is every watch's.
    const receivers = id === -1 ? [...this.#substreams] : [...this.#substreams].filter((substream) => substream.id === id)
    for (const substream of receivers) {
      if (response.canceled) { this.#end(substream, response); continue }
      const last = response.events?.at(-1)?.kv?.modRevision
      if (last !== undefined) substream.nextRevision = last + 1
      else if (response.header?.revision !== undefined) substream.nextRevision = response.header.revision + 1
      substream.answers.push(response)
    }
  }

  #end(substream: Substream, response: WatchResponse): void {
    this.#substreams.delete(substream)
    const { created: _, ...rest } = response
    substream.answers.push(rest)
    substream.answers.finish()
  }
}

/** Opening the stream again would not help. */
function isFinal(error: GrpcError): boolean {
  return (error.code !== 'Unavailable' && error.code !== 'Internal' && !isBrokenStream(error)) || error.message === 'etcdserver: no leader'
}

/** Why a watch was canceled, in the client library's words. */
export function cancelText(response: WatchResponse): string {
  if (response.compactRevision) return 'etcdserver: mvcc: required revision has been compacted'
  return response.cancelReason ? response.cancelReason : 'etcdserver: mvcc: required revision is a future revision'
}
