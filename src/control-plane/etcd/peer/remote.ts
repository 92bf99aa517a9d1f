// A member that has sent something before the log told of it: a joining member answers the leader that brings it the log. Upstream: rafthttp/remote.go
import type { Clock } from '../../../lib/base/clock.ts'
import type { Logger } from '../../../lib/component-base/log.ts'
import type { Message } from '../raft/messages.ts'
import type { PeerClient } from './peer-client.ts'
import type { LocalPeer } from './peer-headers.ts'
import { PeerFigures } from './peer-metrics.ts'
import { PeerStatus } from './peer-status.ts'
import { Pipeline } from './pipeline.ts'
import { UrlPicker } from './url-picker.ts'

export interface RemoteOptions {
  readonly id: bigint
  readonly urls: readonly string[]
  readonly local: LocalPeer
  readonly client: PeerClient
  readonly clock: Clock
  readonly logger: Logger
  removedFromCluster(): void
}

export class Remote {
  readonly #pipeline: Pipeline

  constructor(options: RemoteOptions) {
    const { id, urls, local, client, clock, logger, removedFromCluster } = options
    // Strangers get no figures of their own in the metrics.
    const figures = new PeerFigures(id)
    this.#pipeline = new Pipeline({ local, client, picker: new UrlPicker(urls), figures, status: new PeerStatus(id, clock, logger, figures), unreachable: () => {}, removedFromCluster })
  }

  send(message: Message): void { this.#pipeline.send(message) }
  stop(): void { this.#pipeline.stop() }
}
