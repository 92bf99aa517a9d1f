// The built-in pod network: one bridge per node, a veth pair per pod, addresses from the node's pod range. It does what the bridge, host-local,
// loopback and portmap plugins of CNI do together, in about a millisecond instead of two hundred, because nothing is executed per pod.
// Routes between nodes are not its business (the cluster, or a cloud, lays them).
import { closeSync, existsSync, openSync, writeFileSync } from 'node:fs'
import { addressBytes, formatAddress, formatRange, gatewayOf, macOf, nextAddress, parseAddress, parseRange } from './address-ranges.ts'
import type { AddressRange } from './address-ranges.ts'
import { hostPortRules, masqueradeChain, masqueradeRules, missingJumps, removalRules } from './host-ports.ts'
import { addAddress, addDefaultRoute, createBridge, createVeth, deleteLink, setHairpin, setLinkUp } from './netlink-messages.ts'
import { NetlinkSocket } from './netlink-socket.ts'
import type { PodAddresses, PodAttachment, PodNetwork } from './pod-network.ts'
import { insideNamespace } from '../host/syscalls.ts'
import { runCommand, runSuccessfully } from '../../../lib/async/run-command.ts'
import { CriError } from '../../../lib/cri-api/cri-services.ts'
import type { Logger } from '../../../lib/component-base/log.ts'

export interface BridgeNetworkOptions {
  /** The node's pod range; may come later (setPodCidr). */
  readonly podCidr?: string
  /** Ranges in which pods keep their own address: all pods, services. */
  readonly clusterCidrs: readonly string[]
  readonly bridgeName: string
  readonly mtu: number
  readonly logger: Logger
}

export class BridgeNetwork implements PodNetwork {
  readonly #options: BridgeNetworkOptions
  readonly #taken = new Map<string, { readonly address: number; readonly request: PodAttachment }>()
  #range: AddressRange | undefined
  #previous = 0
  #bridgeIndex = 0
  #netlink: NetlinkSocket | undefined
  #problem: { readonly reason: string; readonly message: string } | undefined = { reason: 'NetworkPluginNotReady', message: 'the node has no pod CIDR yet' }
  /** Writes of host port rules, one after the other. */
  #rules: Promise<void> = Promise.resolve()

  constructor(options: BridgeNetworkOptions) { this.#options = options }

  notReady(): { readonly reason: string; readonly message: string } | undefined { return this.#problem }

  async setPodCidr(podCidr: string): Promise<void> {
    const range = podCidr.split(',').map((text) => parseRange(text.trim())).find((found) => found !== undefined)
    if (!range || range.prefixLength > 30) throw new CriError('InvalidArgument', `pod CIDR ${JSON.stringify(podCidr)} is no IPv4 range of at least four addresses`)
    if (this.#range && this.#range.network === range.network && this.#range.prefixLength === range.prefixLength) return
    this.#range = range
    try {
      this.#setUpBridge(range)
      await this.#setUpRules(range)
      this.#problem = undefined
    } catch (error) {
      this.#range = undefined
      this.#problem = { reason: 'NetworkPluginNotReady', message: `setting up the pod network failed: ${String(error)}` }
      throw error
    }
  }

  async restore(held: Parameters<PodNetwork['restore']>[0]): Promise<void> {
    for (const { request, addresses } of held) {
      const address = parseAddress(addresses.ips[0] ?? '')
      if (address === undefined) continue
      this.#taken.set(request.sandboxId, { address, request })
      this.#previous = Math.max(this.#previous, address)
    }
    if (this.#options.podCidr) await this.setPodCidr(this.#options.podCidr)
  }

  async attach(request: PodAttachment, _signal: AbortSignal): Promise<PodAddresses> {
    const range = this.#range
    const netlink = this.#netlink
    if (!range || !netlink) throw new CriError('Unavailable', `pod network is not ready: ${this.#problem?.message}`)
    const address = nextAddress(range, new Set(Array.from(this.#taken.values(), (held) => held.address)), this.#previous)
    if (address === undefined) throw new CriError('Unavailable', `no free address left in ${formatRange(range)}`)
    this.#previous = address
    this.#taken.set(request.sandboxId, { address, request })
    try {
      this.#connect(request, address, range, netlink)
      if (request.portMappings.some((mapping) => (mapping.hostPort ?? 0) > 0)) await this.#writeHostPorts()
    } catch (error) {
      this.#taken.delete(request.sandboxId)
      throw error
    }
    return { ips: [formatAddress(address)] }
  }

  async detach(request: PodAttachment, _addresses: PodAddresses | undefined, _signal: AbortSignal): Promise<void> {
    const held = this.#taken.get(request.sandboxId)
    // The pair goes with the namespace, asynchronously in the kernel; deleting the host's end by hand would block this thread for some 16 ms.
    // What must not outlive this call is the way to the address.
    this.#taken.delete(request.sandboxId)
    if (held && request.portMappings.some((mapping) => (mapping.hostPort ?? 0) > 0)) await this.#writeHostPorts()
  }

  async tearDown(signal: AbortSignal): Promise<void> {
    const netlink = (this.#netlink ??= new NetlinkSocket())
    if (netlink.findLink(this.#options.bridgeName) !== undefined) netlink.request(deleteLink(this.#options.bridgeName), 'delete bridge')
    const saved = await runCommand('iptables-save', ['-t', 'nat'], { signal })
    if (saved.stdout.includes(masqueradeChain)) await runSuccessfully('iptables-restore', ['-w', '--noflush'], { input: removalRules(saved.stdout), signal })
    this[Symbol.dispose]()
    this.#range = undefined
    this.#problem = { reason: 'NetworkPluginNotReady', message: 'the pod network was taken down' }
  }

  /** Lets go of the routing socket; bridge and pods stay. */
  [Symbol.dispose](): void {
    this.#netlink?.[Symbol.dispose]()
    this.#netlink = undefined
  }

  #setUpBridge(range: AddressRange): void {
    const { bridgeName, mtu } = this.#options
    const netlink = (this.#netlink ??= new NetlinkSocket())
    const gateway = gatewayOf(range)
    if (netlink.findLink(bridgeName) === undefined) netlink.request(createBridge(bridgeName, mtu, macOf(gateway)), `create bridge ${bridgeName}`)
    this.#bridgeIndex = netlink.findLink(bridgeName) ?? 0
    netlink.request(addAddress(this.#bridgeIndex, addressBytes(gateway), range.prefixLength), `address of ${bridgeName}`)
    netlink.request(setLinkUp(this.#bridgeIndex), `${bridgeName} up`)
    for (const [path, value] of [['net/ipv4/ip_forward', '1'], [`net/ipv4/conf/${bridgeName}/route_localnet`, '1'], ['net/bridge/bridge-nf-call-iptables', '1']] as const) {
      if (existsSync(`/proc/sys/${path}`)) writeFileSync(`/proc/sys/${path}`, value)
    }
  }

  async #setUpRules(range: AddressRange): Promise<void> {
    const { stdout } = await runSuccessfully('iptables-save', ['-t', 'nat'])
    await runSuccessfully('iptables-restore', ['-w', '--noflush'], { input: masqueradeRules(formatRange(range), this.#options.clusterCidrs, missingJumps(stdout)) })
    if (this.#taken.size > 0) await this.#writeHostPorts()
  }

  #connect(request: PodAttachment, address: number, range: AddressRange, netlink: NetlinkSocket): void {
    const name = hostInterfaceOf(request.sandboxId)
    const namespace = openSync(request.namespacePath, 'r')
    try {
      netlink.request(createVeth({ name, mtu: this.#options.mtu, bridge: this.#bridgeIndex, peerName: 'eth0', peerMac: macOf(address), peerNamespace: namespace }), `create ${name}`)
    } finally { closeSync(namespace) }
    netlink.request(setHairpin(netlink.findLink(name) ?? 0), `hairpin of ${name}`)
    using inside = insideNamespace('net', request.namespacePath, () => new NetlinkSocket())
    const index = inside.findLink('eth0') ?? 0
    inside.request(setLinkUp(1), 'lo up')
    inside.request(addAddress(index, addressBytes(address), range.prefixLength), 'pod address')
    inside.request(setLinkUp(index), 'eth0 up')
    inside.request(addDefaultRoute(index, addressBytes(gatewayOf(range))), 'default route')
  }

  #writeHostPorts(): Promise<void> {
    const write = async (): Promise<void> => {
      const holders = Array.from(this.#taken.values(), ({ address, request }) => ({ ip: formatAddress(address), portMappings: request.portMappings }))
      await runSuccessfully('iptables-restore', ['-w', '--noflush'], { input: hostPortRules(holders) })
    }
    this.#rules = this.#rules.then(write, write)
    return this.#rules
  }
}

/** Interface names have at most 15 characters. */
export function hostInterfaceOf(sandboxId: string): string { return `veth${sandboxId.slice(0, 11)}` }
