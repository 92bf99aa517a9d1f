// exec, attach, port-forward and run: from the URL to the container, then over to lib/net/streaming. With a runtime in another process the
// connection is handed on to that runtime's streaming server.
// Upstream: pkg/kubelet/server/server.go (getExec, getAttach, getPortForward, getRun)
import type { ServerResponse } from 'node:http'
import { proxyUpgrade } from '../../../lib/net/streaming/proxy-upgrade.ts'
import { servePortForward } from '../../../lib/net/streaming/serve-port-forward.ts'
import { serveRemoteCommand } from '../../../lib/net/streaming/serve-remote-command.ts'
import { findContainer, podNamespace } from '../pod/pod-facts.ts'
import { newestContainer } from '../runtime/runtime-status.ts'
import { findPod } from './container-logs.ts'
import { RequestError } from './kubelet-backend.ts'
import type { KubeletBackend } from './kubelet-backend.ts'
import type { RuntimeContainer } from '../runtime/runtime-status.ts'
import type { UpgradeRequest } from '../../../lib/net/streaming/upgrade-request.ts'
import type { Pod } from '../../../lib/api/generated/types/core-v1.ts'

interface Target { readonly pod: Pod; readonly container: RuntimeContainer; readonly tty: boolean; readonly hasStdin: boolean }

/** `/{namespace}/{pod}[/{uid}]/{container}`. Throws RequestError. */
function findTarget(backend: KubeletBackend, path: readonly string[]): Target {
  const [namespace = '', podName = ''] = path
  const uid = path.length > 3 ? path[2] : undefined
  const name = path.length > 3 ? path[3] ?? '' : path[2] ?? ''
  const pod = findPod(backend, namespace, podName, uid)
  const placed = findContainer(pod, name)
  const container = newestContainer(backend.runtimePod(pod.metadata.uid) ?? { uid: '', name: '', namespace: '', sandboxes: [], containers: [] }, name)
  if (!placed || !container) throw new RequestError(404, `container not found ("${name}")`)
  if (container.state !== 'running') throw new RequestError(500, `container not running (${container.id})`)
  return { pod, container, tty: placed.container.tty === true, hasStdin: placed.container.stdin === true }
}

const flag = (query: URLSearchParams, name: string): boolean => ['1', 'true'].includes(query.get(name) ?? '')

export async function serveStreaming(backend: KubeletBackend, what: string, path: readonly string[], query: URLSearchParams, upgrade: UpgradeRequest, signal: AbortSignal): Promise<void> {
  const { streams, runtime, clock, settings } = backend
  switch (what) {
    case 'exec': case 'attach': {
      const { container, tty: containerTty } = findTarget(backend, path)
      const tty = what === 'exec' ? flag(query, 'tty') : flag(query, 'tty') || containerTty
      const wanted = { stdin: flag(query, 'input'), stdout: flag(query, 'output'), stderr: flag(query, 'error') && !tty, tty }
      const command = query.getAll('command')
      if (what === 'exec' && command.length === 0) throw new RequestError(400, 'you must specify a command')
      if (!streams) {
        const request = { containerId: container.id, tty, stdin: wanted.stdin, stdout: wanted.stdout, stderr: wanted.stderr }
        const { url } = what === 'exec' ? await runtime.exec({ ...request, cmd: command }, signal) : await runtime.attach(request, signal)
        return proxyTo(url, upgrade, signal)
      }
      const containerId = container.id
      return serveRemoteCommand(upgrade, {
        streams: wanted, clock, signal, idleTimeoutMs: settings.streamingIdleTimeoutMs,
        open: (within) => (what === 'exec' ? streams.openExec({ containerId, command, tty, stdin: wanted.stdin }, within) : streams.openAttach({ containerId, tty: containerTty, stdin: wanted.stdin }, within)),
      })
    }
    case 'portForward': {
      const [namespace = '', podName = '', uid] = path
      const pod = findPod(backend, namespace, podName, uid)
      const sandbox = backend.runtimePod(pod.metadata.uid)?.sandboxes.find((s) => s.ready)
      if (!sandbox) throw new RequestError(404, `pod not found ("${podName}_${podNamespace(pod)}")`)
      const ports = query.getAll('port').flatMap((p) => p.split(',')).map(Number).filter((p) => Number.isInteger(p) && p > 0 && p < 65536)
      if (!streams) return proxyTo((await runtime.portForward({ podSandboxId: sandbox.id, port: ports }, signal)).url, upgrade, signal)
      return servePortForward(upgrade, {
        open: (port, within) => streams.openPortForward({ podSandboxId: sandbox.id, port }, within), ports, describePod: `${sandbox.id}, uid ${uid ?? ''}`, clock, signal,
      })
    }
    default: throw new RequestError(404, '404 page not found')
  }
}

function proxyTo(url: string | undefined, upgrade: UpgradeRequest, signal: AbortSignal): Promise<void> {
  const target = new URL(url ?? '')
  const tls = target.protocol === 'https:' ? { tls: { rejectUnauthorized: false } } : {}
  return proxyUpgrade(upgrade, { host: target.hostname, port: Number(target.port) || (target.protocol === 'https:' ? 443 : 80), path: `${target.pathname}${target.search}`, ...tls }, signal)
}

/** POST /run/…?cmd=: runs the command and answers with its output. */
export async function respondRun(backend: KubeletBackend, path: readonly string[], query: URLSearchParams, response: ServerResponse, signal: AbortSignal): Promise<void> {
  const { container } = findTarget(backend, path)
  const cmd = (query.get('cmd') ?? '').split(' ').filter((word) => word !== '')
  if (cmd.length === 0) throw new RequestError(400, 'cmd is required')
  const answer = await backend.runtime.execSync({ containerId: container.id, cmd, timeout: 0 }, signal)
  response.writeHead(200, { 'content-type': 'text/plain' })
  response.end(Buffer.concat([answer.stdout ?? new Uint8Array(), answer.stderr ?? new Uint8Array()]))
}
