import { test } from 'node:test'
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { get } from 'node:http'
import { get as getTls } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { realClock } from '../../async/real-clock.ts'
import { realRandom } from '../../async/real-random.ts'
import type { Proto3Table } from '../../base/protobuf/proto3.ts'
import { createAuthority, issueCertificate } from '../pki/certificates.ts'
import { GrpcChannel } from './grpc-channel.ts'
import { createGrpcClient } from './grpc-client.ts'
import { serveGrpc, type GrpcServer, type GrpcServerOptions } from './grpc-server.ts'
import { MessageReader, frameMessage } from './message-frames.ts'
import { serviceHandlers } from './service-handlers.ts'
import type { GrpcService } from './service.ts'
import { decodeStatusMessage, encodeStatusMessage, formatTimeout, GrpcError, parseTimeout } from './status.ts'

interface Text { readonly text?: string; readonly count?: number }
interface Echo {
  say(request: Text, signal: AbortSignal): Promise<Text>
  repeat(request: Text, signal: AbortSignal): AsyncIterable<Text>
  join(requests: AsyncIterable<Text>, signal: AbortSignal): Promise<Text>
  chat(requests: AsyncIterable<Text>, signal: AbortSignal): AsyncIterable<Text>
}
const table: Proto3Table = { Text: [{ name: 'text', number: 1, type: 'string' }, { name: 'count', number: 2, type: 'int64' }] }
const text = { request: 'Text', response: 'Text' }
const service: GrpcService = {
  name: 'test.Echo', table,
  methods: { Say: text, Repeat: { ...text, responseStream: true }, Join: { ...text, requestStream: true }, Chat: { ...text, requestStream: true, responseStream: true }, Missing: text },
}
const signal = new AbortController().signal
const aborts: string[] = []
const echo: Echo = {
  say: async (request, callSignal) => {
    if (request.text === 'fail') throw new GrpcError('FailedPrecondition', 'nicht möglich: 100 %')
    if (request.text === 'hang') await new Promise((_, reject) => { callSignal.addEventListener('abort', () => { aborts.push(String((callSignal.reason as GrpcError).code)); reject(callSignal.reason) }) })
    return { text: `${request.text}!` }
  },
  repeat: async function* (request, callSignal) {
    for (let i = 0; i < (request.count ?? 0) && !callSignal.aborted; i++) yield { text: request.text ?? '', count: i }
  },
  join: async (requests) => {
    const all: string[] = []
    for await (const request of requests) all.push(request.text ?? '')
    return { text: all.join('+') }
  },
  chat: async function* (requests) { for await (const request of requests) yield { text: `re: ${request.text}` } },
}

async function start(options: Partial<GrpcServerOptions> = {}): Promise<{ readonly server: GrpcServer; readonly target: string }> {
  const server = await serveGrpc({ clock: realClock, listen: [{ host: '127.0.0.1', port: 0 }], handlers: serviceHandlers(service, echo), ...options })
  const address = server.addresses[0]
  assert.ok(address && 'port' in address)
  return { server, target: `http://127.0.0.1:${address.port}` }
}

test('the four kinds of calls, over TCP', async () => {
  const { server, target } = await start()
  await using closing = server
  void closing
  using channel = new GrpcChannel({ target, clock: realClock })
  const client = createGrpcClient<Echo>(channel, service)
  assert.deepEqual(await client.say({ text: 'hello' }, signal), { text: 'hello!' })
  const seen: number[] = []
  for await (const item of client.repeat({ text: 'x'.repeat(2000), count: 2000 }, signal)) seen.push(item.count ?? 0)
  assert.equal(seen.length, 2000)
  assert.equal(seen.at(-1), 1999)
  async function* words(): AsyncGenerator<Text> { yield { text: 'a' }; yield { text: 'b' } }
  assert.deepEqual(await client.join(words(), signal), { text: 'a+b' })
  const answers: string[] = []
  for await (const answer of client.chat(words(), signal)) answers.push(answer.text ?? '')
  assert.deepEqual(answers, ['re: a', 're: b'])
  let first = 0
  for await (const item of client.repeat({ text: 'x'.repeat(5000), count: 1_000_000 }, signal)) { first = item.count ?? 0; if (first === 3) break }
  assert.equal(first, 3, 'leaving the loop cancels the call')
})

test('statuses: codes, percent-encoded messages, unknown methods, deadline, cancellation, message limit', async () => {
  const { server, target } = await start({ maxMessageBytes: 1000 })
  await using closing = server
  void closing
  using channel = new GrpcChannel({ target, clock: realClock })
  const client = createGrpcClient<Echo & { missing(request: Text, signal: AbortSignal): Promise<Text> }>(channel, service)
  await assert.rejects(client.say({ text: 'fail' }, signal), { code: 'FailedPrecondition', message: 'nicht möglich: 100 %' })
  await assert.rejects(client.missing({}, signal), { code: 'Unimplemented' })
  await assert.rejects(client.say({ text: 'x'.repeat(2000) }, signal), { code: 'ResourceExhausted', message: 'grpc: received message larger than max (2003 vs. 1000)' })
  await assert.rejects(channel.unary('/no.Service/X', new Uint8Array(0), { signal }), { code: 'Unimplemented', message: 'unknown service no.Service' })
  const limited = createGrpcClient<Echo>(channel, service, { timeoutMs: 30 })
  await assert.rejects(limited.say({ text: 'hang' }, signal), { code: 'DeadlineExceeded' })
  const abort = new AbortController()
  const hanging = client.say({ text: 'hang' }, abort.signal)
  setTimeout(() => abort.abort(), 20)
  await assert.rejects(hanging, { code: 'Canceled' })
  for (let i = 0; i < 100 && aborts.length < 2; i++) await new Promise((resolve) => setTimeout(resolve, 5))
  assert.equal(aborts.length, 2, 'the implementation saw both ends')
  await assert.rejects(createGrpcClient<Echo>(new GrpcChannel({ target: 'http://127.0.0.1:1', clock: realClock }), service).say({}, signal), { code: 'Unavailable' })
})

test('a unix socket, a stale socket file, reconnection after the server has gone', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'k8ts-grpc-'))
  try {
    const path = join(folder, 'a.sock')
    const options = { listen: [{ path, mode: 0o600 }] }
    const first = await start2(options)
    using channel = new GrpcChannel({ target: `unix://${path}`, clock: realClock })
    const client = createGrpcClient<Echo>(channel, service, { toError: (error) => new RangeError(error.code) })
    assert.deepEqual(await client.say({ text: 'a' }, signal), { text: 'a!' })
    await first[Symbol.asyncDispose]()
    await assert.rejects(client.say({ text: 'b' }, signal), RangeError)
    await using second = await start2(options)
    void second
    assert.deepEqual(await client.say({ text: 'c' }, signal), { text: 'c!' })
  } finally {
    rmSync(folder, { recursive: true })
  }
})

function start2(options: Partial<GrpcServerOptions>): Promise<GrpcServer> {
  return serveGrpc({ clock: realClock, listen: [], handlers: serviceHandlers(service, echo), ...options })
}

test('plain HTTP on the same port', async () => {
  const { server, target } = await start({ onHttp: (request) => ({ status: 200, body: `${request.method} ${request.path}` }) })
  await using closing = server
  void closing
  const body = await new Promise<string>((resolve, reject) => {
    get(`${target}/health?x=1`, { agent: false }, (response) => { response.setEncoding('utf8').once('data', resolve) }).on('error', reject)
  })
  assert.equal(body, 'GET /health?x=1')
})

test('TLS: HTTP/2 and HTTP/1.1 on one port, and nobody without a certificate', async () => {
  const now = Date.now()
  const validity = { notBeforeMs: now - 60_000, notAfterMs: now + 3_600_000 }
  const authority = createAuthority('ca', validity, realRandom)
  const issue = (commonName: string) => issueCertificate(authority, 'ca', { subject: { commonName }, names: ['127.0.0.1', 'localhost'], usages: ['server', 'client'], random: realRandom, ...validity })
  const [serving, mine] = [issue('server'), issue('client')]
  const { server, target } = await start({
    tls: { cert: serving.certificatePem, key: serving.keyPem, ca: authority.certificatePem, requireClientCertificate: true }, onHttp: (request) => ({ status: 200, body: request.path }),
  })
  await using closing = server
  void closing
  const url = target.replace('http:', 'https:')
  const tls = { ca: authority.certificatePem, cert: mine.certificatePem, key: mine.keyPem }
  using channel = new GrpcChannel({ target: url, clock: realClock, tls })
  const client = createGrpcClient<Echo>(channel, service)
  assert.deepEqual(await client.say({ text: 'a' }, signal), { text: 'a!' })
  assert.deepEqual(await Promise.all([1, 2, 3].map((n) => client.say({ text: `${n}` }, signal))), [{ text: '1!' }, { text: '2!' }, { text: '3!' }])
  await assert.rejects(client.say({ text: 'fail' }, signal), { code: 'FailedPrecondition' })
  const body = await new Promise<string>((resolve, reject) => {
    getTls(`${url}/health`, { ...tls, agent: false }, (response) => { response.setEncoding('utf8').once('data', resolve) }).on('error', reject)
  })
  assert.equal(body, '/health')
  using stranger = new GrpcChannel({ target: url, clock: realClock, tls: { ca: authority.certificatePem } })
  await assert.rejects(createGrpcClient<Echo>(stranger, service).say({}, signal), { code: 'Unavailable' })
  using untrusting = new GrpcChannel({ target: url, clock: realClock, tls: { cert: mine.certificatePem, key: mine.keyPem } })
  await assert.rejects(createGrpcClient<Echo>(untrusting, service).say({}, signal), { code: 'Unavailable' })
})

test('frames cut at every place give the same messages', () => {
  const messages = ['', 'a', 'x'.repeat(300)]
  const bytes = Buffer.concat(messages.map((m) => frameMessage(Buffer.from(m))))
  for (let cut = 0; cut <= bytes.length; cut++) {
    const got: string[] = []
    const reader = new MessageReader(1000, (m) => got.push(Buffer.from(m).toString()))
    reader.push(bytes.subarray(0, cut))
    reader.push(bytes.subarray(cut))
    assert.deepEqual(got, messages)
    assert.ok(reader.isComplete)
  }
})

test('header forms', () => {
  assert.equal(encodeStatusMessage('ä%\n'), '%C3%A4%25%0A')
  assert.equal(decodeStatusMessage('%C3%A4%25%0A%zz'), 'ä%\n%zz')
  assert.equal(parseTimeout('5S'), 5000)
  assert.equal(parseTimeout('1x'), undefined)
  assert.equal(parseTimeout(formatTimeout(1234.2)), 1235)
})
