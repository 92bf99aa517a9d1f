// Saves the state when it is worth it; one at a time. And when the cluster has gone down to an older version: a program of that version refuses
// a folder whose log still tells of the newer one. Upstream: etcd/server/etcdserver/server.go (snapshot, ForceSnapshot)
//
// Saving writes the whole state. It spares a start reading what is not in the state any more; reading the rest costs it about as much from the
// log as from a saved state. So saving a store that only grows gains nothing, but it is saved now and then, for those who read its file.
import type { Clock } from '../../../lib/base/clock.ts'
import type { Logger } from '../../../lib/component-base/log.ts'
import type { StateMachine } from '../state-machine.ts'
import type { WriteAheadLog } from '../wal/write-ahead-log.ts'
import { isTooOldFor, oldestClusterVersion } from '../membership/cluster-version.ts'
import { etcdStorageVersion } from '../version.ts'
import type { StateMark, StateStore } from './state-store.ts'

/** From one saved state to the next of a store that only grows, for each entry of the count: five minutes with the default count. */
const pauseMsPerEntry = 30

/** What a start would read, what the state is, and how old the saved one is. */
export interface SavingCosts {
  readonly savedBytes: number
  /** Behind the saved state. */
  readonly logBytes: number
  readonly stateBytes: number
  readonly sinceSavedMs: number
  readonly leastLogBytes: number
  readonly pauseMs: number
}

export function isWorthSaving({ savedBytes, logBytes, stateBytes, sinceSavedMs, leastLogBytes, pauseMs }: SavingCosts): boolean {
  // Never more than two bytes of state are written for one of the log.
  if (logBytes < Math.max(leastLogBytes, stateBytes / 2)) return false
  return savedBytes + logBytes >= stateBytes * 1.5 || sinceSavedMs >= pauseMs
}

export interface SnapshotterOptions {
  readonly clock: Clock
  readonly machine: StateMachine
  readonly store: StateStore
  readonly wal: WriteAheadLog
  readonly logger: Logger
  /** Has the log written, though nobody asks for anything. */
  readonly wake: () => void
  /** Entries after which a state may be saved. */
  readonly count: number
  /** Bytes of log after which it may, however small the store. */
  readonly bytes: number
  /** Of the state that was loaded: its index, and its bytes as `sizeInUseBytes` has them. */
  readonly lastIndex: number
  readonly lastBytes: number
}

export class Snapshotter {
  readonly #options: SnapshotterOptions
  #running: Promise<void> | undefined
  #lastIndex: number
  #lastBytes: number
  /** The age of a state from before this member's start is not known. */
  #lastMs = -Infinity
  #notBefore = 0
  /** The cluster's version as it was looked at last, and whether the state has to be saved because that is an older one than ours. */
  #version: string | undefined
  #owesSave = false

  constructor(options: SnapshotterOptions) {
    this.#options = options
    this.#lastIndex = options.lastIndex
    this.#lastBytes = options.lastBytes
  }

  /** The version whose programs can open what is on the disk. */
  get storageVersion(): string | undefined {
    return this.#lookAtVersion() || this.#options.wal.owesMark ? etcdStorageVersion : this.#version
  }

  #lookAtVersion(): boolean {
    const { clusterVersion } = this.#options.machine.membership
    if (clusterVersion !== this.#version) {
      this.#version = clusterVersion
      this.#owesSave = clusterVersion !== undefined && clusterVersion !== oldestClusterVersion && isTooOldFor(clusterVersion, etcdStorageVersion)
    }
    return this.#owesSave
  }

  /** The cluster's version may have fallen. */
  applied(): void { if (this.#lookAtVersion() && !this.#running) this.#options.wake() }

  /** @param mark where the state machine is now */
  consider(mark: StateMark): void {
    const { count, logger } = this.#options
    if (this.#running || mark.index < this.#notBefore) return
    if (this.#lookAtVersion()) {
      // What was saved last was saved here: it has this version already.
      if (mark.index <= this.#lastIndex) { this.#owesSave = false; return }
      logger.info('the cluster speaks an older version: the state is saved for it', { version: this.#version ?? '' })
    } else if (mark.index - this.#lastIndex < count || !this.#isWorthIt()) return
    this.#running = this.#save(mark).catch((error: unknown) => {
      logger.error('the state was not saved; the log is kept', error)
      // Not again with every entry: the disk may be full.
      this.#notBefore = mark.index + Math.max(1, count / 10)
    }).finally(() => { this.#running = undefined })
  }

  #isWorthIt(): boolean {
    const { wal, machine, clock, count, bytes } = this.#options
    return isWorthSaving({
      savedBytes: this.#lastBytes, logBytes: wal.bytesSinceSnapshot, stateBytes: machine.store.sizeInUseBytes, sinceSavedMs: clock.monotonic() - this.#lastMs, leastLogBytes: bytes, pauseMs: count * pauseMsPerEntry,
    })
  }

  async #save(mark: StateMark): Promise<void> {
    const { store, machine, wal, wake } = this.#options
    const lowers = this.#lookAtVersion()
    const version = this.#version
    const { sizeInUseBytes } = machine.store
    await store.save(machine, mark)
    if (this.#version === version) this.#owesSave = false
    // Meanwhile a newer one may have come from the leader.
    if (mark.index <= this.#lastIndex) return
    this.#saved(mark.index, sizeInUseBytes)
    wal.markSnapshot(mark, { atOnce: lowers })
    if (lowers) wake()
  }

  /** A state came from the leader. */
  installed(index: number): void { this.#saved(index, this.#options.machine.store.sizeInUseBytes) }

  #saved(index: number, bytes: number): void {
    this.#lastIndex = index
    this.#lastBytes = bytes
    this.#lastMs = this.#options.clock.monotonic()
  }

  async finish(): Promise<void> { await this.#running }
}
