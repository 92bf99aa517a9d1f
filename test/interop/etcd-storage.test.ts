// The original etcd under the storage suite, through our client; and both stores compared by etcd's own hash of all revisions.
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { realClock } from '../../src/lib/async/real-clock.ts'
import { realRandom } from '../../src/lib/async/real-random.ts'
import { decodeProto3, encodeProto3 } from '../../src/lib/base/protobuf/proto3.ts'
import { silentLogger } from '../../src/lib/component-base/log.ts'
import { etcdTable } from '../../src/lib/etcd-api/generated/table.ts'
import type { HashKVResponse } from '../../src/lib/etcd-api/generated/types.ts'
import { RemoteEtcdClient } from '../../src/lib/etcd-client/remote-etcd-client.ts'
import type { EtcdClient, EtcdOperation } from '../../src/lib/etcd-client/etcd-client.ts'
import { GrpcChannel } from '../../src/lib/net/grpc/grpc-channel.ts'
import { etcdStorageSuite } from '../../src/lib/testing/etcd-storage-suite.ts'
import { openEtcd } from '../../src/control-plane/etcd/embedded.ts'
import { serveEtcd } from '../../src/control-plane/etcd/v3rpc/serve-etcd.ts'
import { freePort } from './free-port.ts'

const binary = resolve(import.meta.dirname, '.bin/etcd')
const signal = new AbortController().signal
let child: ChildProcess | undefined
let folder = ''
let original = ''

if (!existsSync(binary)) {
  if (process.env['CI']) throw new Error('no original etcd: run test/interop/build-originals.sh')
  test('the original etcd', { skip: `not built at ${binary}: run test/interop/build-originals.sh` }, () => {})
} else {
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'k8ts-original-etcd-'))
    const [client, peer] = [await freePort(), await freePort()]
    original = `http://127.0.0.1:${client}`
    child = spawn(binary, ['--data-dir', join(folder, 'data'), '--listen-client-urls', original, '--advertise-client-urls', original, '--listen-peer-urls', `http://127.0.0.1:${peer}`, '--initial-advertise-peer-urls', `http://127.0.0.1:${peer}`,
      '--initial-cluster', `default=http://127.0.0.1:${peer}`, '--log-level', 'error'], { stdio: 'ignore' })
    using probe = new RemoteEtcdClient({ endpoints: [original], clock: realClock })
    for (let i = 0; ; i++) {
      try {
        await probe.range({ key: Buffer.from('health') }, AbortSignal.timeout(2000))
        return
      } catch (error) {
        if (i === 50) throw error
        await new Promise((done) => setTimeout(done, 100))
      }
    }
  })
  after(() => {
    child?.kill('SIGKILL')
    rmSync(folder, { recursive: true, force: true })
  })

  etcdStorageSuite('the original etcd', async () => {
    const client = new RemoteEtcdClient({ endpoints: [original], clock: realClock })
    return { client, [Symbol.asyncDispose]: async () => client[Symbol.dispose]() }
  })

  test('the same changes give the same hash of all revisions in both stores', async () => {
    await using etcd = await openEtcd({ disk: 'memory', clock: realClock, random: realRandom, logger: silentLogger })
    await using server = await serveEtcd(etcd, { clock: realClock, listen: [{ host: '127.0.0.1', port: 0 }] })
    const address = server.addresses[0]
    assert.ok(address && 'port' in address)
    const ours = `http://127.0.0.1:${address.port}`
    using a = new RemoteEtcdClient({ endpoints: [original], clock: realClock })
    using b = new RemoteEtcdClient({ endpoints: [ours], clock: realClock })
    // Bring both to the same revision, and forget what was before.
    const { revision } = await a.status(signal)
    await a.txn({ compare: [], success: [{ type: 'deleteRange', key: Buffer.from('\0'), rangeEnd: Buffer.from('\0') }], failure: [] }, signal)
    await put(a, 'marker', 'x')
    const start = (await a.status(signal)).revision
    assert.ok(start > revision)
    for (let at = (await b.status(signal)).revision; at < start - 1; at++) await put(b, 'filler', String(at))
    await put(b, 'marker', 'x')
    assert.equal((await b.status(signal)).revision, start)
    for (const client of [a, b]) {
      const drop: EtcdOperation = { type: 'deleteRange', key: Buffer.from('\0'), rangeEnd: Buffer.from('\0') }
      await client.txn({ compare: [], success: [drop], failure: [] }, signal)
      await put(client, 'first', '1')
      await client.compact(start + 2, signal, { physical: true })
      for (let i = 0; i < 30; i++) await put(client, `k${i % 7}`, `v${i}`)
      await client.txn({ compare: [], success: [{ type: 'put', key: Buffer.from('m1'), value: Buffer.from('') }, { type: 'deleteRange', key: Buffer.from('k'), rangeEnd: Buffer.from('k3') }, { type: 'put', key: Buffer.from('m2'), value: Buffer.from('2') }], failure: [] }, signal)
    }
    assert.deepEqual(await hash(ours, 0), await hash(original, 0))
    for (const client of [a, b]) await client.compact(start + 20, signal, { physical: true })
    assert.deepEqual(await hash(ours, 0), await hash(original, 0), 'after a compaction')
    assert.deepEqual(await hash(ours, start + 25), await hash(original, start + 25), 'at a revision in the past')
  })
}

async function put(client: EtcdClient, key: string, value: string): Promise<void> {
  await client.txn({ compare: [], success: [{ type: 'put', key: Buffer.from(key), value: Buffer.from(value) }], failure: [] }, signal)
}

async function hash(target: string, revision: number): Promise<object> {
  using channel = new GrpcChannel({ target, clock: realClock })
  const answer = decodeProto3<HashKVResponse>(etcdTable, 'HashKVResponse', await channel.unary('/etcdserverpb.Maintenance/HashKV', encodeProto3(etcdTable, 'HashKVRequest', { revision }), { signal }))
  return { hash: answer.hash, compactRevision: answer.compactRevision, hashRevision: answer.hashRevision }
}
