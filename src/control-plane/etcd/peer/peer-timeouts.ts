// How long a connection between members may stand still (`--raft-read-timeout`, `--raft-write-timeout`). Upstream: rafthttp/peer.go

export interface PeerTimeouts {
  /** Nothing has come: the other side says something at least three times as often. */
  readonly readMs: number
  /** Nothing could be sent. */
  readonly writeMs: number
}

/** Also the shortest: members believe each other to speak that often. */
export const shortestPeerTimeoutMs = 5000
export const defaultPeerTimeouts: PeerTimeouts = { readMs: shortestPeerTimeoutMs, writeMs: shortestPeerTimeoutMs }
