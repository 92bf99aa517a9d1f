// What real containers need of the host, and how to get it: found by looking for the programs, installed through the system's package
// manager when we are root, named with the exact command when we aren't.
import { accessSync, constants } from 'node:fs'
import { join } from 'node:path'
import { runCommand } from '../../lib/async/run-command.ts'

interface HostProgram {
  readonly programs: readonly string[]
  readonly package: { readonly [manager in PackageManager]: string }
}

type PackageManager = 'apt-get' | 'dnf' | 'apk' | 'pacman' | 'zypper'

const everywhere = (name: string): HostProgram['package'] => ({ 'apt-get': name, dnf: name, apk: name, pacman: name, zypper: name })
const needed: readonly HostProgram[] = [
  { programs: ['crun', 'runc'], package: everywhere('crun') },
  { programs: ['conmon'], package: everywhere('conmon') },
  { programs: ['nft'], package: everywhere('nftables') },
  { programs: ['iptables'], package: everywhere('iptables') },
  { programs: ['ip'], package: { 'apt-get': 'iproute2', dnf: 'iproute', apk: 'iproute2', pacman: 'iproute2', zypper: 'iproute2' } },
]
/** Nice to have: busybox makes the example's image (else the package's own Node does); conntrack lets flows to dead endpoints be forgotten. */
const wanted: readonly HostProgram[] = [
  { programs: ['conntrack'], package: { 'apt-get': 'conntrack', dnf: 'conntrack-tools', apk: 'conntrack-tools', pacman: 'conntrack-tools', zypper: 'conntrack-tools' } },
  { programs: ['busybox'], package: { 'apt-get': 'busybox-static', dnf: 'busybox', apk: 'busybox-static', pacman: 'busybox', zypper: 'busybox-static' } },
]
const installArguments: { readonly [manager in PackageManager]: readonly string[] } = {
  'apt-get': ['install', '-y', '--no-install-recommends'], dnf: ['install', '-y'], apk: ['add'], pacman: ['-S', '--noconfirm', '--needed'], zypper: ['install', '-y'],
}
const folders = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin']

/** Path of a program in the system's folders or $PATH. */
export function findProgram(name: string): string | undefined {
  for (const folder of [...(process.env['PATH'] ?? '').split(':').filter((f) => f !== ''), ...folders]) {
    const path = join(folder, name)
    try {
      accessSync(path, constants.X_OK)
      return path
    } catch {
      continue
    }
  }
  return undefined
}

export interface MissingPackages {
  readonly packages: readonly string[]
  /** The command that installs them; undefined when no known package manager is there. */
  readonly command: readonly string[] | undefined
  /** False when only nice-to-have ones are missing. */
  readonly required: boolean
}

export function findMissingPackages(): MissingPackages {
  const manager = (Object.keys(installArguments) as PackageManager[]).find((m) => findProgram(m)) // cast: keys of a literal
  const missing = (list: readonly HostProgram[]): string[] => list.filter((p) => !p.programs.some((name) => findProgram(name))).map((p) => p.package[manager ?? 'apt-get'])
  const required = missing(needed)
  const packages = [...required, ...missing(wanted)]
  return { packages, required: required.length > 0, command: manager && packages.length > 0 ? [manager, ...installArguments[manager], ...packages] : undefined }
}

/** Installs; resolves to an error text, or undefined when all is there afterwards. */
export async function installPackages(missing: MissingPackages): Promise<string | undefined> {
  const [manager, ...args] = missing.command ?? []
  if (!manager) return 'no known package manager (apt-get, dnf, apk, pacman, zypper) was found'
  const env = { DEBIAN_FRONTEND: 'noninteractive' }
  let result = await runCommand(manager, args, { env })
  if (result.code !== 0 && manager === 'apt-get') {
    // A fresh machine has no package lists yet.
    await runCommand('apt-get', ['update'], { env })
    result = await runCommand(manager, args, { env })
  }
  if (result.code === 0) return undefined
  return `${missing.command?.join(' ')} failed: ${result.stderr.trim().split('\n').at(-1) ?? ''}`
}
