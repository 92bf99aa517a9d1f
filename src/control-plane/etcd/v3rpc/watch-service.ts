// etcdserverpb.Watch: many watches on one stream.
//
// A stream whose client reads too slowly holds a bounded number of bytes: its watches pause, and go on from the store's history when it has
// read. Upstream: etcd/server/etcdserver/api/v3rpc/watch.go
import { encodeProto3 } from '../../../lib/base/protobuf/proto3.ts'
import { WireReader } from '../../../lib/base/protobuf/wire-reader.ts'
import { etcdError, EtcdError, grpcCodeOf } from '../../../lib/etcd-api/etcd-error.ts'
import { etcdTable } from '../../../lib/etcd-api/generated/table.ts'
import type { ResponseHeader, WatchResponse } from '../../../lib/etcd-api/generated/types.ts'
import type { EtcdEvent } from '../../../lib/etcd-api/operations.ts'
import type { GrpcHandler, GrpcServerCall, GrpcStreamSink } from '../../../lib/net/grpc/grpc-server.ts'
import type { EtcdInternals } from '../embedded.ts'
import { compareBytes } from '../mvcc/range.ts'
import type { HubWatch } from '../mvcc/watch-hub.ts'
import { callerOf } from './access.ts'
import { encodeEvents, encodeWatchHead } from './kv-answers.ts'
import { readWatchRequest, type ReadWatchRequest } from './kv-requests.ts'
import { headerOf } from './response-header.ts'

/** What may wait for a client, and how much more for each of its watches: going on from history costs more than waiting. */
const pauseAboveBytes = 2 * 1024 * 1024
const pauseAboveBytesPerWatch = 16 * 1024
/** What a client that asks for fragments gets at most in one message. */
const defaultFragmentBytes = 1.5 * 1024 * 1024
const noWatch = -1

export function watchHandler(etcd: EtcdInternals, fragmentBytes: number = defaultFragmentBytes): GrpcHandler {
  const shared = new SharedEvents()
  return { stream: (call) => new WatchStream(etcd, call, fragmentBytes, shared) }
}

/** The bytes of the events that were sent last: all watches of one range get the same ones, one after the other. */
class SharedEvents {
  #events: readonly EtcdEvent[] | undefined
  #bytes: Uint8Array | undefined

  bytesOf(events: readonly EtcdEvent[]): Uint8Array {
    if (this.#events === events && this.#bytes) return this.#bytes
    this.#events = events
    return (this.#bytes = encodeEvents(events))
  }
}

interface StreamWatch {
  readonly id: number
  readonly watch: HubWatch
  /** Answer to a progress request of the whole stream that is awaited. */
  progressFor: object | undefined
}

class WatchStream implements GrpcStreamSink {
  readonly #etcd: EtcdInternals
  readonly #call: GrpcServerCall
  readonly #fragmentBytes: number
  readonly #shared: SharedEvents
  readonly #watches = new Map<number, StreamWatch>()
  #nextId = 0
  #paused = false

  constructor(etcd: EtcdInternals, call: GrpcServerCall, fragmentBytes: number, shared: SharedEvents) {
    this.#etcd = etcd
    this.#call = call
    this.#fragmentBytes = fragmentBytes
    this.#shared = shared
    call.signal.addEventListener('abort', () => this.#closeAll(), { once: true })
    call.onDrain = () => this.#goOn()
  }

  message(bytes: Uint8Array): void {
    const request = readWatchRequest(new WireReader(bytes))
    switch (request?.type) {
      case 'create': this.#create(request); break
      case 'cancel': this.#cancel(request.watchId); break
      case 'progress': this.#requestProgress(); break
      default:
    }
  }

  end(): void {
    this.#closeAll()
    this.#call.end()
  }

  #send(response: WatchResponse): void {
    this.#call.send(encodeProto3(etcdTable, 'WatchResponse', response))
    this.#pauseWhenFull()
  }

  #sendEvents(header: ResponseHeader, id: number, events: readonly EtcdEvent[], fragment: boolean): void {
    const head = encodeWatchHead(header, id, fragment)
    const bytes = this.#shared.bytesOf(events)
    if (this.#call.sendParts) this.#call.sendParts(head, bytes)
    else this.#call.send(Buffer.concat([head, bytes]))
    this.#pauseWhenFull()
  }

  #pauseWhenFull(): void {
    if (this.#paused || this.#call.queuedBytes <= pauseAboveBytes + this.#watches.size * pauseAboveBytesPerWatch) return
    this.#paused = true
    for (const { watch } of this.#watches.values()) watch.pause()
  }

  #goOn(): void {
    if (!this.#paused) return
    this.#paused = false
    for (const { watch } of this.#watches.values()) watch.resume()
  }

  #refuse(reason: string): void {
    this.#send({ header: headerOf(this.#etcd), watchId: noWatch, created: true, canceled: true, cancelReason: reason })
  }

  /** Why the caller may not watch these keys; undefined when they may. */
  #denial(key: Uint8Array, rangeEnd: Uint8Array | undefined): string | undefined {
    const { auth } = this.#etcd.member.machine
    if (!auth.enabled) return undefined
    try {
      auth.checkRange(callerOf(this.#etcd, this.#call), key, rangeEnd)
      return undefined
    } catch (error) {
      if (!(error instanceof EtcdError)) throw error
      return `rpc error: code = ${grpcCodeOf(error.reason)} desc = ${error.message}`
    }
  }

  #create(request: Extract<ReadWatchRequest, { readonly type: 'create' }>): void {
    const key = request.key.length === 0 ? Uint8Array.of(0) : request.key
    const rangeEnd = request.rangeEnd !== undefined && request.rangeEnd.length > 0 ? request.rangeEnd : undefined
    const { startRevision } = request
    if (startRevision < 0) { this.#refuse(etcdError('compacted').message); return }
    if (rangeEnd && !(rangeEnd.length === 1 && rangeEnd[0] === 0) && compareBytes(key, rangeEnd) >= 0) { this.#refuse('mvcc: watcher range is empty'); return }
    const denied = this.#denial(key, request.rangeEnd)
    if (denied) { this.#refuse(denied); return }
    const wished = request.watchId
    if (wished !== 0 && this.#watches.has(wished)) { this.#refuse('mvcc: duplicate watch ID provided on the WatchStream'); return }
    while (wished === 0 && this.#watches.has(this.#nextId)) this.#nextId++
    const id = wished === 0 ? this.#nextId++ : wished
    const { fragment } = request
    const watch = this.#etcd.member.hub.watch({
      key, ...(rangeEnd ? { rangeEnd } : {}), startRevision, prevKv: request.prevKv, progressNotify: request.progressNotify, noPut: request.noPut, noDelete: request.noDelete,
    }, {
      created: (revision) => this.#send({ header: headerOf(this.#etcd, revision), watchId: id, created: true }),
      events: (events, revision) => { if (events.length > 0) this.#events(id, events, revision, fragment); else this.#progress(id, revision) },
      closed: ({ compactRevision, error }) => {
        this.#watches.delete(id)
        if (compactRevision !== undefined) this.#send({ header: headerOf(this.#etcd), watchId: id, canceled: true, compactRevision, cancelReason: etcdError('compacted').message })
        else if (error) this.#call.fail(error)
      },
    })
    this.#watches.set(id, { id, watch, progressFor: undefined })
    // A watch that is created while the stream is full starts, like the others, when it has drained.
    if (this.#paused) queueMicrotask(() => { if (this.#paused) watch.pause() })
  }

  #events(id: number, events: readonly EtcdEvent[], revision: number, fragment: boolean): void {
    const header = headerOf(this.#etcd, revision)
    if (!fragment) { this.#sendEvents(header, id, events, false); return }
    let piece: EtcdEvent[] = []
    let bytes = 0
    for (const event of events) {
      const size = 64 + event.kv.key.length + event.kv.value.length + (event.prevKv ? event.prevKv.key.length + event.prevKv.value.length : 0)
      if (piece.length > 0 && bytes + size > this.#fragmentBytes) {
        this.#sendEvents(header, id, piece, true)
        piece = []
        bytes = 0
      }
      piece.push(event)
      bytes += size
    }
    this.#sendEvents(header, id, piece, false)
  }

  #cancel(id: number): void {
    const found = this.#watches.get(id)
    if (!found) return
    this.#watches.delete(id)
    found.watch[Symbol.dispose]()
    this.#send({ header: headerOf(this.#etcd), watchId: id, canceled: true })
  }

  /** One answer for all watches of the stream, when each has heard of everything up to now. */
  #requestProgress(): void {
    const question = {}
    for (const watch of this.#watches.values()) {
      watch.progressFor = question
      watch.watch.requestProgress()
    }
  }

  #progress(id: number, revision: number): void {
    const watch = this.#watches.get(id)
    const question = watch?.progressFor
    if (!watch || question === undefined) { this.#send({ header: headerOf(this.#etcd, revision), watchId: id }); return }
    watch.progressFor = undefined
    for (const other of this.#watches.values()) if (other.progressFor === question) return
    this.#send({ header: headerOf(this.#etcd, revision), watchId: noWatch })
  }

  #closeAll(): void {
    for (const { watch } of this.#watches.values()) watch[Symbol.dispose]()
    this.#watches.clear()
  }
}
