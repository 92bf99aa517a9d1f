// Runs a host program and waits for it: no shell, its output kept for the error text.
import { spawn } from 'node:child_process'

export interface CommandResult {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** The program failed or isn't there. */
export class CommandError extends Error {
  override readonly name = 'CommandError'
  readonly result: CommandResult
  constructor(command: string, args: readonly string[], result: CommandResult) {
    // A script among the arguments would bury what it says.
    super(`${command} ${args.map((a) => (a.includes('\n') ? '<script>' : a)).join(' ')} ended with ${result.code}: ${result.stderr.trim() || result.stdout.trim()}`)
    this.result = result
  }
}

export function tryCommand(command: string, args: readonly string[], input?: string): Promise<CommandResult> {
  return new Promise((resolve) => {
    const child = spawn(command, [...args], { stdio: ['pipe', 'pipe', 'pipe'] })
    let stdout = ''
    let stderr = ''
    child.stdout.on('data', (piece) => { stdout += String(piece) })
    child.stderr.on('data', (piece) => { stderr += String(piece) })
    child.stdin.on('error', () => {})
    child.on('error', (error) => resolve({ code: 127, stdout, stderr: error.message }))
    child.on('close', (code, signal) => resolve({ code: code ?? (signal ? 128 : 1), stdout, stderr }))
    child.stdin.end(input ?? '')
  })
}

/** @throws CommandError */
export async function runCommand(command: string, args: readonly string[], input?: string): Promise<string> {
  const result = await tryCommand(command, args, input)
  if (result.code !== 0) throw new CommandError(command, args, result)
  return result.stdout
}
