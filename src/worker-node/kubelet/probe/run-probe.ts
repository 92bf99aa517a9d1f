// Runs one probe once: a command, an HTTP request, a TCP connection, a gRPC health check.
// Upstream: pkg/kubelet/prober/prober.go, pkg/probe
import { expandReferences } from '../environment/expansion.ts'
import { podNamespace } from '../pod/pod-facts.ts'
import type { RuntimeService } from '../../../lib/cri-api/cri-services.ts'
import { CriError } from '../../../lib/cri-api/cri-services.ts'
import type { ProbeAnswer, ProbeNetwork } from './probe-network.ts'
import type { Container, EphemeralContainer, Pod, Probe } from '../../../lib/api/generated/types/core-v1.ts'

/** The number of a port given by number or by the name of a container's port. */
export function resolvePort(port: number | string, container: Container | EphemeralContainer): number | undefined {
  if (typeof port === 'number') return port > 0 && port < 65536 ? port : undefined
  const named = (container.ports ?? []).find((p) => p.name === port)?.containerPort
  if (named !== undefined) return named
  return /^\d+$/.test(port) ? resolvePort(Number(port), container) : undefined
}

export interface ProbeInput {
  readonly probe: Probe
  readonly pod: Pod
  readonly container: Container | EphemeralContainer
  readonly containerId: string
  readonly podIp: string
  readonly runtime: RuntimeService
  readonly network: ProbeNetwork
}

const maxDetail = 10 * 1024

export async function runProbe(input: ProbeInput, signal: AbortSignal): Promise<ProbeAnswer> {
  const { probe, container, pod } = input
  const timeoutSeconds = probe.timeoutSeconds || 1
  const timeoutMs = timeoutSeconds * 1000
  const target = { podName: pod.metadata.name, namespace: podNamespace(pod), containerName: container.name }
  if (probe.exec) {
    const plain = new Map((container.env ?? []).filter((e) => e.value !== undefined).map((e) => [e.name, e.value ?? '']))
    const cmd = (probe.exec.command ?? []).map((word) => expandReferences(word, (name) => plain.get(name)))
    try {
      const answer = await input.runtime.execSync({ containerId: input.containerId, cmd, timeout: timeoutSeconds }, signal)
      const detail = new TextDecoder().decode(Buffer.concat([answer.stdout ?? new Uint8Array(), answer.stderr ?? new Uint8Array()])).slice(0, maxDetail)
      return { result: (answer.exitCode ?? 0) === 0 ? 'success' : 'failure', detail }
    } catch (error) {
      if (error instanceof CriError && error.code === 'DeadlineExceeded') return { result: 'failure', detail: `command timed out: "${cmd.join(' ')}" timed out after ${timeoutSeconds}s` }
      throw error
    }
  }
  if (probe.httpGet) {
    const { httpGet } = probe
    const port = resolvePort(httpGet.port, container)
    if (port === undefined) return { result: 'failure', detail: `invalid port number: ${httpGet.port}` }
    const path = httpGet.path || '/'
    return input.network.http({
      scheme: httpGet.scheme === 'HTTPS' ? 'HTTPS' : 'HTTP', host: httpGet.host || input.podIp, port, path: path.startsWith('/') ? path : `/${path}`, headers: httpGet.httpHeaders ?? [], timeoutMs,
    }, target, signal)
  }
  if (probe.tcpSocket) {
    const port = resolvePort(probe.tcpSocket.port, container)
    if (port === undefined) return { result: 'failure', detail: `invalid port number: ${probe.tcpSocket.port}` }
    return input.network.tcp(probe.tcpSocket.host || input.podIp, port, timeoutMs, target, signal)
  }
  if (probe.grpc) return input.network.grpc(input.podIp, probe.grpc.port, probe.grpc.service ?? '', timeoutMs, target, signal)
  return { result: 'success', detail: '' }
}
