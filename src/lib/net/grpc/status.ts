// gRPC's status codes, the error that carries one, and how both travel in trailers. Upstream: github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md

export const grpcCodes = [
  'OK', 'Canceled', 'Unknown', 'InvalidArgument', 'DeadlineExceeded', 'NotFound', 'AlreadyExists', 'PermissionDenied', 'ResourceExhausted', 'FailedPrecondition',
  'Aborted', 'OutOfRange', 'Unimplemented', 'Internal', 'Unavailable', 'DataLoss', 'Unauthenticated',
] as const

/** The codes by Go's names; the position in the list is the number on the wire. */
export type GrpcCode = (typeof grpcCodes)[number]

const numbers: ReadonlyMap<string, number> = new Map(grpcCodes.map((code, number) => [code, number]))

export function codeNumber(code: GrpcCode): number { return numbers.get(code) ?? 2 }
export function codeName(number: number): GrpcCode { return grpcCodes[number] ?? 'Unknown' }
function isCode(text: unknown): text is GrpcCode { return typeof text === 'string' && numbers.has(text) }

/** A call ended with a status other than OK. */
export class GrpcError extends Error {
  override readonly name = 'GrpcError'
  readonly code: GrpcCode
  constructor(code: GrpcCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** The server has not seen the call: it may be made again, whatever it does. */
export class GrpcNotSentError extends GrpcError {}

export interface GrpcStatus { readonly code: GrpcCode; readonly message: string }

/** The status that an error of an implementation becomes: its `code` or `reason` when that names a gRPC code, else Unknown with its text. */
export function statusOfError(error: unknown): GrpcStatus {
  if (!(error instanceof Error)) return { code: 'Unknown', message: String(error) }
  const { code, reason } = error as Error & { readonly code?: unknown; readonly reason?: unknown } // cast: reading properties that may be absent
  if (isCode(code)) return { code, message: error.message }
  if (isCode(reason)) return { code: reason, message: error.message }
  if (error.name === 'AbortError') return { code: 'Canceled', message: 'context canceled' }
  if (error.name === 'TimeoutError') return { code: 'DeadlineExceeded', message: 'context deadline exceeded' }
  return { code: 'Unknown', message: error.message }
}

/** A status message as a header value: everything but printable ASCII, and the percent sign, is percent-encoded UTF-8. */
export function encodeStatusMessage(message: string): string {
  if (/^[ -$&-~]*$/.test(message)) return message
  let out = ''
  for (const byte of Buffer.from(message)) out += byte >= 0x20 && byte < 0x7f && byte !== 0x25 ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
  return out
}

/** The text again; what is not valid encoding stays as it is. */
export function decodeStatusMessage(value: string): string {
  if (!value.includes('%')) return value
  const bytes: number[] = []
  for (let i = 0; i < value.length; i++) {
    const hex = value[i] === '%' ? value.slice(i + 1, i + 3) : ''
    if (/^[0-9a-fA-F]{2}$/.test(hex)) { bytes.push(Number.parseInt(hex, 16)); i += 2 } else bytes.push(...Buffer.from(value[i] ?? ''))
  }
  return Buffer.from(bytes).toString('utf8')
}

const timeoutUnitsMs: { readonly [unit: string]: number } = { n: 1e-6, u: 1e-3, m: 1, S: 1000, M: 60_000, H: 3_600_000 }

/** Milliseconds of a `grpc-timeout` header; undefined when it is none. */
export function parseTimeout(value: string): number | undefined {
  const match = /^(\d{1,8})([HMSmun])$/.exec(value)
  return match ? Number(match[1]) * timeoutUnitsMs[match[2]!]! : undefined // cast: the pattern has two groups and names known units
}

export function formatTimeout(timeoutMs: number): string {
  const ms = Math.max(0, Math.ceil(timeoutMs))
  return ms < 1e8 ? `${ms}m` : `${Math.min(99_999_999, Math.ceil(ms / 1000))}S`
}

/** The code for an answer that is not gRPC at all. */
export function codeOfHttpStatus(status: number): GrpcCode {
  switch (status) {
    case 400: return 'Internal'
    case 401: return 'Unauthenticated'
    case 403: return 'PermissionDenied'
    case 404: return 'Unimplemented'
    case 429: case 502: case 503: case 504: return 'Unavailable'
    default: return 'Unknown'
  }
}
