// Linux capabilities: their names, the default set of a container, and what a security context makes of it. Pure.
import type { LinuxContainerSecurityContext } from '../../../lib/cri-api/generated/types.ts'

/** By bit number. */
export const capabilityNames = [
  'CHOWN', 'DAC_OVERRIDE', 'DAC_READ_SEARCH', 'FOWNER', 'FSETID', 'KILL', 'SETGID', 'SETUID', 'SETPCAP', 'LINUX_IMMUTABLE', 'NET_BIND_SERVICE', 'NET_BROADCAST', 'NET_ADMIN',
  'NET_RAW', 'IPC_LOCK', 'IPC_OWNER', 'SYS_MODULE', 'SYS_RAWIO', 'SYS_CHROOT', 'SYS_PTRACE', 'SYS_PACCT', 'SYS_ADMIN', 'SYS_BOOT', 'SYS_NICE', 'SYS_RESOURCE', 'SYS_TIME',
  'SYS_TTY_CONFIG', 'MKNOD', 'LEASE', 'AUDIT_WRITE', 'AUDIT_CONTROL', 'SETFCAP', 'MAC_OVERRIDE', 'MAC_ADMIN', 'SYSLOG', 'WAKE_ALARM', 'BLOCK_SUSPEND', 'AUDIT_READ', 'PERFMON',
  'BPF', 'CHECKPOINT_RESTORE',
].map((name) => `CAP_${name}`)

const defaultCapabilities = [
  'CHOWN', 'DAC_OVERRIDE', 'FSETID', 'FOWNER', 'MKNOD', 'NET_RAW', 'SETGID', 'SETUID', 'SETFCAP', 'SETPCAP', 'NET_BIND_SERVICE', 'SYS_CHROOT', 'KILL', 'AUDIT_WRITE',
].map((name) => `CAP_${name}`)

/** The set behind a hexadecimal mask, as /proc/<pid>/status prints it. */
export function parseCapabilityMask(hexadecimal: string): ReadonlySet<string> {
  const mask = BigInt(`0x${hexadecimal.trim() || '0'}`)
  return new Set(capabilityNames.filter((_, bit) => (mask >> BigInt(bit)) & 1n))
}

export interface ContainerCapabilities {
  readonly bounding: readonly string[]
  readonly ambient: readonly string[]
}

const normalize = (name: string): string => { const upper = name.toUpperCase(); return upper === 'ALL' || upper.startsWith('CAP_') ? upper : `CAP_${upper}` }

/** What a container gets; never more than `available`, because asking for more fails. Unknown names are returned for an error. */
export function capabilitiesFor(context: LinuxContainerSecurityContext, available: ReadonlySet<string>): ContainerCapabilities | { readonly unknown: string } {
  const added = (context.capabilities?.addCapabilities ?? []).map(normalize)
  const dropped = (context.capabilities?.dropCapabilities ?? []).map(normalize)
  const ambient = (context.capabilities?.addAmbientCapabilities ?? []).map(normalize)
  const unknown = [...added, ...dropped, ...ambient].find((name) => name !== 'ALL' && !capabilityNames.includes(name))
  if (unknown !== undefined) return { unknown }
  // Drops first, then adds: `drop: [ALL], add: [X]` means only X, `add: [ALL], drop: [X]` all but X.
  const start = context.privileged || added.includes('ALL') ? capabilityNames : dropped.includes('ALL') ? [] : defaultCapabilities
  const wanted = new Set(start)
  if (!context.privileged) for (const name of dropped) if (name !== 'ALL') wanted.delete(name)
  for (const name of [...added, ...ambient]) if (name !== 'ALL') wanted.add(name)
  const bounding = capabilityNames.filter((name) => wanted.has(name) && available.has(name))
  return { bounding, ambient: bounding.filter((name) => ambient.includes(name)) }
}
