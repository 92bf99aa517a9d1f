// Counts the proxy's calls and their messages, and tells of them where that is wished. Upstream: etcd/server/etcdmain/grpc_proxy.go (reportable)
import type { Logger } from '../../../lib/component-base/log.ts'
import type { GrpcHandler, GrpcServerCall } from '../../../lib/net/grpc/grpc-server.ts'
import type { GrpcMetrics } from '../metrics/etcd-metrics.ts'
import type { Counter } from '../metrics/instruments.ts'

export interface CountedCalls {
  readonly handlers: ReadonlyMap<string, GrpcHandler>
  readonly ended: (path: string, code: string) => void
}

export function countCalls(metrics: GrpcMetrics, handlers: ReadonlyMap<string, GrpcHandler>, logger: Logger | undefined): CountedCalls {
  const labels = new Map([...handlers].map(([path, handler]) => {
    const [, service = '', method = ''] = path.split('/')
    const type = 'unary' in handler ? 'unary' : method === 'Watch' || method === 'LeaseKeepAlive' ? 'bidi_stream' : 'server_stream'
    return [path, { service, method, type }] as const
  }))
  const counted = new Map([...handlers].map(([path, handler]): [string, GrpcHandler] => {
    const { service, method, type } = labels.get(path) ?? { service: '', method: '', type: '' }
    const of = (family: GrpcMetrics['started']): Counter => family.of(method, service, type)
    const began = (): void => { of(metrics.started).inc(); logger?.info('started call', { method: path }) }
    if ('unary' in handler) {
      return [path, {
        unary: async (bytes: Uint8Array, call: GrpcServerCall) => {
          began()
          of(metrics.received).inc()
          const answer = await handler.unary(bytes, call)
          of(metrics.sent).inc()
          return answer
        },
      }]
    }
    return [path, {
      stream: (call: GrpcServerCall) => {
        began()
        const send = call.send.bind(call)
        const sendParts = call.sendParts?.bind(call)
        call.send = (message) => { of(metrics.sent).inc(); send(message) }
        if (sendParts) call.sendParts = (head, tail) => { of(metrics.sent).inc(); sendParts(head, tail) }
        const sink = handler.stream(call)
        return { message: (bytes: Uint8Array) => { of(metrics.received).inc(); sink.message(bytes) }, end: () => sink.end() }
      },
    }]
  }))
  return {
    handlers: counted,
    ended: (path, code) => {
      const { service, method, type } = labels.get(path) ?? {}
      if (service === undefined || method === undefined || type === undefined) return
      metrics.handled.of(code, method, service, type).inc()
      logger?.info('finished call', { method: path, code })
    },
  }
}
