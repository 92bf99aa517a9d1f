// The tree of commands. Upstream: etcdctl/ctlv3/ctl.go
import { defineCommand, defineGroup, type Command } from '../command.ts'
import { globalFlags } from '../global-flags.ts'
import { flagUsages } from '../help-text.ts'
import { authCommand, roleCommand, userCommand } from './auth.ts'
import { checkCommand } from './check.ts'
import { completionCommand } from './completion.ts'
import { electCommand, lockCommand } from './concurrency.ts'
import { endpointCommand } from './endpoint.ts'
import { compactionCommand, delCommand, getCommand, putCommand } from './key-value.ts'
import { leaseCommand } from './lease.ts'
import { alarmCommand, defragCommand, downgradeCommand, moveLeaderCommand } from './maintenance.ts'
import { makeMirrorCommand } from './make-mirror.ts'
import { memberCommand } from './member.ts'
import { snapshotCommand } from './snapshot.ts'
import { txnCommand } from './txn.ts'
import { watchCommand } from './watch.ts'

/** The version of the original whose commands these are. */
export const version = '3.7.3'
export const apiVersion = '3.7'

const versionCommand = defineCommand({
  use: 'version', short: 'Prints the version of etcdctl', group: 'utility',
  async run(session) { session.out(`etcdctl version: ${version}\nAPI version: ${apiVersion}\n`) },
})

const optionsCommand = defineCommand({
  use: 'options', short: 'Show the global command-line flags', group: 'utility',
  async run(session) { session.out(`The following options can be passed to any command:\n\n${flagUsages(globalFlags)}\n`) },
})

/** The program shows help itself; this is its place in the list. */
const helpCommand: Command = {
  use: 'help [command]', short: 'Help about any command', group: 'utility', flags: {}, persistentFlags: {}, commands: [], run: async () => {},
  long: 'Help provides help for any command in the application.\nSimply type etcdctl help [path to command] for full details.',
}

export const rootCommand: Command = defineGroup({ use: 'etcdctl', short: 'A simple command line client for etcd3.' }, [
  getCommand, putCommand, delCommand, txnCommand, compactionCommand, alarmCommand, defragCommand, endpointCommand, moveLeaderCommand, watchCommand, versionCommand, leaseCommand, memberCommand,
  snapshotCommand, makeMirrorCommand, lockCommand, electCommand, authCommand, userCommand, roleCommand, checkCommand, downgradeCommand, optionsCommand, completionCommand, helpCommand,
])
