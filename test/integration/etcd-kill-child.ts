// The process that etcd-kill.test.ts kills: writes as fast as it can, with small segments and snapshots, and tells its parent what was acknowledged.
import { realClock } from '../../src/lib/async/real-clock.ts'
import { realRandom } from '../../src/lib/async/real-random.ts'
import { silentLogger } from '../../src/lib/component-base/log.ts'
import { openEtcd } from '../../src/control-plane/etcd/embedded.ts'

const [dataDir = '', round = '0'] = process.argv.slice(2)
const signal = new AbortController().signal
const etcd = await openEtcd({ disk: { dataDir }, clock: realClock, random: realRandom, logger: silentLogger, snapshotCount: 150, snapshotBytes: 100_000, segmentBytes: 1_100_000 })

async function write(writer: number): Promise<never> {
  for (let value = 0; ; value++) {
    const { revision } = await etcd.client.txn({ compare: [], success: [{ type: 'put', key: Buffer.from(`r${round}-w${writer}`), value: Buffer.from(`${value}`.padEnd(1500, '.')) }], failure: [] }, signal)
    process.send?.({ writer, value, at: revision })
  }
}
await Promise.all(Array.from({ length: 16 }, (_, writer) => write(writer)))
