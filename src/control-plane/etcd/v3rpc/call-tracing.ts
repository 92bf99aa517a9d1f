// The spans of gRPC calls (`--enable-distributed-tracing`), named and described as OpenTelemetry's instrumentation of gRPC does it.
// Upstream: otelgrpc/stats_handler.go, opentelemetry.io/docs/specs/semconv/rpc
import type { Span, Tracer } from '../../../lib/component-base/tracing/span.ts'
import type { GrpcServerCall } from '../../../lib/net/grpc/grpc-server.ts'

/** Codes that say that the server failed; the others are answers. */
const serverFailures: ReadonlySet<string> = new Set(['Unknown', 'DeadlineExceeded', 'Unimplemented', 'Internal', 'Unavailable', 'DataLoss'])

export function startCallSpan(tracer: Tracer, path: string, call: Pick<GrpcServerCall, 'headers' | 'localAddress'>): Span | undefined {
  const method = path.slice(1)
  const [, host, port] = /^\[?(.*?)\]?:(\d+)$/.exec(call.localAddress ?? '') ?? []
  return tracer.start(method, call.headers['traceparent'], {
    'rpc.method': method, 'rpc.system.name': 'grpc', ...(host === undefined ? {} : { 'server.address': host, 'server.port': Number(port) }),
  })
}

/** @param code such as `NotFound` @param why the status' message */
export function endCallSpan(span: Span, code: string, why = ''): void {
  const name = code === 'Canceled' ? 'CANCELLED' : code.replace(/(?<=[a-z])[A-Z]/g, '_$&').toUpperCase()
  span.end({ 'rpc.response.status_code': name }, serverFailures.has(code) ? why : undefined)
}
