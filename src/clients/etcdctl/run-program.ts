// Runs a program for a command (`watch … -- program`, `lock … program`), with this process's input and output.
import { spawn } from 'node:child_process'
import type { Environment } from './global-flags.ts'
import { quote } from './go-format.ts'

/** `problem`: why it did not end well, in Go's words; `code`: its exit code when it had one. */
export interface ProgramOutcome { readonly problem?: string; readonly code?: number }

export function runProgram(words: readonly string[], environment: Environment): Promise<ProgramOutcome> {
  const [program = '', ...args] = words
  return new Promise((resolve) => {
    const child = spawn(program, args, { env: { ...environment }, stdio: ['ignore', 'inherit', 'inherit'] })
    child.on('error', (error) => {
      const { code } = error as { readonly code?: string } // cast: errors of spawn have a code
      resolve({ problem: code === 'ENOENT' && !program.includes('/') ? `exec: ${quote(program)}: executable file not found in $PATH` : `fork/exec ${program}: ${code === 'ENOENT' ? 'no such file or directory' : 'permission denied'}` })
    })
    child.on('close', (code, signal) => {
      if (code === 0) resolve({})
      else if (code !== null) resolve({ problem: `exit status ${code}`, code })
      else resolve({ problem: `signal: ${signal === 'SIGKILL' ? 'killed' : signal === 'SIGTERM' ? 'terminated' : signal === 'SIGINT' ? 'interrupt' : String(signal)}` })
    })
  })
}
