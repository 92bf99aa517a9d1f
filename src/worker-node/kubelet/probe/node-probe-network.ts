// Probes over the real network: HTTP(S) by node:http, TCP by node:net, gRPC health checks over node:http2 (one unary call needs no library).
// Upstream: pkg/probe/{http,tcp,grpc}
import { connect as connectHttp2 } from 'node:http2'
import { request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import { connect as connectTcp } from 'node:net'
import type { Clock } from '../../../lib/base/clock.ts'
import type { HttpProbeRequest, ProbeAnswer, ProbeNetwork } from './probe-network.ts'

const userAgent = 'kube-probe/1.37'
const mostBody = 10 * 1024

export function createNodeProbeNetwork(clock: Clock): ProbeNetwork {
  /** Runs `start`, whose `finish` ends it; `onTimeout` tears it down. */
  const bounded = (timeoutMs: number, signal: AbortSignal, timeoutDetail: string, start: (finish: (answer: ProbeAnswer) => void) => () => void): Promise<ProbeAnswer> =>
    new Promise((resolve, reject) => {
      let tearDown: () => void = () => {}
      let over = false
      const end = (act: () => void): void => {
        if (over) return
        over = true
        timer[Symbol.dispose]()
        signal.removeEventListener('abort', onAbort)
        act()
        tearDown()
      }
      const onAbort = (): void => end(() => reject(signal.reason))
      const timer = clock.setTimer(timeoutMs, () => end(() => resolve({ result: 'failure', detail: timeoutDetail })), { keepAlive: false })
      signal.addEventListener('abort', onAbort, { once: true })
      tearDown = start((answer) => end(() => resolve(answer)))
      if (over) tearDown()
    })

  return {
    http(request, _target, signal) {
      const url = urlOf(request, request.path)
      return bounded(request.timeoutMs, signal, `Get "${url}": context deadline exceeded (Client.Timeout exceeded while awaiting headers)`, (finish) => sendHttp(request, request.path, 0, finish))
    },
    tcp(host, port, timeoutMs, _target, signal) {
      const address = `${host.includes(':') ? `[${host}]` : host}:${port}`
      return bounded(timeoutMs, signal, `dial tcp ${address}: i/o timeout`, (finish) => {
        const socket = connectTcp({ host, port })
        socket.once('connect', () => finish({ result: 'success', detail: '' }))
        socket.once('error', (error) => finish({ result: 'failure', detail: `dial tcp ${address}: ${describeSocketError(error)}` }))
        return () => socket.destroy()
      })
    },
    grpc(host, port, service, timeoutMs, _target, signal) {
      const address = `${host.includes(':') ? `[${host}]` : host}:${port}`
      return bounded(timeoutMs, signal, `timeout: failed to connect service "${address}" within ${timeoutMs / 1000}s: context deadline exceeded`, (finish) => checkGrpc(address, service, finish))
    },
  }
}

function urlOf(request: HttpProbeRequest, path: string): string {
  const host = request.host.includes(':') ? `[${request.host}]` : request.host
  return `${request.scheme.toLowerCase()}://${host}:${request.port}${path}`
}

function describeSocketError(error: Error): string {
  const code = 'code' in error ? error.code : ''
  return code === 'ECONNREFUSED' ? 'connect: connection refused' : code === 'EHOSTUNREACH' ? 'connect: no route to host' : error.message
}

function sendHttp(request: HttpProbeRequest, path: string, redirects: number, finish: (answer: ProbeAnswer) => void): () => void {
  const headers: Record<string, string> = { 'user-agent': userAgent, accept: '*/*', connection: 'close' }
  for (const { name, value } of request.headers) headers[name.toLowerCase()] = value
  const url = urlOf(request, path)
  const options = { host: request.host, port: request.port, path, method: 'GET', headers, agent: false as const }
  let inner: () => void = () => {}
  const sent = request.scheme === 'HTTPS' ? requestHttps({ ...options, rejectUnauthorized: false }) : requestHttp(options)
  sent.on('response', (response) => {
    const status = response.statusCode ?? 0
    const location = response.headers.location
    if (status >= 300 && status < 400 && location !== undefined && redirects < 10) {
      response.resume()
      let target: URL
      try {
        target = new URL(location, url)
      } catch {
        finish({ result: 'failure', detail: `Get "${url}": failed to parse Location header "${location}"` })
        return
      }
      if (target.hostname.replace(/^\[|\]$/g, '') !== request.host) {
        finish({ result: 'warning', detail: `Probe terminated redirects, Response body: ` })
        return
      }
      const port = Number(target.port) || (target.protocol === 'https:' ? 443 : 80)
      inner = sendHttp({ ...request, scheme: target.protocol === 'https:' ? 'HTTPS' : 'HTTP', port }, `${target.pathname}${target.search}`, redirects + 1, finish)
      return
    }
    const chunks: Buffer[] = []
    let length = 0
    response.on('data', (chunk: Buffer) => { if (length < mostBody) { chunks.push(chunk); length += chunk.length } })
    const done = (): void => {
      const body = Buffer.concat(chunks).subarray(0, mostBody).toString('utf8')
      if (status >= 200 && status < 400) finish({ result: 'success', detail: body })
      else finish({ result: 'failure', detail: `HTTP probe failed with statuscode: ${status}` })
    }
    response.on('end', done)
    response.on('error', done)
  })
  sent.on('error', (error) => finish({ result: 'failure', detail: `Get "${url}": dial tcp ${request.host}:${request.port}: ${describeSocketError(error)}` }))
  sent.end()
  return () => { sent.destroy(); inner() }
}

/** grpc.health.v1.Health/Check: field 1 of the request is the service, field 1 of the answer the status, 1 being SERVING. */
function checkGrpc(address: string, service: string, finish: (answer: ProbeAnswer) => void): () => void {
  const session = connectHttp2(`http://${address}`)
  session.on('error', (error) => finish({ result: 'failure', detail: `error: failed to connect service at "${address}": ${describeSocketError(error)}` }))
  const name = Buffer.from(service)
  const message = service === '' ? Buffer.alloc(0) : Buffer.concat([Buffer.from([0x0a, name.length]), name])
  const frame = Buffer.alloc(5)
  frame.writeUInt32BE(message.length, 1)
  const stream = session.request({ ':method': 'POST', ':path': '/grpc.health.v1.Health/Check', 'content-type': 'application/grpc', te: 'trailers', 'user-agent': userAgent })
  const chunks: Buffer[] = []
  let status = ''
  let problem = ''
  stream.on('response', (headers) => { status = String(headers['grpc-status'] ?? ''); problem = String(headers['grpc-message'] ?? '') })
  stream.on('trailers', (headers) => { status = String(headers['grpc-status'] ?? status); problem = String(headers['grpc-message'] ?? problem) })
  stream.on('data', (chunk: Buffer) => { if (chunks.length < 64) chunks.push(chunk) })
  stream.on('error', (error) => finish({ result: 'failure', detail: `error: health rpc probe failed: ${error.message}` }))
  stream.on('end', () => {
    // The trailers may follow the end of the data within the same turn.
    setImmediate(() => {
      const body = Buffer.concat(chunks)
      const serving = body.length >= 7 && body[5] === 0x08 ? body[6] : 0
      if (status === '0' && serving === 1) finish({ result: 'success', detail: 'service healthy' })
      else if (status === '0') finish({ result: 'failure', detail: `service unhealthy (responded with "${serving === 2 ? 'NOT_SERVING' : serving === 3 ? 'SERVICE_UNKNOWN' : 'UNKNOWN'}")` })
      else finish({ result: 'failure', detail: status === '12' ? 'error: this server does not implement the grpc health protocol (grpc.health.v1.Health)' : `error: health rpc probe failed: rpc error: code = ${status} desc = ${problem}` })
    })
  })
  stream.end(Buffer.concat([frame, message]))
  return () => { stream.close(); session.destroy() }
}
