// Upgraded connections (exec, attach, port-forward): passed on to the kubelet byte by byte. The kubelet terminates the protocol, WebSocket or SPDY;
// what it answers, a refusal too, goes back to the client as it is.
// Upstream: apiserver/pkg/util/proxy, apimachinery/pkg/util/proxy/upgradeaware.go
import { connect as connectTcp } from 'node:net'
import type { Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { IncomingMessage } from 'node:http'
import { STATUS_CODES } from 'node:http'
import type { Answer, TunnelTarget } from '../endpoints/api-call.ts'
import { internalError } from '../endpoints/api-errors.ts'
import { encodeObject } from './encode-answer.ts'
import { asJson } from '../storage/stored-object.ts'

/** Of the client's headers these and `sec-websocket-*` are the kubelet's business. */
const passedOn: ReadonlySet<string> = new Set(['upgrade', 'connection', 'x-stream-protocol-version', 'user-agent', 'origin'])
const connectTimeoutMs = 30_000

export function joinConnections(request: IncomingMessage, client: Socket, head: Buffer, target: TunnelTarget): void {
  const { host, port, tlsOptions } = target
  const backend = target.tls ? connectTls({ host, port, ALPNProtocols: ['http/1.1'], servername: /^[\d.]+$|:/.test(host) ? '' : host, ...tlsOptions }) : connectTcp({ host, port })
  let joined = false
  const fail = (error: Error): void => {
    if (joined) { client.destroy(); return }
    joined = true
    const { status } = internalError(`error dialing backend: ${error.message}`)
    writeRawAnswer(client, { type: 'object', status: 500, object: asJson(status) }).catch(() => { client.destroy() })
  }
  backend.setTimeout(connectTimeoutMs, () => { if (!joined) backend.destroy(new Error(`dial tcp ${host}:${port}: i/o timeout`)) })
  backend.on('error', fail)
  client.on('error', () => { backend.destroy() })
  backend.once(target.tls ? 'secureConnect' : 'connect', () => {
    joined = true
    backend.setTimeout(0)
    backend.setNoDelay(true)
    const lines = [`${request.method ?? 'GET'} ${target.path} HTTP/1.1`, `Host: ${host.includes(':') ? `[${host}]` : host}:${port}`]
    for (let i = 0; i < request.rawHeaders.length; i += 2) {
      const name = request.rawHeaders[i] ?? ''
      const lower = name.toLowerCase()
      let value = request.rawHeaders[i + 1] ?? ''
      if (!passedOn.has(lower) && !lower.startsWith('sec-websocket-')) continue
      // A token that came as a subprotocol stays here.
      if (lower === 'sec-websocket-protocol') value = value.split(',').map((p) => p.trim()).filter((p) => !p.startsWith('base64url.bearer.authorization.k8s.io.')).join(', ')
      lines.push(`${name}: ${value}`)
    }
    backend.write(`${lines.join('\r\n')}\r\n\r\n`)
    if (head.length > 0) backend.write(head)
    client.setTimeout(0)
    backend.pipe(client)
    client.pipe(backend)
    client.on('close', () => { backend.destroy() })
    backend.on('close', () => { client.destroySoon() })
  })
}

/** An ordinary answer on a socket that HTTP has already let go of. */
export async function writeRawAnswer(socket: Socket, answer: Answer): Promise<void> {
  let status = 400
  let contentType = 'application/json'
  let body: Uint8Array = new Uint8Array()
  if (answer.type === 'object') { status = answer.status; body = encodeObject(answer.object, undefined, { mediaType: 'application/json', metaVersion: 'v1', pretty: false }) }
  else if (answer.type === 'bytes') { status = answer.status; contentType = answer.contentType; body = answer.bytes }
  else {
    if (answer.type === 'watch') answer.watcher[Symbol.dispose]()
    body = Buffer.from(JSON.stringify({ kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message: 'this request cannot be upgraded', reason: 'BadRequest', code: 400 }))
  }
  socket.end(Buffer.concat([Buffer.from(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\nContent-Type: ${contentType}\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n`), body]))
}
