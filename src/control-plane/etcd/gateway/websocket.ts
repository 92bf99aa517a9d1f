// The gateway over WebSocket: each message of the client is one JSON message of the call, each line of the answer a message back. For browsers, and
// for streams that take more than one message (a watch that is canceled, leases that are kept alive).
//
// The token comes in the protocol header (`Bearer, <token>`), in the cookie `token`, or in the header that it has elsewhere.
// Upstream: github.com/tmc/grpc-websocket-proxy
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { WebSocketServer, type RawData, type WebSocket } from 'ws'
import type { GrpcServerCall, GrpcStreamSink, PlainSink } from '../../../lib/net/grpc/grpc-server.ts'
import { GrpcError, statusOfError } from '../../../lib/net/grpc/status.ts'
import { corsHeaders, refuseAccess, type AccessCircumstances, type AccessRules } from './access-control.ts'
import { errorBody, GatewayCall } from './gateway-call.ts'
import { encodeJson, type Gateway, type GatewayMethod } from './gateway.ts'
import { readDocuments } from './json-node.ts'

type UnaryHandler = (request: Uint8Array, call: GrpcServerCall) => Uint8Array | Promise<Uint8Array>

export interface GatewaySocketOptions {
  readonly gateway: Gateway
  readonly rules: AccessRules
  readonly circumstances: () => AccessCircumstances
  readonly maxMessageBytes: number
  /** Aborted when the server ends. */
  readonly signal: AbortSignal
}

export type UpgradeHandler = (request: IncomingMessage, socket: Duplex, head: Buffer, clientCommonName: string | undefined) => void

export function gatewaySockets({ gateway, rules, circumstances, maxMessageBytes, signal }: GatewaySocketOptions): UpgradeHandler {
  const server = new WebSocketServer({ noServer: true, maxPayload: maxMessageBytes, handleProtocols: (offered) => ([...offered].some((name) => name.startsWith('Bearer')) ? 'Bearer' : false) })
  signal.addEventListener('abort', () => { for (const client of server.clients) client.terminate() }, { once: true })
  return (request, socket, head, clientCommonName) => {
    socket.on('error', () => socket.destroy())
    const target = request.url ?? '/'
    const refusal = refuseAccess(rules, circumstances(), { path: target, headers: request.headers, clientCommonName })
    if (refusal) { answerPlainly(socket, refusal.status, refusal.body, corsHeaders(rules, { headers: request.headers })); return }
    const method = gateway.open(target)
    if (!method) { answerPlainly(socket, 404, errorBody({ code: 'NotFound', message: 'Not Found' }), corsHeaders(rules, { headers: request.headers })); return }
    server.handleUpgrade(request, socket, head, (client) => serve(client, request, method))
  }
}

function answerPlainly(socket: Duplex, status: number, body: string, headers: { readonly [name: string]: string }): void {
  const reasons: { readonly [status: number]: string } = { 400: 'Bad Request', 404: 'Not Found', 421: 'Misdirected Request' }
  const lines = Object.entries({ ...headers, 'content-type': 'text/plain; charset=utf-8', 'content-length': String(Buffer.byteLength(body)), connection: 'close' }).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.end(`HTTP/1.1 ${status} ${reasons[status] ?? 'Error'}\r\n${lines.join('')}\r\n${body}`)
}

/** What says who calls, wherever it stands. */
function headersOf(request: IncomingMessage): IncomingMessage['headers'] {
  const protocol = request.headers['sec-websocket-protocol']
  const bearer = protocol?.includes('Bearer,') ? protocol.slice(protocol.indexOf('Bearer,') + 'Bearer,'.length).trim() : undefined
  const cookie = /(?:^|;\s*)token=([^;]*)/.exec(request.headers.cookie ?? '')?.[1]
  const token = cookie ?? bearer
  return token === undefined ? request.headers : { ...request.headers, authorization: `Bearer ${token}` }
}

class SocketSink implements PlainSink {
  onDrain: (() => void) | undefined
  readonly #client: WebSocket
  constructor(client: WebSocket) { this.#client = client }

  get queuedBytes(): number { return this.#client.bufferedAmount }

  write(text: string): void {
    for (const line of text.split('\n')) if (line !== '') this.#client.send(line, () => { if (this.#client.bufferedAmount === 0) this.onDrain?.() })
  }
}

function serve(client: WebSocket, request: IncomingMessage, gatewayMethod: GatewayMethod): void {
  const { handler, method, path } = gatewayMethod
  const gone = new AbortController()
  client.on('close', () => gone.abort(new GrpcError('Canceled', 'context canceled')))
  client.on('error', () => client.terminate())
  const isUnary = 'unary' in handler
  const call = new GatewayCall(path, { headers: headersOf(request), signal: gone.signal }, (bytes) => (isUnary ? encodeJson(method, bytes) : `{"result":${encodeJson(method, bytes)}}\n`), gatewayMethod.ended)
  const out = new SocketSink(client)
  const take = isUnary ? takeOne(handler.unary, call) : takeAll(handler.stream(call))
  client.on('message', (data: RawData) => {
    try {
      for (const document of readDocuments(Buffer.isBuffer(data) ? data : Buffer.from(data as ArrayBuffer))) take(gatewayMethod.encodeRequest(document)) // cast: messages come as one buffer
    } catch (error) {
      call.fail(error)
    }
  })
  void call.pipe(out).then(() => {
    if (call.failure && !call.hasOutput) out.write(errorBody(statusOfError(call.failure)))
    client.close()
  })
}

function takeAll(sink: GrpcStreamSink): (message: Uint8Array) => void { return (message) => sink.message(message) }

/** The first message is the request; the answer ends the call. */
function takeOne(unary: UnaryHandler, call: GatewayCall): (message: Uint8Array) => void {
  let taken = false
  return (message) => {
    if (taken) return
    taken = true
    Promise.resolve(unary(message, call)).then((answer) => { call.send(answer); call.end() }, (error: unknown) => call.fail(error))
  }
}
