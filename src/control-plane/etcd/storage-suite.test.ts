import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { realClock } from '../../lib/async/real-clock.ts'
import { realRandom } from '../../lib/async/real-random.ts'
import { seededRandom } from '../../lib/base/random.ts'
import { silentLogger } from '../../lib/component-base/log.ts'
import { RemoteEtcdClient } from '../../lib/etcd-client/remote-etcd-client.ts'
import type { EtcdClient } from '../../lib/etcd-client/etcd-client.ts'
import { etcdStorageSuite } from '../../lib/testing/etcd-storage-suite.ts'
import { SimulatedDisk } from '../../lib/testing/simulated-disk.ts'
import { openEtcd, type EtcdOptions } from './embedded.ts'
import { serveEtcd } from './v3rpc/serve-etcd.ts'

type Opened = { readonly client: EtcdClient } & AsyncDisposable
const world = { clock: realClock, random: realRandom, logger: silentLogger }

etcdStorageSuite('embedded, in memory', () => openEtcd({ ...world, disk: 'memory' }))
etcdStorageSuite('embedded, on a simulated disk', () => openEtcd({ ...world, disk: { dataDir: '/data', disk: new SimulatedDisk(seededRandom(1)) } }))
etcdStorageSuite('embedded, on the real disk', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'k8ts-etcd-'))
  const etcd = await openEtcd({ ...world, disk: { dataDir } })
  return { client: etcd.client, [Symbol.asyncDispose]: async () => { await etcd[Symbol.asyncDispose](); rmSync(dataDir, { recursive: true }) } }
})
etcdStorageSuite('ours over gRPC', () => overGrpc('memory'))

async function overGrpc(disk: EtcdOptions['disk']): Promise<Opened> {
  const etcd = await openEtcd({ ...world, disk })
  const server = await serveEtcd(etcd, { clock: realClock, listen: [{ host: '127.0.0.1', port: 0 }] })
  const address = server.addresses[0]
  const client = new RemoteEtcdClient({ endpoints: [`http://127.0.0.1:${address && 'port' in address ? address.port : 0}`], clock: realClock })
  return { client, [Symbol.asyncDispose]: async () => { client[Symbol.dispose](); await server[Symbol.asyncDispose](); await etcd[Symbol.asyncDispose]() } }
}
