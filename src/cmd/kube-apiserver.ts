// kube-apiserver as a program of its own, with the original's flags: in front of any etcd, ours or another.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { hostname, networkInterfaces } from 'node:os'
import { join } from 'node:path'
import { startApiServer } from '../control-plane/kube-apiserver/api-server.ts'
import type { AuthorizationMode } from '../control-plane/kube-apiserver/api-server.ts'
import { parseTokenFile } from '../control-plane/kube-apiserver/authentication/authenticator.ts'
import type { EncryptionAtRest } from '../control-plane/kube-apiserver/storage/encryption/encryption-at-rest.ts'
import { EncryptionConfigError } from '../control-plane/kube-apiserver/storage/encryption/encryption-configuration.ts'
import { unbuiltPlugins } from '../control-plane/kube-apiserver/admission/plugins.ts'
import { realClock } from '../lib/async/real-clock.ts'
import { realRandom } from '../lib/async/real-random.ts'
import { parseCidr } from '../lib/apimachinery/ip-address.ts'
import type { FlagSpecs } from '../lib/component-base/flags.ts'
import { createAuthority, issueCertificate } from '../lib/net/pki/certificates.ts'
import { connectEtcd, EtcdFlagError, waitForEtcd, type EtcdConnections } from './kube-apiserver/connect-etcd.ts'
import { openEncryption } from './kube-apiserver/open-encryption.ts'
import { checkEtcdFlags, etcdFlags, normalisePrefix, storageMediaTypeOf, uncachedResources } from './kube-apiserver/etcd-flags.ts'
import { runComponent, untilAborted } from './run-component.ts'

const flags = {
  ...etcdFlags,
  'bind-address': { type: 'string', default: '0.0.0.0', usage: 'address to listen on' },
  'secure-port': { type: 'int', default: 6443, usage: 'port to listen on' },
  'advertise-address': { type: 'string', usage: 'address under which the cluster reaches this server; the first of the machine when absent' },
  'tls-cert-file': { type: 'string', usage: 'serving certificate, with its chain; made and kept in --cert-dir when absent' },
  'tls-private-key-file': { type: 'string', usage: 'key of the serving certificate' },
  'cert-dir': { type: 'string', default: '/var/run/kubernetes', usage: 'folder for a serving certificate of our own making' },
  'client-ca-file': { type: 'string', usage: 'authority of client certificates: their common name is the user, their organizations are the groups' },
  'requestheader-client-ca-file': { type: 'string', usage: 'authority of front proxies, which may say who their client is' },
  'requestheader-allowed-names': { type: 'strings', usage: 'common names of front proxies; any when absent' },
  'token-auth-file': { type: 'string', usage: 'CSV file of tokens: token,user,uid,"groups"' },
  'anonymous-auth': { type: 'bool', default: true, usage: 'let requests without credentials in as system:anonymous' },
  'enable-bootstrap-token-auth': { type: 'bool', usage: 'accepted; bootstrap tokens are always looked at' },
  'authorization-mode': { type: 'strings', usage: 'Node, RBAC, AlwaysAllow, AlwaysDeny, in the order in which they are asked; AlwaysAllow when absent' },
  'service-account-issuer': { type: 'strings', noSplit: true, usage: 'issuer of service account tokens; the first issues, all are accepted' },
  'service-account-key-file': { type: 'strings', noSplit: true, usage: 'keys that service account tokens are verified with' },
  'service-account-signing-key-file': { type: 'string', usage: 'key that service account tokens are signed with' },
  'api-audiences': { type: 'strings', usage: 'audiences of tokens for this server; the issuers when absent' },
  'service-cluster-ip-range': { type: 'string', default: '10.0.0.0/24', usage: 'range of the Services’ cluster addresses' },
  'service-node-port-range': { type: 'string', default: '30000-32767', usage: 'range of the Services’ node ports' },
  'enable-admission-plugins': { type: 'strings', usage: 'admission plugins besides those that are on by default' },
  'disable-admission-plugins': { type: 'strings', usage: 'admission plugins that are on by default and should not be' },
  'kubelet-client-certificate': { type: 'string', usage: 'certificate that kubelets know this server by' },
  'kubelet-client-key': { type: 'string', usage: 'key of that certificate' },
  'kubelet-certificate-authority': { type: 'string', usage: 'authority of the kubelets’ certificates; not verified when absent' },
  'kubelet-preferred-address-types': { type: 'strings', usage: 'which of a node’s addresses to use, in this order' },
  'max-requests-inflight': { type: 'int', default: 400, usage: 'most requests at a time that only read' },
  'max-mutating-requests-inflight': { type: 'int', default: 200, usage: 'most requests at a time that write' },
  'request-timeout': { type: 'duration', default: 60_000, usage: 'longest time for a request that isn’t a stream' },
  'min-request-timeout': { type: 'int', default: 1800, usage: 'seconds that a watch lasts at least' },
  'endpoint-reconciler-type': { type: 'string', default: 'lease', usage: 'who writes the endpoints of default/kubernetes: lease (the API servers that are alive) or none' },
  'event-ttl': { type: 'duration', default: 3_600_000, usage: 'how long events are kept' },
} as const satisfies FlagSpecs

/** The original's flags that belong to what isn't here yet, or to Go. Accepted; a word is said when they are given. */
const withoutEffect = {
  'allow-privileged': { type: 'bool', usage: 'no effect: privileged containers are allowed' }, 'audit-log-path': { type: 'string', usage: 'no effect' }, 'audit-policy-file': { type: 'string', usage: 'no effect' },
  'audit-log-maxage': { type: 'int', usage: 'no effect' }, 'audit-log-maxbackup': { type: 'int', usage: 'no effect' }, 'audit-log-maxsize': { type: 'int', usage: 'no effect' },
  'requestheader-extra-headers-prefix': { type: 'strings', usage: 'no effect' },
  'requestheader-group-headers': { type: 'strings', usage: 'no effect' }, 'requestheader-username-headers': { type: 'strings', usage: 'no effect' }, 'requestheader-uid-headers': { type: 'strings', usage: 'no effect' },
  'proxy-client-cert-file': { type: 'string', usage: 'no effect' }, 'proxy-client-key-file': { type: 'string', usage: 'no effect' }, 'enable-aggregator-routing': { type: 'bool', usage: 'no effect' },
  'feature-gates': { type: 'string', usage: 'no effect' }, 'runtime-config': { type: 'string', usage: 'no effect' },
  profiling: { type: 'bool', default: true, usage: 'no effect' }, 'apiserver-count': { type: 'int', usage: 'no effect' }, 'master-service-namespace': { type: 'string', usage: 'no effect: default' },
  'external-hostname': { type: 'string', usage: 'no effect' }, 'service-account-lookup': { type: 'bool', default: true, usage: 'no effect: always' }, 'service-account-jwks-uri': { type: 'string', usage: 'no effect' },
  'service-account-max-token-expiration': { type: 'duration', usage: 'no effect' }, 'service-account-extend-token-expiration': { type: 'bool', default: true, usage: 'no effect: always' }, 'tls-min-version': { type: 'string', usage: 'no effect: 1.2' },
  'tls-cipher-suites': { type: 'strings', usage: 'no effect' },
  'goaway-chance': { type: 'string', usage: 'no effect' },
  'shutdown-delay-duration': { type: 'duration', usage: 'no effect' }, 'kubelet-timeout': { type: 'duration', usage: 'no effect' }, 'kubelet-port': { type: 'int', usage: 'no effect' }, 'cors-allowed-origins': { type: 'strings', usage: 'no effect' },
  'enable-priority-and-fairness': { type: 'bool', default: true, usage: 'no effect' }, 'oidc-issuer-url': { type: 'string', usage: 'no effect' }, 'oidc-client-id': { type: 'string', usage: 'no effect' }, logtostderr: { type: 'bool', usage: 'no effect' },
} as const satisfies FlagSpecs

export function run(args: readonly string[]): Promise<number> {
  return runComponent({
    name: 'kube-apiserver',
    description: 'The Kubernetes API server validates and keeps the objects of a cluster in etcd, and is the one door through which everybody reads and changes them.',
    flags: { ...flags, ...withoutEffect },
    async main({ flags: given, given: named }, logger, signal) {
      const fail = (message: string): number => { process.stderr.write(`Error: ${message}\n`); return 1 }
      const wrongFlags = checkEtcdFlags(given)
      if (wrongFlags.length > 0) return fail(wrongFlags.join('\nError: '))
      const { 'endpoint-reconciler-type': reconciler } = given
      if (reconciler !== 'lease' && reconciler !== 'none') return fail(`--endpoint-reconciler-type: ${reconciler} is not known here (lease, none)`)
      if (!parseCidr(given['service-cluster-ip-range'])) return fail(`--service-cluster-ip-range: ${given['service-cluster-ip-range']} is no network`)
      const ports = /^(\d+)-(\d+)$/.exec(given['service-node-port-range'])
      if (!ports) return fail(`--service-node-port-range: ${given['service-node-port-range']} is no range of ports`)
      const modes = given['authorization-mode'].length === 0 ? ['AlwaysAllow'] : given['authorization-mode']
      const wrong = modes.filter((mode) => !isMode(mode))
      if (wrong.length > 0) return fail(`--authorization-mode: ${wrong.join(', ')} not known here (Node, RBAC, AlwaysAllow, AlwaysDeny)`)
      const unbuilt = given['enable-admission-plugins'].filter((name) => unbuiltPlugins.includes(name))
      if (unbuilt.length > 0) logger.warn('Admission plugins without effect', { plugins: unbuilt.join(',') })
      for (const name of named) if (Object.hasOwn(withoutEffect, name)) logger.info('Flag without effect', { flag: `--${name}` }, 2)
      const file = (path: string): string | undefined => (path === '' ? undefined : readFileSync(path, 'utf8'))
      let connections: EtcdConnections
      try { connections = connectEtcd(given, realClock, realRandom) } catch (error) { if (error instanceof EtcdFlagError) return fail(error.message); throw error }
      using held = connections
      const { etcd, overrides } = held
      try { await waitForEtcd(held, given, realClock, logger, signal) } catch (error) { if (error instanceof EtcdFlagError) return fail(error.message); throw error }
      let encryption: EncryptionAtRest | undefined
      try { encryption = await openEncryption(given, logger, signal) } catch (error) { if (error instanceof EncryptionConfigError) return fail(error.message); throw error }
      const storageMediaType = storageMediaTypeOf(given['storage-media-type'])
      const uncached = uncachedResources(given)
      const advertise = given['advertise-address'] || firstAddress() || '127.0.0.1'
      const signingKey = file(given['service-account-signing-key-file'])
      const clientCa = file(given['client-ca-file'])
      const requestHeaderClientCa = file(given['requestheader-client-ca-file'])
      const kubeletCertificate = file(given['kubelet-client-certificate'])
      const kubeletKey = file(given['kubelet-client-key'])
      const kubeletCa = file(given['kubelet-certificate-authority'])
      const tokenFile = file(given['token-auth-file'])
      await using apiServer = await startApiServer({
        etcd, clock: realClock, random: realRandom, logger, serviceClusterIpRange: given['service-cluster-ip-range'], nodePortRange: { first: Number(ports[1]), last: Number(ports[2]) },
        tls: servingCertificate(given['tls-cert-file'], given['tls-private-key-file'], given['cert-dir'], advertise), ...(clientCa !== undefined && { clientCa }),
        ...(requestHeaderClientCa !== undefined && { requestHeaderClientCa, requestHeaderAllowedNames: given['requestheader-allowed-names'] }),
        serviceAccounts: {
          issuers: given['service-account-issuer'].length > 0 ? given['service-account-issuer'] : ['https://kubernetes.default.svc.cluster.local'], ...(signingKey !== undefined && { signingKey }),
          verificationKeys: given['service-account-key-file'].map((path) => readFileSync(path, 'utf8')), ...(given['api-audiences'].length > 0 && { audiences: given['api-audiences'] }),
        },
        tokens: tokenFile === undefined ? [] : parseTokenFile(tokenFile), anonymousAuth: given['anonymous-auth'], authorizationModes: modes.filter(isMode),
        enableAdmissionPlugins: given['enable-admission-plugins'], disableAdmissionPlugins: given['disable-admission-plugins'], advertiseAddress: advertise, securePort: given['secure-port'],
        kubeletClient: {
          ...(kubeletCertificate !== undefined && { certificate: kubeletCertificate }), ...(kubeletKey !== undefined && { key: kubeletKey }), ...(kubeletCa !== undefined && { certificateAuthority: kubeletCa }),
          ...(given['kubelet-preferred-address-types'].length > 0 && { preferredAddressTypes: given['kubelet-preferred-address-types'] }),
        },
        maxRequestsInFlight: given['max-requests-inflight'], maxMutatingRequestsInFlight: given['max-mutating-requests-inflight'], requestTimeoutMs: given['request-timeout'],
        minRequestTimeoutSeconds: given['min-request-timeout'], eventTtlSeconds: Math.max(1, Math.round(given['event-ttl'] / 1000)), compactionIntervalMs: given['etcd-compaction-interval'],
        etcdPrefix: normalisePrefix(given['etcd-prefix']), etcdOverrides: overrides, etcdHealthcheckTimeoutMs: given['etcd-healthcheck-timeout'], etcdReadycheckTimeoutMs: given['etcd-readycheck-timeout'],
        dbMetricPollIntervalMs: given['etcd-db-metric-poll-interval'], countMetric: given['etcd-count-metric-poll-period'] > 0, leaseReuseSeconds: given['lease-reuse-duration-seconds'], endpointReconciler: reconciler,
        ...(storageMediaType && { storageMediaType }), ...(encryption && { encryption }), ...(uncached && { uncached }), garbageCollection: given['enable-garbage-collector'], deleteCollectionWorkers: given['delete-collection-workers'],
      }, signal)
      const listening = await apiServer.listen({ address: given['bind-address'], port: given['secure-port'] })
      logger.info('Serving securely', { address: listening.address, port: listening.port })
      await untilAborted(signal)
      return 0
    },
  }, args)
}

const modes: readonly AuthorizationMode[] = ['Node', 'RBAC', 'AlwaysAllow', 'AlwaysDeny']
const isMode = (text: string): text is AuthorizationMode => (modes as readonly string[]).includes(text) // cast: widening for includes

/** The machine's first address that others can reach. */
function firstAddress(): string | undefined {
  return Object.values(networkInterfaces()).flat().find((address) => address?.family === 'IPv4' && !address.internal)?.address
}

/** From the files, or self-signed and kept for the next start. */
function servingCertificate(certFile: string, keyFile: string, folder: string, advertise: string): { readonly certificate: string; readonly key: string } {
  if (certFile !== '' && keyFile !== '') return { certificate: readFileSync(certFile, 'utf8'), key: readFileSync(keyFile, 'utf8') }
  const paths = { certificate: join(folder, 'apiserver.crt'), key: join(folder, 'apiserver.key') }
  if (existsSync(paths.certificate) && existsSync(paths.key)) return { certificate: readFileSync(paths.certificate, 'utf8'), key: readFileSync(paths.key, 'utf8') }
  const validity = { notBeforeMs: realClock.now() - 3_600_000, notAfterMs: realClock.now() + 365 * 24 * 3_600_000 }
  const name = `${hostname()}-ca`
  const authority = createAuthority(name, validity, realRandom)
  const { certificatePem, keyPem } = issueCertificate(authority, name, {
    subject: { commonName: hostname() }, names: ['localhost', '127.0.0.1', advertise, hostname(), 'kubernetes', 'kubernetes.default', 'kubernetes.default.svc', 'kubernetes.default.svc.cluster.local'], usages: ['server'], ...validity, random: realRandom,
  })
  mkdirSync(folder, { recursive: true })
  writeFileSync(paths.key, keyPem, { mode: 0o600 })
  writeFileSync(paths.certificate, `${certificatePem}${authority.certificatePem}`)
  return { certificate: `${certificatePem}${authority.certificatePem}`, key: keyPem }
}
