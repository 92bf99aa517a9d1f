// What the machine is and how full it is: read from /proc and /etc on Linux, given by hand for simulated nodes.
// Upstream: cadvisor's machine info, pkg/kubelet/nodestatus
import { readFile } from 'node:fs/promises'
import { arch, availableParallelism, release } from 'node:os'

export interface MachineFacts {
  readonly cpuMilli: number
  readonly memoryBytes: number
  readonly memoryAvailableBytes: number
  readonly machineId: string
  readonly systemUuid: string
  readonly bootId: string
  readonly kernelVersion: string
  readonly osImage: string
  /** `linux` */
  readonly operatingSystem: string
  /** `amd64`, `arm64` */
  readonly architecture: string
  readonly maxPids: number
  readonly runningPids: number
  readonly swapBytes: number
  /** Cumulative, all cores. */
  readonly cpuNanoseconds: number
  readonly bootAtMs: number
}

async function readText(path: string): Promise<string> {
  try {
    return (await readFile(path, 'utf8')).trim()
  } catch {
    return ''
  }
}

const architectures: { readonly [name: string]: string } = { x64: 'amd64', arm64: 'arm64', arm: 'arm', ppc64: 'ppc64le', s390x: 's390x', riscv64: 'riscv64' }

/** Reads the facts of this machine. */
export async function readMachineFacts(): Promise<MachineFacts> {
  const [meminfo, machineId, systemUuid, bootId, osRelease, pidMax, loadavg, stat] = await Promise.all([
    readText('/proc/meminfo'), readText('/etc/machine-id'), readText('/sys/class/dmi/id/product_uuid'), readText('/proc/sys/kernel/random/boot_id'), readText('/etc/os-release'),
    readText('/proc/sys/kernel/pid_max'), readText('/proc/loadavg'), readText('/proc/stat'),
  ])
  const kib = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(meminfo)?.[1] ?? 0) * 1024
  // user nice system idle iowait irq softirq steal, in hundredths of a second
  const ticks = (/^cpu\s+(.*)$/m.exec(stat)?.[1] ?? '').split(' ').map(Number)
  const busyTicks = ticks.slice(0, 8).reduce((sum, value, i) => (i === 3 || i === 4 ? sum : sum + value), 0)
  return {
    cpuMilli: availableParallelism() * 1000, memoryBytes: kib('MemTotal'), memoryAvailableBytes: kib('MemAvailable'),
    machineId: machineId || bootId.replaceAll('-', ''), systemUuid: systemUuid || machineId || bootId, bootId, kernelVersion: release(),
    osImage: /^PRETTY_NAME="?([^"\n]*)"?$/m.exec(osRelease)?.[1] ?? 'Linux', operatingSystem: 'linux', architecture: architectures[arch()] ?? arch(),
    maxPids: Number(pidMax) || 32_768, runningPids: Number(loadavg.split(' ')[3]?.split('/')[1] ?? 0), swapBytes: kib('SwapTotal'),
    cpuNanoseconds: busyTicks * 1e7, bootAtMs: Number(/^btime (\d+)$/m.exec(stat)?.[1] ?? 0) * 1000,
  }
}

/** Facts of a machine that exists in a simulation. */
export function simulatedMachine(cpus: number, memoryBytes: number): () => Promise<MachineFacts> {
  return async () => ({
    cpuMilli: cpus * 1000, memoryBytes, memoryAvailableBytes: Math.floor(memoryBytes * 0.9), machineId: 'simulated', systemUuid: 'simulated', bootId: 'simulated', kernelVersion: 'simulated',
    osImage: 'Simulated', operatingSystem: 'linux', architecture: 'amd64', maxPids: 32_768, runningPids: 100, swapBytes: 0, cpuNanoseconds: 0, bootAtMs: 0,
  })
}
