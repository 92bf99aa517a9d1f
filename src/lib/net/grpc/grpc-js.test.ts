// The official JavaScript client against our server: unary, both streams, statuses, large messages through its small windows.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { Client, credentials, status, type ServiceError } from '@grpc/grpc-js'
import { realClock } from '../../async/real-clock.ts'
import { serveGrpc } from './grpc-server.ts'
import { GrpcError } from './status.ts'

const same = (value: Buffer): Buffer => value

test('grpc-js: unary calls, streams, errors, messages larger than its windows', async () => {
  await using server = await serveGrpc({
    clock: realClock, listen: [{ host: '127.0.0.1', port: 0 }],
    handlers: [
      ['/t.T/Echo', { unary: (request) => request }],
      ['/t.T/Fail', { unary: () => { throw new GrpcError('NotFound', 'nö') } }],
      ['/t.T/Twice', { stream: (call) => ({ message: (bytes) => { call.send(bytes); call.send(bytes) }, end: () => call.end() }) }],
    ],
  })
  const [address] = server.addresses
  assert.ok(address && 'port' in address)
  const client = new Client(`127.0.0.1:${address.port}`, credentials.createInsecure())
  const unary = (path: string, body: Buffer): Promise<Buffer> => new Promise((resolve, reject) => {
    client.makeUnaryRequest(path, same, same, body, (error, answer) => { if (error) reject(error); else resolve(answer ?? Buffer.alloc(0)) })
  })
  const bodies = [0, 1, 70_000, 2_000_000].map((size) => Buffer.alloc(size, size))
  assert.deepEqual(await Promise.all(bodies.map((body) => unary('/t.T/Echo', body))), bodies)
  await assert.rejects(unary('/t.T/Fail', Buffer.of(1)), (error: ServiceError) => error.code === status.NOT_FOUND && error.details === 'nö')
  await assert.rejects(unary('/t.T/None', Buffer.of(1)), (error: ServiceError) => error.code === status.UNIMPLEMENTED)
  const call = client.makeBidiStreamRequest('/t.T/Twice', same, same)
  let bytes = 0
  call.on('data', (chunk: Buffer) => { bytes += chunk.length })
  for (let i = 0; i < 20; i++) call.write(Buffer.alloc(50_000))
  call.end()
  const ended = await new Promise<number>((resolve) => { call.on('status', (s) => resolve(s.code)) })
  assert.deepEqual([bytes, ended], [2_000_000, status.OK])
  client.close()
})
