// Runs a further process in a running container: ExecSync (output collected, time limited) and streaming exec (pipes or a terminal).
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PassThrough, Writable } from 'node:stream'
import type { Readable } from 'node:stream'
import { ReadStream } from 'node:tty'
import type { ContainerManager } from '../containers/container-manager.ts'
import type { OciRuntime } from '../containers/oci-runtime.ts'
import { openPty, setTerminalSize } from '../host/syscalls.ts'
import type { Clock } from '../../../lib/base/clock.ts'
import { sleep } from '../../../lib/base/clock.ts'
import type { Random } from '../../../lib/base/random.ts'
import { CriError } from '../../../lib/cri-api/cri-services.ts'
import type { ExecOptions, ProcessStreams, TerminalSize } from '../../../lib/cri-api/streams.ts'

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
/** How long a process with a terminal may take to start, on a busy machine. */
const startingMs = 2000

interface ExecFiles { readonly process: string; readonly pid: string }

/** The process description: the container's own (user, capabilities, environment), with another command. */
async function writeProcessFile(dependencies: ExecDependencies, containerId: string, command: readonly string[], terminal: boolean): Promise<ExecFiles> {
  const { containers, random } = dependencies
  const record = containers.getRunning(containerId)
  if (command.length === 0) throw new CriError('InvalidArgument', 'no command given')
  const { bundle } = containers.places(record.id)
  const parsed: unknown = JSON.parse(readFileSync(join(bundle, 'config.json'), 'utf8'))
  const own = (parsed as { readonly process: object & { readonly env: readonly string[] } }).process // cast: our own file
  const env = terminal && !own.env.some((pair) => pair.startsWith('TERM=')) ? [...own.env, 'TERM=xterm'] : own.env
  const name = join(bundle, `exec-${Buffer.from(random.bytes(6)).toString('hex')}`)
  const files = { process: `${name}.json`, pid: `${name}.pid` }
  await writeFile(files.process, JSON.stringify({ ...own, env, args: command, terminal }), { mode: 0o600 })
  return files
}

async function removeFiles(files: ExecFiles): Promise<void> { await Promise.all([rm(files.process, { force: true }), rm(files.pid, { force: true })]) }

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
    const child = runtime.exec(containers.get(request.containerId).id, { processFile: files.process, pidFile: files.pid, stdio: ['ignore', 'pipe', 'pipe'], withTerminal: false })
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
  const files = await writeProcessFile(dependencies, options.containerId, options.command, options.tty)
  const id = dependencies.containers.get(options.containerId).id
  return options.tty ? openTerminal(dependencies.runtime, dependencies.clock, id, files, options, signal) : openPipes(dependencies.runtime, id, files, options, signal)
}

function openPipes(runtime: OciRuntime, id: string, files: ExecFiles, options: ExecOptions, signal: AbortSignal): ProcessStreams {
  const child = runtime.exec(id, { processFile: files.process, pidFile: files.pid, stdio: [options.stdin ? 'pipe' : 'ignore', 'pipe', 'pipe'], withTerminal: false })
  const { stdout, stderr } = child
  if (!stdout || !stderr) throw new CriError('Internal', 'exec has no pipes')
  child.stdin?.on('error', () => {}) // the process may end without reading all of it
  let complaint = ''
  stderr.on('data', (chunk: Buffer) => { if (complaint.length < 4096) complaint += chunk.toString() })
  const shownErrors = stderr.pipe(new PassThrough())
  return finishStreams({ child, files, signal, stdin: child.stdin ?? undefined, stdout, stderr: shownErrors, resize: () => {}, complaint: () => complaint, release: () => {} })
}

function openTerminal(runtime: OciRuntime, clock: Clock, id: string, files: ExecFiles, options: ExecOptions, signal: AbortSignal): ProcessStreams {
  const { master, slave } = openPty(options.size ?? { width: 80, height: 24 })
  const child = runtime.exec(id, { processFile: files.process, pidFile: files.pid, stdio: [slave, slave, slave], withTerminal: true })
  closeSync(slave)
  const terminal = new ReadStream(master)
  const stdout = new PassThrough()
  let last = ''
  terminal.on('data', (chunk: Buffer) => { last = chunk.toString().slice(-4096); if (!stdout.write(chunk)) terminal.pause() })
  stdout.on('drain', () => terminal.resume())
  // The last holder of the other end is gone: reading fails with EIO, which is this kind of file's way to say that it has ended.
  terminal.on('error', () => stdout.end())
  terminal.on('close', () => stdout.end())
  child.on('close', () => { if (stdout.writable) setImmediate(() => { terminal.destroy() }) })
  // Ending stdin must not close the terminal: that would hang up on the process, which may still have a lot to say.
  const stdin = new Writable({ write(chunk: Buffer, _encoding, done) { if (terminal.destroyed) done(); else terminal.write(chunk, () => done()) } })
  // The OCI runtime puts a terminal of its own between ours and the process; nobody tells when it stands. Clients tell the size at once, before there
  // is a process: a size is set at our end, from where it may be copied, and at the process's, again while it may still be starting.
  const openedAtMs = clock.monotonic()
  let wanted: TerminalSize | undefined
  const apply = (size: TerminalSize): void => {
    if (terminal.destroyed || size !== wanted) return
    let fd: number | undefined
    try {
      setTerminalSize(master, size)
      const pid = readPid(files.pid)
      if (pid > 0) setTerminalSize(fd = openSync(`/proc/${pid}/fd/0`, 'r+'), size)
    } catch { /* not there yet, or it has just ended */ } finally { if (fd !== undefined) closeSync(fd) }
  }
  const resize = (size: TerminalSize): void => {
    wanted = size
    apply(size)
    if (clock.monotonic() - openedAtMs < startingMs) for (const delayMs of [20, 50, 100, 200, 400, 800, 1600]) clock.setTimer(delayMs, () => apply(size), { keepAlive: false })
  }
  return finishStreams({ child, files, signal, stdin: options.stdin ? stdin : undefined, stdout, stderr: undefined, resize, complaint: () => last, release: () => terminal.destroy() })
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
      if (exitCode !== 0 && !started && !signal.aborted) reject(new CriError('Internal', `failed to exec in container: failed to start exec: ${open.complaint().trim()}`))
      else resolve({ exitCode })
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
