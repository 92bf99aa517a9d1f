// The servers that are compared: ours and the original, one member or three, each process with its own folder and ports.
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'

export type Side = 'ours' | 'original'
export const sides: readonly Side[] = ['ours', 'original']
/** Program and first arguments of each. */
export type Programs = { readonly [side in Side]: readonly string[] }

export interface EtcdServer {
  readonly side: Side
  readonly name: string
  readonly port: number
  readonly pid: number
  readonly url: string
  /** Ends it in order, or at once. */
  stop(signal?: 'SIGTERM' | 'SIGKILL'): Promise<void>
  /** Starts it again on the same data. Returns the new one. */
  restart(): Promise<EtcdServer>
}

export const pause = (ms: number): Promise<void> => new Promise((next) => setTimeout(next, ms))

function freePort(): Promise<number> {
  return new Promise((done) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => done(address !== null && typeof address === 'object' ? address.port : 0))
    })
  })
}

const running = new Set<ChildProcess>()

/** Ends whatever is left. */
export function killAll(): void { for (const child of running) child.kill('SIGKILL') }

interface Place { readonly name: string; readonly folder: string; readonly port: number; readonly peerPort: number; readonly cluster: string }

async function launch(side: Side, programs: Programs, place: Place, untilHealthy: boolean): Promise<EtcdServer> {
  const { name, folder, port, peerPort } = place
  const [url, peerUrl] = [`http://127.0.0.1:${port}`, `http://127.0.0.1:${peerPort}`]
  const [program = '', ...first] = programs[side]
  let output = ''
  const child = spawn(program, [...first, '--name', name, '--data-dir', folder, '--listen-client-urls', url, '--advertise-client-urls', url, '--listen-peer-urls', peerUrl, '--initial-advertise-peer-urls', peerUrl,
    '--initial-cluster', place.cluster, '--log-level', 'error', '--quota-backend-bytes', String(8 * 2 ** 30)], { stdio: ['ignore', 'ignore', 'pipe'] })
  running.add(child)
  child.stderr?.on('data', (piece: Buffer) => { output = (output + piece.toString()).slice(-4000) })
  const gone = new Promise<void>((done) => { child.on('exit', () => { running.delete(child); done() }) })
  const server: EtcdServer = {
    side, name, port, url, pid: child.pid ?? 0,
    stop: async (signal = 'SIGTERM') => { child.kill(signal); await gone },
    restart: () => launch(side, programs, place, untilHealthy),
  }
  if (untilHealthy) await healthy(server, () => child.exitCode !== null ? output : undefined)
  return server
}

/** Waits until it takes writes. */
export async function healthy(server: EtcdServer, ended: () => string | undefined = () => undefined, limitMs = 120_000): Promise<void> {
  const limit = performance.now() + limitMs
  for (;;) {
    const output = ended()
    if (output !== undefined) throw new Error(`${server.side} etcd ended:\n${output}`)
    if (performance.now() > limit) throw new Error(`${server.side} etcd is not healthy`)
    const answer = await fetch(`${server.url}/health`, { signal: AbortSignal.timeout(5000) }).then((r) => r.text(), () => '')
    if (answer.includes('"true"')) return
    await pause(10)
  }
}

export async function startOne(side: Side, programs: Programs, folder: string): Promise<EtcdServer> {
  const [port, peerPort] = [await freePort(), await freePort()]
  return await launch(side, programs, { name: 'default', folder: join(folder, side), port, peerPort, cluster: `default=http://127.0.0.1:${peerPort}` }, true)
}

export async function startThree(side: Side, programs: Programs, folder: string): Promise<EtcdServer[]> {
  const ports: [string, number, number][] = []
  for (const name of ['m1', 'm2', 'm3']) ports.push([name, await freePort(), await freePort()])
  const cluster = ports.map(([name, , peerPort]) => `${name}=http://127.0.0.1:${peerPort}`).join(',')
  const servers = await Promise.all(ports.map(([name, port, peerPort]) => launch(side, programs, { name, folder: join(folder, `${side}-${name}`), port, peerPort, cluster }, false)))
  for (const server of servers) await healthy(server)
  return servers
}

const ticksPerSecond = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }))

/** Seconds of processor that a process has used. */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond
}

export function residentMb(pid: number): number { return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024 }
