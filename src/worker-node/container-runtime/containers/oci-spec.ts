// The OCI runtime specification of a container, from what CRI asks, the image, the pod and what the host can do. Pure: everything that has to
// be looked up (user, devices, paths) comes in.
// Upstream: runtime-spec config.md, config-linux.md
import { capabilitiesFor } from './capabilities.ts'
import type { DeviceNode, HostFacts } from './host-facts.ts'
import type { ContainerUserIds } from './image-user.ts'
import { defaultSeccompProfile } from './seccomp-profile.ts'
import type { SeccompProfile } from './seccomp-profile.ts'
import type { ImageConfig } from '../images/image-records.ts'
import { CriError } from '../../../lib/cri-api/cri-services.ts'
import type { ContainerConfig, LinuxContainerResources, Mount, PodSandboxConfig } from '../../../lib/cri-api/generated/types.ts'

export interface OciMount { readonly destination: string; readonly type: string; readonly source: string; readonly options: readonly string[] }
export interface OciResources {
  readonly devices?: readonly { readonly allow: boolean; readonly type?: string; readonly major?: number; readonly minor?: number; readonly access: string }[]
  readonly memory?: { readonly limit?: number; readonly swap?: number }
  readonly cpu?: { readonly shares?: number; readonly quota?: number; readonly period?: number; readonly cpus?: string; readonly mems?: string }
  readonly pids?: { readonly limit: number }
  readonly hugepageLimits?: readonly { readonly pageSize: string; readonly limit: number }[]
  readonly unified?: { readonly [key: string]: string }
}
export interface OciProcess {
  readonly terminal: boolean
  readonly user: { readonly uid: number; readonly gid: number; readonly additionalGids: readonly number[] }
  readonly args: readonly string[]
  readonly env: readonly string[]
  readonly cwd: string
  readonly capabilities: { readonly [set: string]: readonly string[] }
  readonly noNewPrivileges: boolean
  readonly oomScoreAdj?: number
}
export interface OciSpec {
  readonly ociVersion: string
  readonly process: OciProcess
  readonly root: { readonly path: string; readonly readonly: boolean }
  readonly hostname?: string
  readonly mounts: readonly OciMount[]
  readonly annotations: { readonly [key: string]: string }
  readonly linux: {
    readonly namespaces: readonly { readonly type: string; readonly path?: string }[]
    readonly cgroupsPath: string
    readonly resources: OciResources
    readonly devices?: readonly DeviceNode[]
    readonly maskedPaths?: readonly string[]
    readonly readonlyPaths?: readonly string[]
    readonly rootfsPropagation?: string
    readonly seccomp?: SeccompProfile
  }
}

export interface SpecInput {
  readonly config: ContainerConfig
  readonly sandboxConfig: PodSandboxConfig
  readonly image: ImageConfig
  readonly host: HostFacts
  readonly user: ContainerUserIds
  readonly rootfsPath: string
  readonly cgroupsPath: string
  /** Absent kinds are the node's own; `pid: 'new'` makes one for the container. */
  readonly namespaces: { readonly network?: string; readonly ipc?: string; readonly uts?: string; readonly pid?: string }
  /** Name that the pod knows itself by. */
  readonly hostname: string
  /** Files of the sandbox that stand in for the image's own. */
  readonly files: { readonly resolvConf: string; readonly hostname: string; readonly hosts: string; readonly shm: string }
  readonly devices: readonly { readonly node: DeviceNode; readonly access: string }[]
  /** Contents of a `Localhost` profile. */
  readonly localSeccomp?: SeccompProfile
  /** Extra mounts of image volumes; already on the host. */
  readonly pidsLimit?: number
  readonly annotations: { readonly [key: string]: string }
}

const defaultPath = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/** @throws CriError InvalidArgument when the request contradicts itself */
export function buildContainerSpec(input: SpecInput): OciSpec {
  const { config, host } = input
  const context = config.linux?.securityContext ?? {}
  const capabilities = capabilitiesFor(context, host.capabilities)
  if ('unknown' in capabilities) throw new CriError('InvalidArgument', `unknown capability ${JSON.stringify(capabilities.unknown)}`)
  const privileged = context.privileged === true
  const process: OciProcess = {
    terminal: config.tty === true,
    user: { uid: input.user.uid, gid: input.user.gid, additionalGids: input.user.additionalGids },
    args: argumentsOf(config, input.image), env: environmentOf(input), cwd: config.workingDir || input.image.config?.WorkingDir || '/',
    capabilities: {
      bounding: capabilities.bounding, effective: capabilities.bounding, permitted: capabilities.bounding,
      ...(capabilities.ambient.length > 0 && { ambient: capabilities.ambient, inheritable: capabilities.ambient }),
    },
    noNewPrivileges: context.noNewPrivs === true, ...oomScore(config.linux?.resources?.oomScoreAdj, host),
  }
  const mounts = mountsOf(input, privileged)
  const propagation = (config.mounts ?? []).some((m) => m.propagation === 'PROPAGATION_BIDIRECTIONAL') ? 'rshared'
    : (config.mounts ?? []).some((m) => m.propagation === 'PROPAGATION_HOST_TO_CONTAINER') ? 'rslave' : undefined
  const seccomp = seccompOf(input, privileged, capabilities.bounding)
  return {
    ociVersion: '1.0.2', process, root: { path: input.rootfsPath, readonly: context.readonlyRootfs === true }, mounts,
    annotations: input.annotations,
    linux: {
      namespaces: namespacesOf(input, privileged), cgroupsPath: input.cgroupsPath,
      resources: { ...resourcesOf(config.linux?.resources, host, input.pidsLimit), devices: deviceRules(input, privileged) },
      ...(input.devices.length > 0 && { devices: input.devices.map(({ node }) => node) }),
      ...(!privileged && (context.maskedPaths?.length ?? 0) > 0 && { maskedPaths: context.maskedPaths }),
      ...(!privileged && (context.readonlyPaths?.length ?? 0) > 0 && { readonlyPaths: context.readonlyPaths }),
      ...(propagation && { rootfsPropagation: propagation }), ...(seccomp && { seccomp }),
    },
  }
}

/** Command and arguments as Kubernetes combines them with the image's: a command of the pod's own silences both of the image's. */
export function argumentsOf(config: ContainerConfig, image: ImageConfig): readonly string[] {
  const command = config.command ?? []
  const args = config.args ?? []
  const own = command.length > 0 ? command : (image.config?.Entrypoint ?? [])
  const rest = args.length > 0 ? args : command.length > 0 ? [] : (image.config?.Cmd ?? [])
  if (own.length + rest.length === 0) throw new CriError('InvalidArgument', 'no command specified')
  return [...own, ...rest]
}

/** Bytes or text: the field changed its type over time, and in-process callers pass either. */
function textOf(value: Uint8Array | string | undefined): string { return typeof value === 'string' ? value : value ? new TextDecoder().decode(value) : '' }

function environmentOf(input: SpecInput): string[] {
  const variables = new Map<string, string>()
  const set = (pair: string): void => { const at = pair.indexOf('='); variables.set(at < 0 ? pair : pair.slice(0, at), at < 0 ? '' : pair.slice(at + 1)) }
  set(defaultPath)
  variables.set('HOSTNAME', input.hostname)
  if (input.config.tty) variables.set('TERM', 'xterm')
  for (const pair of input.image.config?.Env ?? []) set(pair)
  for (const { key = '', value } of input.config.envs ?? []) variables.set(key, textOf(value))
  if (!variables.has('HOME')) variables.set('HOME', input.user.home)
  return Array.from(variables, ([name, value]) => `${name}=${value}`)
}

function oomScore(wanted: number | undefined, host: HostFacts): { readonly oomScoreAdj?: number } {
  if (wanted === undefined) return {}
  return { oomScoreAdj: host.capabilities.has('CAP_SYS_RESOURCE') ? wanted : Math.max(wanted, host.oomScoreAdj) }
}

function namespacesOf(input: SpecInput, privileged: boolean): OciSpec['linux']['namespaces'] {
  const { network, ipc, uts, pid } = input.namespaces
  return [
    { type: 'mount' },
    ...(network === undefined ? [] : [{ type: 'network', path: network }]),
    ...(ipc === undefined ? [] : [{ type: 'ipc', path: ipc }]),
    ...(uts === undefined ? [] : [{ type: 'uts', path: uts }]),
    ...(pid === undefined ? [] : pid === 'new' ? [{ type: 'pid' }] : [{ type: 'pid', path: pid }]),
    ...(privileged ? [] : [{ type: 'cgroup' }]),
  ]
}

function mountsOf(input: SpecInput, privileged: boolean): OciMount[] {
  const { config } = input
  const taken = new Set((config.mounts ?? []).map((mount) => trimSlash(mount.containerPath ?? '')))
  const bindFile = (destination: string, source: string): OciMount[] =>
    taken.has(destination) ? [] : [{ destination, type: 'bind', source, options: ['rbind', 'rprivate', config.linux?.securityContext?.readonlyRootfs ? 'ro' : 'rw'] }]
  const standard: OciMount[] = [
    { destination: '/proc', type: 'proc', source: 'proc', options: ['nosuid', 'noexec', 'nodev'] },
    { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k'] },
    { destination: '/dev/pts', type: 'devpts', source: 'devpts', options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'] },
    { destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue', options: ['nosuid', 'noexec', 'nodev'] },
    { destination: '/sys', type: 'sysfs', source: 'sysfs', options: ['nosuid', 'noexec', 'nodev', privileged ? 'rw' : 'ro'] },
    { destination: '/sys/fs/cgroup', type: 'cgroup', source: 'cgroup', options: ['nosuid', 'noexec', 'nodev', 'relatime', privileged ? 'rw' : 'ro'] },
    { destination: '/dev/shm', type: 'bind', source: input.files.shm, options: ['rbind', 'rw'] },
  ]
  const own = (config.mounts ?? []).map(bindOf).map((mount, i) => ({ mount, i }))
    .toSorted((a, b) => depth(a.mount.destination) - depth(b.mount.destination) || a.i - b.i).map(({ mount }) => mount)
  return [
    ...standard.filter((mount) => !taken.has(mount.destination)),
    ...bindFile('/etc/resolv.conf', input.files.resolvConf), ...bindFile('/etc/hostname', input.files.hostname), ...bindFile('/etc/hosts', input.files.hosts), ...own,
  ]
}

const trimSlash = (path: string): string => path.replace(/(?<=.)\/+$/, '')
const depth = (path: string): number => path.split('/').filter((part) => part !== '').length

function bindOf(mount: Mount): OciMount {
  const destination = mount.containerPath ?? ''
  if (!destination.startsWith('/') || destination.split('/').includes('..')) throw new CriError('InvalidArgument', `mount path ${JSON.stringify(destination)} must be absolute and without ".."`)
  const propagation = mount.propagation === 'PROPAGATION_BIDIRECTIONAL' ? 'rshared' : mount.propagation === 'PROPAGATION_HOST_TO_CONTAINER' ? 'rslave' : 'rprivate'
  if (mount.recursiveReadOnly && (!mount.readonly || propagation !== 'rprivate')) throw new CriError('InvalidArgument', 'recursive read-only mounts must be read-only and private')
  const extra = (mount.mountOptions ?? []).filter((option) => ['noexec', 'nosuid', 'nodev'].includes(option))
  return { destination, type: 'bind', source: mount.hostPath ?? '', options: ['rbind', propagation, mount.recursiveReadOnly ? 'rro' : mount.readonly ? 'ro' : 'rw', ...extra] }
}

/** CRI's resources as OCI's, without what the host can't do. */
export function resourcesOf(resources: LinuxContainerResources | undefined, host: HostFacts, pidsLimit?: number): OciResources {
  const r = resources ?? {}
  const cpu = {
    ...(r.cpuShares && { shares: r.cpuShares }), ...(r.cpuQuota && { quota: r.cpuQuota }), ...(r.cpuPeriod && { period: r.cpuPeriod }),
    ...(r.cpusetCpus && { cpus: r.cpusetCpus }), ...(r.cpusetMems && { mems: r.cpusetMems }),
  }
  const swap = host.hasSwapLimit && r.memorySwapLimitInBytes ? { swap: r.memorySwapLimitInBytes } : {}
  const memory = { ...(r.memoryLimitInBytes && { limit: r.memoryLimitInBytes }), ...swap }
  const huge = host.hasHugetlb ? (r.hugepageLimits ?? []).map(({ pageSize = '', limit = 0 }) => ({ pageSize, limit })) : []
  const unified = host.cgroup2 ? (r.unified ?? {}) : {}
  return {
    ...(Object.keys(cpu).length > 0 && { cpu }), ...(Object.keys(memory).length > 0 && { memory }), ...(huge.length > 0 && { hugepageLimits: huge }),
    ...(Object.keys(unified).length > 0 && { unified }), ...(pidsLimit !== undefined && pidsLimit > 0 && { pids: { limit: pidsLimit } }),
  }
}

function deviceRules(input: SpecInput, privileged: boolean): OciResources['devices'] {
  if (privileged) return [{ allow: true, access: 'rwm' }]
  return [{ allow: false, access: 'rwm' }, ...input.devices.map(({ node, access }) => ({ allow: true, type: node.type, major: node.major, minor: node.minor, access }))]
}

function seccompOf(input: SpecInput, privileged: boolean, capabilities: readonly string[]): SeccompProfile | undefined {
  if (privileged || !input.host.hasSeccomp) return undefined
  const wanted = input.config.linux?.securityContext?.seccomp
  switch (wanted?.profileType) {
    case 'Localhost': return input.localSeccomp
    case 'Unconfined': return undefined
    case 'RuntimeDefault': return defaultSeccompProfile(capabilities, input.host.architecture)
    case undefined: return wanted ? defaultSeccompProfile(capabilities, input.host.architecture) : undefined // a message without a value means its zero: RuntimeDefault
  }
}
