// A pod sandbox as it is kept on disk.
import type { NamespaceKind } from '../host/syscalls.ts'
import type { ProcessIdentity } from '../host/process-identity.ts'
import type { PodAddresses, PodAttachment } from '../network/pod-network.ts'
import type { PodSandboxConfig, PodSandboxStatus } from '../../../lib/cri-api/generated/types.ts'

export interface SandboxRecord {
  readonly id: string
  readonly config: PodSandboxConfig
  readonly runtimeHandler: string
  /** Nanoseconds since the epoch. */
  readonly createdAtNs: string
  /** `creating` on disk means that we died in the middle: it is taken back at the next start. */
  readonly state: 'creating' | 'ready' | 'notready'
  /** Inode numbers of the pinned namespaces: what the pins must still show. */
  readonly namespaces: { readonly [K in NamespaceKind]?: number }
  readonly addresses?: PodAddresses
  /** First process of a shared process namespace. */
  readonly holder?: ProcessIdentity
  /** True when the pod's cgroup was not there before us, so that it goes with the sandbox. */
  readonly ownsCgroup: boolean
}

export function attachmentOf(record: SandboxRecord, namespacePath: string): PodAttachment {
  const { metadata, portMappings } = record.config
  return {
    sandboxId: record.id, namespacePath, podName: metadata?.name ?? '', podNamespace: metadata?.namespace ?? '', podUid: metadata?.uid ?? '', portMappings: portMappings ?? [],
  }
}

export function sandboxStatus(record: SandboxRecord): PodSandboxStatus {
  const { config } = record
  const [ip, ...additional] = record.state === 'ready' ? (record.addresses?.ips ?? []) : []
  return {
    id: record.id, metadata: config.metadata, state: record.state === 'ready' ? 'SANDBOX_READY' : 'SANDBOX_NOTREADY', createdAt: BigInt(record.createdAtNs),
    network: ip === undefined ? {} : { ip, ...(additional.length > 0 && { additionalIps: additional.map((other) => ({ ip: other })) }) },
    linux: { namespaces: { options: config.linux?.securityContext?.namespaceOptions ?? {} } },
    labels: config.labels ?? {}, annotations: config.annotations ?? {}, runtimeHandler: record.runtimeHandler,
  }
}
