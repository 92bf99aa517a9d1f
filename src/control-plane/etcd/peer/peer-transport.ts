// What a member asks of the network between members, and what the network tells it. The real one speaks the original's peer protocol over HTTP
// (rafthttp, port 2380); the simulation has one of its own. Messages may be lost, doubled (but for
// MsgProp: a proposal that comes twice is made twice), delayed and reordered: Raft repeats what matters.
import type { Message } from '../raft/messages.ts'
import type { PeerFigures } from './peer-metrics.ts'

export interface PeerAddress {
  readonly id: bigint
  readonly urls: readonly string[]
}

/** Where another member's whole state comes from: the database file of the original's format, in pieces. */
export interface SnapshotBody {
  /** When receiving: 0 while nobody has said it (the original doesn't). */
  readonly totalBytes: number
  readonly pieces: AsyncIterable<Uint8Array>
}

/** Made with a `PeerHandler`; closed with the member. */
export interface PeerTransport extends AsyncDisposable {
  /** Who there is, this member left out. Called at the start and after every change: connections to others are ended. */
  setPeers(peers: readonly PeerAddress[]): void
  /** On their way at once, or dropped when the peer can't be reached or doesn't keep up (then `reportUnreachable`). Never throws, never waits. */
  send(messages: readonly Message[]): void
  /** A MsgSnap with the state it speaks of. Tells `reportSnapshot` how it went; `body` is ended early when the connection is lost. */
  sendSnapshot(message: Message, body: SnapshotBody): void
  /** Monotonic milliseconds since which the peer has been heard of without a gap; undefined while it is not. */
  activeSinceMs(id: bigint): number | undefined
  /** What went to and came from each other member, for the metrics; only the real network counts. */
  readonly figures?: Iterable<PeerFigures>
}

/** The member, as the transport sees it. */
export interface PeerHandler {
  /** A message has come. It belongs to this member and this cluster, and its sender is not removed: the transport has looked. */
  step(message: Message): void
  /** A MsgSnap with its state; resolves when the state is kept safely and the message has been stepped. @throws when it could not be kept */
  receiveSnapshot(message: Message, body: SnapshotBody): Promise<void>
  reportUnreachable(id: bigint): void
  /** A stream to the peer broke, and its machine says that nobody listens there any more: the process has ended, as far as can be told from here. */
  peerEnded(id: bigint): void
  reportSnapshot(id: bigint, outcome: 'delivered' | 'failed'): void
  /** A removed member is told 410 Gone and never heard again. */
  isRemoved(id: bigint): boolean
  /** Somebody with a removed id: this member itself was removed from the cluster, a peer says. */
  removedFromCluster(): void
}
