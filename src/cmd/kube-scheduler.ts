// kube-scheduler as a program of its own, with the original's flags and KubeSchedulerConfiguration files.
import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { load } from 'js-yaml'
import { startScheduler } from '../control-plane/kube-scheduler/scheduler.ts'
import { readSchedulerConfiguration } from '../control-plane/kube-scheduler/scheduler-configuration.ts'
import type { SchedulerConfiguration } from '../control-plane/kube-scheduler/scheduler-configuration.ts'
import { realClock } from '../lib/async/real-clock.ts'
import { realRandom } from '../lib/async/real-random.ts'
import type { JsonValue } from '../lib/base/json.ts'
import { randomUuid } from '../lib/base/random.ts'
import { createHttpTransport } from '../lib/client/http-transport.ts'
import { createInformerFactory } from '../lib/client/informer.ts'
import { loadKubeconfig } from '../lib/client/kubeconfig.ts'
import { createApiClient } from '../lib/client/resource-client.ts'
import { runComponent } from './run-component.ts'
import { serveHealth } from './serve-health.ts'

export function run(args: readonly string[]): Promise<number> {
  return runComponent({
    name: 'kube-scheduler',
    description: 'The Kubernetes scheduler decides which node each pod goes to: it rules out nodes that cannot take the pod, ranks the others, and binds the pod to the best.',
    flags: {
      kubeconfig: { type: 'string', usage: 'path to the kubeconfig that says where the API server is and who the scheduler is' },
      config: { type: 'string', usage: 'path to a KubeSchedulerConfiguration file' },
      master: { type: 'string', usage: "address of the API server, over the kubeconfig's" },
      'leader-elect': { type: 'bool', default: true, usage: 'schedule only while holding the lease kube-system/kube-scheduler; needed where several run' },
      'leader-elect-lease-duration': { type: 'duration', default: 15_000, usage: 'how long others wait after the last renewal they saw' },
      'leader-elect-renew-deadline': { type: 'duration', default: 10_000, usage: 'how long the leader tries to renew before it gives up' },
      'leader-elect-retry-period': { type: 'duration', default: 2_000, usage: 'time between tries' },
      'leader-elect-resource-lock': { type: 'string', default: 'leases', usage: 'kind of the lock; leases' },
      'leader-elect-resource-name': { type: 'string', default: 'kube-scheduler', usage: 'name of the lock' },
      'leader-elect-resource-namespace': { type: 'string', default: 'kube-system', usage: 'namespace of the lock' },
      'authentication-kubeconfig': { type: 'string', usage: "kubeconfig for checking the tokens of the scheduler's own clients" },
      'authorization-kubeconfig': { type: 'string', usage: "kubeconfig for asking what the scheduler's own clients may do" },
      'bind-address': { type: 'string', default: '0.0.0.0', usage: 'address of the secure port' },
      'secure-port': { type: 'int', default: 10_259, usage: 'port of /healthz, /livez and /readyz; 0 turns it off' },
      'tls-cert-file': { type: 'string', usage: 'certificate of the secure port; made up when absent' },
      'tls-private-key-file': { type: 'string', usage: 'its key' },
      'client-ca-file': { type: 'string', usage: "authority of the certificates of the scheduler's own clients" },
      'requestheader-client-ca-file': { type: 'string', usage: 'authority of the certificates of front proxies' },
      'kube-api-qps': { type: 'string', default: '50', usage: 'accepted; this client is not held back' },
      'kube-api-burst': { type: 'int', default: 100, usage: 'accepted; this client is not held back' },
      profiling: { type: 'bool', default: true, usage: 'accepted' },
    },
    async main({ flags, given }, logger, signal) {
      const configuration: SchedulerConfiguration = flags.config ? readSchedulerConfiguration(load(readFileSync(flags.config, 'utf8')) as JsonValue) : {} // cast: YAML of JSON's kinds; the reader checks it
      const kubeconfig = flags.kubeconfig || configuration.clientConnection?.kubeconfig
      if (!kubeconfig) { process.stderr.write('kube-scheduler: needs --kubeconfig, or --config with clientConnection.kubeconfig\n'); return 1 }
      using transport = createHttpTransport({ ...loadKubeconfig(kubeconfig, realClock, 'kube-scheduler'), ...(flags.master ? { server: flags.master } : {}) })
      const client = createApiClient(transport, { userAgent: 'kube-scheduler' })
      const file = (path: string): string => (path === '' ? '' : readFileSync(path, 'utf8'))
      const elects = given.has('leader-elect') ? flags['leader-elect'] : configuration.leaderElection?.leaderElect ?? true
      const leaderElect = elects && {
        identity: `${hostname()}_${randomUuid(realRandom)}`, leaseDurationMs: flags['leader-elect-lease-duration'], renewDeadlineMs: flags['leader-elect-renew-deadline'], retryPeriodMs: flags['leader-elect-retry-period'],
        name: configuration.leaderElection?.resourceName ?? flags['leader-elect-resource-name'], namespace: configuration.leaderElection?.resourceNamespace ?? flags['leader-elect-resource-namespace'],
      }
      let ready = false
      using _health = flags['secure-port'] === 0 ? undefined
        : serveHealth({ name: 'kube-scheduler', address: flags['bind-address'], port: flags['secure-port'], certificate: file(flags['tls-cert-file']), key: file(flags['tls-private-key-file']), ready: () => ready })
      await using scheduler = await startScheduler({
        client, informers: createInformerFactory({ client, clock: realClock, random: realRandom, logger }), clock: realClock, random: realRandom, logger, configuration, leaderElect,
      }, signal)
      ready = true
      const outcome = await scheduler.ended
      if (outcome === 'lost') logger.error('Leaderelection lost', undefined)
      return outcome === 'lost' ? 1 : 0
    },
  }, args)
}
