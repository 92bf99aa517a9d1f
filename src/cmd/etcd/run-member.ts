// Runs one member: opens its data, connects it with the others, serves clients once it takes part, and hands the leadership over when it ends.
import { join } from 'node:path'
import { compactAutomatically, parseAutoCompaction } from '../../control-plane/etcd/auto-compaction.ts'
import { connectMembers } from '../../control-plane/etcd/connect-members.ts'
import { CorruptionChecks } from '../../control-plane/etcd/corruption-checks.ts'
import { withFlock } from '../../control-plane/etcd/disk/flock-disk.ts'
import { realDisk } from '../../control-plane/etcd/disk/real-disk.ts'
import { withoutSync } from '../../control-plane/etcd/disk/unsynced-disk.ts'
import { openEtcd, type EmbeddedEtcd, type EtcdOptions } from '../../control-plane/etcd/embedded.ts'
import type { FeatureSwitches } from '../../control-plane/etcd/features.ts'
import { MemberRemovedError } from '../../control-plane/etcd/member.ts'
import { normalizeUrls } from '../../control-plane/etcd/membership/parse-urls.ts'
import { PeerClient } from '../../control-plane/etcd/peer/peer-client.ts'
import { PeerTls } from '../../control-plane/etcd/peer/peer-tls.ts'
import { serveEtcd, serveEtcdHealth, type ServeEtcdOptions } from '../../control-plane/etcd/v3rpc/serve-etcd.ts'
import { WriteAheadLog } from '../../control-plane/etcd/wal/write-ahead-log.ts'
import { realClock } from '../../lib/async/real-clock.ts'
import { realRandom } from '../../lib/async/real-random.ts'
import { FlagError, parseGoDuration } from '../../lib/component-base/flags.ts'
import { describeError, type Logger } from '../../lib/component-base/log.ts'
import { EtcdError } from '../../lib/etcd-api/etcd-error.ts'
import type { ServerTls } from '../../lib/net/grpc/grpc-server.ts'
import { notifySystemd } from '../notify-systemd.ts'
import { untilAborted } from '../run-component.ts'
import type { EtcdSettings } from './check-settings.ts'
import { openDiagnostics } from './diagnostics.ts'
import { findInitialCluster, systemResolver } from './find-initial-cluster.ts'
import { listenPlace, type ListenPlace } from './listen-address.ts'
import { localAddressOf, memberOptionsOf, peerTimeoutsOf, serverOptionsOf } from './member-options.ts'
import { loadClientTls, loadPeerTls, serverTlsOf } from './tls-files.ts'

const handOverMs = 7000

/** Until the signal, or until the member ends by itself. Gives the exit code. */
export async function runMember(flags: EtcdSettings, features: FeatureSwitches, clientAllowedCns: readonly string[], logger: Logger, signal: AbortSignal): Promise<number> {
  const dataDir = flags['data-dir'] || `${flags.name}.etcd`
  const compaction = parseAutoCompaction(flags['auto-compaction-mode'], flags['auto-compaction-retention'], parseGoDuration)
  const clientTlsOptions = await loadClientTls(flags, dataDir, clientAllowedCns, logger)
  const clientTls = clientTlsOptions && await serverTlsOf(clientTlsOptions, logger)
  const peerTlsOptions = await loadPeerTls(flags, dataDir, logger)
  const peerTls = peerTlsOptions && await PeerTls.load(peerTlsOptions)
  const places = (texts: readonly string[]): readonly ListenPlace[] => texts.map((text) => listenPlace(text, flags['socket-reuse-port']))
  for (const { url, secure } of places([...flags['listen-client-urls'], ...flags['listen-client-http-urls'], ...flags['listen-metrics-urls']])) {
    if (secure && !clientTls) throw new FlagError(`${url} needs --cert-file and --key-file`)
  }
  const disk = withFlock(flags['unsafe-no-fsync'] ? withoutSync(realDisk) : realDisk, logger)
  const walDir = flags['wal-dir'] || join(dataDir, 'member', 'wal')
  const isInitialized = await WriteAheadLog.exists({ disk, folder: walDir })
  logger.info('starting an etcd server', { name: flags.name, 'data-dir': dataDir, 'member-initialized': isInitialized, 'initial-cluster': flags['initial-cluster'], 'initial-cluster-state': flags['initial-cluster-state'] })
  let checks: CorruptionChecks | undefined
  const localAddress = localAddressOf(flags, features, logger)
  const options: EtcdOptions = {
    ...memberOptionsOf(flags, features), disk: { dataDir, disk, ...(flags['wal-dir'] ? { walDir } : {}) }, clock: realClock, random: realRandom, logger,
    transport: connectMembers({
      listenUrls: flags['listen-peer-urls'], advertiseUrls: normalizeUrls(flags['initial-advertise-peer-urls']), maxRequestBytes: flags['max-request-bytes'], timeouts: peerTimeoutsOf(flags, logger), clock: realClock, logger,
      ...(peerTls && { tls: peerTls }), ...(localAddress === undefined ? {} : { localAddress }),
      beforeStart: async (etcd, { client }) => {
        checks = new CorruptionChecks({ etcd, peerClient: client, clock: realClock, logger })
        if (isInitialized && features.InitialCorruptCheck) await checks.checkInitially(signal)
      },
    }),
  }
  await using etcd = await openEtcd(isInitialized ? options : { ...options, initialCluster: await findCluster(flags, peerTls, logger, signal) })
  const ended = AbortSignal.any([signal, etcd.broken])
  await using diagnostics = openDiagnostics(flags, logger)
  const { tracer, pprof } = diagnostics
  const serving: Omit<ServeEtcdOptions, 'listen' | 'tls'> = { clock: realClock, ...serverOptionsOf(flags), ...(tracer && { tracer }), ...(pprof && { pprof }) }
  await using servers = new AsyncDisposableStack()
  await serveAll(places(flags['listen-metrics-urls']), clientTls, async (at) => { servers.use(await serveEtcdHealth(etcd, { ...serving, ...at })) })
  if (!await becomesReady(etcd, ended, logger)) return exitCode(etcd)
  const httpPlaces = places(flags['listen-client-http-urls'])
  const serves = httpPlaces.length > 0 ? 'grpc' : 'both'
  await serveAll(places(flags['listen-client-urls']), clientTls, async (at) => { servers.use(await serveEtcd(etcd, { ...serving, ...at, serves })) })
  await serveAll(httpPlaces, clientTls, async (at) => { servers.use(await serveEtcd(etcd, { ...serving, ...at, serves: 'http' })) })
  logger.info('ready to serve client requests', { name: flags.name, urls: flags['listen-client-urls'].join(','), revision: etcd.internals.member.machine.store.revision })
  await notifySystemd('READY=1', process.env, logger)
  const background = [
    ...(compaction ? [compactAutomatically(compactedByLeader(etcd), compaction, realClock, logger, ended)] : []),
    ...(checks && flags['corrupt-check-time'] > 0 ? [checks.checkRegularly('keys', flags['corrupt-check-time'], ended)] : []),
    ...(checks && features.CompactHashCheck ? [checks.checkRegularly('compactions', flags['compact-hash-check-time'], ended)] : []),
  ]
  // The servers' sockets keep the process; with none of them this does.
  await untilAborted(ended)
  await Promise.all(background)
  if (!etcd.broken.aborted) await handOver(etcd, logger)
  return exitCode(etcd)
}

async function findCluster(flags: EtcdSettings, peerTls: PeerTls | undefined, logger: Logger, signal: AbortSignal): ReturnType<typeof findInitialCluster> {
  using client = new PeerClient({ clock: realClock, dialTimeoutMs: 1000 + flags['election-timeout'], ...(peerTls && { tls: peerTls }) })
  return await findInitialCluster(flags, client, systemResolver, logger, signal)
}

/** False when it ends before. */
async function becomesReady(etcd: EmbeddedEtcd, ended: AbortSignal, logger: Logger): Promise<boolean> {
  return await Promise.race([
    etcd.whenReady().then(() => !ended.aborted, (error: unknown) => {
      if (!ended.aborted) logger.error('this member does not take part in its cluster', error)
      return false
    }),
    untilAborted(ended).then(() => false),
  ])
}

/** One server for the addresses with TLS, one for those without. */
async function serveAll(places: readonly ListenPlace[], tls: ServerTls | undefined, serve: (at: Pick<ServeEtcdOptions, 'listen' | 'tls'>) => Promise<void>): Promise<void> {
  const plain = places.filter((place) => !place.secure).map((place) => place.address)
  const secure = places.filter((place) => place.secure).map((place) => place.address)
  if (plain.length > 0) await serve({ listen: plain })
  if (secure.length > 0 && tls) await serve({ listen: secure, tls })
}

/** All members look, the leader acts; one that can't tries again the next time. */
function compactedByLeader({ client, internals: { member } }: EmbeddedEtcd): Pick<EmbeddedEtcd['client'], 'status' | 'compact'> {
  return {
    status: (signal) => client.status(signal),
    compact: async (revision, signal) => {
      if (!member.isLeader) return
      await client.compact(revision, signal).catch((error: unknown) => { if (!(error instanceof EtcdError && error.reason === 'Unavailable')) throw error })
    },
  }
}

async function handOver({ internals: { member } }: EmbeddedEtcd, logger: Logger): Promise<void> {
  const limit = new AbortController()
  using timer = realClock.setTimer(handOverMs, () => limit.abort(new Error('it took too long')), { keepAlive: true })
  void timer
  await member.handOver(limit.signal).catch((error: unknown) => logger.warn('the leadership was not handed over', { why: describeError(error) }))
}

function exitCode(etcd: EmbeddedEtcd): number {
  return etcd.broken.aborted && !(etcd.broken.reason instanceof MemberRemovedError) ? 1 : 0
}
