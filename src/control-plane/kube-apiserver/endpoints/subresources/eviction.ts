// pods/eviction: a delete that asks the disruption budgets first.
// Upstream: pkg/registry/core/pod/storage/eviction.go
import { formatTime } from '../../../../lib/base/clock.ts'
import { matches, selectorOf } from '../../../../lib/apimachinery/label-selector.ts'
import type { Pod } from '../../../../lib/api/generated/types/core-v1.ts'
import type { DeleteOptions } from '../../../../lib/api/generated/types/meta-v1.ts'
import type { PodDisruptionBudget } from '../../../../lib/api/generated/types/policy-v1.ts'
import type { ApiObject } from '../../../../lib/client/api-client.ts'
import { podDisruptionBudgets } from '../../../../lib/client/resource-keys.ts'
import { newGenericFailure } from '../../../../lib/apimachinery/status.ts'
import { objectKey } from '../../storage/storage-keys.ts'
import { asApiObject } from '../../storage/stored-object.ts'
import type { Answer, ApiCall } from '../api-call.ts'
import { objectAnswer } from '../api-call.ts'
import { badRequest, notFound, refuse, tooManyRequests } from '../api-errors.ts'
import { writeRequest } from '../create.ts'
import type { WriteRequest } from '../create.ts'
import { decodeAs } from '../decode-body.ts'
import { removeObject } from '../delete.ts'
import type { ServedResource } from '../served-resource.ts'
import { cachedKind } from '../server-context.ts'
import type { ServerContext } from '../server-context.ts'
import { parseWriteOptions } from '../write-options.ts'

interface Eviction extends ApiObject { readonly deleteOptions?: DeleteOptions }

const retryAfterSeconds = 10
/** Pods that a budget may remember as being disrupted. */
const maxDisrupted = 2000

export async function evictPod(server: ServerContext, resource: ServedResource | undefined, call: ApiCall): Promise<Answer> {
  if (!resource) throw notFound({ group: '', resource: 'pods' }, '')
  const name = call.info.parts[1] ?? ''
  const options = parseWriteOptions(call.query, call.headers, 'CreateOptions')
  const eviction = asApiObject(await decodeAs({ apiVersion: 'policy/v1', kind: 'Eviction', type: 'io.k8s.api.policy.v1.Eviction' }, call, await call.readBody(), options.fieldValidation)) as Eviction // cast: decoded by the schema
  if ((eviction.metadata.name ?? '') !== '' && eviction.metadata.name !== name) throw badRequest('name in URL does not match name in Eviction object')
  const deleteOptions = eviction.deleteOptions ?? {}
  const request = writeRequest(call, { ...options, dryRun: options.dryRun || (deleteOptions.dryRun ?? []).includes('All') })
  const { namespace } = call.info
  const stored = await resource.store.get(objectKey(namespace, name), call.signal)
  if (!stored) throw notFound(resource.store.resource, name)
  const pod = stored.object as Pod // cast: the pods' store
  const preconditions = deleteOptions.preconditions ?? {}
  if (!canIgnoreBudget(pod)) {
    const budgets = cachedKind(server.stored, podDisruptionBudgets).list(namespace).filter((budget) => covers(budget, pod))
    if (budgets.length > 1) throw refuse(newGenericFailure(500, 'This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.', 'InternalError'))
    const budget = budgets[0]
    if (budget && !mayEvictUnready(pod, budget)) await spend(server, budget, pod, request)
  }
  if (!request.dryRun) await markDisrupted(resource, pod, namespace, name, request)
  await removeObject(server, resource, namespace, name, { ...deleteOptions, preconditions: { ...preconditions, uid: preconditions.uid ?? pod.metadata.uid } }, request)
  return objectAnswer(201, { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 }, 'io.k8s.apimachinery.pkg.apis.meta.v1.Status')
}

/** Pods that have ended, haven't begun or are going anyway break no budget. */
function canIgnoreBudget({ metadata, status }: Pod): boolean {
  return status?.phase === 'Succeeded' || status?.phase === 'Failed' || status?.phase === 'Pending' || metadata.deletionTimestamp !== undefined
}

function covers(budget: PodDisruptionBudget, pod: Pod): boolean {
  const selector = selectorOf(budget.spec?.selector)
  return selector.ok && matches(selector.selector, pod.metadata.labels)
}

function mayEvictUnready(pod: Pod, budget: PodDisruptionBudget): boolean {
  const ready = pod.status?.conditions?.some((c) => c.type === 'Ready' && c.status === 'True') ?? false
  if (ready) return false
  if (budget.spec?.unhealthyPodEvictionPolicy === 'AlwaysAllow') return true
  const { currentHealthy = 0, desiredHealthy = 0 } = budget.status ?? {}
  return currentHealthy >= desiredHealthy && desiredHealthy > 0
}

/** Takes one disruption from the budget. @throws ApiError 429 */
async function spend(server: ServerContext, budget: PodDisruptionBudget, pod: Pod, request: WriteRequest): Promise<void> {
  const resource = server.stored.get('policy/poddisruptionbudgets')
  if (!resource) return
  const { namespace = '', name } = budget.metadata
  const blocked = (cause: string): Error => tooManyRequests("Cannot evict pod as it would violate the pod's disruption budget.", retryAfterSeconds, [{ reason: 'DisruptionBudget', message: cause }])
  await resource.store.update(objectKey(namespace, name), name, (current) => {
    if (!current) throw notFound(resource.store.resource, name)
    const now = current.object as PodDisruptionBudget // cast: the budgets' store
    const status = now.status ?? { disruptionsAllowed: 0, currentHealthy: 0, desiredHealthy: 0, expectedPods: 0 }
    if ((status.observedGeneration ?? 0) < (now.metadata.generation ?? 0)) throw tooManyRequests("Cannot evict pod as it would violate the pod's disruption budget.", retryAfterSeconds, [{ reason: 'DisruptionBudget', message: `The disruption budget ${name} is still being processed by the server.` }])
    if (status.disruptionsAllowed <= 0) throw blocked(`The disruption budget ${name} needs ${status.desiredHealthy} healthy pods and has ${status.currentHealthy} currently`)
    if (Object.keys(status.disruptedPods ?? {}).length > maxDisrupted) throw blocked('DisruptedPods map too big - too many evictions not confirmed by PDB controller')
    if (request.dryRun) return { type: 'keep' }
    const next = { ...now, status: { ...status, disruptionsAllowed: status.disruptionsAllowed - 1, disruptedPods: { ...status.disruptedPods, [pod.metadata.name]: formatTime(request.nowMs) } } }
    return { type: 'put', object: next }
  }, request.signal)
}

/** Says on the pod why it is about to go. */
async function markDisrupted(resource: ServedResource, pod: Pod, namespace: string, name: string, request: WriteRequest): Promise<void> {
  await resource.store.update(objectKey(namespace, name), name, (current) => {
    if (!current) throw notFound(resource.store.resource, name)
    const now = current.object as Pod // cast: the pods' store
    if (now.metadata.uid !== pod.metadata.uid) return { type: 'keep' }
    const others = (now.status?.conditions ?? []).filter((c) => c.type !== 'DisruptionTarget')
    if (others.length < (now.status?.conditions?.length ?? 0)) return { type: 'keep' }
    const condition = { type: 'DisruptionTarget', status: 'True', lastProbeTime: null, lastTransitionTime: formatTime(request.nowMs), reason: 'EvictionByEvictionAPI', message: 'Eviction API: evicting' }
    const next = { ...now, status: { ...now.status, conditions: [...others, condition] } }
    return { type: 'put', object: next as unknown as ApiObject } // cast: metav1.Time prints null when it is zero
  }, request.signal)
}
