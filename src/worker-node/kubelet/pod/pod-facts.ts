// Small questions about a pod that every part of the kubelet asks, answered in one place.
// Upstream: kubernetes/pkg/kubelet/types, pkg/kubelet/container/helpers.go
import type { Container, EphemeralContainer, ObjectReference, Pod } from '../../../lib/api/generated/types/core-v1.ts'

export const configSourceAnnotation = 'kubernetes.io/config.source'
export const configHashAnnotation = 'kubernetes.io/config.hash'
export const configMirrorAnnotation = 'kubernetes.io/config.mirror'
export const configSeenAnnotation = 'kubernetes.io/config.seen'

export type ContainerKind = 'container' | 'init' | 'ephemeral'

/** A container of a pod's spec with where it stands there. */
export interface PlacedContainer {
  readonly container: Container | EphemeralContainer
  readonly kind: ContainerKind
}

/** All containers of the pod: init, regular, ephemeral. */
export function allContainers(pod: Pod): readonly PlacedContainer[] {
  return [
    ...(pod.spec?.initContainers ?? []).map((container) => ({ container, kind: 'init' as const })),
    ...(pod.spec?.containers ?? []).map((container) => ({ container, kind: 'container' as const })),
    ...(pod.spec?.ephemeralContainers ?? []).map((container) => ({ container, kind: 'ephemeral' as const })),
  ]
}

export function findContainer(pod: Pod, name: string): PlacedContainer | undefined {
  return allContainers(pod).find((c) => c.container.name === name)
}

export function regularContainers(pod: Pod): readonly Container[] { return pod.spec?.containers ?? [] }
export function initContainers(pod: Pod): readonly Container[] { return pod.spec?.initContainers ?? [] }
export function ephemeralContainers(pod: Pod): readonly EphemeralContainer[] { return pod.spec?.ephemeralContainers ?? [] }

/** A sidecar: an init container that goes on beside the main ones. */
export function isRestartableInit(container: Container | EphemeralContainer): boolean { return container.restartPolicy === 'Always' }

export function podUid(pod: Pod): string { return pod.metadata.uid }
export function podNamespace(pod: Pod): string { return pod.metadata.namespace ?? 'default' }

/** `name_namespace`: unique on the node at any moment, equal for a static pod and its mirror. */
export function podFullName(pod: Pod): string { return `${pod.metadata.name}_${podNamespace(pod)}` }

/** `name_namespace(uid)`, as messages name a pod. */
export function describePod(pod: Pod): string { return `${podFullName(pod)}(${pod.metadata.uid})` }

/** From a manifest on this node rather than from the API server. */
export function isStaticPod(pod: Pod): boolean {
  const source = pod.metadata.annotations?.[configSourceAnnotation]
  return source !== undefined && source !== 'api'
}

/** The API server's image of a static pod. */
export function isMirrorPod(pod: Pod): boolean { return pod.metadata.annotations?.[configMirrorAnnotation] !== undefined }

export function isHostNetwork(pod: Pod): boolean { return pod.spec?.hostNetwork === true }

export function isCriticalPod(pod: Pod): boolean { return isStaticPod(pod) || isMirrorPod(pod) || (pod.spec?.priority ?? 0) >= 2_000_000_000 }

export function isTerminalPhase(phase: string | undefined): boolean { return phase === 'Failed' || phase === 'Succeeded' }

/** Seconds between the first signal and the kill, as the object says it. */
export function terminationGraceSeconds(pod: Pod): number {
  return pod.metadata.deletionGracePeriodSeconds ?? pod.spec?.terminationGracePeriodSeconds ?? 30
}

export function podReference(pod: Pod): ObjectReference {
  return { kind: 'Pod', namespace: podNamespace(pod), name: pod.metadata.name, uid: pod.metadata.uid, apiVersion: 'v1', resourceVersion: pod.metadata.resourceVersion }
}

/** The reference of an event about one container: `spec.containers{name}`. */
export function containerReference(pod: Pod, name: string): ObjectReference {
  const kind = findContainer(pod, name)?.kind
  if (kind === undefined) return podReference(pod)
  const list = kind === 'init' ? 'initContainers' : kind === 'ephemeral' ? 'ephemeralContainers' : 'containers'
  return { ...podReference(pod), fieldPath: `spec.${list}{${name}}` }
}

/** The container's own restart policy, or the pod's. */
export function restartPolicyOf(pod: Pod, container: Container | EphemeralContainer): string {
  return container.restartPolicy ?? pod.spec?.restartPolicy ?? 'Always'
}

/** A number that changes when a running container no longer is what its spec says: name and image, as in the original. */
export function containerHash(container: Container | EphemeralContainer): string {
  let hash = 0x811c9dc5
  for (const byte of new TextEncoder().encode(JSON.stringify({ name: container.name, image: container.image ?? '' }))) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0
  return hash.toString(16)
}
