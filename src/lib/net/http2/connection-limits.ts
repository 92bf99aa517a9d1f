// What a peer may make a connection hold or do, and the small checks of frames. Upstream: RFC 9113, section 10.5
import { errorCodes, flags, Http2Error } from './frame-format.ts'
import { encodeHeaders } from './hpack.ts'

export const streamWindowBytes = 4 * 1024 * 1024
export const connectionWindowBytes = 64 * 1024 * 1024
export const handshakeTimeoutMs = 10_000
export const continuationLimit = 128
export const memoLimit = 256
export const rememberedResets = 2048
/** What a peer may do at once and per second: clients that give many calls up stay below, a rapid reset does not. */
export const limits = { resets: [2000, 200], controls: [20_000, 10_000] } as const
export const tooLargeHeaders = encodeHeaders([[':status', '431']])

export function violation(message: string): Http2Error { return new Http2Error(errorCodes.protocolError, message) }

/** Where the content of a padded frame begins and ends. */
export function unpad(frameFlags: number, bytes: Buffer, start: number, end: number): [from: number, to: number] {
  if ((frameFlags & flags.padded) === 0) return [start, end]
  const padding = bytes[start]
  if (padding === undefined || end <= start) throw new Http2Error(errorCodes.frameSizeError, 'padded frame too short')
  if (padding >= end - start) throw violation('more padding than content')
  return [start + 1, end - padding]
}
