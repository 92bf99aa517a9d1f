// Whole states between members: for a follower that needs entries which nobody keeps any more, and on this member from its leader.
import { sleep, type Clock } from '../../../lib/base/clock.ts'
import type { Logger } from '../../../lib/component-base/log.ts'
import { assert } from '../../../lib/base/assert.ts'
import type { PeerTransport, SnapshotBody } from '../peer/peer-transport.ts'
import type { ConfState, Message, Snapshot } from '../raft/messages.ts'
import { membershipInV2Format } from '../snapshot/membership-v2.ts'
import type { StateMachine } from '../state-machine.ts'
import { LogStorage } from './log-storage.ts'
import type { StateMark, StateStore } from './state-store.ts'

export interface StateTransferOptions {
  readonly machine: StateMachine
  readonly store: StateStore
  readonly clock: Clock
  readonly logger: Logger
  readonly newMachine: () => StateMachine
  /** The place of the state machine now. */
  readonly place: () => { readonly index: number; readonly term: number; readonly confState: ConfState }
  readonly transport: () => PeerTransport | undefined
  /** The state never went out. */
  readonly failed: (to: bigint) => void
}

/** Each holds all versions of all keys in place while it runs. */
const maxOutgoing = 2
const pinnedLookMs = 10
const pinnedPatienceMs = 500

export class StateTransfer {
  readonly #options: StateTransferOptions
  /** By receiver; undefined while it is being made. */
  readonly #outgoing = new Map<bigint, Disposable | undefined>()
  #receiving: Promise<unknown> = Promise.resolve()

  constructor(options: StateTransferOptions) { this.#options = options }

  /** For Raft: the state can be sent now. */
  snapshotNow(): Snapshot | undefined {
    const { index, term, confState } = this.#options.place()
    return this.#outgoing.size >= maxOutgoing || index === 0 ? undefined : LogStorage.snapshotOf(index, term, confState)
  }

  /** Sends the state as it is now, which may have gone on since Raft asked for it. */
  send(message: Message): void {
    const { machine, store, logger, place, transport, failed } = this.#options
    const { to } = message
    // One is on its way already: what becomes of it is told to Raft, whenever it asked.
    if (this.#outgoing.has(to)) return
    const mark = place()
    this.#outgoing.set(to, undefined)
    logger.info('sending the whole state to a member that is far behind', { to: to.toString(16), index: mark.index })
    // Members of older versions take the membership from here.
    const snapshot: Snapshot = { data: membershipInV2Format(machine.membership), metadata: mark }
    store.export(machine, mark).then((body) => {
      const peers = transport()
      if (!peers || !this.#outgoing.has(to)) {
        body[Symbol.dispose]()
        failed(to)
        return
      }
      this.#outgoing.set(to, body)
      peers.sendSnapshot({ ...message, snapshot }, body)
    }).catch((error: unknown) => {
      logger.error('the state could not be exported', error)
      failed(to)
    })
  }

  /** How it went is known. */
  ended(to: bigint): void {
    this.#outgoing.get(to)?.[Symbol.dispose]()
    this.#outgoing.delete(to)
  }

  /** Nothing goes out any more. */
  close(): void { for (const to of [...this.#outgoing.keys()]) this.ended(to) }

  /** Keeps what a leader sends; one at a time. */
  async receive(message: Message, body: SnapshotBody): Promise<void> {
    const mark = message.snapshot?.metadata
    assert(mark !== undefined, 'a state comes with its place')
    const before = this.#receiving
    const receiving = before.then(() => this.#options.store.receive(mark, body))
    this.#receiving = receiving.catch(() => {})
    await receiving
  }

  /** The received state becomes this member's, in memory as on the disk. */
  async install(mark: StateMark, signal: AbortSignal): Promise<void> {
    const { machine, store, logger, clock, newMachine } = this.#options
    await store.install(mark)
    const fresh = newMachine()
    const loaded = await store.load(fresh, () => true)
    assert(loaded?.appliedIndex === mark.index, 'the state that was installed is the one that is loaded')
    // Whoever walks the state before (a hash, a list) finishes first; a download, whose client may read slowly or not at all, only if that is soon:
    // meanwhile this member would neither follow nor tell its watches anything.
    for (let waitedMs = 0; machine.store.isPinned; waitedMs += pinnedLookMs) {
      if (waitedMs >= pinnedPatienceMs) machine.store.losePins()
      await sleep(clock, pinnedLookMs, signal)
    }
    machine.become(fresh)
    logger.info('took the state that the leader sent', { index: mark.index, revision: machine.store.revision })
  }
}
