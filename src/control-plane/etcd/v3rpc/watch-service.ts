// etcdserverpb.Watch: many watches on one stream.
//
// A stream whose client reads too slowly holds a bounded number of bytes: its watches pause, and go on from the store's history when it has
// read, with more events in a message. Events are encoded once for all watches that hear of them, whatever stream those are on.
// Upstream: etcd/server/etcdserver/api/v3rpc/watch.go
import { encodeProto3 } from '../../../lib/base/protobuf/proto3.ts'
import { WireReader } from '../../../lib/base/protobuf/wire-reader.ts'
import { etcdError, EtcdError, grpcCodeOf } from '../../../lib/etcd-api/etcd-error.ts'
import { etcdTable } from '../../../lib/etcd-api/generated/table.ts'
import type { WatchResponse } from '../../../lib/etcd-api/generated/types.ts'
import type { EtcdEvent } from '../../../lib/etcd-api/operations.ts'
import type { GrpcHandler, GrpcServerCall, GrpcStreamSink } from '../../../lib/net/grpc/grpc-server.ts'
import type { EtcdInternals } from '../embedded.ts'
import { compareBytes } from '../mvcc/range.ts'
import type { HubWatch } from '../mvcc/watch-hub.ts'
import { callerOf } from './access.ts'
import { encodeEvents, WatchHead } from './kv-answers.ts'
import { readWatchRequest, type ReadWatchRequest } from './kv-requests.ts'
import { headerOf } from './response-header.ts'

/** What may wait for a client, and how much more for each of its watches: to pause and resume one costs a little. */
const pauseAboveBytes = 2 * 1024 * 1024
const pauseAboveBytesPerWatch = 1024
/** What a client that asks for fragments gets at most in one message. */
const defaultFragmentBytes = 1.5 * 1024 * 1024
const noWatch = -1

export function watchHandler(etcd: EtcdInternals, fragmentBytes: number = defaultFragmentBytes): GrpcHandler {
  const shared = new SharedBytes()
  return { stream: (call) => new WatchStream(etcd, call, fragmentBytes, shared) }
}

/** What messages to different watches have in common. */
class SharedBytes {
  /** All watches of one range are given the same list. */
  readonly #events = new WeakMap<readonly EtcdEvent[], Uint8Array>()
  readonly #head = new WatchHead()

  ofEvents(events: readonly EtcdEvent[]): Uint8Array {
    const known = this.#events.get(events)
    if (known) return known
    const bytes = encodeEvents(events)
    this.#events.set(events, bytes)
    return bytes
  }

  /** What stands before the events. Valid until the next call. */
  head(etcd: EtcdInternals, revision: number, watchId: number, fragment: boolean): Uint8Array {
    const { term } = etcd.member
    if (!this.#head.isOf(revision, term)) this.#head.begin(headerOf(etcd, revision))
    return this.#head.finish(watchId, fragment)
  }
}

/** A question that all watches of a stream answer. */
interface StreamProgress {
  /** All that have answered were at least so far. */
  revision: number
}

interface StreamWatch {
  readonly id: number
  readonly watch: HubWatch
  /** Answer to a progress request of the whole stream that is awaited. */
  progressFor: StreamProgress | undefined
}

class WatchStream implements GrpcStreamSink {
  readonly #etcd: EtcdInternals
  readonly #call: GrpcServerCall
  readonly #fragmentBytes: number
  readonly #shared: SharedBytes
  readonly #watches = new Map<number, StreamWatch>()
  #nextId = 0
  #paused = false
  /** Whose message was the last that found room. */
  #lastServed: StreamWatch | undefined

  constructor(etcd: EtcdInternals, call: GrpcServerCall, fragmentBytes: number, shared: SharedBytes) {
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

  #sendEvents(watch: StreamWatch, events: readonly EtcdEvent[], revision: number, fragment: boolean): void {
    const bytes = this.#shared.ofEvents(events)
    const head = this.#shared.head(this.#etcd, revision, watch.id, fragment)
    if (this.#call.sendParts) this.#call.sendParts(head, bytes)
    else this.#call.send(Buffer.concat([head, bytes]))
    this.#lastServed = watch
    this.#pauseWhenFull()
  }

  #pauseWhenFull(): void {
    if (this.#paused || this.#call.queuedBytes <= pauseAboveBytes + this.#watches.size * pauseAboveBytesPerWatch) return
    this.#paused = true
    for (const { watch } of this.#watches.values()) watch.pause()
  }

  /** Behind the one that was served last: else those at the end of a stream that is often full would wait for ever. */
  #goOn(): void {
    if (!this.#paused) return
    this.#paused = false
    const watches = [...this.#watches.values()]
    const first = this.#lastServed ? watches.indexOf(this.#lastServed) + 1 : 0
    for (let i = 0; i < watches.length; i++) watches[(first + i) % watches.length]!.watch.resume() // cast: an index of the list
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
    const hubWatch = this.#etcd.member.hub.watch({
      key, ...(rangeEnd ? { rangeEnd } : {}), startRevision, prevKv: request.prevKv, progressNotify: request.progressNotify, noPut: request.noPut, noDelete: request.noDelete,
    }, {
      created: (revision) => this.#send({ header: headerOf(this.#etcd, revision), watchId: id, created: true }),
      events: (events, revision) => { if (events.length > 0) this.#events(watch, events, revision, fragment); else this.#progress(watch, revision) },
      closed: ({ compactRevision, error }) => {
        this.#watches.delete(id)
        if (compactRevision !== undefined) this.#send({ header: headerOf(this.#etcd), watchId: id, canceled: true, compactRevision, cancelReason: etcdError('compacted').message })
        else if (error) this.#call.fail(error)
      },
    })
    const watch: StreamWatch = { id, watch: hubWatch, progressFor: undefined }
    this.#watches.set(id, watch)
    // A watch that is created while the stream is full starts, like the others, when it has drained.
    if (this.#paused) queueMicrotask(() => { if (this.#paused) hubWatch.pause() })
  }

  #events(watch: StreamWatch, events: readonly EtcdEvent[], revision: number, fragment: boolean): void {
    if (!fragment || this.#shared.ofEvents(events).length <= this.#fragmentBytes) { this.#sendEvents(watch, events, revision, false); return }
    let piece: EtcdEvent[] = []
    let bytes = 0
    for (const event of events) {
      const size = 64 + event.kv.key.length + event.kv.value.length + (event.prevKv ? event.prevKv.key.length + event.prevKv.value.length : 0)
      if (piece.length > 0 && bytes + size > this.#fragmentBytes) {
        this.#sendEvents(watch, piece, revision, true)
        piece = []
        bytes = 0
      }
      piece.push(event)
      bytes += size
    }
    this.#sendEvents(watch, piece, revision, false)
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
    const question: StreamProgress = { revision: Infinity }
    for (const watch of this.#watches.values()) this.#askForProgress(watch, question)
  }

  #askForProgress(watch: StreamWatch, question: StreamProgress): void {
    watch.progressFor = question
    watch.watch.requestProgress()
  }

  #progress(watch: StreamWatch, revision: number): void {
    const question = watch.progressFor
    if (question === undefined) { this.#send({ header: headerOf(this.#etcd, revision), watchId: watch.id }); return }
    watch.progressFor = undefined
    question.revision = Math.min(question.revision, revision)
    for (const other of this.#watches.values()) if (other.progressFor === question) return
    // The answer is for all watches: also for those that began meanwhile, or have fallen behind again.
    const behind = [...this.#watches.values()].filter((other) => !other.watch.isCurrent)
    for (const other of behind) this.#askForProgress(other, question)
    if (behind.length === 0) this.#send({ header: headerOf(this.#etcd, question.revision), watchId: noWatch })
  }

  #closeAll(): void {
    for (const { watch } of this.#watches.values()) watch[Symbol.dispose]()
    this.#watches.clear()
  }
}
