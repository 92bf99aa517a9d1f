// The JSON gateway, locks and elections: the same requests to the original and to ours.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { hasOriginals, openPair, originalEtcdctl, same, samePost, withoutIds, type Pair } from './etcd-pair.ts'

const skip = hasOriginals ? false : 'the originals are not built: run test/interop/build-originals.sh'
const b64 = (text: string): string => Buffer.from(text).toString('base64')

test('requests and answers of the gateway have the original\'s forms', { skip }, async () => {
  await using pair = await openPair()
  const differences: string[] = []
  const post = (path: string, body: object | string, headers = {}): Promise<unknown> =>
    samePost(pair, path, typeof body === 'string' ? body : JSON.stringify(body), headers).catch((error: unknown) => differences.push(error instanceof Error ? error.message : String(error)))
  const a = b64('a')
  await post('/v3/kv/put', { key: a, value: b64('1') })
  await post('/v3/kv/put', { key: a, value: b64('2'), prev_kv: true })
  await post('/v3/kv/put', { key: a, value: b64('3'), prevKv: true })
  await post('/v3/kv/range', { key: a })
  await post('/v3beta/kv/range', { key: a })
  await post('/v3/kv/range', { key: a, revision: '2' })
  await post('/v3/kv/range', { key: a, revision: 3, keys_only: true, unknown_field: 1 })
  await post('/v3/kv/range', { key: b64('\0'), range_end: b64('\0'), sort_order: 'DESCEND', sort_target: 'CREATE', count_only: true })
  await post('/v3/kv/range', { key: a, sort_order: 1 })
  await post('/v3/kv/range', {})
  await post('/v3/kv/range', '')
  await post('/v3/kv/range', { key: a, revision: '99' })
  await post('/v3/kv/txn', { compare: [{ key: a, target: 'MOD', result: 'GREATER', mod_revision: '1' }], success: [{ request_put: { key: b64('b'), value: b64('x') } }, { request_range: { key: a } }, { request_delete_range: { key: b64('none') } }] })
  await post('/v3/kv/txn', { compare: [{ key: a, target: 'VALUE', result: 'EQUAL', value: b64('no') }], failure: [{ request_txn: { success: [{ requestRange: { key: a } }] } }] })
  await post('/v3/kv/txn', { success: [{}] })
  await post('/v3/kv/deleterange', { key: b64('b'), prev_kv: true })
  await post('/v3/kv/compaction', { revision: '3' })
  await post('/v3/kv/compaction', { revision: '3' })
  await post('/v3/lease/grant', { TTL: '100', ID: '77' })
  await post('/v3/lease/grant', { TTL: '100', ID: 77 })
  await post('/v3/lease/keepalive', { ID: '77' })
  await post('/v3/lease/keepalive', { ID: '78' })
  await post('/v3/lease/leases', {})
  await post('/v3/kv/lease/leases', {})
  await post('/v3/kv/put', { key: b64('leased'), lease: 77 })
  await post('/v3/kv/put', { key: b64('leased'), lease: 79 })
  await post('/v3/lease/revoke', { ID: '77' })
  await post('/v3/lease/revoke', { ID: '77' })
  await post('/v3/lease/timetolive', { ID: '77' })
  await post('/v3/cluster/member/remove', { ID: '1' })
  await post('/v3/cluster/member/promote', { ID: '1' })
  await post('/v3/maintenance/status', {})
  await post('/v3/maintenance/alarm', {})
  await post('/v3/maintenance/alarm', { action: 'ACTIVATE', memberID: '5', alarm: 'CORRUPT' })
  await post('/v3/kv/put', { key: a })
  await post('/v3/maintenance/alarm', { action: 'DEACTIVATE', memberID: '5', alarm: 'CORRUPT' })
  await post('/v3/maintenance/defragment', {})
  await post('/v3/maintenance/hashkv', {})
  await post('/v3/maintenance/transfer-leadership', { targetID: '1' })
  for (const version of ['3.6', '3.6.0', '3.5.0', 'x', '4.6.0', '']) await post('/v3/maintenance/downgrade', { version })
  await post('/v3/maintenance/downgrade', { action: 'CANCEL' })
  await post('/v3/auth/status', {})
  await post('/v3/auth/authenticate', { name: 'a', password: 'b' })
  await post('/v3/auth/role/add', { name: 'r' })
  await post('/v3/auth/role/grant', { name: 'r', perm: { permType: 'READWRITE', key: a, range_end: b64('b') } })
  await post('/v3/auth/role/get', { role: 'r' })
  await post('/v3/auth/user/delete', { name: 'nobody' })
  await post('/v3/nothing', {})
  await post('/v3alpha/kv/range', { key: a })
  assert.equal(differences.join('\n'), '')
})

/** Bodies that are wrong, odd, or right in an unusual way. */
const malformed: { readonly [path: string]: readonly string[] } = {
  '/v3/kv/range': ['x', '{', '}', '[', '[]', '1', '"a"', 'null', 'true', '{"key":1}', '{"key":"!"}', '{"key":"YQ"}', '{"key":"YQ="}', '{"key":"YQ=="',
    '{"key":"YQ==",}', '{"key" "YQ=="}', '{key:"YQ=="}', '{"key":"YQ=="}}', '{"key":"YQ=="} {"key":"Yg=="}', '{"key":"YQ==","key":"Yg=="}', '{"key":null}',
    '{"limit":"a"}', '{"limit":1.5}', '{"limit":1e2}', '{"limit":"1e2"}', '{"limit":"1.0"}', '{"limit":1.0}', '{"limit":9223372036854775808}', '{"limit":"-1"}',
    '{"limit":""}', '{"limit":" 1"}', '{"limit":[]}', '{"limit":{}}', '{"limit":true}', '{"keys_only":"true"}', '{"keys_only":1}', '{"sort_order":"UP"}',
    '{"sort_order":9}', '{"sort_order":"1"}', '{"sort_order":1.5}', '{"sort_order":null}', '{"key":"a\\u00zz"}', '{"key":"a\nb"}', '{"key":"\\q"}', '{\n "key":1}',
    '{"unknown":{"a":[1,{"b":null}]},"key":"YQ=="}', '{"key":tru}', '{"key":nul}', '{"key":01}', '{"key":-}', '{"limit":-0}', '{"limit":+1}',
    '{"key":"YQ==","limit":"1","keysOnly":true}', '\ufeff{}', ' ', '{"key":"Y Q=="}', '{"key":"Y-_="}', '{"key":"-_8"}', '{"key":"\\u0059Q=="}', '{"key":{}}',
    '{"key":[]}', '{"key":"YQ==","range_end":"AA=="}', '{"@type":"x","key":"YQ=="}', '{"":1}', '{"key":"YQ==","keys_only":false,"keysOnly":true}',
    '{"[etcd.foo]":1,"key":"YQ=="}', 'nul', '"abc', '{"key":"abc', '{"a":1,"a":2,"key":"YQ=="}', '{"key":"YQ=="}\u0000', '{"key":1.}', '{"key":1e}', '{"key":.5}',
    "{'key':1}", '{"key":"\u0001"}', '[{"key":"YQ=="}]'],
  '/v3/kv/txn': ['{"compare":{}}', '{"compare":[1]}', '{"compare":[{"key":"YQ==","version":"1","mod_revision":"2"}]}',
    '{"success":[{"request_put":{"key":"YQ=="},"request_range":{"key":"YQ=="}}]}', '{"success":[{"request_put":null}]}', '{"success":[null]}',
    '{"compare":[{"target":"X"}]}', '{"success":[{"requestPut":{"key":"YQ==","lease":"x"}}]}', '{"compare":[{"key":"YQ==","target":"VERSION","version":0}]}',
    '{"compare":null}', '{"success":[{"request_put":{"key":"YQ=="}}],"success":[]}', '{"success":[{"request_put":{"key":"YQ=="}},{"request_put":{"key":"YQ=="}}]}',
    '{"success":[{"request_put":1}]}'],
  '/v3/cluster/member/add': ['{"peerURLs":["x"]}', '{"peerURLs":"x"}', '{"peer_urls":["http://1.2.3.4:1"]}', '{"peerURLs":[1]}'],
  '/v3/cluster/member/update': ['{"ID":"5","peerURLs":["http://1.2.3.4:5"]}'],
  '/v3/cluster/member/remove': ['{"ID":"-5"}', '{"ID":"99999999999999999999"}'],
  '/v3/lease/grant': ['{"TTL":"99999999999"}'],
  '/v3/maintenance/alarm': ['{"action":"X"}', '{"action":"ACTIVATE","alarm":"NONE"}'],
  '/v3/lock/unlock': ['{}', '{"key":"zz=="}'],
  '/v3/election/resign': ['{}'],
  '/v3/election/proclaim': ['{}'],
  '/v3/maintenance/snapshot': ['x'],
}

test('what can\'t be read is refused in the same words', { skip }, async () => {
  await using pair = await openPair()
  const differences: string[] = []
  await samePost(pair, '/v3/kv/put', JSON.stringify({ key: b64('a'), value: b64('1') }))
  for (const [path, bodies] of Object.entries(malformed)) {
    for (const body of bodies) await samePost(pair, path, body).catch((error: unknown) => differences.push(error instanceof Error ? error.message : String(error)))
  }
  assert.equal(differences.join('\n'), '')
})

test('a watch streams one result a line', { skip }, async () => {
  await using pair = await openPair()
  await samePost(pair, '/v3/kv/put', JSON.stringify({ key: b64('w'), value: b64('1') }))
  const [theirs, ours] = await Promise.all([pair.original, pair.ours].map(async (url) => {
    const stop = new AbortController()
    const answer = await fetch(`${url}/v3/watch`, { method: 'POST', body: JSON.stringify({ create_request: { key: b64('w'), start_revision: '2', prev_kv: true } }), signal: stop.signal })
    const lines: unknown[] = []
    let rest = ''
    const put = fetch(`${url}/v3/kv/put`, { method: 'POST', body: JSON.stringify({ key: b64('w'), value: b64('2') }) })
    for await (const chunk of answer.body ?? []) {
      rest += Buffer.from(chunk).toString()
      for (let at = rest.indexOf('\n'); at >= 0; at = rest.indexOf('\n')) {
        lines.push(withoutIds(JSON.parse(rest.slice(0, at))))
        rest = rest.slice(at + 1)
      }
      if (JSON.stringify(lines).includes(b64('2'))) break
    }
    await put
    stop.abort()
    return lines
  }))
  const events = (lines: unknown[] | undefined): string => JSON.stringify((lines ?? []).map((line) => (line as { result: { created?: boolean; events?: unknown } }).result).flatMap(({ events: found }) => found ?? []))
  assert.deepEqual(ours?.[0], theirs?.[0])
  assert.equal(events(ours), events(theirs))
})

test('locks: the second waits for the first; elections: campaign, leader, proclaim, observe, resign', { skip }, async () => {
  await using pair = await openPair()
  const post = (path: string, body: object): Promise<{ readonly json: unknown }> => samePost(pair, path, JSON.stringify(body))
  await post('/v3/lease/grant', { TTL: '100', ID: '1' })
  await post('/v3/lease/grant', { TTL: '100', ID: '2' })
  await post('/v3/lock/lock', { name: b64('l'), lease: '1' })
  await post('/v3/lock/lock', { name: b64('l'), lease: '1' })
  const second = post('/v3/lock/lock', { name: b64('l'), lease: '2' })
  assert.equal(await Promise.race([second.then(() => 'got it'), new Promise((done) => setTimeout(() => done('waits'), 300))]), 'waits')
  await post('/v3/lock/unlock', { key: b64('l/1') })
  await second
  await post('/v3/kv/range', { key: b64('l/'), range_end: b64('l0') })

  await post('/v3/election/leader', { name: b64('e') })
  const { json } = await post('/v3/election/campaign', { name: b64('e'), value: b64('first'), lease: '1' })
  const { leader } = json as { readonly leader: object } // cast: the answer's form
  await post('/v3/election/leader', { name: b64('e') })
  await post('/v3/election/proclaim', { leader, value: b64('again') })
  await post('/v3/election/campaign', { name: b64('e'), value: b64('changed'), lease: '1' })
  await post('/v3/election/proclaim', {})
  const next = post('/v3/election/campaign', { name: b64('e'), value: b64('second'), lease: '2' })
  await post('/v3/election/resign', { leader })
  await next
  await post('/v3/election/leader', { name: b64('e') })
  await post('/v3/election/proclaim', { leader, value: b64('late') })
  await post('/v3/election/resign', {})
})

test('etcdctl lock and elect work against ours', { skip }, async () => {
  await using pair = await openPair()
  const ran = await same(pair, ['lock', 'name', 'echo', 'held'])
  assert.equal(ran.out, 'held\n')
  await elect(pair)
})

async function elect(pair: Pair): Promise<void> {
  const child = spawn(originalEtcdctl, ['--endpoints', pair.ours, 'elect', 'boss', 'me'], { stdio: ['ignore', 'pipe', 'inherit'] })
  const seen = await new Promise<string>((done) => {
    let text = ''
    child.stdout.on('data', (chunk: Buffer) => { text += chunk.toString(); if (/\nme\n/.test(text)) done(text) })
    child.on('exit', () => done(text))
  })
  assert.match(seen, /^boss\/[0-9a-f]+\nme\n$/)
  // It gives up its place first, for which it needs the server.
  const ended = once(child, 'exit')
  child.kill('SIGINT')
  await ended
}
