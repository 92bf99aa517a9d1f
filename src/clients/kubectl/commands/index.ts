// Every kubectl command, in the order of the help.
import type { KubectlCommand } from '../command.ts'
import { apiResourcesCommand, apiVersionsCommand } from './api-resources.ts'
import { clusterInfoCommand } from './cluster-info.ts'
import { deleteCommand } from './delete.ts'
import { getCommand } from './get.ts'
import { versionCommand } from './version.ts'

export const commands: readonly KubectlCommand[] = [
  getCommand, deleteCommand,
  clusterInfoCommand,
  apiResourcesCommand, apiVersionsCommand, versionCommand,
]
