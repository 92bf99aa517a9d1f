// Brings EndpointSlices to the endpoints that there should be, changing as few slices as possible: endpoints stay in the slice they are in, changed ones
// are replaced there, new ones fill slices that change anyway, and only then others or new slices. At most `max` endpoints a slice; one empty slice stays
// when there are none, so that clients can tell "no endpoints" from "not looked at yet".
// Upstream: k8s.io/endpointslice/reconciler.go
import { semanticEqual } from '../../../../lib/apimachinery/equality.ts'
import type { Endpoint, EndpointPort, EndpointSlice } from '../../../../lib/api/generated/types/discovery-v1.ts'
import type { OwnerReference } from '../../../../lib/api/generated/types/meta-v1.ts'
import { endpointSlices } from '../../../../lib/client/resource-keys.ts'
import { create, remove, update } from './controller.ts'
import type { Action } from './controller.ts'
import type { AddressFamily } from './service-pods.ts'

/** Endpoints that share a set of ports. */
export interface EndpointGroup { readonly ports: readonly EndpointPort[], readonly endpoints: readonly Endpoint[] }

export interface DesiredSlices {
  readonly namespace: string
  readonly generateName: string
  readonly family: AddressFamily
  readonly labels: { readonly [key: string]: string }
  readonly annotations?: { readonly [key: string]: string }
  readonly owner: OwnerReference
  readonly groups: readonly EndpointGroup[]
  readonly maxPerSlice: number
}

interface SliceDraft { readonly existing: EndpointSlice | undefined, endpoints: Endpoint[], changed: boolean }

export function reconcileSlices(desired: DesiredSlices, existing: readonly EndpointSlice[]): readonly Action[] {
  const creates: Action[] = []
  const updates: Action[] = []
  const claimed = new Set<EndpointSlice>()
  const groups = desired.groups.some((group) => group.endpoints.length > 0) ? desired.groups.filter((group) => group.endpoints.length > 0) : desired.groups.slice(0, 1)
  for (const group of groups.length > 0 ? groups : [{ ports: [], endpoints: [] }]) {
    const drafts = existing.filter((slice) => !claimed.has(slice) && samePorts(slice.ports ?? [], group.ports)).map((slice): SliceDraft => ({ existing: slice, endpoints: [...slice.endpoints ?? []], changed: false }))
    for (const draft of drafts) if (draft.existing) claimed.add(draft.existing)
    fill(drafts, group.endpoints, desired.maxPerSlice)
    const kept = drafts.filter((draft) => draft.endpoints.length > 0)
    // Nothing left: the first slice, or a new one, stays as the empty one.
    if (kept.length === 0) kept.push(drafts[0] ?? { existing: undefined, endpoints: [], changed: true })
    for (const draft of kept) {
      if (!draft.existing) creates.push(createSlice(desired, group.ports, draft.endpoints))
      else if (draft.changed || !semanticEqual(draft.existing.metadata.labels, desired.labels) || portsKey(draft.existing.ports ?? []) !== portsKey(group.ports) || !covers(draft.existing.metadata.annotations, desired.annotations)) {
        updates.push(update(endpointSlices, {
          ...draft.existing, metadata: { ...draft.existing.metadata, labels: desired.labels, ...(desired.annotations ? { annotations: { ...draft.existing.metadata.annotations, ...desired.annotations } } : {}) },
          endpoints: draft.endpoints, ports: group.ports,
        }))
      }
    }
    for (const draft of drafts) if (draft.existing && !kept.includes(draft)) claimed.delete(draft.existing)
  }
  const deletes = existing.filter((slice) => !claimed.has(slice)).map((slice) => remove(endpointSlices, slice))
  return [...creates, ...updates, ...deletes]
}

function fill(drafts: SliceDraft[], endpoints: readonly Endpoint[], max: number): void {
  const missing = new Map(endpoints.map((endpoint) => [identity(endpoint), endpoint]))
  for (const draft of drafts) {
    const next: Endpoint[] = []
    for (const old of draft.endpoints) {
      const wanted = missing.get(identity(old))
      if (!wanted) { draft.changed = true; continue }
      missing.delete(identity(old))
      if (semanticEqual(wanted, old)) { next.push(old); continue }
      next.push(wanted)
      draft.changed = true
    }
    draft.endpoints = next
  }
  // Slices that change anyway come first, the fullest of them before the others.
  for (const draft of drafts.toSorted((a, b) => Number(b.changed) - Number(a.changed) || b.endpoints.length - a.endpoints.length)) {
    for (const [key, endpoint] of missing) {
      if (draft.endpoints.length >= max) break
      draft.endpoints.push(endpoint)
      draft.changed = true
      missing.delete(key)
    }
  }
  const rest = [...missing.values()]
  for (let from = 0; from < rest.length; from += max) drafts.push({ existing: undefined, endpoints: rest.slice(from, from + max), changed: true })
}

function identity(endpoint: Endpoint): string {
  return JSON.stringify([endpoint.addresses, endpoint.targetRef?.uid ?? '', endpoint.targetRef?.name ?? ''])
}

function samePorts(a: readonly EndpointPort[], b: readonly EndpointPort[]): boolean { return portsKey(a) === portsKey(b) }

/** Equal for equal sets of ports. */
export function portsKey(ports: readonly EndpointPort[]): string {
  return JSON.stringify(ports.map(({ name = '', protocol = 'TCP', port = 0, appProtocol = '' }) => [name, protocol, port, appProtocol]).sort())
}

function covers(annotations: { readonly [key: string]: string } | undefined, wanted: { readonly [key: string]: string } | undefined): boolean {
  return Object.entries(wanted ?? {}).every(([key, value]) => annotations?.[key] === value)
}

function createSlice(desired: DesiredSlices, ports: readonly EndpointPort[], endpoints: readonly Endpoint[]): Action {
  return create(endpointSlices, desired.namespace, {
    metadata: {
      generateName: desired.generateName, namespace: desired.namespace, labels: desired.labels, ownerReferences: [desired.owner], ...(desired.annotations ? { annotations: desired.annotations } : {}),
    },
    addressType: desired.family, endpoints, ports,
  })
}

/** A name prefix that leaves room for the server's suffix. */
export function slicePrefix(serviceName: string): string { return `${serviceName.slice(0, 252)}-` }
