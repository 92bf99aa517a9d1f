// An HTTP request that asks to go on in another protocol, and the answers to it, written on the bare socket.
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'

export interface UpgradeRequest {
  readonly request: IncomingMessage
  readonly socket: Duplex
  /** Bytes of the new protocol that came along. */
  readonly head: Buffer
}

const phrases: { readonly [code: number]: string } = {
  101: 'Switching Protocols', 400: 'Bad Request', 401: 'Unauthorized', 403: 'Forbidden', 404: 'Not Found', 405: 'Method Not Allowed', 429: 'Too Many Requests', 500: 'Internal Server Error',
  501: 'Not Implemented', 502: 'Bad Gateway', 503: 'Service Unavailable',
}

/** All values of a header that may be repeated or hold a comma-separated list. */
export function headerList(request: IncomingMessage, name: string): readonly string[] {
  return (request.headersDistinct[name] ?? []).flatMap((value) => value.split(',')).map((value) => value.trim()).filter((value) => value !== '')
}

export type UpgradeKind = 'spdy' | 'websocket'

export function upgradeKind(request: IncomingMessage): UpgradeKind | undefined {
  const upgrade = (request.headers.upgrade ?? '').toLowerCase()
  if (upgrade === 'websocket') return 'websocket'
  return upgrade.startsWith('spdy/3.1') ? 'spdy' : undefined
}

/** Refuses an upgrade with an ordinary answer. */
export function refuseUpgrade(socket: Duplex, code: number, body: string, headers: { readonly [name: string]: string } = {}): void {
  const bytes = Buffer.from(body)
  const lines = [`HTTP/1.1 ${code} ${phrases[code] ?? 'Error'}`, 'Connection: close', `Content-Type: ${headers['Content-Type'] ?? 'text/plain; charset=utf-8'}`, `Content-Length: ${bytes.length}`,
    ...Object.entries(headers).filter(([name]) => name !== 'Content-Type').map(([name, value]) => `${name}: ${value}`)]
  socket.on('error', () => {})
  socket.end(Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`), bytes]))
}

/** Answers 101 for SPDY. */
export function acceptSpdy({ socket, head }: UpgradeRequest, protocol: string): void {
  socket.on('error', () => {})
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: ${protocol}\r\n\r\n`)
  if (head.length > 0) socket.unshift(head)
}
