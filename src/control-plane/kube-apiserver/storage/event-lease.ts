// The leases that make events disappear after their time. Many events share one: a new lease is taken once a minute or every thousand events.
// Upstream: apiserver/pkg/storage/etcd3/lease_manager.go
import type { Clock } from '../../../lib/base/clock.ts'
import type { EtcdClient } from '../../../lib/etcd-client/etcd-client.ts'

const reuseMs = 60_000
const eventsPerLease = 1000

export class EventLease {
  readonly #etcd: EtcdClient
  readonly #clock: Clock
  readonly #ttlSeconds: number
  #current: { readonly id: Promise<bigint>; readonly takenAt: number; used: number } | undefined

  constructor(etcd: EtcdClient, clock: Clock, ttlSeconds: number) {
    this.#etcd = etcd
    this.#clock = clock
    this.#ttlSeconds = ttlSeconds
  }

  /** A lease that lives at least as long as an event has to. */
  async get(signal: AbortSignal): Promise<bigint> {
    const now = this.#clock.monotonic()
    const reuse = Math.min(reuseMs, this.#ttlSeconds * 50)
    if (!this.#current || now - this.#current.takenAt > reuse || this.#current.used >= eventsPerLease) {
      const id = this.#etcd.leaseGrant(this.#ttlSeconds + Math.ceil(reuse / 1000), signal).then((lease) => lease.id)
      const mine = { id, takenAt: now, used: 0 }
      this.#current = mine
      id.catch(() => { if (this.#current === mine) this.#current = undefined })
    }
    this.#current.used++
    return this.#current.id
  }
}
