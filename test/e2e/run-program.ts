// Runs programs for the end-to-end tests: to their end, or until they say something.
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'

export const root = resolve(import.meta.dirname, '../..')
export const k8ts = join(root, 'k8ts')
export const originalKubectl = join(root, 'test/interop/.bin/kubectl')

export interface Finished {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export function run(program: string, args: readonly string[], options: { readonly input?: string; readonly env?: NodeJS.ProcessEnv; readonly timeoutMs?: number } = {}): Promise<Finished> {
  return new Promise((finish) => {
    const child = spawn(program, [...args], { cwd: root, env: { ...process.env, ...options.env }, stdio: ['pipe', 'pipe', 'pipe'], timeout: options.timeoutMs ?? 60_000 })
    let stdout = ''
    let stderr = ''
    child.stdout.on('data', (piece) => { stdout += String(piece) })
    child.stderr.on('data', (piece) => { stderr += String(piece) })
    child.stdin.on('error', () => {})
    child.on('error', (error) => finish({ code: 127, stdout, stderr: error.message }))
    child.on('close', (code) => finish({ code: code ?? 128, stdout, stderr }))
    child.stdin.end(options.input ?? '')
  })
}

/** Both clients with which every step is to work: ours, and the original's where it was built. */
export const kubectls: readonly { readonly name: string; readonly program: string; readonly args: readonly string[] }[] = [
  { name: 'k8ts kubectl', program: k8ts, args: ['kubectl'] },
  ...(existsSync(originalKubectl) ? [{ name: 'kubectl', program: originalKubectl, args: [] }] : []),
]

export interface RunningCluster extends AsyncDisposable {
  readonly process: ChildProcess
  readonly kubeconfig: string
  /** What it printed so far. */
  output(): string
  /** Ends it as Ctrl-C does; resolves to the exit code. */
  interrupt(): Promise<number>
}

export interface RealClusterOptions {
  readonly dataDir: string
  /** Clusters of several suites stand side by side: each has its own name and number. */
  readonly name?: string
  readonly network?: number
  readonly args?: readonly string[]
}

/** Starts `k8ts cluster` and waits until it says that the cluster is up. */
export async function startRealCluster({ dataDir, name = 'e2e', network = 1, args = [] }: RealClusterOptions): Promise<RunningCluster> {
  const down = ['down', `--name=${name}`, `--data-dir=${dataDir}`]
  const child = spawn(k8ts, ['cluster', `--name=${name}`, `--network=${network}`, `--data-dir=${dataDir}`, ...args], { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  const up = Promise.withResolvers<void>()
  const gone = Promise.withResolvers<number>()
  const take = (piece: unknown): void => {
    output += String(piece)
    if (output.includes('The cluster is up')) up.resolve()
  }
  child.stdout.on('data', take)
  child.stderr.on('data', take)
  child.on('exit', (code) => { gone.resolve(code ?? 128); up.reject(new Error(`k8ts cluster ended with ${code}:\n${output}`)) })
  const limit = setTimeout(() => up.reject(new Error(`the cluster did not come up in 120 s:\n${output}`)), 120_000)
  const interrupt = (): Promise<number> => { if (child.exitCode === null) child.kill('SIGINT'); return gone.promise }
  try {
    await up.promise
  } catch (error) {
    child.kill('SIGKILL')
    await run(k8ts, down)
    throw error
  } finally {
    clearTimeout(limit)
  }
  return {
    process: child, kubeconfig: join(dataDir, 'kubeconfig'), output: () => output, interrupt,
    async [Symbol.asyncDispose]() { await interrupt(); await run(k8ts, down) },
  }
}

/** Tries again until it holds: for what the cluster does in its own time. Fails with the last reason. */
export async function eventually<T>(what: string, look: () => Promise<T | undefined>, withinMs = 60_000): Promise<T> {
  const end = performance.now() + withinMs
  for (;;) {
    const found = await look()
    if (found !== undefined) return found
    if (performance.now() > end) throw new Error(`not within ${withinMs / 1000} s: ${what}`)
    await new Promise((next) => setTimeout(next, 100))
  }
}

/** What of a cluster would still be on this machine. Empty after a clean end. */
export async function leftovers(name = 'e2e', network = 1): Promise<readonly string[]> {
  const found: string[] = []
  const look = async (what: string, program: string, args: readonly string[], pattern: RegExp): Promise<void> => {
    const { stdout } = await run(program, args)
    for (const line of stdout.split('\n')) if (pattern.test(line)) found.push(`${what}: ${line.trim()}`)
  }
  await look('network namespace', 'ip', ['netns', 'list'], new RegExp(`^${name}-`))
  await look('interface', 'ip', ['-o', 'link'], new RegExp(`\\bk8ts${network}\\b|k8ts${network}v`))
  await look('route', 'ip', ['route'], new RegExp(`k8ts${network}\\b|172\\.29\\.${network}\\.`))
  await look('mount', 'cat', ['/proc/mounts'], new RegExp(`/k8ts/${name}/`))
  await look('nftables table', 'nft', ['list', 'tables'], new RegExp(`k8ts${network}$`))
  await look('cgroup', 'find', ['/sys/fs/cgroup', '-maxdepth', '3', '-path', `*/k8ts/${name}`], /k8ts/)
  await look('process', 'ps', ['-eo', 'pid,args'], new RegExp(`conmon.*/k8ts/${name}/|k8ts\\.mjs (node --config /run/k8ts/${name}/|cluster --name=${name} )`))
  return found
}
