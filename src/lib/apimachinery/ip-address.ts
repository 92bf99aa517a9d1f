// IP addresses and networks as bytes: 4 for IPv4 (also IPv4 written as mapped IPv6), 16 for IPv6. Printing follows RFC 5952, as Go does.
// Upstream: net and net/netip of Go's library, k8s.io/utils/net

/** Reads an address as Kubernetes always did: IPv4 parts may have leading zeros. Undefined when it is none. */
export function parseIpSloppy(text: string): readonly number[] | undefined {
  return text.includes(':') ? parseIpv6(text, true) : parseIpv4(text, true)
}

/** Reads an address strictly: no leading zeros. Undefined when it is none. */
export function parseIp(text: string): readonly number[] | undefined {
  return text.includes(':') ? parseIpv6(text, false) : parseIpv4(text, false)
}

function parseIpv4(text: string, sloppy: boolean): readonly number[] | undefined {
  const parts = text.split('.')
  if (parts.length !== 4) return undefined
  const bytes: number[] = []
  for (const part of parts) {
    if (!/^\d+$/.test(part) || part.length > 15 || (!sloppy && part.length > 1 && part.startsWith('0'))) return undefined
    const value = Number(part)
    if (value > 255) return undefined
    bytes.push(value)
  }
  return bytes
}

function parseIpv6(text: string, sloppy: boolean): readonly number[] | undefined {
  let head = text
  let tail: number[] = []
  const lastColon = text.lastIndexOf(':')
  if (text.includes('.')) {
    const embedded = parseIpv4(text.slice(lastColon + 1), sloppy)
    if (embedded === undefined) return undefined
    tail = [((embedded[0] ?? 0) << 8) | (embedded[1] ?? 0), ((embedded[2] ?? 0) << 8) | (embedded[3] ?? 0)]
    head = text.slice(0, lastColon)
    if (head.endsWith(':') && !head.endsWith('::')) head += ':'
    if (head === '') return undefined
  }
  const halves = head.split('::')
  if (halves.length > 2) return undefined
  const groupsOf = (half: string): number[] | undefined => {
    if (half === '') return []
    const groups = half.split(':')
    if (!groups.every((group) => /^[0-9a-fA-F]{1,4}$/.test(group))) return undefined
    return groups.map((group) => Number.parseInt(group, 16))
  }
  const left = groupsOf(halves[0] ?? '')
  const right = halves.length === 2 ? groupsOf(halves[1] ?? '') : []
  if (left === undefined || right === undefined) return undefined
  const known = left.length + right.length + tail.length
  if (halves.length === 2 ? known > 7 : known !== 8) return undefined
  const groups = [...left, ...Array.from({ length: 8 - known }, () => 0), ...right, ...tail]
  const mapped = groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff
  const bytes = groups.flatMap((group) => [group >> 8, group & 0xff])
  return mapped ? bytes.slice(12) : bytes
}

/** The canonical spelling of an address. */
export function canonicalIp(bytes: readonly number[]): string {
  if (bytes.length === 4) return bytes.join('.')
  const groups = Array.from({ length: 8 }, (_, i) => ((bytes[i * 2] ?? 0) << 8) | (bytes[i * 2 + 1] ?? 0))
  let bestStart = -1
  let bestLength = 1
  for (let i = 0; i < 8; i++) {
    let length = 0
    while (i + length < 8 && groups[i + length] === 0) length++
    if (length > bestLength) { bestStart = i; bestLength = length }
  }
  const hex = (part: readonly number[]): string => part.map((group) => group.toString(16)).join(':')
  if (bestStart < 0) return hex(groups)
  return `${hex(groups.slice(0, bestStart))}::${hex(groups.slice(bestStart + bestLength))}`
}

export interface IpNetwork {
  /** The address with the host bits cleared. */
  readonly address: readonly number[]
  readonly prefixLength: number
  /** The address as written. */
  readonly host: readonly number[]
}

/** Reads `10.0.0.0/24`; undefined when it is no network. Leading zeros pass. */
export function parseCidr(text: string): IpNetwork | undefined {
  const slash = text.indexOf('/')
  if (slash < 0) return undefined
  const host = parseIpSloppy(text.slice(0, slash))
  const lengthText = text.slice(slash + 1)
  if (host === undefined || !/^\d{1,3}$/.test(lengthText)) return undefined
  const mapped = host.length === 4 && text.includes(':')
  const prefixLength = Number(lengthText) - (mapped ? 96 : 0)
  if (prefixLength < 0 || prefixLength > host.length * 8) return undefined
  return { host, prefixLength, address: host.map((byte, i) => byte & (0xff00 >> Math.min(8, Math.max(0, prefixLength - i * 8))) & 0xff) }
}

export function canonicalCidr(network: IpNetwork): string { return `${canonicalIp(network.address)}/${network.prefixLength}` }

/** True when the address lies in the network. */
export function networkContains(network: IpNetwork, address: readonly number[]): boolean {
  if (address.length !== network.address.length) return false
  return address.every((byte, i) => (byte & (0xff00 >> Math.min(8, Math.max(0, network.prefixLength - i * 8))) & 0xff) === network.address[i])
}

/** What is wrong with a network; empty when valid. Strict refuses leading zeros, mapped addresses and set host bits. */
export function isValidCidr(value: string, strict = true): string[] {
  const network = parseCidr(value)
  if (network === undefined) return ['must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)']
  if (!strict) return []
  const [address = '', length = ''] = value.split('/')
  if (parseIp(address) === undefined || (length.length > 1 && length.startsWith('0'))) return ['must not have leading 0s in IP or prefix length']
  if (address.includes(':') && network.host.length === 4) return ['must not have an IPv4-mapped IPv6 address']
  if (canonicalIp(network.host) !== canonicalIp(network.address)) return ['must not have bits set beyond the prefix length']
  return value === canonicalCidr(network) ? [] : [`must be in canonical form (${JSON.stringify(canonicalCidr(network))})`]
}
