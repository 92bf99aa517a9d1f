// Every kubectl command, in the order of the help.
import type { KubectlCommand } from '../command.ts'
import { apiResourcesCommand, apiVersionsCommand } from './api-resources.ts'
import { clusterInfoCommand } from './cluster-info.ts'
import { deleteCommand } from './delete.ts'
import { describeCommand } from './describe.ts'
import { applyCommand } from './apply.ts'
import { configCommand } from './config.ts'
import { explainCommand } from './explain.ts'
import { waitCommand } from './wait.ts'
import { createCommand } from './create.ts'
import { annotateCommand, labelCommand } from './label.ts'
import { logsCommand } from './logs.ts'
import { rolloutCommand } from './rollout.ts'
import { scaleCommand } from './scale.ts'
import { setCommand } from './set.ts'
import { attachCommand, execCommand } from './exec.ts'
import { portForwardCommand } from './port-forward.ts'
import { getCommand } from './get.ts'
import { versionCommand } from './version.ts'

export const commands: readonly KubectlCommand[] = [
  createCommand, setCommand, explainCommand, getCommand, deleteCommand, rolloutCommand, scaleCommand,
  clusterInfoCommand, describeCommand, logsCommand, attachCommand, execCommand, portForwardCommand, applyCommand, waitCommand, labelCommand, annotateCommand,
  apiResourcesCommand, apiVersionsCommand, configCommand, versionCommand,
]
