// Runs a further process in a running container: ExecSync (output collected, time limited) and streaming exec (pipes or a terminal).
import { closeSync, existsSync, readFileSync } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import type { Readable, Writable } from 'node:stream'
import type { ContainerManager } from '../containers/container-manager.ts'
import type { OciRuntime } from '../containers/oci-runtime.ts'
import type { Clock } from '../../../lib/base/clock.ts'
import { sleep } from '../../../lib/base/clock.ts'
import type { Random } from '../../../lib/base/random.ts'
import { CriError } from '../../../lib/cri-api/cri-services.ts'
import type { ExecOptions, ProcessStreams, TerminalSize } from '../../../lib/cri-api/streams.ts'
import { ExecTerminal } from './exec-terminal.ts'

export interface ExecDependencies {
  readonly containers: ContainerManager
  readonly runtime: OciRuntime
  readonly clock: Clock
  readonly random: Random
}

/** Output of one ExecSync beyond this is cut off, as containerd does. */
const maxOutputBytes = 16 * 1024 * 1024
/** How long output may keep coming after the process itself has ended (children that inherited its streams). */
const drainMs = 1000

interface ExecFiles { readonly process: string; readonly pid: string; readonly socket: string }

/** The process description: the container's own (user, capabilities, environment), with another command. */
async function writeProcessFile(dependencies: ExecDependencies, containerId: string, command: readonly string[], terminal: boolean, size?: TerminalSize): Promise<ExecFiles> {
  const { containers, random } = dependencies
  const record = containers.getRunning(containerId)
  if (command.length === 0) throw new CriError('InvalidArgument', 'no command given')
  const { bundle } = containers.places(record.id)
  const parsed: unknown = JSON.parse(readFileSync(join(bundle, 'config.json'), 'utf8'))
  const own = (parsed as { readonly process: object & { readonly env: readonly string[] } }).process // cast: our own file
  const env = terminal && !own.env.some((pair) => pair.startsWith('TERM=')) ? [...own.env, 'TERM=xterm'] : own.env
  const name = join(bundle, `exec-${Buffer.from(random.bytes(6)).toString('hex')}`)
  const files = { process: `${name}.json`, pid: `${name}.pid`, socket: `${name}.tty` }
  await writeFile(files.process, JSON.stringify({ ...own, env, args: command, terminal, ...(terminal && size ? { consoleSize: size } : {}) }), { mode: 0o600 })
  return files
}

async function removeFiles(files: ExecFiles): Promise<void> { await Promise.all([rm(files.process, { force: true }), rm(files.pid, { force: true }), rm(files.socket, { force: true })]) }

const readPid = (path: string): number => { try { return Number(readFileSync(path, 'utf8')) } catch { return 0 } }

function kill(files: ExecFiles): void {
  const pid = readPid(files.pid)
  if (pid > 1) try { process.kill(pid, 'SIGKILL') } catch { /* it has just ended */ }
}

const exitCodeOf = (code: number | null, signal: NodeJS.Signals | null): number => code ?? (signal === 'SIGKILL' ? 137 : 143)

/** Runs a command to its end. @param timeoutSeconds 0 for none @throws CriError DeadlineExceeded after killing it; Internal when it can't start */
export async function execSync(
  dependencies: ExecDependencies, request: { readonly containerId: string; readonly command: readonly string[]; readonly timeoutSeconds: number }, signal: AbortSignal,
): Promise<{ readonly stdout: Uint8Array; readonly stderr: Uint8Array; readonly exitCode: number }> {
  const files = await writeProcessFile(dependencies, request.containerId, request.command, false)
  const { runtime, clock, containers } = dependencies
  const stop = new AbortController()
  try {
    const child = runtime.exec(containers.get(request.containerId).id, { processFile: files.process, pidFile: files.pid, stdio: ['ignore', 'pipe', 'pipe'] })
    const stdout = collect(child.stdout)
    const stderr = collect(child.stderr)
    const ended = new Promise<number>((resolve, reject) => {
      child.on('error', (error) => reject(new CriError('Internal', `failed to exec in container: ${error.message}`, { cause: error })))
      child.on('exit', (code, name) => resolve(exitCodeOf(code, name)))
    })
    const closed = new Promise<void>((resolve) => child.on('close', () => resolve()))
    const limit = AbortSignal.any([signal, stop.signal])
    const timeout = request.timeoutSeconds > 0 ? sleep(clock, request.timeoutSeconds * 1000, limit).then(() => 'timeout' as const) : new Promise<never>((_resolve, reject) => limit.addEventListener('abort', () => reject(limit.reason)))
    timeout.catch(() => {})
    let exitCode: number | 'timeout'
    try { exitCode = await Promise.race([ended, timeout]) } catch (error) { kill(files); child.kill('SIGKILL'); throw error }
    if (exitCode === 'timeout') {
      kill(files)
      child.kill('SIGKILL')
      throw new CriError('DeadlineExceeded', `failed to exec in container: timeout ${request.timeoutSeconds}s exceeded: context deadline exceeded`)
    }
    await Promise.race([closed, sleep(clock, drainMs, stop.signal).catch(() => {})])
    child.stdout?.destroy()
    child.stderr?.destroy()
    if (exitCode !== 0 && !existsSync(files.pid)) throw new CriError('Internal', `failed to exec in container: failed to start exec: ${stderr.text().trim()}`)
    return { stdout: stdout.bytes(), stderr: stderr.bytes(), exitCode }
  } finally {
    stop.abort()
    await removeFiles(files)
  }
}

function collect(stream: Readable | null): { readonly bytes: () => Uint8Array; readonly text: () => string } {
  const chunks: Buffer[] = []
  let length = 0
  stream?.on('data', (chunk: Buffer) => { if (length < maxOutputBytes) { chunks.push(chunk.subarray(0, maxOutputBytes - length)); length += chunk.length } })
  return { bytes: () => Buffer.concat(chunks), text: () => Buffer.concat(chunks).toString() }
}

/** Runs a command whose streams the caller holds. */
export async function openExec(dependencies: ExecDependencies, options: ExecOptions, signal: AbortSignal): Promise<ProcessStreams> {
  const files = await writeProcessFile(dependencies, options.containerId, options.command, options.tty, options.size)
  const id = dependencies.containers.get(options.containerId).id
  return options.tty ? openTerminal(dependencies, id, files, options, signal) : openPipes(dependencies.runtime, id, files, options, signal)
}

function openPipes(runtime: OciRuntime, id: string, files: ExecFiles, options: ExecOptions, signal: AbortSignal): ProcessStreams {
  const child = runtime.exec(id, { processFile: files.process, pidFile: files.pid, stdio: [options.stdin ? 'pipe' : 'ignore', 'pipe', 'pipe'] })
  const { stdout, stderr } = child
  if (!stdout || !stderr) throw new CriError('Internal', 'exec has no pipes')
  child.stdin?.on('error', () => {}) // the process may end without reading all of it
  let complaint = ''
  stderr.on('data', (chunk: Buffer) => { if (complaint.length < 4096) complaint += chunk.toString() })
  const shownErrors = stderr.pipe(new PassThrough())
  return finishStreams({ child, files, signal, stdin: child.stdin ?? undefined, stdout, stderr: shownErrors, resize: () => {}, complaint: () => complaint, release: () => {} })
}

function openTerminal(dependencies: ExecDependencies, id: string, files: ExecFiles, options: ExecOptions, signal: AbortSignal): ProcessStreams {
  const { runtime } = dependencies
  const terminal = new ExecTerminal(files.socket, dependencies.clock, dependencies.random, runtime.handsTerminalsOver)
  if (options.size) terminal.resize(options.size)
  const { ownSlave } = terminal
  const child = ownSlave === undefined
    ? runtime.exec(id, { processFile: files.process, pidFile: files.pid, stdio: ['ignore', 'ignore', 'pipe'], consoleSocket: files.socket })
    : runtime.exec(id, { processFile: files.process, pidFile: files.pid, stdio: [ownSlave, ownSlave, ownSlave], ownTerminal: true })
  if (ownSlave !== undefined) closeSync(ownSlave)
  let complaint = ''
  child.stderr?.on('data', (chunk: Buffer) => { if (complaint.length < 4096) complaint += chunk.toString() })
  child.on('close', () => { void terminal.drain() })
  return finishStreams({
    child, files, signal, stdin: options.stdin ? terminal.stdin : undefined, stdout: terminal.stdout, stderr: undefined, resize: (size) => terminal.resize(size),
    complaint: () => complaint || terminal.lastWords, release: () => terminal[Symbol.dispose](),
  })
}

interface OpenProcess {
  readonly child: ReturnType<OciRuntime['exec']>
  readonly files: ExecFiles
  readonly signal: AbortSignal
  readonly stdin: Writable | undefined
  readonly stdout: Readable
  readonly stderr: Readable | undefined
  readonly resize: (size: TerminalSize) => void
  /** What was said last: the reason, when it could not start. */
  readonly complaint: () => string
  readonly release: () => void
}

function finishStreams(open: OpenProcess): ProcessStreams {
  const { child, files, signal } = open
  const end = (): void => { kill(files); child.kill('SIGKILL') }
  signal.addEventListener('abort', end, { once: true })
  const exit = new Promise<{ readonly exitCode: number }>((resolve, reject) => {
    child.on('error', (error) => reject(new CriError('Internal', `failed to exec in container: ${error.message}`, { cause: error })))
    child.on('exit', (code, name) => {
      signal.removeEventListener('abort', end)
      const started = existsSync(files.pid)
      void removeFiles(files)
      const exitCode = exitCodeOf(code, name)
      if (exitCode === 0 || started || signal.aborted) { resolve({ exitCode }); return }
      // Its streams end after it does, and the reason is the last that they say.
      child.on('close', () => reject(new CriError('Internal', `failed to exec in container: failed to start exec: ${open.complaint().trim()}`)))
    })
  })
  exit.catch(() => {}) // whoever awaits it sees it; nobody has to
  return {
    stdin: open.stdin, stdout: open.stdout, stderr: open.stderr, resize: open.resize, exit,
    [Symbol.asyncDispose]: async () => {
      if (child.exitCode === null && child.signalCode === null) end()
      await exit.catch(() => {})
      open.release()
    },
  }
}
