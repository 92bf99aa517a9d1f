// postStart and preStop hooks: a command in the container, an HTTP request, a sleep.
// Upstream: pkg/kubelet/lifecycle/handlers.go
import { sleep } from '../../../lib/base/clock.ts'
import { podNamespace } from '../pod/pod-facts.ts'
import { resolvePort } from '../probe/run-probe.ts'
import type { Clock } from '../../../lib/base/clock.ts'
import type { RuntimeService } from '../../../lib/cri-api/cri-services.ts'
import type { ProbeNetwork } from '../probe/probe-network.ts'
import type { Container, EphemeralContainer, LifecycleHandler, Pod } from '../../../lib/api/generated/types/core-v1.ts'

export interface HookInput {
  readonly pod: Pod
  readonly container: Container | EphemeralContainer
  readonly containerId: string
  readonly podIp: string
  readonly runtime: RuntimeService
  readonly network: ProbeNetwork
  readonly clock: Clock
  /** 0 for no bound. */
  readonly timeoutMs: number
}

/** Why the hook failed; undefined when it went well. */
export async function runHook(handler: LifecycleHandler, input: HookInput, signal: AbortSignal): Promise<string | undefined> {
  const { pod, container } = input
  const where = `for Container "${container.name}" in Pod "${pod.metadata.name}_${podNamespace(pod)}(${pod.metadata.uid})"`
  try {
    if (handler.exec) {
      const command = handler.exec.command ?? []
      const answer = await input.runtime.execSync({ containerId: input.containerId, cmd: command, timeout: Math.ceil(input.timeoutMs / 1000) }, signal)
      if ((answer.exitCode ?? 0) === 0) return undefined
      const output = new TextDecoder().decode(Buffer.concat([answer.stdout ?? new Uint8Array(), answer.stderr ?? new Uint8Array()])).slice(0, 1024)
      return `Exec lifecycle hook ([${command.join(' ')}]) ${where} failed - error: command '${command.join(' ')}' exited with ${answer.exitCode}: ${output}, message: ${JSON.stringify(output)}`
    }
    if (handler.sleep) {
      const delayMs = handler.sleep.seconds * 1000
      await sleep(input.clock, input.timeoutMs > 0 ? Math.min(delayMs, input.timeoutMs) : delayMs, signal)
      return undefined
    }
    const target = { podName: pod.metadata.name, namespace: podNamespace(pod), containerName: container.name }
    const timeoutMs = input.timeoutMs > 0 ? input.timeoutMs : 30_000
    if (handler.httpGet) {
      const { httpGet } = handler
      const port = resolvePort(httpGet.port, container)
      if (port === undefined) return `Http lifecycle hook ${where}: couldn't find port: ${httpGet.port}`
      const answer = await input.network.http({
        scheme: httpGet.scheme === 'HTTPS' ? 'HTTPS' : 'HTTP', host: httpGet.host || input.podIp, port, path: httpGet.path ?? '/', headers: httpGet.httpHeaders ?? [], timeoutMs,
      }, target, signal)
      return answer.result === 'failure' ? `Http lifecycle hook (${httpGet.path ?? '/'}) ${where} failed - error: ${answer.detail}` : undefined
    }
    if (handler.tcpSocket) {
      const port = resolvePort(handler.tcpSocket.port, container)
      if (port === undefined) return `TCP lifecycle hook ${where}: couldn't find port: ${handler.tcpSocket.port}`
      const answer = await input.network.tcp(handler.tcpSocket.host || input.podIp, port, timeoutMs, target, signal)
      return answer.result === 'failure' ? `TCP lifecycle hook ${where} failed - error: ${answer.detail}` : undefined
    }
    return undefined
  } catch (error) {
    if (signal.aborted) throw error
    return `Lifecycle hook ${where} failed - error: ${error instanceof Error ? error.message : String(error)}`
  }
}
