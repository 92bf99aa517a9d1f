// What must hold between the settings before anything is started, in the original's words. Upstream: etcd/server/embed/config.go (Validate)
import { isIP } from 'node:net'
import { FlagError, type FlagValues } from '../../lib/component-base/flags.ts'
import { parseMemberUrl, parseMemberUrls, UrlError, type MemberUrl } from '../../control-plane/etcd/membership/parse-urls.ts'
import { featureStages, stageSwitches, switchFeatures, type FeatureSwitches } from '../../control-plane/etcd/features.ts'
import type { etcdFlags } from './flag-specs.ts'

export type EtcdSettings = FlagValues<typeof etcdFlags>

const longestElectionMs = 50_000
const tlsVersions = ['', 'TLS1.2', 'TLS1.3']
const v2Deprecations = ['write-only', 'write-only-skip-check', 'write-only-drop-data', 'gone']
/** Those that Go reads as numbers without a sign. */
const unsignedFlags = ['max-snapshots', 'max-wals', 'max-txn-ops', 'max-request-bytes', 'max-concurrent-streams', 'heartbeat-interval', 'election-timeout', 'snapshot-count', 'snapshot-catchup-entries', 'bcrypt-cost', 'auth-token-ttl',
  'self-signed-cert-validity', 'bootstrap-defrag-threshold-megabytes'] as const
const million = 1_000_000

/** @param given names of what was set. @throws FlagError */
export function checkSettings(flags: EtcdSettings, given: ReadonlySet<string>): void {
  const fail = (message: string): never => { throw new FlagError(message) }
  for (const flag of unsignedFlags) if (flags[flag] < 0) fail(`invalid value ${JSON.stringify(String(flags[flag]))} for flag -${flag}: parse error`)
  if (!v2Deprecations.includes(flags['v2-deprecation'])) fail(`invalid value ${JSON.stringify(flags['v2-deprecation'])} for flag -v2-deprecation: invalid value ${JSON.stringify(flags['v2-deprecation'])}`)
  if (!['exit', 'proxy'].includes(flags['discovery-fallback'])) fail(`invalid value ${JSON.stringify(flags['discovery-fallback'])} for flag -discovery-fallback: invalid value`)
  if (flags['discovery-fallback'] === 'proxy') fail(`v2 proxy is deprecated, and --discovery-fallback can't be configured as "proxy"`)
  if (flags.logger !== 'zap') fail(flags.logger === 'capnslog' ? '--logger=capnslog is removed in v3.5' : `unknown logger option ${JSON.stringify(flags.logger)}`)
  for (const flag of ['listen-peer-urls', 'listen-client-urls', 'listen-client-http-urls', 'listen-metrics-urls'] as const) for (const url of urlsOf(flag, flags[flag])) checkBinding(url)
  for (const url of urlsOf('initial-advertise-peer-urls', flags['initial-advertise-peer-urls'])) {
    if (url.scheme.startsWith('http') && url.host === '') fail(`--initial-advertise-peer-urls ${JSON.stringify(flags['initial-advertise-peer-urls'].join(','))} must be "host:port" (unexpected empty host (${url.text}))`)
  }
  for (const url of urlsOf('advertise-client-urls', flags['advertise-client-urls'])) {
    if (url.scheme.startsWith('http') && url.host === '') fail(`--advertise-client-urls ${JSON.stringify(flags['advertise-client-urls'].join(','))} must be in the format "host:port", "unix:/path/to/socket" or "unixs:/path/to/socket" (unexpected empty host (${url.text}))`)
  }
  if (flags.cors !== '' && flags.cors !== '*') urlsOf('cors', flags.cors.split(','))
  if (!['new', 'existing'].includes(flags['initial-cluster-state'])) fail(`unexpected clusterState ${JSON.stringify(flags['initial-cluster-state'])}`)
  const ways = [flags['initial-cluster'] !== '', flags['discovery-srv'] !== '', flags['discovery-endpoints'].length > 0].filter(Boolean).length
  if (ways > 1) fail('multiple discovery or bootstrap flags are set. Choose one of "initial-cluster", "discovery-endpoints" or "discovery-srv"')
  if ((flags['discovery-token'] !== '') !== (flags['discovery-endpoints'].length > 0)) fail('both --discovery-token and --discovery-endpoints must be set')
  if (flags['discovery-endpoints'].some((endpoint) => endpoint.trim() === '')) fail('--discovery-endpoints must not contain empty endpoints')
  const [tickMs, electionMs] = [flags['heartbeat-interval'], flags['election-timeout']]
  if (tickMs <= 0) fail(`--heartbeat-interval must be >0 (set to ${tickMs}ms)`)
  if (electionMs <= 0) fail(`--election-timeout must be >0 (set to ${electionMs}ms)`)
  if (5 * tickMs > electionMs) fail(`--election-timeout[${electionMs}ms] should be at least as 5 times as --heartbeat-interval[${tickMs}ms]`)
  if (electionMs > longestElectionMs) fail(`--election-timeout[${electionMs}ms] is too long, and should be set less than ${longestElectionMs}ms`)
  if (given.has('listen-client-urls') && flags['advertise-client-urls'].length === 0) fail('--advertise-client-urls is required when --listen-client-urls is set explicitly')
  if (flags['auto-compaction-mode'] === '') fail('undefined auto-compaction-mode')
  if (!['periodic', 'revision'].includes(flags['auto-compaction-mode'])) fail(`unknown auto-compaction-mode ${JSON.stringify(flags['auto-compaction-mode'])}`)
  const rate = flags['distributed-tracing-sampling-rate']
  if (flags['enable-distributed-tracing'] && rate < 0) fail('distributed tracing configurition is not valid: (tracing sampling rate must be positive)')
  if (flags['enable-distributed-tracing'] && rate > million) fail(`distributed tracing configurition is not valid: (tracing sampling rate must be less than ${million})`)
  if (flags['compact-hash-check-time'] <= 0) fail(`--compact-hash-check-time must be >0 (set to ${flags['compact-hash-check-time']}ms)`)
  for (const flag of ['tls-min-version', 'tls-max-version'] as const) if (!tlsVersions.includes(flags[flag])) fail(`unexpected TLS version ${JSON.stringify(flags[flag])}`)
  if (flags['tls-max-version'] !== '' && flags['tls-min-version'] > flags['tls-max-version']) fail(`min version (${flags['tls-min-version']}) is greater than max version (${flags['tls-max-version']})`)
  if (flags['tls-min-version'] === 'TLS1.3' && flags['cipher-suites'].length > 0) fail('cipher suites cannot be configured when only TLS1.3 is enabled')
  if (!['debug', 'info', 'warn', 'error', 'dpanic', 'panic', 'fatal'].includes(flags['log-level'])) fail(`unrecognized level: ${JSON.stringify(flags['log-level'])}`)
  if (!['json', 'console'].includes(flags['log-format'])) fail(`unknown log format: ${JSON.stringify(flags['log-format'])}`)
  if (flags['log-outputs'].includes('default') && flags['log-outputs'].length > 1) fail(`multi logoutput for "default" is not supported yet`)
  if (flags['enable-log-rotation'] && (flags['log-outputs'].length !== 1 || ['default', 'stderr', 'stdout'].includes(flags['log-outputs'][0] ?? ''))) fail('--log-outputs requires a single file path when --log-rotate-config-json is defined')
}

/** @throws FlagError */
export function readFeatures(flags: EtcdSettings): FeatureSwitches {
  const given = new Map<string, boolean>()
  for (const pair of flags['feature-gates'].split(',').filter((text) => text.trim() !== '')) {
    const [name = '', value = ''] = pair.split('=').map((text) => text.trim())
    if (!Object.hasOwn(featureStages, name) && !Object.hasOwn(stageSwitches, name)) throw new FlagError(`unrecognized feature gate: ${name}`)
    if (!['true', 'false'].includes(value.toLowerCase())) throw new FlagError(`invalid value of ${name}=${value}, err: strconv.ParseBool: parsing ${JSON.stringify(value)}: invalid syntax`)
    given.set(name, value.toLowerCase() === 'true')
  }
  const features = switchFeatures(given)
  if (features.LeaseCheckpointPersist && !features.LeaseCheckpoint) throw new FlagError('enabling feature gate LeaseCheckpointPersist requires enabling feature gate LeaseCheckpoint')
  return { ...features, InitialCorruptCheck: features.InitialCorruptCheck || flags['initial-corrupt-check'] }
}

function urlsOf(flag: string, texts: readonly string[]): readonly MemberUrl[] {
  try {
    return texts.length === 0 ? [] : parseMemberUrls(texts)
  } catch (error) {
    if (error instanceof UrlError) throw new FlagError(`invalid value ${JSON.stringify(texts.join(','))} for flag --${flag}: ${error.message}`, { cause: error })
    throw error
  }
}

function checkBinding(url: MemberUrl): void {
  if (url.scheme.startsWith('http') && url.host !== 'localhost' && isIP(url.host.split('%')[0] ?? '') === 0) throw new FlagError(`expected IP in URL for binding (${url.text})`)
}

/** @throws FlagError */
export function parseListenUrl(text: string): MemberUrl {
  const url = parseMemberUrl(text)
  checkBinding(url)
  return url
}
