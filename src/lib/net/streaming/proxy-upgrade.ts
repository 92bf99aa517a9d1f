// Hands an upgraded connection on to another server: sends the same upgrade there, copies its answer back, then joins both byte streams.
// Upstream: apimachinery/pkg/util/proxy/upgradeaware.go
import { connect as connectPlain } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { ConnectionOptions } from 'node:tls'
import type { Socket } from 'node:net'
import { refuseUpgrade } from './upgrade-request.ts'
import { joinDuplexes } from './serve-port-forward.ts'
import type { UpgradeRequest } from './upgrade-request.ts'

export interface UpgradeTarget {
  readonly host: string
  readonly port: number
  /** Path and query. */
  readonly path: string
  /** Absent: plain HTTP. */
  readonly tls?: ConnectionOptions
  /** Added to the request, replacing what the client sent under these (lower-case) names. */
  readonly headers?: { readonly [name: string]: string }
}

/** Never handed on: they belong to one hop or prove who the client is to us. */
const ownHeaders = new Set(['host', 'authorization', 'content-length', 'transfer-encoding', 'x-remote-user', 'x-remote-group'])

/** Resolves when the connection is over. When the target can't be reached the client gets 502. */
export async function proxyUpgrade({ request, socket, head }: UpgradeRequest, target: UpgradeTarget, signal: AbortSignal): Promise<void> {
  socket.on('error', () => {})
  let upstream: Socket
  try {
    upstream = await dial(target, signal)
  } catch (error) {
    refuseUpgrade(socket, 502, `error dialing backend: ${error instanceof Error ? error.message : String(error)}`)
    return
  }
  const lines = [`${request.method} ${target.path} HTTP/1.1`, `Host: ${target.host}:${target.port}`]
  for (const [name, values] of Object.entries(request.headersDistinct)) {
    if (ownHeaders.has(name) || (target.headers && name in target.headers)) continue
    for (const value of values ?? []) lines.push(`${name}: ${value}`)
  }
  for (const [name, value] of Object.entries(target.headers ?? {})) lines.push(`${name}: ${value}`)
  upstream.write(`${lines.join('\r\n')}\r\n\r\n`)
  if (head.length > 0) upstream.write(head)
  await joinDuplexes(socket, upstream, signal)
}

function dial(target: UpgradeTarget, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const { host, port } = target
    const onAbort = (): void => { made.destroy(); reject(signal.reason) }
    const done = (): void => { signal.removeEventListener('abort', onAbort); resolve(made) }
    const made: Socket = target.tls ? connectTls({ host, port, ALPNProtocols: ['http/1.1'], ...target.tls }, done) : connectPlain({ host, port, allowHalfOpen: true }, done)
    signal.addEventListener('abort', onAbort, { once: true })
    made.once('error', reject)
  })
}
