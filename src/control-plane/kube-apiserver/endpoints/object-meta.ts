// The parts of metadata that the server owns: filled in on create, kept on update. Pure.
// Upstream: apiserver/pkg/registry/rest/{meta,create,update}.go
import { formatTime } from '../../../lib/base/clock.ts'
import type { Random } from '../../../lib/base/random.ts'
import { randomName, randomUuid } from '../../../lib/base/random.ts'
import type { ObjectMeta, OwnerReference } from '../../../lib/api/generated/types/meta-v1.ts'
import type { ApiObject } from '../../../lib/client/api-client.ts'
import type { ResourceStrategy } from '../registry/strategy.ts'

const maxGeneratedBase = 58

/** `base` cut to length plus five random characters. */
export function generateName(base: string, random: Random): string { return base.slice(0, maxGeneratedBase) + randomName(random, 5) }

/** Metadata of a new object: identity and times are the server's, whatever the client sent. */
export function metaForCreate(meta: ObjectMeta, strategy: ResourceStrategy, nowMs: number, random: Random, namespace: string, warn: (text: string) => void): ObjectMeta {
  const { name, generateName: base, namespace: _ns, uid: _uid, resourceVersion: _rv, generation: _g, creationTimestamp: _ct, deletionTimestamp: _dt, deletionGracePeriodSeconds: _dg, selfLink: _sl, ownerReferences, ...rest } = meta
  const owners = ownerReferences && withoutDuplicates(ownerReferences, warn)
  return {
    name: name === undefined || name === '' ? (base ? generateName(base, random) : '') : name,
    ...(base !== undefined && base !== '' && { generateName: base }),
    ...(strategy.info.namespaced && { namespace }),
    uid: randomUuid(random), resourceVersion: '',
    ...(strategy.tracksGeneration && { generation: 1 }),
    creationTimestamp: formatTime(nowMs),
    ...(strategy.info.group === '' && strategy.info.resource === 'namespaces' ? { ...rest, labels: { ...rest.labels, 'kubernetes.io/metadata.name': name } } : rest),
    ...(owners && owners.length > 0 && { ownerReferences: owners }),
  }
}

/** Metadata of a changed object: what can't change is as it was. */
export function metaForUpdate(meta: ObjectMeta, old: ObjectMeta, strategy: ResourceStrategy, warn: (text: string) => void): ObjectMeta {
  const { selfLink: _sl, generation: _g, deletionTimestamp: _dt, deletionGracePeriodSeconds: _dg, generateName: base, namespace: _ns, ownerReferences, ...rest } = meta
  const owners = ownerReferences && (ownerReferences === old.ownerReferences ? ownerReferences : withoutDuplicates(ownerReferences, warn))
  const isNamespace = strategy.info.group === '' && strategy.info.resource === 'namespaces'
  return {
    ...rest,
    ...((base ?? '') !== '' && { generateName: base }),
    ...(old.namespace !== undefined && { namespace: old.namespace }),
    uid: old.uid, resourceVersion: old.resourceVersion,
    ...(old.generation !== undefined && { generation: old.generation }),
    creationTimestamp: old.creationTimestamp,
    ...(old.deletionTimestamp !== undefined && { deletionTimestamp: old.deletionTimestamp }),
    ...(old.deletionGracePeriodSeconds !== undefined && { deletionGracePeriodSeconds: old.deletionGracePeriodSeconds }),
    ...(isNamespace && { labels: { ...rest.labels, 'kubernetes.io/metadata.name': old.name } }),
    ...(owners && owners.length > 0 && { ownerReferences: owners }),
  }
}

function withoutDuplicates(references: readonly OwnerReference[], warn: (text: string) => void): readonly OwnerReference[] {
  const kept: OwnerReference[] = []
  const seen = new Set<string>()
  for (const reference of references) {
    const { apiVersion, kind, name, uid, controller = null, blockOwnerDeletion = null } = reference
    const known = JSON.stringify([apiVersion, kind, name, uid, controller, blockOwnerDeletion])
    if (seen.has(known)) warn(`.metadata.ownerReferences contains duplicate entries; API server dedups owner references in 1.20+, and may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: ${reference.uid}`)
    else { seen.add(known); kept.push(reference) }
  }
  return kept.length === references.length ? references : kept
}

/** The same object with other metadata, in the order in which it is served. */
export function withMeta<T extends ApiObject>(object: T, metadata: ObjectMeta): T { return { ...object, metadata } }

/** An empty resourceVersion isn't shown. */
export function withoutResourceVersion(object: ApiObject): ApiObject {
  const { resourceVersion: _rv, ...metadata } = object.metadata
  // cast: a dry run's object has no version yet
  return { ...object, metadata: metadata as ObjectMeta }
}

export const hasFinalizers = (meta: ObjectMeta): boolean => (meta.finalizers?.length ?? 0) > 0
