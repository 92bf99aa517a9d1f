// The kubelet as a program of its own, with the original's flags and KubeletConfiguration files, for any CRI runtime on a socket. Without a
// kubeconfig it runs the static pods of its manifest folder and nothing else.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { hostname, networkInterfaces } from 'node:os'
import { join } from 'node:path'
import { load } from 'js-yaml'
import { realClock } from '../lib/async/real-clock.ts'
import { realRandom } from '../lib/async/real-random.ts'
import { createHttpTransport } from '../lib/client/http-transport.ts'
import { createInformerFactory } from '../lib/client/informer.ts'
import { loadKubeconfig } from '../lib/client/kubeconfig.ts'
import { createApiClient } from '../lib/client/resource-client.ts'
import type { ApiClient } from '../lib/client/api-client.ts'
import type { FlagSpecs } from '../lib/component-base/flags.ts'
import { parseGoDuration } from '../lib/component-base/flags.ts'
import type { Logger } from '../lib/component-base/log.ts'
import { connectCri } from '../lib/cri-api/cri-client.ts'
import { createAuthority, issueCertificate } from '../lib/net/pki/certificates.ts'
import { linuxCgroups } from '../worker-node/kubelet/cgroup/linux-cgroups.ts'
import { linuxMounter } from '../worker-node/kubelet/host/linux-mounter.ts'
import { completeSettings, parseTaint, parseThresholds, readKubeletFile } from '../worker-node/kubelet/kubelet-configuration.ts'
import type { KubeletFile } from '../worker-node/kubelet/kubelet-configuration.ts'
import { startKubelet } from '../worker-node/kubelet/kubelet.ts'
import type { KubeletSettings } from '../worker-node/kubelet/kubelet.ts'
import type { KubeletServerOptions } from '../worker-node/kubelet/server/kubelet-server.ts'
import { createWebhookAccess } from '../worker-node/kubelet/server/webhook-access.ts'
import { runComponent, untilAborted } from './run-component.ts'

const flags = {
  kubeconfig: { type: 'string', usage: 'path to the kubeconfig that says where the API server is; without it the kubelet runs alone' },
  'bootstrap-kubeconfig': { type: 'string', usage: 'kubeconfig to use while --kubeconfig does not exist yet' },
  config: { type: 'string', usage: 'path to a KubeletConfiguration file; flags win over it' },
  'container-runtime-endpoint': { type: 'string', default: 'unix:///run/containerd/containerd.sock', usage: 'endpoint of the container runtime' },
  'image-service-endpoint': { type: 'string', usage: 'endpoint of the image service; that of the runtime when empty' },
  'root-dir': { type: 'string', default: '/var/lib/kubelet', usage: "folder for the kubelet's files: volumes, state" },
  'logs-dir': { type: 'string', default: '/var/log', usage: 'folder that holds pods/ and containers/ with the logs' },
  'pod-manifest-path': { type: 'string', usage: 'folder of manifests of static pods' },
  'hostname-override': { type: 'string', usage: 'name of the node instead of the host name' },
  'node-ip': { type: 'string', usage: 'address of the node (one per family, separated by a comma); found out when empty' },
  'node-labels': { type: 'map', usage: 'labels to register the node with' },
  'register-node': { type: 'bool', default: true, usage: 'register the node with the API server' },
  'register-with-taints': { type: 'strings', usage: 'taints to register the node with, as key=value:effect' },
  'register-schedulable': { type: 'bool', default: true, usage: 'register the node as schedulable' },
  'provider-id': { type: 'string', usage: "the node's name at its cloud provider" },
  'cluster-dns': { type: 'strings', usage: "addresses of the cluster's DNS" },
  'cluster-domain': { type: 'string', default: 'cluster.local', usage: "the cluster's DNS domain" },
  'max-pods': { type: 'int', default: 110, usage: 'most pods on this node' },
  'pod-cidr': { type: 'string', usage: 'range of pod addresses, for a kubelet that runs alone' },
  'resolv-conf': { type: 'string', default: '/etc/resolv.conf', usage: 'resolver configuration that pods get parts of' },
  port: { type: 'int', default: 10250, usage: 'port of the HTTPS server' },
  address: { type: 'string', default: '0.0.0.0', usage: 'address of the HTTPS server' },
  'healthz-port': { type: 'int', default: 10248, usage: 'port of /healthz on 127.0.0.1; 0 for none' },
  'tls-cert-file': { type: 'string', usage: 'certificate of the HTTPS server; made at start when empty' },
  'tls-private-key-file': { type: 'string', usage: 'key to --tls-cert-file' },
  'cert-dir': { type: 'string', usage: 'folder for a certificate made at start; <root-dir>/pki when empty' },
  'client-ca-file': { type: 'string', usage: 'authorities whose client certificates are accepted' },
  'anonymous-auth': { type: 'bool', usage: 'let requests without credentials through to the permission check' },
  'authentication-token-webhook': { type: 'bool', usage: 'check bearer tokens with the API server' },
  'authorization-mode': { type: 'string', default: 'Webhook', usage: 'Webhook or AlwaysAllow' },
  'sync-frequency': { type: 'duration', default: 60_000, usage: 'most time between two looks at a running pod' },
  'node-status-update-frequency': { type: 'duration', default: 10_000, usage: "how often the node's status is computed" },
  'serialize-image-pulls': { type: 'bool', default: true, usage: 'pull one image at a time' },
  'eviction-hard': { type: 'strings', usage: 'thresholds at which pods are evicted, such as memory.available<100Mi' },
  'eviction-soft': { type: 'strings', usage: 'thresholds that hold after their grace period' },
  'eviction-soft-grace-period': { type: 'map', usage: 'grace periods of the soft thresholds' },
  'kube-reserved': { type: 'map', usage: 'resources kept for Kubernetes itself' },
  'system-reserved': { type: 'map', usage: 'resources kept for the system' },
  'container-log-max-size': { type: 'string', default: '10Mi', usage: 'size at which a log is rotated' },
  'container-log-max-files': { type: 'int', default: 5, usage: 'most log files of a container' },
  'pod-max-pids': { type: 'int', default: -1, usage: 'most processes in a pod; -1 for no limit' },
  'cgroup-root': { type: 'string', usage: 'control group under which those of the pods are made' },
  'cgroup-driver': { type: 'string', default: 'cgroupfs', usage: 'cgroupfs (the only one so far)' },
} as const satisfies FlagSpecs

type Given = ReadonlySet<string>

export function run(args: readonly string[]): Promise<number> {
  return runComponent({
    name: 'kubelet', description: 'The kubelet is the primary node agent: it registers its node, runs the pods that are given to it and reports how they are.', flags,
    async main({ flags: values, given }, logger, signal) {
      const file = values.config === '' ? undefined : readKubeletFile(load(readFileSync(values.config, 'utf8')))
      for (const name of file?.ignored ?? []) logger.warn('A field of the configuration is not followed', { field: name })
      const settings = completeSettings(file?.settings ?? {}, flagSettings(values, given))
      const nodeName = (values['hostname-override'] || hostname()).toLowerCase()
      const nodeIps = values['node-ip'] === '' ? firstAddress() : values['node-ip'].split(',')
      const endpoint = !given.has('container-runtime-endpoint') && file?.containerRuntimeEndpoint ? file.containerRuntimeEndpoint : values['container-runtime-endpoint']
      using runtime = connectCri(endpoint, realClock)
      using images = values['image-service-endpoint'] === '' ? undefined : connectCri(values['image-service-endpoint'], realClock)
      const kubeconfig = values.kubeconfig !== '' && !existsSync(values.kubeconfig) && values['bootstrap-kubeconfig'] !== '' ? values['bootstrap-kubeconfig'] : values.kubeconfig
      using transport = kubeconfig === '' ? undefined : createHttpTransport(loadKubeconfig(kubeconfig, realClock, 'kubelet'))
      const client = transport && createApiClient(transport, { userAgent: 'kubelet' })
      if (!client) logger.info('No kubeconfig: running alone, with static pods only')
      await using _kubelet = await startKubelet({
        nodeName, hostname: hostname().toLowerCase(), nodeIps, runtime: runtime.runtime, images: (images ?? runtime).images, clock: realClock, random: realRandom, logger, settings,
        rootDir: values['root-dir'], logsDir: file?.podLogsDir && !given.has('logs-dir') ? file.podLogsDir.replace(/\/pods\/?$/, '') : values['logs-dir'], mounter: linuxMounter,
        ...(settings.cgroupsPerQos ? { cgroups: linuxCgroups() } : {}), server: serverOptions(values, given, file, client, nodeName, nodeIps, logger),
        ...(client ? { client, informers: createInformerFactory({ client, clock: realClock, random: realRandom, logger }) } : {}),
      }, signal)
      await untilAborted(signal)
      return 0
    },
  }, args)
}

type Values = { readonly [K in keyof typeof flags]: (typeof flags)[K]['type'] extends 'string' ? string : (typeof flags)[K]['type'] extends 'bool' ? boolean
  : (typeof flags)[K]['type'] extends 'strings' ? readonly string[] : (typeof flags)[K]['type'] extends 'map' ? { readonly [key: string]: string } : number }

/** The settings that were given as flags. */
function flagSettings(values: Values, given: Given): Partial<KubeletSettings> {
  const size = /^(\d+)(Ki|Mi|Gi)?$/.exec(values['container-log-max-size'])
  const bytes = Number(size?.[1] ?? 10) * { '': 1, Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30 }[(size?.[2] ?? '') as '' | 'Ki' | 'Mi' | 'Gi'] // cast: the pattern's suffixes
  const all: { readonly [flag: string]: Partial<KubeletSettings> } = {
    'pod-manifest-path': { staticPodPath: values['pod-manifest-path'] }, 'node-labels': { nodeLabels: values['node-labels'] }, 'register-node': { registerNode: values['register-node'] },
    'register-with-taints': { registerWithTaints: values['register-with-taints'].map(parseTaint) }, 'register-schedulable': { registerSchedulable: values['register-schedulable'] }, 'provider-id': { providerId: values['provider-id'] },
    'cluster-dns': { clusterDns: values['cluster-dns'] }, 'cluster-domain': { clusterDomain: values['cluster-domain'] }, 'max-pods': { maxPods: values['max-pods'] }, 'pod-cidr': { podCidr: values['pod-cidr'] },
    'resolv-conf': { resolvConf: values['resolv-conf'] }, 'sync-frequency': { syncFrequencyMs: values['sync-frequency'] }, 'node-status-update-frequency': { nodeStatusUpdateFrequencyMs: values['node-status-update-frequency'] },
    'serialize-image-pulls': { serializeImagePulls: values['serialize-image-pulls'] }, 'eviction-hard': { evictionHard: parseThresholds(values['eviction-hard']) }, 'eviction-soft': { evictionSoft: parseThresholds(values['eviction-soft']) },
    'eviction-soft-grace-period': { evictionSoftGracePeriodMs: Object.fromEntries(Object.entries(values['eviction-soft-grace-period']).map(([k, v]) => [k, parseGoDuration(v) ?? 0])) },
    'kube-reserved': { kubeReserved: values['kube-reserved'] }, 'system-reserved': { systemReserved: values['system-reserved'] }, 'container-log-max-size': { containerLogMaxBytes: bytes },
    'container-log-max-files': { containerLogMaxFiles: values['container-log-max-files'] }, 'cgroup-root': { cgroupRoot: values['cgroup-root'] }, 'pod-max-pids': { podPidsLimit: values['pod-max-pids'] },
  }
  return Object.assign({}, ...Object.entries(all).filter(([flag]) => given.has(flag)).map(([, part]) => part)) as Partial<KubeletSettings> // cast: merged from parts of it
}

function serverOptions(values: Values, given: Given, file: KubeletFile | undefined, client: ApiClient | undefined, nodeName: string, nodeIps: readonly string[], logger: Logger): KubeletServerOptions {
  const pick = <T>(flag: string, fromFlag: T, fromFile: T | undefined): T => (given.has(flag) || fromFile === undefined ? fromFlag : fromFile)
  const certFile = pick('tls-cert-file', values['tls-cert-file'], file?.tlsCertFile)
  const keyFile = pick('tls-private-key-file', values['tls-private-key-file'], file?.tlsPrivateKeyFile)
  const clientCaFile = pick('client-ca-file', values['client-ca-file'], file?.clientCaFile)
  const tls = certFile !== '' && keyFile !== '' ? { cert: readFileSync(certFile, 'utf8'), key: readFileSync(keyFile, 'utf8') } : selfSigned(values['cert-dir'] || join(values['root-dir'], 'pki'), nodeName, nodeIps, logger)
  const access = client && createWebhookAccess({ client, nodeName, clock: realClock })
  const allowAll = pick('authorization-mode', values['authorization-mode'], file?.authorizationMode) === 'AlwaysAllow' || !access
  return {
    port: pick('port', values.port, file?.port), address: pick('address', values.address, file?.address), healthzPort: pick('healthz-port', values['healthz-port'], file?.healthzPort), tls,
    ...(clientCaFile === '' ? {} : { clientCa: readFileSync(clientCaFile, 'utf8') }), allowAnonymous: pick('anonymous-auth', values['anonymous-auth'], file?.anonymousAuth),
    ...(access && pick('authentication-token-webhook', values['authentication-token-webhook'], file?.webhookAuth ?? true) ? { authenticateToken: access.authenticateToken } : {}),
    ...(allowAll ? {} : { authorize: access.authorize }),
  }
}

/** A certificate for a year, kept in the folder for the next start. */
function selfSigned(folder: string, nodeName: string, nodeIps: readonly string[], logger: Logger): { readonly cert: string; readonly key: string } {
  const certPath = join(folder, 'kubelet.crt')
  const keyPath = join(folder, 'kubelet.key')
  if (existsSync(certPath) && existsSync(keyPath)) return { cert: readFileSync(certPath, 'utf8'), key: readFileSync(keyPath, 'utf8') }
  const validity = { notBeforeMs: realClock.now() - 3_600_000, notAfterMs: realClock.now() + 365 * 24 * 3_600_000 }
  const authorityName = `${nodeName}-ca@${Math.floor(realClock.now() / 1000)}`
  const authority = createAuthority(authorityName, validity, realRandom)
  const made = issueCertificate(authority, authorityName, { subject: { commonName: nodeName }, names: [nodeName, ...nodeIps], usages: ['server'], random: realRandom, ...validity })
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  writeFileSync(certPath, made.certificatePem + authority.certificatePem, { mode: 0o644 })
  writeFileSync(keyPath, made.keyPem, { mode: 0o600 })
  logger.info('Made a self-signed certificate', { path: certPath })
  return { cert: made.certificatePem + authority.certificatePem, key: made.keyPem }
}

/** The first address of the machine that others can reach. */
function firstAddress(): readonly string[] {
  const all = Object.values(networkInterfaces()).flatMap((list) => list ?? [])
  const found = all.find((a) => !a.internal && a.family === 'IPv4') ?? all.find((a) => !a.internal && !a.address.startsWith('fe80')) ?? all[0]
  return [found?.address ?? '127.0.0.1']
}
