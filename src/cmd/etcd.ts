// etcd as a program of its own, with the original's flags, environment variables (ETCD_NAME for --name) and configuration file.
import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { load } from 'js-yaml'
import { compactAutomatically, parseAutoCompaction } from '../control-plane/etcd/auto-compaction.ts'
import { openEtcd } from '../control-plane/etcd/embedded.ts'
import { serveEtcd, serveEtcdHealth } from '../control-plane/etcd/v3rpc/serve-etcd.ts'
import { etcdVersion } from '../control-plane/etcd/version.ts'
import { realClock } from '../lib/async/real-clock.ts'
import { realRandom } from '../lib/async/real-random.ts'
import { isJsonObject, type JsonObject, type JsonValue } from '../lib/base/json.ts'
import { parseGoDuration, type FlagSpecs } from '../lib/component-base/flags.ts'
import type { ListenAddress, ServerTls } from '../lib/net/grpc/grpc-server.ts'
import { runComponent, untilAborted } from './run-component.ts'

const flagSpecs = {
  name: { type: 'string', default: 'default', usage: 'name of this member' },
  'data-dir': { type: 'string', usage: 'folder for the data (default "${name}.etcd")' },
  'wal-dir': { type: 'string', usage: 'folder for the write-ahead log, when it is to lie elsewhere' },
  'config-file': { type: 'string', usage: 'YAML file with these settings; the other flags are then ignored' },
  'listen-client-urls': { type: 'strings', default: ['http://localhost:2379'], usage: 'where to listen for clients' },
  'advertise-client-urls': { type: 'strings', default: ['http://localhost:2379'], usage: 'where clients are told to reach this member' },
  'listen-peer-urls': { type: 'strings', default: ['http://localhost:2380'], usage: 'where to listen for other members' },
  'initial-advertise-peer-urls': { type: 'strings', default: ['http://localhost:2380'], usage: 'where other members are told to reach this one' },
  'listen-metrics-urls': { type: 'strings', usage: 'more places to answer /metrics and /health' },
  'initial-cluster': { type: 'string', usage: 'members of a new cluster: name=peer URL, comma-separated' },
  'initial-cluster-state': { type: 'string', default: 'new', usage: "'new' or 'existing'" },
  'initial-cluster-token': { type: 'string', default: 'etcd-cluster', usage: 'keeps clusters apart that have the same URLs' },
  'snapshot-count': { type: 'int', default: 10_000, usage: 'log entries after which a snapshot may be written' },
  'heartbeat-interval': { type: 'int', default: 100, usage: 'milliseconds between heartbeats' },
  'election-timeout': { type: 'int', default: 1000, usage: 'milliseconds without a heartbeat before an election; the shortest lease is one and a half times as long' },
  'quota-backend-bytes': { type: 'int', usage: 'size at which the store takes nothing more; 0 is 2 GiB, negative is none' },
  'max-request-bytes': { type: 'int', default: 1_572_864, usage: 'largest request' },
  'max-txn-ops': { type: 'int', default: 128, usage: 'most operations in a transaction' },
  'auto-compaction-mode': { type: 'string', default: 'periodic', usage: "'periodic' or 'revision'" },
  'auto-compaction-retention': { type: 'string', default: '0', usage: 'history to keep: a duration (or hours), or a number of revisions; 0 turns compaction off' },
  'watch-progress-notify-interval': { type: 'duration', default: 600_000, usage: 'time between progress notifications of quiet watches' },
  'cert-file': { type: 'string', usage: 'certificate for clients' },
  'key-file': { type: 'string', usage: 'key of that certificate' },
  'trusted-ca-file': { type: 'string', usage: "authorities for clients' certificates" },
  'client-cert-auth': { type: 'bool', usage: 'only let clients in that have a certificate' },
  'unsafe-no-fsync': { type: 'bool', usage: 'keep everything in memory only until the process ends' },
  'auth-token': { type: 'string', default: 'simple', usage: "'simple', or 'jwt,sign-method=…,priv-key=…,pub-key=…,ttl=…'" },
  'auth-token-ttl': { type: 'int', default: 300, usage: 'seconds that a simple token lives after its last use' },
  'bcrypt-cost': { type: 'int', default: 10, usage: 'work that checking a password takes, 4 to 31' },
  'enable-v2': { type: 'bool', usage: 'serve the second API under /v2/ too' },
  'enable-grpc-gateway': { type: 'bool', default: true, usage: 'serve JSON under /v3/' },
  'log-level': { type: 'string', default: 'info', usage: 'debug, info, warn, error' },
} as const satisfies FlagSpecs

/** Flags of the original that change nothing here: they belong to peers, to bbolt, to Go, or to what comes later. A word is said when they are given. */
const withoutEffect = {
  'peer-cert-file': { type: 'string', usage: 'no effect with one member' }, 'peer-key-file': { type: 'string', usage: 'no effect with one member' },
  'peer-trusted-ca-file': { type: 'string', usage: 'no effect with one member' }, 'peer-client-cert-auth': { type: 'bool', usage: 'no effect with one member' },
  'strict-reconfig-check': { type: 'bool', default: true, usage: 'no effect with one member' }, 'pre-vote': { type: 'bool', default: true, usage: 'no effect with one member' },
  'feature-gates': { type: 'string', usage: 'no effect' }, logger: { type: 'string', default: 'zap', usage: 'no effect' }, 'log-outputs': { type: 'strings', usage: 'no effect' }, 'log-format': { type: 'string', usage: 'no effect' },
  metrics: { type: 'string', default: 'basic', usage: 'no effect' }, 'enable-pprof': { type: 'bool', usage: 'no effect' }, 'max-snapshots': { type: 'int', default: 5, usage: 'no effect' }, 'max-wals': { type: 'int', default: 5, usage: 'no effect' },
  'host-whitelist': { type: 'string', default: '*', usage: 'no effect' }, cors: { type: 'string', default: '*', usage: 'no effect' },
  'backend-batch-interval': { type: 'string', usage: 'no effect' }, 'backend-batch-limit': { type: 'int', usage: 'no effect' },
  'initial-corrupt-check': { type: 'bool', usage: 'no effect' }, 'experimental-initial-corrupt-check': { type: 'bool', usage: 'no effect' }, 'experimental-watch-progress-notify-interval': { type: 'duration', usage: 'no effect' },
  'corrupt-check-time': { type: 'duration', usage: 'no effect' }, 'compact-hash-check-time': { type: 'duration', usage: 'no effect' }, 'tls-min-version': { type: 'string', usage: 'no effect' }, 'cipher-suites': { type: 'strings', usage: 'no effect' },
} as const satisfies FlagSpecs

const specs = { ...flagSpecs, ...withoutEffect }

export function run(args: readonly string[]): Promise<number> {
  return runComponent({
    name: 'etcd',
    description: 'etcd keeps keys and values reliably: every change is a new revision, durable before it is acknowledged, and can be watched.',
    version: `etcd Version: ${etcdVersion}\nGit SHA: Not provided (k8ts)\nGo Version: none (Node.js ${process.version})\nGo OS/Arch: ${process.platform}/${process.arch}`,
    flags: specs,
    async main({ flags, given }, logger, signal) {
      for (const name of Object.keys(withoutEffect)) if (given.has(name)) logger.warn('this flag has no effect here', { flag: `--${name}` })
      const members = membersOf(flags['initial-cluster'])
      if (members.length > 1) throw new Error(`--initial-cluster names ${members.length} members: clusters of several members are not supported yet, start one member`)
      const peerUrls = members[0]?.url ? [members[0].url] : flags['initial-advertise-peer-urls']
      const compaction = parseAutoCompaction(flags['auto-compaction-mode'], flags['auto-compaction-retention'], parseGoDuration)
      const tls = tlsOf(flags['cert-file'], flags['key-file'], flags['trusted-ca-file'], flags['client-cert-auth'])
      await using etcd = await openEtcd({
        disk: flags['unsafe-no-fsync'] ? 'memory' : { dataDir: flags['data-dir'] || `${flags.name}.etcd`, ...(flags['wal-dir'] ? { walDir: flags['wal-dir'] } : {}) },
        clock: realClock, random: realRandom, logger, name: flags.name, peerUrls, clientUrls: flags['advertise-client-urls'], clusterToken: flags['initial-cluster-token'],
        quotaBackendBytes: flags['quota-backend-bytes'], maxRequestBytes: flags['max-request-bytes'], maxTxnOps: flags['max-txn-ops'], snapshotCount: flags['snapshot-count'],
        watchProgressNotifyIntervalMs: Math.max(100, flags['watch-progress-notify-interval']), electionTimeoutMs: flags['election-timeout'],
        authToken: flags['auth-token'], authTokenTtlMs: flags['auth-token-ttl'] * 1000, bcryptCost: flags['bcrypt-cost'], clientCertAuth: flags['client-cert-auth'],
      })
      await using servers = new AsyncDisposableStack()
      for (const url of flags['listen-client-urls']) {
        const { address, secure } = listenAddress(url)
        if (secure && !tls) throw new Error(`${url} needs --cert-file and --key-file`)
        servers.use(await serveEtcd(etcd, { clock: realClock, listen: [address], maxRequestBytes: flags['max-request-bytes'], gateway: flags['enable-grpc-gateway'], v2: flags['enable-v2'], ...(secure && tls ? { tls } : {}) }))
        logger.info('serving client traffic', { url })
      }
      for (const url of flags['listen-metrics-urls']) {
        const { address, secure } = listenAddress(url)
        if (secure && !tls) throw new Error(`${url} needs --cert-file and --key-file`)
        servers.use(await serveEtcdHealth(etcd, { clock: realClock, listen: [address], ...(secure && tls ? { tls } : {}) }))
      }
      const ended = AbortSignal.any([signal, etcd.broken])
      const compacting = compaction ? compactAutomatically(etcd.client, compaction, realClock, logger, ended) : undefined
      logger.info('ready to serve client requests', { name: flags.name, revision: (await etcd.client.status(signal)).revision })
      // The servers' sockets keep the process; with none of them this does.
      await untilAborted(ended)
      await compacting
      return etcd.broken.aborted ? 1 : 0
    },
  }, withEnvironment(normalise(args), process.env))
}

/** Go's flags may have one dash. */
function normalise(args: readonly string[]): readonly string[] {
  return args.map((arg) => {
    const name = /^-([a-z][a-z-]+)(=|$)/.exec(arg)?.[1]
    return name !== undefined && Object.hasOwn(specs, name) ? `-${arg}` : arg
  })
}

/** A configuration file replaces the flags; else variables stand before the flags, which therefore win. */
function withEnvironment(args: readonly string[], environment: NodeJS.ProcessEnv): readonly string[] {
  const fileAt = args.findIndex((arg) => arg === '--config-file' || arg.startsWith('--config-file='))
  const file = fileAt < 0 ? environment['ETCD_CONFIG_FILE'] : args[fileAt]?.split('=')[1] ?? args[fileAt + 1]
  if (file) {
    const settings = load(readFileSync(file, 'utf8')) as JsonValue // cast: YAML of JSON's kinds
    return isJsonObject(settings) ? settingsToFlags(settings) : []
  }
  const fromEnvironment = Object.keys(specs).flatMap((name) => {
    const value = environment[`ETCD_${name.toUpperCase().replaceAll('-', '_')}`]
    return value === undefined ? [] : [`--${name}=${value}`]
  })
  const given = new Set(args.map((arg) => arg.split('=')[0]))
  return [...fromEnvironment.filter((arg) => !given.has(arg.split('=')[0])), ...args]
}

function settingsToFlags(settings: JsonObject): string[] {
  return Object.entries(settings).flatMap(([name, value]) => {
    if (name === 'client-transport-security' && isJsonObject(value)) return settingsToFlags(value)
    return Object.hasOwn(specs, name) && value !== null && typeof value !== 'object' ? [`--${name}=${String(value)}`] : []
  })
}

function membersOf(text: string): { readonly name: string; readonly url: string }[] {
  return text === '' ? [] : text.split(',').map((pair) => {
    const at = pair.indexOf('=')
    return { name: pair.slice(0, at), url: pair.slice(at + 1) }
  })
}

function tlsOf(certFile: string, keyFile: string, caFile: string, requireClientCertificate: boolean): ServerTls | undefined {
  if (!certFile || !keyFile) return undefined
  return { cert: readFileSync(certFile), key: readFileSync(keyFile), ...(caFile ? { ca: readFileSync(caFile), requireClientCertificate } : {}) }
}

function listenAddress(url: string): { readonly address: ListenAddress; readonly secure: boolean } {
  if (/^unixs?:/.test(url)) return { address: { path: url.replace(/^unixs?:(\/\/)?/, '') }, secure: url.startsWith('unixs:') }
  const parsed = new URL(url)
  if (parsed.protocol !== 'http:' && parsed.protocol !== 'https:') throw new Error(`${url}: expected http, https or unix`)
  const host = parsed.hostname.replace(/^\[(.*)\]$/, '$1')
  if (host !== 'localhost' && isIP(host) === 0) throw new Error(`expected IP in URL for binding (${url})`)
  return { address: { host, port: Number(parsed.port || (parsed.protocol === 'https:' ? 443 : 80)) }, secure: parsed.protocol === 'https:' }
}
