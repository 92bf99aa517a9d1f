// kube-proxy as a program of its own, with the original's flags and KubeProxyConfiguration files.
import { readFileSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { load } from 'js-yaml'
import { realClock } from '../lib/async/real-clock.ts'
import { realRandom } from '../lib/async/real-random.ts'
import { createHttpTransport } from '../lib/client/http-transport.ts'
import { createInformerFactory } from '../lib/client/informer.ts'
import { loadKubeconfig } from '../lib/client/kubeconfig.ts'
import { createApiClient } from '../lib/client/resource-client.ts'
import { parseGoDuration } from '../lib/component-base/flags.ts'
import { createIptablesRunner } from '../worker-node/kube-proxy/iptables-runner.ts'
import { removeRules, startKubeProxy } from '../worker-node/kube-proxy/kube-proxy.ts'
import { runComponent, untilAborted } from './run-component.ts'

/** The part of kubeproxy.config.k8s.io/v1alpha1 KubeProxyConfiguration that this proxy follows. */
interface KubeProxyConfiguration {
  readonly clientConnection?: { readonly kubeconfig?: string }
  readonly clusterCIDR?: string
  readonly hostnameOverride?: string
  readonly mode?: string
  readonly healthzBindAddress?: string
  readonly metricsBindAddress?: string
  readonly iptables?: { readonly masqueradeAll?: boolean; readonly masqueradeBit?: number; readonly syncPeriod?: string; readonly minSyncPeriod?: string; readonly localhostNodePorts?: boolean }
  readonly nodePortAddresses?: readonly string[]
}

const parseAddress = (text: string): { readonly host: string; readonly port: number } | undefined => {
  const at = text.lastIndexOf(':')
  return at < 0 ? undefined : { host: text.slice(0, at).replace(/^\[|\]$/g, ''), port: Number(text.slice(at + 1)) }
}

export function run(args: readonly string[]): Promise<number> {
  return runComponent({
    name: 'kube-proxy',
    description: 'The Kubernetes network proxy runs on each node and turns Services into packet rules that send their traffic to their pods.',
    flags: {
      kubeconfig: { type: 'string', usage: 'path to the kubeconfig that says where the API server is' },
      config: { type: 'string', usage: 'path to a KubeProxyConfiguration file' },
      master: { type: 'string', usage: "address of the API server, over the kubeconfig's" },
      'hostname-override': { type: 'string', usage: 'name of the node instead of the host name' },
      'cluster-cidr': { type: 'string', usage: "range of the cluster's pods; other traffic to cluster IPs is masqueraded" },
      'proxy-mode': { type: 'string', usage: 'iptables (the only mode so far)' },
      'masquerade-all': { type: 'bool', usage: 'masquerade all traffic to cluster IPs' },
      'iptables-masquerade-bit': { type: 'int', default: 14, usage: 'bit of the packet mark that means: masquerade' },
      'iptables-sync-period': { type: 'duration', default: 30_000, usage: 'how often rules are written anew' },
      'iptables-min-sync-period': { type: 'duration', default: 1000, usage: 'least time between two writes' },
      'healthz-bind-address': { type: 'string', default: '0.0.0.0:10256', usage: 'address of /healthz' },
      'metrics-bind-address': { type: 'string', default: '127.0.0.1:10249', usage: 'address of /metrics' },
      'nodeport-addresses': { type: 'strings', usage: 'addresses on which node ports answer; all local ones when empty' },
      cleanup: { type: 'bool', usage: 'remove the rules and end' },
    },
    async main({ flags }, logger, signal) {
      const config = (flags.config ? load(readFileSync(flags.config, 'utf8')) : {}) as KubeProxyConfiguration // cast: read field by field below
      if (flags.cleanup) { await removeRules(createIptablesRunner()); return 0 }
      const mode = flags['proxy-mode'] || config.mode || 'iptables'
      if (mode !== 'iptables') { process.stderr.write(`kube-proxy: unsupported proxy mode ${JSON.stringify(mode)}: supported is iptables\n`); return 1 }
      const kubeconfig = flags.kubeconfig || config.clientConnection?.kubeconfig
      if (!kubeconfig) { process.stderr.write('kube-proxy: needs --kubeconfig, or --config with clientConnection.kubeconfig\n'); return 1 }
      using transport = createHttpTransport({ ...loadKubeconfig(kubeconfig, realClock, 'kube-proxy'), ...(flags.master ? { server: flags.master } : {}) })
      const client = createApiClient(transport, { userAgent: 'kube-proxy' })
      const healthAddress = parseAddress(config.healthzBindAddress ?? flags['healthz-bind-address'])
      const metricsAddress = parseAddress(config.metricsBindAddress ?? flags['metrics-bind-address'])
      await using _proxy = await startKubeProxy({
        informers: createInformerFactory({ client, clock: realClock, random: realRandom, logger }), clock: realClock, logger, runner: createIptablesRunner(),
        nodeName: flags['hostname-override'] || config.hostnameOverride || hostname().toLowerCase(), clusterCidr: flags['cluster-cidr'] || (config.clusterCIDR ?? ''),
        rules: { masqueradeAll: flags['masquerade-all'] || (config.iptables?.masqueradeAll ?? false), masqueradeMark: 1 << (config.iptables?.masqueradeBit ?? flags['iptables-masquerade-bit']),
          localhostNodePorts: config.iptables?.localhostNodePorts ?? true, nodePortAddresses: config.nodePortAddresses ?? flags['nodeport-addresses'] },
        minSyncPeriodMs: parseGoDuration(config.iptables?.minSyncPeriod ?? '') ?? flags['iptables-min-sync-period'], syncPeriodMs: parseGoDuration(config.iptables?.syncPeriod ?? '') ?? flags['iptables-sync-period'],
        ...(healthAddress ? { healthAddress } : {}), ...(metricsAddress ? { metricsAddress } : {}),
        writeSysctl: (name, value) => writeFileSync(`/proc/sys/${name}`, value),
      }, signal)
      await untilAborted(signal)
      return 0
    },
  }, args)
}
