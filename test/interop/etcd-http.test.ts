// What etcd's client port says over plain HTTP, beside the original's: health, version, variables, CORS, the host whitelist, WebSocket; and every
// metric's name, type and labels.
import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { request as httpRequest } from 'node:http'
import { WebSocket } from 'ws'
import { hasOriginals, openPair, originalEtcdctl, run, withoutGoSpaces, withoutIds, type Pair } from './etcd-pair.ts'

const skip = hasOriginals ? false : 'the originals are not built: run test/interop/build-originals.sh'
const b64 = (text: string): string => Buffer.from(text).toString('base64')

interface Asked { readonly method?: string; readonly path: string; readonly headers?: { readonly [name: string]: string }; readonly body?: string }
interface Answer { readonly status: number; readonly headers: { readonly [name: string]: string | undefined }; readonly body: string }

/** As it is, redirects included. */
function ask(base: string, { method = 'GET', path, headers = {}, body }: Asked): Promise<Answer> {
  return new Promise((done, failed) => {
    const url = new URL(base)
    const asking = httpRequest({ host: url.hostname, port: url.port, method, path, headers, timeout: 10_000 }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('end', () => done({ status: response.statusCode ?? 0, headers: response.headers as Answer['headers'], body: Buffer.concat(chunks).toString() })) // cast: one value per name here
    })
    asking.on('error', failed)
    asking.end(body)
  })
}

const shownHeaders = ['content-type', 'allow', 'location', 'x-content-type-options', 'access-control-allow-origin', 'access-control-allow-methods', 'access-control-allow-headers']

async function differencesOf(pair: Pair, requests: readonly Asked[], normalise: (body: string) => string = (body) => body): Promise<string[]> {
  const differences: string[] = []
  for (const asked of requests) {
    const [theirs, ours] = await Promise.all([pair.original, pair.ours].map(async (base) => {
      const { status, headers, body } = await ask(base, asked)
      return { status, headers: Object.fromEntries(shownHeaders.map((name) => [name, headers[name]])), body: normalise(withoutGoSpaces(body.replaceAll(base, 'URL'))) }
    }))
    try {
      assert.deepEqual(ours, theirs)
    } catch {
      differences.push(`${asked.method ?? 'GET'} ${asked.path} ${JSON.stringify(asked.headers ?? {})}\n--- original\n${JSON.stringify(theirs)}\n--- ours\n${JSON.stringify(ours)}`)
    }
  }
  return differences
}

/** Lines in any order: the original's checks come as its maps have them. */
const anyOrder = (body: string): string => body.split('\n').sort().join('\n')
const post = (path: string, value: object): Asked => ({ method: 'POST', path, body: JSON.stringify(value) })

test('health, readiness, version, and what is not there', { skip }, async () => {
  await using pair = await openPair()
  const paths = [
    '/health', '/health?serializable=true', '/health?exclude=NOSPACE', '/livez', '/livez?verbose', '/livez?exclude=serializable_read&verbose', '/readyz', '/readyz?verbose', '/readyz?verbose&exclude=linearizable_read&exclude=none', '/readyz/data_corruption', '/readyz/serializable_read?verbose',
    '/readyz/linearizable_read', '/readyz/non_learner', '/readyz/none', '/readyz/', '/livez/serializable_read', '/livez/linearizable_read', '/version', '/version/', '/', '/none', '//health', '/health/', '/v3', '/v3/', '/v3/kv/../kv/range', '/a/./b?c=d', '/debug/pprof/', '/config/local/log', '/v2/keys', '/v3alpha/kv/range',
  ]
  const requests: readonly Asked[] = [
    ...paths.map((path) => ({ path })), ...['POST', 'HEAD', 'PUT', 'DELETE', 'OPTIONS'].flatMap((method) => ['/health', '/readyz', '/livez/serializable_read', '/version', '/debug/vars', '/none', '/v3/kv/range', '//health'].map((path) => ({ method, path }))),
    { path: '/v3/kv/range' }, { path: '/health', headers: { origin: 'https://page.example' } },
  ]
  assert.equal((await differencesOf(pair, requests, anyOrder)).join('\n\n'), '')
  // With an alarm.
  assert.equal((await differencesOf(pair, [post('/v3/maintenance/alarm', { action: 'ACTIVATE', memberID: '5', alarm: 'NOSPACE' })], (body) => JSON.stringify(withoutIds(JSON.parse(body))))).join('\n\n'), '')
  assert.equal((await differencesOf(pair, ['/health', '/health?exclude=NOSPACE', '/health?exclude=CORRUPT', '/readyz', '/livez?verbose'].map((path) => ({ path })), anyOrder)).join('\n\n'), '')
  assert.equal((await ask(pair.ours, { path: '/health' })).body, '{"health":"false","reason":"ALARM NOSPACE"}\n')
  await differencesOf(pair, [post('/v3/maintenance/alarm', { action: 'DEACTIVATE', memberID: '5', alarm: 'NOSPACE' }), post('/v3/maintenance/alarm', { action: 'ACTIVATE', memberID: '5', alarm: 'CORRUPT' })])
  assert.equal((await differencesOf(pair, ['/health', '/health?exclude=CORRUPT', '/readyz', '/readyz?verbose', '/readyz?exclude=data_corruption', '/readyz/data_corruption', '/livez'].map((path) => ({ path })), anyOrder)).join('\n\n'), '')
})

test('/debug/vars has the same variables', { skip }, async () => {
  await using pair = await openPair()
  const [theirs, ours] = await Promise.all([pair.original, pair.ours].map(async (base) => JSON.parse((await ask(base, { path: '/debug/vars' })).body) as { readonly [name: string]: object }))
  assert.ok(theirs && ours)
  assert.deepEqual(Object.keys(ours), Object.keys(theirs))
  assert.deepEqual(Object.keys(ours['raft.status'] ?? {}), Object.keys(theirs['raft.status'] ?? {}))
  for (const name of Object.keys(ours['memstats'] ?? {})) assert.ok(name in (theirs['memstats'] ?? {}), name)
})

test('CORS and the host whitelist', { skip }, async () => {
  const cors = ['https://a.example:443', 'https://b.example:8443']
  const hostWhitelist = ['good.example', '127.0.0.1', '::1']
  await using pair = await openPair([`--cors=${cors.join(',')}`, `--host-whitelist=${hostWhitelist.join(',')}`], {}, { cors, hostWhitelist })
  const origins = [...cors, 'https://c.example', '*', ''].map((origin) => ({ path: '/version', headers: { origin } }))
  const preflights = cors.map((origin) => ({ method: 'OPTIONS', path: '/v3/kv/range', headers: { origin } }))
  const hosts = ['good.example', 'good.example:2379', 'evil.example', 'evil.example:1', '127.0.0.1', 'localhost', '[::1]:2379', '[::1]', 'GOOD.example'].flatMap((host) => ['/version', '/v3/kv/range', '/health'].map((path) => ({ path, headers: { host } })))
  assert.equal((await differencesOf(pair, [...origins, ...preflights, ...hosts, { method: 'OPTIONS', path: '/none', headers: { host: 'evil.example' } }])).join('\n\n'), '')
})

// ---- WebSocket ----

interface Talk { readonly messages: unknown[]; send(value: object | string): void; until(found: (messages: readonly unknown[]) => boolean): Promise<void>; close(): Promise<void> }

async function talk(base: string, path: string, options: { readonly protocols?: string[]; readonly headers?: { readonly [name: string]: string } } = {}): Promise<Talk> {
  const socket = new WebSocket(`${base.replace('http', 'ws')}${path}`, options.protocols ?? [], { headers: { ...options.headers } })
  const messages: unknown[] = []
  let look = (): void => {}
  let closed = false
  socket.on('message', (data: Buffer) => { messages.push(withoutIds(JSON.parse(data.toString()))); look() })
  socket.on('close', () => { closed = true; look() })
  await new Promise<void>((done, failed) => { socket.on('open', () => done()); socket.on('error', failed) })
  socket.on('error', () => {})
  return {
    messages,
    send: (value) => socket.send(typeof value === 'string' ? value : JSON.stringify(value)),
    until: (found) => new Promise((done, failed) => {
      const timer = setTimeout(() => failed(new Error(`only ${JSON.stringify(messages)}`)), 5000)
      look = () => { if (found(messages) || closed) { clearTimeout(timer); done() } }
      look()
    }),
    close: () => new Promise((done) => { if (closed) done(); else { socket.once('close', () => done()); socket.terminate() } }),
  }
}

async function onBoth(pair: Pair, run: (base: string) => Promise<unknown>): Promise<void> {
  const [theirs, ours] = await Promise.all([pair.original, pair.ours].map(run))
  assert.deepEqual(ours, theirs)
}

test('WebSocket: watches, keep-alives, single calls', { skip }, async () => {
  await using pair = await openPair()
  await onBoth(pair, async (base) => {
    const watch = await talk(base, '/v3/watch')
    watch.send({ create_request: { key: b64('w'), watch_id: '7' } })
    await watch.until((messages) => messages.length === 1)
    await ask(base, post('/v3/kv/put', { key: b64('w'), value: b64('1') }))
    await watch.until((messages) => messages.length === 2)
    // A second watch on the same stream, from the past; then both are canceled.
    watch.send({ create_request: { key: b64('w'), watch_id: '8', start_revision: '2', prev_kv: true } })
    await watch.until((messages) => messages.length === 4)
    watch.send({ cancel_request: { watch_id: '7' } })
    watch.send({ cancel_request: { watch_id: '8' } })
    await watch.until((messages) => messages.length === 6)
    await watch.close()
    return watch.messages.map((message) => JSON.stringify(message).replace(/"revision":"\d+"/, '"revision":"N"'))
  })
  await onBoth(pair, async (base) => {
    await ask(base, post('/v3/lease/grant', { TTL: '100', ID: '77' }))
    const alive = await talk(base, '/v3/lease/keepalive')
    for (const ID of ['77', '78', '77']) alive.send({ ID })
    await alive.until((messages) => messages.length === 3)
    await alive.close()
    return alive.messages
  })
  // Of a call with one answer the original says nothing as long as the socket is open.
  const call = await talk(pair.ours, '/v3/kv/range')
  call.send({ key: b64('none') })
  await call.until((messages) => messages.length === 1)
  assert.deepEqual(JSON.stringify(call.messages).replace(/"\d+"/, '"N"'), '[{"header":{"revision":"N"}}]')
  const observe = await talk(pair.ours, '/v3/election/observe')
  observe.send({ name: b64('e') })
  const campaign = await talk(pair.ours, '/v3/election/campaign')
  campaign.send({ name: b64('e'), value: b64('me'), lease: '77' })
  await observe.until((messages) => messages.length === 1)
  await campaign.until((messages) => messages.length === 1)
  await Promise.all([observe.close(), campaign.close()])
  const bad = await talk(pair.ours, '/v3/watch')
  bad.send('nonsense')
  await bad.until((messages) => messages.length === 1)
  assert.deepEqual(bad.messages, [{ code: 3, message: "invalid character 'o' in literal null (expecting 'u')" }])
  await assert.rejects(talk(pair.ours, '/v3/none'), /404/)
})

test('WebSocket: the token in the protocol header, in a cookie, in the usual header', { skip }, async () => {
  await using pair = await openPair(['--bcrypt-cost', '4'], { bcryptCost: 4 })
  await onBoth(pair, async (base) => {
    for (const asked of [post('/v3/auth/user/add', { name: 'root', password: 'pw' }), post('/v3/auth/role/add', { name: 'root' }), post('/v3/auth/user/grant', { user: 'root', role: 'root' }), post('/v3/auth/enable', {})]) await ask(base, asked)
    const { token } = JSON.parse((await ask(base, post('/v3/auth/authenticate', { name: 'root', password: 'pw' }))).body) as { readonly token: string }
    await ask(base, { ...post('/v3/kv/put', { key: b64('s'), value: b64('1') }), headers: { authorization: token } })
    const seen: unknown[] = []
    for (const options of [{}, { protocols: ['Bearer', token] }, { headers: { cookie: `token=${token}` } }]) {
      const watch = await talk(base, '/v3/watch', options)
      watch.send({ create_request: { key: b64('s'), start_revision: '2' } })
      await watch.until((messages) => JSON.stringify(messages).includes('events') || JSON.stringify(messages).includes('canceled'))
      await watch.close()
      seen.push(JSON.stringify(watch.messages).includes('"events"'))
    }
    return seen
  })
})

// ---- metrics ----

interface Metrics { readonly types: ReadonlyMap<string, string>; readonly series: ReadonlySet<string>; readonly helps: ReadonlySet<string> }

async function metricsOf(base: string): Promise<Metrics> {
  const { body, headers } = await ask(base, { path: '/metrics' })
  assert.equal(headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8; escaping=underscores')
  const types = new Map<string, string>()
  const series = new Set<string>()
  const helps = new Set<string>()
  for (const line of body.split('\n')) {
    const [, kind, name = '', rest = ''] = /^# (TYPE|HELP) (\S+) (.*)$/.exec(line) ?? []
    if (name.startsWith('go_') || line.startsWith('go_') || line === '') continue
    if (kind === 'TYPE') types.set(name, rest)
    else if (kind === 'HELP') helps.add(name)
    else series.add(line.replace(/ \S+$/, '').replace(/(Local|Remote|server_id|To|From)="[0-9a-f]+"/g, '$1="ID"').replace(/server_go_version="[^"]*"/, 'GO'))
  }
  return { types, series, helps }
}

async function useEverything(base: string): Promise<void> {
  const ctl = (line: string, input = ''): Promise<unknown> => run(originalEtcdctl, ['--endpoints', base, ...line.split(' ')], input)
  for (const line of ['put a 1', 'get a', 'get a --rev 99', 'del a', 'lease grant 60', 'compaction 2', 'defrag', 'endpoint hashkv', 'endpoint status', 'member list', 'snapshot save /tmp/k8ts-etcd-http.snapshot', 'alarm list', 'auth status', 'role add r', 'user add u:p', 'lock l true']) await ctl(line)
  await ctl('txn', '\nput b 1\n\n\n')
  for (const path of ['/health', '/readyz', '/livez', '/metrics']) await ask(base, { path })
}

describe('metrics', { skip }, () => {
  for (const mode of ['basic', 'extensive'] as const) {
    test(`every name, type and label of the original: --metrics=${mode}`, async () => {
      await using pair = await openPair([`--metrics=${mode}`, '--bcrypt-cost', '4'], { bcryptCost: 4 }, { metrics: mode })
      await Promise.all([pair.original, pair.ours].map(useEverything))
      const [theirs, ours] = await Promise.all([pair.original, pair.ours].map(metricsOf))
      assert.ok(theirs && ours)
      assert.deepEqual(Object.fromEntries([...ours.types].sort()), Object.fromEntries([...theirs.types].sort()))
      assert.deepEqual([...ours.helps].sort(), [...theirs.helps].sort())
      // The original has questions about alarms and users go through its log, and logs what it says of itself; ours, alone in memory, does not.
      const own = /(?:type|op)="(?:ClusterMemberAttrSet|ClusterVersionSet|Alarm|unknown|Auth\w+)"/
      const missing = [...theirs.series].filter((one) => !ours.series.has(one) && !own.test(one))
      const more = [...ours.series].filter((one) => !theirs.series.has(one) && !own.test(one))
      assert.deepEqual({ missing, more }, { missing: [], more: [] })
    })
  }
})
