// Creates what a cluster must have and doesn't: at the first start some two hundred objects, in a few transactions that share one flush to disk.
import type { ApiObject } from '../../../lib/client/api-client.ts'
import type { EtcdCompare, EtcdOperation } from '../../../lib/etcd-client/etcd-client.ts'
import { hasReason } from '../../../lib/client/api-error.ts'
import { decodeJson } from '../../../lib/api/json-codec.ts'
import { storeNew } from '../endpoints/create.ts'
import type { WriteRequest } from '../endpoints/create.ts'
import { metaForCreate, withMeta } from '../endpoints/object-meta.ts'
import type { ServedResource } from '../endpoints/served-resource.ts'
import type { ServerContext } from '../endpoints/server-context.ts'
import { storeChange } from '../endpoints/update.ts'
import { objectKey } from '../storage/storage-keys.ts'
import { asApiObject } from '../storage/stored-object.ts'
import { bootstrapRbacObjects, completedRbacObject } from './bootstrap-rbac.ts'
import { flowControlObjects } from './flow-control-objects.ts'
import { systemObjects } from './system-objects.ts'
import type { BootstrapObject } from './system-objects.ts'

/** etcd takes 128 operations per transaction. */
const operationsPerTransaction = 120

export const apiServerUser = { name: 'system:apiserver', uid: '', groups: ['system:masters', 'system:authenticated'], extra: {} } as const

/** Writes by the server itself. */
export function serverRequest(server: ServerContext, signal: AbortSignal): WriteRequest {
  return { user: apiServerUser, nowMs: server.clock.now(), dryRun: false, fieldManager: 'kube-apiserver', tracksFields: false, signal, warn: () => {} }
}

interface Missing { readonly resource: ServedResource; readonly object: ApiObject; readonly key: string }

/** Everything that a cluster has from the beginning. Call with filled caches. */
export async function createBootstrapObjects(server: ServerContext, signal: AbortSignal, wantedObjects: readonly BootstrapObject[] = [...systemObjects, ...bootstrapRbacObjects(), ...flowControlObjects]): Promise<void> {
  const request = serverRequest(server, signal)
  const missing: Missing[] = []
  const incomplete: { readonly resource: ServedResource; readonly wanted: ApiObject }[] = []
  for (const entry of wantedObjects) {
    const resource = server.stored.get(entry.resource)
    if (!resource) continue
    const wanted = normalForm(resource, entry)
    const namespace = wanted.metadata.namespace ?? ''
    const key = objectKey(namespace, wanted.metadata.name)
    const found = resource.store.cache.get(key)
    if (!found) missing.push({ resource, key, object: prepared(server, resource, wanted, request) })
    else if (resource.info.group === 'rbac.authorization.k8s.io' && completedRbacObject(found.object, wanted)) incomplete.push({ resource, wanted })
  }
  const batches: Missing[][] = []
  for (const ofOneEtcd of Map.groupBy(missing, ({ resource }) => resource.store.etcd).values()) {
    for (let i = 0; i < ofOneEtcd.length; i += operationsPerTransaction) batches.push(ofOneEtcd.slice(i, i + operationsPerTransaction))
  }
  await Promise.all(batches.map(async (batch) => {
    const revision = await createTogether(server, batch, request)
    if (revision > 0) await batch[0]?.resource.store.catchUp(revision, signal)
  }))
  for (const { resource, wanted } of incomplete) {
    await storeChange(server, resource, wanted.metadata.namespace ?? '', wanted.metadata.name, '', (current) => completedRbacObject(current, wanted) ?? current, request, { createWhenMissing: undefined })
  }
}

function normalForm(resource: ServedResource, entry: BootstrapObject): ApiObject {
  const decoded = decodeJson(resource.info.type, entry.object)
  if (!decoded.ok) throw new Error(`bootstrap object of ${entry.resource}: ${decoded.error}`)
  return asApiObject({ ...decoded.object, kind: resource.info.kind, apiVersion: resource.apiVersion })
}

function prepared(server: ServerContext, resource: ServedResource, wanted: ApiObject, request: WriteRequest): ApiObject {
  const { strategy } = resource
  const namespace = wanted.metadata.namespace ?? ''
  const defaulted = strategy.applyDefaults(wanted)
  const named = withMeta(defaulted, metaForCreate(defaulted.metadata, strategy, request.nowMs, server.random, namespace, request.warn))
  return strategy.prepareForCreate(named, { user: request.user, nowMs: request.nowMs, dryRun: false, warn: request.warn })
}

/** @returns the revision of the write */
async function createTogether(server: ServerContext, batch: readonly Missing[], request: WriteRequest): Promise<number> {
  const compare: EtcdCompare[] = []
  const success: EtcdOperation[] = []
  for (const { resource, key, object } of batch) {
    const etcdKey = resource.store.etcdKey(key)
    compare.push({ key: etcdKey, target: 'MOD', result: 'EQUAL', number: 0 })
    success.push(resource.store.putOperation(key, object))
  }
  const etcd = batch[0]?.resource.store.etcd ?? server.etcd
  const result = await etcd.txn({ compare, success, failure: [] }, request.signal)
  if (result.succeeded) return result.revision
  // Another API server was faster with some of them.
  for (const { resource, object } of batch) {
    const { resourceVersion: _rv, ...metadata } = object.metadata
    // cast: a new object has no version yet
    try { await storeNew(server, resource, { ...object, metadata: metadata as ApiObject['metadata'] }, object.metadata.namespace ?? '', request) } catch (error) { if (!hasReason(error, 'AlreadyExists')) throw error }
  }
  return 0
}
