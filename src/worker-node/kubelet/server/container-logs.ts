// GET /containerLogs/{namespace}/{pod}/{container}: the log of the present or the previous run.
// Upstream: pkg/kubelet/kubelet_pods.go (GetKubeletContainerLogs, validateContainerLogStatus)
import type { ServerResponse } from 'node:http'
import { readLogs } from '../logs/read-logs.ts'
import { findContainer, podNamespace } from '../pod/pod-facts.ts'
import { RequestError } from './kubelet-backend.ts'
import type { ReadLogOptions } from '../logs/read-logs.ts'
import type { KubeletBackend } from './kubelet-backend.ts'
import type { RuntimeContainer } from '../runtime/runtime-status.ts'
import type { Pod } from '../../../lib/api/generated/types/core-v1.ts'

/** The newest pod of that name; throws RequestError 404. */
export function findPod(backend: KubeletBackend, namespace: string, name: string, uid?: string): Pod {
  const found = backend.pods().filter((p) => podNamespace(p) === namespace && p.metadata.name === name && (uid === undefined || uid === '' || p.metadata.uid === uid))
  const pod = found.find((p) => p.metadata.deletionTimestamp === undefined) ?? found[0]
  if (!pod) throw new RequestError(404, `pod "${name}" not found`)
  return pod
}

/** The run whose log is asked for; throws RequestError 400 when there is none. */
export function findLoggedContainer(backend: KubeletBackend, pod: Pod, name: string, previous: boolean): RuntimeContainer {
  if (!findContainer(pod, name)) throw new RequestError(400, `container ${name} is not valid for pod ${pod.metadata.name}`)
  const attempts = (backend.runtimePod(pod.metadata.uid)?.containers ?? []).filter((c) => c.name === name)
  const status = [...(pod.status?.containerStatuses ?? []), ...(pod.status?.initContainerStatuses ?? []), ...(pod.status?.ephemeralContainerStatuses ?? [])].find((s) => s.name === name)
  const where = `container "${name}" in pod "${pod.metadata.name}"`
  if (previous) {
    // While it waits to be restarted, the last run is the previous one as well.
    const dead = status?.state.waiting && attempts[0]?.state === 'exited' ? attempts[0] : attempts[1]
    if (!dead) throw new RequestError(400, `previous terminated ${where} not found`)
    return dead
  }
  const newest = attempts[0]
  if (newest && newest.state !== 'created') return newest
  if (attempts[1]) return attempts[1]
  const reason = status?.state.waiting?.reason ?? 'ContainerCreating'
  if (reason === 'ErrImagePull' || reason === 'ImagePullBackOff') throw new RequestError(400, `${where} is waiting to start: ${reason === 'ErrImagePull' ? 'image can\'t be pulled' : 'trying and failing to pull image'}`)
  throw new RequestError(400, status?.state.terminated ? `${where} is terminated` : `${where} is waiting to start: ${reason}`)
}

function parseOptions(query: URLSearchParams, nowMs: number): ReadLogOptions {
  const number = (name: string, least: number): number | undefined => {
    const text = query.get(name)
    if (text === null || text === '') return undefined
    const value = Number(text)
    if (!Number.isInteger(value) || value < least) throw new RequestError(422, `invalid value for ${name}: ${text}`)
    return value
  }
  const flag = (name: string): boolean => ['true', '1'].includes(query.get(name) ?? '')
  const sinceSeconds = number('sinceSeconds', 1)
  const sinceTime = query.get('sinceTime')
  if (sinceSeconds !== undefined && sinceTime) throw new RequestError(422, 'at most one of `sinceTime` or `sinceSeconds` may be specified')
  const sinceMs = sinceSeconds !== undefined ? nowMs - sinceSeconds * 1000 : sinceTime ? Date.parse(sinceTime) : undefined
  if (sinceMs !== undefined && Number.isNaN(sinceMs)) throw new RequestError(400, `invalid value for sinceTime: ${sinceTime}`)
  const stream = query.get('stream') ?? 'All'
  return {
    follow: flag('follow'), tailLines: number('tailLines', 0), sinceMs, timestamps: flag('timestamps'), limitBytes: number('limitBytes', 1), stream: stream === 'Stdout' || stream === 'Stderr' ? stream : 'All',
  }
}

export async function respondContainerLogs(backend: KubeletBackend, path: readonly string[], query: URLSearchParams, response: ServerResponse, signal: AbortSignal): Promise<void> {
  const [namespace = '', podName = '', containerName = ''] = path
  if (podName === '') throw new RequestError(400, 'Missing pod name.')
  if (containerName === '') throw new RequestError(400, 'Missing container name.')
  const options = parseOptions(query, backend.clock.now())
  const pod = findPod(backend, namespace, podName)
  const container = findLoggedContainer(backend, pod, containerName, ['true', '1'].includes(query.get('previous') ?? ''))
  const isRunning = (): boolean => backend.runtimePod(pod.metadata.uid)?.containers.find((c) => c.id === container.id)?.state === 'running'
  response.writeHead(200, { 'content-type': 'text/plain' })
  response.flushHeaders()
  let held: Buffer[] = []
  let heldBytes = 0
  const flush = async (): Promise<void> => {
    if (heldBytes === 0) return
    const data = Buffer.concat(held)
    held = []
    heldBytes = 0
    if (!response.write(data)) await new Promise<void>((resolve) => { response.once('drain', resolve); response.once('close', resolve) })
  }
  try {
    for await (const piece of readLogs({ disk: backend.disk, clock: backend.clock, path: container.logPath, isRunning }, options, signal)) {
      held.push(Buffer.from(piece))
      heldBytes += piece.length
      if (options.follow || heldBytes > 64 * 1024) await flush()
      if (signal.aborted) break
    }
    await flush()
  } catch (error) {
    if (!signal.aborted) throw error
  }
  response.end()
}
