// pods/binding: the scheduler's word that a pod goes on a node. Sets spec.nodeName once and for all.
// Upstream: pkg/registry/core/pod/storage/storage.go (BindingREST)
import { formatTime } from '../../../../lib/base/clock.ts'
import { fieldInvalid, fieldNotSupported, fieldRequired } from '../../../../lib/apimachinery/field-error.ts'
import type { FieldError } from '../../../../lib/apimachinery/field-error.ts'
import type { Binding, Node, Pod, PodCondition } from '../../../../lib/api/generated/types/core-v1.ts'
import type { ApiObject } from '../../../../lib/client/api-client.ts'
import { nodes } from '../../../../lib/client/resource-keys.ts'
import { objectKey } from '../../storage/storage-keys.ts'
import type { Answer, ApiCall } from '../api-call.ts'
import { objectAnswer } from '../api-call.ts'
import { badRequest, conflict, invalid, notFound } from '../api-errors.ts'
import { admissionRequest, inNamespaceOf, writeRequest } from '../create.ts'
import { decodeAs } from '../decode-body.ts'
import type { ServedResource } from '../served-resource.ts'
import { cachedKind } from '../server-context.ts'
import type { ServerContext } from '../server-context.ts'
import { asApiObject } from '../../storage/stored-object.ts'
import { parseWriteOptions } from '../write-options.ts'

const bindingType = { apiVersion: 'v1', kind: 'Binding', type: 'io.k8s.api.core.v1.Binding' }
const topologyLabels = ['topology.kubernetes.io/zone', 'topology.kubernetes.io/region'] as const

/** POST …/pods/x/binding, and POST …/bindings where the body names the pod. */
export async function bindPod(server: ServerContext, resource: ServedResource | undefined, call: ApiCall): Promise<Answer> {
  const pods = server.stored.get('/pods')
  if (!pods || !resource) throw notFound({ group: '', resource: 'pods' }, '')
  const options = parseWriteOptions(call.query, call.headers, 'CreateOptions')
  // cast: decoded by the schema
  const binding = inNamespaceOf(pods, asApiObject(await decodeAs(bindingType, call, await call.readBody(), options.fieldValidation)), call.info.namespace) as Binding & ApiObject
  const name = call.info.subresource === 'binding' ? call.info.parts[1] ?? '' : binding.metadata.name ?? ''
  if (binding.metadata.name !== '' && binding.metadata.name !== undefined && binding.metadata.name !== name) throw badRequest(`name in URL does not match name in Binding object`)
  const errors = validateBinding(binding)
  if (errors.length > 0) throw invalid('', 'Binding', name, errors)
  const request = writeRequest(call, options)
  await server.admission.validate(admissionRequest(pods, request, 'CREATE', call.info.namespace, name, binding, undefined, 'binding'))
  await pods.store.update(objectKey(call.info.namespace, name), name, (current) => {
    if (!current) throw notFound(pods.store.resource, name)
    const pod = current.object as Pod // cast: the pods' store
    const subresource = { group: '', resource: 'pods/binding' }
    const refuse = (why: string): Error => conflict(subresource, name, why)
    const { uid, resourceVersion } = binding.metadata
    if (uid && uid !== pod.metadata.uid) throw refuse(`Precondition failed: UID in precondition: ${uid}, UID in object meta: ${pod.metadata.uid}`)
    if (resourceVersion && resourceVersion !== pod.metadata.resourceVersion) throw refuse(`Precondition failed: ResourceVersion in precondition: ${resourceVersion}, ResourceVersion in object meta: ${pod.metadata.resourceVersion}`)
    if (pod.metadata.deletionTimestamp !== undefined) throw refuse(`pod ${name} is being deleted, cannot be assigned to a host`)
    if ((pod.spec.nodeName ?? '') !== '') throw refuse(`pod ${name} is already assigned to node ${JSON.stringify(pod.spec.nodeName)}`)
    if ((pod.spec.schedulingGates?.length ?? 0) > 0) throw refuse(`pod ${name} has non-empty .spec.schedulingGates`)
    if (request.dryRun) return { type: 'keep' }
    return { type: 'put', object: boundPod(pod, binding, cachedKind(server.stored, nodes).get('', binding.target.name ?? ''), request.nowMs) }
  }, request.signal)
  return objectAnswer(201, { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 }, 'io.k8s.apimachinery.pkg.apis.meta.v1.Status')
}

function validateBinding({ target }: Binding): FieldError[] {
  const errors: FieldError[] = []
  if ((target?.kind ?? '') !== '' && target.kind !== 'Node') errors.push(fieldNotSupported('target.kind', target.kind, ['Node', '<empty>']))
  const name = target?.name ?? ''
  if (name === '') errors.push(fieldRequired('target.name'))
  else if (name.includes('/') || name.includes('%')) errors.push(fieldInvalid('target.name', name, "may not contain '/'"))
  return errors
}

/** The pod with its node. Pure. */
export function boundPod(pod: Pod, binding: Binding, node: Node | undefined, nowMs: number): Pod {
  const copied: { [key: string]: string } = {}
  for (const label of topologyLabels) { const value = node?.metadata.labels?.[label]; if (value !== undefined) copied[label] = value }
  const annotations = { ...pod.metadata.annotations, ...binding.metadata.annotations }
  const labels = { ...pod.metadata.labels, ...copied }
  const others = (pod.status?.conditions ?? []).filter((c) => c.type !== 'PodScheduled')
  const old = pod.status?.conditions?.find((c) => c.type === 'PodScheduled')
  const scheduled: PodCondition = {
    type: 'PodScheduled', ...(old?.observedGeneration !== undefined && { observedGeneration: old.observedGeneration }), status: 'True',
    lastProbeTime: null as unknown as string, // cast: metav1.Time prints null when it is zero
    lastTransitionTime: old?.status === 'True' ? old.lastTransitionTime : formatTime(nowMs),
  } as PodCondition // cast: optional fields are left out
  return {
    ...pod,
    metadata: { ...pod.metadata, ...(Object.keys(labels).length > 0 && { labels }), ...(Object.keys(annotations).length > 0 && { annotations }), ...((pod.metadata.generation ?? 0) > 0 && { generation: (pod.metadata.generation ?? 0) + 1 }) },
    spec: { ...pod.spec, nodeName: binding.target.name ?? '' },
    status: { ...pod.status, conditions: [...others, scheduled] },
  }
}
