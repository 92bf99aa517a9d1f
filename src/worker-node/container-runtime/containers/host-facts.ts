// What this machine can do: probed once at start, because hosts differ (cgroup versions, capabilities, security modules) and asking a runtime
// for what the host lacks fails the whole container.
import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs'
import { parseCapabilityMask } from './capabilities.ts'

export interface HostFacts {
  /** Highest set of capabilities that a container can be given. */
  readonly capabilities: ReadonlySet<string>
  /** Our own; without CAP_SYS_RESOURCE nobody below us may go under it. */
  readonly oomScoreAdj: number
  /** True when everything is in one cgroup2 tree. */
  readonly cgroup2: boolean
  readonly hasHugetlb: boolean
  readonly hasSwapLimit: boolean
  readonly hasAppArmor: boolean
  readonly hasSeccomp: boolean
  /** Absolute path of the OCI runtime, and which of the two it is. */
  readonly ociRuntime: { readonly name: 'crun' | 'runc'; readonly path: string } | undefined
  readonly conmonPath: string | undefined
  readonly architecture: string
}

const searchPath = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin']

export function findProgram(name: string): string | undefined { return searchPath.map((dir) => `${dir}/${name}`).find((path) => existsSync(path)) }

const readOr = (path: string, otherwise: string): string => { try { return readFileSync(path, 'utf8') } catch { return otherwise } }

export function probeHost(): HostFacts {
  const status = readOr('/proc/self/status', '')
  const cgroup2 = existsSync('/sys/fs/cgroup/cgroup.controllers')
  const crun = findProgram('crun')
  const runc = findProgram('runc')
  // crun before 1.9 refuses a hybrid layout in which the cgroup2 tree has controllers; k8ts's node program hides that file in its mount namespace.
  const hybridControllers = cgroup2 ? '' : readOr('/sys/fs/cgroup/unified/cgroup.controllers', '').trim()
  const preferRunc = hybridControllers !== '' && runc !== undefined
  return {
    capabilities: parseCapabilityMask(/^CapBnd:\s*([0-9a-f]+)/m.exec(status)?.[1] ?? '0'),
    oomScoreAdj: Number(readOr('/proc/self/oom_score_adj', '0')), cgroup2,
    hasHugetlb: cgroup2 ? readOr('/sys/fs/cgroup/cgroup.controllers', '').includes('hugetlb') : existsSync('/sys/fs/cgroup/hugetlb'),
    hasSwapLimit: cgroup2 || existsSync('/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes'),
    hasAppArmor: readOr('/sys/module/apparmor/parameters/enabled', 'N').startsWith('Y'), hasSeccomp: existsSync('/proc/sys/kernel/seccomp/actions_avail'),
    ociRuntime: crun && !preferRunc ? { name: 'crun', path: crun } : runc ? { name: 'runc', path: runc } : crun ? { name: 'crun', path: crun } : undefined,
    conmonPath: findProgram('conmon'), architecture: process.arch,
  }
}

export interface DeviceNode {
  readonly path: string
  readonly type: 'c' | 'b'
  readonly major: number
  readonly minor: number
  readonly fileMode: number
  readonly uid: number
  readonly gid: number
}

/** The device nodes at `hostPath`: itself, or all below it when it is a folder. `containerPath` replaces that start of the path. */
export function findDevices(hostPath: string, containerPath: string): DeviceNode[] {
  const found = statSync(hostPath)
  if (found.isDirectory()) {
    return readdirSync(hostPath, { withFileTypes: true }).flatMap((entry) => {
      const isPlain = entry.isCharacterDevice() || entry.isBlockDevice() || (entry.isDirectory() && !['pts', 'shm', 'fd', 'mqueue', 'hugepages'].includes(entry.name))
      return isPlain && entry.name !== 'console' ? findDevices(`${hostPath}/${entry.name}`, `${containerPath}/${entry.name}`) : []
    })
  }
  if (!found.isCharacterDevice() && !found.isBlockDevice()) throw new Error(`${hostPath} is not a device node`)
  const major = Math.floor(found.rdev / 0x100) & 0xfff
  const minor = (found.rdev & 0xff) + Math.floor(found.rdev / 0x100000) * 0x100
  return [{ path: containerPath, type: found.isCharacterDevice() ? 'c' : 'b', major, minor, fileMode: found.mode & 0o777, uid: found.uid, gid: found.gid }]
}
