// etcdutl as a program.
import { runEtcdutl } from '../clients/etcdutl/etcdutl.ts'

export const run = runEtcdutl
