// Leases: promises to delete keys unless somebody keeps renewing. Pure: the time (monotonic milliseconds) is an argument.
//
// Only grants and revocations are logged; expiry times live in memory. After a restart every lease has its whole time again, so a lease may
// outlive its promise but never dies early. Upstream: etcd/server/lease
import { etcdError } from '../../../lib/etcd-api/etcd-error.ts'

/** Longest time to live, seconds. */
export const largestTtlSeconds = 9_000_000_000

interface Lease {
  readonly id: bigint
  readonly ttlSeconds: number
  /** What an earlier leader said is left of it; 0: it has said nothing. */
  remainingTtlSeconds: number
  /** Infinity while nobody may expire leases. */
  expiresAtMs: number
  readonly keys: Set<string>
}

interface Alarm { readonly atMs: number; readonly id: bigint }

export class LeaseBook {
  #leases = new Map<bigint, Lease>()
  /** A heap by time. An entry may be early (the lease was renewed since) or stale (it is gone). */
  readonly #heap: Alarm[] = []
  readonly #smallestTtlSeconds: number
  #expiring = false

  /** @param smallestTtlSeconds shorter wishes are raised to this. */
  constructor(smallestTtlSeconds: number) { this.#smallestTtlSeconds = smallestTtlSeconds }

  get size(): number { return this.#leases.size }
  has(id: bigint): boolean { return this.#leases.has(id) }
  /** The lease's keys; none when there is no such lease. */
  keysOf(id: bigint): Iterable<string> { return this.#leases.get(id)?.keys ?? [] }
  ids(): bigint[] { return [...this.#leases.keys()] }

  /** Refuses what `grant` would refuse. @throws EtcdError */
  checkGrant(id: bigint, ttlSeconds: number): void {
    if (ttlSeconds > largestTtlSeconds) throw etcdError('leaseTtlTooLarge')
    if (this.#leases.has(id)) throw etcdError('leaseExists')
  }

  /** Returns the time to live that was granted, seconds. @throws EtcdError lease exists, TTL too large */
  grant(id: bigint, wishedTtlSeconds: number, nowMs: number): number {
    this.checkGrant(id, wishedTtlSeconds)
    const ttlSeconds = Math.max(wishedTtlSeconds, this.#smallestTtlSeconds)
    const lease: Lease = { id, ttlSeconds, remainingTtlSeconds: 0, expiresAtMs: Infinity, keys: new Set() }
    this.#leases.set(id, lease)
    if (this.#expiring) this.#schedule(lease, nowMs)
    return ttlSeconds
  }

  /** Forgets the lease; returns its keys, sorted. @throws EtcdError lease not found */
  revoke(id: bigint): readonly string[] {
    const lease = this.#leases.get(id)
    if (!lease) throw etcdError('leaseNotFound')
    this.#leases.delete(id)
    return [...lease.keys].sort()
  }

  /** Returns the time to live, 0 when there is no such lease (or it has expired and awaits its revocation). */
  renew(id: bigint, nowMs: number): number {
    const lease = this.#leases.get(id)
    if (!lease || lease.expiresAtMs <= nowMs) return 0
    if (this.#expiring) lease.expiresAtMs = nowMs + lease.ttlSeconds * 1000
    return lease.ttlSeconds
  }

  /** What is left of a lease. `ttlSeconds` is -1 when there is none, or when it has expired. */
  inspect(id: bigint, nowMs: number): { readonly ttlSeconds: number; readonly grantedTtlSeconds: number; readonly keys: readonly string[] } {
    const lease = this.#leases.get(id)
    if (!lease || lease.expiresAtMs <= nowMs) return { ttlSeconds: -1, grantedTtlSeconds: 0, keys: [] }
    const left = lease.expiresAtMs === Infinity ? lease.ttlSeconds : Math.floor((lease.expiresAtMs - nowMs) / 1000)
    return { ttlSeconds: left, grantedTtlSeconds: lease.ttlSeconds, keys: [...lease.keys].sort() }
  }

  attach(id: bigint, key: string): void { this.#leases.get(id)?.keys.add(key) }
  detach(id: bigint, key: string): void { this.#leases.get(id)?.keys.delete(key) }

  /** From now on leases expire: this member leads. Every lease gets its whole time again (or what a checkpoint left of it), and `extendMs` more. */
  startExpiring(nowMs: number, extendMs = 0): void {
    this.#expiring = true
    this.#heap.length = 0
    for (const lease of this.#leases.values()) {
      lease.expiresAtMs = nowMs + (lease.remainingTtlSeconds || lease.ttlSeconds) * 1000 + extendMs
      this.#push({ atMs: lease.expiresAtMs, id: lease.id })
    }
  }

  /** Another member leads: nothing expires here. */
  stopExpiring(): void {
    this.#expiring = false
    this.#heap.length = 0
    for (const lease of this.#leases.values()) lease.expiresAtMs = Infinity
  }

  /** A leader says what is left of a lease, so that the next one doesn't begin with the whole time. */
  checkpoint(id: bigint, remainingTtlSeconds: number): void {
    const lease = this.#leases.get(id)
    if (lease) lease.remainingTtlSeconds = remainingTtlSeconds
  }

  /** What a checkpoint left of a lease, seconds; 0: none. Renewing the lease has to take it back, through the log. */
  checkpointOf(id: bigint): number { return this.#leases.get(id)?.remainingTtlSeconds ?? 0 }

  /** What is left of the leases that have more than `longerThanMs`, for checkpoints. */
  remaining(nowMs: number, longerThanMs: number): readonly { readonly id: bigint; readonly remainingTtlSeconds: number }[] {
    const found: { readonly id: bigint; readonly remainingTtlSeconds: number }[] = []
    for (const { id, expiresAtMs } of this.#leases.values()) {
      const leftMs = expiresAtMs - nowMs
      if (leftMs > longerThanMs && leftMs < Infinity) found.push({ id, remainingTtlSeconds: Math.ceil(leftMs / 1000) })
    }
    return found
  }

  /** Takes all leases of another book, which must not be used any more. */
  become(other: LeaseBook): void {
    this.#leases = other.#leases
    this.#heap.length = 0
    for (const lease of this.#leases.values()) lease.expiresAtMs = Infinity
    this.#expiring = false
  }

  /** Ids whose time is over, at most `limit`. They stay until revoked, and are given again after `retryMs`. */
  takeExpired(nowMs: number, limit: number, retryMs = 3000): readonly bigint[] {
    const expired: bigint[] = []
    while (expired.length < limit) {
      const first = this.#heap[0]
      if (first === undefined || first.atMs > nowMs) break
      this.#pop()
      const lease = this.#leases.get(first.id)
      if (!lease) continue
      if (lease.expiresAtMs > nowMs) { this.#push({ atMs: lease.expiresAtMs, id: lease.id }); continue }
      expired.push(lease.id)
      this.#push({ atMs: nowMs + retryMs, id: lease.id })
    }
    return expired
  }

  /** When to look again; undefined when no lease can expire. */
  nextLookMs(): number | undefined { return this.#heap[0]?.atMs }

  /** All leases, for a snapshot. */
  image(): readonly { readonly id: bigint; readonly ttlSeconds: number; readonly remainingTtlSeconds?: number }[] {
    return Array.from(this.#leases.values(), ({ id, ttlSeconds, remainingTtlSeconds }) => (remainingTtlSeconds > 0 ? { id, ttlSeconds, remainingTtlSeconds } : { id, ttlSeconds }))
  }

  #schedule(lease: Lease, nowMs: number): void {
    lease.expiresAtMs = nowMs + lease.ttlSeconds * 1000
    this.#push({ atMs: lease.expiresAtMs, id: lease.id })
  }

  #push(alarm: Alarm): void {
    const heap = this.#heap
    let at = heap.push(alarm) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (heap[parent]!.atMs <= alarm.atMs) break // cast: parent of an index
      heap[at] = heap[parent]! // cast: as above
      at = parent
    }
    heap[at] = alarm
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return
    let at = 0
    for (;;) {
      let child = at * 2 + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && heap[child + 1]!.atMs < heap[child]!.atMs) child++ // cast: both below length
      if (heap[child]!.atMs >= last.atMs) break // cast: below length
      heap[at] = heap[child]! // cast: as above
      at = child
    }
    heap[at] = last
  }
}
