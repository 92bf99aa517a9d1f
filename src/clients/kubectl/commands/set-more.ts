// kubectl set serviceaccount and set selector. Upstream: kubectl/pkg/cmd/set
import type { JsonObject } from '../../../lib/base/json.ts'
import { KubectlError, UsageError, defineCommand } from '../command.ts'
import { objectPath } from '../resources/object-path.ts'
import { selectObjects, selectionFlags } from '../resources/selected-objects.ts'
import { dryRunOf, outputFlags, printOutcome } from './create-objects.ts'

const flagsOfSet = { ...selectionFlags, ...outputFlags, 'field-manager': { type: 'string', default: 'kubectl-set', usage: 'Name under which the fields are owned.' } } as const

const patchOf = (kind: string, podSpec: JsonObject): JsonObject => (kind === 'Pod' ? { spec: podSpec } : kind === 'CronJob' ? { spec: { jobTemplate: { spec: { template: { spec: podSpec } } } } } : { spec: { template: { spec: podSpec } } })

export const setServiceAccountCommand = defineCommand({
  name: 'serviceaccount', aliases: ['sa'], short: 'Update the service account of a resource', usage: '(-f FILENAME | TYPE NAME) SERVICE_ACCOUNT [options]', flags: flagsOfSet,
  async run(context, { flags, args }) {
    const account = args.at(-1)
    if (account === undefined) throw new KubectlError('serviceaccount is required')
    const dryRun = dryRunOf(flags['dry-run'])
    for (const { resource, namespace, name, object } of await selectObjects(context, args.slice(0, -1), flags, 'set serviceaccount')) {
      const patch = patchOf(resource.kind, { serviceAccountName: account, serviceAccount: account })
      const answer = dryRun === 'client' ? object : await context.session().request('PATCH', objectPath(resource, namespace, name, '', { fieldManager: flags['field-manager'], dryRun: dryRun === 'server' ? 'All' : undefined }), { body: patch, contentType: 'application/strategic-merge-patch+json' })
      printOutcome(context, { apiVersion: object['apiVersion'], kind: object['kind'], ...answer }, 'serviceaccount updated', flags)
    }
    return 0
  },
})

export const setSelectorCommand = defineCommand({
  name: 'selector', short: 'Set the selector on a resource', usage: '(-f FILENAME | TYPE NAME) EXPRESSIONS [--resource-version=version] [options]', flags: { ...flagsOfSet, 'resource-version': { type: 'string', usage: 'Change only this version of the object.' } },
  async run(context, { flags, args }) {
    const pairs = args.filter((a) => a.includes('=')).flatMap((a) => a.split(','))
    const resources = args.filter((a) => !a.includes('='))
    if (pairs.length === 0) throw new UsageError('one or more resources must be specified as <resource> <name> or <resource>/<name>', 'set selector')
    const selector = Object.fromEntries(pairs.map((p) => [p.slice(0, p.indexOf('=')), p.slice(p.indexOf('=') + 1)]))
    const dryRun = dryRunOf(flags['dry-run'])
    for (const { resource, namespace, name, object } of await selectObjects(context, resources, flags, 'set selector')) {
      if (resource.kind !== 'Service') throw new KubectlError('setting a selector is only supported for Services')
      // The whole selector is replaced.
      const patch: JsonObject[] = [{ op: 'add', path: '/spec/selector', value: selector }, ...(flags['resource-version'] ? [{ op: 'test', path: '/metadata/resourceVersion', value: flags['resource-version'] }] : [])]
      const answer = dryRun === 'client' ? object : await context.session().request('PATCH', objectPath(resource, namespace, name, '', { fieldManager: flags['field-manager'], dryRun: dryRun === 'server' ? 'All' : undefined }), { body: Buffer.from(JSON.stringify(patch)), contentType: 'application/json-patch+json' })
      printOutcome(context, { apiVersion: object['apiVersion'], kind: object['kind'], ...answer }, 'selector updated', flags)
    }
    return 0
  },
})
