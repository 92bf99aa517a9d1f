// kubectl rollout: status, history, undo, restart, pause and resume of Deployments, DaemonSets and StatefulSets. Upstream: kubectl/pkg/cmd/rollout
import type { JsonObject } from '../../../lib/base/json.ts'
import { isJsonObject } from '../../../lib/base/json.ts'
import { formatTime } from '../../../lib/base/clock.ts'
import type { FlagSpecs } from '../../../lib/component-base/flags.ts'
import { KubectlError, defineCommand } from '../command.ts'
import type { KubectlContext } from '../command.ts'
import { alignTabs } from '../printers/tab-writer.ts'
import { describePodTemplate } from '../describe/pod-template.ts'
import { collectionPath, displayResource, objectPath } from '../resources/object-path.ts'
import { selectObjects, selectionFlags } from '../resources/selected-objects.ts'
import type { SelectedObject } from '../resources/selected-objects.ts'
import { fetchObjects } from '../resources/resource-arguments.ts'
import { dryRunOf } from './create-objects.ts'
import { rolloutStatus } from './rollout-status.ts'

const revisionAnnotation = 'deployment.kubernetes.io/revision'
const changeCauseAnnotation = 'kubernetes.io/change-cause'

const metadataOf = (object: JsonObject): JsonObject => (isJsonObject(object['metadata']) ? object['metadata'] : {})
const annotationsOf = (object: JsonObject): JsonObject => { const m = metadataOf(object); return isJsonObject(m['annotations']) ? m['annotations'] : {} }
const specOf = (object: JsonObject): JsonObject => (isJsonObject(object['spec']) ? object['spec'] : {})

interface Revision {
  readonly revision: number
  readonly changeCause: string
  /** The pod template of this revision. */
  readonly template: JsonObject
  readonly source: JsonObject
}

/** Revisions of a workload, oldest first: a Deployment's ReplicaSets, a DaemonSet's or StatefulSet's ControllerRevisions. */
async function revisionsOf(context: KubectlContext, selected: SelectedObject): Promise<readonly Revision[]> {
  const session = context.session()
  const uid = metadataOf(selected.object)['uid']
  const owned = (object: JsonObject): boolean => { const owners = metadataOf(object)['ownerReferences']; return Array.isArray(owners) && owners.some((o) => isJsonObject(o) && o['uid'] === uid && o['controller'] === true) }
  const isDeployment = selected.resource.resource === 'deployments'
  const word = isDeployment ? 'replicasets.apps' : 'controllerrevisions.apps'
  const resource = await session.mapper.find(word)
  if (!resource) throw new KubectlError(`the server doesn't have a resource type ${JSON.stringify(word)}`)
  const objects = (await fetchObjects(session, { type: 'collection', resource, namespace: selected.namespace })).filter(owned)
  const revisions = objects.map((source): Revision => {
    if (isDeployment) return { revision: Number(annotationsOf(source)[revisionAnnotation] ?? 0), changeCause: String(annotationsOf(source)[changeCauseAnnotation] ?? ''), template: isJsonObject(specOf(source)['template']) ? specOf(source)['template'] as JsonObject : {}, source } // cast: checked in the same line
    const data = isJsonObject(source['data']) ? source['data'] : {}
    const template = isJsonObject(specOf(data)['template']) ? specOf(data)['template'] as JsonObject : {} // cast: checked in the same line
    return { revision: Number(source['revision'] ?? 0), changeCause: String(annotationsOf(source)[changeCauseAnnotation] ?? ''), template, source }
  })
  return revisions.filter((r) => r.revision > 0).sort((a, b) => a.revision - b.revision)
}

const withOutput = { ...selectionFlags, 'dry-run': { type: 'string', default: 'none', whenAlone: 'unchanged', usage: 'none, server or client.' }, 'field-manager': { type: 'string', default: 'kubectl-rollout', usage: 'Name under which the fields are owned.' }, output: { type: 'string', short: 'o', usage: 'Output format.' } } as const satisfies FlagSpecs

async function patchTemplate(context: KubectlContext, selected: SelectedObject, patch: JsonObject, flags: { readonly 'dry-run': string; readonly 'field-manager': string }, contentType: string): Promise<void> {
  const dryRun = dryRunOf(flags['dry-run'])
  if (dryRun === 'client') return
  await context.session().request('PATCH', objectPath(selected.resource, selected.namespace, selected.name, '', { fieldManager: flags['field-manager'], dryRun: dryRun === 'server' ? 'All' : undefined }), { body: patch, contentType })
}

const report = (context: KubectlContext, selected: SelectedObject, done: string, flags: { readonly output: string; readonly 'dry-run': string }): void => {
  const shown = `${displayResource(selected.resource)}/${selected.name}`
  context.out(flags.output === 'name' ? `${shown}\n` : `${shown} ${done}${flags['dry-run'] === 'none' ? '' : flags['dry-run'] === 'server' ? ' (server dry run)' : ' (dry run)'}\n`)
}

const undoable = new Set(['deployments', 'daemonsets', 'statefulsets'])

const statusCommand = defineCommand({
  name: 'status', short: 'Show the status of the rollout', usage: '(TYPE NAME | TYPE/NAME) [flags]', flags: { ...selectionFlags, revision: { type: 'int', usage: 'Wait for this revision.' }, timeout: { type: 'duration', usage: 'How long to wait; 0: without end.' }, watch: { type: 'bool', short: 'w', default: true, usage: 'Watch until it is done.' } },
  async run(context, { flags, args }) {
    const session = context.session()
    for (const selected of await selectObjects(context, args, flags, 'rollout status')) {
      const { resource, namespace, name } = selected
      const give = new AbortController()
      using _timer = flags.timeout > 0 ? context.clock.setTimer(flags.timeout, () => give.abort()) : { [Symbol.dispose]: () => {} }
      let last = ''
      const look = (object: JsonObject): boolean => {
        const { message, done } = rolloutStatus(resource.resource, { ...object, kind: resource.kind }, flags.revision)
        if (message !== last || !done) context.out(message)
        last = message
        return done
      }
      const list = await session.request('GET', collectionPath(resource, namespace, { fieldSelector: `metadata.name=${name}` }))
      const [first] = Array.isArray(list['items']) ? list['items'].filter(isJsonObject) : []
      if (!first) throw new KubectlError(`${resource.resource} ${JSON.stringify(name)} not found`)
      if (look(first) || !flags.watch) continue
      const signal = AbortSignal.any([context.signal, give.signal])
      let resourceVersion = String(metadataOf(list)['resourceVersion'] ?? '')
      let done = false
      while (!done) {
        try {
          for await (const events of session.watch(collectionPath(resource, namespace, { fieldSelector: `metadata.name=${name}`, resourceVersion, watch: true }), { signal })) {
            for (const event of events) {
              if (event.type === 'DELETED') throw new KubectlError('object has been deleted')
              if (event.type === 'ERROR') throw new KubectlError(String(event.object['message'] ?? 'the watch failed'))
              resourceVersion = String(metadataOf(event.object)['resourceVersion'] ?? resourceVersion)
              if (!done && event.type !== 'BOOKMARK' && look(event.object)) done = true
            }
            if (done) break
          }
        } catch (error) {
          if (give.signal.aborted) throw new KubectlError('timed out waiting for the condition')
          throw error
        }
      }
    }
    return 0
  },
})

const historyCommand = defineCommand({
  name: 'history', short: 'View rollout history', usage: '(TYPE NAME | TYPE/NAME) [flags]', flags: { ...selectionFlags, revision: { type: 'int', usage: 'Show this revision in detail.' } },
  async run(context, { flags, args }) {
    for (const selected of await selectObjects(context, args, flags, 'rollout history')) {
      const revisions = await revisionsOf(context, selected)
      const shown = `${displayResource(selected.resource)}/${selected.name}`
      if (flags.revision > 0) {
        const one = revisions.find((r) => r.revision === flags.revision)
        if (!one) throw new KubectlError(`unable to find the specified revision`)
        context.out(`${shown} with revision #${flags.revision}\n${describePodTemplate(one.template)}\n`)
        continue
      }
      const rows = revisions.map((r) => `${r.revision}\t${r.changeCause || '<none>'}`)
      context.out(`${shown} \n${alignTabs(['REVISION\tCHANGE-CAUSE', ...rows, ''].join('\n'))}\n`)
    }
    return 0
  },
})

const undoCommand = defineCommand({
  name: 'undo', short: 'Undo a previous rollout', usage: '(TYPE NAME | TYPE/NAME) [flags]', flags: { ...withOutput, 'to-revision': { type: 'int', usage: 'The revision to go back to; 0: the one before.' } },
  async run(context, { flags, args }) {
    for (const selected of await selectObjects(context, args, flags, 'rollout undo')) {
      if (!undoable.has(selected.resource.resource)) throw new KubectlError(`no rollbacker has been implemented for ${JSON.stringify(selected.resource.kind)}`)
      if (specOf(selected.object)['paused'] === true) throw new KubectlError(`you cannot rollback a paused deployment; resume it first with 'kubectl rollout resume' and try again`)
      const revisions = await revisionsOf(context, selected)
      const wanted = flags['to-revision']
      const target = wanted > 0 ? revisions.find((r) => r.revision === wanted) : revisions.at(-2)
      if (!target) throw new KubectlError(wanted > 0 ? `unable to find specified revision ${wanted} in history` : `no rollout history found for ${selected.resource.kind.toLowerCase()} ${JSON.stringify(selected.name)}`)
      const isDeployment = selected.resource.resource === 'deployments'
      const template = withoutHash(target.template)
      const current = isJsonObject(specOf(selected.object)['template']) ? specOf(selected.object)['template'] as JsonObject : {} // cast: checked in the same line
      if (JSON.stringify(sortDeep(template)) === JSON.stringify(sortDeep(withoutHash(current)))) {
        report(context, selected, `skipped rollback (current template already matches revision ${target.revision})`, flags)
        continue
      }
      if (isDeployment) {
        const kept = ['kubectl.kubernetes.io/last-applied-configuration', revisionAnnotation, 'deployment.kubernetes.io/revision-history', 'deployment.kubernetes.io/desired-replicas', 'deployment.kubernetes.io/max-replicas', 'deprecated.deployment.rollback.to']
        const annotations = { ...Object.fromEntries(Object.entries(annotationsOf(target.source)).filter(([k]) => !kept.includes(k))), ...Object.fromEntries(Object.entries(annotationsOf(selected.object)).filter(([k]) => kept.includes(k))) }
        const patch = [{ op: 'replace', path: '/spec/template', value: template }, { op: 'replace', path: '/metadata/annotations', value: annotations }]
        await patchTemplate(context, selected, patch as unknown as JsonObject, flags, 'application/json-patch+json') // cast: a JSON patch is a list; the transport only serialises it
      } else await patchTemplate(context, selected, isJsonObject(target.source['data']) ? target.source['data'] : {}, flags, 'application/strategic-merge-patch+json')
      report(context, selected, 'rolled back', flags)
    }
    return 0
  },
})

function withoutHash(template: JsonObject): JsonObject {
  const labels = metadataOf(template)['labels']
  if (!isJsonObject(labels)) return template
  const { 'pod-template-hash': _, ...rest } = labels
  return { ...template, metadata: { ...metadataOf(template), labels: rest } }
}

function sortDeep(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortDeep)
  if (typeof value === 'object' && value !== null) return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)).map(([k, v]) => [k, sortDeep(v)]))
  return value
}

const restartCommand = defineCommand({
  name: 'restart', short: 'Restart a resource', usage: 'RESOURCE', flags: withOutput,
  async run(context, { flags, args }) {
    for (const selected of await selectObjects(context, args, flags, 'rollout restart')) {
      if (!undoable.has(selected.resource.resource)) throw new KubectlError(`${selected.resource.resource} ${JSON.stringify(selected.name)} restarting is not supported`)
      if (specOf(selected.object)['paused'] === true) throw new KubectlError(`${selected.resource.resource} ${JSON.stringify(selected.name)} can't restart paused deployment (run rollout resume first)`)
      await patchTemplate(context, selected, { spec: { template: { metadata: { annotations: { 'kubectl.kubernetes.io/restartedAt': formatTime(context.clock.now()) } } } } }, flags, 'application/strategic-merge-patch+json')
      report(context, selected, 'restarted', flags)
    }
    return 0
  },
})

function pausing(name: 'pause' | 'resume', paused: boolean, done: string): ReturnType<typeof defineCommand> {
  return defineCommand({
    name, short: paused ? 'Mark the provided resource as paused' : 'Resume a paused resource', usage: 'RESOURCE', flags: withOutput,
    async run(context, { flags, args }) {
      for (const selected of await selectObjects(context, args, flags, `rollout ${name}`)) {
        if (selected.resource.resource !== 'deployments') throw new KubectlError(`${selected.resource.resource} ${JSON.stringify(selected.name)} ${paused ? 'pausing' : 'resuming'} is not supported`)
        if ((specOf(selected.object)['paused'] === true) === paused) throw new KubectlError(`deployments.apps ${JSON.stringify(selected.name)} ${paused ? 'is already paused' : 'is not paused'}`)
        await patchTemplate(context, selected, { spec: { paused: paused ? true : null } }, flags, 'application/strategic-merge-patch+json')
        report(context, selected, done, flags)
      }
      return 0
    },
  })
}

export const rolloutCommand = defineCommand({
  name: 'rollout', group: 'Deploy Commands', short: 'Manage the rollout of a resource', usage: 'SUBCOMMAND [options]', flags: {}, subcommands: [historyCommand, pausing('pause', true, 'paused'), restartCommand, pausing('resume', false, 'resumed'), statusCommand, undoCommand],
})
