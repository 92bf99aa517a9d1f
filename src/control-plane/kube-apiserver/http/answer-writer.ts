// Answers onto the wire: status, headers, and the body in the form that was negotiated. Large bodies go out in pieces; watches are written from a
// queue, everything that is ready in one piece, and cut when the client doesn't take it.
// Upstream: apiserver/pkg/endpoints/handlers/{responsewriters,watch}
import { createGzip, gzip } from 'node:zlib'
import { promisify } from 'node:util'
import type { JsonObject } from '../../../lib/base/json.ts'
import type { Answer, ApiCall } from '../endpoints/api-call.ts'
import { badRequest } from '../endpoints/api-errors.ts'
import { endWatchAfter } from '../endpoints/read.ts'
import type { ServerContext } from '../endpoints/server-context.ts'
import { errorAnswer } from '../filters/request-handler.ts'
import { encodeList, encodeObject, encodeStored, errorFrame, frameEncoder, includeObjectOf } from './encode-answer.ts'
import type { EncodeContext } from './encode-answer.ts'
import type { HttpResponse } from './https-server.ts'
import { negotiate, wantsPretty } from './negotiate.ts'
import type { AnswerShape, Negotiated } from './negotiate.ts'

export interface WriteJob {
  readonly server: ServerContext
  readonly response: HttpResponse
  readonly answer: Answer
  readonly call: ApiCall | undefined
  readonly headers: { readonly [name: string]: string }
  readonly query: URLSearchParams
  readonly method: string
  /** Aborted when the client has gone. */
  readonly done: AbortController
}

const gzipFrom = 128 * 1024
const pieceBytes = 256 * 1024
/** Deliveries that are put into one piece. */
const deliveriesPerTurn = 1000
/** A client that takes nothing for this long has lost its watch. */
const stuckMs = 10_000
const maxWarningCharacters = 4096
const gzipAsync = promisify(gzip)
const shapes: { readonly [T in Answer['type']]: AnswerShape } = { stored: 'object', object: 'plain', list: 'list', watch: 'watch', failedWatch: 'watch', bytes: 'plain', stream: 'plain', tunnel: 'plain' }

export async function writeAnswer(job: WriteJob): Promise<void> {
  const { answer, headers, query, server } = job
  if (answer.type === 'bytes' || answer.type === 'stream') { await writePlain(job, answer); return }
  let context: EncodeContext
  try {
    if (answer.type === 'tunnel') throw badRequest('Upgrade request required')
    const pretty = wantsPretty(query, headers['user-agent'] ?? '')
    let negotiated: Negotiated
    // A failure is told even to those who accept nothing that it could be told in.
    try { negotiated = negotiate(headers['accept'], shapes[answer.type], pretty) } catch (error) {
      if (answer.type === 'object' && answer.status >= 400) negotiated = { mediaType: 'application/json', metaVersion: 'v1', pretty: true }
      else throw error
    }
    context = { negotiated, nowMs: server.clock.now(), includeObject: negotiated.transform === 'Table' ? includeObjectOf(query) : 'Metadata' }
  } catch (error) {
    if (answer.type === 'watch') answer.watcher[Symbol.dispose]()
    const refusal = errorAnswer(error, server.logger)
    if (refusal.type === 'object') writeHead(job, refusal.status, { 'content-type': 'application/json' }).end(encodeObject(refusal.object, undefined, { mediaType: 'application/json', metaVersion: 'v1', pretty: true }))
    return
  }
  const contentType = { 'content-type': context.negotiated.mediaType }
  switch (answer.type) {
    case 'stored': await writeBytes(job, answer.status, contentType, encodeStored(answer.object, answer.resource, context)); return
    case 'object': {
      let bytes: Uint8Array
      try { bytes = encodeObject(answer.object, answer.messageType, context.negotiated) } catch {
        await writeBytes(job, answer.status, { 'content-type': 'application/json' }, encodeObject(answer.object, undefined, { mediaType: 'application/json', metaVersion: 'v1', pretty: false }))
        return
      }
      await writeBytes(job, answer.status, { ...contentType, ...retryAfter(answer.object), ...(answer.status === 403 && { 'x-content-type-options': 'nosniff' }) }, bytes)
      return
    }
    case 'list': await writeList(job, answer, context); return
    case 'failedWatch': {
      const response = writeHead(job, 200, watchHeaders(context.negotiated))
      response.end(errorFrame(answer.status, context.negotiated))
      return
    }
    case 'watch': await writeWatch(job, answer, context); return
  }
}

function writeHead(job: WriteJob, status: number, headers: { readonly [name: string]: string }): HttpResponse {
  const { response, call } = job
  response.statusCode = status
  for (const [name, value] of Object.entries(headers)) if (value !== '') response.setHeader(name, value)
  if (call && call.warnings.length > 0) response.setHeader('warning', warningHeaders(call.warnings))
  return response
}

function warningHeaders(warnings: readonly string[]): string[] {
  const unique = [...new Set(warnings)]
  const long = unique.reduce((sum, text) => sum + text.length, 0) > maxWarningCharacters
  // oxlint-disable-next-line no-control-regex
  return unique.map((text) => `299 - "${(long ? text.slice(0, 256) : text).replace(/[\\"]/g, '\\$&').replace(/[\u0000-\u001f\u007f]/g, ' ').replace(/[^\u0020-\u00ff]/g, '?')}"`)
}

function retryAfter(status: JsonObject): { readonly [name: string]: string } {
  const { retryAfterSeconds } = (status['details'] ?? {}) as { readonly retryAfterSeconds?: number } // cast: a Status or anything else
  return status['kind'] === 'Status' && typeof retryAfterSeconds === 'number' && retryAfterSeconds > 0 ? { 'retry-after': String(retryAfterSeconds) } : {}
}

const acceptsGzip = (headers: { readonly [name: string]: string }): boolean => /(?:^|,)\s*gzip\s*(?:;|,|$)/.test(headers['accept-encoding'] ?? '')

async function writeBytes(job: WriteJob, status: number, headers: { readonly [name: string]: string }, bytes: Uint8Array): Promise<void> {
  if (bytes.length > gzipFrom && acceptsGzip(job.headers)) {
    const packed = await gzipAsync(bytes, { level: 1 })
    writeHead(job, status, { ...headers, 'content-encoding': 'gzip', vary: 'Accept-Encoding', 'content-length': String(packed.length) }).end(job.method === 'HEAD' ? undefined : packed)
    return
  }
  writeHead(job, status, { ...headers, ...(status !== 304 && status !== 204 && { 'content-length': String(bytes.length) }) }).end(job.method === 'HEAD' || bytes.length === 0 ? undefined : bytes)
}

async function writePlain(job: WriteJob, answer: Extract<Answer, { type: 'bytes' | 'stream' }>): Promise<void> {
  if (answer.type === 'bytes') { await writeBytes(job, answer.status, { 'content-type': answer.contentType, ...answer.headers }, answer.bytes); return }
  const response = writeHead(job, answer.status, answer.headers)
  response.flushHeaders()
  try {
    for await (const piece of answer.stream) {
      if (job.done.signal.aborted) return
      if (piece.length > 0 && !write(response, piece)) await drained(job)
    }
    response.end()
  } catch (error) {
    if (job.done.signal.aborted) return
    job.server.logger.warn('A proxied stream broke', { reason: error instanceof Error ? error.message : String(error) })
    response.destroy()
  }
}

async function writeList(job: WriteJob, answer: Extract<Answer, { type: 'list' }>, context: EncodeContext): Promise<void> {
  const { response } = job
  const contentType = { 'content-type': context.negotiated.mediaType }
  const pieces = encodeList(answer, context, pieceBytes)
  const first = (await pieces.next()).value ?? new Uint8Array()
  const second = await pieces.next()
  if (second.done === true) { await writeBytes(job, 200, contentType, first); return }
  const packed = acceptsGzip(job.headers)
  writeHead(job, 200, { ...contentType, ...(packed && { 'content-encoding': 'gzip', vary: 'Accept-Encoding' }) })
  if (job.method === 'HEAD') { response.end(); return }
  if (packed) {
    const zip = createGzip({ level: 1 })
    zip.pipe(response)
    const put = async (piece: Uint8Array): Promise<void> => { if (!zip.write(piece)) await new Promise<void>((resolve) => { zip.once('drain', resolve); job.done.signal.addEventListener('abort', () => { resolve() }, { once: true }) }) }
    await put(first)
    await put(second.value)
    for await (const piece of pieces) { if (job.done.signal.aborted) return; await put(piece) }
    zip.end()
    return
  }
  for (const piece of [first, second.value]) if (!write(response, piece)) await drained(job)
  for await (const piece of pieces) {
    if (job.done.signal.aborted) return
    if (write(response, piece)) await new Promise<void>((resolve) => { setImmediate(resolve) })
    else await drained(job)
  }
  response.end()
}

/** @returns false when the client should first take what is there */
function write(response: HttpResponse, piece: Uint8Array): boolean {
  return response.write(piece)
}

/** Waits until the client has taken what was written; a client that takes nothing for too long is cut off. */
function drained(job: WriteJob): Promise<void> {
  const { response, done, server } = job
  return new Promise((resolve) => {
    const finish = (): void => {
      timer[Symbol.dispose]()
      response.off('drain', finish)
      done.signal.removeEventListener('abort', finish)
      resolve()
    }
    const timer = server.clock.setTimer(stuckMs, () => { response.destroy(); done.abort(); finish() }, { keepAlive: false })
    response.on('drain', finish)
    done.signal.addEventListener('abort', finish, { once: true })
    if (done.signal.aborted) finish()
  })
}

const watchHeaders = ({ mediaType }: Negotiated): { readonly [name: string]: string } => ({
  'content-type': mediaType === 'application/vnd.kubernetes.protobuf' ? 'application/vnd.kubernetes.protobuf;stream=watch' : 'application/json',
})

async function writeWatch(job: WriteJob, answer: Extract<Answer, { type: 'watch' }>, context: EncodeContext): Promise<void> {
  const { response, done, server } = job
  const { watcher, resource } = answer
  const encode = frameEncoder(resource, context)
  writeHead(job, 200, watchHeaders(context.negotiated)).flushHeaders()
  void endWatchAfter(server, answer, done.signal)
  let wake: (() => void) | undefined
  const ready = (): void => { const w = wake; wake = undefined; w?.() }
  watcher.onReady = ready
  done.signal.addEventListener('abort', ready, { once: true })
  try {
    while (!done.signal.aborted) {
      if (!watcher.hasWork) {
        if (watcher.ended !== undefined) break
        await new Promise<void>((resolve) => { wake = resolve })
        // Whatever else happens in this turn of the loop goes out with it.
        await new Promise<void>((resolve) => { setImmediate(resolve) })
        continue
      }
      const batch = watcher.take(deliveriesPerTurn)
      let frames: Uint8Array[] = []
      let size = 0
      for (const delivery of batch) {
        const frame = encode(delivery)
        frames.push(frame)
        size += frame.length
        if (size < pieceBytes) continue
        if (!write(response, frames.length === 1 ? frame : Buffer.concat(frames, size))) await drained(job)
        else await new Promise<void>((resolve) => { setImmediate(resolve) })
        if (done.signal.aborted) break
        frames = []
        size = 0
      }
      if (size > 0 && !done.signal.aborted && !write(response, frames.length === 1 ? frames[0] ?? new Uint8Array() : Buffer.concat(frames, size))) await drained(job)
    }
    response.end()
  } finally {
    done.signal.removeEventListener('abort', ready)
    watcher[Symbol.dispose]()
    done.abort()
  }
}
