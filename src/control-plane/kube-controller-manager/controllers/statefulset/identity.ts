// Who is web-2 of the set web: its name, host name, labels, claims and volumes. Upstream: kubernetes/pkg/controller/statefulset/stateful_set_utils.go
import type { StatefulSet } from '../../../../lib/api/generated/types/apps-v1.ts'
import type { PersistentVolumeClaim, PodTemplateSpec, Volume } from '../../../../lib/api/generated/types/core-v1.ts'
import type { OwnerReference } from '../../../../lib/api/generated/types/meta-v1.ts'
import type { Draft } from '../../../../lib/base/json.ts'
import { controllerReference } from '../../../../lib/client/object-references.ts'
import { statefulSets } from '../../../../lib/client/resource-keys.ts'
import { revisionHashLabel } from '../shared/revisions.ts'

export function podName(set: StatefulSet, ordinal: number): string { return `${set.metadata.name}-${ordinal}` }

/** The ordinal in a pod's name; undefined when it is not a name of this set. */
export function ordinalOf(set: StatefulSet, name: string): number | undefined {
  const prefix = `${set.metadata.name}-`
  const rest = name.slice(prefix.length)
  return name.startsWith(prefix) && /^(0|[1-9]\d*)$/.test(rest) ? Number(rest) : undefined
}

function claimName(template: string, set: StatefulSet, ordinal: number): string { return `${template}-${podName(set, ordinal)}` }

/** The pod of an ordinal, made from a template of one of the set's revisions. */
export function podOf(set: StatefulSet, ordinal: number, template: PodTemplateSpec, revision: string): { readonly metadata: object, readonly spec: object } {
  const name = podName(set, ordinal)
  const { labels, annotations, finalizers } = template.metadata ?? {}
  const claimed = (set.spec.volumeClaimTemplates ?? []).map((claim): Volume => ({ name: claim.metadata.name, persistentVolumeClaim: { claimName: claimName(claim.metadata.name, set, ordinal) } }))
  const names = new Set(claimed.map((volume) => volume.name))
  const volumes = [...claimed, ...(template.spec?.volumes ?? []).filter((volume) => !names.has(volume.name))]
  return {
    metadata: {
      name, namespace: set.metadata.namespace ?? '', ...(annotations ? { annotations } : {}), ...(finalizers ? { finalizers } : {}), ownerReferences: [controllerReference(set, statefulSets)],
      labels: { ...labels, 'statefulset.kubernetes.io/pod-name': name, 'apps.kubernetes.io/pod-index': String(ordinal), [revisionHashLabel]: revision },
    },
    spec: { ...template.spec, hostname: name, ...(set.spec.serviceName ? { subdomain: set.spec.serviceName } : {}), ...(volumes.length > 0 ? { volumes } : {}) },
  }
}

type ClaimDraft = Draft<PersistentVolumeClaim> & { readonly metadata: { readonly name: string } }

/** The claims of an ordinal. They outlive the pod; with the retention policy Delete they go with the set. */
export function claimsOf(set: StatefulSet, ordinal: number): readonly ClaimDraft[] {
  return (set.spec.volumeClaimTemplates ?? []).map((template): ClaimDraft => {
    const { labels, annotations } = template.metadata
    const owner = ownerFor(set)
    return {
      metadata: {
        name: claimName(template.metadata.name, set, ordinal), namespace: set.metadata.namespace ?? '', labels: { ...labels, ...set.spec.selector?.matchLabels },
        ...(annotations ? { annotations } : {}), ...(owner ? { ownerReferences: [owner] } : {}),
      },
      ...(template.spec === undefined ? {} : { spec: template.spec }),
    }
  })
}

function ownerFor(set: StatefulSet): OwnerReference | undefined {
  if (set.spec.persistentVolumeClaimRetentionPolicy?.whenDeleted !== 'Delete') return undefined
  const { controller: _controller, blockOwnerDeletion: _block, ...reference } = controllerReference(set, statefulSets)
  return reference
}

/** The owners a claim should have, when it has others. */
export function wantedOwners(set: StatefulSet, claim: PersistentVolumeClaim): readonly OwnerReference[] | undefined {
  const wanted = ownerFor(set)
  const owners = claim.metadata.ownerReferences ?? []
  const has = owners.some((owner) => owner.uid === set.metadata.uid)
  if (has === (wanted !== undefined)) return undefined
  return wanted ? [...owners, wanted] : owners.filter((owner) => owner.uid !== set.metadata.uid)
}
