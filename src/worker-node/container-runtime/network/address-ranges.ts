// IPv4 ranges: which addresses of the node's pod range belong to pods, and who gets the next one. Pure.
// Addresses are given out in turn (not lowest first), so that one that was just freed rests before somebody else gets it.

export interface AddressRange {
  /** Network address as a number. */
  readonly network: number
  readonly prefixLength: number
}

export function parseAddress(text: string): number | undefined {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text)
  if (!match) return undefined
  const bytes = match.slice(1).map(Number)
  if (bytes.some((byte) => byte > 255)) return undefined
  return bytes.reduce((value, byte) => value * 256 + byte, 0)
}

export function formatAddress(value: number): string { return addressBytes(value).join('.') }

export function addressBytes(value: number): Uint8Array { return Uint8Array.of(value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255) }

/** Parses `10.244.1.0/24`; host bits are cut off. Undefined when it is no IPv4 range. */
export function parseRange(text: string): AddressRange | undefined {
  const [addressText = '', lengthText = ''] = text.split('/')
  const address = parseAddress(addressText)
  if (address === undefined || !/^\d{1,2}$/.test(lengthText) || Number(lengthText) > 32) return undefined
  const prefixLength = Number(lengthText)
  return { network: address - (address % 2 ** (32 - prefixLength)), prefixLength }
}

export function formatRange(range: AddressRange): string { return `${formatAddress(range.network)}/${range.prefixLength}` }

/** The node's own address on the bridge: the first of the range. */
export function gatewayOf(range: AddressRange): number { return range.network + 1 }

/** The next free address after `previous`, or undefined when all are taken. Network, gateway and broadcast are never given out. */
export function nextAddress(range: AddressRange, taken: ReadonlySet<number>, previous: number): number | undefined {
  const first = range.network + 2
  const last = range.network + 2 ** (32 - range.prefixLength) - 2
  const count = last - first + 1
  let candidate = previous >= first && previous < last ? previous + 1 : first
  for (let i = 0; i < count; i++) {
    if (!taken.has(candidate)) return candidate
    candidate = candidate === last ? first : candidate + 1
  }
  return undefined
}

/** A hardware address that follows from the IP address: a neighbour's cached entry stays right when the address passes to another pod. */
export function macOf(address: number): Uint8Array { return Uint8Array.of(0x0a, 0x58, ...addressBytes(address)) }
