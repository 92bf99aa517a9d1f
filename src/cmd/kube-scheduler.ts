// kube-scheduler as a program of its own, with the original's flags and KubeSchedulerConfiguration files.
import { readFileSync } from 'node:fs'
import { load } from 'js-yaml'
import { startScheduler } from '../control-plane/kube-scheduler/scheduler.ts'
import { readSchedulerConfiguration } from '../control-plane/kube-scheduler/scheduler-configuration.ts'
import type { SchedulerConfiguration } from '../control-plane/kube-scheduler/scheduler-configuration.ts'
import { realClock } from '../lib/async/real-clock.ts'
import { realRandom } from '../lib/async/real-random.ts'
import type { JsonValue } from '../lib/base/json.ts'
import { createHttpTransport } from '../lib/client/http-transport.ts'
import { createInformerFactory } from '../lib/client/informer.ts'
import { loadKubeconfig } from '../lib/client/kubeconfig.ts'
import { createApiClient } from '../lib/client/resource-client.ts'
import { runComponent } from './run-component.ts'

export function run(args: readonly string[]): Promise<number> {
  return runComponent({
    name: 'kube-scheduler',
    description: 'The Kubernetes scheduler decides which node each pod goes to: it rules out nodes that cannot take the pod, ranks the others, and binds the pod to the best.',
    flags: {
      kubeconfig: { type: 'string', usage: 'path to the kubeconfig that says where the API server is and who the scheduler is' },
      config: { type: 'string', usage: 'path to a KubeSchedulerConfiguration file' },
      master: { type: 'string', usage: "address of the API server, over the kubeconfig's" },
      'leader-elect': { type: 'bool', default: true, usage: 'schedule only while holding the lease kube-system/kube-scheduler; needed where several run' },
      'authentication-kubeconfig': { type: 'string', usage: "kubeconfig for checking the tokens of the scheduler's own clients" },
      'authorization-kubeconfig': { type: 'string', usage: "kubeconfig for asking what the scheduler's own clients may do" },
      'bind-address': { type: 'string', default: '0.0.0.0', usage: 'address of the secure port' },
      'secure-port': { type: 'int', default: 10_259, usage: 'port for health and metrics; 0 turns it off' },
    },
    async main({ flags, given }, logger, signal) {
      const configuration: SchedulerConfiguration = flags.config ? readSchedulerConfiguration(load(readFileSync(flags.config, 'utf8')) as JsonValue) : {} // cast: YAML of JSON's kinds; the reader checks it
      const kubeconfig = flags.kubeconfig || configuration.clientConnection?.kubeconfig
      if (!kubeconfig) { process.stderr.write('kube-scheduler: needs --kubeconfig, or --config with clientConnection.kubeconfig\n'); return 1 }
      using transport = createHttpTransport({ ...loadKubeconfig(kubeconfig, realClock, 'kube-scheduler'), ...(flags.master ? { server: flags.master } : {}) })
      const client = createApiClient(transport, { userAgent: 'kube-scheduler' })
      const leaderElect = given.has('leader-elect') ? flags['leader-elect'] : configuration.leaderElection?.leaderElect ?? true
      await using scheduler = await startScheduler({
        client, informers: createInformerFactory({ client, clock: realClock, random: realRandom, logger }), clock: realClock, random: realRandom, logger, configuration, leaderElect,
      }, signal)
      const outcome = await scheduler.ended
      if (outcome === 'lost') logger.error('Leaderelection lost', undefined)
      return outcome === 'lost' ? 1 : 0
    },
  }, args)
}
