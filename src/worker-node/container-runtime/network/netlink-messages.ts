// Routing netlink messages as bytes: links, addresses and routes. Pure: the socket is elsewhere.
// Numbers from linux/rtnetlink.h, linux/if_link.h and linux/if_bridge.h; all fields are in the machine's byte order (little-endian here).

export const RTM_NEWLINK = 16
export const RTM_DELLINK = 17
export const RTM_GETLINK = 18
const RTM_SETLINK = 19
const RTM_NEWADDR = 20
const RTM_NEWROUTE = 24
const NLM_F_REQUEST = 1
const NLM_F_ACK = 4
const NLM_F_REPLACE = 0x100
const NLM_F_EXCL = 0x200
const NLM_F_CREATE = 0x400
const AF_BRIDGE = 7
const IFF_UP = 1
const nested = 0x8000
const IFLA = { ADDRESS: 1, IFNAME: 3, MTU: 4, MASTER: 10, PROTINFO: 12, LINKINFO: 18, NET_NS_FD: 28 } as const
const IFLA_INFO_KIND = 1
const IFLA_INFO_DATA = 2
const VETH_INFO_PEER = 1
const IFLA_BRPORT_MODE = 4

export interface NetlinkRequest {
  readonly type: number
  readonly flags: number
  readonly body: Buffer
}

function attribute(type: number, value: Uint8Array): Buffer {
  const out = Buffer.alloc((4 + value.length + 3) & ~3)
  out.writeUInt16LE(4 + value.length, 0)
  out.writeUInt16LE(type, 2)
  out.set(value, 4)
  return out
}

const text = (type: number, value: string): Buffer => attribute(type, Buffer.from(`${value}\0`))
const number32 = (type: number, value: number): Buffer => { const b = Buffer.alloc(4); b.writeUInt32LE(value); return attribute(type, b) }

/** struct ifinfomsg */
function linkHeader(family: number, index: number, up: boolean): Buffer {
  const out = Buffer.alloc(16)
  out[0] = family
  out.writeInt32LE(index, 4)
  out.writeUInt32LE(up ? IFF_UP : 0, 8)
  out.writeUInt32LE(up ? IFF_UP : 0, 12)
  return out
}

export function createBridge(name: string, mtu: number, mac: Uint8Array): NetlinkRequest {
  const info = attribute(IFLA.LINKINFO | nested, text(IFLA_INFO_KIND, 'bridge'))
  return {
    type: RTM_NEWLINK, flags: NLM_F_CREATE | NLM_F_EXCL,
    body: Buffer.concat([linkHeader(0, 0, true), text(IFLA.IFNAME, name), number32(IFLA.MTU, mtu), attribute(IFLA.ADDRESS, mac), info]),
  }
}

export interface VethOptions {
  readonly name: string
  readonly mtu: number
  /** Index of the bridge that the host's end joins. */
  readonly bridge: number
  readonly peerName: string
  readonly peerMac: Uint8Array
  /** Open file descriptor of the network namespace that gets the other end. */
  readonly peerNamespace: number
}

/** A pair of interfaces: one on the bridge and up, the other in the pod's namespace. */
export function createVeth(options: VethOptions): NetlinkRequest {
  const peer = Buffer.concat([
    linkHeader(0, 0, false), text(IFLA.IFNAME, options.peerName), number32(IFLA.MTU, options.mtu), attribute(IFLA.ADDRESS, options.peerMac),
    number32(IFLA.NET_NS_FD, options.peerNamespace),
  ])
  const info = attribute(IFLA.LINKINFO | nested, Buffer.concat([text(IFLA_INFO_KIND, 'veth'), attribute(IFLA_INFO_DATA | nested, attribute(VETH_INFO_PEER | nested, peer))]))
  return {
    type: RTM_NEWLINK, flags: NLM_F_CREATE | NLM_F_EXCL,
    body: Buffer.concat([linkHeader(0, 0, true), text(IFLA.IFNAME, options.name), number32(IFLA.MTU, options.mtu), number32(IFLA.MASTER, options.bridge), info]),
  }
}

/** Lets a bridge port send frames back out of where they came in: a pod reaches itself through its service. */
export function setHairpin(index: number): NetlinkRequest {
  return { type: RTM_SETLINK, flags: 0, body: Buffer.concat([linkHeader(AF_BRIDGE, index, false), attribute(IFLA.PROTINFO | nested, attribute(IFLA_BRPORT_MODE, Uint8Array.of(1)))]) }
}

export function setLinkUp(index: number): NetlinkRequest { return { type: RTM_NEWLINK, flags: 0, body: linkHeader(0, index, true) } }

export function deleteLink(name: string): NetlinkRequest { return { type: RTM_DELLINK, flags: 0, body: Buffer.concat([linkHeader(0, 0, false), text(IFLA.IFNAME, name)]) } }

export function getLink(name: string): NetlinkRequest { return { type: RTM_GETLINK, flags: 0, body: Buffer.concat([linkHeader(0, 0, false), text(IFLA.IFNAME, name)]) } }

/** @param address 4 or 16 bytes */
export function addAddress(index: number, address: Uint8Array, prefixLength: number): NetlinkRequest {
  const header = Buffer.alloc(8)
  header[0] = address.length === 4 ? 2 : 10
  header[1] = prefixLength
  header.writeUInt32LE(index, 4)
  const parts = [header, attribute(1, address), attribute(2, address)]
  if (address.length === 4 && prefixLength < 31) {
    const broadcast = Uint8Array.from(address, (byte, i) => byte | (0xff >> Math.min(8, Math.max(0, prefixLength - i * 8))))
    parts.push(attribute(4, broadcast))
  } else if (address.length === 16) header[2] = 2 // IFA_F_NODAD: usable at once
  return { type: RTM_NEWADDR, flags: NLM_F_CREATE | NLM_F_REPLACE, body: Buffer.concat(parts) }
}

/** Default route through `gateway`. */
export function addDefaultRoute(index: number, gateway: Uint8Array): NetlinkRequest {
  const header = Buffer.from([gateway.length === 4 ? 2 : 10, 0, 0, 0, 254, 3, 0, 1, 0, 0, 0, 0]) // main table, static, universe, unicast
  const out = Buffer.alloc(4)
  out.writeUInt32LE(index)
  return { type: RTM_NEWROUTE, flags: NLM_F_CREATE | NLM_F_REPLACE, body: Buffer.concat([header, attribute(5, gateway), attribute(4, out)]) }
}

/** The request with its header. Every request asks for an acknowledgement. */
export function frame(request: NetlinkRequest, sequence: number): Buffer {
  const header = Buffer.alloc(16)
  header.writeUInt32LE(16 + request.body.length, 0)
  header.writeUInt16LE(request.type, 4)
  header.writeUInt16LE(request.flags | NLM_F_REQUEST | NLM_F_ACK, 6)
  header.writeUInt32LE(sequence, 8)
  return Buffer.concat([header, request.body])
}

export type NetlinkReply =
  | { readonly sequence: number; readonly kind: 'ack'; /** 0, or the errno. */ readonly errno: number }
  | { readonly sequence: number; readonly kind: 'link'; readonly index: number }
  | { readonly sequence: number; readonly kind: 'other' }

/** The messages in one datagram of the kernel. */
export function parseReplies(datagram: Buffer): NetlinkReply[] {
  const replies: NetlinkReply[] = []
  for (let at = 0; at + 16 <= datagram.length;) {
    const length = datagram.readUInt32LE(at)
    if (length < 16 || at + length > datagram.length) break
    const type = datagram.readUInt16LE(at + 4)
    const sequence = datagram.readUInt32LE(at + 8)
    if (type === 2 && length >= 20) replies.push({ sequence, kind: 'ack', errno: -datagram.readInt32LE(at + 16) })
    else if (type === RTM_NEWLINK && length >= 32) replies.push({ sequence, kind: 'link', index: datagram.readInt32LE(at + 20) })
    else replies.push({ sequence, kind: 'other' })
    at += (length + 3) & ~3
  }
  return replies
}
