// Who owns whom: owner references, and references to objects as events and controllers write them. Pure.
// Upstream: apimachinery/pkg/apis/meta/v1/controller_ref.go, client-go/tools/reference
import type { OwnerReference } from '../api/generated/types/meta-v1.ts'
import type { ApiObject, ResourceKey } from './api-client.ts'

/** The owner that manages the object, if any: at most one owner reference has `controller: true`. */
export function controllerOf(object: ApiObject): OwnerReference | undefined {
  return object.metadata.ownerReferences?.find((reference) => reference.controller === true)
}

export function isControlledBy(object: ApiObject, owner: ApiObject): boolean {
  const reference = controllerOf(object)
  return reference !== undefined && reference.uid === owner.metadata.uid
}

/** `v1` or `apps/v1`. */
export function apiVersionOf(key: Pick<ResourceKey, 'group' | 'version'>): string {
  return key.group === '' ? key.version : `${key.group}/${key.version}`
}

/** The group of an apiVersion: '' for `v1`, `apps` for `apps/v1`. */
export function groupOf(apiVersion: string): string {
  const at = apiVersion.indexOf('/')
  return at < 0 ? '' : apiVersion.slice(0, at)
}

/** The owner reference that makes `owner` the managing controller; it blocks the owner's foreground deletion. */
export function controllerReference(owner: ApiObject, key: Pick<ResourceKey, 'group' | 'version' | 'kind'>): OwnerReference {
  return {
    apiVersion: apiVersionOf(key), kind: key.kind, name: owner.metadata.name ?? '', uid: owner.metadata.uid ?? '', controller: true, blockOwnerDeletion: true,
  }
}

/** `namespace/name`, or the name alone for cluster-scoped objects: the key of work queues. */
export function objectKey(object: ApiObject): string {
  const { namespace, name = '' } = object.metadata
  return namespace ? `${namespace}/${name}` : name
}

export function splitObjectKey(key: string): { readonly namespace: string, readonly name: string } {
  const at = key.indexOf('/')
  return at < 0 ? { namespace: '', name: key } : { namespace: key.slice(0, at), name: key.slice(at + 1) }
}

/** Resource versions are decimal integers that grow over all resources: negative when a is older, 0 when equal. Empty is the oldest. */
export function compareResourceVersions(a: string, b: string): number {
  if (a.length !== b.length) return a.length - b.length
  return a < b ? -1 : a > b ? 1 : 0
}
