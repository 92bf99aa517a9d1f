// The leases that make events disappear after their time. Many events share one: a new lease is taken once a minute (or 5 % of their time, when
// that is less) or every thousand events.
// Upstream: apiserver/pkg/storage/etcd3/lease_manager.go
import type { Clock } from '../../../lib/base/clock.ts'
import { EtcdError, type EtcdClient } from '../../../lib/etcd-client/etcd-client.ts'
import { serverTimeout } from '../endpoints/api-errors.ts'

const defaultReuseSeconds = 60
const eventsPerLease = 1000

export class EventLease {
  readonly #etcd: EtcdClient
  readonly #clock: Clock
  readonly #ttlSeconds: number
  readonly #reuseMs: number
  /** Not a request's: others wait for the same lease. */
  readonly #signal: AbortSignal
  #current: { readonly id: Promise<bigint>; readonly takenAt: number; used: number } | undefined

  constructor(etcd: EtcdClient, clock: Clock, ttlSeconds: number, signal: AbortSignal, reuseSeconds = defaultReuseSeconds) {
    this.#etcd = etcd
    this.#clock = clock
    this.#ttlSeconds = ttlSeconds
    this.#signal = signal
    this.#reuseMs = 1000 * Math.min(reuseSeconds, Math.floor(ttlSeconds * 0.05))
  }

  /** A lease that lives at least as long as an event has to. @throws ApiError when etcd can't be asked */
  async get(): Promise<bigint> {
    const now = this.#clock.monotonic()
    if (!this.#current || now - this.#current.takenAt > this.#reuseMs || this.#current.used >= eventsPerLease) {
      const id = this.#etcd.leaseGrant(this.#ttlSeconds + this.#reuseMs / 1000, this.#signal).then((lease) => lease.id)
      const mine = { id, takenAt: now, used: 0 }
      this.#current = mine
      id.catch(() => { if (this.#current === mine) this.#current = undefined })
    }
    this.#current.used++
    try {
      return await this.#current.id
    } catch (error) {
      // A lease that nobody uses goes by itself: trying again does no harm.
      if (error instanceof EtcdError && error.reason === 'Unavailable') throw serverTimeout({ group: '', resource: 'events' }, 'create', 2)
      throw error
    }
  }
}
