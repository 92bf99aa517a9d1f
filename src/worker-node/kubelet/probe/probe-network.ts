// The network side of probes and hooks: HTTP, TCP and gRPC towards a pod. An argument, because simulated pods have no network.

/** `detail` goes into the event: the body's beginning, the error. */
export interface ProbeAnswer { readonly result: 'success' | 'failure' | 'warning'; readonly detail: string }

export interface HttpProbeRequest {
  readonly scheme: 'HTTP' | 'HTTPS'
  readonly host: string
  readonly port: number
  readonly path: string
  readonly headers: readonly { readonly name: string; readonly value: string }[]
  readonly timeoutMs: number
}

/** Which container is meant, for simulated networks. */
export interface ProbeTarget { readonly podName: string; readonly namespace: string; readonly containerName: string }

export interface ProbeNetwork {
  http(request: HttpProbeRequest, target: ProbeTarget, signal: AbortSignal): Promise<ProbeAnswer>
  tcp(host: string, port: number, timeoutMs: number, target: ProbeTarget, signal: AbortSignal): Promise<ProbeAnswer>
  grpc(host: string, port: number, service: string, timeoutMs: number, target: ProbeTarget, signal: AbortSignal): Promise<ProbeAnswer>
}

/** Answers every probe by asking one function: for simulated pods. */
export function createSimulatedProbeNetwork(isReady: (target: ProbeTarget) => boolean): ProbeNetwork {
  const answer = async (target: ProbeTarget): Promise<ProbeAnswer> => (isReady(target) ? { result: 'success', detail: 'ok' } : { result: 'failure', detail: 'HTTP probe failed with statuscode: 503' })
  return { http: (_request, target) => answer(target), tcp: (_host, _port, _timeout, target) => answer(target), grpc: (_host, _port, _service, _timeout, target) => answer(target) }
}
