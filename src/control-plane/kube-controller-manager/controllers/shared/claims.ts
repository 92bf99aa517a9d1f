// Whose is it? An owner claims the objects that point to it and match its selector, adopts matching ones that belong to nobody, and lets go of its own
// that no longer match. Adoption is checked against the live owner first, because the local copy may show one that was deleted and made anew.
// Upstream: kubernetes/pkg/controller/controller_ref_manager.go
import { matches } from '../../../../lib/apimachinery/label-selector.ts'
import type { LabelSelector } from '../../../../lib/apimachinery/label-selector.ts'
import type { ApiObject, ResourceKey } from '../../../../lib/client/api-client.ts'
import { controllerOf, controllerReference } from '../../../../lib/client/object-references.ts'
import { patch, verify } from './controller.ts'
import type { Action } from './controller.ts'

export interface Claims<T> {
  /** The owner's, those being adopted included. */
  readonly claimed: readonly T[]
  /** Adoptions, with the check before them, and releases. */
  readonly actions: readonly Action[]
}

export interface Claimant<O extends ApiObject, T extends ApiObject> {
  readonly owner: O
  readonly ownerKey: ResourceKey<O>
  readonly dependentKey: ResourceKey<T>
  readonly selector: LabelSelector
}

export function claimDependents<O extends ApiObject, T extends ApiObject>(claimant: Claimant<O, T>, candidates: readonly T[]): Claims<T> {
  const { owner, ownerKey, dependentKey, selector } = claimant
  const claimed: T[] = []
  const adoptions: Action[] = []
  const releases: Action[] = []
  const leaving = owner.metadata.deletionTimestamp !== undefined
  for (const candidate of candidates) {
    const reference = controllerOf(candidate)
    const matching = matches(selector, candidate.metadata.labels)
    if (reference) {
      if (reference.uid !== owner.metadata.uid) continue
      if (matching) claimed.push(candidate)
      else if (!leaving) {
        releases.push(patch(dependentKey, candidate, 'application/strategic-merge-patch+json', {
          metadata: { uid: candidate.metadata.uid, ownerReferences: [{ $patch: 'delete', uid: owner.metadata.uid }] },
        }, { tolerates: ['NotFound', 'Invalid'] }))
      }
      continue
    }
    if (!matching || leaving || candidate.metadata.deletionTimestamp !== undefined) continue
    claimed.push(candidate)
    adoptions.push(patch(dependentKey, candidate, 'application/strategic-merge-patch+json', {
      metadata: { uid: candidate.metadata.uid, ownerReferences: [{ ...controllerReference(owner, ownerKey) }] },
    }, { tolerates: ['NotFound'] }))
  }
  return { claimed, actions: [...(adoptions.length > 0 ? [verify(ownerKey, owner)] : []), ...adoptions, ...releases] }
}

/** Index of dependents by the uid of their controller; those without one are under `orphanIndexValue` of their namespace. */
export const controllerIndex = 'controller'

export function controllerIndexValues(object: ApiObject): readonly string[] {
  const reference = controllerOf(object)
  return [reference ? reference.uid : orphanIndexValue(object.metadata.namespace ?? '')]
}

export function orphanIndexValue(namespace: string): string { return `orphans in ${namespace}` }
