// One client's stream of watches at the proxy.
import { decodeProto3, encodeProto3 } from '../../../lib/base/protobuf/proto3.ts'
import { etcdError } from '../../../lib/etcd-api/etcd-error.ts'
import { etcdTable } from '../../../lib/etcd-api/generated/table.ts'
import type { Event, RangeRequest, RangeResponse, ResponseHeader, WatchCreateRequest, WatchRequest, WatchResponse } from '../../../lib/etcd-api/generated/types.ts'
import type { GrpcServerCall, GrpcStreamSink } from '../../../lib/net/grpc/grpc-server.ts'
import { GrpcError } from '../../../lib/net/grpc/status.ts'
import { compareBytes } from '../mvcc/range.ts'
import { encodeEvents, withoutPrevious, type EventBatch, type Receiver, type SharedWatch, type WatchGroup } from './shared-watch.ts'
import { metadataOf, type CallContext, type Metadata } from './upstream.ts'
import type { UpstreamWatches } from './upstream-watches.ts'

/** What may wait for a client, and how many of its requests. */
const pauseAboveBytes = 4 * 1024 * 1024
const mostWaitingRequests = 256
/** What a client that asks for fragments gets at most in one message. */
const fragmentBytes = 2 * 1024 * 1024
const noWatch = -1

export interface WatchSource {
  range(request: RangeRequest, context: CallContext): Promise<RangeResponse>
  add(receiver: Receiver, key: Uint8Array, rangeEnd: Uint8Array | undefined, requiresLeader: boolean): WatchGroup
}

export class ClientWatchStream implements GrpcStreamSink {
  readonly #call: GrpcServerCall
  readonly #source: WatchSource
  readonly #metadata: Metadata
  readonly #watches = new Map<number, ClientWatch>()
  #nextId = 0
  /** Requests are answered in their order. */
  #tail: Promise<void> = Promise.resolve()
  #waiting = 0
  #isPaused = false
  #ended = false
  lastHeader: ResponseHeader = {}

  constructor(call: GrpcServerCall, source: WatchSource) {
    this.#call = call
    this.#source = source
    this.#metadata = metadataOf(call.headers)
    call.signal.addEventListener('abort', () => this.#close(), { once: true })
    call.onDrain = () => this.#goOn()
  }

  message(bytes: Uint8Array): void {
    const request = decodeProto3<WatchRequest>(etcdTable, 'WatchRequest', bytes)
    if (++this.#waiting === mostWaitingRequests) this.#call.pause()
    this.#tail = this.#tail.then(() => this.#handle(request)).catch((error: unknown) => this.fail(error)).then(() => {
      if (this.#waiting-- === mostWaitingRequests) this.#call.resume()
    })
  }

  end(): void {
    void this.#tail.then(() => {
      this.#close()
      this.#call.end()
    })
  }

  fail(error: unknown): void {
    this.#close()
    this.#call.fail(error)
  }

  async #handle({ createRequest, cancelRequest, progressRequest }: WatchRequest): Promise<void> {
    if (this.#ended) return
    if (createRequest) await this.#create(createRequest)
    else if (cancelRequest) this.#cancel(cancelRequest.watchId ?? 0)
    else if (progressRequest) this.#askProgress()
  }

  #refuse(reason: string): void { this.send({ header: this.lastHeader, watchId: noWatch, created: true, canceled: true, cancelReason: reason }) }

  async #create(request: WatchCreateRequest): Promise<void> {
    const { rangeEnd: end, startRevision = 0, watchId = 0 } = request
    const key = request.key && request.key.length > 0 ? request.key : Uint8Array.of(0)
    const rangeEnd = end && end.length > 0 ? end : undefined
    if (startRevision < 0) { this.#refuse(etcdError('compacted').message); return }
    let header: ResponseHeader
    try {
      header = await this.#look(key, rangeEnd, startRevision === 0)
    } catch (error) {
      if (this.#ended) return
      if (!(error instanceof Error) || (error instanceof GrpcError && error.code === 'Unavailable')) throw error
      this.#refuse(error.message)
      return
    }
    // cast: it may have ended while this waited
    if (this.#ended as boolean) return
    this.lastHeader = header
    if (rangeEnd && !(rangeEnd.length === 1 && rangeEnd[0] === 0) && compareBytes(key, rangeEnd) >= 0) { this.#refuse('mvcc: watcher range is empty'); return }
    if (watchId !== 0 && this.#watches.has(watchId)) { this.#refuse('mvcc: duplicate watch ID provided on the WatchStream'); return }
    while (watchId === 0 && this.#watches.has(this.#nextId)) this.#nextId++
    const id = watchId === 0 ? this.#nextId++ : watchId
    const watch = new ClientWatch(this, id, request, this.#metadata['token'] ?? '', startRevision === 0 ? (header.revision ?? 0) + 1 : startRevision)
    this.#watches.set(id, watch)
    this.send({ header, watchId: id, created: true })
    const requiresLeader = this.#metadata['hasleader'] === 'true'
    watch.join = () => { watch.group = this.#source.add(watch, key, rangeEnd, requiresLeader) }
    if (!this.#isPaused) watch.join()
  }

  /** Whether these keys may be read; and the revision now, the newest where that matters. */
  async #look(key: Uint8Array, rangeEnd: Uint8Array | undefined, newest: boolean): Promise<ResponseHeader> {
    const look = async (serializable: boolean): Promise<ResponseHeader> => {
      const { header = {} } = await this.#source.range({ key, ...(rangeEnd ? { rangeEnd } : {}), countOnly: true, limit: 1, serializable }, { signal: this.#call.signal, metadata: this.#metadata })
      return header
    }
    if (!newest) return await look(true)
    try {
      return await look(false)
    } catch (error) {
      // Without a leader there is no newest; what a member knows has to do, as it does at the member itself.
      if (error instanceof GrpcError && error.code === 'Unavailable') return await look(true)
      throw error
    }
  }

  #cancel(id: number): void {
    const watch = this.#watches.get(id)
    if (!watch) return
    this.#watches.delete(id)
    watch.leave()
    this.send({ header: this.lastHeader, watchId: id, canceled: true })
  }

  /** One answer for all watches of the stream. There is none while one of them is behind: the client asks again. */
  #askProgress(): void {
    const watches = [...this.#watches.values()]
    const streams = new Set<UpstreamWatches>()
    for (const { shared } of watches) {
      if (!shared?.isCreated || !shared.upstream) return
      streams.add(shared.upstream)
    }
    if (streams.size === 0) {
      void this.#look(Uint8Array.of(0), undefined, true).then((header) => this.send({ header, watchId: noWatch }), () => {})
      return
    }
    const headers: ResponseHeader[] = []
    const told = (header: ResponseHeader): void => {
      headers.push(header)
      if (headers.length < streams.size || this.#ended) return
      const oldest = headers.reduce((a, b) => ((b.revision ?? 0) < (a.revision ?? 0) ? b : a))
      if ([...this.#watches.values()].every(({ shared }) => shared !== undefined && shared.next > (oldest.revision ?? 0))) this.send({ header: oldest, watchId: noWatch })
    }
    for (const stream of streams) stream.askProgress(told)
  }

  ended(watch: ClientWatch, response: WatchResponse): void {
    if (this.#watches.get(watch.id) !== watch) return
    this.#watches.delete(watch.id)
    this.send({ ...response, header: response.header ?? this.lastHeader, watchId: watch.id, created: false, canceled: true })
  }

  send(response: WatchResponse): void { this.sendBytes(encodeProto3(etcdTable, 'WatchResponse', response), undefined) }

  sendBytes(head: Uint8Array, tail: Uint8Array | undefined): void {
    if (this.#ended) return
    if (tail === undefined) this.#call.send(head)
    else if (this.#call.sendParts) this.#call.sendParts(head, tail)
    else this.#call.send(Buffer.concat([head, tail]))
    if (this.#isPaused || this.#call.queuedBytes <= pauseAboveBytes) return
    this.#isPaused = true
    for (const watch of this.#watches.values()) watch.leave()
  }

  #goOn(): void {
    if (!this.#isPaused || this.#ended) return
    this.#isPaused = false
    for (const watch of [...this.#watches.values()]) if (!this.#isPaused && !watch.shared) watch.join()
  }

  #close(): void {
    if (this.#ended) return
    this.#ended = true
    for (const watch of this.#watches.values()) watch.leave()
    this.#watches.clear()
  }
}

class ClientWatch implements Receiver {
  readonly id: number
  readonly token: string
  next: number
  shared: SharedWatch | undefined
  group: WatchGroup | undefined
  join: () => void = () => {}
  readonly #stream: ClientWatchStream
  readonly #request: WatchCreateRequest
  readonly #noPut: boolean
  readonly #noDelete: boolean

  constructor(stream: ClientWatchStream, id: number, request: WatchCreateRequest, token: string, next: number) {
    this.#stream = stream
    this.id = id
    this.#request = request
    this.token = token
    this.next = next
    this.#noPut = request.filters?.includes('NOPUT') ?? false
    this.#noDelete = request.filters?.includes('NODELETE') ?? false
  }

  leave(): void { this.group?.remove(this) }

  events(batch: EventBatch): void {
    if (batch.lastRevision < this.next) return
    const { prevKv = false, fragment = false } = this.#request
    this.#stream.lastHeader = batch.header
    const isWhole = batch.firstRevision >= this.next && !this.#noPut && !this.#noDelete
    const next = this.next
    this.next = batch.lastRevision + 1
    if (isWhole && !(fragment && batch.bytes(prevKv).length > fragmentBytes)) { this.#stream.sendBytes(this.#head(batch.header, false), batch.bytes(prevKv)); return }
    const events = batch.events.filter((event) => (event.kv?.modRevision ?? 0) >= next && !(event.type === 'DELETE' ? this.#noDelete : this.#noPut)).map((event) => (prevKv ? event : withoutPrevious(event)))
    if (events.length === 0) return
    if (!fragment) { this.#stream.sendBytes(this.#head(batch.header, false), encodeEvents(events)); return }
    let piece: Event[] = []
    let size = 0
    for (const event of events) {
      const bytes = 64 + (event.kv?.key?.length ?? 0) + (event.kv?.value?.length ?? 0) + (event.prevKv?.key?.length ?? 0) + (event.prevKv?.value?.length ?? 0)
      if (piece.length > 0 && size + bytes > fragmentBytes) {
        this.#stream.sendBytes(this.#head(batch.header, true), encodeEvents(piece))
        piece = []
        size = 0
      }
      piece.push(event)
      size += bytes
    }
    this.#stream.sendBytes(this.#head(batch.header, false), encodeEvents(piece))
  }

  #head(header: ResponseHeader, fragment: boolean): Uint8Array { return encodeProto3(etcdTable, 'WatchResponse', { header, watchId: this.id, fragment } satisfies WatchResponse) }

  progress(header: ResponseHeader): void {
    if (!this.#request.progressNotify || (header.revision ?? 0) + 1 < this.next) return
    this.#stream.lastHeader = header
    this.#stream.send({ header, watchId: this.id })
  }

  canceled(response: WatchResponse): void { this.#stream.ended(this, response) }
  lostLeader(): void { this.#stream.fail(new GrpcError('Unavailable', etcdError('noLeader').message)) }
}
