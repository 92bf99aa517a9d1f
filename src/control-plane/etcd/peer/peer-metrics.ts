// What the traffic between members amounts to, behind the original's metrics etcd_network_*. Upstream: rafthttp/metrics.go
import { DurationHistogram } from '../duration-histogram.ts'

/** The figures of one other member. Those that it was heard of but never reached stay zero. */
export class PeerFigures {
  readonly id: bigint
  sentBytes = 0
  receivedBytes = 0
  sendFailures = 0
  receiveFailures = 0
  isActive = false
  disconnections = 0
  readonly roundTrip = new DurationHistogram(0.0001, 16)
  snapshotsSent = 0
  snapshotSendFailures = 0
  snapshotSendsUnderWay = 0
  readonly snapshotSendSeconds = new DurationHistogram(0.1, 10)
  snapshotsReceived = 0
  snapshotReceiveFailures = 0
  snapshotReceivesUnderWay = 0
  readonly snapshotReceiveSeconds = new DurationHistogram(0.1, 10)

  constructor(id: bigint) { this.id = id }
}

export class PeerMetrics {
  readonly #peers = new Map<bigint, PeerFigures>()

  /** All that this member ever had as a peer. */
  get peers(): Iterable<PeerFigures> { return this.#peers.values() }

  /** Made when there are none: only for members, never for what strangers say. */
  of(id: bigint): PeerFigures {
    let figures = this.#peers.get(id)
    if (figures === undefined) this.#peers.set(id, figures = new PeerFigures(id))
    return figures
  }

  known(id: bigint): PeerFigures | undefined { return this.#peers.get(id) }
}
