// `etcd grpc-proxy start`: a server that looks like a member of a cluster and is one client to it: it answers serializable reads from a cache, puts
// watches and renewals of leases together, and shows its clients a part of the keys as if it were all. Upstream: etcd/server/etcdmain/grpc_proxy.go
import { X509Certificate } from 'node:crypto'
import { Resolver } from 'node:dns/promises'
import { readFile } from 'node:fs/promises'
import { request as requestHttp } from 'node:http'
import { request as requestHttps, type RequestOptions } from 'node:https'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { serveGrpcProxy } from '../../control-plane/etcd/grpc-proxy/serve-grpc-proxy.ts'
import { Upstream } from '../../control-plane/etcd/grpc-proxy/upstream.ts'
import { selfSignedCertificate, type PeerTlsOptions } from '../../control-plane/etcd/peer/peer-tls.ts'
import { realClock } from '../../lib/async/real-clock.ts'
import { realRandom } from '../../lib/async/real-random.ts'
import { decodeProto3 } from '../../lib/base/protobuf/proto3.ts'
import { sleep } from '../../lib/base/clock.ts'
import { FlagError } from '../../lib/component-base/flags.ts'
import { describeError, type Logger } from '../../lib/component-base/log.ts'
import { PprofEndpoints } from '../../lib/component-base/pprof/pprof-endpoints.ts'
import { etcdTable } from '../../lib/etcd-api/generated/table.ts'
import type { MemberListResponse } from '../../lib/etcd-api/generated/types.ts'
import { RemoteEtcdClient } from '../../lib/etcd-client/remote-etcd-client.ts'
import type { ClientTls } from '../../lib/net/grpc/grpc-channel.ts'
import { serveGrpc } from '../../lib/net/grpc/grpc-server.ts'
import { notifySystemd } from '../notify-systemd.ts'
import { runComponent, untilAborted } from '../run-component.ts'
import { parseEndpoint } from './gateway.ts'
import { checkGrpcProxyFlags, grpcProxyFlags, type GrpcProxyFlags } from './grpc-proxy-flags.ts'
import { listenPlace } from './listen-address.ts'
import { limitsOf, serverTlsOf } from './tls-files.ts'

const longestMetricsMs = 10_000

export function runGrpcProxy(args: readonly string[]): Promise<number> {
  return runComponent({
    name: 'etcd grpc-proxy start', description: 'The gRPC proxy stands between an etcd cluster and many clients.', flags: grpcProxyFlags,
    async main({ flags }, logger, signal) {
      checkGrpcProxyFlags(flags)
      const endpoints = await endpointsOf(flags)
      const membersTls = await tlsForMembers(flags, logger)
      const listening = await tlsForClients(flags)
      await using stack = new AsyncDisposableStack()
      const tls = listening && await serverTlsOf(listening, logger)
      const upstream = stack.use(new Upstream({
        endpoints, clock: realClock, random: realRandom, ...(membersTls && { tls: membersTls }), maxReceiveBytes: flags['max-recv-bytes'] > 0 ? flags['max-recv-bytes'] : 2 ** 31 - 1,
        maxSendBytes: flags['max-send-bytes'] > 0 ? flags['max-send-bytes'] : 2 * 1024 * 1024, keepAliveMs: flags['dial-keepalive-time'], keepAliveTimeoutMs: flags['dial-keepalive-timeout'],
        keepAliveWithoutCalls: flags['permit-without-stream'],
      }))
      const client = stack.use(new RemoteEtcdClient({ endpoints, clock: realClock, random: realRandom, ...(membersTls && { tls: membersTls }) }))
      const advertised = flags['advertise-client-url']
      const ownTls = listening && await tlsForSelf(listening)
      const ownClient = advertised === '' ? undefined : stack.use(new RemoteEtcdClient({ endpoints: [advertised], clock: realClock, random: realRandom, ...(ownTls && { tls: ownTls }) }))
      const pprof = flags['enable-pprof'] ? stack.use(new PprofEndpoints(realClock)) : undefined
      const { host, port } = parseEndpoint(flags['listen-addr'])
      const proxy = stack.use(await serveGrpcProxy({
        clock: realClock, logger, listen: [{ host, port }], ...(tls && { tls }), upstream, client, ownClient, namespace: flags.namespace, ordered: flags['experimental-serializable-ordering'], hostname: hostname(),
        advertiseClientUrl: advertised, resolverPrefix: flags['resolver-prefix'], resolverTtlSeconds: flags['resolver-ttl'], logCalls: flags['experimental-enable-grpc-logging'],
        memberMetrics: (secure, until) => memberMetrics(upstream.endpoints, secure, membersTls, until), ...(pprof ? { others: async (request) => pprof.answer(request) } : {}),
        server: {
          maxConcurrentStreams: flags['max-concurrent-streams'],
          keepAlive: {
            ...(flags['grpc-keepalive-min-time'] > 0 ? { minPingIntervalMs: flags['grpc-keepalive-min-time'] } : {}),
            ...(flags['grpc-keepalive-interval'] > 0 && flags['grpc-keepalive-timeout'] > 0 ? { intervalMs: flags['grpc-keepalive-interval'], timeoutMs: flags['grpc-keepalive-timeout'] } : {}),
          },
        },
      }))
      if (flags['metrics-addr'] !== '') {
        const { address, secure } = listenPlace(flags['metrics-addr'], false)
        if (secure && !tls) throw new FlagError(`${flags['metrics-addr']} needs --cert-file and --key-file`)
        stack.use(await serveGrpc({ clock: realClock, listen: [address], ...(secure && tls ? { tls } : {}), handlers: [], onHttp: proxy.answerHttp }))
      }
      if (flags['endpoints-auto-sync-interval'] > 0) void followMembers(upstream, flags['endpoints-auto-sync-interval'], logger, signal)
      logger.info('started gRPC proxy', { address: flags['listen-addr'], endpoints: endpoints.join(',') })
      await notifySystemd('READY=1', process.env, logger)
      await untilAborted(signal)
      return 0
    },
  }, args)
}

async function endpointsOf(flags: GrpcProxyFlags): Promise<readonly string[]> {
  const domain = flags['discovery-srv']
  if (domain === '') return flags.endpoints
  const suffix = flags['discovery-srv-name'] === '' ? '' : `-${flags['discovery-srv-name']}`
  const look = async (service: string, scheme: string): Promise<readonly string[]> => (await new Resolver().resolveSrv(`_${service}${suffix}._tcp.${domain}`).catch(() => [])).map(({ name, port }) => `${scheme}://${name}:${port}`)
  const found = await Promise.all([look('etcd-client-ssl', 'https'), ...(flags['insecure-discovery'] ? [look('etcd-client', 'http')] : [])])
  return found.flat().length > 0 ? found.flat() : flags.endpoints
}

/** A certificate with a common name would make every client that user. */
async function tlsForMembers(flags: GrpcProxyFlags, logger: Logger): Promise<ClientTls | undefined> {
  const { cert, key, cacert } = flags
  const insecureSkipVerify = flags['insecure-skip-tls-verify']
  if (cert === '' && key === '' && cacert === '' && !insecureSkipVerify) return undefined
  if ((cert === '') !== (key === '')) throw new FlagError(`KeyFile and CertFile must both be present[key: ${key}, cert: ${cert}]`)
  if (insecureSkipVerify) logger.warn("--insecure-skip-tls-verify was given: the members' certificates are not checked. This is for tests alone.")
  const [certPem, keyPem, ca] = await Promise.all([cert, key, cacert].map((path) => (path === '' ? undefined : readFile(path))))
  const commonName = certPem && /(?:^|\n)CN=(.*)$/m.exec(new X509Certificate(certPem).subject)?.[1]
  if (commonName) throw new FlagError(`cert has non empty Common Name (${commonName}): ${cert}`)
  return { ...(certPem && { cert: certPem }), ...(keyPem && { key: keyPem }), ...(ca && { ca }), insecureSkipVerify }
}

async function tlsForClients(flags: GrpcProxyFlags): Promise<PeerTlsOptions | undefined> {
  const common = { ...limitsOf({ 'tls-min-version': flags['tls-min-version'], 'tls-max-version': flags['tls-max-version'], 'cipher-suites': flags['listen-cipher-suites'] }), skipClientSanVerification: true }
  if (flags['cert-file'] || flags['key-file'] || flags['trusted-ca-file']) {
    return { ...common, certFile: flags['cert-file'], keyFile: flags['key-file'], ...(flags['trusted-ca-file'] ? { trustedCaFile: flags['trusted-ca-file'] } : {}), ...(flags['client-crl-file'] ? { crlFile: flags['client-crl-file'] } : {}) }
  }
  if (!flags['auto-tls']) return undefined
  const pair = await selfSignedCertificate(join(flags['data-dir'], 'fixtures', 'proxy'), [flags['listen-addr']], flags['self-signed-cert-validity'], realClock, realRandom)
  return { ...common, ...pair, isSelfSigned: true }
}

/** For the proxy as a client of itself: it shows what it shows to clients. */
async function tlsForSelf({ certFile, keyFile, trustedCaFile, isSelfSigned }: PeerTlsOptions): Promise<ClientTls> {
  const [cert, key, ca] = await Promise.all([certFile, keyFile, trustedCaFile].map((path) => (path ? readFile(path) : undefined)))
  return { ...(cert && { cert }), ...(key && { key }), ...(ca && { ca }), insecureSkipVerify: isSelfSigned ?? false }
}

/** @throws when it can't be had */
function memberMetrics(endpoints: readonly string[], secure: boolean, tls: ClientTls | undefined, signal: AbortSignal): Promise<string> {
  const [endpoint = ''] = endpoints
  const url = `${endpoint.startsWith('http') ? endpoint : `${secure ? 'https' : 'http'}://${endpoint}`}/metrics`
  const options: RequestOptions = { signal: AbortSignal.any([signal, AbortSignal.timeout(longestMetricsMs)]), ...(tls ? { ca: tls.ca, cert: tls.cert, key: tls.key, rejectUnauthorized: !tls.insecureSkipVerify } : {}) }
  return new Promise((resolve, reject) => {
    const request = (url.startsWith('https:') ? requestHttps : requestHttp)(url, options, (response) => {
      const pieces: Buffer[] = []
      response.on('data', (piece: Buffer) => pieces.push(piece)).once('end', () => resolve(Buffer.concat(pieces).toString())).once('error', reject)
    })
    request.once('error', reject).end()
  })
}

async function followMembers(upstream: Upstream, everyMs: number, logger: Logger, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      await sleep(realClock, everyMs, signal)
      const answer = decodeProto3<MemberListResponse>(etcdTable, 'MemberListResponse', await upstream.unary('/etcdserverpb.Cluster/MemberList', new Uint8Array(0), { signal, metadata: {} }, true))
      upstream.setEndpoints((answer.members ?? []).filter(({ name, isLearner }) => name !== '' && name !== undefined && !isLearner).flatMap(({ clientURLs }) => clientURLs ?? []))
    } catch (error) {
      if (!signal.aborted) logger.warn('the members were not asked for', { why: describeError(error) })
    }
  }
}
