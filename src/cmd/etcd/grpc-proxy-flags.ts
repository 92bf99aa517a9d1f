// The flags of `etcd grpc-proxy start`, and what of them contradicts each other. Upstream: etcd/server/etcdmain/grpc_proxy.go
import { FlagError, type FlagSpecs, type FlagValues } from '../../lib/component-base/flags.ts'

export const grpcProxyFlags = {
  'listen-addr': { type: 'string', default: '127.0.0.1:23790', usage: 'where to listen' },
  'discovery-srv': { type: 'string', usage: 'DNS domain whose SRV records name the members' },
  'discovery-srv-name': { type: 'string', usage: "suffix of the records' name: _etcd-client-NAME._tcp" },
  'metrics-addr': { type: 'string', usage: 'URL to serve /metrics and /health on as well' },
  'insecure-discovery': { type: 'bool', usage: 'take records of members without TLS too' },
  endpoints: { type: 'strings', default: ['127.0.0.1:2379'], usage: 'members of the cluster' },
  'endpoints-auto-sync-interval': { type: 'duration', usage: 'time between looks at who the members are; 0: never' },
  'dial-keepalive-time': { type: 'duration', usage: 'time after which a member is asked whether it is there; 0: never' },
  'dial-keepalive-timeout': { type: 'duration', default: 20_000, usage: 'time that it has to answer' },
  'permit-without-stream': { type: 'bool', usage: 'ask members also while there are no calls' },
  'advertise-client-url': { type: 'string', default: '127.0.0.1:23790', usage: 'address that clients are told' },
  'resolver-prefix': { type: 'string', usage: 'prefix under which proxies of one group register' },
  'resolver-ttl': { type: 'int', usage: 'seconds that a registration lasts without its proxy' },
  namespace: { type: 'string', usage: "prefix of all of the clients' keys" },
  'enable-pprof': { type: 'bool', usage: 'profiles under /debug/pprof/' },
  'data-dir': { type: 'string', default: 'default.proxy', usage: 'folder for certificates that are made here' },
  'max-send-bytes': { type: 'int', default: 1.5 * 1024 * 1024, usage: 'largest request to the members, bytes' },
  'max-recv-bytes': { type: 'int', default: 2 ** 31 - 1, usage: 'largest answer of the members, bytes' },
  'grpc-keepalive-min-time': { type: 'duration', default: 5000, usage: 'least time between two pings of a client' },
  'grpc-keepalive-interval': { type: 'duration', default: 7_200_000, usage: 'time without a word of a client after which it is asked whether it is there' },
  'grpc-keepalive-timeout': { type: 'duration', default: 20_000, usage: 'time that it has to answer' },
  cert: { type: 'string', usage: 'certificate to show to the members; its common name has to be empty' },
  key: { type: 'string', usage: 'its key' },
  cacert: { type: 'string', usage: "authorities of the members' certificates" },
  'insecure-skip-tls-verify': { type: 'bool', usage: "don't check the members' certificates (for tests alone)" },
  'cert-file': { type: 'string', usage: 'certificate to show to clients' },
  'key-file': { type: 'string', usage: 'its key' },
  'trusted-ca-file': { type: 'string', usage: "authorities of clients' certificates; given, every client needs one" },
  'listen-cipher-suites': { type: 'strings', usage: 'TLS suites that clients may use' },
  'auto-tls': { type: 'bool', usage: 'TLS with a certificate made here' },
  'client-crl-file': { type: 'string', usage: "clients' certificates that are revoked" },
  'self-signed-cert-validity': { type: 'int', default: 1, usage: 'years that it is valid' },
  'tls-min-version': { type: 'string', default: 'TLS1.2', usage: 'TLS1.2 or TLS1.3' },
  'tls-max-version': { type: 'string', usage: 'TLS1.2 or TLS1.3' },
  'experimental-serializable-ordering': { type: 'bool', usage: 'no answer is older than one that was given before' },
  'experimental-leasing-prefix': { type: 'string', usage: 'not available here: a proxy that is told to lease keys does not start' },
  'experimental-enable-grpc-logging': { type: 'bool', usage: 'tell of every call' },
  debug: { type: 'bool', usage: 'tell more' },
  'max-concurrent-streams': { type: 'int', default: 2 ** 32 - 1, usage: 'calls that a client may have open at once' },
} as const satisfies FlagSpecs

export type GrpcProxyFlags = FlagValues<typeof grpcProxyFlags>

const tlsVersions: readonly string[] = ['', 'TLS1.2', 'TLS1.3']

/** @throws FlagError */
export function checkGrpcProxyFlags(flags: GrpcProxyFlags): void {
  const fail = (why: string): never => { throw new FlagError(why) }
  const [prefix, ttl, min, max] = [flags['resolver-prefix'], flags['resolver-ttl'], flags['tls-min-version'], flags['tls-max-version']]
  if (prefix !== '' && ttl < 1) fail(`invalid resolver-ttl ${ttl}`)
  if (prefix === '' && ttl > 0) fail(`invalid resolver-prefix ${JSON.stringify(prefix)}`)
  if (prefix !== '' && ttl > 0 && flags['advertise-client-url'] === '') fail('invalid advertise-client-url ""')
  if (flags['auto-tls'] && flags['self-signed-cert-validity'] <= 0) fail('selfSignedCertValidity is invalid,it should be greater than 0')
  if (!tlsVersions.includes(min)) fail(`tls-min-version is invalid: unexpected TLS version ${JSON.stringify(min)} (must be one of: TLS1.2, TLS1.3)`)
  if (!tlsVersions.includes(max)) fail(`tls-max-version is invalid: unexpected TLS version ${JSON.stringify(max)} (must be one of: TLS1.2, TLS1.3)`)
  if (max !== '' && min > max) fail(`min version (${min}) is greater than max version (${max})`)
  if (min === 'TLS1.3' && flags['listen-cipher-suites'].length > 0) fail('cipher suites cannot be configured when only TLS1.3 is enabled')
  // A proxy that took no notice of it would write what others believe to hold for themselves.
  if (flags['experimental-leasing-prefix'] !== '') fail('--experimental-leasing-prefix is not available')
}
