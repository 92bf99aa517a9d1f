// Builds of our etcd with a fault put in, which the robustness suite has to notice: `control-etcd.ts <fault> <data folder> <port>`.
//
// early-acknowledgement: writes are acknowledged 50 ms before they reach the disk. stale-read: ranges answer with the state of half a
// second ago. dropped-event: a watch that starts in the past leaves out the first event. forgotten-lease: a restart loses a lease.
import { realClock } from '../../src/lib/async/real-clock.ts'
import { realRandom } from '../../src/lib/async/real-random.ts'
import { silentLogger } from '../../src/lib/component-base/log.ts'
import type { Disk } from '../../src/control-plane/etcd/disk/disk.ts'
import { realDisk } from '../../src/control-plane/etcd/disk/real-disk.ts'
import { openEtcd } from '../../src/control-plane/etcd/embedded.ts'
import type { HubWatch } from '../../src/control-plane/etcd/mvcc/watch-hub.ts'
import { serveEtcd } from '../../src/control-plane/etcd/v3rpc/serve-etcd.ts'
import type { EtcdWatchObserver, EtcdWatchRequest } from '../../src/lib/etcd-client/etcd-client.ts'

const [fault = '', dataDir = '', port = '0'] = process.argv.slice(2)
const lateMs = 50

/** Acknowledges durable writes at once and does them later, in order. */
const lyingDisk: Disk = {
  ...realDisk,
  open: async (path, mode) => {
    const file = await realDisk.open(path, mode)
    if (mode !== 'dsync') return file
    let last: Promise<void> = Promise.resolve()
    return {
      read: (target, position) => file.read(target, position),
      size: () => file.size(),
      sync: () => file.sync(),
      write: async (bytes, position) => {
        const copy = Buffer.from(bytes)
        const due = new Promise<void>((done) => { realClock.setTimer(lateMs, done) })
        last = Promise.all([last, due]).then(() => file.write(copy, position))
      },
      [Symbol.asyncDispose]: async () => { await last; await file[Symbol.asyncDispose]() },
    }
  },
}

const etcd = await openEtcd({ disk: { dataDir, ...(fault === 'early-acknowledgement' ? { disk: lyingDisk } : {}) }, clock: realClock, random: realRandom, logger: silentLogger, clientUrls: [`http://127.0.0.1:${port}`], snapshotCount: 1000 })
const { member } = etcd.internals

if (fault === 'stale-read') {
  const { store } = member.machine
  let old = store.revision
  const age = (): void => {
    const seen = store.revision
    realClock.setTimer(500, () => { old = seen })
    realClock.setTimer(100, age)
  }
  age()
  const { client } = etcd.internals
  const range = client.range.bind(client)
  client.range = (request, signal) => range(request.revision || old <= store.compactedRevision ? request : { ...request, revision: old }, signal)
}
if (fault === 'forgotten-lease') {
  const { leases } = member.machine
  const first = leases.ids()[0]
  if (first !== undefined) leases.revoke(first)
}
if (fault === 'dropped-event') {
  const watch = member.hub.watch.bind(member.hub)
  member.hub.watch = (request: EtcdWatchRequest, observer: EtcdWatchObserver): HubWatch => {
    let drop = (request.startRevision ?? 0) > 0
    return watch(request, {
      ...(observer.created ? { created: (revision: number) => observer.created?.(revision) } : {}),
      closed: (end) => observer.closed(end),
      events: (events, revision) => {
        if (drop && events.length > 1) { drop = false; observer.events(events.slice(1), revision) } else observer.events(events, revision)
      },
    })
  }
}
await serveEtcd(etcd, { clock: realClock, listen: [{ host: '127.0.0.1', port: Number(port) }] })
