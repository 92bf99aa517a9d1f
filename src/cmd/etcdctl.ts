// etcdctl as a program.
import { runEtcdctl } from '../clients/etcdctl/etcdctl.ts'

export const run = (args: readonly string[]): Promise<number> => runEtcdctl(args)
