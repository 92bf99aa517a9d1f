// Whether a peer is heard of. Streams and posts report here; a peer is active from its first success to the next failure.
// Upstream: rafthttp/peer_status.go
import type { Clock } from '../../../lib/base/clock.ts'
import type { Logger } from '../../../lib/component-base/log.ts'
import { formatId } from './peer-headers.ts'
import type { PeerFigures } from './peer-metrics.ts'

export class PeerStatus {
  readonly #id: bigint
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #figures: PeerFigures
  #sinceMs: number | undefined

  constructor(id: bigint, clock: Clock, logger: Logger, figures: PeerFigures) {
    this.#id = id
    this.#clock = clock
    this.#logger = logger
    this.#figures = figures
  }

  get sinceMs(): number | undefined { return this.#sinceMs }

  activate(): void {
    if (this.#sinceMs !== undefined) return
    this.#sinceMs = this.#clock.monotonic()
    this.#figures.isActive = true
    this.#logger.info('peer became active', { 'peer-id': formatId(this.#id) })
  }

  /** @param action what failed: `dial`, `read`, `write`, `heartbeat`, `post`; @param source on which way */
  deactivate(action: string, source: string, error: unknown): void {
    if (this.#sinceMs === undefined) return
    this.#sinceMs = undefined
    this.#figures.isActive = false
    this.#figures.disconnections++
    this.#logger.warn('peer became inactive', { 'peer-id': formatId(this.#id), action, source, error: error instanceof Error ? error : String(error) })
  }

  /** The peer is no peer any more. */
  forget(): void {
    this.#sinceMs = undefined
    this.#figures.isActive = false
  }
}
