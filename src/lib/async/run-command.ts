// Runs a program of the host to its end. Rules it keeps: no shell, operands never taken for options (the callers put `--` before them where
// they come from outside), input by standard input, output bounded, and the child dies with the signal.
import { spawn } from 'node:child_process'

export interface CommandResult {
  /** Exit code, or 128 + n when signal n killed it. */
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** A program failed or couldn't be started. */
export class CommandError extends Error {
  override readonly name = 'CommandError'
  readonly code: number
  readonly stderr: string
  constructor(command: string, result: CommandResult) {
    // A script among the arguments would bury what it says.
    super(`${command.includes('\n') ? `${command.split('\n')[0] ?? ''} …` : command}: exit code ${result.code}: ${result.stderr.trim() || result.stdout.trim()}`)
    this.code = result.code
    this.stderr = result.stderr
  }
}

const usualMaxOutputBytes = 4 * 1024 * 1024
/** What children of the runtime see: never the environment of the runtime itself. */
export const hostEnvironment = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' } as const

const signalNumbers: { readonly [name: string]: number } = { SIGHUP: 1, SIGINT: 2, SIGKILL: 9, SIGSEGV: 11, SIGTERM: 15 }

/** Runs a program; resolves whatever its exit code. @throws CommandError when it can't be started (code 127) or the signal is aborted (code 130) */
export function runCommand(
  command: string, args: readonly string[], options: { readonly input?: string; readonly signal?: AbortSignal; readonly env?: { readonly [name: string]: string }; readonly cwd?: string; readonly maxOutputBytes?: number } = {},
): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'], env: { ...hostEnvironment, ...options.env }, ...(options.cwd && { cwd: options.cwd }), ...(options.signal && { signal: options.signal }) })
    const collect = (): { readonly add: (chunk: Buffer) => void; readonly text: () => string } => {
      const chunks: Buffer[] = []
      let bytes = 0
      return { add: (chunk) => { if (bytes < (options.maxOutputBytes ?? usualMaxOutputBytes)) { chunks.push(chunk); bytes += chunk.length } }, text: () => Buffer.concat(chunks).toString() }
    }
    const stdout = collect()
    const stderr = collect()
    child.stdout.on('data', stdout.add)
    child.stderr.on('data', stderr.add)
    child.stdin.on('error', () => {}) // the program may end without reading its input
    child.stdin.end(options.input ?? '')
    child.on('error', (error) => reject(new CommandError(command, { code: options.signal?.aborted ? 130 : 127, stdout: '', stderr: error.message })))
    child.on('close', (code, signal) => resolve({ code: code ?? 128 + (signalNumbers[signal ?? ''] ?? 0), stdout: stdout.text(), stderr: stderr.text() }))
  })
}

/** As runCommand, but an exit code other than 0 is an error. @throws CommandError */
export async function runSuccessfully(command: string, args: readonly string[], options: Parameters<typeof runCommand>[2] = {}): Promise<CommandResult> {
  const result = await runCommand(command, args, options)
  if (result.code !== 0) throw new CommandError(`${command} ${args.slice(0, 3).join(' ')}`, result)
  return result
}
