// Spans as OpenTelemetry's collectors take them: one message of opentelemetry.proto.collector.trace.v1, written by hand.
// Upstream: github.com/open-telemetry/opentelemetry-proto
import { WireWriter } from '../../base/protobuf/wire-writer.ts'
import type { FinishedSpan } from './span.ts'

export const exportPath = '/opentelemetry.proto.collector.trace.v1.TraceService/Export'

type Attributes = { readonly [name: string]: string | number }

const serverKind = 2
const errorStatus = 2
/** The span's trace is sampled, and whether its parent is in another process is known. */
const sampledFlag = 0x01
const knownRemoteFlag = 0x100
const remoteFlag = 0x200

/** @param resource what is true of all of them: the service's name */
export function encodeSpans(spans: readonly FinishedSpan[], resource: Attributes, scope: { readonly name: string; readonly version: string }): Uint8Array {
  const writer = new WireWriter(1024 + spans.length * 256)
  nested(writer, 1, (resourceSpans) => {
    nested(resourceSpans, 1, (w) => writeAttributes(w, 1, resource))
    nested(resourceSpans, 2, (scopeSpans) => {
      nested(scopeSpans, 1, (w) => { text(w, 1, scope.name); text(w, 2, scope.version) })
      for (const span of spans) nested(scopeSpans, 2, (w) => writeSpan(w, span))
    })
  })
  return writer.finish()
}

function writeSpan(w: WireWriter, { context, parentSpanId, name, startNs, endNs, attributes, error }: FinishedSpan): void {
  blob(w, 1, context.traceId)
  blob(w, 2, context.spanId)
  if (parentSpanId) blob(w, 4, parentSpanId)
  text(w, 5, name)
  w.tag(6, 0)
  w.varint(serverKind)
  fixed64(w, 7, startNs)
  fixed64(w, 8, endNs)
  writeAttributes(w, 9, attributes)
  if (error !== undefined) {
    nested(w, 15, (status) => {
      text(status, 2, error)
      status.tag(3, 0)
      status.varint(errorStatus)
    })
  }
  w.tag(16, 5)
  w.fixed32(sampledFlag | knownRemoteFlag | (parentSpanId ? remoteFlag : 0))
}

function writeAttributes(w: WireWriter, field: number, attributes: Attributes): void {
  for (const [key, value] of Object.entries(attributes)) {
    nested(w, field, (pair) => {
      text(pair, 1, key)
      nested(pair, 2, (any) => {
        if (typeof value === 'string') text(any, 1, value)
        else {
          any.tag(3, 0)
          any.varint(value)
        }
      })
    })
  }
}

function nested(w: WireWriter, field: number, write: (inner: WireWriter) => void): void {
  w.tag(field, 2)
  w.nested(write)
}

function text(w: WireWriter, field: number, value: string): void {
  w.tag(field, 2)
  w.string(value)
}

function blob(w: WireWriter, field: number, value: Uint8Array): void {
  w.tag(field, 2)
  w.bytes(value)
}

function fixed64(w: WireWriter, field: number, value: bigint): void {
  w.tag(field, 1)
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setBigUint64(0, value, true)
  w.raw(bytes)
}
