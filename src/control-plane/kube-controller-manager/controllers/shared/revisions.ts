// The history of a DaemonSet's or StatefulSet's templates, as ControllerRevisions: which one is the present one, what has to be written so that history is
// right, which old ones may go. Upstream: kubernetes/pkg/controller/history, daemon/update.go
import { semanticEqual } from '../../../../lib/apimachinery/equality.ts'
import { isJsonObject } from '../../../../lib/base/json.ts'
import type { JsonObject, JsonValue } from '../../../../lib/base/json.ts'
import type { ControllerRevision } from '../../../../lib/api/generated/types/apps-v1.ts'
import type { PodTemplateSpec } from '../../../../lib/api/generated/types/core-v1.ts'
import type { ApiObject, ResourceKey } from '../../../../lib/client/api-client.ts'
import { controllerReference } from '../../../../lib/client/object-references.ts'
import { controllerRevisions } from '../../../../lib/client/resource-keys.ts'
import { create, remove, update } from './controller.ts'
import type { Action } from './controller.ts'
import { templateHash } from './template-hash.ts'

export const revisionHashLabel = 'controller-revision-hash'

export interface RevisionHistory {
  /** The present template's; as it will be once `actions` are done. */
  readonly current: ControllerRevision
  /** All others, oldest first. */
  readonly old: readonly ControllerRevision[]
  readonly actions: readonly Action[]
  /** Its name is taken by another template: raise the collision count. */
  readonly collides: boolean
}

/** A patch that puts the template back: what rollout undo applies. */
function dataOf(template: PodTemplateSpec): JsonObject {
  const json = template as unknown as JsonObject // cast: API objects are JSON-shaped
  return { spec: { template: { ...json, $patch: 'replace' } } }
}

export function hashOf(revision: ControllerRevision): string { return revision.metadata.labels?.[revisionHashLabel] ?? '' }

/** The pod template kept in a revision. */
export function templateOf(revision: ControllerRevision): PodTemplateSpec | undefined {
  const data: JsonValue | undefined = revision.data as JsonValue | undefined // cast: data is raw JSON
  const spec = isJsonObject(data) ? data['spec'] : undefined
  const template = isJsonObject(spec) ? spec['template'] : undefined
  if (!isJsonObject(template)) return undefined
  const { $patch: _patch, ...rest } = template
  return rest as unknown as PodTemplateSpec // cast: written by dataOf
}

export interface HistoryOwner<O extends ApiObject> {
  readonly owner: O
  readonly key: ResourceKey<O>
  readonly template: PodTemplateSpec
  readonly collisionCount: number | undefined
  /** Labels of the revisions, so that the owner's selector finds them. */
  readonly labels: { readonly [key: string]: string }
}

export function computeHistory<O extends ApiObject>({ owner, key, template, collisionCount, labels }: HistoryOwner<O>, revisions: readonly ControllerRevision[]): RevisionHistory {
  const sorted = revisions.toSorted((a, b) => a.revision - b.revision || (a.metadata.creationTimestamp < b.metadata.creationTimestamp ? -1 : 1))
  const wanted = dataOf(template)
  const newest = sorted.at(-1)?.revision ?? 0
  const found = sorted.findLast((revision) => semanticEqual(revision.data, wanted))
  if (found) {
    const old = sorted.filter((revision) => revision !== found)
    if (found.revision === newest && old.every((revision) => revision.revision < newest)) return { current: found, old, actions: [], collides: false }
    // Back to a former template: it becomes the newest.
    const current = { ...found, revision: newest + 1 }
    return { current, old, actions: [update(controllerRevisions, current)], collides: false }
  }
  const hash = templateHash(template, collisionCount)
  const name = `${owner.metadata.name}-${hash}`
  const current = {
    metadata: { name, namespace: owner.metadata.namespace ?? '', labels: { ...labels, [revisionHashLabel]: hash }, ownerReferences: [controllerReference(owner, key)] },
    data: wanted, revision: newest + 1,
  } as unknown as ControllerRevision // cast: uid, resourceVersion and creationTimestamp are the server's to set
  const collides = sorted.some((revision) => revision.metadata.name === name)
  return { current, old: sorted, collides, actions: collides ? [] : [create(controllerRevisions, owner.metadata.namespace ?? '', current)] }
}

/** Revisions that no pod uses, beyond the limit, oldest first. */
export function expiredRevisions(history: RevisionHistory, inUse: ReadonlySet<string>, limit: number): readonly Action[] {
  const idle = history.old.filter((revision) => !inUse.has(hashOf(revision)) && !inUse.has(revision.metadata.name))
  return idle.slice(0, Math.max(0, idle.length - limit)).map((revision) => remove(controllerRevisions, revision))
}
