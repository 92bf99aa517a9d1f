// The original's own `etcdctl check perf` against a server: what it says, and what it cost the server.
import { spawn } from 'node:child_process'
import { cpuSeconds, type EtcdServer } from './servers.ts'

export interface CheckSample { readonly verdicts: string; readonly perSecond: number; readonly slowestSeconds: number; readonly cpuMicros: number }

/** Takes a minute: the tool has it so. With `stopAfterMs` it is ended early, and only whether it wrote is looked at. */
export async function checkPerf(etcdctl: string, server: EtcdServer, load: string, stopAfterMs?: number): Promise<CheckSample> {
  const cpuBefore = cpuSeconds(server.pid)
  const child = spawn(etcdctl, ['--endpoints', server.url, 'check', 'perf', '--load', load], { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (piece: Buffer) => { output += piece.toString() })
  const timer = stopAfterMs === undefined ? undefined : setTimeout(() => child.kill('SIGKILL'), stopAfterMs)
  await new Promise<void>((done) => { child.on('exit', () => done()) })
  clearTimeout(timer)
  const perSecond = Number(/Throughput (?:is|too low:) (\d+)/.exec(output)?.[1] ?? Number.NaN)
  const slowestSeconds = Number(/(?:Slowest request took|too long:) ([\d.]+)/.exec(output)?.[1] ?? Number.NaN)
  // The first stands behind the progress bar, on its line.
  const verdicts = [...output.matchAll(/\b(PASS|FAIL)\b/g)].map(([, verdict]) => verdict).join(' ')
  return { verdicts, perSecond, slowestSeconds, cpuMicros: ((cpuSeconds(server.pid) - cpuBefore) / (perSecond * 60)) * 1e6 }
}
