// kubectl options: the flags that every command takes. Upstream: kubectl/pkg/cmd/options
import { formatFlagUsages } from '../../../lib/component-base/flags.ts'
import { defineCommand } from '../command.ts'
import { globalFlags } from '../global-flags.ts'

export const optionsCommand = defineCommand({
  name: 'options', group: 'Other Commands', short: 'Print the list of flags inherited by all commands', usage: '[flags] [options]', flags: {},
  async run(context) {
    const { help: _, ...flags } = globalFlags
    context.out(`The following options can be passed to any command:\n\n${formatFlagUsages(flags)}\n`)
    return 0
  },
})
