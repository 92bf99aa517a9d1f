// The network of a one-machine cluster: one bridge on the host, one network namespace a node, routes from the host to pods and Services.
//
// Rule it keeps: the host's own rules are never touched. What is added stands in a bridge, namespaces and one nftables table of our own name,
// so that taking it away is complete.
import { readFileSync, writeFileSync } from 'node:fs'
import { CommandError, runCommand, runSuccessfully } from '../../lib/async/run-command.ts'

export interface ClusterNetwork {
  /** At most 15 characters, as the kernel wants. */
  readonly bridge: string
  /** `172.29.0`: the bridge has .1, nodes follow from .2 on. */
  readonly nodePrefix: string
  readonly serviceCidr: string
  readonly podCidr: string
}

/** Addresses of the cluster that runs as number `index` on this machine, so that several stand side by side. 0 has kubeadm's usual ranges. */
export function clusterNetwork(index: number): ClusterNetwork {
  if (index === 0) return { bridge: 'k8ts0', nodePrefix: '172.29.0', serviceCidr: '10.96.0.0/16', podCidr: '10.244.0.0/16' }
  return { bridge: `k8ts${index}`, nodePrefix: `172.29.${index}`, serviceCidr: `10.${100 + index}.0.0/16`, podCidr: `10.${160 + index}.0.0/16` }
}

export const mostNetworks = 50

/** The address of the kubernetes Service: the first of the range. */
export const apiServiceAddress = (network: ClusterNetwork): string => network.serviceCidr.replace(/\.0\/\d+$/, '.1')

export const hostAddress = (network: ClusterNetwork): string => `${network.nodePrefix}.1`
export const nodeAddress = (network: ClusterNetwork, index: number): string => `${network.nodePrefix}.${index + 2}`
export const namespaceName = (clusterName: string, node: string): string => `${clusterName}-${node}`

/** Makes the bridge, and lets what is behind it reach the outside through the host. */
export async function createBridge(network: ClusterNetwork): Promise<void> {
  const batch = [`link add ${network.bridge} type bridge`, `addr add ${hostAddress(network)}/24 dev ${network.bridge}`, `link set ${network.bridge} up`]
  await runIpBatch([], batch)
  const rules = [
    `table ip ${network.bridge} {`,
    ` chain postrouting { type nat hook postrouting priority 100; ip saddr { ${network.nodePrefix}.0/24, ${network.podCidr} } oifname != "${network.bridge}" masquerade; }`,
    ` chain forward { type filter hook forward priority -10; iifname "${network.bridge}" accept; oifname "${network.bridge}" accept; }`,
    '}',
  ]
  // Without nftables pods still reach each other and the host, only not the world outside.
  const code = await tryCommand('nft', ['-f', '-'], `${rules.join('\n')}\n`)
  if (code === 0) enableForwarding()
}

/** One call of `ip` for several commands. */
async function runIpBatch(options: readonly string[], commands: readonly string[]): Promise<void> {
  await runSuccessfully('ip', [...options, '-batch', '-'], { input: `${commands.join('\n')}\n` })
}

/** The exit code; 127 when the program isn't there. */
async function tryCommand(command: string, args: readonly string[], input = ''): Promise<number> {
  try {
    return (await runCommand(command, args, { input })).code
  } catch (error) {
    if (error instanceof CommandError) return error.code
    throw error
  }
}

const forwardingPath = '/proc/sys/net/ipv4/ip_forward'

function enableForwarding(): void {
  if (readFileSync(forwardingPath, 'utf8').trim() === '0') writeFileSync(forwardingPath, '1')
}

export function isForwardingEnabled(): boolean {
  return readFileSync(forwardingPath, 'utf8').trim() === '1'
}

/** A namespace for one node with its end of a cable to the bridge. */
export async function createNodeNetwork(network: ClusterNetwork, clusterName: string, node: string, index: number): Promise<void> {
  const namespace = namespaceName(clusterName, node)
  const cable = cableName(network, index)
  await runIpBatch([], [
    `netns add ${namespace}`,
    `link add ${cable} type veth peer name eth0 netns ${namespace}`,
    `link set ${cable} master ${network.bridge} up`,
  ])
  await runIpBatch(['-netns', namespace], [
    'link set lo up', `addr add ${nodeAddress(network, index)}/24 dev eth0`, 'link set eth0 up', `route add default via ${hostAddress(network)}`,
  ])
  // Packets to Services come in and go out by the same cable. Telling the host of a shorter way would use up the rate of ICMP messages, so that "connection refused" would get lost.
  const settings = ['all', 'default', 'eth0'].map((name) => `echo 0 > /proc/sys/net/ipv4/conf/${name}/send_redirects`)
  // What kube-proxy left untranslated belongs to no Service: refused at once, else it would go round between host and node. By a reset, which no rate limits.
  const chains = ['forward', 'output'].map((hook) => `chain ${hook} { type filter hook ${hook} priority 10; ip daddr ${network.serviceCidr} meta l4proto tcp reject with tcp reset; ip daddr ${network.serviceCidr} reject; }`)
  await tryCommand('ip', ['netns', 'exec', namespace, 'sh', '-c', [...settings, 'exec nft -f -'].join('; ')], ['table ip unknown-services {', ...chains, '}', ''].join('\n'))
}

export const cableName = (network: ClusterNetwork, index: number): string => `${network.bridge.slice(0, 9)}v${index}`

/** Sends the Service range to the first node, whose rules know every Service. */
export async function routeServices(network: ClusterNetwork): Promise<void> {
  await runSuccessfully('ip', ['route', 'replace', network.serviceCidr, 'via', nodeAddress(network, 0)])
}

/** Sends one node's pod range to it, from the host and from the other nodes. */
export async function routePods(network: ClusterNetwork, clusterName: string, podCidr: string, index: number, nodes: readonly string[]): Promise<void> {
  const via = nodeAddress(network, index)
  await runSuccessfully('ip', ['route', 'replace', podCidr, 'via', via])
  await Promise.all(nodes.map((node, i) => (i === index ? undefined : runSuccessfully('ip', ['-netns', namespaceName(clusterName, node), 'route', 'replace', podCidr, 'via', via]))))
}

/** Takes everything away again; what isn't there is passed over. */
export async function removeNetwork(network: ClusterNetwork, clusterName: string, nodes: readonly string[]): Promise<void> {
  for (const [index, node] of nodes.entries()) {
    // The kernel takes a namespace's own cables away some time later.
    await tryCommand('ip', ['link', 'del', cableName(network, index)])
    await tryCommand('ip', ['netns', 'del', namespaceName(clusterName, node)])
  }
  await tryCommand('ip', ['link', 'del', network.bridge])
  await tryCommand('nft', ['delete', 'table', 'ip', network.bridge])
}
