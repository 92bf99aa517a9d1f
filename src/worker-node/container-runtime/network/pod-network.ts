// What a pod sandbox asks of the network, whoever provides it: the built-in bridge (bridge-network.ts) or CNI plugins (cni-network.ts).
import type { PortMapping } from '../../../lib/cri-api/generated/types.ts'

export interface PodAttachment {
  readonly sandboxId: string
  /** File that holds the pod's network namespace. */
  readonly namespacePath: string
  readonly podName: string
  readonly podNamespace: string
  readonly podUid: string
  readonly portMappings: readonly PortMapping[]
}

/** What attaching gave, kept in the sandbox's state on disk: detach gets it back, also after a restart. */
export interface PodAddresses {
  /** The first is the pod's primary address. */
  readonly ips: readonly string[]
  /** Opaque to everybody but the network that made it (for CNI: the result of ADD). */
  readonly detail?: string
}

export interface PodNetwork {
  /** Undefined when pods can be attached; else why not. */
  notReady(): { readonly reason: string; readonly message: string } | undefined
  /** Gives the namespace its interfaces, `lo` included. @throws CriError, SystemCallError, CommandError */
  attach(request: PodAttachment, signal: AbortSignal): Promise<PodAddresses>
  /** Takes back what attach gave; also for half-made attachments, and twice. */
  detach(request: PodAttachment, addresses: PodAddresses | undefined, signal: AbortSignal): Promise<void>
  /** Tells what earlier attachments hold, before the first attach after a restart. */
  restore(held: readonly { readonly request: PodAttachment; readonly addresses: PodAddresses }[]): Promise<void>
  /** The node's pod range, when it comes through CRI's UpdateRuntimeConfig. */
  setPodCidr(podCidr: string): Promise<void>
  /** Removes everything that belongs to the node and not to one pod: bridge, rules. */
  tearDown(signal: AbortSignal): Promise<void>
}
