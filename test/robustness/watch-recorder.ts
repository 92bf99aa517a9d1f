// A watch that writes down all that it is told, for the checker of watch guarantees.
import type { EtcdClient, EtcdWatch } from '../../src/lib/etcd-client/etcd-client.ts'
import type { LoggedEvent } from './event-log.ts'
import { loggedEventOf } from './perform-call.ts'
import type { WatchRecord, WatchResponse } from './watch-guarantees.ts'

export interface RecorderRequest {
  readonly key: string
  readonly end?: string
  readonly startRevision: number
  readonly previousValues: boolean
  readonly noPut?: boolean
  readonly noDelete?: boolean
}

export class WatchRecorder implements Disposable {
  readonly request: RecorderRequest
  readonly responses: WatchResponse[] = []
  readonly #watch: EtcdWatch
  readonly #onEvents: ((events: readonly LoggedEvent[]) => void) | undefined
  /** Everything up to here has been delivered. */
  heardTo = 0
  /** Set when it ended although nobody asked for that. */
  ended: { readonly compactRevision?: number; readonly error?: Error } | undefined
  eventCount = 0
  #closed = false

  constructor(client: EtcdClient, request: RecorderRequest, onEvents?: (events: readonly LoggedEvent[]) => void) {
    this.request = request
    this.#onEvents = onEvents
    this.#watch = client.watch({
      key: Buffer.from(request.key), ...(request.end === undefined ? {} : { rangeEnd: Buffer.from(request.end) }), startRevision: request.startRevision, prevKv: request.previousValues,
      noPut: request.noPut ?? false, noDelete: request.noDelete ?? false, progressNotify: true,
    }, {
      created: (revision) => { this.responses.push({ type: 'created', revision }) },
      events: (list, revision) => {
        this.heardTo = Math.max(this.heardTo, revision)
        if (list.length === 0) { this.responses.push({ type: 'bookmark', revision }); return }
        const events = list.map(loggedEventOf)
        this.eventCount += events.length
        this.responses.push({ type: 'events', events })
        this.#onEvents?.(events)
      },
      closed: (end) => { if (!this.#closed) this.ended = end },
    })
  }

  /** Asks to be told how far it is. */
  requestProgress(): void { this.#watch.requestProgress() }

  /** The last revision with an event that came. */
  get lastEventRevision(): number {
    const last = this.responses.findLast((response) => response.type === 'events')
    return last?.type === 'events' ? last.events.at(-1)?.modRevision ?? 0 : 0
  }

  record(completeTo?: number): WatchRecord { return { ...this.request, responses: this.responses, ...(completeTo === undefined ? {} : { completeTo }) } }

  [Symbol.dispose](): void {
    this.#closed = true
    this.#watch[Symbol.dispose]()
  }
}
