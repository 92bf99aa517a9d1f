// Every kubectl command, in the order of the help.
import type { KubectlCommand } from '../command.ts'

export const commands: readonly KubectlCommand[] = []
