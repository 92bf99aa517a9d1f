// Whom a member without data begins with: the flags' list, SRV records, a discovery service, or the members of a cluster that runs.
// Upstream: etcd/server/embed/config.go (PeerURLsMapAndToken)
import { lookup } from 'node:dns/promises'
import { readFileSync } from 'node:fs'
import { Resolver } from 'node:dns/promises'
import { isIP } from 'node:net'
import { bootstrapCluster } from '../../control-plane/etcd/bootstrap/bootstrap-cluster.ts'
import { discoverByDns, type SrvRecord } from '../../control-plane/etcd/bootstrap/discover-by-dns.ts'
import { discoverByService } from '../../control-plane/etcd/bootstrap/discover-by-service.ts'
import { normalizeUrls, parseInitialCluster } from '../../control-plane/etcd/membership/parse-urls.ts'
import type { BootstrapPlan } from '../../control-plane/etcd/membership/plan-bootstrap.ts'
import type { PeerClient } from '../../control-plane/etcd/peer/peer-client.ts'
import { realClock } from '../../lib/async/real-clock.ts'
import type { Logger } from '../../lib/component-base/log.ts'
import { RemoteEtcdClient } from '../../lib/etcd-client/remote-etcd-client.ts'
import type { EtcdSettings } from './check-settings.ts'

export interface NameResolver {
  lookUpHost(host: string): Promise<string>
  lookUpSrv(name: string): Promise<readonly SrvRecord[]>
}

/** The machine's own. */
export const systemResolver: NameResolver = {
  lookUpHost: async (host) => (isIP(host) === 0 ? (await lookup(host)).address : host),
  lookUpSrv: (name) => new Resolver().resolveSrv(name),
}

/** @throws BootstrapError, UrlError */
export async function findInitialCluster(flags: EtcdSettings, peerClient: PeerClient, resolver: NameResolver, logger: Logger, signal: AbortSignal): Promise<BootstrapPlan> {
  const { name } = flags
  const peerUrls = normalizeUrls(flags['initial-advertise-peer-urls'])
  const endpoints = flags['discovery-endpoints']
  const { lookUpHost } = resolver
  const listed = endpoints.length > 0 ? undefined
    : flags['discovery-srv'] !== '' ? await discoverByDns({ name, domain: flags['discovery-srv'], serviceName: flags['discovery-srv-name'], peerUrls, lookUpSrv: (record) => resolver.lookUpSrv(record), lookUpHost, logger })
      : flags['initial-cluster']
  // Without a list the member is alone.
  const initialCluster = listed === undefined || listed === '' ? new Map([[name, peerUrls]]) : parseInitialCluster(listed)
  const token = endpoints.length > 0 ? flags['discovery-token'] : flags['initial-cluster-token']
  return bootstrapCluster({
    settings: { name, peerUrls, initialCluster, token, isDiscovering: endpoints.length > 0 }, state: flags['initial-cluster-state'] === 'existing' ? 'existing' : 'new',
    maxLearners: flags['max-learners'], electionTimeoutMs: flags['election-timeout'], peerClient, lookUpHost, clock: realClock, logger,
    ...(endpoints.length > 0 ? { joinDiscovery: (memberId: bigint, ownUrls: string, ended: AbortSignal) => askDiscoveryService(flags, memberId, ownUrls, logger, ended) } : {}),
  }, signal)
}

async function askDiscoveryService(flags: EtcdSettings, memberId: bigint, ownUrls: string, logger: Logger, signal: AbortSignal): Promise<string> {
  const read = (path: string): Buffer | undefined => (path === '' ? undefined : readFileSync(path))
  const [ca, cert, key] = [read(flags['discovery-cacert']), read(flags['discovery-cert']), read(flags['discovery-key'])]
  const secure = !flags['discovery-insecure-transport'] || flags['discovery-endpoints'].some((endpoint) => endpoint.startsWith('https:'))
  const [user = '', ...rest] = flags['discovery-user'].split(':')
  using client = new RemoteEtcdClient({
    endpoints: flags['discovery-endpoints'].map((endpoint) => (endpoint.includes('://') ? endpoint : `${secure ? 'https' : 'http'}://${endpoint}`)), clock: realClock, patienceMs: flags['discovery-dial-timeout'],
    keepAlive: { timeMs: flags['discovery-keepalive-time'], timeoutMs: flags['discovery-keepalive-timeout'] },
    ...(secure ? { tls: { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }), insecureSkipVerify: flags['discovery-insecure-skip-tls-verify'] } } : {}),
    ...(user === '' ? {} : { user: { name: user, password: flags['discovery-password'] || rest.join(':') } }),
  })
  return await discoverByService({ client, token: flags['discovery-token'], memberId, ownUrls, requestTimeoutMs: flags['discovery-request-timeout'], clock: realClock, logger }, signal)
}
