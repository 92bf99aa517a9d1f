// Runs iptables and conntrack: the one place where rules leave the process. Rules go in by standard input, never through a shell.
import { CommandError, runCommand } from '../../lib/async/run-command.ts'
import type { CommandResult } from '../../lib/async/run-command.ts'

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

/** Ten thousand Services make about 20 MB of rules. */
const mostRuleBytes = 256 * 2 ** 20

/** What ran, also when the program isn't there: exit code 127. */
async function run(command: string, args: readonly string[], input = ''): Promise<CommandResult> {
  try {
    return await runCommand(command, args, { input, maxOutputBytes: mostRuleBytes })
  } catch (error) {
    if (error instanceof CommandError) return { code: error.code, stdout: '', stderr: error.stderr }
    throw error
  }
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
