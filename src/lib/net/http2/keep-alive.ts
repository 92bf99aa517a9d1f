// Whether the peer of a connection is still there, and whether it asks too often whether we are.
//
// A connection without any traffic is asked (PING) and given up when it does not answer. A peer that pings more often than it may is told
// to stop: two pings too many are forgiven, whatever is sent to it meanwhile forgives all of them, and without open calls it should not ask at all.
// Upstream: grpc-go/internal/transport/http2_server.go (keepalive, handlePing)

export interface KeepAlivePolicy {
  /** Without any traffic for this long the peer is asked whether it is there. Default two hours. */
  readonly intervalMs?: number
  /** How long it may take to answer. Default 20 s. */
  readonly timeoutMs?: number
  /** Least time between two pings of the peer. Absent: it may ask as it likes (a flood is stopped all the same). */
  readonly minPingIntervalMs?: number
}

/** Pings of a peer that has no open calls. */
const idlePingIntervalMs = 2 * 3_600_000
const forgivenPings = 2

export class KeepAlive {
  readonly #intervalMs: number
  readonly #timeoutMs: number
  readonly #minPingIntervalMs: number | undefined
  #activityMs: number
  #askedMs: number | undefined
  #pingedMs = -Infinity
  #strikes = 0
  /** Something was sent since the peer's last ping. The connection sets it wherever it sends headers or data. */
  hasSent = false

  constructor(policy: KeepAlivePolicy, nowMs: number) {
    this.#intervalMs = policy.intervalMs ?? 2 * 3_600_000
    this.#timeoutMs = policy.timeoutMs ?? 20_000
    this.#minPingIntervalMs = policy.minPingIntervalMs
    this.#activityMs = nowMs
  }

  /** The peer asks. False: too often. */
  allowsPing(nowMs: number, hasOpenStreams: boolean): boolean {
    if (this.#minPingIntervalMs === undefined) return true
    const sinceMs = nowMs - this.#pingedMs
    this.#pingedMs = nowMs
    if (this.hasSent) {
      this.hasSent = false
      this.#strikes = 0
      return true
    }
    if (sinceMs < (hasOpenStreams ? this.#minPingIntervalMs : idlePingIntervalMs)) this.#strikes++
    return this.#strikes <= forgivenPings
  }

  answered(): void { this.#askedMs = undefined }

  /** To be called now and then. @param wasActive something came since the last look */
  look(nowMs: number, wasActive: boolean): 'alive' | 'ask' | 'dead' {
    if (wasActive) {
      this.#activityMs = nowMs
      this.#askedMs = undefined
    }
    if (this.#askedMs !== undefined) return nowMs - this.#askedMs >= this.#timeoutMs ? 'dead' : 'alive'
    if (nowMs - this.#activityMs < this.#intervalMs) return 'alive'
    this.#askedMs = nowMs
    return 'ask'
  }
}
