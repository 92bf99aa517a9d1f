// namespace-controller: empties a namespace that is being deleted, over every resource that discovery shows, pods first; when nothing is left it takes the
// finalizer "kubernetes" off, and the namespace is gone. Upstream: kubernetes/pkg/controller/namespace
import { semanticEqual } from '../../../lib/apimachinery/equality.ts'
import type { Namespace, Pod } from '../../../lib/api/generated/types/core-v1.ts'
import type { ApiObject } from '../../../lib/client/api-client.ts'
import { ApiError, hasReason } from '../../../lib/client/api-error.ts'
import { namespaces } from '../../../lib/client/resource-keys.ts'
import { createWorkQueue } from '../../../lib/client/work-queue.ts'
import { computeNamespaceConditions, isEmpty } from '../controllers/namespace.ts'
import type { NamespaceContent } from '../controllers/namespace.ts'
import type { ControllerWorld } from './controller-runner.ts'
import { discoverResources } from './discovery.ts'
import type { DiscoveredResource } from './discovery.ts'

const workers = 10
/** What is left without a known time to go is looked at again after this. */
const retryMs = 15_000
/** Not content: they go with what they tell of, or come from what is happening. */
const skipped: ReadonlySet<string> = new Set(['/bindings', '/serviceaccounts/token'])

export function prepareNamespaceController(world: ControllerWorld): { start(signal: AbortSignal): { readonly done: Promise<void> } } {
  const informer = world.informers.informer(namespaces)
  return {
    start(signal) {
      const queue = createWorkQueue({ clock: world.clock })
      signal.addEventListener('abort', () => queue.shutDown(), { once: true })
      // A little later, so that what was being created while the deletion came is seen.
      const enqueue = (namespace: Namespace): void => { if (namespace.metadata.deletionTimestamp !== undefined) queue.addAfter(namespace.metadata.name, 10) }
      informer.addHandler({ added: enqueue, updated: enqueue })
      const worker = async (): Promise<void> => {
        for (let name = await queue.get(); name !== undefined; name = await queue.get()) {
          try {
            const againMs = await syncNamespace(name, world, signal)
            queue.forget(name)
            if (againMs !== undefined) queue.addAfter(name, againMs)
          } catch (error) {
            if (!signal.aborted && !hasReason(error, 'Conflict', 'NotFound')) world.logger.error('Deletion of namespace failed', error, { namespace: name })
            queue.addRateLimited(name)
          } finally {
            queue.done(name)
          }
        }
      }
      return { done: Promise.all(Array.from({ length: world.concurrency ?? workers }, worker)).then(() => undefined) }
    },
  }
}

/** Milliseconds after which to look again; undefined when done. */
async function syncNamespace(name: string, world: ControllerWorld, signal: AbortSignal): Promise<number | undefined> {
  const resource = world.client.resource(namespaces)
  let namespace: Namespace
  try {
    namespace = await resource.get('', name, signal)
  } catch (error) {
    if (hasReason(error, 'NotFound')) return undefined
    throw error
  }
  if (namespace.metadata.deletionTimestamp === undefined || !(namespace.spec?.finalizers ?? []).includes('kubernetes')) return undefined
  if (namespace.status?.phase !== 'Terminating') namespace = await resource.update({ ...namespace, status: { ...namespace.status, phase: 'Terminating' } }, signal, { subresource: 'status' })
  const { content, longestGraceMs } = await deleteContent(name, world, signal)
  const conditions = computeNamespaceConditions(namespace, content, world.clock.now())
  if (!semanticEqual(conditions, namespace.status?.conditions)) namespace = await resource.update({ ...namespace, status: { ...namespace.status, conditions } }, signal, { subresource: 'status' })
  if (!isEmpty(content)) return longestGraceMs > 0 ? Math.min(longestGraceMs / 2 + 1000, retryMs) : content.deletionErrors.length > 0 ? retryMs : 1000
  await resource.update({ ...namespace, spec: { ...namespace.spec, finalizers: (namespace.spec?.finalizers ?? []).filter((finalizer) => finalizer !== 'kubernetes') } }, signal, { subresource: 'finalize' })
  return undefined
}

async function deleteContent(namespace: string, world: ControllerWorld, signal: AbortSignal): Promise<{ readonly content: NamespaceContent, readonly longestGraceMs: number }> {
  const { resources, failures } = await discoverResources(world.client, signal)
  const remaining = new Map<string, number>()
  const finalizers = new Map<string, number>()
  const deletionErrors: string[] = []
  let longestGraceMs = 0
  const content: NamespaceContent = { remaining, finalizers, deletionErrors, discoveryErrors: failures.map(({ groupVersion, message }) => `${groupVersion}: ${message}`) }
  const deletable = resources.filter((found) => found.namespaced && !skipped.has(`${found.group}/${found.resource}`) && found.verbs.includes('delete'))
  const isPods = (found: DiscoveredResource): boolean => found.group === '' && found.resource === 'pods'
  for (const found of deletable.toSorted((a, b) => Number(isPods(b)) - Number(isPods(a)))) {
    let left: readonly ApiObject[]
    try {
      left = await deleteAll(found, namespace, world, signal)
    } catch (error) {
      if (signal.aborted || !(error instanceof ApiError)) throw error
      // Served no longer since discovery.
      if (error.code !== 404 && error.code !== 405) deletionErrors.push(`${found.resource}.${found.group}: ${error.message}`)
      continue
    }
    if (left.length === 0) continue
    remaining.set(`${found.resource}.${found.group}`, left.length)
    for (const object of left) for (const finalizer of object.metadata.finalizers ?? []) finalizers.set(finalizer, (finalizers.get(finalizer) ?? 0) + 1)
    if (isPods(found)) {
      for (const pod of left) longestGraceMs = Math.max(longestGraceMs, ((pod as Pod).spec?.terminationGracePeriodSeconds ?? 0) * 1000) // cast: listed as pods
      // Secrets and networks stay for as long as pods may need them to end well.
      break
    }
  }
  return { content, longestGraceMs }
}

async function deleteAll(found: DiscoveredResource, namespace: string, world: ControllerWorld, signal: AbortSignal): Promise<readonly ApiObject[]> {
  const client = world.client.resource(found)
  const options = { propagationPolicy: 'Background' } as const
  if (!found.verbs.includes('list')) {
    if (found.verbs.includes('deletecollection')) await client.deleteCollection(namespace, options, {}, signal)
    return []
  }
  const before = await client.list(namespace, {}, signal)
  if (before.items.length === 0) return []
  if (found.verbs.includes('deletecollection')) await client.deleteCollection(namespace, options, {}, signal)
  else {
    for (const object of before.items) {
      try { await client.delete(namespace, object.metadata.name, options, signal) } catch (error) { if (!hasReason(error, 'NotFound')) throw error }
    }
  }
  return (await client.list(namespace, {}, signal)).items
}
