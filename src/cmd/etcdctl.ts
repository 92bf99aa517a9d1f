// etcdctl as a program.
import { runEtcdctl } from '../clients/etcdctl/etcdctl.ts'

export const run = runEtcdctl
