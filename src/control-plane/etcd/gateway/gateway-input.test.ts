// What comes in from outside: the gateway's JSON, the second API's forms and paths, host names. Good input is read as it should be, and no input
// whatever makes the server do anything but answer.
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { randomInteger, seededRandom } from '../../../lib/base/random.ts'
import { silentLogger } from '../../../lib/component-base/log.ts'
import { encodeProto3 } from '../../../lib/base/protobuf/proto3.ts'
import { GrpcError } from '../../../lib/net/grpc/status.ts'
import { etcdTable } from '../../../lib/etcd-api/generated/table.ts'
import { SimulatedClock } from '../../../lib/testing/simulated-clock.ts'
import type { PlainRequest, PlainResponse } from '../../../lib/net/grpc/grpc-server.ts'
import { openEtcd, type EmbeddedEtcd } from '../embedded.ts'
import { answerV2 } from '../v2/v2-http.ts'
import { parseV2Request } from '../v2/parse-v2-request.ts'
import { corsHeaders, hostNameOf, refuseAccess } from './access-control.ts'
import { readDocuments } from './json-node.ts'
import { readProtoJson } from './read-proto-json.ts'

function read(type: string, text: string): unknown {
  const [document] = readDocuments(Buffer.from(text))
  return document ? readProtoJson(etcdTable, type, document) : undefined
}

function refusal(type: string, text: string): string {
  try {
    read(type, text)
    return 'read'
  } catch (error) {
    if (error instanceof GrpcError) return error.message
    throw error
  }
}

test('messages: both kinds of names, numbers as text, exponents, both alphabets, enums by name and number', () => {
  assert.deepEqual(read('RangeRequest', '{"key":"YQ==","range_end":"_w","limit":"1e2","keysOnly":true,"sort_order":"DESCEND","sortTarget":3,"revision":"-0","unknown":[{}]}'),
    { key: Buffer.from('a'), rangeEnd: Buffer.from([255]), limit: 100, keysOnly: true, sortOrder: 'DESCEND', sortTarget: 'MOD', revision: 0 })
  assert.deepEqual(read('LeaseGrantRequest', '{"ID":"9223372036854775807","TTL":1.50e1}'), { ID: 9_223_372_036_854_775_807n, TTL: 15 })
  assert.deepEqual(read('RangeRequest', '{"key":null,"sort_order":"NO SUCH"}'), {})
})

test('several documents in one body, and where each goes wrong', () => {
  assert.deepEqual([...readDocuments(Buffer.from(' {"a":1}\n[2] "x"'))].map(({ text }) => text), ['{"a":1}', '[2]', '"x"'])
  assert.equal(refusal('RangeRequest', '{\n "key": 1}'), 'proto: (line 2:9): invalid value for bytes field key: 1')
  assert.equal(refusal('RangeRequest', '{"\u{1F600}":0,"key":1}'), 'proto: (line 1:14): invalid value for bytes field key: 1')
  assert.equal(refusal('Compare', '{"version":"1","mod_revision":"2"}'), 'proto: (line 1:16): error parsing "mod_revision", oneof etcdserverpb.Compare.target_union is already set')
  assert.equal(refusal('RangeRequest', '{"key":"YQ==","key":"YQ=="}'), 'proto: (line 1:15): duplicate field "key"')
  assert.equal(refusal('RangeRequest', '['.repeat(100_000)), 'exceeded max depth')
  assert.equal(refusal('LeaseGrantRequest', `{"TTL":1${'0'.repeat(50)}}`), `proto: (line 1:8): invalid value for int64 field TTL: 1${'0'.repeat(50)}`)
  assert.equal(refusal('LeaseGrantRequest', '{"TTL":1e999999999}'), 'proto: (line 1:8): invalid value for int64 field TTL: 1e999999999')
})

test('host names, whitelist, origins', () => {
  assert.deepEqual(['a.b:1', 'a.b', '[::1]:2', '[::1]', '::1', '', 'a:b:c'].map(hostNameOf), ['a.b', 'a.b', '::1', '[::1]', '::1', '', 'a:b:c'])
  const plain = { secure: false, refusesCertificateNames: false }
  const asked = (host: string): Pick<PlainRequest, 'path' | 'headers' | 'clientCommonName'> => ({ path: '/v3/kv/range', headers: { host }, clientCommonName: undefined })
  assert.equal(refuseAccess({ hostWhitelist: ['good'] }, plain, asked('good:1')), undefined)
  assert.equal(refuseAccess({ hostWhitelist: ['good'] }, plain, asked('evil'))?.status, 421)
  assert.equal(refuseAccess({ hostWhitelist: ['good'] }, { ...plain, secure: true }, asked('evil')), undefined)
  assert.equal(refuseAccess({ hostWhitelist: ['*'] }, plain, asked('evil')), undefined)
  assert.equal(refuseAccess({}, { secure: true, refusesCertificateNames: true }, { ...asked('x'), clientCommonName: 'alice' })?.status, 400)
  assert.equal(corsHeaders({ cors: ['https://a'] }, { headers: { origin: 'https://a' } })['access-control-allow-origin'], 'https://a')
  assert.deepEqual(corsHeaders({ cors: ['https://a'] }, { headers: { origin: 'https://b' } }), {})
  assert.equal(corsHeaders({}, { headers: {} })['access-control-allow-origin'], '*')
})

// ---- anything at all ----

const random = seededRandom(20_261_123)
const pick = <T>(items: readonly T[]): T => items[randomInteger(random, items.length)]! // cast: within the length
const pieces = ['{', '}', '[', ']', ':', ',', '"', '"key"', '"YQ=="', '"limit"', '1', '-', '1e5', '"\\u00', '\\', 'null', 'true', ' ', '\n', '\u0000', '\u{1F600}', '"create_request"', '"success"', '"request_put"', '"range_end"', '"sort_order"', '"ID"', '"', '"x":', '9'.repeat(30)]
const words = ['/', '/a', '/b/c', '..', '.', '%', '%zz', '%00', '%2F', '_', '_\u0002auth', '\u{1F600}', '?', '&', '=', 'value', 'ttl', 'dir', 'prevExist', 'prevIndex', 'prevValue', 'wait', 'recursive', 'quorum', 'refresh', 'true', 'x', '-1', '99999999999999999999', '+', ';', '#', '//', '\\', '"']

function anything(parts: readonly string[], most: number): string {
  let text = ''
  for (let i = randomInteger(random, most); i >= 0; i--) text += pick(parts)
  return text
}

let etcd: EmbeddedEtcd
before(async () => { etcd = await openEtcd({ disk: 'memory', clock: new SimulatedClock(), random: seededRandom(1), logger: silentLogger, bcryptCost: 4 }) })
after(() => etcd[Symbol.asyncDispose]())

test('20,000 bodies of the gateway are read or refused', () => {
  const types = ['RangeRequest', 'TxnRequest', 'WatchRequest', 'LeaseGrantRequest', 'AuthRoleGrantPermissionRequest', 'MemberAddRequest']
  let good = 0
  for (let i = 0; i < 20_000; i++) {
    const body = randomInteger(random, 4) === 0 ? random.bytes(randomInteger(random, 40)) : Buffer.from(anything(pieces, 12))
    try {
      for (const document of readDocuments(body)) {
        const type = pick(types)
        encodeProto3(etcdTable, type, readProtoJson(etcdTable, type, document))
      }
      good++
    } catch (error) {
      if (!(error instanceof GrpcError && error.code === 'InvalidArgument')) throw new Error(`body ${JSON.stringify(body.toString('latin1'))}`, { cause: error })
    }
  }
  assert.ok(good > 10, `${good} were read`)
})

test('20,000 requests of the second API: forms are read or refused, and the server answers', async () => {
  for (let i = 0; i < 17_000; i++) {
    const parsed = parseV2Request(pick(['GET', 'PUT', 'POST', 'DELETE', 'HEAD']), anything(words, 6), new URLSearchParams(anything(words, 10)), 1000)
    assert.ok(['get', 'wait', 'change', 'bad'].includes(parsed.kind))
  }
  const statuses = new Set<number>()
  for (let i = 0; i < 3000; i++) {
    const target = `${pick(['/v2/keys', '/v2/keys', '/v2/members', '/v2/auth/users', '/v2/auth/roles', '/v2/auth', '/v2/stats', '/v2'])}${anything(words, 5)}`
    const request: PlainRequest = {
      method: pick(['GET', 'PUT', 'POST', 'DELETE', 'HEAD', 'PATCH', 'x']), path: target, body: Buffer.from(pick([anything(words, 6), anything(pieces, 6), ''])), signal: new AbortController().signal, clientCommonName: undefined,
      headers: pick([{}, { 'content-type': 'application/x-www-form-urlencoded' }, { 'content-type': 'application/json', authorization: `Basic ${anything(words, 2)}` }]),
    }
    let answer: PlainResponse | undefined
    try {
      answer = await answerV2(etcd.internals, request)
    } catch (error) {
      throw new Error(`${request.method} ${JSON.stringify(request.path)} ${JSON.stringify(request.body.toString())}`, { cause: error })
    }
    if (answer) { statuses.add(answer.status); assert.ok(answer.status !== 500 || answer.body.includes('message'), `${request.method} ${request.path}: ${answer.body}`) }
  }
  assert.ok(statuses.has(200) && statuses.has(400) && statuses.has(404) && statuses.has(405), [...statuses].join(' '))
  const hidden = await answerV2(etcd.internals, { method: 'GET', path: '/v2/keys/_%02auth/users', headers: {}, body: Buffer.alloc(0), signal: new AbortController().signal, clientCommonName: undefined })
  assert.equal(hidden?.status, 404)
})
