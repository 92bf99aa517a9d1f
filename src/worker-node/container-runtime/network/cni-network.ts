// Pod network by CNI plugins: runs the chain of a conflist, feeding each plugin the result of the one before.
// Upstream: github.com/containernetworking/cni (SPEC.md, libcni)
import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { PodAddresses, PodAttachment, PodNetwork } from './pod-network.ts'
import { NetlinkSocket } from './netlink-socket.ts'
import { setLinkUp } from './netlink-messages.ts'
import { insideNamespace } from '../host/syscalls.ts'
import { runCommand } from '../../../lib/async/run-command.ts'
import { isJsonObject } from '../../../lib/base/json.ts'
import type { JsonObject } from '../../../lib/base/json.ts'
import { CriError } from '../../../lib/cri-api/cri-services.ts'

export interface CniOptions {
  /** Folder of *.conflist and *.conf files; the first in alphabetical order counts. */
  readonly configDir: string
  /** Folders of plugin binaries. */
  readonly binDirs: readonly string[]
}

interface PluginChain { readonly name: string; readonly cniVersion: string; readonly plugins: readonly JsonObject[] }

export class CniNetwork implements PodNetwork {
  readonly #options: CniOptions
  #chain: PluginChain | undefined
  #podCidr = ''

  constructor(options: CniOptions) { this.#options = options }

  notReady(): { readonly reason: string; readonly message: string } | undefined {
    return this.#chain ? undefined : { reason: 'NetworkPluginNotReady', message: `cni plugin not initialized: no network configuration in ${this.#options.configDir}` }
  }

  async setPodCidr(podCidr: string): Promise<void> { this.#podCidr = podCidr; await this.#load() }
  async restore(): Promise<void> { await this.#load() }
  async tearDown(): Promise<void> {}

  async attach(request: PodAttachment, signal: AbortSignal): Promise<PodAddresses> {
    await this.#load()
    const chain = this.#chain
    if (!chain) throw new CriError('Unavailable', this.notReady()?.message ?? '')
    insideNamespace('net', request.namespacePath, () => { using netlink = new NetlinkSocket(); netlink.request(setLinkUp(1), 'lo up') })
    let result: JsonObject | undefined
    for (const plugin of chain.plugins) result = await this.#run('ADD', chain, plugin, request, result, signal)
    const ips = Array.isArray(result?.ips) ? result.ips.flatMap((ip) => (isJsonObject(ip) && typeof ip.address === 'string' ? [ip.address.split('/')[0] ?? ''] : [])) : []
    if (ips.length === 0) throw new CriError('Internal', `CNI network ${chain.name} gave the pod no address`)
    return { ips, detail: JSON.stringify(result) }
  }

  async detach(request: PodAttachment, addresses: PodAddresses | undefined, signal: AbortSignal): Promise<void> {
    await this.#load()
    const chain = this.#chain
    if (!chain) return
    const parsed: unknown = addresses?.detail ? JSON.parse(addresses.detail) : undefined
    for (const plugin of chain.plugins.toReversed()) await this.#run('DEL', chain, plugin, request, isJsonObject(parsed) ? parsed : undefined, signal)
  }

  async #load(): Promise<void> {
    const names = await readdir(this.#options.configDir).catch(() => [])
    for (const name of names.toSorted()) {
      if (!/\.(conflist|conf|json)$/.test(name)) continue
      const parsed: unknown = JSON.parse(await readFile(join(this.#options.configDir, name), 'utf8'))
      if (!isJsonObject(parsed)) continue
      const plugins = (Array.isArray(parsed.plugins) ? parsed.plugins : [parsed]).filter(isJsonObject)
      this.#chain = { name: String(parsed.name ?? name), cniVersion: String(parsed.cniVersion ?? '1.0.0'), plugins }
      return
    }
    this.#chain = undefined
  }

  async #run(command: 'ADD' | 'DEL', chain: PluginChain, plugin: JsonObject, request: PodAttachment, previous: JsonObject | undefined, signal: AbortSignal): Promise<JsonObject | undefined> {
    const type = String(plugin.type)
    if (!/^[a-zA-Z0-9_.-]+$/.test(type)) throw new CriError('Internal', `CNI plugin type ${JSON.stringify(type)} is no plain name`)
    const capabilities = isJsonObject(plugin.capabilities) ? plugin.capabilities : {}
    const runtimeConfig = {
      ...(capabilities.portMappings && {
        portMappings: request.portMappings.filter((m) => (m.hostPort ?? 0) > 0)
          .map((m) => ({ hostPort: m.hostPort ?? 0, containerPort: m.containerPort ?? 0, protocol: (m.protocol ?? 'TCP').toLowerCase(), hostIP: m.hostIp ?? '' })),
      }),
      ...(capabilities.ipRanges && this.#podCidr && { ipRanges: this.#podCidr.split(',').map((subnet) => [{ subnet }]) }),
    }
    const input = JSON.stringify({ ...plugin, name: chain.name, cniVersion: chain.cniVersion, ...(Object.keys(runtimeConfig).length > 0 && { runtimeConfig }), ...(previous && { prevResult: previous }) })
    const env = {
      CNI_COMMAND: command, CNI_CONTAINERID: request.sandboxId, CNI_NETNS: request.namespacePath, CNI_IFNAME: 'eth0', CNI_PATH: this.#options.binDirs.join(':'),
      CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=${request.podNamespace};K8S_POD_NAME=${request.podName};K8S_POD_INFRA_CONTAINER_ID=${request.sandboxId};K8S_POD_UID=${request.podUid}`,
    }
    for (const dir of this.#options.binDirs) {
      const result = await runCommand(join(dir, type), [], { input, env, signal }).catch((error: unknown) => { if (dir === this.#options.binDirs.at(-1)) throw error; return undefined })
      if (!result) continue
      if (result.code !== 0) throw new CriError('Internal', `CNI plugin ${type} ${command} failed: ${result.stdout.trim() || result.stderr.trim()}`)
      const parsed: unknown = result.stdout.trim() ? JSON.parse(result.stdout) : undefined
      return isJsonObject(parsed) ? parsed : undefined
    }
    return undefined
  }
}
