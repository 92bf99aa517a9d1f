// Messages one by one, each a POST /raft of its own: for a peer that has not dialled this member yet. At most four are under way and 64 wait.
// Upstream: rafthttp/pipeline.go
import type { Message } from '../raft/messages.ts'
import { ByteBuffer } from './byte-buffer.ts'
import type { PeerClient } from './peer-client.ts'
import { clusterIdMismatch, incompatibleVersion, peerHeaders, type LocalPeer } from './peer-headers.ts'
import type { PeerFigures } from './peer-metrics.ts'
import type { PeerStatus } from './peer-status.ts'
import { messageSize, writeMessage } from './raft-wire.ts'
import type { UrlPicker } from './url-picker.ts'

const connectionLimit = 4
const queueLimit = 64

export interface PipelineOptions {
  readonly local: LocalPeer
  readonly client: PeerClient
  readonly picker: UrlPicker
  readonly status: PeerStatus
  readonly figures: PeerFigures
  unreachable(): void
  removedFromCluster(): void
}

export class Pipeline {
  readonly #options: PipelineOptions
  readonly #stop = new AbortController()
  #queue: Message[] = []
  #underWay = 0

  constructor(options: PipelineOptions) { this.#options = options }

  /** False when the message was dropped. */
  send(message: Message): boolean {
    if (this.#stop.signal.aborted || this.#queue.length >= queueLimit) return false
    this.#queue.push(message)
    if (this.#underWay < connectionLimit) void this.#work()
    return true
  }

  stop(): void {
    this.#stop.abort()
    this.#queue = []
  }

  async #work(): Promise<void> {
    this.#underWay++
    const { status, figures } = this.#options
    for (let message = this.#queue.shift(); message !== undefined; message = this.#queue.shift()) {
      try {
        const size = await this.#post(message)
        status.activate()
        figures.sentBytes += size
      } catch (error) {
        if (this.#stop.signal.aborted) break
        status.deactivate('write', 'pipeline', error)
        figures.sendFailures++
        this.#options.unreachable()
      }
    }
    this.#underWay--
  }

  async #post(message: Message): Promise<number> {
    const { client, local, picker, removedFromCluster } = this.#options
    const out = new ByteBuffer(messageSize(message))
    writeMessage(out, message)
    const body = out.take()
    const url = picker.pick()
    try {
      const answer = await client.ask(url, '/raft', {
        method: 'POST', headers: { ...peerHeaders(local), 'Content-Type': 'application/protobuf' }, body, timeoutMs: client.timeouts.readMs, maxAnswerBytes: 4096, signal: this.#stop.signal,
      })
      checkPostAnswer(answer.status, answer.body.toString('latin1'), removedFromCluster)
      return body.length
    } catch (error) {
      picker.unreachable(url)
      throw error
    }
  }
}

/** What a peer says to a posted message or snapshot. @throws when it did not take it */
export function checkPostAnswer(status: number, body: string, removedFromCluster: () => void): void {
  if (status === 204) return
  const words = body.trimEnd()
  if (status === 412 && words === incompatibleVersion) throw new Error('the peer refuses this version')
  if (status === 412 && words === clusterIdMismatch) throw new Error('the peer belongs to another cluster')
  if (status === 403) {
    // Also said when the message was for somebody who lived at this address before.
    if (words.includes('removed member')) removedFromCluster()
    throw new Error(`the peer takes nothing from this member: ${words}`)
  }
  throw new Error(`the peer answers with status ${status}: ${words.slice(0, 200)}`)
}
