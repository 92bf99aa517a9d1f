// Every kubectl command, in the order of the help.
import type { KubectlCommand } from '../command.ts'
import { apiResourcesCommand, apiVersionsCommand } from './api-resources.ts'
import { applyCommand } from './apply.ts'
import { authCommand } from './auth.ts'
import { autoscaleCommand } from './autoscale.ts'
import { clusterInfoCommand } from './cluster-info.ts'
import { configCommand } from './config.ts'
import { createCommand } from './create.ts'
import { deleteCommand } from './delete.ts'
import { describeCommand } from './describe.ts'
import { diffCommand } from './diff.ts'
import { cordonCommand, drainCommand, uncordonCommand } from './drain.ts'
import { eventsCommand } from './events.ts'
import { attachCommand, execCommand } from './exec.ts'
import { explainCommand } from './explain.ts'
import { exposeCommand } from './expose.ts'
import { getCommand } from './get.ts'
import { annotateCommand, labelCommand } from './label.ts'
import { logsCommand } from './logs.ts'
import { optionsCommand } from './options.ts'
import { editCommand, patchCommand, replaceCommand } from './patch.ts'
import { portForwardCommand } from './port-forward.ts'
import { proxyCommand } from './proxy.ts'
import { rolloutCommand } from './rollout.ts'
import { runCommand } from './run.ts'
import { scaleCommand } from './scale.ts'
import { setCommand } from './set.ts'
import { taintCommand } from './taint.ts'
import { topCommand } from './top.ts'
import { versionCommand } from './version.ts'
import { waitCommand } from './wait.ts'

export const commands: readonly KubectlCommand[] = [
  createCommand, exposeCommand, runCommand, setCommand, explainCommand, getCommand, editCommand, deleteCommand, rolloutCommand, scaleCommand, autoscaleCommand,
  clusterInfoCommand, topCommand, cordonCommand, uncordonCommand, drainCommand, taintCommand, authCommand, describeCommand, logsCommand, attachCommand, execCommand, portForwardCommand, proxyCommand, eventsCommand,
  diffCommand, applyCommand, patchCommand, replaceCommand, waitCommand, labelCommand, annotateCommand,
  apiResourcesCommand, apiVersionsCommand, configCommand, optionsCommand, versionCommand,
]
