// kube-controller-manager as a program of its own, with the original's flags.
import { readFileSync } from 'node:fs'
import { createServer as createHttpsServer } from 'node:https'
import { hostname } from 'node:os'
import { catalogue } from '../control-plane/kube-controller-manager/controller-catalogue.ts'
import { startControllerManager } from '../control-plane/kube-controller-manager/controller-manager.ts'
import { createServiceAccountClients } from '../control-plane/kube-controller-manager/runner/service-account-clients.ts'
import { createTokenSigner } from '../control-plane/kube-controller-manager/runner/token-signer.ts'
import { defaultSettings } from '../control-plane/kube-controller-manager/controllers/shared/settings.ts'
import { realClock } from '../lib/async/real-clock.ts'
import { realRandom } from '../lib/async/real-random.ts'
import type { Random } from '../lib/base/random.ts'
import { randomUuid } from '../lib/base/random.ts'
import { createHttpTransport } from '../lib/client/http-transport.ts'
import { loadKubeconfig } from '../lib/client/kubeconfig.ts'
import { createApiClient } from '../lib/client/resource-client.ts'
import type { FlagSpec } from '../lib/component-base/flags.ts'
import { createAuthority, issueCertificate } from '../lib/net/pki/certificates.ts'
import { runComponent } from './run-component.ts'

const userAgent = 'kube-controller-manager'
const dayMs = 24 * 3600 * 1000

const concurrencyFlags: { readonly [flag: string]: FlagSpec } = Object.fromEntries(catalogue.flatMap((entry) => (entry.concurrencyFlag === undefined ? []
  : [[entry.concurrencyFlag, { type: 'int', default: 5, usage: `objects that ${entry.name} works on at the same time` }]])))

export function run(args: readonly string[]): Promise<number> {
  const names = catalogue.map((entry) => entry.name).sort().join(', ')
  const byDefaultOff = catalogue.filter((entry) => entry.disabledByDefault).map((entry) => entry.name).join(', ') || 'none'
  return runComponent({
    name: 'kube-controller-manager',
    description: 'The Kubernetes controller manager runs the controllers: loops that watch the state of the cluster through the API server and move it towards the desired state.',
    flags: {
      kubeconfig: { type: 'string', usage: 'path to the kubeconfig that says where the API server is and who the controllers are' },
      master: { type: 'string', usage: "address of the API server, over the kubeconfig's" },
      'authentication-kubeconfig': { type: 'string', usage: "kubeconfig for checking the tokens of the controller manager's own clients" },
      'authorization-kubeconfig': { type: 'string', usage: "kubeconfig for asking what the controller manager's own clients may do" },
      controllers: { type: 'strings', default: ['*'], usage: `controllers to run: '*' for all that are on by default, 'name' for one more, '-name' for one less. All: ${names}. Off by default: ${byDefaultOff}` },
      'use-service-account-credentials': { type: 'bool', usage: 'give each controller a service account of its own in kube-system' },
      'leader-elect': { type: 'bool', default: true, usage: 'run the controllers only while holding the lease kube-system/kube-controller-manager; needed where several run' },
      'leader-elect-lease-duration': { type: 'duration', default: 15_000, usage: 'how long others wait after the last renewal they saw' },
      'leader-elect-renew-deadline': { type: 'duration', default: 10_000, usage: 'how long the leader tries to renew before it gives up' },
      'leader-elect-retry-period': { type: 'duration', default: 2_000, usage: 'time between tries' },
      'leader-elect-resource-lock': { type: 'string', default: 'leases', usage: 'kind of the lock; leases' },
      'leader-elect-resource-name': { type: 'string', default: 'kube-controller-manager', usage: 'name of the lock' },
      'leader-elect-resource-namespace': { type: 'string', default: 'kube-system', usage: 'namespace of the lock' },
      'allocate-node-cidrs': { type: 'bool', usage: 'give every node a piece of the range for pods' },
      'cluster-cidr': { type: 'strings', usage: 'range for pods; with --allocate-node-cidrs' },
      'service-cluster-ip-range': { type: 'string', usage: 'range for services' },
      'cluster-name': { type: 'string', default: 'kubernetes', usage: 'name of the cluster' },
      'node-cidr-mask-size': { type: 'int', default: defaultSettings.nodeCidrMaskSize, usage: "prefix length of a node's IPv4 piece" },
      'node-cidr-mask-size-ipv4': { type: 'int', default: defaultSettings.nodeCidrMaskSize, usage: "prefix length of a node's IPv4 piece" },
      'node-cidr-mask-size-ipv6': { type: 'int', default: defaultSettings.nodeCidrMaskSizeIPv6, usage: "prefix length of a node's IPv6 piece" },
      'node-monitor-period': { type: 'duration', default: defaultSettings.nodeMonitorPeriodMs, usage: 'how often nodes are looked at' },
      'node-monitor-grace-period': { type: 'duration', default: defaultSettings.nodeMonitorGracePeriodMs, usage: 'silence after which a node is unreachable' },
      'node-startup-grace-period': { type: 'duration', default: defaultSettings.nodeStartupGracePeriodMs, usage: 'silence allowed to a node that starts' },
      'node-eviction-rate': { type: 'string', default: '0.1', usage: 'nodes per second whose pods are evicted in a healthy zone' },
      'secondary-node-eviction-rate': { type: 'string', default: '0.01', usage: 'the same in a large zone that is partly down' },
      'large-cluster-size-threshold': { type: 'int', default: defaultSettings.largeClusterSizeThreshold, usage: 'nodes from which on a zone is large' },
      'unhealthy-zone-threshold': { type: 'string', default: '0.55', usage: 'share of silent nodes at which a zone counts as partly down' },
      'terminated-pod-gc-threshold': { type: 'int', default: defaultSettings.terminatedPodGcThreshold, usage: 'finished pods that are kept; 0: all' },
      'max-endpoints-per-slice': { type: 'int', default: defaultSettings.maxEndpointsPerSlice, usage: 'endpoints in one EndpointSlice' },
      'root-ca-file': { type: 'string', usage: "certificate authority that pods are given to check the API server's certificate" },
      'service-account-private-key-file': { type: 'string', usage: 'key that signs the tokens of service accounts' },
      'horizontal-pod-autoscaler-sync-period': { type: 'duration', default: defaultSettings.horizontalPodAutoscalerSyncPeriodMs, usage: 'how often autoscalers look at their metrics' },
      'horizontal-pod-autoscaler-downscale-stabilization': { type: 'duration', default: defaultSettings.horizontalPodAutoscalerDownscaleStabilizationMs, usage: 'how long a lower recommendation has to hold' },
      'horizontal-pod-autoscaler-tolerance': { type: 'string', default: '0.1', usage: 'deviation from the target that is let pass' },
      'horizontal-pod-autoscaler-cpu-initialization-period': { type: 'duration', default: defaultSettings.horizontalPodAutoscalerCpuInitializationPeriodMs, usage: "time in which a new pod's CPU may not count" },
      'horizontal-pod-autoscaler-initial-readiness-delay': { type: 'duration', default: defaultSettings.horizontalPodAutoscalerInitialReadinessDelayMs, usage: 'time in which readiness changes count as the first start' },
      'resource-quota-sync-period': { type: 'duration', default: defaultSettings.resourceQuotaSyncPeriodMs, usage: 'how often quotas are counted anew' },
      'cluster-signing-cert-file': { type: 'string', usage: 'certificate authority that signs certificate requests' },
      'cluster-signing-key-file': { type: 'string', usage: 'its key' },
      'cluster-signing-duration': { type: 'duration', default: 365 * dayMs, usage: 'longest validity of a signed certificate' },
      'client-ca-file': { type: 'string', usage: "authority of the certificates of the controller manager's own clients" },
      'requestheader-client-ca-file': { type: 'string', usage: 'authority of the certificates of front proxies' },
      'kube-api-qps': { type: 'string', default: '20', usage: 'accepted; this client is not held back' },
      'kube-api-burst': { type: 'int', default: 30, usage: 'accepted; this client is not held back' },
      'bind-address': { type: 'string', default: '0.0.0.0', usage: 'address of the secure port' },
      'secure-port': { type: 'int', default: 10_257, usage: 'port of /healthz; 0 turns it off' },
      'tls-cert-file': { type: 'string', usage: 'certificate of the secure port; made up when absent' },
      'tls-private-key-file': { type: 'string', usage: 'its key' },
      profiling: { type: 'bool', default: true, usage: 'accepted' },
      ...concurrencyFlags,
    },
    async main({ flags, given }, logger, signal) {
      if (!flags.kubeconfig) { process.stderr.write('kube-controller-manager: needs --kubeconfig\n'); return 1 }
      const file = (path: string): string => (path === '' ? '' : readFileSync(path, 'utf8'))
      const connection = { ...loadKubeconfig(flags.kubeconfig, realClock, userAgent), ...(flags.master ? { server: flags.master } : {}) }
      using transport = createHttpTransport(connection)
      const client = createApiClient(transport, { userAgent })
      using accounts = flags['use-service-account-credentials'] ? createServiceAccountClients({ client, connection, clock: realClock, userAgent, logger }, signal) : undefined
      const keyPem = file(flags['service-account-private-key-file'])
      const values = flags as unknown as { readonly [flag: string]: number } // cast: the concurrency flags are ints
      const manager = startControllerManager({
        client, clock: realClock, random: realRandom, logger, controllers: flags.controllers, ...(accounts ? { clientFor: (name: string) => accounts.clientFor(name) } : {}),
        concurrency: Object.fromEntries(Object.keys(concurrencyFlags).filter((flag) => given.has(flag)).map((flag) => [flag, values[flag] ?? 5])),
        leaderElection: flags['leader-elect'] ? {
          identity: `${hostname()}_${randomUuid(realRandom)}`, name: flags['leader-elect-resource-name'], namespace: flags['leader-elect-resource-namespace'],
          leaseDurationMs: flags['leader-elect-lease-duration'], renewDeadlineMs: flags['leader-elect-renew-deadline'], retryPeriodMs: flags['leader-elect-retry-period'],
        } : undefined,
        settings: {
          allocateNodeCidrs: flags['allocate-node-cidrs'], clusterCidrs: flags['cluster-cidr'],
          nodeCidrMaskSize: given.has('node-cidr-mask-size-ipv4') ? flags['node-cidr-mask-size-ipv4'] : flags['node-cidr-mask-size'], nodeCidrMaskSizeIPv6: flags['node-cidr-mask-size-ipv6'],
          nodeMonitorPeriodMs: flags['node-monitor-period'], nodeMonitorGracePeriodMs: flags['node-monitor-grace-period'], nodeStartupGracePeriodMs: flags['node-startup-grace-period'],
          nodeEvictionRate: Number(flags['node-eviction-rate']), secondaryNodeEvictionRate: Number(flags['secondary-node-eviction-rate']),
          largeClusterSizeThreshold: flags['large-cluster-size-threshold'], unhealthyZoneThreshold: Number(flags['unhealthy-zone-threshold']),
          terminatedPodGcThreshold: flags['terminated-pod-gc-threshold'], maxEndpointsPerSlice: flags['max-endpoints-per-slice'],
          rootCa: file(flags['root-ca-file']), signToken: keyPem === '' ? undefined : createTokenSigner(keyPem),
          clusterSigning: flags['cluster-signing-cert-file'] === '' ? undefined
            : { certificate: file(flags['cluster-signing-cert-file']), key: file(flags['cluster-signing-key-file']), durationMs: flags['cluster-signing-duration'] },
          horizontalPodAutoscalerSyncPeriodMs: flags['horizontal-pod-autoscaler-sync-period'],
          horizontalPodAutoscalerDownscaleStabilizationMs: flags['horizontal-pod-autoscaler-downscale-stabilization'], horizontalPodAutoscalerTolerance: Number(flags['horizontal-pod-autoscaler-tolerance']),
          horizontalPodAutoscalerCpuInitializationPeriodMs: flags['horizontal-pod-autoscaler-cpu-initialization-period'],
          horizontalPodAutoscalerInitialReadinessDelayMs: flags['horizontal-pod-autoscaler-initial-readiness-delay'], resourceQuotaSyncPeriodMs: flags['resource-quota-sync-period'],
        },
      }, signal)
      using _health = flags['secure-port'] === 0 ? undefined
        : serveHealth({ address: flags['bind-address'], port: flags['secure-port'], certificate: file(flags['tls-cert-file']), key: file(flags['tls-private-key-file']), random: realRandom })
      const outcome = await manager.done
      if (outcome === 'lost') logger.error('Leaderelection lost', undefined)
      return outcome === 'lost' ? 1 : 0
    },
  }, args)
}

interface HealthOptions { readonly address: string, readonly port: number, readonly certificate: string, readonly key: string, readonly random: Random }

/** /healthz, /livez and /readyz over HTTPS, for probes; a certificate of its own unless one is given. */
function serveHealth({ address, port, certificate, key, random }: HealthOptions): Disposable {
  const validity = { notBeforeMs: realClock.now() - 3_600_000, notAfterMs: realClock.now() + 365 * dayMs }
  const pair = certificate !== '' ? { certificatePem: certificate, keyPem: key }
    : issueCertificate(createAuthority('kube-controller-manager-ca', validity, random), 'kube-controller-manager-ca', { subject: { commonName: 'localhost' }, names: ['localhost', '127.0.0.1'], usages: ['server'], random, ...validity })
  const server = createHttpsServer({ cert: pair.certificatePem, key: pair.keyPem }, (request, response) => {
    const known = ['/healthz', '/livez', '/readyz'].includes(request.url?.split('?')[0] ?? '')
    response.writeHead(known ? 200 : 404, { 'content-type': 'text/plain; charset=utf-8' }).end(known ? 'ok' : '404 page not found\n')
  })
  server.on('error', (error) => process.stderr.write(`kube-controller-manager: no health port: ${error.message}\n`))
  server.listen(port, address)
  return { [Symbol.dispose]: () => { server.close(); server.closeAllConnections() } }
}
