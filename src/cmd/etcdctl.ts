// etcdctl as a program. Its `backup` of the second API reads a server's files, which only the server knows.
import { processWorld, runEtcdctl } from '../clients/etcdctl/etcdctl.ts'
import { realDisk } from '../control-plane/etcd/disk/real-disk.ts'
import { backupFolder } from '../control-plane/etcd/offline/backup-v2.ts'
import { realRandom } from '../lib/async/real-random.ts'

export const run = (args: readonly string[]): Promise<number> => runEtcdctl(args, {
  ...processWorld,
  backup: (request) => {
    const [memberId, clusterId] = [randomId(), randomId()]
    return backupFolder({ ...request, disk: realDisk, identity: { memberId, clusterId } })
  },
})

/** Of 63 bits, never 0. */
function randomId(): bigint { return (Buffer.from(realRandom.bytes(8)).readBigUInt64BE() >> 1n) | 1n }
