import assert from 'node:assert/strict'
import { request as httpsRequest } from 'node:https'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { realRandom } from '../../src/lib/async/real-random.ts'
import { createAuthority, issueCertificate } from '../../src/lib/net/pki/certificates.ts'
import { connectPortForward } from '../../src/lib/net/streaming/port-forward-client.ts'
import { connectRemoteCommand, UpgradeRefused } from '../../src/lib/net/streaming/remote-command-client.ts'
import { exitCodeOf } from '../../src/lib/net/streaming/remote-command-protocol.ts'
import { createMemoryDisk } from '../../src/worker-node/kubelet/host/memory-disk.ts'
import { condition, startTestNode, webPod } from './kubelet-node.ts'
import type { TestNode } from './kubelet-node.ts'
import { PassThrough } from 'node:stream'

const never = new AbortController().signal
const validity = { notBeforeMs: Date.UTC(2020, 0, 1), notAfterMs: Date.UTC(2090, 0, 1) }
const authority = createAuthority('test-ca', validity, realRandom)
const serving = issueCertificate(authority, 'test-ca', { subject: { commonName: 'node-1' }, names: ['127.0.0.1', 'node-1'], usages: ['server'], random: realRandom, ...validity })
const admin = issueCertificate(authority, 'test-ca', { subject: { commonName: 'kube-apiserver', organizations: ['system:masters'] }, usages: ['client'], random: realRandom, ...validity })
const stranger = issueCertificate(createAuthority('other-ca', validity, realRandom), 'other-ca', { subject: { commonName: 'kube-apiserver' }, usages: ['client'], random: realRandom, ...validity })
const credentials = { ca: authority.certificatePem, cert: admin.certificatePem, key: admin.keyPem }

async function startServedNode(): Promise<TestNode> {
  const written = new Map<string, string>()
  const disk = createMemoryDisk({ now: () => 0 })
  return startTestNode({
    writeLog: (path, line) => { written.set(path, (written.get(path) ?? '') + line); void disk.writeFile(path, Buffer.from(written.get(path) ?? ''), 0o640) },
    exec: (_container, command) => (command[0] === 'fail' ? { stderr: 'no\n', exitCode: 9 } : { stdout: `ran ${command.join(' ')}\n`, exitCode: 0 }),
  }, {
    disk,
    server: {
      port: 0, address: '127.0.0.1', tls: { cert: serving.certificatePem, key: serving.keyPem }, clientCa: authority.certificatePem,
      authenticateToken: async (token) => (token === 'good' ? { name: 'reader', groups: [] } : undefined), authorize: async (user, { subresources }) => user.groups.includes('system:masters') || subresources.includes('metrics'),
    },
  })
}

async function get(port: number, path: string, options: object = credentials, method = 'GET'): Promise<{ readonly code: number; readonly body: string }> {
  return new Promise((resolve, reject) => {
    const sent = httpsRequest({ host: '127.0.0.1', port, path, method, agent: false, ...options }, (response) => { void text(response).then((body) => resolve({ code: response.statusCode ?? 0, body }), reject) })
    sent.on('error', reject)
    sent.end()
  })
}

test('who may ask: certificates of the cluster, tokens, nobody else', async () => {
  await using t = await startServedNode()
  const { port } = t.kubelet
  assert.deepEqual(await get(port, '/healthz'), { code: 200, body: 'ok' })
  assert.equal((await get(port, '/pods', { ca: authority.certificatePem })).code, 401)
  assert.equal((await get(port, '/pods', { ca: authority.certificatePem, cert: stranger.certificatePem, key: stranger.keyPem })).code, 401)
  assert.equal((await get(port, '/pods', { ca: authority.certificatePem, headers: { authorization: 'Bearer bad' } })).code, 401)
  assert.deepEqual(await get(port, '/pods', { ca: authority.certificatePem, headers: { authorization: 'Bearer good' } }), { code: 403, body: 'Forbidden (user=reader, verb=get, resource=nodes, subresource(s)=[pods proxy])' })
  assert.equal((await get(port, '/metrics', { ca: authority.certificatePem, headers: { authorization: 'Bearer good' } })).code, 200)
})

test('pods, logs, statistics, metrics', async () => {
  await using t = await startServedNode()
  const { port } = t.kubelet
  await t.createPod(webPod('a'))
  await t.until('pod is ready', async () => condition(await t.pod('a'), 'Ready') === 'True')
  const list = JSON.parse((await get(port, '/pods')).body) as { items: { metadata: { name: string } }[] }
  assert.deepEqual(list.items.map((p) => p.metadata.name), ['a'])

  const id = t.simulated.find('a', 'web')?.id ?? ''
  for (const n of [1, 2, 3, 4]) t.simulated.log(id, `line ${n}`)
  const logs = (query: string): Promise<{ code: number; body: string }> => get(port, `/containerLogs/default/a/web${query}`)
  assert.equal((await logs('')).body, 'line 1\nline 2\nline 3\nline 4\n')
  assert.equal((await logs('?tailLines=2')).body, 'line 3\nline 4\n')
  assert.equal((await logs('?limitBytes=10')).body, 'line 1\nlin')
  assert.match((await logs('?tailLines=1&timestamps=true')).body, /^2026-01-01T00:00:\d\d\.\d{9}Z line 4\n$/)
  assert.deepEqual(await logs('?previous=true'), { code: 400, body: 'previous terminated container "web" in pod "a" not found' })
  assert.equal((await get(port, '/containerLogs/default/a/nope')).code, 400)
  assert.equal((await get(port, '/containerLogs/default/zzz/web')).code, 404)
  t.simulated.exit(id, 1)
  await t.until('restarted', async () => (await t.status('a')).restartCount === 1 && (await t.status('a')).ready)
  t.simulated.log(t.simulated.find('a', 'web')?.id ?? '', 'again')
  assert.equal((await logs('')).body, 'again\n')
  assert.equal((await logs('?previous=true')).body, 'line 1\nline 2\nline 3\nline 4\n')

  const summary = JSON.parse((await get(port, '/stats/summary')).body) as { node: { nodeName: string }; pods: { podRef: { name: string } }[] }
  assert.equal(summary.node.nodeName, 'node-1')
  assert.deepEqual(summary.pods.map((p) => p.podRef.name), ['a'])
  assert.match((await get(port, '/metrics/resource')).body, /^container_memory_working_set_bytes\{container="web",namespace="default",pod="a"\} 10000000$/m)
  assert.equal((await get(port, '/run/default/a/web?cmd=ls+-l', credentials, 'POST')).body, 'ran ls -l\n')
  assert.equal((await get(port, '/nope')).code, 404)
})

test('exec, attach and port-forward', async () => {
  await using t = await startServedNode()
  const url = `wss://127.0.0.1:${t.kubelet.port}`
  await t.createPod(webPod('a'))
  await t.until('pod is ready', async () => condition(await t.pod('a'), 'Ready') === 'True')
  const streams = { stdin: false, stdout: true, stderr: true, tty: false }
  const ran = await connectRemoteCommand(`${url}/exec/default/a/web?command=echo&command=hi&output=1&error=1`, streams, credentials, never)
  assert.equal(await text(ran.stdout!), 'ran echo hi\n')
  assert.equal(exitCodeOf(await ran.status), 0)
  const failed = await connectRemoteCommand(`${url}/exec/default/a/web?command=fail&output=1&error=1`, streams, credentials, never)
  failed.stdout?.resume()
  assert.equal(await text(failed.stderr!), 'no\n')
  assert.equal(exitCodeOf(await failed.status), 9)
  await assert.rejects(connectRemoteCommand(`${url}/exec/default/a/nope?command=x&output=1`, streams, credentials, never), (error) => error instanceof UpgradeRefused && error.code === 404)
  await assert.rejects(connectRemoteCommand(`${url}/exec/default/a/web?command=x&output=1`, streams, { ca: authority.certificatePem }, never), (error) => error instanceof UpgradeRefused && error.code === 401)

  const forward = await connectPortForward(`${url}/portForward/default/a`, credentials, never)
  const { Duplex } = await import('node:stream')
  const up = new PassThrough()
  const down = new PassThrough()
  const done = forward.forward(Duplex.from({ readable: up, writable: down }), 80, never)
  up.end('echo me')
  assert.equal(await text(down), 'echo me')
  assert.equal(await done, undefined)
  forward.close()
  await forward.closed
})
