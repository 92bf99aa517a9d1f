// kubectl scale: sets the number of replicas through the scale subresource. Upstream: kubectl/pkg/cmd/scale
import { isJsonObject } from '../../../lib/base/json.ts'
import { KubectlError, defineCommand } from '../command.ts'
import { displayResource, objectPath } from '../resources/object-path.ts'
import { selectObjects, selectionFlags } from '../resources/selected-objects.ts'
import { dryRunOf } from './create-objects.ts'

export const scaleCommand = defineCommand({
  name: 'scale', group: 'Deploy Commands', short: 'Set a new size for a deployment, replica set, or replication controller', usage: '[--resource-version=version] [--current-replicas=count] --replicas=COUNT (-f FILENAME | TYPE NAME) [options]',
  flags: { ...selectionFlags, 'current-replicas': { type: 'int', default: -1, usage: 'Scale only when this is the current number.' }, 'dry-run': { type: 'string', default: 'none', whenAlone: 'unchanged', usage: 'none, server or client.' }, output: { type: 'string', short: 'o', usage: 'Output format.' }, replicas: { type: 'int', default: -1, usage: 'The new number of replicas.' }, 'resource-version': { type: 'string', usage: 'Scale only this version of the object.' }, timeout: { type: 'string', default: '0s', usage: 'How long to wait for it to happen; 0: not at all.' } },
  async run(context, { flags, args, given }) {
    if (!given.has('replicas') || flags.replicas < 0) throw new KubectlError(given.has('replicas') ? 'The --replicas=COUNT flag is required, and COUNT must be greater than or equal to 0' : 'required flag(s) "replicas" not set')
    const dryRun = dryRunOf(flags['dry-run'])
    const session = context.session()
    const selected = await selectObjects(context, args, flags, 'scale')
    if (selected.length === 0) throw new KubectlError('no objects passed to scale')
    for (const { resource, namespace, name } of selected) {
      if (flags['current-replicas'] >= 0 || flags['resource-version']) {
        const scale = await session.request('GET', objectPath(resource, namespace, name, 'scale'))
        const current = isJsonObject(scale['spec']) ? Number(scale['spec']['replicas'] ?? 0) : 0
        const version = isJsonObject(scale['metadata']) ? String(scale['metadata']['resourceVersion'] ?? '') : ''
        if (flags['current-replicas'] >= 0 && current !== flags['current-replicas']) throw new KubectlError(`Expected replicas to be ${flags['current-replicas']}, was ${current}`)
        if (flags['resource-version'] && version !== flags['resource-version']) throw new KubectlError(`Expected resource version to be ${flags['resource-version']}, was ${version}`)
      }
      if (dryRun !== 'client') await session.request('PATCH', objectPath(resource, namespace, name, 'scale', { dryRun: dryRun === 'server' ? 'All' : undefined, fieldManager: 'kubectl-scale' }), { body: { spec: { replicas: flags.replicas } }, contentType: 'application/merge-patch+json' })
      const shown = `${displayResource(resource)}/${name}`
      context.out(flags.output === 'name' ? `${shown}\n` : `${shown} scaled${dryRun === 'none' ? '' : dryRun === 'server' ? ' (server dry run)' : ' (dry run)'}\n`)
    }
    return 0
  },
})
