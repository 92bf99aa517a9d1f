// What an etcd can be trusted with. Some versions tell a watch that it is up to date before they have delivered everything: on those, lists that
// must be up to date are read from etcd itself instead of from the cache.
// Upstream: apiserver/pkg/storage/feature/feature_support_checker.go (etcd issues 15220 and 17507)
import { sleep, type Clock } from '../../../lib/base/clock.ts'
import type { Logger } from '../../../lib/component-base/log.ts'
import type { EtcdClient } from '../../../lib/etcd-client/etcd-client.ts'

const firstDelayMs = 10
const lastDelayMs = 15_000

/** True for versions whose progress notifications keep their word: 3.4.31 and later of 3.4, 3.5.13 and later. */
export function hasReliableProgress(version: string): boolean {
  const match = /^v?(\d+)\.(\d+)\.(\d+)/.exec(version)
  if (!match) return false
  const [major, minor, patch] = match.slice(1).map(Number) as [number, number, number] // cast: the pattern has three groups
  if (major !== 3) return major > 3
  return minor === 4 ? patch >= 31 : minor === 5 ? patch >= 13 : minor > 5
}

export class FeatureSupport {
  readonly #etcd: EtcdClient
  readonly #clock: Clock
  readonly #logger: Logger
  #progress = false
  #refused = false

  constructor(etcd: EtcdClient, clock: Clock, logger: Logger) {
    this.#etcd = etcd
    this.#clock = clock
    this.#logger = logger
  }

  /** Progress can be asked for, and the answer be relied on. One endpoint that can't is enough to say no. */
  get progress(): boolean { return this.#progress && !this.#refused }

  /** Asks for the version of the etcd that answers first, and then of every endpoint until each has answered once; that goes on behind. */
  async start(signal: AbortSignal): Promise<void> {
    try { this.#note('', (await this.#etcd.status(signal)).version) } catch { /* asked again below */ }
    void this.#askAll(signal)
  }

  async #askAll(signal: AbortSignal): Promise<void> {
    let open: readonly string[] | undefined
    for (let delay = firstDelayMs; ; delay = Math.min(lastDelayMs, delay * 2)) {
      open = await this.#round(open, signal)
      if (open.length === 0) return
      try { await sleep(this.#clock, delay, signal) } catch { return }
    }
  }

  /** @returns the endpoints that have not answered */
  async #round(among: readonly string[] | undefined, signal: AbortSignal): Promise<readonly string[]> {
    try {
      if (!this.#etcd.endpointStatuses) {
        if (!this.#progress && !this.#refused) this.#note('', (await this.#etcd.status(signal)).version)
        return []
      }
      const open: string[] = []
      for (const { endpoint, version } of await this.#etcd.endpointStatuses(signal)) {
        if (among && !among.includes(endpoint)) continue
        if (version === undefined) open.push(endpoint)
        else this.#note(endpoint, version)
      }
      return open
    } catch {
      return among ?? []
    }
  }

  #note(endpoint: string, version: string): void {
    if (hasReliableProgress(version)) { this.#progress = true; return }
    if (!this.#refused) this.#logger.info('This etcd cannot be relied on for progress of watches: consistent lists are read from it, not from the cache', { endpoint, version })
    this.#refused = true
  }
}
