// Runs iptables and conntrack: the one place where rules leave the process. Rules go in by standard input, never through a shell.
import { spawn } from 'node:child_process'

export interface IptablesRunner {
  /** Feeds `iptables-restore --noflush`; resolves to an error text or undefined. */
  restore(input: string): Promise<string | undefined>
  /** Prints the current rules. */
  save(): Promise<string>
  /** `iptables` with arguments; resolves to the exit code. */
  iptables(args: readonly string[]): Promise<number>
  /** `conntrack` with arguments; a missing program is passed over. */
  conntrack(args: readonly string[]): Promise<void>
}

interface Finished {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

function run(command: string, args: readonly string[], input = ''): Promise<Finished> {
  return new Promise((resolve) => {
    const child = spawn(command, [...args], { stdio: ['pipe', 'pipe', 'pipe'] })
    const out: Buffer[] = []
    let stderr = ''
    child.stdout.on('data', (piece: Buffer) => out.push(piece))
    child.stderr.on('data', (piece: Buffer) => { stderr += piece.toString() })
    child.stdin.on('error', () => {})
    child.on('error', (error) => resolve({ code: 127, stdout: '', stderr: error.message }))
    child.on('close', (code) => resolve({ code: code ?? 128, stdout: Buffer.concat(out).toString(), stderr }))
    child.stdin.end(input)
  })
}

export function createIptablesRunner(): IptablesRunner {
  return {
    async restore(input) {
      const { code, stderr } = await run('iptables-restore', ['-w', '5', '--noflush'], input)
      return code === 0 ? undefined : `iptables-restore ended with ${code}: ${stderr.trim()}`
    },
    save: async () => (await run('iptables-save', [])).stdout,
    iptables: async (args) => (await run('iptables', ['-w', '5', ...args])).code,
    conntrack: async (args) => { await run('conntrack', args) },
  }
}
