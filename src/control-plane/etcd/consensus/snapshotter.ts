// Saves the state when the log has grown enough for it to be worth it; one at a time. Upstream: etcd/server/etcdserver/server.go (snapshot)
import type { Logger } from '../../../lib/component-base/log.ts'
import type { StateMachine } from '../state-machine.ts'
import type { WriteAheadLog } from '../wal/write-ahead-log.ts'
import type { StateMark, StateStore } from './state-store.ts'

export interface SnapshotterOptions {
  readonly machine: StateMachine
  readonly store: StateStore
  readonly wal: WriteAheadLog
  readonly logger: Logger
  /** Entries after which a state may be saved. */
  readonly count: number
  /** Bytes of log after which it may, however small the store. */
  readonly bytes: number
  /** Of the state that was loaded. */
  readonly lastIndex: number
}

export class Snapshotter {
  readonly #options: SnapshotterOptions
  #running: Promise<void> | undefined
  #lastIndex: number
  #notBefore = 0

  constructor(options: SnapshotterOptions) {
    this.#options = options
    this.#lastIndex = options.lastIndex
  }

  /** @param mark where the state machine is now */
  consider(mark: StateMark): void {
    const { wal, machine, count, bytes, logger } = this.#options
    if (this.#running || mark.index - this.#lastIndex < count || mark.index < this.#notBefore) return
    // A saved state costs the whole store: the log may grow to half of it first.
    if (wal.bytesSinceSnapshot < Math.max(bytes, machine.store.sizeInUseBytes / 2)) return
    this.#running = this.#save(mark).catch((error: unknown) => {
      logger.error('the state was not saved; the log is kept', error)
      // Not again with every entry: the disk may be full.
      this.#notBefore = mark.index + Math.max(1, count / 10)
    }).finally(() => { this.#running = undefined })
  }

  async #save(mark: StateMark): Promise<void> {
    const { store, machine, wal } = this.#options
    await store.save(machine, mark)
    // Meanwhile a newer one may have come from the leader.
    if (mark.index <= this.#lastIndex) return
    this.#lastIndex = mark.index
    wal.markSnapshot(mark)
  }

  /** A state came from the leader. */
  installed(index: number): void { this.#lastIndex = index }

  async finish(): Promise<void> { await this.#running }
}
