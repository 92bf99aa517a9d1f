// From whatever a user names (a pod, a Deployment, a Service, a Job) to the pods behind it. Upstream: kubectl/pkg/polymorphichelpers
import type { JsonObject } from '../../../lib/base/json.ts'
import { isJsonObject } from '../../../lib/base/json.ts'
import { formatLabelSelector, selectorFromLabels, selectorOf } from '../../../lib/apimachinery/label-selector.ts'
import { KubectlError } from '../command.ts'
import type { Session } from '../session.ts'
import { collectionPath, objectPath } from './object-path.ts'
import { resolveTargets } from './resource-arguments.ts'

const podResource = { group: '', version: 'v1', resource: 'pods', namespaced: true } as const

/** The label selector of the pods that belong to a workload or Service. @throws KubectlError when it has none */
export function podSelectorOf(kind: string, object: JsonObject): string {
  const spec = isJsonObject(object['spec']) ? object['spec'] : {}
  const selector = spec['selector']
  if (kind === 'Service' || kind === 'ReplicationController') {
    if (!isJsonObject(selector) || Object.keys(selector).length === 0) throw new KubectlError(`invalid ${kind.toLowerCase()} '${String(isJsonObject(object['metadata']) ? object['metadata']['name'] : '')}': ${kind} is defined without a selector`)
    return formatLabelSelector(selectorFromLabels(Object.fromEntries(Object.entries(selector).map(([k, v]) => [k, String(v)]))))
  }
  if (!isJsonObject(selector)) throw new KubectlError(`cannot get the logs from *v1.${kind}: selector for *v1.${kind} not implemented`)
  const parsed = selectorOf(selector as never) // cast: a LabelSelector from the API server
  if (!parsed.ok) throw new KubectlError(parsed.error)
  return formatLabelSelector(parsed.selector)
}

export async function listPods(session: Session, namespace: string, labelSelector: string): Promise<readonly JsonObject[]> {
  const list = await session.request('GET', collectionPath(podResource, namespace, { labelSelector }))
  return Array.isArray(list['items']) ? list['items'].filter(isJsonObject) : []
}

export interface NamedPods {
  readonly namespace: string
  /** Best first: ready, running, with few restarts. */
  readonly pods: readonly JsonObject[]
  /** The word named the pod itself. */
  readonly direct: boolean
}

/** `web-1`, `pod/web-1`, `deployment/web`, `svc/web`, … */
export async function findPods(session: Session, word: string): Promise<NamedPods> {
  const { namespace } = session
  if (!word.includes('/')) return { namespace, pods: [await session.request('GET', objectPath(podResource, namespace, word))], direct: true }
  const [target] = await resolveTargets(session, [word], { allNamespaces: false })
  if (target?.type !== 'object') throw new KubectlError(`expected one object, got ${word}`)
  const object = await session.request('GET', objectPath(target.resource, target.namespace, target.name))
  if (target.resource.kind === 'Pod') return { namespace, pods: [object], direct: true }
  const pods = await listPods(session, namespace, podSelectorOf(target.resource.kind, object))
  if (pods.length === 0) throw new KubectlError('timed out waiting for the condition')
  return { namespace, pods: [...pods].sort(compareActivity), direct: false }
}

export const podName = (pod: JsonObject): string => (isJsonObject(pod['metadata']) ? String(pod['metadata']['name'] ?? '') : '')

function compareActivity(a: JsonObject, b: JsonObject): number {
  const rank = (pod: JsonObject): number => {
    const status = isJsonObject(pod['status']) ? pod['status'] : {}
    const ready = Array.isArray(status['conditions']) && status['conditions'].some((c) => isJsonObject(c) && c['type'] === 'Ready' && c['status'] === 'True')
    return (status['phase'] === 'Running' ? 2 : status['phase'] === 'Pending' ? 1 : 0) * 2 + (ready ? 1 : 0)
  }
  return rank(b) - rank(a) || (podName(a) < podName(b) ? -1 : 1)
}

export interface ContainerNames {
  readonly containers: readonly string[]
  readonly initContainers: readonly string[]
  readonly ephemeralContainers: readonly string[]
}

export function containerNames(pod: JsonObject): ContainerNames {
  const spec = isJsonObject(pod['spec']) ? pod['spec'] : {}
  const names = (field: string): readonly string[] => (Array.isArray(spec[field]) ? spec[field].filter(isJsonObject).map((c) => String(c['name'] ?? '')) : [])
  return { containers: names('containers'), initContainers: names('initContainers'), ephemeralContainers: names('ephemeralContainers') }
}

/** `main, side, setup (init)`: for messages. */
export function listContainers(pod: JsonObject): string {
  const { containers, initContainers, ephemeralContainers } = containerNames(pod)
  return [...containers, ...ephemeralContainers.map((n) => `${n} (ephem)`), ...initContainers.map((n) => `${n} (init)`)].join(', ')
}

/** The container that commands take when none is named: the annotation's, else the first. */
export function defaultContainer(pod: JsonObject): string {
  const metadata = isJsonObject(pod['metadata']) ? pod['metadata'] : {}
  const annotations = isJsonObject(metadata['annotations']) ? metadata['annotations'] : {}
  const named = annotations['kubectl.kubernetes.io/default-container']
  const { containers } = containerNames(pod)
  return typeof named === 'string' && containers.includes(named) ? named : (containers[0] ?? '')
}
