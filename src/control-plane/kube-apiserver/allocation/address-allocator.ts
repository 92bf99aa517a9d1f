// Addresses of one range and who has them. Kept in memory, fed from the cache of Services; what is promised to a write in progress counts as used.
// The first addresses of a range are left for those who ask by name, as long as others are free. Pure but for chance.
// Upstream: pkg/registry/core/service/ipallocator
import { canonicalIp, networkContains, parseCidr, parseIp } from '../../../lib/apimachinery/ip-address.ts'
import type { IpNetwork } from '../../../lib/apimachinery/ip-address.ts'
import type { Random } from '../../../lib/base/random.ts'
import { randomInteger } from '../../../lib/base/random.ts'

const randomTries = 32
/** At most this many addresses of a large range are handed out by number. */
const maxSize = 2 ** 30

export class AddressAllocator {
  readonly network: IpNetwork
  /** Offset from the network address → owner. */
  readonly #owners = new Map<number, string>()
  readonly #size: number
  readonly #first: number
  /** Offsets below this go to those who ask for them. */
  readonly #dynamicFrom: number

  /** @param cidr trusted: checked when flags are read */
  constructor(cidr: string) {
    const network = parseCidr(cidr)
    if (!network) throw new RangeError(`${cidr} is no network`)
    this.network = network
    const bits = network.address.length * 8 - network.prefixLength
    this.#size = bits >= 30 ? maxSize : 2 ** bits
    this.#first = 1
    const usable = this.#last - this.#first + 1
    this.#dynamicFrom = this.#first + Math.min(Math.max(16, Math.floor(usable / 16)), 256, Math.max(0, usable - 1))
  }

  /** The last address of an IPv4 network is its broadcast address. */
  get #last(): number { return this.network.address.length === 4 ? this.#size - 2 : this.#size - 1 }

  /** The first address: the API server's own Service has it. */
  get firstAddress(): string { return this.#address(this.#first) }

  contains(ip: string): boolean {
    const parsed = parseIp(ip)
    return parsed !== undefined && parsed.length === this.network.address.length && networkContains(this.network, parsed)
  }

  ownerOf(ip: string): string | undefined {
    const offset = this.#offset(ip)
    return offset === undefined ? undefined : this.#owners.get(offset)
  }

  /** Gives `ip` to `owner` when it is free or already its own. */
  take(ip: string, owner: string): boolean {
    const offset = this.#offset(ip)
    if (offset === undefined || offset < this.#first || offset > this.#last) return false
    const current = this.#owners.get(offset)
    if (current !== undefined && current !== owner) return false
    this.#owners.set(offset, owner)
    return true
  }

  /** Gives `owner` any free address; undefined when the range is full. */
  takeAny(owner: string, random: Random): string | undefined {
    for (let i = 0; i < randomTries; i++) {
      const offset = this.#dynamicFrom + randomInteger(random, this.#last - this.#dynamicFrom + 1)
      if (this.#owners.has(offset)) continue
      this.#owners.set(offset, owner)
      return this.#address(offset)
    }
    if (this.#owners.size > this.#last - this.#first) return undefined
    for (let i = 0, count = this.#last - this.#first + 1; i < count; i++) {
      // The upper part first, the lower when that is full.
      const offset = this.#first + ((this.#dynamicFrom - this.#first + i) % count)
      if (this.#owners.has(offset)) continue
      this.#owners.set(offset, owner)
      return this.#address(offset)
    }
    return undefined
  }

  /** Frees `ip` if `owner` has it. */
  release(ip: string, owner: string): void {
    const offset = this.#offset(ip)
    if (offset !== undefined && this.#owners.get(offset) === owner) this.#owners.delete(offset)
  }

  #address(offset: number): string {
    const bytes = [...this.network.address]
    let rest = offset
    for (let i = bytes.length - 1; i >= 0 && rest > 0; i--) {
      const sum = (bytes[i] ?? 0) + (rest % 256)
      bytes[i] = sum % 256
      rest = Math.floor(rest / 256) + (sum > 255 ? 1 : 0)
    }
    return canonicalIp(bytes)
  }

  #offset(ip: string): number | undefined {
    const parsed = parseIp(ip)
    if (!parsed || !this.contains(ip)) return undefined
    let offset = 0
    parsed.forEach((byte, i) => { offset = offset * 256 + byte - (this.network.address[i] ?? 0) })
    return offset < 0 || offset >= this.#size ? undefined : offset
  }
}
