// Owner references: who an object belongs to, and which owner steers it. Upstream: apimachinery/pkg/apis/meta/v1/controller_ref.go

export interface OwnerReference {
  readonly apiVersion: string
  readonly kind: string
  readonly name: string
  readonly uid: string
  readonly controller?: boolean
  readonly blockOwnerDeletion?: boolean
}

interface Owned { readonly metadata: { readonly ownerReferences?: readonly OwnerReference[] } }

/** The owner that steers the object: at most one has `controller: true`. */
export function controllerOf(object: Owned): OwnerReference | undefined {
  return object.metadata.ownerReferences?.find((reference) => reference.controller === true)
}

export function isControlledBy(object: Owned, owner: { readonly metadata: { readonly uid: string } }): boolean {
  return controllerOf(object)?.uid === owner.metadata.uid
}

/** The reference that a controller puts on what it creates. */
export function newControllerReference(owner: { readonly metadata: { readonly name: string; readonly uid: string } }, apiVersion: string, kind: string): OwnerReference {
  return { apiVersion, kind, name: owner.metadata.name, uid: owner.metadata.uid, controller: true, blockOwnerDeletion: true }
}

/** Group and version of an apiVersion: `apps/v1` → apps, v1; `v1` → '', v1. */
export function splitApiVersion(apiVersion: string): { readonly group: string; readonly version: string } {
  const slash = apiVersion.indexOf('/')
  return slash < 0 ? { group: '', version: apiVersion } : { group: apiVersion.slice(0, slash), version: apiVersion.slice(slash + 1) }
}

export function joinApiVersion(group: string, version: string): string { return group === '' ? version : `${group}/${version}` }
