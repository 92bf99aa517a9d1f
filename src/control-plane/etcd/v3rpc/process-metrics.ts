// What Linux tells of this process: files, memory, processor time, bytes on the network. Elsewhere most of it stays 0.
import { readdirSync, readFileSync } from 'node:fs'
import type { ProcessMetrics } from '../metrics/etcd-metrics.ts'

/** Clock ticks in a second: Linux has shown this number to programs since 2.6. */
const ticksPerSecond = 100
const unlimited = 2 ** 64

export function readProcess(metrics: ProcessMetrics): void {
  const openFiles = countOpenFiles()
  const fileLimit = limitOf('Max open files')
  metrics.fdUsed.set(openFiles)
  metrics.openFds.set(openFiles)
  metrics.fdLimit.set(fileLimit)
  metrics.maxFds.set(fileLimit)
  metrics.virtualMaxBytes.set(limitOf('Max address space'))
  const { user, system } = process.cpuUsage()
  metrics.cpuSeconds.value = Math.round((user + system) / 10_000) / 100
  metrics.residentBytes.set(process.memoryUsage.rss())
  // What follows the program's name: the 23rd field is the virtual size, the 22nd when it began, in ticks since the machine did.
  const fields = read('/proc/self/stat').split(') ').at(-1)?.split(' ') ?? []
  metrics.virtualBytes.set(Number(fields[20] ?? 0))
  const bootSeconds = Number(/^btime (\d+)$/m.exec(read('/proc/stat'))?.[1] ?? 0)
  metrics.startTimeSeconds.set(bootSeconds + Number(fields[19] ?? 0) / ticksPerSecond)
  const { received, transmitted } = octets()
  metrics.receivedBytes.value = received
  metrics.transmittedBytes.value = transmitted
}

function countOpenFiles(): number {
  try {
    return readdirSync('/proc/self/fd').length
  } catch {
    return 0
  }
}

export function limitOf(name: string): number {
  const soft = read('/proc/self/limits').split('\n').find((line) => line.startsWith(name))?.slice(name.length).trim().split(/\s+/)[0]
  return soft === 'unlimited' ? unlimited : Number(soft ?? 0)
}

function octets(): { readonly received: number; readonly transmitted: number } {
  const [names = '', values = ''] = read('/proc/self/net/netstat').split('\n').filter((line) => line.startsWith('IpExt:'))
  const at = (name: string): number => Number(values.split(' ')[names.split(' ').indexOf(name)] ?? 0)
  return { received: at('InOctets'), transmitted: at('OutOctets') }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
