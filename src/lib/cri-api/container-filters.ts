// What CRI's list filters and list answers mean, shared by every runtime: the real one, the simulated one and test doubles.
import type {
  Container, ContainerFilter, ContainerStatsFilter, ContainerStatus, PodSandbox, PodSandboxFilter, PodSandboxStatsFilter, PodSandboxStatus,
} from './generated/types.ts'

type Labels = { readonly [key: string]: string } | undefined

function matchesLabels(labels: Labels, selector: Labels): boolean {
  return Object.entries(selector ?? {}).every(([key, value]) => labels?.[key] === value)
}

/** An id filter matches by prefix, as containerd's does (crictl passes shortened ids). */
function matchesId(id: string | undefined, wanted: string | undefined): boolean {
  return !wanted || (id ?? '').startsWith(wanted)
}

export function matchesContainer(container: Container, filter: ContainerFilter | undefined): boolean {
  return matchesId(container.id, filter?.id) && matchesId(container.podSandboxId, filter?.podSandboxId)
    && (!filter?.state || (container.state ?? 'CONTAINER_CREATED') === (filter.state.state ?? 'CONTAINER_CREATED')) && matchesLabels(container.labels, filter?.labelSelector)
}

export function matchesSandbox(sandbox: PodSandbox, filter: PodSandboxFilter | undefined): boolean {
  return matchesId(sandbox.id, filter?.id)
    && (!filter?.state || (sandbox.state ?? 'SANDBOX_READY') === (filter.state.state ?? 'SANDBOX_READY')) && matchesLabels(sandbox.labels, filter?.labelSelector)
}

export function matchesContainerStats(container: Container, filter: ContainerStatsFilter | undefined): boolean {
  return matchesId(container.id, filter?.id) && matchesId(container.podSandboxId, filter?.podSandboxId) && matchesLabels(container.labels, filter?.labelSelector)
}

export function matchesSandboxStats(sandbox: PodSandbox, filter: PodSandboxStatsFilter | undefined): boolean {
  return matchesId(sandbox.id, filter?.id) && matchesLabels(sandbox.labels, filter?.labelSelector)
}

/** The short form of a container status that lists show. */
export function containerOfStatus(status: ContainerStatus, podSandboxId: string): Container {
  const { id, metadata, image, imageRef, state, createdAt, labels, annotations, imageId } = status
  return { id, podSandboxId, metadata, image, imageRef, state, createdAt, labels, annotations, imageId }
}

/** The short form of a sandbox status that lists show. */
export function sandboxOfStatus(status: PodSandboxStatus): PodSandbox {
  const { id, metadata, state, createdAt, labels, annotations, runtimeHandler } = status
  return { id, metadata, state, createdAt, labels, annotations, runtimeHandler }
}

/** Cuts a list into pieces, so that one message of a stream stays small. Yields one empty piece for an empty list. */
export function* inPieces<T>(items: readonly T[], size = 500): Generator<readonly T[]> {
  for (let i = 0; i === 0 || i < items.length; i += size) yield items.slice(i, i + size)
}
