// Node ports of one range and who has them, per protocol: the same number may serve TCP of one Service and UDP of another, when asked for by name.
// Upstream: pkg/registry/core/service/portallocator
import type { Random } from '../../../lib/base/random.ts'
import { randomInteger } from '../../../lib/base/random.ts'

export interface PortRange { readonly first: number; readonly last: number }

export class PortAllocator {
  readonly range: PortRange
  /** Port → owner → number of uses. A port belongs to one owner. */
  readonly #owners = new Map<number, string>()

  constructor(range: PortRange) { this.range = range }

  contains(port: number): boolean { return port >= this.range.first && port <= this.range.last }

  take(port: number, owner: string): boolean {
    if (!this.contains(port)) return false
    const current = this.#owners.get(port)
    if (current !== undefined && current !== owner) return false
    this.#owners.set(port, owner)
    return true
  }

  takeAny(owner: string, random: Random): number | undefined {
    const count = this.range.last - this.range.first + 1
    const start = randomInteger(random, count)
    // The lowest ports are left for those who ask for them, as long as others are free.
    const reserved = Math.min(Math.max(16, Math.floor(count / 32)), 128, count - 1)
    for (const skipReserved of [true, false]) {
      for (let i = 0; i < count; i++) {
        const index = (start + i) % count
        if (skipReserved && index < reserved) continue
        const port = this.range.first + index
        if (this.#owners.has(port)) continue
        this.#owners.set(port, owner)
        return port
      }
    }
    return undefined
  }

  release(port: number, owner: string): void { if (this.#owners.get(port) === owner) this.#owners.delete(port) }
}
