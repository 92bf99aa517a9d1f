// The network between members as it really is: HTTP on the peer URLs, spoken as the original speaks it, so that members of both kinds can form
// one cluster. Everything that is open here (sockets, timers) ends with the transport.
//
// One connection for each of: what we write to a peer (it dials us, twice: appends, and the rest), what we read from it (we dial it, twice).
// Until a peer has dialled, messages are posted one by one. Upstream: rafthttp/transport.go
import { sleep, type Clock } from '../../../lib/base/clock.ts'
import type { Logger } from '../../../lib/component-base/log.ts'
import { isLocalMessage, type Message } from '../raft/messages.ts'
import { BodyBudget } from './http-answers.ts'
import { MemberRoutes } from './member-routes.ts'
import { PeerClient } from './peer-client.ts'
import { formatId, isPeerUrl, type LocalPeer } from './peer-headers.ts'
import { PeerMetrics, type PeerFigures } from './peer-metrics.ts'
import type { PeerRequests } from './peer-requests.ts'
import { PeerServer } from './peer-server.ts'
import { defaultPeerTimeouts, type PeerTimeouts } from './peer-timeouts.ts'
import type { PeerTls } from './peer-tls.ts'
import type { PeerAddress, PeerHandler, PeerTransport, SnapshotBody } from './peer-transport.ts'
import { Peer } from './peer.ts'
import { RaftRoutes, refusalOf } from './raft-routes.ts'
import { Remote } from './remote.ts'
import { defaultFrameLimitBytes, isSound } from './stream-frames.ts'

export interface PeerTransportOptions {
  readonly id: bigint
  readonly clusterId: bigint
  /** Where others are told to reach this member (--initial-advertise-peer-urls). */
  readonly advertiseUrls: readonly string[]
  /** --listen-peer-urls: http, https, unix or unixs, any number. */
  readonly listenUrls: readonly string[]
  /** For https, listening and dialling. */
  readonly tls?: PeerTls
  readonly clock: Clock
  readonly logger: Logger
  readonly handler: PeerHandler
  readonly requests: PeerRequests
  /** Default 2,000: a second and the election timeout. */
  readonly dialTimeoutMs?: number
  /** For answering one question of another member. Default 7,000: five seconds and two election timeouts. */
  readonly requestTimeoutMs?: number
  readonly timeouts?: PeerTimeouts
  /** The largest message that is believed; larger than the largest request. Default 64 MiB. */
  readonly frameLimitBytes?: number
  /** The address that connections to others come from (--set-member-localaddr). */
  readonly localAddress?: string
}

export interface OpenPeerTransport extends PeerTransport {
  /** The etcd_network_* figures. */
  readonly metrics: PeerMetrics
  /** For questions to other members (peer-requests.ts). */
  readonly client: PeerClient
  /** Ports that are listened on, in the order of the URLs. */
  readonly ports: readonly number[]
}

/** Members that were heard of, but not by the log. */
const remoteLimit = 64
/** Bodies that are being read at once, and messages in them. */
const bodyBudgetBytes = 256 << 20
const certificateCheckIntervalMs = 5000

/** Listens and is ready; nobody is dialled before `setPeers`. @throws ListenError */
export async function openPeerTransport(options: PeerTransportOptions): Promise<OpenPeerTransport> {
  const transport = new HttpPeerTransport(options)
  await transport.listen()
  return transport
}

class HttpPeerTransport implements OpenPeerTransport {
  readonly metrics = new PeerMetrics()
  readonly client: PeerClient
  readonly #options: PeerTransportOptions
  readonly #local: LocalPeer
  readonly #peers = new Map<bigint, Peer>()
  readonly #remotes = new Map<bigint, Remote>()
  readonly #unreachable = new Set<bigint>()
  readonly #stop = new AbortController()
  readonly #snapshots = new Set<Promise<void>>()
  #server: PeerServer | undefined
  #saidRemoved = false

  constructor(options: PeerTransportOptions) {
    this.#options = options
    this.#local = { id: options.id, clusterId: options.clusterId, advertiseUrls: options.advertiseUrls }
    const { clock, tls, localAddress, dialTimeoutMs, timeouts } = options
    this.client = new PeerClient({ clock, ...(tls && { tls }), ...(localAddress && { localAddress }), ...(dialTimeoutMs && { dialTimeoutMs }), ...(timeouts && { timeouts }) })
  }

  get figures(): Iterable<PeerFigures> { return this.metrics.peers }
  get ports(): readonly number[] { return this.#server?.ports ?? [] }

  async listen(): Promise<void> {
    const { clock, logger, handler, requests, clusterId, listenUrls, tls } = this.#options
    const budget = new BodyBudget(bodyBudgetBytes)
    const { readMs: readTimeoutMs } = this.#options.timeouts ?? defaultPeerTimeouts
    const raft = new RaftRoutes({
      local: this.#local, clock, logger, handler, metrics: this.metrics, budget, frameLimitBytes: this.#frameLimitBytes, readTimeoutMs,
      peer: (id) => this.#peers.get(id), addRemote: (id, urls) => this.#addRemote(id, urls),
    })
    const members = new MemberRoutes({ clusterId, clock, logger, requests, budget, readTimeoutMs, requestTimeoutMs: this.#options.requestTimeoutMs ?? 7000 })
    this.#server = await PeerServer.listen({ listenUrls, tls, clock, logger, raft, members, readTimeoutMs })
    if (tls !== undefined) void this.#watchCertificates(tls)
  }

  get #frameLimitBytes(): number { return this.#options.frameLimitBytes ?? defaultFrameLimitBytes }

  setPeers(peers: readonly PeerAddress[]): void {
    if (this.#stop.signal.aborted) return
    const { clock, logger, id: self } = this.#options
    const wanted = new Map(peers.filter((peer) => peer.id !== self && peer.urls.length > 0 && peer.urls.every(isPeerUrl)).map((peer) => [peer.id, peer.urls]))
    for (const [id, peer] of this.#peers) {
      if (wanted.has(id)) continue
      this.#peers.delete(id)
      peer.stop()
      logger.info('peer removed', { 'peer-id': formatId(id) })
    }
    for (const [id, urls] of wanted) {
      this.#remotes.get(id)?.stop()
      this.#remotes.delete(id)
      const peer = this.#peers.get(id)
      if (peer === undefined) {
        this.#peers.set(id, new Peer({
          id, urls, local: this.#local, client: this.client, clock, logger, figures: this.metrics.of(id), frameLimitBytes: this.#frameLimitBytes,
          receive: this.#receive, unreachable: this.#reportUnreachable, ended: this.#peerEnded, removedFromCluster: this.#removedFromCluster,
        }))
        logger.info('peer added', { 'peer-id': formatId(id), urls: urls.join(',') })
      } else if (urls.length !== peer.urls.length || urls.some((url, i) => url !== peer.urls[i])) {
        peer.update(urls)
        logger.info('peer lives elsewhere now', { 'peer-id': formatId(id), urls: urls.join(',') })
      }
    }
  }

  /** Someone with our cluster's id, whom the log has not told of: answers go there, until it tells. */
  #addRemote(id: bigint, urls: readonly string[]): void {
    const { handler, clock, logger, id: self } = this.#options
    if (this.#stop.signal.aborted || id === self || this.#peers.has(id) || this.#remotes.has(id) || this.#remotes.size >= remoteLimit || handler.isRemoved(id)) return
    this.#remotes.set(id, new Remote({ id, urls, local: this.#local, client: this.client, clock, logger, removedFromCluster: this.#removedFromCluster }))
    logger.info('a member was heard of that the log does not know yet', { 'member-id': formatId(id), urls: urls.join(',') })
  }

  send(messages: readonly Message[]): void {
    for (const message of messages) {
      if (message.to === 0n || isLocalMessage(message.type)) continue
      if (message.type === 'MsgSnap') {
        // It needs a state beside it: sendSnapshot.
        this.#reportSnapshot(message.to, 'failed')
        continue
      }
      const peer = this.#peers.get(message.to)
      if (peer !== undefined) {
        if (!peer.send(message)) this.#reportUnreachable(message.to)
      } else this.#remotes.get(message.to)?.send(message)
    }
  }

  sendSnapshot(message: Message, body: SnapshotBody): void {
    const sending = this.#sendSnapshot(message, body).finally(() => this.#snapshots.delete(sending))
    this.#snapshots.add(sending)
  }

  async #sendSnapshot(message: Message, body: SnapshotBody): Promise<void> {
    const peer = this.#peers.get(message.to)
    const outcome = peer === undefined ? 'failed' : await peer.sendSnapshot(message, body)
    if (peer === undefined) await body.pieces[Symbol.asyncIterator]().return?.()
    if (outcome === 'failed') this.#reportUnreachable(message.to)
    this.#reportSnapshot(message.to, outcome)
  }

  #reportSnapshot(id: bigint, outcome: 'delivered' | 'failed'): void {
    // Never inside of `send`: the member is in the middle of something.
    queueMicrotask(() => { if (!this.#stop.signal.aborted) this.#options.handler.reportSnapshot(id, outcome) })
  }

  readonly #reportUnreachable = (id: bigint): void => {
    if (this.#unreachable.size === 0) queueMicrotask(this.#tellUnreachable)
    this.#unreachable.add(id)
  }

  readonly #tellUnreachable = (): void => {
    const ids = [...this.#unreachable]
    this.#unreachable.clear()
    if (this.#stop.signal.aborted) return
    for (const id of ids) this.#options.handler.reportUnreachable(id)
  }

  readonly #peerEnded = (id: bigint): void => { if (!this.#stop.signal.aborted) this.#options.handler.peerEnded(id) }

  readonly #removedFromCluster = (): void => {
    if (this.#saidRemoved || this.#stop.signal.aborted) return
    this.#saidRemoved = true
    this.#options.handler.removedFromCluster()
  }

  /** From streams. What isn't for this member is dropped, as the original drops it. @throws FrameError never; what the handler throws ends the stream */
  readonly #receive = (message: Message): void => {
    if (this.#stop.signal.aborted) return
    const { handler, id, logger } = this.#options
    if (message.to !== id || isLocalMessage(message.type) || message.type === 'MsgSnap' || !isSound(message) || handler.isRemoved(message.from)) {
      const figures = this.metrics.known(message.from)
      if (figures !== undefined) figures.receiveFailures++
      logger.info('a message was dropped', { type: message.type, from: formatId(message.from), reason: refusalOf(message, id, handler) ?? 'malformed' }, 2)
      return
    }
    handler.step(message)
  }

  activeSinceMs(id: bigint): number | undefined { return this.#peers.get(id)?.status.sinceMs }

  async #watchCertificates(tls: PeerTls): Promise<void> {
    for (;;) {
      try { await sleep(this.#options.clock, certificateCheckIntervalMs, this.#stop.signal) } catch { return }
      try {
        if (await tls.refresh()) this.#server?.renewCertificates()
      } catch (error) {
        this.#options.logger.error('certificates for peers could not be read again', error)
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    for (const peer of this.#peers.values()) peer.stop()
    for (const remote of this.#remotes.values()) remote.stop()
    this.#peers.clear()
    this.#remotes.clear()
    this.client[Symbol.dispose]()
    await this.#server?.[Symbol.asyncDispose]()
    await Promise.all(this.#snapshots)
  }
}
